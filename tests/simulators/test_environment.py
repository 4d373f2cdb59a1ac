"""Environment: what must hold whatever the day, and what a duty officer would expect to see."""

import numpy as np

from simulators.conditions import Conditions, Front, Leak
from simulators.world import World
from tests.simulators.conftest import Fortnight
from tests.simulators.zone import zone
from twin.clock import HOUR, MINUTE, parse
from twin.observation import Domain


def test_november_air_is_that_of_the_guanzhong_plain(fortnight: Fortnight) -> None:
    mean = {p: fortnight.of("air-station", p).mean() for p in ("pm25", "pm10", "so2", "no2", "co", "o3")}
    assert 45 < mean["pm25"] < 105
    assert 1.1 < mean["pm10"] / mean["pm25"] < 2.2
    assert 5 < mean["so2"] < 25
    assert 25 < mean["no2"] < 70
    assert 0.5 < mean["co"] < 1.6
    assert 15 < mean["o3"] < 60
    assert (fortnight.of("air-station", "pm10") > fortnight.of("air-station", "pm25")).all()


def test_no2_follows_traffic_and_ozone_the_sun(fortnight: Fortnight) -> None:
    no2, o3 = (fortnight.of("air-station", p).mean(axis=1) for p in ("no2", "o3"))
    rush, small_hours = fortnight.during(8, 9.5), fortnight.during(3, 5)
    assert no2[rush].mean() > 1.15 * no2[small_hours].mean()
    assert o3[fortnight.during(14, 16)].mean() > 1.4 * o3[fortnight.during(7, 9)].mean()


def test_without_traffic_there_is_less_no2() -> None:
    class Empty:
        faults = ()

        faults = ()

        def apply(self, now: Conditions) -> None:
            now.demand = 0.0

    at = parse("2026-11-20T03:30:00")
    usual, empty = (World(zone(8, 8), seed=3, start=at, scenarios=s) for s in ([], [Empty()]))

    def share_of_traffic() -> float:
        with_cars, without = (np.nanmean(w.read(Domain.ENVIRONMENT).values["no2"]) for w in (usual, empty))
        return float(with_cars - without)

    night = share_of_traffic()
    for world in (usual, empty):
        world.advance(parse("2026-11-20T09:00:00"))
    assert share_of_traffic() > 3
    assert share_of_traffic() > 3 * night > 0


def test_worlds_meet_in_haze_dust_and_a_leak() -> None:
    """Begun a day and a half apart, they read the same in an episode that both were in from their beginning."""
    at = parse("2026-12-12T01:40:00")

    class Episode:
        faults = ()

        def apply(self, now: Conditions) -> None:
            now.weather.wind, now.weather.mixing_height, now.weather.humidity = 0.5, 180.0, 0.95
            now.regional, now.weather.rain = 2.5, 0.0
            now.fronts.append(Front(at - 2 * HOUR, 315, 10, 700, 150, 480, 480))
            now.leaks.append(Leak(-1_000, 500, 10_000, at - 40 * MINUTE, at + HOUR))

    small = zone(3, 3, parks=1, servers=1)
    earlier, later = (World(small, seed=3, start=at - back, scenarios=[Episode()]) for back in (36 * HOUR, 0))
    earlier.advance(at)
    a, b = (w.read(Domain.ENVIRONMENT).values for w in (earlier, later))
    for metric in ("pm25", "pm10", "so2", "no2", "co", "o3", "volatileOrganicCompoundsTotal", "visibility"):
        assert np.allclose(a[metric], b[metric], rtol=5e-3, equal_nan=True), metric


def test_a_wall_of_dust_darkens_the_weather_stations_one_after_the_other() -> None:
    at = parse("2026-03-20T13:00:00")

    class Dust:
        faults = ()

        def apply(self, now: Conditions) -> None:
            now.fronts.append(Front(at + HOUR, 270, 3, 850, 150, 480, 480))
            now.weather.humidity, now.weather.rain = 0.2, 0.0

    world = World(zone(5, 3, stations=4, servers=1), seed=3, start=at, scenarios=[Dust()])
    devices = [d for d in world.registry if d.kind == "weather-station"]
    rows = [i for i, d in enumerate(world.devices[Domain.ENVIRONMENT]) if d.kind == "weather-station"]
    clear = world.read(Domain.ENVIRONMENT).values["visibility"][rows]
    world.advance(at + HOUR)
    seen = world.read(Domain.ENVIRONMENT).values["visibility"][rows] / clear
    assert np.argsort([d.lon for d in devices]).tolist() == np.argsort(seen).tolist()
    world.advance(at + 6 * HOUR)
    assert (world.read(Domain.ENVIRONMENT).values["visibility"][rows] < 1_500).all()
