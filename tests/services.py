"""Services that take notices, on this machine: what robots, webhooks and mail servers would get is received and kept.

The robots' plug-ins have their hosts built in. `here` lets the names of those hosts lead to this machine: everything
else of the way (URL, TLS with that host's name checked, HTTP, payload) is what it would be out there.
"""

import contextlib
import json
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.keys import Keys


class Got(NamedTuple):
    host: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: Any


class Web:
    """Answers `answers` one after the other, the last for ever: (status, JSON or text), after `slow` seconds. Who has
    gone away by then is `dropped`, and what he sent is not taken."""

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        self.got: list[Got] = []
        self.arrived = self.dropped = 0
        self.answers: list[tuple[int, Any]] = [(200, {"errcode": 0, "errmsg": "ok", "code": 0})]
        self.slow = 0.0
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                target = urlsplit(self.path)
                web.arrived += 1
                time.sleep(web.slow)
                if self._gone():
                    web.dropped += 1
                    return
                web.got.append(
                    Got(self.headers["Host"], target.path, parse_qs(target.query), dict(self.headers), json.loads(raw))
                )
                status, said = web.answers.pop(0) if len(web.answers) > 1 else web.answers[0]
                body = said.encode() if isinstance(said, str) else json.dumps(said).encode()
                with contextlib.suppress(OSError):  # a sender that was killed does not wait for it
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    if status in (301, 302, 307, 308):
                        self.send_header("Location", said)
                    self.end_headers()
                    self.wfile.write(body)

            def _gone(self) -> bool:
                if isinstance(self.connection, ssl.SSLSocket):
                    return False
                readable, _, _ = select.select([self.connection], [], [], 0)
                return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def web(certificate: tuple[Path, Path] | None = None) -> Iterator[Web]:
    made = Web(certificate)
    try:
        yield made
    finally:
        made.close()


def here(monkeypatch: pytest.MonkeyPatch, ports: Mapping[str, int]) -> None:
    """Each of these host names leads to its port on this machine; every other name, nowhere."""
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
        if host in ports:
            return real("127.0.0.1", ports[host], *arguments, **named)
        if host in ("127.0.0.1", "localhost"):
            return real(host, port, *arguments, **named)
        raise socket.gaierror(f"{host} is not on this machine")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def trust(monkeypatch: pytest.MonkeyPatch, keys: Keys) -> None:
    """As an installation's system would trust its authorities."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(keys.ca))
    monkeypatch.setenv("SSL_CERT_FILE", str(keys.ca))


class Mail:
    """A mail server with STARTTLS, on a free port."""

    def __init__(self, certificate: tuple[Path, Path] | None) -> None:
        self.got: list[tuple[list[str], EmailMessage]] = []
        self.encrypted: list[bool] = []
        self.refusal = ""
        context = None
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            tls_context=context,
            require_starttls=context is not None,
        )

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.refusal:
            return self.refusal
        message = BytesParser(policy=default).parsebytes(envelope.content or b"")
        assert isinstance(message, EmailMessage)
        self.got.append((list(envelope.rcpt_tos), message))
        self.encrypted.append(session.ssl is not None)
        return "250 OK"

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()


@contextlib.contextmanager
def mail(certificate: tuple[Path, Path] | None = None) -> Iterator[Mail]:
    made = Mail(certificate)
    made.start()
    try:
        yield made
    finally:
        made.stop()
