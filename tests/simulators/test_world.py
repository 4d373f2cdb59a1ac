"""The world as a whole: the same bytes again, no seam between two beginnings, and nothing a sensor could not say."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.conditions import Conditions, Wander, smooth, stream, sun_elevation, traits
from simulators.world import World
from tests.simulators.conftest import Fortnight
from tests.simulators.zone import zone
from tests.zone import SMALL
from twin.clock import DAY, HOUR, MINUTE, local, parse
from twin.observation import METRICS, Domain, columns
from twin.registry import Registry, read

START = parse("2026-11-20T05:30:00")
NOW = World(SMALL, seed=1, start=START).now


def everything(world: World) -> bytes:
    return b"".join(world.read(d).values[m].tobytes() for d in Domain for m in columns(d))


def test_same_seed_and_range_same_bytes_another_seed_others() -> None:
    def run(seed: int) -> list[bytes]:
        world, seen = World(zone(), seed=seed, start=START), []
        for minute in range(0, 120, 7):
            world.advance(START + minute * MINUTE)
            seen.append(everything(world))
        return seen

    first = run(7)
    assert first == run(7)
    assert all(a != b for a, b in zip(first, run(8), strict=True))


def test_how_it_is_advanced_does_not_matter() -> None:
    end = START + 90 * MINUTE
    one, many = World(zone(), seed=7, start=START), World(zone(), seed=7, start=START)
    one.advance(end)
    for at in range(START, end + 1, 17_003):
        many.advance(at)
        many.read(Domain.CITY)
        many.advance(at - DAY)  # a time already passed
    many.advance(end)
    assert one.at == many.at
    assert everything(one) == everything(many)


def test_reading_twice_says_the_same() -> None:
    world = World(zone(), seed=7, start=START)
    first = everything(world)
    assert everything(world) == first
    assert world.read(Domain.TRAFFIC).at == world.at == START


def test_it_begins_at_local_midnight_of_the_day_before_and_stands_on_whole_minutes() -> None:
    world = World(SMALL, seed=7, start=START + 31_000)
    assert world.at == START
    early = World(SMALL, seed=7, start=parse("2026-11-20T00:00:20"))
    assert local(early.at).strftime("%H:%M:%S") == "00:00:00"


@pytest.mark.parametrize("seam", ["2026-11-17T00:30:00", "2026-11-18T09:20:00"])
def test_a_world_begun_later_goes_on_where_an_earlier_one_is(seam: str) -> None:
    """History filled in by one and live values from the other meet: at most a handful of readings differ at all."""
    at = parse(seam)
    earlier = World(zone(servers=40), seed=3, start=at - 36 * HOUR)
    earlier.advance(at)
    later = World(zone(servers=40), seed=3, start=at)
    differ = total = 0
    for domain in Domain:
        a, b = earlier.read(domain).values, later.read(domain).values
        for metric in columns(domain):
            same = np.isclose(a[metric], b[metric], rtol=2e-3, atol=10.0 ** -METRICS[metric].decimals, equal_nan=True)
            differ += int((~same).sum())
            total += int((~np.isnan(a[metric])).sum())
    assert differ <= 0.01 * total


def test_two_weeks_stay_within_the_valid_range_of_every_metric(fortnight: Fortnight) -> None:
    for domain, metrics in fortnight.values.items():
        assert set(metrics) == set(columns(domain))
        for name, values in metrics.items():
            measured = np.array([name in d.metrics for d in fortnight.registry.of(domain)])
            assert np.isnan(values[:, ~measured]).all(), name
            found = values[:, measured]
            assert np.isfinite(found).all(), name
            metric = METRICS[name]
            assert metric.low <= found.min(), (name, found.min())
            assert found.max() <= metric.high, (name, found.max())


def test_two_weeks_are_never_frozen(fortnight: Fortnight) -> None:
    """A sensor that repeats itself for days would be taken for broken: what wanders by nature must."""
    for kind, metric in (
        ("link-detector", "intensity"),
        ("air-station", "pm25"),
        ("noise-monitor", "LAeq"),
        ("weather-station", "temperature"),
        ("water-station", "waterLevel"),
        ("server", "gpuUtilization"),
        ("street-light", "voltage"),
        ("pumping-station", "waterLevel"),
    ):
        values = fortnight.of(kind, metric).round(METRICS[metric].decimals + 2)
        assert (np.diff(values, axis=0) != 0).mean() > 0.35, kind


def test_a_registry_of_few_or_no_devices_is_a_world_too() -> None:
    for registry in (SMALL, Registry([])):
        world = World(registry, seed=1, start=START)
        for domain in Domain:
            for metric, values in world.read(domain).values.items():
                expected = [metric not in d.metrics for d in registry.of(domain)]
                assert np.isnan(values).tolist() == expected, metric


def test_the_zone_as_it_is_drawn_can_be_simulated() -> None:
    registry = read(Path(__file__).parents[2] / "layers" / "data" / "devices.json")
    world = World(registry, seed=20261120, start=parse("2026-11-20T00:10:00"))
    world.advance(parse("2026-11-20T08:00:00"))
    for domain in Domain:
        for name, values in world.read(domain).values.items():
            measured = np.array([name in d.metrics for d in registry.of(domain)])
            assert (np.isfinite(values) == measured).all(), name
            assert np.nanmin(values) >= METRICS[name].low, name
            assert np.nanmax(values) <= METRICS[name].high, name


def test_a_device_that_lists_fewer_metrics_has_fewer() -> None:
    poor = [msgspec.structs.replace(d, metrics=("no2",)) if d.kind == "air-station" else d for d in zone()]
    block = World(Registry(poor), seed=1, start=START).read(Domain.ENVIRONMENT)
    row = next(i for i, d in enumerate(block.devices) if d.kind == "air-station")
    assert np.isfinite(block.values["no2"][row])
    assert np.isnan(block.values["pm25"][row])


def test_another_device_does_not_change_what_is_fixed_about_the_rest() -> None:
    assert traits(1, "x", ["a", "b", "c"])[[0, 2]].tolist() == traits(1, "x", ["a", "c"]).tolist()


# ---------------------------------------------------------------- scenarios


def test_a_scenario_may_close_lanes() -> None:
    class Closed:
        faults = ()

        def apply(self, now: Conditions) -> None:
            now.capacity[0] = 0.2

    start = parse("2026-11-20T07:00:00")
    free = World(zone(), seed=3, start=start)
    closed = World(zone(), seed=3, start=start, scenarios=[Closed()])
    for world in (free, closed):
        world.advance(start + HOUR)
    before, after = (w.read(Domain.TRAFFIC).values["averageVehicleSpeed"][0] for w in (free, closed))
    assert after < 0.5 * before


# ---------------------------------------------------------------- randomness and the sun


@given(st.integers(0, 2**63), st.integers(-(2**40), 2**40))
def test_streams_repeat_and_differ_by_name_and_step(seed: int, step: int) -> None:
    one = stream(seed, "traffic", step).random(4).tolist()
    assert stream(seed, "traffic", step).random(4).tolist() == one
    assert stream(seed, "traffic", step + 1).random(4).tolist() != one
    assert stream(seed, "parking", step).random(4).tolist() != one


def test_smooth_is_a_standard_normal_without_jumps() -> None:
    values = np.array([smooth(1, "x", k * 10 * MINUTE, 2 * HOUR) for k in range(20_000)])
    assert abs(values.mean()) < 0.1
    assert 0.9 < values.std() < 1.1
    assert np.abs(np.diff(values)).max() < 0.9


@settings(max_examples=20)
@given(st.floats(5, 120))
def test_a_wander_is_a_standard_normal_that_forgets(minutes: float) -> None:
    a, b = Wander(500, minutes), Wander(500, minutes)
    b.now = b.now + 5
    for step in range(int(12 * minutes)):
        a.step(stream(1, "w", step))
        b.step(stream(1, "w", step))
    assert 0.85 < a.now.std() < 1.15
    assert np.abs(a.now - b.now).max() < 1e-3


@pytest.mark.parametrize(
    ("day", "rise", "fall", "noon"),
    # Xi'an: the sun's centre crosses -0.83° at the published rise and fall
    [("06-21", "05:33", "19:59", 79.1), ("09-23", "06:31", "18:37", 55.7), ("12-21", "07:46", "17:38", 32.3)],
)
def test_the_sun_rises_when_it_does(day: str, rise: str, fall: str, noon: float) -> None:
    for moment in (rise, fall):
        assert sun_elevation(parse(f"2026-{day}T{moment}:00")) == pytest.approx(-0.83, abs=0.9)
    assert sun_elevation(parse(f"2026-{day}T12:40:00")) == pytest.approx(noon, abs=0.8)
