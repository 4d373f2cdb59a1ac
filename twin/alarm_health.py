"""How well the alarms serve the people who work on them: the measures of EEMUA 191 and ISA-18.2 / IEC 62682.

An alarm system that says too much says nothing. Both guides measure the same, per operator position:

- alarms per 10 minutes and per day (ISA-18.2-2016, table 7: 1 and some 150 are very likely to be acceptable, 2 and
  some 300 the most that can be managed), and the busiest 10 minutes (no more than 10);
- *floods*: from where more than 10 come within 10 minutes to where fewer than 5 do (less than 1 % of the time);
- *chattering*: the same alarm raised three or more times within a minute (none);
- *stale*: active for more than 24 hours (fewer than 5);
- *bad actors*: the ten most frequent, together (1 % to 5 % of all);
- the share of the levels: the higher, the rarer (some 80, 15, 5 and less than 1 %).

What is counted is what calls for attention: an alarm that is raised, and one whose level rises. Numbers that are
"some" in the guides are settings here. Pure: a function of transitions, of the alarms that are open, and of a range.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from twin.alerts import Kind, Transition
from twin.clock import DAY, HOUR, MINUTE
from twin.episodes import Alarm
from twin.registry import Registry
from twin.settings import Alarms as Targets
from twin.silences import Purpose, Silence, silent
from twin.standards import Level

WINDOW = 10 * MINUTE
TOP = 10

# Message ids
LABELS: Mapping[str, str] = {
    "per_10_min": "Alarms per 10 minutes",
    "per_day": "Alarms per day",
    "busiest": "Most alarms within 10 minutes",
    "flood_percent": "Time in alarm floods, %",
    "chattering": "Chattering alarms",
    "stale": "Alarms active for too long",
    "bad_actors_percent": "Share of the ten most frequent, %",
    "orange_percent": "Share of orange alarms, %",
    "red_percent": "Share of red alarms, %",
}


class Measure(msgspec.Struct, frozen=True):
    name: str
    value: float
    target: float

    @property
    def within(self) -> bool:
        return self.value <= self.target


class Flood(msgspec.Struct, frozen=True):
    begin: int
    end: int
    alarms: int


class Actor(msgspec.Struct, frozen=True):
    """A rule on a subject: how often it called, its share of all (%), the most raises within a minute."""

    rule: str
    subject: str
    calls: int
    percent: float
    chatter: int


class Report(msgspec.Struct, frozen=True):
    """`by_10_min` counts from `begin` on; `levels` counts calls by the level they called for."""

    begin: int
    end: int
    calls: int
    measures: tuple[Measure, ...]
    by_10_min: tuple[int, ...]
    levels: dict[Level, int]
    floods: tuple[Flood, ...]
    chattering: tuple[Actor, ...]
    bad_actors: tuple[Actor, ...]
    stale: tuple[Alarm, ...]


def calls(transition: Transition) -> bool:
    """Does it call for attention?"""
    return transition.kind in (Kind.RAISED, Kind.CHANGED) and transition.level > transition.was


def counted(
    transitions: Iterable[Transition],
    out_of_service: Collection[str],
    windows: Iterable[Silence],
    groups: Mapping[str, str],
    registry: Registry,
) -> list[Transition]:
    """Those that count: not of subjects out of service, and not within a maintenance window. `groups`: by rule."""
    maintenance = [w for w in windows if w.purpose is Purpose.MAINTENANCE]
    return [
        t
        for t in transitions
        if t.subject not in out_of_service
        and silent(maintenance, t.subject, t.rule, groups.get(t.rule, ""), registry, t.at) is None
    ]


def report(
    transitions: Iterable[Transition], open_alarms: Iterable[Alarm], begin: int, end: int, targets: Targets
) -> Report:
    """Over [begin, end), UTC ms. Leave out beforehand what is not to count (`counted`)."""
    called = sorted((t for t in transitions if calls(t) and begin <= t.at < end), key=lambda t: t.at)
    times = [t.at for t in called]
    actors = _actors(called)
    floods = _floods(times, end, targets.flood_from, targets.flood_until)
    levels = Counter(t.level for t in called)
    chattering = tuple(a for a in actors if a.chatter >= targets.chatter)
    stale = tuple(a for a in open_alarms if a.opened <= end - targets.stale_h * HOUR)
    span, total = max(end - begin, 1), len(called)

    def share(part: float) -> float:
        return 100 * part / total if total else 0.0

    values = {
        "per_10_min": total * WINDOW / span,
        "per_day": total * DAY / span,
        "busiest": _most(times, WINDOW),
        "flood_percent": 100 * sum(f.end - f.begin for f in floods) / span,
        "chattering": len(chattering),
        "stale": len(stale),
        "bad_actors_percent": sum(a.percent for a in actors[:TOP]),
        "orange_percent": share(levels[Level.ORANGE]),
        "red_percent": share(levels[Level.RED]),
    }
    return Report(
        begin,
        end,
        total,
        tuple(Measure(name, round(value, 3), getattr(targets, name)) for name, value in values.items()),
        tuple(_counts(times, begin, end)),
        {level: levels[level] for level in Level if level},
        tuple(floods),
        chattering,
        tuple(actors[:TOP]),
        stale,
    )


def _actors(called: Sequence[Transition]) -> list[Actor]:
    """The most frequent first."""
    found: dict[tuple[str, str], list[Transition]] = {}
    for t in called:
        found.setdefault((t.rule, t.subject), []).append(t)
    made = [
        Actor(rule, subject, len(of), 100 * len(of) / len(called), _most(_raises(of), MINUTE))
        for (rule, subject), of in found.items()
    ]
    return sorted(made, key=lambda a: (-a.calls, a.rule, a.subject))


def _raises(called: Iterable[Transition]) -> list[int]:
    return [t.at for t in called if t.kind is Kind.RAISED]


def _most(times: Sequence[int], window: int) -> int:
    """The most within any stretch shorter than the window."""
    return max((i + 1 - bisect_right(times, at - window) for i, at in enumerate(times)), default=0)


def _counts(times: Sequence[int], begin: int, end: int) -> list[int]:
    edges = range(begin, end, WINDOW)
    return [bisect_left(times, min(edge + WINDOW, end)) - bisect_left(times, edge) for edge in edges]


def _floods(times: Sequence[int], end: int, more_than: int, fewer_than: int) -> list[Flood]:
    found = []
    i = 0
    while i < len(times):
        first = bisect_right(times, times[i] - WINDOW)
        if i + 1 - first <= more_than:
            i += 1
            continue
        # It is over when so many have left the window that few remain in it
        left = first
        while bisect_right(times, times[left] + WINDOW) - bisect_right(times, times[left]) >= fewer_than:
            left += 1
        over = min(max(times[left] + WINDOW, times[i]), end)
        after = bisect_right(times, over)
        found.append(Flood(times[i], over, after - first))
        i = max(after, i + 1)
    return found
