"""The ledger's tests run on both databases: `url` is of one with nothing in it, `ledger` is open on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.postgres_server import PostgresServer, postgresql
from twin.ledger import Ledger, sqlite_url


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "ledger.sqlite")
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new()


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    made = Ledger(url)
    yield made
    made.close()
