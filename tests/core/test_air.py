"""The clock hours of the air stations: what counts, and that order does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.zone import T0, device, seen
from twin import air
from twin.clock import HOUR, MINUTE, SECOND
from twin.observation import Observation
from twin.registry import Registry
from twin.store.memory import MemoryStore

ZONE = Registry(
    [
        device("aq-1", "air-station"),
        device("aq-2", "air-station", period_s=10),
        device("aq-3", "air-station", period_s=3600),
        device("ws-1", "weather-station"),
    ]
)
NOW = T0 + HOUR + 20 * MINUTE  # the hour from T0 is complete


def fold(*observations: Observation, now: int = NOW) -> air.Hours:
    hours = air.Hours(ZONE, now)
    for observation in observations:
        hours.fold(observation)
    return hours


def minutes(n: int, station: str = "aq-1", start: int = T0, **values: float) -> list[Observation]:
    return [seen(station, start + i * MINUTE, **(values or {"pm25": float(i)})) for i in range(n)]


def test_the_mean_of_a_clock_hour() -> None:
    before, after = minutes(60, start=T0 - HOUR, pm25=500.0), minutes(20, start=T0 + HOUR, pm25=900.0)
    assert fold(*before, *minutes(60), *after).means(T0) == {"aq-1": {"pm25": 29.5}}


@pytest.mark.parametrize(("n", "valid"), [(44, False), (45, True)])
def test_an_hour_counts_from_45_minutes(n: int, valid: bool) -> None:
    assert ("aq-1" in fold(*minutes(n)).means(T0)) is valid


def test_minutes_are_what_readings_stand_for_not_how_many_there_are() -> None:
    burst = [seen("aq-1", T0 + i * SECOND, pm25=1.0) for i in range(600)]
    assert fold(*burst).means(T0) == {}
    tens = [seen("aq-2", T0 + i * 10 * SECOND, pm25=1.0) for i in range(270)]
    assert fold(*tens[:-3]).means(T0) == {}
    assert fold(*tens).means(T0) == {"aq-2": {"pm25": 1.0}}
    assert fold(seen("aq-3", T0 + 30 * MINUTE, pm25=7.0)).means(T0) == {"aq-3": {"pm25": 7.0}}
    # A clock that trembles about the minute loses nothing
    trembling = [seen("aq-1", T0 + i * MINUTE + (50 if i % 2 else -50), pm25=1.0) for i in range(1, 46)]
    assert "aq-1" in fold(*trembling).means(T0)


def test_each_pollutant_is_valid_by_itself() -> None:
    readings = [*minutes(50, pm25=10.0), *minutes(10, start=T0 + 50 * MINUTE, pm25=10.0, co=1.0)]
    assert fold(*readings).means(T0) == {"aq-1": {"pm25": 10.0}}


def test_a_redelivery_counts_once_and_a_correction_replaces() -> None:
    hour = minutes(60)
    again = [Observation(o.device, o.at, o.values, o.received + 5_000) for o in hour[:30]]
    assert fold(*hour, *again).means(T0) == fold(*hour).means(T0)
    corrected = [Observation(o.device, o.at, {"pm25": 100.0}, o.received + 9_000) for o in hour]
    assert fold(*hour, *corrected).means(T0) == {"aq-1": {"pm25": 100.0}}
    # What was corrected and is delivered again stays corrected, as in every store
    late = [Observation(o.device, o.at, o.values, o.received + 20_000) for o in hour]
    assert fold(*hour, *corrected, *late).means(T0) == {"aq-1": {"pm25": 100.0}}


def test_of_corrections_received_at_once_the_last_counts() -> None:
    twice = [seen("aq-1", o.at, o.received, pm25=v) for o in minutes(60) for v in (3.0, 5.0)]
    assert fold(*twice).means(T0) == {"aq-1": {"pm25": 5.0}}


def test_a_late_reading_still_changes_its_hour() -> None:
    hours = fold(*minutes(44, pm25=10.0))
    assert hours.means(T0) == {}
    hours.fold(seen("aq-1", T0 + 50 * MINUTE, NOW, pm25=55.0))
    assert hours.means(T0)["aq-1"]["pm25"] == 11.0


def test_only_two_hours_are_kept() -> None:
    hours = fold(*minutes(60), *minutes(60, start=T0 + HOUR))
    hours.forget(T0 + 2 * HOUR - 1)
    assert hours.means(T0)
    hours.forget(T0 + 2 * HOUR)
    hours.fold(seen("aq-1", T0 + 59 * MINUTE, pm25=1.0))
    assert hours.means(T0) == {}
    assert hours.means(air.complete(T0 + 2 * HOUR)) == {"aq-1": {"pm25": 29.5}}


def test_other_devices_are_none_of_it() -> None:
    assert fold(*minutes(60, "ws-1", temperature=3.0), *minutes(60, "nobody")).means(T0) == {}


observations = st.builds(
    lambda d, minute, late, v: seen(d, T0 + minute * MINUTE, T0 + minute * MINUTE + late, pm25=v, co=v / 7),
    st.sampled_from(["aq-1", "aq-2"]),
    st.integers(0, 60),
    st.integers(0, 4),
    st.sampled_from([0.1, 0.2, 33.3]),
)


@given(st.lists(observations, max_size=40), st.randoms())
def test_the_order_of_arrival_does_not_matter(more: list[Observation], random: object) -> None:
    # One reading for each (device, at, received): two different ones received at the same instant have no order
    base = {(o.device, o.at, o.received): o for o in minutes(60, pm25=20.1, co=0.3)}
    distinct = list((base | {(o.device, o.at, o.received): o for o in more}).values())
    repeated = [*distinct, *distinct[::3]]
    random.shuffle(repeated)
    assert fold(*repeated).means(T0) == fold(*distinct).means(T0)


@given(st.lists(observations, max_size=40))
def test_the_store_gives_back_the_same_hours(found: list[Observation]) -> None:
    store = MemoryStore(ZONE)
    store.write(found)
    recalled = air.recall(ZONE, store, NOW)
    assert recalled.means(T0) == fold(*found).means(T0)
    assert air.recall(ZONE, store, NOW + HOUR).means(T0) == {}


def test_the_store_is_asked_for_what_was_known_then() -> None:
    store = MemoryStore(ZONE)
    hour = minutes(60, pm25=10.0)
    store.write(hour)
    store.write([Observation(o.device, o.at, {"pm25": 90.0}, NOW + 1) for o in hour])
    assert air.recall(ZONE, store, NOW, known=NOW).means(T0) == {"aq-1": {"pm25": 10.0}}
    assert air.recall(ZONE, store, NOW).means(T0) == {"aq-1": {"pm25": 90.0}}
