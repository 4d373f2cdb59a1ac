"""City: what must hold whatever the day, and what a duty officer would expect to see."""

from copy import deepcopy
from functools import cache

import numpy as np
import pytest

from simulators.citizens import SUBJECTS
from simulators.city import City
from simulators.conditions import Array, Concern, Conditions, Sound, plane
from simulators.world import Scenario, World
from tests.simulators.conftest import Fortnight
from tests.simulators.laid import Laid, cloudburst
from tests.simulators.zone import zone
from twin.clock import HOUR, MINUTE, parse
from twin.observation import Domain
from twin.registry import Device


def test_lamps_burn_when_it_is_dark(fortnight: Fortnight) -> None:
    lit, power = fortnight.of("street-light", "illuminanceOn"), fortnight.of("street-light", "powerConsumption")
    assert (lit[fortnight.during(9, 16)] == 0).all()
    assert lit[fortnight.during(19, 24)].min() > 0.9
    assert 0.5 < lit[fortnight.during(1, 5)].mean() < 0.7
    assert power[fortnight.during(19, 24)].min() > 20 * power[fortnight.during(9, 16)].max()


def test_covers_are_opened_rarely(fortnight: Fortnight) -> None:
    world = World(zone(2, 2, covers=400), seed=1, start=parse("2026-11-20T00:00:00"))
    open_at = []
    for hour in range(48):
        world.advance(parse("2026-11-20T00:00:00") + hour * HOUR)
        open_at.append(np.nansum(world.read(Domain.CITY).values["coverOpen"]))
    assert 0 < max(open_at) < 10


def test_wet_wells_are_pumped_between_their_levels(fortnight: Fortnight) -> None:
    level, pumps = fortnight.of("pumping-station", "waterLevel"), fortnight.of("pumping-station", "pumpsRunning")
    assert level.min() > 0.7
    assert level.max() < 5
    assert 0 < (pumps > 0).mean() < 0.9
    assert ((fortnight.of("pumping-station", "flow") > 0) == (pumps > 0)).all()


# ---------------------------------------------------------------- scenarios


@cache
def usual(start: int) -> World:
    return World(zone(lights=40), seed=3, start=start)


def at(start: int, *scenarios: Scenario) -> tuple[World, City]:
    """None of them may have begun before that."""
    world = deepcopy(usual(start - MINUTE))
    for scenario in scenarios:
        world.add(scenario)
    world.advance(start)
    city = world.models[Domain.CITY]
    assert isinstance(city, City)
    return world, city


def kind(world: World, kind: str, metric: str) -> Array:
    block = world.read(Domain.CITY)
    return block.values[metric][[d.kind == kind for d in block.devices]]


NIGHT = parse("2026-11-20T21:00:00")


def test_lamps_and_pumps_let_go_in_a_dip_of_the_voltage_and_come_back() -> None:
    def dip(now: Conditions) -> None:
        now.voltage = 0.7

    world, city = at(NIGHT - MINUTE, Laid(NIGHT, 1, dip))
    city.level[:] = 4.0
    before = kind(world, "street-light", "voltage")
    world.advance(NIGHT)
    assert (kind(world, "street-light", "illuminanceOn") == 0).all()
    assert kind(world, "street-light", "voltage") == pytest.approx(0.7 * before, rel=0.03)
    assert (kind(world, "pumping-station", "pumpsRunning") == 0).all()
    world.advance(NIGHT + MINUTE)
    assert (kind(world, "street-light", "illuminanceOn") > 0.9).all()
    assert (kind(world, "pumping-station", "pumpsRunning") > 0).all()


def test_a_dip_that_lamps_ride_through_only_shows() -> None:
    def dip(now: Conditions) -> None:
        now.voltage = 0.85

    world, _ = at(NIGHT, Laid(NIGHT, 1, dip))
    assert (kind(world, "street-light", "illuminanceOn") > 0.9).all()
    assert (kind(world, "street-light", "voltage") < 205).all()


def test_62_mm_in_two_hours_close_the_road_under_the_railway() -> None:
    start = parse("2026-07-17T17:05:00")

    def pour(now: Conditions) -> None:
        minute = (now.at - start) / MINUTE
        now.weather.rain += float(np.interp(minute, (0, 10, 60, 70, 110, 120), (0, 47, 47, 19, 17, 0)))

    world, city = at(start, Laid(start, 120, pour))
    depth, closed = [], []
    for minute in range(241):
        world.advance(start + minute * MINUTE)
        depth.append(city.depth)
        closed.append(city.closed_links)
    rail, other = np.array(depth).T
    assert rail[0] == 0
    assert rail[35] == pytest.approx(0.38, abs=0.03)
    first = next(m for m, links in enumerate(closed) if links)
    assert 15 < first < 35
    assert rail[first - 1] < 0.27 <= rail[first]
    assert closed[first] == ("link:(1, 1)-(2, 1)", "link:(2, 1)-(1, 1)")
    assert 0.05 < other.max() < 0.27
    assert rail.max() < 1.0
    # Opened only when it can be driven through again, and dry two hours after the rain
    opened = next(m for m in range(first, 241) if not closed[m])
    assert rail[opened] < 0.15
    assert rail[-1] == other[-1] == 0


def test_an_underpass_without_power_goes_on_filling() -> None:
    def cut(now: Conditions) -> None:
        now.voltage = 0.0

    start = parse("2026-07-17T17:05:00")
    rain = cloudburst(start, mm_per_h=33.8)
    depths = []
    for scenarios in ([rain], [rain, Laid(start, 300, cut)]):
        world, city = at(start, *scenarios)
        world.advance(start + 200 * MINUTE)
        depths.append(city.depth)
    assert (depths[1] > depths[0] + 0.2).all()


def test_pumping_stations_work_harder_in_rain() -> None:
    start = parse("2026-07-17T17:05:00")
    flows = []
    for scenarios in ([], [cloudburst(start)]):
        world, _ = at(start, *scenarios)
        pumped = []
        for minute in range(120):
            world.advance(start + minute * MINUTE)
            pumped.append(kind(world, "pumping-station", "flow").sum())
        flows.append(float(np.mean(pumped)))
    assert flows[1] > 3 * flows[0]


# ---------------------------------------------------------------- citizens


def calls(world: World, subject: str) -> Array:
    return kind(world, "city-grid", subject)


def test_reports_are_the_sum_of_their_subjects_and_few_on_a_usual_day(fortnight: Fortnight) -> None:
    parts = [fortnight.of("city-grid", subject) for subject in SUBJECTS]
    total = fortnight.of("city-grid", "reports")
    assert (np.sum(parts, axis=0) == total).all()
    assert 0.2 < total.mean() < 1.0
    assert total.max() < 15
    parking = fortnight.of("city-grid", "parkingReports")
    assert parking[fortnight.during(18, 21)].mean() > 2 * parking[fortnight.during(3, 6)].mean()


def test_a_concern_makes_people_about_it_call_for_as_long_as_it_lasts() -> None:
    cell = next(d for d in zone() if d.kind == "city-grid")
    ((east, north),) = plane([cell])
    smell = Concern("odourReports", float(east), float(north), per_hour=90.0, reach=600.0)
    world, _ = at(NIGHT, Laid(NIGHT, 60, lambda now: now.concerns.append(smell)))
    world.advance(NIGHT + 59 * MINUTE)
    found = calls(world, "odourReports")
    assert found.sum() == pytest.approx(90, abs=40)
    assert found[0] > 0.9 * found.sum()
    assert calls(world, "noiseReports").sum() < 15
    world.advance(NIGHT + 2 * HOUR)
    assert calls(world, "odourReports").sum() < 5


def test_people_call_about_what_is_wrong_near_them() -> None:
    def of(kind: str) -> list[Device]:
        return [d for d in zone() if d.kind == kind]

    east, north = plane(of("city-grid"))[1]

    def dark(now: Conditions) -> None:
        now.voltage = 0.5

    def crowd(now: Conditions) -> None:
        now.visitors[:] = 40.0

    def stage(now: Conditions) -> None:
        now.sounds.append(Sound(float(east), float(north), 92.0))

    ordinary, _ = at(NIGHT)
    ordinary.advance(NIGHT + HOUR)
    for subject, scenario in (
        ("floodReports", cloudburst(NIGHT)),
        ("facilityReports", Laid(NIGHT, 61, dark)),
        ("parkingReports", Laid(NIGHT, 61, crowd)),
        ("noiseReports", Laid(NIGHT, 61, stage)),
    ):
        world, _ = at(NIGHT, scenario)
        world.advance(NIGHT + HOUR)
        assert calls(world, subject).sum() > 4 + 2 * calls(ordinary, subject).sum(), subject
    assert calls(world, "noiseReports").argmax() == 1
