"""The door of a running web, from outside: whose address counts, TLS behind nginx, and sockets that are ended."""

import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.keys import Keys
from tests.servers import Web, free_port, listens, wait_until, web

pytestmark = pytest.mark.server

POLICY = 1008


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with web(tmp_path_factory.mktemp("closed"), GAOXIN_ACCESS__LOOK="signed-in") as made:
        yield made


def live(twin: Web, cookie: str = "", origin: str | None = None) -> ClientConnection:
    headers = {"Cookie": cookie} if cookie else {}
    url = f"ws://127.0.0.1:{twin.port}/api/v1/live"
    return connect(url, additional_headers=headers, origin=origin)  # type: ignore[arg-type]


def cookie_of(client: httpx2.Client) -> str:
    return "; ".join(f"{c.name}={c.value}" for c in client.cookies.jar)


def closed_with(socket: ClientConnection, seconds: float = 20) -> int | None:
    """The code with which the server ends it."""
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            socket.recv(timeout=seconds)
    except ConnectionClosed as error:
        return error.rcvd.code if error.rcvd else None
    raise AssertionError("the socket stays open")


class TestSockets:
    @pytest.mark.parametrize("cookie", ["", "gaoxin_session=made-up", "gaoxin_screen=made-up"])
    def test_a_visitor_gets_none(self, closed: Web, cookie: str) -> None:
        with live(closed, cookie) as socket:
            assert closed_with(socket) == POLICY

    def test_another_sites_page_gets_none_with_its_readers_cookie(self, closed: Web) -> None:
        cookie = cookie_of(closed.client("viewer"))
        with live(closed, cookie, "http://evil.example") as socket:
            assert closed_with(socket) == POLICY
        with live(closed, cookie, closed.url) as socket:
            assert "beat" in str(socket.recv(timeout=20))

    def test_a_screen_whose_link_is_revoked_is_shut_out(self, closed: Web) -> None:
        link = closed.gaoxin("kiosk", "add", "hall").strip()
        token = link.rpartition("/")[2]
        visitor = closed.client()
        assert visitor.get(f"/kiosk/{token}").headers["location"] == "/"
        with live(closed, cookie_of(visitor)) as socket:
            assert "beat" in str(socket.recv(timeout=20))
            number = closed.gaoxin("kiosk", "list").splitlines()[-1].split()[0]
            closed.gaoxin("kiosk", "revoke", number)
            assert closed_with(socket) == POLICY

    @pytest.mark.parametrize("end", ["disable", "sign-out", "role"])
    def test_a_session_that_ends_takes_its_sockets_along(self, closed: Web, end: str) -> None:
        password = closed.gaoxin("user", "add", f"short-{end}", "--role", "operator").split()[-1]
        client = closed.client()
        signed = client.post("/api/v1/session", json={"user": f"short-{end}", "password": password})
        ends: dict[str, Callable[[], Any]] = {
            "disable": lambda: closed.gaoxin("user", "disable", f"short-{end}"),
            "role": lambda: closed.gaoxin("user", "role", f"short-{end}", "viewer"),
            "sign-out": lambda: client.delete("/api/v1/session", headers={"X-CSRF-Token": signed.json()["csrf"]}),
        }
        with live(closed, cookie_of(client)) as socket:
            assert "beat" in str(socket.recv(timeout=20))
            ends[end]()
            assert closed_with(socket) == POLICY


def guess(client: httpx2.Client, times: int, **headers: str) -> list[int]:
    """Wrong passwords for as many accounts, so that only the address counts; `{i}` in a header is the attempt."""
    said = []
    for i in range(times):
        named = {name.replace("_", "-"): value.format(i=i) for name, value in headers.items()}
        body = {"user": f"nobody-{i}", "password": "x"}
        said.append(client.post("/api/v1/session", json=body, headers=named).status_code)
    return said


def test_no_header_gives_a_guesser_another_address(tmp_path: Path) -> None:
    with web(tmp_path) as twin:
        forwarded = {"X_Forwarded_For": "10.0.0.{i}", "X_Real_IP": "10.0.0.{i}", "Forwarded": "for=10.0.0.{i}"}
        assert 429 in guess(twin.client(), 22, **forwarded)
        answer = twin.client().post(
            "/api/v1/session", json={"user": "x", "password": "x"}, headers={"X-Forwarded-Proto": "https"}
        )
        assert answer.status_code == 429


@contextmanager
def nginx(folder: Path, certificate: Path, key: Path, backend: int) -> Iterator[int]:
    """As docs/engineers.md sets it up."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(
        f"""daemon off; pid {folder}/nginx.pid; error_log stderr; events {{}}
http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
  server {{ listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate}; ssl_certificate_key {key};
    location / {{ proxy_pass http://127.0.0.1:{backend}; proxy_http_version 1.1;
      proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; }} }} }}
""",
        encoding="utf-8",
    )
    process = subprocess.Popen(["/usr/sbin/nginx", "-p", str(folder), "-c", str(config)])
    try:
        wait_until(lambda: listens(port), "nginx listens")
        yield port
    finally:
        process.terminate()
        process.wait(10)


def test_behind_nginx_with_tls(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys")
    settings = {"GAOXIN_WEB__PROXIES": "127.0.0.1", "GAOXIN_ACCESS__LOOK": "signed-in"}
    with web(tmp_path, **settings) as twin, nginx(tmp_path, *keys.issue("localhost"), twin.port) as port:
        name, password = twin.account("viewer")
        trust = ssl.create_default_context(cafile=str(keys.ca))
        client = httpx2.Client(base_url=f"https://localhost:{port}", verify=trust, timeout=30)
        form = {"user": name, "password": password, "next": "/devices"}
        answer = client.post("/sign-in", data=form, headers={"Origin": f"https://localhost:{port}"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/devices")
        assert "; Secure" in answer.headers["set-cookie"]
        assert client.get("/api/v1/scenarios").status_code == 200
        url = f"wss://localhost:{port}/api/v1/live"
        cookie = "; ".join(f"{c.name}={c.value}" for c in client.cookies.jar)
        origin: Any = f"https://localhost:{port}"
        with connect(url, ssl=trust, additional_headers={"Cookie": cookie}, origin=origin) as socket:
            assert "beat" in str(socket.recv(timeout=20))
        # Through the proxy all of these are one guesser; said by the proxy itself they would be many
        assert 429 in guess(client, 22, X_Forwarded_For="10.0.0.{i}")
        assert 429 not in guess(twin.client(), 22, X_Forwarded_For="10.0.1.{i}")
