"""The rulebook's versions: append-only, each with its author, its time and its reason.

A change begins at a version (`base`) and is saved as the next one. Was another saved in between, the change is refused
with what the other one changed, and its author decides: nothing is overwritten unseen. To roll back is to save an old
version's rules as a new version, so that the history of what was in force stays whole.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from twin.errors import LedgerError, RefusedError
from twin.ledger import audit
from twin.ledger.tables import RULES
from twin.refusal import Refusal
from twin.rules import Book, Change, Rule, diff

EMPTY = Book(0, ())
SYSTEM = "gaoxin"


class Version(msgspec.Struct, frozen=True):
    """What is known of a version; `restores` is the older one that it took up again."""

    version: int
    base: int
    restores: int | None
    at: int
    author: str
    reason: str
    rules: int


class Conflict(RefusedError):  # noqa: N818 (it is the name of what happened)
    """Another version was saved since `base`: `changes` is what it changed, `current` the book as it is now."""

    def __init__(self, base: int, current: Book, changes: Sequence[Change]) -> None:
        super().__init__(Refusal.CONFLICT, base=base, current=current.version)
        self.current, self.changes = current, list(changes)


def current(connection: sa.Connection) -> Book:
    """The book in force; version 0, without rules, before the first."""
    return _book(connection, sa.select(RULES).order_by(RULES.c.version.desc()).limit(1))


def latest(connection: sa.Connection) -> int:
    """The version in force: a cheap question, to see whether there is a new one."""
    return connection.execute(sa.select(sa.func.max(RULES.c.version))).scalar() or 0


def at_version(connection: sa.Connection, version: int) -> Book:
    """Raises RefusedError when there is none."""
    if version == 0:
        return EMPTY
    book = _book(connection, sa.select(RULES).where(RULES.c.version == version))
    if not book.version:
        raise RefusedError(Refusal.NO_VERSION, version=version, latest=latest(connection))
    return book


def in_force_at(connection: sa.Connection, at: int) -> Book:
    """The book that stood at a time, UTC ms."""
    return _book(connection, sa.select(RULES).where(RULES.c.at <= at).order_by(RULES.c.version.desc()).limit(1))


def versions(connection: sa.Connection) -> list[Version]:
    """Every version, the newest first."""
    rows = connection.execute(sa.select(RULES).order_by(RULES.c.version.desc()))
    found = []
    for row in rows:
        count = len(msgspec.json.decode(row.rules, type=list[msgspec.Raw]))
        found.append(Version(**{**row._mapping, "rules": count}))
    return found


def commit(
    connection: sa.Connection,
    rules: Sequence[Rule],
    *,
    author: str,
    reason: str,
    base: int,
    at: int,
    restores: int | None = None,
) -> int:
    """Save the rules as the next version and return it; those that are in force already make no version.

    That each rule is sound is the caller's to see (`twin.rules.validate`, which needs the registry). Raises Conflict
    when `base` is no longer in force, RefusedError without a reason or with an id given twice.
    """
    now = current(connection)
    if tuple(rules) == now.rules:
        return now.version
    if base != now.version:
        raise Conflict(base, now, diff(at_version(connection, base), now))
    if not reason.strip():
        raise RefusedError(Refusal.NO_REASON)
    [(most, count)] = Counter(r.id for r in rules).most_common(1) or [("", 0)]
    if count > 1:
        raise RefusedError(Refusal.TWICE, rule=most)
    new = Book(now.version + 1, tuple(rules))
    connection.execute(
        sa.insert(RULES).values(
            version=new.version,
            base=base,
            restores=restores,
            at=at,
            author=author,
            reason=reason.strip(),
            rules=msgspec.json.encode(new.rules).decode(),
        )
    )
    detail = {"base": base, "restores": restores, "reason": reason.strip(), "changes": diff(now, new)}
    audit.append(connection, by=author, at=at, action="rules.commit", subject=f"version {new.version}", detail=detail)
    return new.version


def roll_back(connection: sa.Connection, version: int, *, author: str, reason: str, base: int, at: int) -> int:
    """Save what an old version said as the next version. Raises as `commit` and `at_version` do."""
    old = at_version(connection, version)
    return commit(connection, old.rules, author=author, reason=reason, base=base, at=at, restores=version)


def begin(connection: sa.Connection, rules: Sequence[Rule], *, at: int) -> Book:
    """The book in force; where none was ever saved, these rules as the first version."""
    if not current(connection).version:
        commit(connection, rules, author=SYSTEM, reason="The book that ships with the program", base=0, at=at)
    return current(connection)


def _book(connection: sa.Connection, wanted: sa.Select[tuple[object, ...]]) -> Book:
    row = connection.execute(wanted).first()
    if row is None:
        return EMPTY
    try:
        return Book(row.version, msgspec.json.decode(row.rules, type=tuple[Rule, ...]))
    except msgspec.DecodeError as error:
        raise LedgerError(
            f"rules of version {row.version}, saved by {row.author}: {error}. "
            "They were saved by another version of this program: use that one, or export them and mend them"
        ) from None
