"""The ledger: its form, its truth, and what it says to a database that it cannot use."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from twin.errors import LedgerError
from twin.ledger import METADATA, Ledger, sqlite_url, truth
from twin.standards import Level
from twin.truth import Run, Truth

FACTS = (
    Truth("S03-1", "S03", "Chiller tripped", ("ch-1", "ch-2"), 1_000, 5_000, Level.ORANGE),
    Truth("S03-1", "S03", "Cold aisle too warm", ("sv-001",), 3_000, 9_000, Level.ORANGE),
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    found = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    yield found
    found.close()


def test_the_migrations_lead_to_the_tables_of_today(ledger: Ledger) -> None:
    with ledger.transaction() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_facts_come_back_by_the_time_in_which_they_were_so(ledger: Ledger) -> None:
    with ledger.transaction() as connection:
        truth.record(connection, "S03-1", FACTS)
        assert truth.between(connection, 0, 10_000) == list(FACTS)
        assert truth.between(connection, 5_000, 6_000) == [FACTS[1]]
        assert truth.between(connection, 9_000, 10_000) == []


def test_a_run_that_was_stopped_has_other_facts(ledger: Ledger) -> None:
    run = Run("S03-1", "S03", 1_000, 9_000, FACTS).stopped(2_000)
    assert [(f.began, f.ended) for f in run.facts] == [(1_000, 2_000)]
    with ledger.transaction() as connection:
        truth.record(connection, run.id, FACTS)
        truth.record(connection, run.id, run.facts)
    with ledger.transaction() as connection:
        assert truth.between(connection, 0, 10_000) == list(run.facts)


def test_what_fails_in_the_middle_was_never_begun(ledger: Ledger) -> None:
    def fail() -> None:
        with ledger.transaction() as connection:
            truth.record(connection, "S03-1", FACTS)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with ledger.transaction() as connection:
        assert truth.between(connection, 0, 10_000) == []


def test_it_is_kept(tmp_path: Path) -> None:
    for facts in (FACTS, ()):
        ledger = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
        with ledger.transaction() as connection:
            if facts:
                truth.record(connection, "S03-1", facts)
            assert len(truth.between(connection, 0, 10_000)) == 2
        ledger.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", ["ledger.url", "postgresql+psycopg://"]),
        ("oracle9://here", ["ledger.url"]),
        ("sqlite:////no/such/folder/ledger.sqlite", ["/no/such/folder", "unable to open"]),
    ],
)
def test_a_database_that_cannot_be_is_named(url: str, words: list[str]) -> None:
    with pytest.raises(LedgerError) as error:
        Ledger(url)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_ledger_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    Ledger(sqlite_url(file)).close()
    with sqlite3.connect(file) as later:
        later.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(LedgerError, match="later version"):
        Ledger(sqlite_url(file))


def test_a_password_is_never_said() -> None:
    with pytest.raises(LedgerError) as error:
        Ledger("mysql://me:s3cret@127.0.0.1/x")
    assert "s3cret" not in str(error.value)
