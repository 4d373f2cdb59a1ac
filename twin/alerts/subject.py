"""One rule on one device or group, as it stands: what its inputs last said, and its latches.

Time enters as an argument only. `advance(to)` does all that time alone brings before `to`; then what was observed at an
instant is taken by the leaves, and `decide` says what follows at that instant.
"""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from twin import schedule
from twin.alerts.plan import Demand, Input, Plan
from twin.alerts.plan import Subject as Place
from twin.alerts.transition import (
    FOREVER,
    NEVER,
    Kind,
    Reason,
    Transition,
    flapping,
    kind_of,
    observe,
    settle,
)
from twin.clock import MINUTE
from twin.rules import Condition
from twin.standards.scale import Level


class LeafState(NamedTuple):
    device: str
    last: int
    end: int
    up: int
    held: int
    known: bool
    value: float | None
    past: list[tuple[int, float]]


class SubjectState(NamedTuple):
    """What a restart must not forget."""

    on: list[bool]
    since: list[int]
    level: Level
    unknown: bool
    ever: bool
    recent: tuple[int, ...]
    settled: int
    open: bool
    edge: int
    leaves: list[LeafState]
    kept: list[int]

    def cleared(self, rule: str, version: int, name: str, at: int) -> Transition:
        """The end of what has no place any more."""
        return Transition(rule, version, name, at, Kind.CLEARED, Level.NONE, self.level, None, Reason.RULE)


class Leaf:
    """An input as it stands: the demand of what it last said, until `end`, when time alone changes that."""

    __slots__ = (
        "_absent",
        "_divisor",
        "_window",
        "demand",
        "device",
        "end",
        "grace",
        "held",
        "id",
        "known",
        "last",
        "part",
        "past",
        "up",
        "value",
    )

    def __init__(self, of: Input, demand: Demand, begin: int, part: int) -> None:
        self.demand, self.grace, self._divisor = demand, of.grace, of.divisor
        self.device, self.id, self.part = of.device, of.id, part
        term = demand.term
        self._absent = term.condition is Condition.ABSENT
        self._window = term.window_s * 1000 if term.condition is Condition.RATE else 0
        self.past: deque[tuple[int, float]] = deque()  # what a rate is made from
        self.last, self.end = NEVER, FOREVER
        self.up, self.held, self.known = 0, demand.k, False
        self.value: float | None = None
        if self._absent:
            self.take(begin, 0.0)

    def late(self, at: int, watermark: int) -> bool:
        return at <= self.last or (not self._absent and at + self.grace < watermark)

    def take(self, at: int, value: float) -> None:
        """`at` is newer than the last."""
        self.last = at
        if self._absent:
            self.up = self.held = 0
            self.value, self.known = 0.0, True
            self.end = at + self.demand.after_ms[0]
            return
        measured = self._rate(at, value) if self._window else value / self._divisor
        if measured is None:
            return
        self.value, self.known = measured, True
        self.up, self.held = self.demand.of(measured)
        self.end = at + self.grace + 1

    def _rate(self, at: int, value: float) -> float | None:
        """Change a minute since what held a window ago; None when nothing did."""
        then = at - self._window
        self.past.append((at, value / self._divisor))
        while len(self.past) > 1 and self.past[1][0] <= then:
            self.past.popleft()
        first, was = self.past[0]
        if not first <= then <= first + self.grace:
            return None
        return (value / self._divisor - was) / (self._window / MINUTE)

    @property
    def key(self) -> tuple[int, str, str, bool, int]:
        """What it reads: leaves with one key have been told the same."""
        term = self.demand.term
        return self.device, term.metric, term.of, self._absent, self._window

    def remember(self, other: "Leaf") -> None:
        """Go on from what another leaf with this key was told; a time that is over by now lapses when asked."""
        if not other.known:
            self.last = other.last
            return
        if self._absent:
            self.take(other.last, 0.0)
            return
        self.last, self.value, self.past, self.known = other.last, other.value, other.past.copy(), True
        self.up, self.held = self.demand.of(other.value or 0.0)
        self.end = other.end + self.grace - other.grace

    def lapse(self, at: int) -> None:
        """What time has done by `at`: silence of a value, a further threshold of silence itself."""
        while self.end <= at:
            if not self._absent:
                self.lose()
                return
            after = self.demand.after_ms
            self.value = after[self.up] / 1000
            self.up += 1
            self.held = self.up
            self.end = self.last + after[self.up] if self.up < len(after) else FOREVER

    def lose(self) -> None:
        self.up, self.held, self.known = 0, self.demand.k, False
        self.end = FOREVER

    def cut(self, at: int) -> None:
        """Its gateway was lost at `at`: what it said until then is not knowledge any more."""
        if not self._absent:
            self.last = max(self.last, at)
            self.past.clear()
            self.lose()


class Group:
    """The devices of a group, counted by what they ask: one that speaks changes two counts, whatever their number."""

    def __init__(self, parts: list[list[Leaf]], part_need: int, need: int, k: int) -> None:
        self._parts, self._part_need, self._need, self._k = parts, part_need, need, k
        self.kept = [0] * len(parts)  # what each device held when it was last known
        self.stale = set(range(len(parts)))
        self._said = [(0, False)] * len(parts)  # (up, known)
        self._ups, self._helds = [len(parts)] + [0] * k, [len(parts)] + [0] * k
        self._known = 0

    def restore(self, kept: list[int]) -> None:
        """Before its parts are asked again: what they had said is not kept."""
        for i, held in enumerate(kept):
            self._keep(i, held)
        self.stale.update(range(len(kept)))

    def demand(self) -> tuple[int, int, bool]:
        for i in self.stale:
            up, held, known = _several(self._parts[i], self._part_need)
            was, was_known = self._said[i]
            self._ups[was] -= 1
            self._ups[up] += 1
            self._known += known - was_known
            self._said[i] = up, known
            if known:
                self._keep(i, held)
        self.stale.clear()
        held = _greatest(self._helds, self._need) if self._known else self._k
        return _greatest(self._ups, self._need), held, self._known >= self._need

    def _keep(self, i: int, held: int) -> None:
        self._helds[self.kept[i]] -= 1
        self._helds[held] += 1
        self.kept[i] = held


class Subject:
    """One rule on one device or group: its latches."""

    __slots__ = (
        "edge",
        "ever",
        "group",
        "leaves",
        "level",
        "name",
        "on",
        "open",
        "parts",
        "plan",
        "position",
        "queued",
        "recent",
        "settled",
        "since",
        "soonest",
        "unknown",
        "version",
    )

    def __init__(self, plan: Plan, place: Place, version: int, begin: int, calendar: schedule.Calendar) -> None:
        self.plan, self.version = plan, version
        self.name, self.position = place.name, place.position
        self.parts = [[Leaf(i, plan.demands[i.term], begin, n) for i in part] for n, part in enumerate(place.parts)]
        self.leaves = [leaf for part in self.parts for leaf in part]
        self.group = Group(self.parts, plan.part_need, place.need, len(plan.levels)) if self.position < 0 else None
        self.soonest = min(leaf.end for leaf in self.leaves)  # no leaf's end is before this
        self.on = [False] * len(plan.levels)
        self.since = [NEVER] * len(plan.levels)
        self.level = Level.NONE
        self.unknown, self.ever = False, self._demand()[2]
        self.recent: tuple[int, ...] = ()
        self.settled = begin
        self.queued = FOREVER
        self.open, self.edge = schedule.state(plan.rule.schedule, calendar, begin)

    @property
    def value(self) -> float | None:
        return self.leaves[0].value if self.position >= 0 else None

    def remember(self, said: Mapping[tuple[int, str, str, bool, int], Leaf]) -> None:
        for leaf in self.leaves:
            if leaf.key in said:
                leaf.remember(said[leaf.key])
                self._touched(leaf)

    @property
    def state(self) -> SubjectState:
        leaves = [LeafState(x.id, x.last, x.end, x.up, x.held, x.known, x.value, list(x.past)) for x in self.leaves]
        return SubjectState(
            self.on,
            self.since,
            self.level,
            self.unknown,
            self.ever,
            self.recent,
            self.settled,
            self.open,
            self.edge,
            leaves,
            self.group.kept if self.group is not None else [],
        )

    def restore(self, state: SubjectState) -> bool:
        """False, and nothing is changed, when the state is of other devices."""
        if [s.device for s in state.leaves] != [leaf.id for leaf in self.leaves]:
            return False
        self.on, self.since, self.level = list(state.on), list(state.since), state.level
        self.unknown, self.ever, self.recent = state.unknown, state.ever, state.recent
        self.settled, self.open, self.edge = state.settled, state.open, state.edge
        for leaf, was in zip(self.leaves, state.leaves, strict=True):
            leaf.last, leaf.end, leaf.up, leaf.held, leaf.known = was.last, was.end, was.up, was.held, was.known
            leaf.value, leaf.past = was.value, deque(was.past)
        if self.group is not None:
            self.group.restore(state.kept)
        self.soonest = min(leaf.end for leaf in self.leaves)
        return True

    def take(self, leaf: Leaf, at: int, value: float) -> None:
        leaf.take(at, value)
        self._touched(leaf)

    def cut(self, leaf: Leaf, at: int) -> None:
        leaf.cut(at)
        self._touched(leaf)

    def _touched(self, leaf: Leaf) -> None:
        self.soonest = min(self.soonest, leaf.end) if len(self.leaves) > 1 else leaf.end
        if self.group is not None:
            self.group.stale.add(leaf.part)

    def quiet(self, to: int) -> bool:
        """Nothing happens before `to` by time alone."""
        return self.edge >= to and self.leaves[0].end >= to and self.since.count(NEVER) == len(self.since)

    @property
    def content(self) -> bool:
        """Of a quiet subject with one leaf, after it has taken: nothing asks, nothing is news."""
        leaf = self.leaves[0]
        return self.open and self.ever and not self.unknown and leaf.up <= sum(self.on) <= leaf.held

    def next(self) -> int:
        """When time alone next changes something."""
        due = min(
            (s + (self.plan.off_after if on else self.plan.on_after)) if s != NEVER else FOREVER
            for on, s in zip(self.on, self.since, strict=True)
        )
        return min(due, self.edge, self.soonest)

    def advance(self, to: int, calendar: schedule.Calendar, out: list[Transition]) -> None:
        """All that happens before `to` with no word from outside."""
        while (at := min(self.edge, self.soonest)) < to:
            if at == self.soonest and self._look() > at and self.edge > at:
                continue
            self._fire(at, out)
            self.decide(at, calendar, out)
        self._fire(to, out)
        self.settled = max(self.settled, to)

    def _look(self) -> int:
        self.soonest = min(leaf.end for leaf in self.leaves)
        return self.soonest

    def decide(
        self, at: int, calendar: schedule.Calendar, out: list[Transition], reason: Reason = Reason.SILENCE
    ) -> None:
        """What is so at `at`, when all before it has been settled and all that was observed at it taken."""
        if self.soonest <= at:
            for leaf in self.leaves:
                if leaf.end <= at:
                    leaf.lapse(at)
                    self._touched(leaf)
            self._look()
        while self.edge <= at:
            self._turn(at, calendar, out)
        up, held, known = self._demand()
        if not self.open:
            self.ever = self.ever or known
            return
        if known and self.unknown:
            self.unknown = False
            self._tell(at, Kind.KNOWN, self.level, out, Reason.HEARD)
        on, since = self.on, self.since
        for k in range(len(on)):
            since[k] = observe(held <= k if on[k] else up > k, since[k], at)
        self._fire(at + 1, out)
        if not known and self.ever and not self.unknown:
            self.unknown = True
            self._tell(at, Kind.UNKNOWN, self.level, out, reason)
        self.ever = self.ever or known

    def _demand(self) -> tuple[int, int, bool]:
        if len(self.leaves) == 1:  # known or not, it is as the leaf has it
            leaf = self.leaves[0]
            return leaf.up, leaf.held, leaf.known
        return _several(self.leaves, self.plan.part_need) if self.group is None else self.group.demand()

    def _turn(self, at: int, calendar: schedule.Calendar, out: list[Transition]) -> None:
        """The rule begins or ceases to look."""
        if self.open:
            self.end(at, Reason.SCHEDULE, out)
            self.unknown = False
        self.open, self.edge = schedule.state(self.plan.rule.schedule, calendar, self.edge)

    def end(self, at: int, reason: Reason, out: list[Transition]) -> None:
        """All latches off."""
        self.on = [False] * len(self.on)
        self.since = [NEVER] * len(self.on)
        if self.level:
            was, self.level = self.level, Level.NONE
            self._tell(at, Kind.CLEARED, was, out, reason)

    def _fire(self, now: int, out: list[Transition]) -> None:
        """What was due before `now`."""
        on, since = self.on, self.since
        changed: list[tuple[int, int]] = []
        for k in range(len(on)):
            if since[k] != NEVER:
                on[k], since[k], at = settle(on[k], since[k], now, self.plan.on_after, self.plan.off_after)
                if at != NEVER:
                    changed.append((at, 1 if on[k] else -1))
        if changed:
            latches = sum(on) - sum(step for _, step in changed)
            for at in sorted({at for at, _ in changed}):
                latches += sum(step for t, step in changed if t == at)
                was, self.level = self.level, self.plan.level(latches)
                self._tell(at, kind_of(was, self.level), was, out, Reason.VALUE)

    def _tell(self, at: int, kind: Kind, was: Level, out: list[Transition], reason: Reason) -> None:
        often = False
        if kind is Kind.RAISED:
            self.recent, often = flapping(self.recent, at, self.plan.rule.flap_count, self.plan.flap_window)
        out.append(
            Transition(self.plan.rule.id, self.version, self.name, at, kind, self.level, was, self.value, reason, often)
        )


def _several(leaves: list[Leaf], need: int) -> tuple[int, int, bool]:
    """The demand of the terms of one device, of which `need` must be so."""
    if len(leaves) == 1:
        return leaves[0].up, leaves[0].held, leaves[0].known
    ups = sorted((leaf.up for leaf in leaves), reverse=True)
    held = sorted((leaf.held for leaf in leaves), reverse=True)
    return ups[need - 1], held[need - 1], sum(leaf.known for leaf in leaves) >= need


def _greatest(counts: list[int], need: int) -> int:
    """The `need`-th greatest, given how many there are of each number."""
    there = 0
    for number in range(len(counts) - 1, 0, -1):
        there += counts[number]
        if there >= need:
            return number
    return 0
