"""A PostgreSQL of its own, from Debian's package: a private cluster in a temporary folder, ended with the tests."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.servers import free_port, listens, wait_until

USER = "gaoxin"


def program(name: str) -> Path:
    """Debian keeps the server's programs outside PATH, a folder a version; the newest is taken."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda p: int(p.parts[-3]))
    assert found, f"{name} is not there: run tests/packages.sh"
    return found[-1]


def unprivileged() -> list[str]:
    """PostgreSQL does not run as root: as the account of its package, where the tests do."""
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []


class PostgresServer:
    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._numbers = itertools.count(1)
        self.process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        made = [*unprivileged(), program("initdb"), "-D", folder / "data", "-U", USER, "-A", "trust", "-E", "UTF8"]
        subprocess.run([*made, "--no-sync"], check=True, stdout=subprocess.DEVNULL, cwd="/")

    def start(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",  # nothing here outlives the tests
            "max_connections": 60,
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*unprivileged(), program("postgres"), "-D", self.folder / "data", *options], stderr=log, cwd="/"
            )
        wait_until(lambda: listens(self.port), "PostgreSQL listens")
        wait_until(self._answers, "PostgreSQL answers")

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)  # its immediate end: nothing is to be kept
            self.process.wait(20)
            self.process = None

    def new(self) -> str:
        """The URL of a schema with nothing in it: a database each would be 7 MB to make and to take away."""
        name = f"t{next(self._numbers)}"
        self.execute(f"CREATE SCHEMA {name}")
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/postgres?options=-csearch_path%3D{name}"

    def execute(self, statement: str) -> None:
        with psycopg.connect(f"postgresql://{USER}@127.0.0.1:{self.port}/postgres", autocommit=True) as connection:
            connection.execute(statement.encode())

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            self.execute("SELECT 1")
            return True
        return False


@contextlib.contextmanager
def postgresql() -> Iterator[PostgresServer]:
    folder = Path(tempfile.mkdtemp(prefix="gaoxin-postgresql-"))  # pytest's own folders are closed to other accounts
    try:
        server = PostgresServer(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)
