"""The evaluator under hostile input: history equals live, ticks change nothing, a restart changes nothing."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.zone import T0, device
from twin.alerts import Evaluator, Kind, Transition, ordered, run
from twin.alerts.history import History
from twin.observation import Observation
from twin.registry import Registry
from twin.rules import Book, Condition, Match, Over, Rule, Scope, Term
from twin.schedule import Day, Span
from twin.store.memory import MemoryStore

S = 1000
HORIZON = 4_000  # s
ZONE = Registry(
    [
        device("w-1", "weather-station", gateway="gw-a"),
        device("w-2", "weather-station", gateway="gw-a", period_s=120),
        device("w-3", "weather-station", gateway="gw-b"),
    ]
)
LEVELS = ("blue", "yellow", "orange", "red")


@st.composite
def terms(draw: st.DrawFn) -> Term:
    condition = draw(st.sampled_from(Condition))
    names = sorted(draw(st.sets(st.sampled_from(LEVELS), min_size=1)), key=LEVELS.index)
    if condition is Condition.ABSENT:
        steps: Sequence[Any] = sorted(draw(st.sets(st.integers(1, 400), min_size=len(names), max_size=len(names))))
        metric = draw(st.sampled_from(["temperature", ""]))
        return Term(metric=metric, condition=condition, **dict(zip(names, map(float, steps), strict=True)))
    steps = sorted(draw(st.sets(st.integers(0, 8), min_size=len(names), max_size=len(names))))
    if condition is Condition.BELOW:
        steps = [10 - s for s in steps]
    if condition is Condition.OUTSIDE:
        steps = [(3 - s, 5 + s) for s in steps]
    if condition is Condition.RATE and draw(st.booleans()):
        steps = [-1 - s for s in steps]
    return Term(
        metric=draw(st.sampled_from(["temperature", "windSpeed"])),
        condition=condition,
        band=float(draw(st.integers(0, 2))),
        window_s=draw(st.sampled_from([60, 120])) if condition is Condition.RATE else 0,
        **dict(zip(names, steps, strict=True)),
    )


@st.composite
def spans(draw: st.DrawFn) -> tuple[Span, ...]:
    """Windows within the first hour or so; T0 is Wednesday 08:00."""
    found = []
    for _ in range(draw(st.integers(0, 2))):
        start = draw(st.integers(0, 70))
        length = draw(st.integers(1, 30))
        clock = [f"{8 + m // 60:02d}:{m % 60:02d}" for m in (start, start + length)]
        found.append(Span(days=draw(st.sampled_from([(), (Day.WED,), (Day.WORKDAY,)])), start=clock[0], end=clock[1]))
    return tuple(found)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    return Rule(
        id="r",
        name="r",
        when=tuple(draw(st.lists(terms(), min_size=1, max_size=draw(st.sampled_from([1, 1, 2]))))),
        match=draw(st.sampled_from(Match)),
        over=draw(st.sampled_from([Over.DEVICE, Over.DEVICE, Over.DISTRICT, Over.GATEWAY])),
        need=draw(st.integers(0, 3)),
        scope=Scope(devices=draw(st.sampled_from([(), ("w-1", "w-3")]))),
        raise_after_s=draw(st.sampled_from([0, 0, 1, 60, 100, 300])),
        clear_after_s=draw(st.sampled_from([0, 0, 1, 60, 100, 300])),
        grace_s=draw(st.sampled_from([0, 1, 60, 200])),
        schedule=draw(spans()),
        flap_count=draw(st.integers(0, 2)),
        flap_window_s=draw(st.sampled_from([60, 1_000])),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Observation]:
    """In order, many on the same edges: multiples of 20 s, some a millisecond off."""
    found = {}
    for _ in range(draw(st.integers(0, 60))):
        name = draw(st.sampled_from(["w-1", "w-2", "w-3"]))
        at = T0 + draw(st.integers(0, HORIZON // 20)) * 20 * S + draw(st.sampled_from([0, 0, 0, 1, -1]))
        metrics = draw(st.sampled_from([("temperature",), ("windSpeed",), ("temperature", "windSpeed")]))
        found[name, at] = Observation(name, at, {m: float(draw(st.integers(-1, 12))) for m in metrics}, at)
    return sorted(found.values(), key=lambda o: (o.at, o.device))


BEGIN, END = T0, T0 + (HORIZON + 500) * S


def from_history(rule: Rule, observations: Sequence[Observation]) -> list[Transition]:
    store = MemoryStore(ZONE)
    store.write(observations)
    columns = {m: store.columns([d.id for d in ZONE], m, 0, 1 << 62) for m in rule.metrics}
    return History(ZONE, columns, begin=BEGIN, end=END).transitions(rule, 1)


@settings(max_examples=1_500)
@given(rules(), histories())
def test_history_equals_live(rule: Rule, observations: list[Observation]) -> None:
    live = run(Book(1, (rule,)), ZONE, observations, begin=BEGIN, end=END)
    assert from_history(rule, observations) == live


@settings(max_examples=300)
@given(rules(), histories(), st.sets(st.integers(0, 60)))
def test_restarts_change_nothing(rule: Rule, observations: list[Observation], restarts: set[int]) -> None:
    book = Book(1, (rule,))
    evaluator = Evaluator(book, ZONE, begin=BEGIN)
    told = []
    for i, observation in enumerate(o for o in observations if o.at >= BEGIN):
        if i in restarts:
            told += evaluator.tick(observation.at)
            evaluator = Evaluator.thaw(book, ZONE, evaluator.freeze())
        told += evaluator.step(observation)
    assert ordered(told + evaluator.tick(END)) == run(book, ZONE, observations, begin=BEGIN, end=END)


@st.composite
def simple_rules(draw: st.DrawFn) -> Rule:
    low = draw(st.integers(0, 5))
    return Rule(
        id="r",
        name="r",
        when=(
            Term(
                metric="temperature",
                condition=Condition.ABOVE,
                yellow=float(low),
                red=float(low + draw(st.integers(1, 4))),
                band=float(draw(st.integers(0, 2))),
            ),
        ),
        raise_after_s=draw(st.sampled_from([0, 1, 60, 100])),
        clear_after_s=draw(st.sampled_from([0, 1, 60, 100])),
        grace_s=draw(st.sampled_from([30, 120])),
    )


@settings(max_examples=150)
@given(rules(), histories(), st.lists(st.integers(1, 3), min_size=1, max_size=3))
def test_a_dragged_threshold_is_answered_as_if_asked_first(
    of: Rule, observations: list[Observation], moves: list[int]
) -> None:
    store = MemoryStore(ZONE)
    store.write(observations)
    columns = {m: store.columns([d.id for d in ZONE], m, 0, 1 << 62) for m in of.metrics}
    history = History(ZONE, columns, begin=BEGIN, end=END)
    for move in moves:
        bands = tuple(msgspec.structs.replace(term, band=float(move)) for term in of.when)
        moved = msgspec.structs.replace(of, when=bands, raise_after_s=move)
        assert history.transitions(moved, 1) == from_history(moved, observations)


class Life(RuleBasedStateMachine):
    """Three evaluators of the same book hear the same, one looked at every moment, one hardly ever, one restarted."""

    def __init__(self) -> None:
        super().__init__()
        self.now = BEGIN
        self.told: list[Transition] = []
        self.heard: dict[str, list[tuple[int, float]]] = {d.id: [] for d in ZONE}
        self.lost: list[tuple[str, int]] = []

    @initialize(of=simple_rules())
    def begins(self, of: Rule) -> None:
        self.rule, self.book = of, Book(1, (of,))
        self.often, self.seldom, self.restarted = (Evaluator(self.book, ZONE, begin=BEGIN) for _ in range(3))
        self.rarely_told: list[Transition] = []
        self.again_told: list[Transition] = []

    @rule(
        name=st.sampled_from([d.id for d in ZONE]),
        value=st.integers(-1, 12),
        wait=st.sampled_from([0, 1, 10 * S, 30 * S, 60 * S, 90 * S]),
    )
    def speaks(self, name: str, value: int, wait: int) -> None:
        self.passes(wait)
        made = Observation(name, self.now, {"temperature": float(value)}, self.now)
        if not self.heard[name] or self.heard[name][-1][0] < self.now:
            self.heard[name].append((self.now, float(value)))
        self._all(lambda e: e.step(made))

    @rule(wait=st.sampled_from([1, 999, 10 * S, 30 * S, 60 * S, 200 * S]))
    def passes(self, wait: int) -> None:
        for moment in sorted({self.now + wait * i // 7 for i in range(1, 8)}):
            self.told += self.often.tick(moment)
        self.now += wait

    @rule(name=st.sampled_from(["gw-a", "gw-b"]), online=st.booleans())
    def comes_or_goes(self, name: str, online: bool) -> None:
        self.told += self.often.tick(self.now)
        if not online:
            self.lost += [(d.id, self.now) for d in ZONE if d.gateway == name]
        self._all(lambda e: e.gateway(name, online, self.now))

    @rule()
    def restarts(self) -> None:
        self.restarted = Evaluator.thaw(self.book, ZONE, self.restarted.freeze())

    @rule()
    def is_looked_at(self) -> None:
        self.rarely_told += self.seldom.tick(self.now)
        self.again_told += self.restarted.tick(self.now)

    def _all(self, what: Callable[[Evaluator], list[Transition]]) -> None:
        self.told += what(self.often)
        self.rarely_told += what(self.seldom)
        self.again_told += what(self.restarted)

    def teardown(self) -> None:
        if not hasattr(self, "rule"):
            return
        end = self.now + 10**6
        told = ordered(self.told + self.often.tick(end))
        assert ordered(self.rarely_told + self.seldom.tick(end)) == told, "it hangs on when one looks"
        assert ordered(self.again_told + self.restarted.tick(end)) == told, "it hangs on a restart"
        assert len({(t.rule, t.subject, t.at, t.kind) for t in told}) == len(told), "the ledger's identity"
        for name in self.heard:
            self._one(name, [t for t in told if t.subject == name], end)
        for position, device_ in enumerate(ZONE):
            levels = [t.level for t in told if t.subject == device_.id]
            assert self.often.levels[position] == (levels[-1] if levels else 0)

    def _one(self, name: str, told: list[Transition], end: int) -> None:
        """What is owed to one device, by an argument of its own: the value that was known at each instant."""
        [term] = self.rule.when
        grace, on, off = self.rule.grace_s * S, self.rule.raise_after_s * S, self.rule.clear_after_s * S
        levels = list(term.thresholds.items())
        level, unknown = 0, False
        for t in told:
            assert t.was == level
            assert t.at <= end
            level = t.level
            if t.kind in (Kind.UNKNOWN, Kind.KNOWN):
                assert t.level == t.was, "silence changes no level"
                assert unknown is (t.kind is Kind.KNOWN)
                unknown = t.kind is Kind.UNKNOWN
                continue
            assert not unknown or t.at <= self._known_until(name, t.at, grace), "what is unknown changes nothing"
            wait = off if t.level < t.was else on
            values = self._values(name, t.at - wait, t.at, grace)
            assert values is not None, "known without a break"
            for at_level, threshold in levels:
                assert isinstance(threshold, float | int)
                if t.was < at_level <= t.level:
                    assert min(values) >= threshold, "the delay was not broken"
                if t.level < at_level <= t.was:
                    assert max(values) < threshold - term.band, "past the dead band for as long"

    def _known_until(self, name: str, at: int, grace: int) -> int:
        last = max((h for h, _ in self.heard[name] if h <= at), default=BEGIN - grace - 1)
        return min([last + grace, *(lost for n, lost in self.lost if n == name and last <= lost <= at)])

    def _values(self, name: str, begin: int, end: int, grace: int) -> list[float] | None:
        """All that was so in [begin, end]; None where something was not known."""
        heard = [h for h in self.heard[name] if h[0] <= end]
        first = max((i for i, (at, _) in enumerate(heard) if at <= begin), default=None)
        if first is None:
            return None
        found = heard[first:]
        for (at, _), after in zip(found, [*(h[0] for h in found[1:]), end], strict=True):
            # A reading in the very next millisecond leaves no moment between
            until = min([at + grace + (after != end), *(lost for n, lost in self.lost if n == name and at <= lost)])
            if after > until and not (after == end and end <= until):
                return None
        return [value for _, value in found]


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=300, stateful_step_count=40)
