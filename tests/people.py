"""People for the tests: made in the twin's own ledger beside the running twin, and signed in."""

from tests.servers import Up
from twin.access import Role
from twin.clock import HOUR, SystemClock
from twin.ledger import Ledger, rules, sqlite_url, users
from twin.rules import Rule

COOKIE = "gaoxin_session"
PASSWORD = "correct-horse-9"


def ledger_of(twin: Up) -> Ledger:
    return Ledger(sqlite_url(twin.folder / "data" / "ledger.sqlite"))


def sign_in(twin: Up, name: str, role: Role) -> str:
    """Make the user and return the session's token."""
    ledger, now = ledger_of(twin), SystemClock().now()
    try:
        with ledger.transaction() as connection:
            users.add(connection, name, role, PASSWORD, by="test", at=now)
        return users.sign_in(ledger, name, PASSWORD, address="127.0.0.1", now=now, lasts=HOUR)
    finally:
        ledger.close()


def commit(twin: Up, *added: Rule) -> None:
    """Put these rules beside those that are in force."""
    ledger = ledger_of(twin)
    try:
        with ledger.transaction() as connection:
            book = rules.current(connection)
            kept = [r for r in book.rules if r.id not in {a.id for a in added}]
            now = SystemClock().now()
            rules.commit(connection, (*kept, *added), author="test", reason="a test", base=book.version, at=now)
    finally:
        ledger.close()
