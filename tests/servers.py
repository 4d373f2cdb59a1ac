"""Real programs for the tests: a broker, and the twin itself as a person would start it. Each ends by its own pid."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2

from ingest.broker import configure, find

_given: set[int] = set()  # ports are asked for some time before they are listened on


def free_port() -> int:
    """A port nothing listens on, below those the system gives to outgoing connections, so that it stays free."""
    for port in random.sample(range(20_000, 32_000), 200):
        if port in _given:
            continue
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given.add(port)
            return port
    raise AssertionError("no free port")


def wait_until(true: Callable[[], bool], what: str, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


@contextlib.contextmanager
def mosquitto(folder: Path, port: int | None = None) -> Iterator[int]:
    """A Mosquitto as `gaoxin up` configures it; yields its port."""
    port = port or free_port()
    program = find("mosquitto")
    process = subprocess.Popen([str(program), "-c", str(configure(folder, port))])
    try:
        wait_until(lambda: listens(port), f"mosquitto listens on {port}")
        yield port
    finally:
        process.terminate()
        process.wait(10)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def signed_in(client: httpx2.Client, name: str, password: str) -> httpx2.Client:
    answer = client.post("/api/v1/session", json={"user": name, "password": password})
    assert answer.status_code == 200, answer.text
    client.headers["X-CSRF-Token"] = answer.json()["csrf"]
    return client


class Up:
    """`gaoxin up` in a process of its own, on free ports and a folder of its own."""

    program, answers = "up", "/readyz"

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder, self.port, self.broker_port = folder, free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        clean = {k: v for k, v in os.environ.items() if not k.startswith("GAOXIN_")}
        self.env = clean | {
            "GAOXIN_DATA": str(folder / "data"),
            "GAOXIN_WEB__PORT": str(self.port),
            "GAOXIN_BROKER__PORT": str(self.broker_port),
            **settings,
        }
        self.log = folder / "up.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.accounts: dict[str, tuple[str, str]] = {}

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dashboards", self.program],
                env=self.env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_ready(self, seconds: float = 90) -> None:
        def ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, f"gaoxin up ended:\n{self.words()}"
            try:
                return httpx2.get(f"{self.url}{self.answers}", timeout=2).status_code == 200
            except httpx2.HTTPError:
                return False

        try:
            wait_until(ready, "the twin is ready", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.words()}") from None

    def gaoxin(self, *words: str) -> str:
        """What a command says, on this twin's settings."""
        program = [sys.executable, "-m", "dashboards", *words]
        done = subprocess.run(program, env=self.env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def account(self, role: str) -> tuple[str, str]:
        """Name and password of an account with this role, made when first asked for; its name is the role's."""
        if role not in self.accounts:
            name = f"the-{role}"  # `admin` is the first start's
            self.accounts[role] = name, self.gaoxin("user", "add", name, "--role", role).split()[-1]
        return self.accounts[role]

    def client(self, role: str | None = None) -> httpx2.Client:
        """A program signed in with this role, its CSRF token in each request; None: a visitor."""
        made = httpx2.Client(base_url=self.url, timeout=60)
        return made if role is None else signed_in(made, *self.account(role))

    def words(self) -> str:
        return self.log.read_text(encoding="utf-8")[-4000:]

    def children(self) -> dict[str, int]:
        """Part by name → process id."""
        import psutil

        assert self.process is not None
        found = {}
        for child in psutil.Process(self.process.pid).children():
            try:
                arguments = child.cmdline()
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue  # dead, and the supervisor has not looked yet
            if arguments and "mosquitto" in arguments[0]:
                found["broker"] = child.pid
            elif len(arguments) > 3 and arguments[3] != "up":  # "up": forked, and not yet the program it will be
                found[arguments[3]] = child.pid
        return found

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(40)


@contextlib.contextmanager
def up(folder: Path, **settings: str) -> Iterator[Up]:
    made = Up(folder, **settings)
    made.start()
    try:
        made.wait_ready()
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.stop()


class Web(Up):
    """`gaoxin serve` alone: no broker is there, and the live feed still beats."""

    program, answers = "serve", "/healthz"


@contextlib.contextmanager
def web(folder: Path, **settings: str) -> Iterator[Web]:
    made = Web(folder, GAOXIN_STORE__KIND="memory", **settings)
    made.start()
    try:
        made.wait_ready()
        yield made
    finally:
        made.stop()
