"""Ranges in memory: read once, grown by what came since, dropped when there are too many. On a real store in memory."""

import threading

import msgspec
import numpy as np
import pytest

from dashboards.backtests import IDLE, OLD, Backtests, Period, Range
from dashboards.views.rules import drawn
from tests.servers import wait_until
from tests.zone import SMALL, T0
from twin.alerts import run
from twin.clock import DAY, HOUR, MINUTE, ManualClock
from twin.errors import RefusedError, StoreAwayError
from twin.observation import Observation
from twin.rules import Book, Condition, Rule, Scope, Term
from twin.standards import Level
from twin.store import Columns
from twin.store.memory import MemoryStore

NOW = T0 + 2 * DAY
SPEED = "averageVehicleSpeed"


def slow(below: float, *devices: str) -> Rule:
    return Rule(
        id="slow",
        name="Slow",
        when=(Term(metric=SPEED, condition=Condition.BELOW, yellow=below),),
        scope=Scope(devices=devices or ("td-1", "td-2")),
    )


def readings(begin: int, end: int) -> list[Observation]:
    return [
        Observation(d, t, {SPEED: 50.0 - (t // HOUR % 24)}, t)
        for d in ("td-1", "td-2", "td-3")
        for t in range(begin, end, 5 * MINUTE)
    ]


class Counted(MemoryStore):
    """Counts what is read of it, and may be made to wait or to fail."""

    def __init__(self) -> None:
        super().__init__(SMALL)
        self.asked: list[tuple[tuple[str, ...], int, int]] = []
        self.go = threading.Event()
        self.go.set()
        self.away = False

    def columns(self, devices, metric, start, end):  # type: ignore[no-untyped-def]
        self.asked.append((tuple(devices), start, end))
        assert self.go.wait(10)
        if self.away:
            raise StoreAwayError("away")
        return super().columns(devices, metric, start, end)


@pytest.fixture
def store() -> Counted:
    made = Counted()
    made.write(readings(NOW - 2 * DAY, NOW))
    return made


def service(store: Counted, *, most: int = 1 << 30, clock: ManualClock | None = None) -> Backtests:
    return Backtests(SMALL, store, clock or ManualClock(NOW), most_bytes=most)


def got(backtests: Backtests, *rules: Rule, span: Period = Period(1)) -> Range:  # noqa: B008 (it is frozen)
    found = backtests.ask(span, rules, wait=10)
    assert isinstance(found, Range)
    return found


def test_it_says_what_the_evaluator_says(store: Counted) -> None:
    rule = slow(40)
    found = got(service(store), rule)
    told = run(Book(0, (rule,)), SMALL, readings(NOW - DAY, NOW), begin=NOW - DAY, end=NOW)
    assert found.story(rule) == told
    assert told


def test_another_threshold_reads_nothing_again(store: Counted) -> None:
    backtests = service(store)
    first = got(backtests, slow(40))
    assert got(backtests, slow(41), slow(40)) is first
    assert got(backtests, slow(41, "td-1")) is first
    assert len(store.asked) == 1
    assert len(first.story(slow(41))) != len(first.story(slow(20)))


def test_more_devices_are_read(store: Counted) -> None:
    backtests = service(store)
    got(backtests, slow(40))
    wider = got(backtests, slow(40, "td-1", "td-2", "td-3"))
    assert wider.need.devices == {"td-1", "td-2", "td-3"}
    assert got(backtests, slow(40)) is wider, "the narrower one is in it"


def test_a_rule_that_is_off_or_none_says_nothing(store: Counted) -> None:
    found = got(service(store), slow(40))
    assert found.story(None) == []
    assert found.story(msgspec.structs.replace(slow(40), enabled=False)) == []


def test_a_range_grows_by_what_has_come_since(store: Counted) -> None:
    clock = ManualClock(NOW)
    backtests = service(store, clock=clock)
    first = got(backtests, slow(40))
    clock.advance(OLD + MINUTE)
    store.write(readings(NOW, clock.now()))
    assert got(backtests, slow(40)) is first, "the old one answers while the new one is read"
    wait_until(lambda: got(backtests, slow(40)) is not first, "the new one is there")
    second = got(backtests, slow(40))
    assert (second.begin, second.end) == (clock.now() - DAY, clock.now())
    assert store.asked[1:] == [(("td-1", "td-2"), first.end, clock.now())], "only what is new was read"
    fresh = got(service(store, clock=clock), slow(40))
    for kept, read in zip(second.columns[SPEED], fresh.columns[SPEED], strict=True):
        assert np.array_equal(kept, read)
    assert second.story(slow(40)) == fresh.story(slow(40))


def test_an_exact_range_is_that_range(store: Counted) -> None:
    span = Period(0, NOW - 5 * HOUR, NOW - 3 * HOUR)
    found = got(service(store), slow(40), span=span)
    assert (found.begin, found.end) == (span.begin, span.end)


def test_progress_while_it_is_read_and_two_who_ask_wait_for_one_reading(store: Counted) -> None:
    backtests = service(store)
    store.go.clear()
    assert backtests.ask(Period(1), [slow(40)], wait=0.01) == 0.0
    assert backtests.ask(Period(1), [slow(39)], wait=0.01) == 0.0
    store.go.set()
    got(backtests, slow(40))
    assert len(store.asked) == 1


def test_the_longest_unused_is_dropped(store: Counted) -> None:
    size = got(service(store), slow(40)).bytes
    assert size > 0
    backtests = service(store, most=int(2.5 * size) + (1 << 18))
    kept = [got(backtests, slow(40), span=Period(0, NOW - DAY + i, NOW)) for i in range(40)]
    assert backtests.bytes <= backtests.most
    before = len(store.asked)
    assert got(backtests, slow(40), span=kept[-1].span) is kept[-1]
    assert len(store.asked) == before
    got(backtests, slow(40), span=kept[0].span)
    assert len(store.asked) == before + 1, "the first was dropped and is read again"


def test_what_nobody_asks_for_is_dropped(store: Counted) -> None:
    clock = ManualClock(NOW)
    backtests = service(store, clock=clock)
    exact = Period(0, NOW - DAY, NOW)
    got(backtests, slow(40), span=exact)
    clock.advance(IDLE)
    backtests.forget()
    assert backtests.bytes > 0
    got(backtests, slow(40), span=exact)
    clock.advance(IDLE)
    backtests.forget()
    assert backtests.bytes > 0, "it was asked for since"
    clock.advance(1)
    backtests.forget()
    assert backtests.bytes == 0


def test_what_cannot_fit_is_refused_before_it_is_read(store: Counted) -> None:
    with pytest.raises(RefusedError, match="2 devices over 1 days"):
        service(store, most=10_000).ask(Period(1), [slow(40)], wait=10)
    assert store.asked == []


def test_who_waits_is_told_that_the_store_is_away_and_may_ask_again(store: Counted) -> None:
    backtests = service(store)
    store.away = True
    with pytest.raises(StoreAwayError):
        backtests.ask(Period(1), [slow(40)], wait=10)
    store.away = False
    got(backtests, slow(40))


def test_what_a_condition_sees_is_in_the_unit_of_its_threshold(store: Counted) -> None:
    share = Term(metric=SPEED, condition=Condition.BELOW, yellow=0.5, of="freeSpeed")
    rule = Rule(id="r", name="R", when=(share,), scope=Scope(devices=("td-1",)))
    at, value = got(service(store), rule).history.seen(rule, 0, "td-1")
    assert value[0] == (50.0 - (int(at[0]) // HOUR % 24)) / 60.0
    silent = Rule(id="s", name="S", when=(Term(condition=Condition.ABSENT, yellow=600),), scope=rule.scope)
    at, value = got(service(store), silent).history.seen(silent, 0, "td-1")
    assert value.max() == pytest.approx(300, abs=0.01), "five minutes between two readings"
    assert value.min() == 0


def test_a_picture_is_no_finer_than_it_can_be_shown() -> None:
    fine = [(i * 10, i * 10 + 5, Level.BLUE) for i in range(1000)]
    assert drawn(fine, 0) == [[a, b, 1] for a, b, _ in fine]
    assert drawn(fine, 50) == [[0, 9995, 1]]
    apart = [(0, 5, Level.BLUE), (500, 505, Level.RED)]
    assert drawn(apart, 50) == [[0, 5, 1], [500, 505, 4]]
    beside = [(0, 500, Level.BLUE), (500, 1000, Level.RED)]
    assert drawn(beside, 50) == [[0, 500, 1], [500, 1000, 4]]
    assert drawn([(0, 500, Level.BLUE), (500, 505, Level.RED)], 50) == [[0, 505, 4]]


def test_what_was_before_the_first_reading_is_no_silence(store: Counted) -> None:
    silent = Rule(
        id="s", name="S", when=(Term(condition=Condition.ABSENT, yellow=600),), scope=Scope(devices=("td-1",))
    )
    found = got(service(store), silent, span=Period(30))
    assert (found.begin, found.short) == (NOW - 2 * DAY, True)
    assert found.story(silent) == []
    assert not got(service(store), silent, span=Period(1)).short


def test_nothing_stored_is_no_alarm() -> None:
    empty = Counted()
    found = got(service(empty), slow(40))
    assert found.story(slow(40)) == []
    assert isinstance(found.columns[SPEED], Columns)
