"""Silences and maintenance windows in the ledger: see `twin.silences`."""

from typing import Any

import msgspec
import sqlalchemy as sa

from twin.errors import RefusedError
from twin.ledger import audit
from twin.ledger.tables import SILENCE
from twin.refusal import Refusal
from twin.silences import Purpose, Scope, Silence


def add(
    connection: sa.Connection,
    purpose: Purpose,
    scope: Scope,
    begins: int,
    ends: int,
    *,
    by: str,
    at: int,
    reason: str,
) -> Silence:
    if not reason.strip():
        raise RefusedError(Refusal.NO_REASON)
    if not max(begins, at) < ends:
        raise RefusedError(Refusal.SPAN)
    id = (connection.execute(sa.select(sa.func.max(SILENCE.c.id))).scalar() or 0) + 1
    made = Silence(id, purpose, scope, begins, ends, by, at, reason.strip())
    row = msgspec.structs.asdict(made) | {"purpose": purpose.value, "scope": msgspec.json.encode(scope).decode()}
    connection.execute(sa.insert(SILENCE).values(row))
    detail = {"scope": scope, "begins": begins, "ends": ends, "reason": made.reason}
    audit.append(connection, by=by, at=at, action=f"{purpose}.add", subject=f"silence {id}", detail=detail)
    return made


def end(connection: sa.Connection, silence: int, *, by: str, at: int) -> None:
    """Now, instead of later; one that has not begun never begins."""
    mine = sa.update(SILENCE).where(SILENCE.c.id == silence, SILENCE.c.ends > at)
    if not connection.execute(mine.values(ends=at)).rowcount:
        raise RefusedError(Refusal.NO_SILENCE, silence=silence)
    audit.append(connection, by=by, at=at, action="silence.end", subject=f"silence {silence}")


def in_force(connection: sa.Connection, now: int) -> list[Silence]:
    return between(connection, now, now + 1)


def coming(connection: sa.Connection, now: int) -> list[Silence]:
    """Those that have not begun, the next first."""
    return _read(connection, sa.select(SILENCE).where(SILENCE.c.begins > now, SILENCE.c.ends > SILENCE.c.begins))


def between(connection: sa.Connection, begin: int, end: int) -> list[Silence]:
    """Those that were in force at some time of [begin, end)."""
    there = (SILENCE.c.begins < end) & (SILENCE.c.ends > begin) & (SILENCE.c.ends > SILENCE.c.begins)
    return _read(connection, sa.select(SILENCE).where(there))


def _read(connection: sa.Connection, wanted: Any) -> list[Silence]:
    rows = connection.execute(wanted.order_by(SILENCE.c.begins, SILENCE.c.id))
    return [
        Silence(
            **{**row._mapping, "purpose": Purpose(row.purpose), "scope": msgspec.json.decode(row.scope, type=Scope)}
        )
        for row in rows
    ]
