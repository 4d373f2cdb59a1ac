"""What a change of a rule would have done: two stories of one past, compared.

Each story is the list of transitions that a rule gives over a range (`twin.alerts.history`). What a person can judge
is not transitions but *episodes*: an alarm from its raise to its clearing, with the levels it went through. So

- an episode of the old story and one of the new are the same alarm when they are of one subject and overlap in time;
  each is paired at most once, the earliest first. What is left over on one side is gone, on the other is new;
- a pair may begin earlier or later, and reach a higher or lower level: that is said of it, too;
- of ground truth, a fact is caught when an episode of one of its devices (or of the district or gateway of one)
  overlaps it (`twin.truth`); how fast is the time from its beginning to that of the episode, 0 where it rang already.
  Only facts with a device in scope are asked about. An episode that overlaps no fact of its subject is one without a
  scenario: a false alarm, as far as the simulated zone can know.

A range is half open, [begin, end); an episode that is open at the end is counted up to there. Days are local ones.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

import msgspec

from twin.alerts import Kind, Transition
from twin.clock import DAY, MINUTE
from twin.episodes import DISTRICT, GATEWAY
from twin.registry import Registry
from twin.schedule import EAST
from twin.standards import Level
from twin.truth import Truth

Stretch = tuple[int, int, Level]  # begin, end, level


class Episode(msgspec.Struct, frozen=True):
    """`path`: from when on which level; `end` is that of the range where `open`; `value` when it was raised."""

    subject: str
    begin: int
    end: int
    path: tuple[tuple[int, Level], ...]
    open: bool = False
    flapping: bool = False
    value: float | None = None

    @property
    def highest(self) -> Level:
        return max(level for _, level in self.path)

    @property
    def stretches(self) -> list[Stretch]:
        ends = [*(at for at, _ in self.path[1:]), self.end]
        return [(at, end, level) for (at, level), end in zip(self.path, ends, strict=True)]


def episodes(transitions: Iterable[Transition], end: int) -> list[Episode]:
    """In the order of their beginning. Transitions in order of time, as a history gives them."""
    found: list[Episode] = []
    standing: dict[str, list[Transition]] = {}
    for t in transitions:
        match t.kind:
            case Kind.RAISED | Kind.CHANGED:
                standing.setdefault(t.subject, []).append(t)
            case Kind.CLEARED if t.subject in standing:
                found.append(_episode(standing.pop(t.subject), t.at, False))
            case _:  # what is unknown is no level
                pass
    found += [_episode(of, end, True) for of in standing.values()]
    return sorted(found, key=lambda e: (e.begin, e.subject))


def _episode(of: Sequence[Transition], end: int, is_open: bool) -> Episode:
    path = tuple((t.at, t.level) for t in of)
    return Episode(of[0].subject, of[0].at, end, path, is_open, of[0].flapping, of[0].value)


class Totals(msgspec.Struct, frozen=True):
    """`by_level`: by the highest of each; `minutes` in alarm, added up over subjects; `flaps`: raised too often."""

    alarms: int
    by_level: dict[Level, int]
    subjects: int
    per_day: float
    most_a_day: int
    minutes: float
    flaps: int


class Change(StrEnum):
    NEW = "new"
    GONE = "gone"
    EARLIER = "earlier"
    LATER = "later"
    HIGHER = "higher"
    LOWER = "lower"
    SAME = "same"


class Pair(msgspec.Struct, frozen=True):
    """One alarm in both stories, or in one of them."""

    old: Episode | None
    new: Episode | None

    @property
    def subject(self) -> str:
        return self.either.subject

    @property
    def either(self) -> Episode:
        found = self.new or self.old
        assert found is not None
        return found

    @property
    def changes(self) -> tuple[Change, ...]:
        if self.old is None:
            return (Change.NEW,)
        if self.new is None:
            return (Change.GONE,)
        found = []
        if self.new.begin != self.old.begin:
            found.append(Change.EARLIER if self.new.begin < self.old.begin else Change.LATER)
        if self.new.highest != self.old.highest:
            found.append(Change.HIGHER if self.new.highest > self.old.highest else Change.LOWER)
        return tuple(found) or (Change.SAME,)


class Count(msgspec.Struct, frozen=True):
    """Alarms of a place or of a local day (`key`: its first millisecond, UTC) in both stories."""

    key: str | int
    old: int
    new: int


class Score(msgspec.Struct, frozen=True):
    """`old`, `new`: ms from the fact's beginning to the alarm, 0 where it rang already; None: missed."""

    fact: Truth
    old: int | None
    new: int | None


class Comparison(msgspec.Struct, frozen=True):
    """`changes`: how many pairs are so; `beside`: alarms without a scenario in both stories, None where none was
    played."""

    begin: int
    end: int
    old: Totals
    new: Totals
    pairs: tuple[Pair, ...]
    changes: dict[Change, int]
    days: tuple[Count, ...]
    scores: tuple[Score, ...]
    beside: tuple[int, int] | None


def compare(
    old: Sequence[Transition],
    new: Sequence[Transition],
    begin: int,
    end: int,
    *,
    facts: Sequence[Truth] = (),
    registry: Registry,
    scope: frozenset[str] = frozenset(),
) -> Comparison:
    """`scope`: the devices that either rule looks at; only facts about them are scored."""
    before, after = episodes(old, end), episodes(new, end)
    pairs = paired(before, after)
    told = [f for f in facts if scope.intersection(f.devices)]
    named = [_subjects(f, registry) for f in told]
    scores = tuple(Score(f, _delay(f, of, before), _delay(f, of, after)) for f, of in zip(told, named, strict=True))
    beside = (_beside(told, named, before), _beside(told, named, after)) if told else None
    changes = Counter(change for pair in pairs for change in pair.changes)
    return Comparison(
        begin,
        end,
        totals(before, begin, end),
        totals(after, begin, end),
        tuple(pairs),
        dict(changes),
        tuple(_days(before, after, begin, end)),
        scores,
        beside,
    )


def paired(old: Sequence[Episode], new: Sequence[Episode]) -> list[Pair]:
    """In the order of their beginning."""
    waiting: dict[str, list[Episode]] = defaultdict(list)
    for e in reversed(old):
        waiting[e.subject].append(e)
    found: list[Pair] = []
    for e in new:
        before = waiting[e.subject]
        while before and before[-1].end <= e.begin:
            found.append(Pair(before.pop(), None))
        found.append(Pair(before.pop() if before and before[-1].begin < e.end else None, e))
    found += [Pair(e, None) for left in waiting.values() for e in left]
    return sorted(found, key=lambda p: (p.either.begin, p.subject))


def totals(of: Sequence[Episode], begin: int, end: int) -> Totals:
    days = Counter(_day(e.begin) for e in of)
    return Totals(
        alarms=len(of),
        by_level=dict(sorted(Counter(e.highest for e in of).items())),
        subjects=len({e.subject for e in of}),
        per_day=len(of) / max((end - begin) / DAY, 1e-9),
        most_a_day=max(days.values(), default=0),
        minutes=sum(e.end - e.begin for e in of) / MINUTE,
        flaps=sum(e.flapping for e in of),
    )


def _day(at: int) -> int:
    """The first millisecond of its local day."""
    return (at + EAST) // DAY * DAY - EAST


def _days(old: Sequence[Episode], new: Sequence[Episode], begin: int, end: int) -> list[Count]:
    before, after = (Counter(_day(e.begin) for e in of) for of in (old, new))
    return [Count(day, before[day], after[day]) for day in range(_day(begin), end, DAY)]


def _subjects(fact: Truth, registry: Registry) -> frozenset[str]:
    """The devices of a fact, and what they are in."""
    devices = [registry[d] for d in fact.devices if d in registry]
    return frozenset(
        (*fact.devices, *(DISTRICT + d.district for d in devices), *(GATEWAY + d.gateway for d in devices))
    )


def _delay(fact: Truth, subjects: frozenset[str], of: Iterable[Episode]) -> int | None:
    caught = [e.begin for e in of if e.subject in subjects and e.begin < fact.ended and e.end > fact.began]
    return max(min(caught) - fact.began, 0) if caught else None


def _beside(facts: Sequence[Truth], named: Sequence[frozenset[str]], of: Iterable[Episode]) -> int:
    """Episodes that overlap no fact of their subject."""
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for fact, subjects in zip(facts, named, strict=True):
        for subject in subjects:
            spans[subject].append((fact.began, fact.ended))
    return sum(not any(e.begin < b and e.end > a for a, b in spans.get(e.subject, ())) for e in of)


# ---------------------------------------------------------------- as a picture


class Lane(msgspec.Struct, frozen=True):
    """A subject, or all of a district: its levels over time in both stories, alarms in each, and how many changed."""

    key: str
    old: tuple[Stretch, ...]
    new: tuple[Stretch, ...]
    alarms: tuple[int, int]
    changed: int


def lanes(pairs: Iterable[Pair], key: Callable[[str], str]) -> list[Lane]:
    """Those with the most change first, then those with the most alarms. `key` puts subjects together."""
    groups: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        groups[key(pair.subject)].append(pair)
    found = [_lane(name, of) for name, of in groups.items()]
    return sorted(found, key=lambda lane: (-lane.changed, -max(lane.alarms), lane.key))


def _lane(key: str, pairs: Sequence[Pair]) -> Lane:
    old, new = [p.old for p in pairs if p.old], [p.new for p in pairs if p.new]
    changed = sum(Change.SAME not in p.changes for p in pairs)
    return Lane(key, tuple(highest(old)), tuple(highest(new)), (len(old), len(new)), changed)


def highest(of: Iterable[Episode]) -> list[Stretch]:
    """The highest level over time of several episodes, which may overlap."""
    steps = [step for e in of for a, b, level in e.stretches if a < b for step in ((a, level, 1), (b, level, -1))]
    steps.sort(key=lambda s: s[0])
    standing = [0] * (max(Level) + 1)
    found: list[Stretch] = []
    level, since = Level.NONE, 0
    for i, (at, of_level, by) in enumerate(steps):
        standing[of_level] += by
        if i + 1 < len(steps) and steps[i + 1][0] == at:
            continue
        now = max((k for k in Level if standing[k]), default=Level.NONE)
        if now != level:
            if level:
                found.append((since, at, level))
            level, since = now, at
    return found
