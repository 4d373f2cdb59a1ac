"""Who changed what, when and why: a chain in which each entry is bound to the one before by SHA-256.

The hash of an entry is that of its canonical JSON, in which the hash of the entry before stands: fields and keys
sorted, no spaces, UTF-8. Numbers count up from 1 without a gap. So an entry that was altered, taken out, put in or
moved breaks the chain at its place, and `verify` names it.

What a chain cannot show by itself is that its end was cut off, or that all of it was written anew by one who may write
to the database. Against that, keep its head (number and hash) somewhere else from time to time, on paper if need be,
and give it to `verify`: it must still be in the chain.

An entry is written in the transaction of the change that it tells of, so that there is neither without the other.
The ledger has one writer at a time (see `twin.ledger`): the chain does not fork.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from twin.ledger.tables import AUDIT

START = "0" * 64  # "the hash before" the first entry
PAGE = 2_000


class Entry(msgspec.Struct, frozen=True):
    number: int
    at: int
    by: str
    action: str
    subject: str
    detail: str  # JSON, as it was hashed
    previous: str
    hash: str


class Verdict(msgspec.Struct, frozen=True):
    """`broken`: the first entry that is not as it was written; `head`: number and hash of the last sound one."""

    entries: int
    head: tuple[int, str]
    broken: int | None = None
    why: str = ""


def digest(number: int, at: int, by: str, action: str, subject: str, detail: str, previous: str) -> str:
    content = {
        "number": number,
        "at": at,
        "by": by,
        "action": action,
        "subject": subject,
        "detail": msgspec.Raw(detail.encode()),
        "previous": previous,
    }
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def append(
    connection: sa.Connection, *, by: str, at: int, action: str, subject: str, detail: Mapping[str, Any] | None = None
) -> Entry:
    """The next entry, in the caller's transaction. No secret may stand in `detail`."""
    number, previous = head(connection)
    text = msgspec.json.encode(detail or {}, order="sorted").decode()
    found = digest(number + 1, at, by, action, subject, text, previous)
    entry = Entry(number + 1, at, by, action, subject, text, previous, found)
    connection.execute(sa.insert(AUDIT).values(**msgspec.structs.asdict(entry)))
    return entry


def head(connection: sa.Connection) -> tuple[int, str]:
    """Number and hash of the last entry."""
    last = sa.select(AUDIT.c.number, AUDIT.c.hash).order_by(AUDIT.c.number.desc()).limit(1)
    row = connection.execute(last).first()
    return (row.number, row.hash) if row else (0, START)


def entries(connection: sa.Connection, *, after: int = 0, limit: int | None = None) -> Iterator[Entry]:
    """Those after a number, the oldest first."""
    while limit is None or limit > 0:
        page = PAGE if limit is None else min(PAGE, limit)
        wanted = sa.select(AUDIT).where(AUDIT.c.number > after).order_by(AUDIT.c.number).limit(page)
        rows = connection.execute(wanted).all()
        yield from (Entry(**row._mapping) for row in rows)
        if len(rows) < page:
            return
        after = rows[-1].number
        limit = None if limit is None else limit - len(rows)


def latest(
    connection: sa.Connection,
    *,
    by: str | None = None,
    action: str | None = None,
    subject: str | None = None,
    limit: int = 100,
    before: int | None = None,
) -> list[Entry]:
    """The newest first; `action` by its beginning (`alarm.`), `before` a number to page on from."""
    wanted = sa.select(AUDIT).order_by(AUDIT.c.number.desc()).limit(limit)
    if by is not None:
        wanted = wanted.where(AUDIT.c.by == by)
    if action is not None:
        wanted = wanted.where(AUDIT.c.action.startswith(action, autoescape=True))
    if subject is not None:
        wanted = wanted.where(AUDIT.c.subject == subject)
    if before is not None:
        wanted = wanted.where(AUDIT.c.number < before)
    return [Entry(**row._mapping) for row in connection.execute(wanted)]


def verify(connection: sa.Connection, kept: tuple[int, str] | None = None) -> Verdict:
    """Is each entry as it was written, and is `kept`, a head noted earlier, among them?"""
    number, previous = 0, START
    for entry in entries(connection):
        why = _wrong(entry, number, previous, kept)
        if why:
            return Verdict(number, (number, previous), entry.number, why)
        number, previous = entry.number, entry.hash
    if kept is not None and kept[0] > number:
        return Verdict(
            number, (number, previous), number + 1, f"entries after {number} are missing, {kept[0]} was kept"
        )
    return Verdict(number, (number, previous))


def _wrong(entry: Entry, number: int, previous: str, kept: tuple[int, str] | None) -> str:
    if entry.number != number + 1:
        return f"the entry after {number} is {entry.number}: what was between is gone"
    if entry.previous != previous:
        return "it does not follow from the entry before"
    try:
        found = digest(entry.number, entry.at, entry.by, entry.action, entry.subject, entry.detail, entry.previous)
    except msgspec.MsgspecError:
        found = ""
    if entry.hash != found:
        return "it is not as it was written"
    if kept is not None and kept[0] == entry.number and kept[1] != entry.hash:
        return "the chain was written anew: its hash is not the one that was kept"
    return ""
