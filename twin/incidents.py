"""An incident: a named range of the past, with what people know of it.

It does not hold the past itself: observations stay in the store, alarms and rules in the ledger, and are looked up by
its range and area. What is its own is what nobody could look up: a title, a level, what is thought to have caused it,
notes, and bookmarks (a moment of the range that a reader should see).

One begins as a `Draft`, proposed from what is already known (`from_alarms`, `from_range`, `from_run`) and then a
person's to change. Its area is devices, else whole districts, else the whole zone. Times are UTC ms; a range is
[begin, end).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import StrEnum

import msgspec

from twin.clock import MINUTE
from twin.episodes import DISTRICT, Alarm, district_of
from twin.errors import RefusedError
from twin.refusal import Refusal
from twin.registry import Registry
from twin.standards import Level
from twin.truth import Truth

LEAD = 15 * MINUTE  # shown before the first alarm, and after the last: how it came and how it went
LONGEST_TITLE = 200
LONGEST_TEXT = 20_000


class State(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class Origin(StrEnum):
    """What it was made from."""

    ALARMS = "alarms"
    RANGE = "range"
    RUN = "run"
    IMPORT = "import"


class EntryKind(StrEnum):
    NOTE = "note"
    BOOKMARK = "bookmark"


# Message ids
STATE_LABELS: Mapping[State, str] = {State.OPEN: "Open", State.CLOSED: "Closed"}
ORIGIN_LABELS: Mapping[Origin, str] = {
    Origin.ALARMS: "From alarms",
    Origin.RANGE: "From a range",
    Origin.RUN: "From a drill",
    Origin.IMPORT: "Imported",
}
ENTRY_LABELS: Mapping[EntryKind, str] = {EntryKind.NOTE: "Note", EntryKind.BOOKMARK: "Bookmark"}

# Titles and causes that are proposed
MANY = "{first} and {n} more"
UNTITLED = "Incident"
GROUND_TRUTH = "Ground truth of the drill: {facts}"
TEXTS = (UNTITLED, GROUND_TRUTH)


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What a person decides of an incident. `alarms`: those it was made from; `run`: the scenario's."""

    title: str
    level: Level
    begin: int
    end: int
    districts: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    causes: str = ""
    alarms: tuple[int, ...] = ()
    run: str = ""


class Incident(Draft, frozen=True, kw_only=True):
    """`source`: the SHA-256 of the bundle that it was imported from, else empty."""

    id: int
    state: State = State.OPEN
    origin: Origin
    by: str
    at: int
    changed: int
    source: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A note or a bookmark: `at` is the moment it speaks of, `written` when it was written."""

    id: int
    kind: EntryKind
    at: int
    text: str
    by: str
    written: int


class Participant(msgspec.Struct, frozen=True):
    """Who had a hand in it, and what they did, by how often."""

    name: str
    acts: dict[str, int]


def sound(draft: Draft, now: int) -> Draft:
    """The draft with its texts trimmed. Raises RefusedError for what cannot be an incident."""
    title = draft.title.strip()
    if not 0 < len(title) <= LONGEST_TITLE:
        raise RefusedError(Refusal.INCIDENT_TITLE, most=LONGEST_TITLE)
    if not 0 <= draft.begin < draft.end or draft.begin > now:
        raise RefusedError(Refusal.INCIDENT_SPAN)
    if len(draft.causes) > LONGEST_TEXT:
        raise RefusedError(Refusal.LONG_TEXT, most=LONGEST_TEXT)
    return msgspec.structs.replace(draft, title=title, causes=draft.causes.strip())


# --- what is proposed ---


def from_alarms(
    alarms: Sequence[Alarm],
    registry: Registry,
    names: Mapping[str, str],
    districts: Mapping[str, str],
    _: Callable[[str], str],
    *,
    now: int,
) -> Draft:
    """Around these alarms: from a while before the first to a while after the last, or to now while one is open.

    `names`: the rules' by id; `districts`: theirs. Raises RefusedError without alarms.
    """
    if not alarms:
        raise RefusedError(Refusal.INCIDENT_ALARMS)
    worst = max(alarms, key=lambda a: (a.highest, -a.opened))
    devices = tuple(dict.fromkeys(a.subject for a in ranked(alarms) if a.subject in registry))
    touched = dict.fromkeys(district_of(a.subject, registry) for a in ranked(alarms))
    ends = [a.closed for a in alarms]
    last = now if None in ends else max(end for end in ends if end is not None)
    district = worst.subject.removeprefix(DISTRICT)
    place = registry[worst.subject].name if worst.subject in registry else districts.get(district, district)
    first = f"{_(names.get(worst.rule, worst.rule))} · {place}"
    return Draft(
        title=_many(first, len(alarms) - 1, _)[:LONGEST_TITLE],
        level=worst.highest,
        begin=min(a.opened for a in alarms) - LEAD,
        end=max(min(last + LEAD, now), min(a.opened for a in alarms) + MINUTE),
        districts=tuple(d for d in touched if d),
        devices=devices,
        alarms=tuple(a.id for a in alarms),
    )


def from_range(begin: int, end: int, alarms: Sequence[Alarm], registry: Registry, _: Callable[[str], str]) -> Draft:
    """The range as it is; its level and devices those of the alarms that were open in it."""
    devices = tuple(dict.fromkeys(a.subject for a in ranked(alarms) if a.subject in registry))
    return Draft(
        title=_(UNTITLED),
        level=max((a.highest for a in alarms), default=Level.NONE),
        begin=begin,
        end=end,
        devices=devices,
        alarms=tuple(a.id for a in alarms),
    )


def from_run(
    facts: Sequence[Truth], alarms: Sequence[Alarm], registry: Registry, name: str, _: Callable[[str], str]
) -> Draft:
    """All facts of one run, with a while before and after; its devices are those that could see them, those with
    alarms first. `name`: the scenario's. Raises RefusedError without facts."""
    if not facts:
        raise RefusedError(Refusal.INCIDENT_RUN)
    seen = {d: None for f in sorted(facts, key=lambda f: -f.level) for d in f.devices if d in registry}
    loud = {a.subject: None for a in ranked(alarms) if a.subject in seen}
    districts = tuple(dict.fromkeys(registry[d].district for d in seen))
    there = {*seen, *(DISTRICT + d for d in districts)}
    return Draft(
        title=_(name),
        level=max(f.level for f in facts),
        begin=min(f.began for f in facts) - LEAD,
        end=max(f.ended for f in facts) + LEAD,
        districts=districts,
        devices=tuple(loud | seen),
        causes=_(GROUND_TRUTH).format(facts="; ".join(dict.fromkeys(_(f.what) for f in facts))),
        alarms=tuple(a.id for a in alarms if a.subject in there),
        run=facts[0].run,
    )


def _many(first: str, others: int, _: Callable[[str], str]) -> str:
    return _(MANY).format(first=first, n=others) if others else first


def ranked(alarms: Iterable[Alarm]) -> list[Alarm]:
    """The highest first, then the earliest."""
    return sorted(alarms, key=lambda a: (-a.highest, a.opened, a.id))


# --- what belongs to one ---


def belongs(alarm: Alarm, draft: Draft, registry: Registry) -> bool:
    """Is it one of the incident's: one it was made from, or one of its area open in its range? An alarm of a whole
    district is where the district is named."""
    if alarm.id in draft.alarms:
        return True
    if alarm.opened >= draft.end or (alarm.closed is not None and alarm.closed <= draft.begin):
        return False
    if draft.devices and not alarm.subject.startswith(DISTRICT):
        return alarm.subject in draft.devices
    if draft.devices:
        return alarm.subject.removeprefix(DISTRICT) in draft.districts
    return not draft.districts or district_of(alarm.subject, registry) in draft.districts


def participants(
    incident: Incident, entries: Iterable[Entry], acts: Iterable[tuple[str, str]], system: Collection[str] = ()
) -> tuple[Participant, ...]:
    """Who made it, wrote in it, or acted (name, act) on its alarms; most active first. `system`: names that are no
    people."""
    found: dict[str, dict[str, int]] = {}
    made = [(incident.by, "created")]
    for name, act in [*made, *((e.by, str(e.kind)) for e in entries), *acts]:
        if name and name not in system:
            did = found.setdefault(name, {})
            did[act] = did.get(act, 0) + 1
    people = (Participant(name, did) for name, did in found.items())
    return tuple(sorted(people, key=lambda p: (-sum(p.acts.values()), p.name)))
