"""Environment: what must hold whatever the day, and what a duty officer would expect to see."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.conditions import Conditions, Weather
from simulators.environment import weather
from simulators.noise import L10_TO_LEQ, crtn
from simulators.water import stage
from simulators.world import World
from tests.simulators.conftest import Fortnight
from tests.simulators.zone import zone
from twin.clock import DAY, HOUR, parse
from twin.observation import Domain
from twin.registry import Registry


def test_crtn() -> None:
    # L10 at 10 m; Leq is 3 dB less in free-flowing traffic
    assert crtn(2_700, 50, 6) == pytest.approx(75.75, abs=0.05)
    assert crtn(2_700, 50, 6) + L10_TO_LEQ == pytest.approx(72.8, abs=0.1)
    # CRTN chart 2 to 4: no correction at 75 km/h without heavy vehicles; 3 dB a doubling
    assert crtn(1_000, 75, 0) == pytest.approx(72.2, abs=0.1)
    assert crtn(2_000, 75, 0) - crtn(1_000, 75, 0) == pytest.approx(3.01, abs=0.01)


@given(st.floats(50, 8_000), st.floats(20, 120), st.floats(0, 40))
def test_crtn_grows_with_flow_and_heavy_vehicles(flow: float, speed: float, heavy: float) -> None:
    assert crtn(flow * 1.1, speed, heavy) > crtn(flow, speed, heavy)
    assert crtn(flow, speed, heavy + 1) > crtn(flow, speed, heavy)


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


def test_roads_are_loud_by_day_and_quieter_at_night(fortnight: Fortnight) -> None:
    kerb = [
        i for i, d in enumerate(fortnight.registry) if d.kind == "noise-monitor" and d.attributes["noiseClass"] == "4a"
    ]
    assert kerb
    level = fortnight.of("noise-monitor", "LAeq")
    day, night = level[fortnight.during(9, 17)].mean(axis=0), level[fortnight.during(1, 4)].mean(axis=0)
    assert (day > night + 4).all()
    assert 62 < day.max() < 78
    assert (fortnight.of("noise-monitor", "LAmax") > level).all()


@pytest.mark.parametrize(
    ("month", "coldest", "warmest"), [(1, (-6, 2), (1, 10)), (7, (19, 26), (27, 36)), (11, (0, 8), (6, 15))]
)
def test_the_seasons_of_34_degrees_north(month: int, coldest: tuple[int, int], warmest: tuple[int, int]) -> None:
    lows, highs = [], []
    for year in range(2024, 2030):
        start = parse(f"{year}-{month:02d}-10T00:00:00")
        for day in range(12):
            hours = [weather(9, start + day * DAY + h * HOUR).temperature for h in range(24)]
            lows.append(min(hours))
            highs.append(max(hours))
    assert coldest[0] < np.mean(lows) < coldest[1]
    assert warmest[0] < np.mean(highs) < warmest[1]


def test_it_rains_sometimes_and_more_in_september_than_in_november() -> None:
    def rain(month: int) -> tuple[float, float]:
        found = []
        for year in range(2010, 2030):
            start = parse(f"{year}-{month:02d}-01T00:00:00")
            found += [weather(9, start + h * HOUR).rain for h in range(30 * 24)]
        return float(np.mean(np.array(found) > 0)), float(np.sum(found) / 20)

    (wet_nov, mm_nov), (wet_sep, mm_sep) = rain(11), rain(9)
    assert 0.02 < wet_nov < 0.1
    assert 5 < mm_nov < 60
    assert wet_sep > wet_nov
    assert 50 < mm_sep < 250


def test_an_outfall_is_not_the_river() -> None:
    stations = [d for d in zone() if d.kind == "water-station"]
    moved = [msgspec.structs.replace(d, district="dist:materials" if i else d.district) for i, d in enumerate(stations)]
    block = World(Registry(moved), seed=1, start=parse("2026-11-20T00:10:00")).read(Domain.ENVIRONMENT)
    discharge = block.values["waterDischarge"]
    assert 25 < discharge[0] < 130
    assert (discharge[1:] < 2).all()


@given(st.floats(-10, 40), st.floats(0.05, 1.0))
def test_the_wet_bulb_is_under_the_dry(temperature: float, humidity: float) -> None:
    sky = Weather(temperature, humidity, 1, 0, 0, 0, 970, 300, 0)
    assert sky.wet_bulb <= temperature + 1.1  # Stull's formula is good to 1 K


def test_the_wet_bulb_is_stulls() -> None:
    assert Weather(20, 0.5, 1, 0, 0, 0, 970, 300, 0).wet_bulb == pytest.approx(13.7, abs=0.05)


def test_the_rating_of_the_wei() -> None:
    assert stage(3_000) == pytest.approx(4.0, abs=0.05)
    assert stage(6_050) == pytest.approx(6.1, abs=0.05)
