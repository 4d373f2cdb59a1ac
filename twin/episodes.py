"""An alarm: one episode of a rule on a subject, from raised to cleared. What people do about it stands beside.

Two things are kept apart, after ISA-18.2 and IEC 62682: what the *process* says (active, cleared, unknown) and what the
*operator* has done (acknowledged or not). Together they make four states:

                     not acknowledged    acknowledged
    active           unacknowledged      acknowledged
    cleared          returned            closed

- An acknowledgement is of what was seen: when the level rises above any before, the alarm waits anew.
- Unknown is no level: an active alarm whose sensor is lost stays active, and says so; only `cleared` ends it.
- Shelved (until a time, after which it comes back by itself) and out of service (until said otherwise) hide an alarm
  from those who work on it and from what is counted against them. They are held by the rule and subject, and by the
  subject: an alarm that returns in the next episode is shelved still. They neither raise nor clear anything.

`fold` is all of the process's half, a pure function; `twin.ledger.alarms` keeps its result in one row.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum

import msgspec

from twin.alerts import Kind, Transition
from twin.clock import MINUTE
from twin.observation import Domain
from twin.registry import Device, Registry
from twin.settings import Alarms
from twin.standards import Level

# A subject that is no device
DISTRICT = "district:"
GATEWAY = "gateway:"


class State(StrEnum):
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned"
    CLOSED = "closed"


# Message ids
STATE_LABELS: Mapping[State, str] = {
    State.UNACKNOWLEDGED: "Not acknowledged",
    State.ACKNOWLEDGED: "Acknowledged",
    State.RETURNED: "Cleared, not acknowledged",
    State.CLOSED: "Acknowledged and cleared",
}

OPEN = frozenset({State.UNACKNOWLEDGED, State.ACKNOWLEDGED})


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """`highest`: of the episode; `flapping`: one of too many; `waiting_since`: for an acknowledgement.

    `value` is what the rule looked at when the level last changed, `version` the rule's then.
    """

    id: int
    rule: str
    version: int
    subject: str
    group: str = ""
    level: Level
    highest: Level
    opened: int
    changed: int
    closed: int | None = None
    unknown: bool = False
    flapping: bool = False
    value: float | None = None
    waiting_since: int
    acknowledged_by: str | None = None
    acknowledged_at: int | None = None
    assigned_to: str | None = None
    shelved_until: int | None = None
    out_of_service: bool = False

    @property
    def state(self) -> State:
        if self.closed is None:
            return State.UNACKNOWLEDGED if self.acknowledged_at is None else State.ACKNOWLEDGED
        return State.RETURNED if self.acknowledged_at is None else State.CLOSED

    def hidden(self, now: int) -> bool:
        """Shelved or out of service: nobody is to be bothered with it."""
        return self.out_of_service or (self.shelved_until is not None and self.shelved_until > now)


def fold(alarm: Alarm | None, transition: Transition, *, id: int, group: str = "") -> Alarm | None:
    """The open alarm of a rule and subject after a transition; None is none. `id` and `group` are for a new one.

    A raise is never lost: one that finds an alarm open is a change of it, a change that finds none opens one.
    """
    t = transition
    if t.kind is Kind.CLEARED:
        return alarm and replace(alarm, level=Level.NONE, changed=t.at, closed=t.at, unknown=False)
    if t.kind in (Kind.UNKNOWN, Kind.KNOWN):
        return alarm and replace(alarm, unknown=t.kind is Kind.UNKNOWN)
    if alarm is None:
        return Alarm(
            id=id,
            rule=t.rule,
            version=t.version,
            subject=t.subject,
            group=group,
            level=t.level,
            highest=t.level,
            opened=t.at,
            changed=t.at,
            flapping=t.flapping,
            value=t.value,
            waiting_since=t.at,
        )
    changed = replace(
        alarm,
        level=t.level,
        changed=t.at,
        version=t.version,
        flapping=alarm.flapping or t.flapping,
        value=t.value,
    )
    if t.level <= alarm.highest:
        return changed
    waiting = alarm.waiting_since if alarm.acknowledged_at is None else t.at
    return replace(changed, highest=t.level, waiting_since=waiting, acknowledged_by=None, acknowledged_at=None)


def replace(alarm: Alarm, **changes: object) -> Alarm:
    return msgspec.structs.replace(alarm, **changes)


def overdue(alarms: Iterable[Alarm], minutes: Mapping[Level, float], now: int) -> list[Alarm]:
    """Active ones that have waited for an acknowledgement longer than their level may, the longest first.

    A level that is not in `minutes` may wait for ever.
    """

    def late(a: Alarm) -> bool:
        most = minutes.get(a.level)
        return most is not None and now - a.waiting_since >= most * MINUTE

    waiting = (a for a in alarms if a.state is State.UNACKNOWLEDGED and not a.hidden(now))
    return sorted((a for a in waiting if late(a)), key=lambda a: a.waiting_since)


def escalation(settings: Alarms) -> dict[Level, float]:
    """Minutes that each level may wait, for `overdue`."""
    minutes = {
        Level.BLUE: settings.escalate_blue_min,
        Level.YELLOW: settings.escalate_yellow_min,
        Level.ORANGE: settings.escalate_orange_min,
        Level.RED: settings.escalate_red_min,
    }
    return {level: after for level, after in minutes.items() if after}


class Cause(StrEnum):
    RULE = "rule"
    DISTRICT = "district"
    GATEWAY = "gateway"


CAUSE_LABELS: Mapping[Cause, str] = {
    Cause.RULE: "By rule",
    Cause.DISTRICT: "By district",
    Cause.GATEWAY: "By gateway",
}


class Bundle(msgspec.Struct, frozen=True):
    """Alarms of one cause: `key` is the rule, the district or the gateway ("" for a subject without one)."""

    key: str
    alarms: tuple[Alarm, ...]
    highest: Level
    unacknowledged: int


def bundles(alarms: Sequence[Alarm], cause: Cause, registry: Registry) -> list[Bundle]:
    """The highest level first, then the most unacknowledged."""
    key: Callable[[Alarm], str]
    match cause:
        case Cause.RULE:
            key = _rule
        case Cause.DISTRICT:
            key = lambda a: district_of(a.subject, registry)  # noqa: E731
        case Cause.GATEWAY:
            key = lambda a: gateway_of(a.subject, registry)  # noqa: E731
    found: dict[str, list[Alarm]] = {}
    for alarm in alarms:
        found.setdefault(key(alarm), []).append(alarm)
    made = [
        Bundle(k, tuple(of), max(a.level for a in of), sum(a.state is State.UNACKNOWLEDGED for a in of))
        for k, of in found.items()
    ]
    return sorted(made, key=lambda b: (-b.highest, -b.unacknowledged, b.key))


def _rule(alarm: Alarm) -> str:
    return alarm.rule


def district_of(subject: str, registry: Registry) -> str:
    if subject.startswith(DISTRICT):
        return subject.removeprefix(DISTRICT)
    return registry[subject].district if subject in registry else ""


def gateway_of(subject: str, registry: Registry) -> str:
    if subject.startswith(GATEWAY):
        return subject.removeprefix(GATEWAY)
    return registry[subject].gateway if subject in registry else ""


def urgency(alarm: Alarm) -> tuple[int, int, int, int]:
    """The order in which open alarms are shown: the unacknowledged first, then the highest level, then the newest."""
    return alarm.acknowledged_at is not None, -alarm.level, -alarm.opened, -alarm.id


class Episodes:
    """Alarms over a past span: what was said and done, folded up to an instant."""

    def __init__(self) -> None:
        self.open: dict[tuple[str, str], Alarm] = {}
        self._shelved: dict[tuple[str, str], int] = {}
        self._out: set[str] = set()

    def say(self, transition: Transition, *, id: int, group: str) -> None:
        key = transition.rule, transition.subject
        after = fold(self.open.get(key), transition, id=id, group=group)
        if after is None or after.closed is not None:
            self.open.pop(key, None)
        else:
            self.open[key] = after

    def do(self, action: str, *, by: str, at: int, alarm: int, rule: str, subject: str, until: int, to: str) -> None:
        """What somebody did, in the words of the ledger; of an alarm that is over it changes nothing."""
        match action:
            case "acknowledge" | "assign":
                for key, found in self.open.items():
                    if found.id == alarm:
                        change = (
                            {"acknowledged_by": by, "acknowledged_at": at}
                            if action == "acknowledge"
                            else {"assigned_to": to or None}
                        )
                        self.open[key] = replace(found, **change)
                        break
            case "shelve":
                self._shelved[rule, subject] = until
            case "unshelve":
                self._shelved.pop((rule, subject), None)
            case "service.out":
                self._out.add(subject)
            case "service.in":
                self._out.discard(subject)

    def ringing(self, now: int) -> list[Alarm]:
        """The open ones that nobody has put out of sight, the most urgent first."""
        there = (replace(a, shelved_until=self._shelved.get(key)) for key, a in self.open.items())
        return sorted((a for a in there if a.subject not in self._out and not a.hidden(now)), key=urgency)


def subjects(
    registry: Registry, *, domain: Domain | None = None, district: str | None = None, gateway: str | None = None
) -> frozenset[str]:
    """The devices there, for a filter; with a district or a gateway alone, itself as well."""

    def there(d: Device) -> bool:
        return (
            (domain is None or d.domain is domain)
            and (district is None or d.district == district)
            and (gateway is None or d.gateway == gateway)
        )

    whole = set()
    match domain, district, gateway:
        case None, str(), None:
            whole = {DISTRICT + district}
        case None, None, str():
            whole = {GATEWAY + gateway}
    return frozenset(whole | {d.id for d in registry if there(d)})
