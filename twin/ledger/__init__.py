"""The transactional side of the house, beside the observations: what must be neither lost nor half done.

SQLAlchemy Core on SQLite by default, PostgreSQL by URL. Each subject has its module here with its table and its
functions of a connection; `Ledger` holds the engine and brings an older database up to the present form when opened.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from twin.errors import LedgerError
from twin.ledger.tables import METADATA as METADATA

log = logging.getLogger("gaoxin.ledger")


class Ledger:
    def __init__(self, url: str) -> None:
        """Raises LedgerError when the database cannot be reached, or is of a later version than this program."""
        try:
            self.engine = sa.create_engine(url)
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ModuleNotFoundError) as error:
            raise LedgerError(
                f"ledger.url: {error}. It is like sqlite:////folder/ledger.sqlite or postgresql+psycopg://user:…@host/name"
            ) from None
        self.name = self.engine.url.render_as_string(hide_password=True)
        if self.engine.dialect.name == "sqlite":
            sa.event.listen(self.engine, "connect", _careful)
        self._migrate()

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """All of it or none of it. Raises LedgerError naming the database."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            raise LedgerError(f"ledger {self.name}: {_first_line(error)}") from error

    def close(self) -> None:
        self.engine.dispose()

    def _migrate(self) -> None:
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
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
