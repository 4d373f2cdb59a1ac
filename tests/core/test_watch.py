"""The engine's alarm side: what the evaluator says is in the ledger first, and a death changes nothing."""

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from ingest.watch import KEPT_EVERY, Watch
from tests.zone import SMALL as SENSORS
from twin.clock import MINUTE, SECOND
from twin.errors import LedgerError
from twin.ledger import Ledger, alarms, rules, sqlite_url
from twin.observation import Observation
from twin.registry import Registry
from twin.rules import Condition, Rule, Term
from twin.standards import Level
from twin.store.memory import MemoryStore

T0 = 1_792_540_800_000
FULL = Rule(
    id="full",
    name="Car park full",
    when=(Term(metric="occupancy", condition=Condition.ABOVE, yellow=0.9, red=0.99, band=0.05),),
    raise_after_s=120,
    grace_s=600,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    found = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    with found.transaction() as connection:
        rules.commit(connection, (FULL,), author="me", reason="a test", base=0, at=T0)
    yield found
    found.close()


def at(minute: float, occupancy: float) -> Observation:
    moment = T0 + round(minute * MINUTE)
    return Observation("pk-1", moment, {"occupancy": occupancy}, moment + 50)


def open_alarms(ledger: Ledger) -> list[tuple[str, str, Level, int]]:
    with ledger.reading() as connection:
        return [(a.rule, a.subject, a.level, a.opened) for a in alarms.find(connection, now=T0 + 60 * MINUTE)]


def test_an_alarm_is_recorded_shown_and_told(ledger: Ledger) -> None:
    watch = Watch(SENSORS, ledger, T0)
    for minute in range(4):
        watch.step(at(minute, 0.95))
        watch.turn(T0 + minute * MINUTE + 50)
    ringing = watch.turn(T0 + 5 * MINUTE)
    assert open_alarms(ledger) == [("full", "pk-1", Level.YELLOW, T0 + 2 * MINUTE)]
    assert ringing is not None
    assert (dict(ringing.counts), ringing.unacknowledged, ringing.names["full"]) == ({2: 1}, 1, "Car park full")
    assert watch.levels[SENSORS.index["pk-1"]] == Level.YELLOW


def test_while_the_ledger_is_away_nothing_acts_and_nothing_is_lost(ledger: Ledger) -> None:
    watch = Watch(SENSORS, ledger, T0)
    with patch.object(Ledger, "transaction", side_effect=LedgerError("away")):
        for minute in range(4):
            watch.step(at(minute, 0.95))
            watch.turn(T0 + minute * MINUTE + 50)
    assert watch.levels.max() == 0
    watch.turn(T0 + 4 * MINUTE)
    assert [a[3] for a in open_alarms(ledger)] == [T0 + 2 * MINUTE]
    assert watch.levels.max() == Level.YELLOW


@pytest.mark.parametrize("died", [0.5, 1.5, 2.5, 3.5])
def test_a_death_at_any_moment_changes_nothing(ledger: Ledger, died: float) -> None:
    """The state was kept some time before; what came since is in the store."""
    store = MemoryStore(SENSORS)
    watch = Watch(SENSORS, ledger, T0)
    values = [0.95, 0.95, 0.95, 0.995, 0.995, 0.995, 0.7]
    for minute, value in enumerate(values[: int(died) + 1]):
        observation = at(minute, value)
        store.write([observation])
        watch.step(observation)
        watch.turn(observation.received)
    again = Watch(SENSORS, ledger, T0 + round(died * MINUTE) + 20 * SECOND)
    again.start(store, T0 + round(died * MINUTE) + 20 * SECOND)
    for minute, value in list(enumerate(values))[int(died) + 1 :]:
        again.step(at(minute, value))
        again.turn(at(minute, value).received)
    again.turn(T0 + 8 * MINUTE)
    with ledger.reading() as connection:
        said = [(t.at - T0, t.kind.value, t.level) for t in alarms.transitions(connection, T0, T0 + 60 * MINUTE)]
    assert said == [
        (2 * MINUTE, "raised", Level.YELLOW),
        (5 * MINUTE, "changed", Level.RED),
        (6 * MINUTE, "cleared", Level.NONE),
    ]


def test_other_rules_are_taken_over(ledger: Ledger) -> None:
    watch = Watch(SENSORS, ledger, T0)
    for minute in range(4):
        watch.step(at(minute, 0.95))
        watch.turn(T0 + minute * MINUTE + 50)
    with ledger.transaction() as connection:
        rules.commit(connection, (), author="me", reason="no more", base=1, at=T0 + 4 * MINUTE)
    watch.turn(T0 + 5 * MINUTE)
    watch.turn(T0 + 6 * MINUTE)
    assert watch.levels.max() == 0
    with ledger.reading() as connection:
        assert [a.closed is not None for a in alarms.find(connection, now=T0 + 7 * MINUTE)] == [True]


def test_a_state_of_another_version_is_begun_anew(ledger: Ledger) -> None:
    from twin.ledger import watch as kept

    with ledger.transaction() as connection:
        kept.keep(connection, b"\xc1 no such thing", at=T0)
    assert Watch(SENSORS, ledger, T0 + KEPT_EVERY).evaluator.watermark == T0 + KEPT_EVERY


def test_a_zone_of_none_has_no_alarms(ledger: Ledger) -> None:
    watch = Watch(Registry([]), ledger, T0)
    ringing = watch.turn(T0 + MINUTE)
    assert ringing is not None
    assert not ringing.alarms


def test_what_waited_at_the_broker_is_not_missed(ledger: Ledger) -> None:
    """The intake stores it after the start of the alarms, who have not heard it themselves."""
    store = MemoryStore(SENSORS)
    watch = Watch(SENSORS, ledger, T0)
    for minute in range(4):
        watch.step(at(minute, 0.95))
        watch.turn(T0 + minute * MINUTE + 50)
    watch.keep(T0 + 4 * MINUTE)
    begun = T0 + 6 * MINUTE
    again = Watch(SENSORS, ledger, begun)
    again.start(store, begun)
    store.write([Observation("pk-1", T0 + 5 * MINUTE, {"occupancy": 0.5}, begun + SECOND)])
    for second in range(0, 40, 5):
        again.turn(begun + second * SECOND)
    assert [a[2] for a in open_alarms(ledger)] == [Level.NONE]
