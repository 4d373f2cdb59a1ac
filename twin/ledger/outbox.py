"""Notices between the decision and the channel: at least once, never twice for one decision.

    waiting ──take──▶ leased ──sent──▶ sent
       ▲                │
       └─── failed ─────┴── the last try ──▶ dead ── revive ──▶ waiting

- `write` puts a notice in and moves on what its channel was told in the caller's transaction: that of the transitions
  which caused it. A crash leaves both or neither. The same decision made by two processes has one key: it is in once.
- `take` leases one notice to one process for a time. A process that is killed lets its lease run out, and the notice
  is taken again; what had already left is then sent twice, which is what "at least once" costs.
- The notices of one group leave in their order: that it is over is not told before that it began. Those of other
  groups do not wait for them.
- A try that fails puts it back for twice as long as the last, give or take a quarter by its number, so that what
  failed together does not come back together; after the last try it is dead, with its error, until somebody revives it.
"""

from collections.abc import Iterable, Sequence, Set
from enum import StrEnum
from hashlib import sha256
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from twin.cases import Case
from twin.channels import Channel
from twin.clock import SECOND
from twin.ledger.tables import OUTBOX, TOLD
from twin.notices import Brief, Decision, Plan, Policy, Told, plan
from twin.settings import Notices
from twin.standards import Level
from twin.wording import Translate, Words, words


class State(StrEnum):
    WAITING = "waiting"
    SENT = "sent"
    DEAD = "dead"


class Notice(msgspec.Struct, frozen=True):
    """One message to one channel. Times UTC ms; `due`: not tried before; `owner` has it until `leased`; `settled`: when
    it was sent or given up; `error`: what the last try that failed was answered."""

    id: int
    key: str
    channel: str
    group: str
    reason: str
    level: Level
    alarms: list[int]
    title: str
    body: str
    written: int
    state: State
    tries: int
    due: int
    owner: str
    leased: int
    settled: int | None
    error: str


class Retry(msgspec.Struct, frozen=True):
    """Milliseconds: the pause after the first failure, the longest, and how often a notice is tried in all."""

    first: int = 10 * SECOND
    longest: int = 900 * SECOND
    tries: int = 12

    @classmethod
    def of(cls, settings: Notices) -> "Retry":
        return cls(round(settings.retry_s * SECOND), round(settings.longest_retry_s * SECOND), settings.tries)

    def pause(self, id: int, tries: int) -> int:
        """After so many failures of this notice: the same whoever asks, ± 25 %."""
        whole = min(self.first << min(tries - 1, 40), self.longest)
        drawn = int.from_bytes(sha256(f"{id}/{tries}".encode()).digest()[:4], "little") / 0xFFFF_FFFF
        return round(whole * (0.75 + drawn / 2))


# What was decided


def told(connection: sa.Connection) -> dict[tuple[str, str], Told]:
    """What each channel has been told of each group."""
    rows = connection.execute(sa.select(TOLD))
    return {
        (r.channel, r.group): Told(r.number, r.at, msgspec.convert(r.alarms, dict[int, Brief], strict=False))
        for r in rows
    }


def announce(
    connection: sa.Connection,
    cases: Sequence[Case],
    channels: Sequence[Channel],
    *,
    now: int,
    policy: Policy,
    link: str,
    translate: Translate,
    lost: Set[str] = frozenset(),
) -> Plan:
    """Plan what is to be said of all open alarms and put it in. `lost`: gateways that are offline."""
    made = plan(cases, channels, told(connection), now=now, policy=policy, lost=lost)
    write(connection, [(d, words(d, translate, link=link, now=now)) for d in made.sends], at=now)
    return made


def write(connection: sa.Connection, said: Iterable[tuple[Decision, Words]], *, at: int) -> int:
    """Put in what these decisions say. Returns how many: not those that another process has made before."""
    return sum(_write(connection, decision, text, at) for decision, text in said)


def _write(connection: sa.Connection, decision: Decision, text: Words, at: int) -> bool:
    if not decision.reason.sends or not _move(connection, decision):
        return False
    row = {
        "key": decision.key,
        "channel": decision.channel,
        "group": decision.group,
        "reason": decision.reason.name.lower(),
        "level": int(decision.level),
        "alarms": [c.alarm for c in decision.cases] or list(decision.over),
        "title": text.title,
        "body": text.body,
        "written": at,
        "state": State.WAITING,
        "tries": 0,
        "due": at,
        "owner": "",
        "leased": 0,
        "error": "",
    }
    return _insert(connection, OUTBOX, row)


def _move(connection: sa.Connection, decision: Decision) -> bool:
    """From the notice before to this one; False when it was moved by another."""
    after = decision.told
    values = {"number": after.number, "at": after.at, "alarms": msgspec.to_builtins(after.alarms, str_keys=True)}
    here = (TOLD.c.channel == decision.channel) & (TOLD.c.group == decision.group)
    moved = connection.execute(sa.update(TOLD).where(here, TOLD.c.number == after.number - 1).values(values))
    if moved.rowcount:
        return True
    return after.number == 1 and _insert(
        connection, TOLD, {"channel": decision.channel, "group": decision.group, **values}
    )


def _insert(connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> bool:
    """False when it is there already."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    insert = dialect.insert(table).values(row).on_conflict_do_nothing().returning(*table.primary_key)
    return connection.execute(insert).first() is not None


# On its way


def take(connection: sa.Connection, channel: str, owner: str, *, now: int, lease: int) -> Notice | None:
    """Lease the next due notice of the channel for so many ms; None when none is due."""
    earlier = OUTBOX.alias()
    first = ~sa.exists().where(
        earlier.c.channel == OUTBOX.c.channel,
        earlier.c.group == OUTBOX.c.group,
        earlier.c.state == State.WAITING,
        earlier.c.id < OUTBOX.c.id,
    )
    due = (OUTBOX.c.channel == channel, OUTBOX.c.state == State.WAITING, OUTBOX.c.due <= now, OUTBOX.c.leased <= now)
    chosen = sa.select(OUTBOX.c.id).where(*due, first).order_by(OUTBOX.c.due, OUTBOX.c.id).limit(1)
    leased = (
        sa.update(OUTBOX)
        .where(OUTBOX.c.id == chosen.with_for_update(skip_locked=True).scalar_subquery(), *due[1:])
        .values(owner=owner, leased=now + lease, tries=OUTBOX.c.tries + 1)
        .returning(OUTBOX)
    )
    row = connection.execute(leased).one_or_none()
    return None if row is None else _notice(row)


def sent(connection: sa.Connection, id: int, *, now: int) -> None:
    """It is sent, whoever has it by now: that is a fact."""
    connection.execute(
        sa.update(OUTBOX)
        .where(OUTBOX.c.id == id, OUTBOX.c.state != State.SENT)
        .values(state=State.SENT, settled=now, leased=0, error="")
    )


def failed(connection: sa.Connection, notice: Notice, *, now: int, error: str, retry: Retry) -> int | None:
    """It comes back at the time returned, or never (None). Nothing happens when the lease was lost meanwhile."""
    again = now + retry.pause(notice.id, notice.tries) if notice.tries < retry.tries else None
    fate = {"state": State.DEAD, "settled": now} if again is None else {"due": again}
    connection.execute(
        sa.update(OUTBOX)
        .where(OUTBOX.c.id == notice.id, OUTBOX.c.owner == notice.owner, OUTBOX.c.tries == notice.tries)
        .where(OUTBOX.c.state == State.WAITING)
        .values(leased=0, error=error, **fate)
    )
    return again


def revive(connection: sa.Connection, *, now: int, ids: Sequence[int] = ()) -> int:
    """Try dead ones again from the beginning: those named, or all. Returns how many."""
    dead = sa.update(OUTBOX).where(OUTBOX.c.state == State.DEAD)
    if ids:
        dead = dead.where(OUTBOX.c.id.in_(ids))
    fresh = {"state": State.WAITING, "tries": 0, "due": now, "leased": 0, "settled": None}
    return connection.execute(dead.values(fresh)).rowcount


# To be looked at


def notices(
    connection: sa.Connection, *, states: Sequence[State] = (), channel: str | None = None, limit: int = 50
) -> list[Notice]:
    """The newest first."""
    wanted = sa.select(OUTBOX).order_by(OUTBOX.c.id.desc()).limit(limit)
    if states:
        wanted = wanted.where(OUTBOX.c.state.in_(states))
    if channel is not None:
        wanted = wanted.where(OUTBOX.c.channel == channel)
    return [_notice(row) for row in connection.execute(wanted)]


def counts(connection: sa.Connection) -> dict[tuple[str, State], int]:
    """How many by (channel, state)."""
    counted = sa.select(OUTBOX.c.channel, OUTBOX.c.state, sa.func.count()).group_by(OUTBOX.c.channel, OUTBOX.c.state)
    return {(channel, State(state)): n for channel, state, n in connection.execute(counted)}


def forget(connection: sa.Connection, before: int) -> int:
    """Drop what was settled before this time (UTC ms). Returns how many."""
    return connection.execute(sa.delete(OUTBOX).where(OUTBOX.c.settled < before)).rowcount


def _notice(row: sa.Row[Any]) -> Notice:
    return Notice(**row._asdict() | {"level": Level(row.level), "state": State(row.state)})
