"""What can happen to an alarm, and the two functions that decide when.

**Theory.** A rule is a row of latches, one a level; the level is that of the highest latch that is on. A latch turns
on when it has been asked to without a break for the raise delay, and off when it has been asked to (the value is past
the dead band) without a break for the clear delay. As thresholds are in order, a higher latch is never on without the
lower.

Time is counted in whole milliseconds and every stretch is half open. A value holds from its instant until the next one,
at most for the grace: from `at + grace + 1` on the device is unknown, and what is unknown asks for nothing. So

- `settle` says what time alone does to a latch: what was due *before* now has happened, at its due time;
- `observe` says since when a latch has been asking, once its demand is known at an instant.

Nothing else changes a latch, except that a rule which stops looking (its schedule, its end) turns all of them off. What
is due exactly at an instant waits for what is observed at that instant: at one time a level changes at most once.

`MOVES` is the same as a table: what a latch can be, what can happen to it, what it is then. The tests hold that no move
is made that is not in the table and that each of them is made; the diagram in the docs is drawn from it.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

import msgspec

from twin.standards.scale import Level

NEVER = -(1 << 62)
FOREVER = 1 << 62


class Kind(StrEnum):
    RAISED = "raised"
    CHANGED = "changed"
    CLEARED = "cleared"
    UNKNOWN = "unknown"
    KNOWN = "known"


class Reason(StrEnum):
    """Why; the texts that operators read are in LABELS."""

    VALUE = "value"
    SILENCE = "silence"
    GATEWAY = "gateway"
    HEARD = "heard"
    SCHEDULE = "schedule"
    RULE = "rule"


LABELS: Mapping[StrEnum, str] = {
    Kind.RAISED: "Alarm raised",
    Kind.CHANGED: "Alarm level changed",
    Kind.CLEARED: "Alarm cleared",
    Kind.UNKNOWN: "No longer known",
    Kind.KNOWN: "Known again",
    Reason.VALUE: "by its value",
    Reason.SILENCE: "nothing heard within the grace",
    Reason.GATEWAY: "its gateway is offline",
    Reason.HEARD: "heard again",
    Reason.SCHEDULE: "outside the rule's hours",
    Reason.RULE: "the rule was changed or removed",
}


class Transition(msgspec.Struct, frozen=True):
    """`subject`: a device id, `district:<id>` or `gateway:<id>`; `at`: event time, UTC ms; `level` after, `was` before.

    `value`: what the rule's first condition held at that time, in the unit of its metric (a share, a change a minute,
    seconds of silence where the condition is one); None where several devices make the subject. `flapping`: raised more
    often than the rule allows within its window.
    """

    rule: str
    version: int
    subject: str
    at: int
    kind: Kind
    level: Level
    was: Level
    value: float | None = None
    reason: Reason = Reason.VALUE
    flapping: bool = False


# At one instant: heard again, then what that changes; or a change, then silence
_ORDER = {Kind.KNOWN: 0, Kind.RAISED: 1, Kind.CHANGED: 1, Kind.CLEARED: 1, Kind.UNKNOWN: 2}


def ordered(transitions: Iterable[Transition]) -> list[Transition]:
    """By time, then rule and subject: the one order in which live and history agree."""
    return sorted(transitions, key=lambda t: (t.at, t.rule, t.subject, _ORDER[t.kind]))


def settle(on: bool, since: int, now: int, on_after: int, off_after: int) -> tuple[bool, int, int]:
    """What time alone, up to but not including `now`, does to a latch: (on, since, when it changed or NEVER)."""
    if since == NEVER:
        return on, NEVER, NEVER
    due = since + (off_after if on else on_after)
    return (not on, NEVER, due) if due < now else (on, since, NEVER)


def observe(asks: bool, since: int, at: int) -> int:
    """Since when a latch has been asking to change, given whether it asks at `at`; NEVER when it does not."""
    if not asks:
        return NEVER
    return at if since == NEVER else since


def kind_of(was: Level, level: Level) -> Kind:
    if was == Level.NONE:
        return Kind.RAISED
    return Kind.CHANGED if level else Kind.CLEARED


def flapping(raised: Sequence[int], at: int, count: int, window: int) -> tuple[tuple[int, ...], bool]:
    """The raises that still count at `at`, itself included, given those before; and whether they are too many.

    `count` 0: never too many.
    """
    recent = (*(t for t in raised if t > at - window), at)[-(count + 1) :]
    return recent, bool(count) and len(recent) > count


class Phase(StrEnum):
    """What a latch is. `unknown` stands beside it, not in its place: a lost sensor resolves nothing."""

    NORMAL = "normal"
    PENDING = "pending"
    ACTIVE = "active"
    CLEARING = "clearing"


class Cause(StrEnum):
    REACHED = "the threshold is reached"
    LEFT = "the threshold is left"
    RAISE_DELAY = "the raise delay is over"
    PAST_BAND = "the dead band is left"
    BACK = "back within the dead band"
    CLEAR_DELAY = "the clear delay is over"
    LOST = "the sensor falls silent"
    ENDED = "the rule's hours end"


MOVES: Mapping[tuple[Phase, Cause], Phase] = {
    (Phase.NORMAL, Cause.REACHED): Phase.PENDING,
    (Phase.PENDING, Cause.LEFT): Phase.NORMAL,
    (Phase.PENDING, Cause.LOST): Phase.NORMAL,
    (Phase.PENDING, Cause.ENDED): Phase.NORMAL,
    (Phase.PENDING, Cause.RAISE_DELAY): Phase.ACTIVE,
    (Phase.ACTIVE, Cause.PAST_BAND): Phase.CLEARING,
    (Phase.ACTIVE, Cause.ENDED): Phase.NORMAL,
    (Phase.CLEARING, Cause.BACK): Phase.ACTIVE,
    (Phase.CLEARING, Cause.LOST): Phase.ACTIVE,
    (Phase.CLEARING, Cause.ENDED): Phase.NORMAL,
    (Phase.CLEARING, Cause.CLEAR_DELAY): Phase.NORMAL,
}


def phase(on: bool, since: int) -> Phase:
    if on:
        return Phase.ACTIVE if since == NEVER else Phase.CLEARING
    return Phase.NORMAL if since == NEVER else Phase.PENDING
