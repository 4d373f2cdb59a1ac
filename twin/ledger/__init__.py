"""The transactional side of the house, beside the observations: what must be neither lost nor half done.

SQLAlchemy Core on SQLite by default, PostgreSQL by URL. Each subject has its module here with its functions of a
connection; `Ledger` holds the engine and brings an older database up to the present form when opened.

There is one writer at a time, on either database. SQLite is made so; PostgreSQL is asked for it by an advisory lock
that `transaction` takes first and the commit lets go. So whatever reads and then decides and writes (the next version
of the rules, the next entry of the audit's chain, the open alarm of a rule on a device) decides on what is so: nothing
is to be retried, and no two writers can wait for each other. It costs little: what changes here changes at the
pace of people and alarms, not of observations. `reading` is a snapshot that waits for nobody and writes nothing.
"""

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from twin.errors import LedgerError
from twin.ledger.tables import METADATA as METADATA

log = logging.getLogger("gaoxin.ledger")

WRITER = 0x67616F78696E  # "gaoxin": the advisory lock of the one writer
WAIT_S = 10  # for the writer before; each writes for milliseconds
STUCK_S = 60  # a writer that does nothing for so long is disconnected


class Ledger:
    def __init__(self, url: str) -> None:
        """Raises LedgerError when the database cannot be reached, or is of a later version than this program."""
        try:
            self.engine = sa.create_engine(url, pool_pre_ping=True)
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ModuleNotFoundError) as error:
            raise LedgerError(
                f"ledger.url: {error}. It is like sqlite:////folder/ledger.sqlite or postgresql+psycopg://user:…@host/name"
            ) from None
        self.name = self.engine.url.render_as_string(hide_password=True)
        options: dict[str, Any] = {"reading": True}
        if self.engine.dialect.name == "sqlite":
            sa.event.listen(self.engine, "connect", _careful)
            sa.event.listen(self.engine, "begin", _begin_sqlite)
        elif self.engine.dialect.name == "postgresql":
            sa.event.listen(self.engine, "connect", _patient)
            sa.event.listen(self.engine, "begin", _begin_postgresql)
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._reader = self.engine.execution_options(**options)
        self._migrate()

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """All of it or none of it, as the only writer. Raises LedgerError naming the database."""
        with self._begun(self.engine) as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """What was committed when it began, all of one moment; it cannot write. Raises LedgerError."""
        with self._begun(self._reader) as connection:
            yield connection

    @contextmanager
    def _begun(self, engine: sa.Engine) -> Iterator[sa.Connection]:
        try:
            with engine.begin() as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            raise LedgerError(f"ledger {self.name}: {_first_line(error)}") from error

    def close(self) -> None:
        self.engine.dispose()

    def _migrate(self) -> None:
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        try:
            with self.transaction() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except LedgerError:
            raise
        except Exception as error:  # alembic has many; each means that this database is not ours to use
            raise LedgerError(
                f"ledger {self.name}: {error}. Was it written by a later version? Then install that one; "
                "else move the file away and start again"
            ) from error


def sqlite_url(file: Path) -> str:
    """The URL of a SQLite ledger in `file`, whose folder must exist."""
    return f"sqlite:///{file.absolute()}"


def _careful(connection: Any, _: Any) -> None:
    """Readers beside a writer, a wait instead of an error when two write, and what is committed is on the disk."""
    connection.isolation_level = None  # the driver would begin too late, and not before a change of a table's form
    for pragma in (f"busy_timeout={WAIT_S * 1000}", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    last = time.monotonic() + WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:  # of those who make a new file together, SQLite lets the others fail at once
            if time.monotonic() > last:
                raise
            time.sleep(0.02)


def _begin_sqlite(connection: sa.Connection) -> None:
    reading = bool(connection.get_execution_options().get("reading"))
    connection.exec_driver_sql(f"PRAGMA query_only={int(reading)}")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _patient(connection: Any, _: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{WAIT_S}s'")
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{STUCK_S}s'")
    connection.commit()


def _begin_postgresql(connection: sa.Connection) -> None:
    if not connection.get_execution_options().get("reading"):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER})")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
