"""The evaluator under hostile input: history equals live, ticks change nothing, a restart changes nothing."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.zone import T0, device
from twin.alerts import Transition, run
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


@settings(max_examples=1_500, deadline=None)
@given(rules(), histories())
def test_history_equals_live(rule: Rule, observations: list[Observation]) -> None:
    live = run(Book(1, (rule,)), ZONE, observations, begin=BEGIN, end=END)
    assert from_history(rule, observations) == live
