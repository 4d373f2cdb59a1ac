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
        "past",
        "up",
        "value",
    )

    def __init__(self, of: Input, demand: Demand, begin: int) -> None:
        self.demand, self.grace, self._divisor = demand, of.grace, of.divisor
        self.device, self.id = of.device, of.id
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


class Subject:
    """One rule on one device or group: its latches."""

    __slots__ = (
        "edge",
        "ever",
        "kept",
        "leaves",
        "level",
        "name",
        "need",
        "on",
        "open",
        "parts",
        "plan",
        "position",
        "queued",
        "recent",
        "settled",
        "since",
        "unknown",
        "version",
    )

    def __init__(self, plan: Plan, place: Place, version: int, begin: int, calendar: schedule.Calendar) -> None:
        self.plan, self.version = plan, version
        self.name, self.position, self.need = place.name, place.position, place.need
        self.parts = [[Leaf(i, plan.demands[i.term], begin) for i in part] for part in place.parts]
        self.leaves = [leaf for part in self.parts for leaf in part]
        self.kept = [0] * len(self.parts)  # what each device of a group held when it was last known
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
            self.kept,
        )

    def restore(self, state: SubjectState) -> bool:
        """False, and nothing is changed, when the state is of other devices."""
        if [s.device for s in state.leaves] != [leaf.id for leaf in self.leaves]:
            return False
        self.on, self.since, self.level = list(state.on), list(state.since), state.level
        self.unknown, self.ever, self.recent = state.unknown, state.ever, state.recent
        self.settled, self.open, self.edge, self.kept = state.settled, state.open, state.edge, list(state.kept)
        for leaf, was in zip(self.leaves, state.leaves, strict=True):
            leaf.last, leaf.end, leaf.up, leaf.held, leaf.known = was.last, was.end, was.up, was.held, was.known
            leaf.value, leaf.past = was.value, deque(was.past)
        return True

    def quiet(self, to: int) -> bool:
        """Nothing happens before `to` by time alone."""
        return self.edge >= to and self.leaves[0].end >= to and self.since.count(NEVER) == len(self.since)

    def next(self) -> int:
        """When time alone next changes something."""
        due = min(
            (s + (self.plan.off_after if on else self.plan.on_after)) if s != NEVER else FOREVER
            for on, s in zip(self.on, self.since, strict=True)
        )
        return min(due, self.edge, min(leaf.end for leaf in self.leaves))

    def advance(self, to: int, calendar: schedule.Calendar, out: list[Transition]) -> None:
        """All that happens before `to` with no word from outside."""
        while (at := min(self.edge, min(leaf.end for leaf in self.leaves))) < to:
            self._fire(at, out)
            self.decide(at, calendar, out)
        self._fire(to, out)
        self.settled = max(self.settled, to)

    def decide(
        self, at: int, calendar: schedule.Calendar, out: list[Transition], reason: Reason = Reason.SILENCE
    ) -> None:
        """What is so at `at`, when all before it has been settled and all that was observed at it taken."""
        for leaf in self.leaves:
            if leaf.end <= at:
                leaf.lapse(at)
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
        need = self.plan.part_need
        parts = [_greatest([(leaf.up, leaf.held, leaf.known) for leaf in part], need) for part in self.parts]
        if self.position >= 0:
            return parts[0]
        for i, (_, held, known) in enumerate(parts):
            if known:
                self.kept[i] = held
        up, held, known = _greatest(
            [(up, kept, known) for (up, _, known), kept in zip(parts, self.kept, strict=True)], self.need
        )
        return up, held if any(part[2] for part in parts) else len(self.on), known

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


def _greatest(demands: list[tuple[int, int, bool]], need: int) -> tuple[int, int, bool]:
    """The demand of several of which `need` must be so."""
    n = need - 1
    ups = sorted((d[0] for d in demands), reverse=True)
    held = sorted((d[1] for d in demands), reverse=True)
    return ups[n], held[n], sum(d[2] for d in demands) >= need
