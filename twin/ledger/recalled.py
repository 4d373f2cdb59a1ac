"""What the ledger knows of the alarms of a past span: what was said, what people did, and when it was known.

"Known" is what parts the two views of the past (`twin.replay`): a transition counts from when it was recorded, or from
its own time. What people did has one time only.
"""

from typing import Any

import msgspec
import sqlalchemy as sa

from twin.alerts import Kind, Transition
from twin.ledger.alarms import SAID, transition_of
from twin.ledger.tables import ALARM, AUDIT, NOTE, TRANSITION


class Said(msgspec.Struct, frozen=True):
    """A transition of an alarm (by id), and when it became known, UTC ms."""

    transition: Transition
    at: int
    alarm: int


class Done(msgspec.Struct, frozen=True):
    """What somebody did: `alarm` (an id, or 0), or the rule and subject that it was about."""

    at: int
    by: str
    action: str
    alarm: int = 0
    rule: str = ""
    subject: str = ""
    until: int = 0
    to: str = ""


def transitions(connection: sa.Connection, begin: int, end: int, *, noticed: bool) -> list[Said]:
    """As they became known, up to `end`, both UTC ms: those of every alarm that was open at `begin` or was told of
    since. `noticed`: by when they were recorded; else by their own time."""
    c = TRANSITION.c
    when = c.noticed if noticed else c.at
    since = sa.select(c.alarm).where(when > begin, when <= end)
    ended = sa.select(c.alarm).where(when > begin, c.kind == Kind.CLEARED.value)
    there = ALARM.c.closed.is_(None) | ALARM.c.id.in_(since) | ALARM.c.id.in_(ended)
    wanted = sa.select(*SAID, when.label("known"), c.alarm).select_from(TRANSITION.join(ALARM, c.alarm == ALARM.c.id))
    rows = connection.execute(wanted.where(there, when <= end).order_by(when, c.id))
    return [Said(transition_of(row), row.known, row.alarm) for row in rows]


def done(connection: sa.Connection, alarms: set[int], end: int) -> list[Done]:
    """What people did by `end` about these alarms, and what they put out of sight; in the order of doing."""
    c = NOTE.c
    notes = sa.select(c.alarm, c.at, c.by, c.action, c.text).where(c.at <= end, c.action.in_(("acknowledge", "assign")))
    found = [
        Done(row.at, row.by, row.action, alarm=row.alarm, to=row.text)
        for row in connection.execute(notes.where(c.alarm.between(min(alarms), max(alarms))) if alarms else notes)
        if row.alarm in alarms
    ]
    a = AUDIT.c
    hidden = ("alarm.shelve", "alarm.unshelve", "service.out", "service.in")
    entries = sa.select(a.at, a.by, a.action, a.subject, a.detail).where(a.at <= end, a.action.in_(hidden))
    found += [_hidden(row) for row in connection.execute(entries.order_by(a.number))]
    return sorted(found, key=lambda d: d.at)


def _hidden(row: Any) -> Done:
    action = row.action.partition(".")[2] if row.action.startswith("alarm.") else row.action
    detail = msgspec.json.decode(row.detail)
    subject = detail.get("on", row.subject)
    return Done(row.at, row.by, action, rule=detail.get("rule", ""), subject=subject, until=detail.get("until", 0))
