"""Alarms in the ledger: what the evaluator said, the state that it adds up to, and what people do about it.

Transitions are append-only and are written before anything acts on them. One that was already written (the same rule,
subject, time, kind and levels) is left out, so that an evaluator that was killed may say again what it said. The state
of each episode (`twin.episodes`) is kept in one row, in the same transaction.

Every act of a person is in the alarm's notes and in the audit, in the same transaction.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from twin.alerts import Kind, Reason, Transition
from twin.clock import DAY
from twin.episodes import Alarm, State, fold, replace
from twin.errors import RefusedError
from twin.ledger import audit
from twin.ledger.rules import at_version
from twin.ledger.tables import ACCOUNT, ALARM, NOTE, OUT_OF_SERVICE, SHELF, TRANSITION
from twin.refusal import Refusal
from twin.standards import Level

LONGEST_SHELF = 7 * DAY
MANY = 500  # subjects in one question; beyond that all are read

Key = tuple[str, str]  # rule, subject


class Note(msgspec.Struct, frozen=True):
    at: int
    by: str
    action: str
    text: str


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Empty is all. [begin, end) takes the alarms that were open at some time of it; `hidden` is shelved or out."""

    states: frozenset[State] = frozenset()
    levels: frozenset[Level] = frozenset()
    rules: frozenset[str] = frozenset()
    subjects: frozenset[str] | None = None  # None: all (twin.episodes.subjects makes one of domain or district)
    groups: frozenset[str] = frozenset()
    assigned_to: str | None = None
    hidden: bool | None = None
    begin: int | None = None
    end: int | None = None


EVERY = Filter()


# --- what the evaluator says ---


def record(connection: sa.Connection, transitions: Sequence[Transition], *, noticed: int) -> list[Alarm]:
    """Write what is new of them and return the alarms that it changed, as they are then. Order is that of saying."""
    new = _new(connection, transitions)
    if not new:
        return []
    alarms = _open(connection, new)
    known = {alarm.id for alarm in alarms.values()}
    next_alarm, next_row = _next(connection, ALARM.c.id), _next(connection, TRANSITION.c.id)
    groups = _groups(connection, new)
    touched: dict[int, Alarm] = {}
    rows = []
    for t in new:
        key = (t.rule, t.subject)
        before = alarms.get(key)
        after = fold(before, t, id=next_alarm, group=groups.get((t.version, t.rule), ""))
        if after is not None:
            next_alarm = max(next_alarm, after.id + 1)
            touched[after.id] = after
            alarms[key] = after
            if after.closed is not None:
                del alarms[key]
        rows.append(_row(t) | {"id": next_row, "noticed": noticed, "alarm": after.id if after else None})
        next_row += 1
    # Those that were there first: an alarm that is closed makes room for the next of its rule and subject
    _keep(connection, [a for a in touched.values() if a.id in known], _UPDATE)
    _keep(connection, [a for a in touched.values() if a.id not in known], sa.insert(ALARM))
    connection.execute(sa.insert(TRANSITION), rows)
    return list(touched.values())


_STORED = tuple(c.name for c in ALARM.columns if c.name != "cause")
_UPDATE = sa.update(ALARM).where(ALARM.c.id == sa.bindparam("this"))


def _keep(connection: sa.Connection, alarms: Sequence[Alarm], statement: Any) -> None:
    if alarms:
        this = statement is _UPDATE
        connection.execute(statement, [_alarm_row(a) | ({"this": a.id} if this else {}) for a in alarms])


def _alarm_row(alarm: Alarm) -> dict[str, Any]:
    return {name: getattr(alarm, name) for name in _STORED} | {
        "cause": alarm.group,
        "level": int(alarm.level),
        "highest": int(alarm.highest),
    }


def _row(t: Transition) -> dict[str, Any]:
    return {
        "rule": t.rule,
        "version": t.version,
        "subject": t.subject,
        "at": t.at,
        "kind": t.kind.value,
        "level": int(t.level),
        "was": int(t.was),
        "value": t.value,
        "reason": t.reason.value,
        "flapping": t.flapping,
    }


Said = tuple[str, str, int, str, int, int]


def _said(t: Any) -> Said:
    return t.rule, t.subject, t.at, str(t.kind), int(t.level), int(t.was)


def _new(connection: sa.Connection, transitions: Sequence[Transition]) -> list[Transition]:
    if not transitions:
        return []
    c = TRANSITION.c
    times = [t.at for t in transitions]
    written = sa.select(c.rule, c.subject, c.at, c.kind, c.level, c.was).where(c.at.between(min(times), max(times)))
    seen = {_said(row) for row in connection.execute(written)}
    found = []
    for t in transitions:
        if _said(t) not in seen:
            seen.add(_said(t))
            found.append(t)
    return found


def _open(connection: sa.Connection, transitions: Sequence[Transition]) -> dict[Key, Alarm]:
    wanted = _SELECT.where(ALARM.c.closed.is_(None))
    subjects = {t.subject for t in transitions}
    if len(subjects) <= MANY:
        wanted = wanted.where(ALARM.c.subject.in_(subjects))
    return {(row.rule, row.subject): _alarm(row) for row in connection.execute(wanted)}


def _next(connection: sa.Connection, id: sa.Column[int]) -> int:
    return (connection.execute(sa.select(sa.func.max(id))).scalar() or 0) + 1


def _groups(connection: sa.Connection, transitions: Sequence[Transition]) -> dict[tuple[int, str], str]:
    """The group of each rule, by the version that was in force."""
    found = {}
    for version in {t.version for t in transitions if t.kind in (Kind.RAISED, Kind.CHANGED)}:
        try:
            found.update({(version, r.id): r.group for r in at_version(connection, version).rules})
        except RefusedError:  # a version that was never saved: an evaluator without a ledger's book
            continue
    return found


# --- what is asked ---

_SELECT = sa.select(
    *(ALARM.c[name] for name in _STORED),
    ALARM.c.cause.label("group"),
    SHELF.c.until.label("shelved_until"),
    OUT_OF_SERVICE.c.subject.is_not(None).label("out_of_service"),
).select_from(
    ALARM.outerjoin(SHELF, (SHELF.c.rule == ALARM.c.rule) & (SHELF.c.subject == ALARM.c.subject)).outerjoin(
        OUT_OF_SERVICE, OUT_OF_SERVICE.c.subject == ALARM.c.subject
    )
)


def _alarm(row: Any) -> Alarm:
    values: dict[str, Any] = dict(row._mapping)
    return Alarm(**values | {"level": Level(row.level), "highest": Level(row.highest)})


_ACTIVE, _WAITING = ALARM.c.closed.is_(None), ALARM.c.acknowledged_at.is_(None)
_IS = {
    State.UNACKNOWLEDGED: _ACTIVE & _WAITING,
    State.ACKNOWLEDGED: _ACTIVE & ~_WAITING,
    State.RETURNED: ~_ACTIVE & _WAITING,
    State.CLOSED: ~_ACTIVE & ~_WAITING,
}
_URGENCY = sa.case((_IS[State.UNACKNOWLEDGED], 0), (_IS[State.ACKNOWLEDGED], 1), (_IS[State.RETURNED], 2), else_=3)
_SHOWN = sa.case((_ACTIVE, ALARM.c.level), else_=ALARM.c.highest)


def find(
    connection: sa.Connection, wanted: Filter = EVERY, *, now: int, limit: int | None = 100, offset: int = 0
) -> list[Alarm]:
    """Unacknowledged first, then acknowledged, returned, closed; in each the highest level, then the newest."""
    ordered = _where(_SELECT, wanted, now).order_by(_URGENCY, _SHOWN.desc(), ALARM.c.opened.desc(), ALARM.c.id.desc())
    return [_alarm(row) for row in connection.execute(ordered.limit(limit).offset(offset))]


def count(connection: sa.Connection, wanted: Filter = EVERY, *, now: int) -> int:
    return connection.execute(
        sa.select(sa.func.count()).select_from(_where(_SELECT, wanted, now).subquery())
    ).scalar_one()


def get(connection: sa.Connection, alarm: int) -> Alarm:
    """Raises RefusedError when there is none."""
    row = connection.execute(_SELECT.where(ALARM.c.id == alarm)).first()
    if row is None:
        raise RefusedError(Refusal.NO_ALARM, alarm=alarm)
    return _alarm(row)


def _where(select: Any, wanted: Filter, now: int) -> Any:
    c = ALARM.c
    terms = []
    if wanted.states:
        terms.append(sa.or_(*(_IS[s] for s in sorted(wanted.states))))
    if wanted.levels:
        terms.append(_SHOWN.in_([int(level) for level in wanted.levels]))
    if wanted.rules:
        terms.append(c.rule.in_(wanted.rules))
    if wanted.subjects is not None:
        terms.append(c.subject.in_(wanted.subjects))
    if wanted.groups:
        terms.append(c.cause.in_(wanted.groups))
    if wanted.assigned_to is not None:
        terms.append(c.assigned_to == wanted.assigned_to)
    if wanted.hidden is not None:
        hidden = OUT_OF_SERVICE.c.subject.is_not(None) | sa.func.coalesce(SHELF.c.until > now, False)
        terms.append(hidden if wanted.hidden else ~hidden)
    if wanted.begin is not None:
        terms.append(_ACTIVE | (c.closed > wanted.begin))
    if wanted.end is not None:
        terms.append(c.opened < wanted.end)
    return select.where(*terms)


def transitions(
    connection: sa.Connection, begin: int, end: int, *, known_by: int | None = None, alarm: int | None = None
) -> list[Transition]:
    """Those of [begin, end) by their own time, as said; `known_by` leaves out what was noticed later."""
    c = TRANSITION.c
    wanted = sa.select(*SAID).where(c.at >= begin, c.at < end).order_by(c.at, c.id)
    if known_by is not None:
        wanted = wanted.where(c.noticed <= known_by)
    if alarm is not None:
        wanted = wanted.where(c.alarm == alarm)
    return [transition_of(row) for row in connection.execute(wanted)]


SAID = tuple(TRANSITION.c[name] for name in Transition.__struct_fields__)


def transition_of(row: Any) -> Transition:
    """Of a row with the columns SAID."""
    values = {name: row._mapping[name] for name in Transition.__struct_fields__}
    named = {"kind": Kind(row.kind), "level": Level(row.level), "was": Level(row.was), "reason": Reason(row.reason)}
    return Transition(**values | named)


def notes(connection: sa.Connection, alarm: int) -> list[Note]:
    """What people said and did about it, the oldest first."""
    wanted = sa.select(NOTE.c.at, NOTE.c.by, NOTE.c.action, NOTE.c.text).where(NOTE.c.alarm == alarm)
    return [Note(*row) for row in connection.execute(wanted.order_by(NOTE.c.id))]


# --- what people do ---


def acknowledge(connection: sa.Connection, alarm: int, *, by: str, at: int, text: str = "") -> Alarm:
    """I have seen it. Raises RefusedError when somebody has."""
    found = get(connection, alarm)
    if found.acknowledged_by is not None:
        raise RefusedError(Refusal.ACKNOWLEDGED, alarm=alarm, by=found.acknowledged_by)
    return _act(connection, replace(found, acknowledged_by=by, acknowledged_at=at), "acknowledge", by, at, text)


def acknowledge_all(
    connection: sa.Connection, wanted: Sequence[int], *, by: str, at: int, text: str = ""
) -> list[Alarm]:
    """I have seen these. What somebody had acknowledged stays his; raises RefusedError when one does not exist."""
    found = [get(connection, alarm) for alarm in dict.fromkeys(wanted)]
    return [acknowledge(connection, a.id, by=by, at=at, text=text) for a in found if a.acknowledged_by is None]


def comment(connection: sa.Connection, alarm: int, text: str, *, by: str, at: int) -> Alarm:
    if not text.strip():
        raise RefusedError(Refusal.NO_TEXT)
    return _act(connection, get(connection, alarm), "comment", by, at, text.strip())


def assign(connection: sa.Connection, alarm: int, to: str | None, *, by: str, at: int) -> Alarm:
    """Whose it is to see to; None is nobody's. Raises RefusedError when `to` is no active user."""
    found = get(connection, alarm)
    active = sa.select(ACCOUNT.c.name).where(ACCOUNT.c.name == to, ACCOUNT.c.disabled.is_(None))
    if to is not None and connection.execute(active).first() is None:
        raise RefusedError(Refusal.NO_USER, user=to)
    return _act(connection, replace(found, assigned_to=to), "assign", by, at, to or "")


def shelve(connection: sa.Connection, alarm: int, until: int, *, by: str, at: int, reason: str) -> Alarm:
    """Out of sight, with all that its rule raises on its subject, until then; the shelf ends by itself."""
    if not at < until <= at + LONGEST_SHELF:
        raise RefusedError(Refusal.SHELF_END, days=LONGEST_SHELF // DAY)
    if not reason.strip():
        raise RefusedError(Refusal.NO_REASON)
    found = get(connection, alarm)
    connection.execute(_off_the_shelf(found))
    row = {"rule": found.rule, "subject": found.subject, "until": until, "by": by, "at": at, "reason": reason.strip()}
    connection.execute(sa.insert(SHELF).values(row))
    return _act(connection, replace(found, shelved_until=until), "shelve", by, at, reason.strip(), until=until)


def unshelve(connection: sa.Connection, alarm: int, *, by: str, at: int) -> Alarm:
    found = get(connection, alarm)
    if found.shelved_until is None or found.shelved_until <= at:
        raise RefusedError(Refusal.NOT_SHELVED, alarm=alarm)
    connection.execute(_off_the_shelf(found))
    return _act(connection, replace(found, shelved_until=None), "unshelve", by, at, "")


def _off_the_shelf(alarm: Alarm) -> sa.Delete:
    return sa.delete(SHELF).where(SHELF.c.rule == alarm.rule, SHELF.c.subject == alarm.subject)


def out_of_service(connection: sa.Connection, subject: str, *, by: str, at: int, reason: str) -> None:
    """A device (or `district:<id>`) under repair: its alarms do not count until it is `in_service` again."""
    if not reason.strip():
        raise RefusedError(Refusal.NO_REASON)
    if subject in out(connection):
        raise RefusedError(Refusal.OUT_ALREADY, subject=subject)
    row = {"subject": subject, "by": by, "at": at, "reason": reason.strip()}
    connection.execute(sa.insert(OUT_OF_SERVICE).values(row))
    audit.append(connection, by=by, at=at, action="service.out", subject=subject, detail={"reason": reason.strip()})


def in_service(connection: sa.Connection, subject: str, *, by: str, at: int) -> None:
    if subject not in out(connection):
        raise RefusedError(Refusal.IN_ALREADY, subject=subject)
    connection.execute(sa.delete(OUT_OF_SERVICE).where(OUT_OF_SERVICE.c.subject == subject))
    audit.append(connection, by=by, at=at, action="service.in", subject=subject)


def out(connection: sa.Connection) -> dict[str, Note]:
    """What is out of service, since when, by whom and why."""
    c = OUT_OF_SERVICE.c
    rows = connection.execute(sa.select(c.subject, c.at, c.by, c.reason).order_by(c.subject))
    return {row.subject: Note(row.at, row.by, "out_of_service", row.reason) for row in rows}


def _act(connection: sa.Connection, alarm: Alarm, action: str, by: str, at: int, text: str, **detail: Any) -> Alarm:
    _keep(connection, [alarm], _UPDATE)
    row = {"id": _next(connection, NOTE.c.id), "alarm": alarm.id, "at": at, "by": by, "action": action, "text": text}
    connection.execute(sa.insert(NOTE).values(row))
    detail |= {"rule": alarm.rule, "on": alarm.subject, "text": text}
    audit.append(connection, by=by, at=at, action=f"alarm.{action}", subject=f"alarm {alarm.id}", detail=detail)
    return alarm


def counts(connection: sa.Connection, since: int) -> dict[str, int]:
    """How many alarms each rule has raised since then."""
    wanted = sa.select(ALARM.c.rule, sa.func.count()).where(ALARM.c.opened >= since).group_by(ALARM.c.rule)
    return {row[0]: row[1] for row in connection.execute(wanted)}
