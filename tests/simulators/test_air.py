"""Air: never negative, and it answers weather, works, heat and traffic as it should."""

from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.air import Air, formed
from simulators.conditions import Conditions, Front, Leak, Weather, plane
from simulators.roadside import effort
from simulators.weather import weather
from tests.simulators.moment import NIGHT, moment
from tests.simulators.zone import zone
from twin.clock import HOUR, MINUTE, parse

ZONE = zone()
STATIONS = [d for d in ZONE if d.kind == "air-station"]
DUSK = parse("2026-12-10T18:00:00")


def ordinary(at: int) -> Conditions:
    now = moment(at)
    now.weather = weather(20261120, at)
    return now


def course(start: int, hours: int, turn: Callable[[Conditions, float], None]) -> dict[str, list[float]]:
    """Means over the stations, hourly from `start`, after a day of ordinary weather; `turn(now, hours since)`."""
    air, rng = Air(STATIONS, [], seed=20261120), np.random.default_rng(1)
    found: dict[str, list[float]] = {}
    for minute in range(-24 * 60, hours * 60 + 1):
        now = ordinary(start + minute * MINUTE)
        if minute >= 0:
            turn(now, minute / 60)
        air.step(now, rng)
        if minute >= 0 and minute % 60 == 0:
            for metric, values in air.read(now).items():
                found.setdefault(metric, []).append(float(values.mean()))
    return found


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "temperature": st.floats(-20, 45),
                "humidity": st.floats(0.05, 1),
                "wind": st.floats(0, 30),
                "wind_from": st.floats(0, 360),
                "rain": st.floats(0, 90),
                "cloud": st.floats(0, 1),
                "mixing_height": st.floats(30, 3_000),
                "solar": st.floats(0, 1_100),
                "pressure": st.floats(940, 1_000),
            }
        ),
        min_size=1,
        max_size=8,
    ),
    st.floats(0, 4),
    st.floats(0, 2),
)
@settings(max_examples=25)
def test_no_weather_makes_negative_air(skies: list[dict[str, float]], regional: float, works: float) -> None:
    air, rng = Air(STATIONS, [], seed=1), np.random.default_rng(1)
    for hour, sky in enumerate(skies):
        for minute in range(30):
            now = moment(NIGHT + hour * HOUR + minute * MINUTE)
            now.weather = Weather(**sky)
            now.regional, now.works = regional, works
            now.fronts = [Front(NIGHT, 315, 8, 700, 60, 60, 60)]
            now.leaks = [Leak(0, 0, 5_000, NIGHT, NIGHT + HOUR)]
            air.step(now, rng)
        for metric, values in air.read(now).items():
            assert np.isfinite(values).all(), metric
            assert (values >= 0).all(), metric
        found = air.read(now)
        assert (found["pm10"] >= found["pm25"]).all()


def stagnant(now: Conditions, hours: float) -> None:
    """Sixty hours under a lid that sinks, with the whole basin filling; then a cold front."""
    sky = now.weather
    sky.rain = 0.0
    if hours < 60:
        share = hours / 60
        sky.mixing_height = min(sky.mixing_height, 600 - 420 * share)
        sky.wind, sky.humidity = min(sky.wind, 0.6), max(sky.humidity, 0.86)
        now.regional = 1 + 1.6 * share
    else:
        share = min(hours - 60, 1)
        sky.mixing_height, sky.wind, sky.humidity = 180 + 1_320 * share, 0.6 + 5.4 * share, 0.4
        now.regional = 2.6 - 2.25 * share


def test_still_moist_air_fills_for_days_and_a_cold_front_clears_it() -> None:
    found = course(DUSK, 64, stagnant)
    fine, co = np.array(found["pm25"]), np.array(found["co"])
    assert 55 < fine[0] < 85
    assert 190 < fine[60] < 235
    assert co[0] == pytest.approx(0.75, abs=0.15)
    assert co[60] == pytest.approx(2.1, abs=0.25)
    assert fine[64] < 0.3 * fine[60]
    # Over the trend: humps in the small hours of the second night and after eight, a dip in the afternoon
    humps = [h for h in range(20, 48) if fine[h - 1] < fine[h] >= fine[h + 1]]
    assert any((18 + h) % 24 in (1, 2, 3) for h in humps)
    assert any((18 + h) % 24 in (8, 9) for h in humps)


def test_moist_air_makes_particles_of_gases() -> None:
    def humid(share: float) -> Callable[[Conditions, float], None]:
        def turn(now: Conditions, hours: float) -> None:
            now.weather.humidity, now.weather.rain = share, 0.0

        return turn

    dry, moist = (course(DUSK, 24, humid(share)) for share in (0.4, 0.95))
    assert moist["pm25"][-1] > 1.1 * dry["pm25"][-1]
    assert moist["so2"][-1] < dry["so2"][-1]
    assert moist["co"][-1] == dry["co"][-1]


def test_a_growing_layer_takes_in_cleaner_air() -> None:
    """The same layer at noon holds less if it had to grow to get there; a sinking one loses nothing."""

    def lid(before: float) -> Callable[[Conditions, float], None]:
        def turn(now: Conditions, hours: float) -> None:
            now.weather.mixing_height = before if hours < 12 else 600.0
            now.weather.wind, now.works = 0.5, 3.0

        return turn

    grown = course(DUSK, 14, lid(150))["co"]
    assert grown[14] < 0.75 * grown[12]


def test_a_cloudburst_washes_more_than_half_of_the_fine_particles_out() -> None:
    """62 mm in two hours."""

    def pour(now: Conditions, hours: float) -> None:
        now.weather.rain = 31.0 if 0 < hours <= 2 else 0.0

    found = course(parse("2026-07-20T17:00:00"), 2, pour)
    assert 0.3 < found["pm25"][2] / found["pm25"][0] < 0.5
    assert found["pm10"][2] / found["pm10"][0] < found["pm25"][2] / found["pm25"][0]
    assert found["co"][2] > 0.7 * found["co"][0]


def test_works_that_rest_give_off_nothing() -> None:
    def rest(share: float) -> Callable[[Conditions, float], None]:
        def turn(now: Conditions, hours: float) -> None:
            now.works = share

        return turn

    busy, idle = (course(DUSK, 12, rest(share)) for share in (1.0, 0.3))
    for metric in ("pm25", "pm10", "so2", "co"):
        assert idle[metric][-1] < busy[metric][-1]


def eight_hours_of_ozone(warmest: float) -> float:
    """The greatest mean of eight hours on a clear July day, µg/m³, where NO2 is at 15."""
    hours = []
    for hour in range(24):
        temperature = warmest - 5.5 * (1 - np.cos(2 * np.pi * (hour - 15) / 24))
        now = moment(parse("2026-07-20T00:00:00") + hour * HOUR, temperature=temperature, cloud=0.1, solar=800)
        hours.append(formed(now) + 0.22 * 15)
    return float(max(np.convolve(hours, np.ones(8) / 8, "valid")))


def test_a_heat_wave_makes_ozone() -> None:
    usual, hot, hottest = (eight_hours_of_ozone(t) for t in (30, 36, 40.5))
    assert 110 < usual < 155
    assert hot == pytest.approx(175, abs=12)
    assert hottest == pytest.approx(230, abs=15)


@given(st.floats(-20, 45), st.floats(0, 8))
def test_ozone_rises_with_heat_and_falls_with_cloud(temperature: float, warmer: float) -> None:
    at = parse("2026-07-20T15:00:00")
    assert formed(moment(at, temperature=temperature + warmer)) >= formed(moment(at, temperature=temperature))
    assert formed(moment(at, temperature=temperature, cloud=0.9)) < formed(moment(at, temperature=temperature))


# ---------------------------------------------------------------- beside roads, in dust, in a plume


@given(st.floats(20, 60))
def test_crawling_costs(speed: float) -> None:
    assert effort(50.0) == pytest.approx(1.0)
    assert effort(speed - 10) > effort(speed)
    assert effort(0.0) == effort(3.0)


def kerb(wind: float, flow: float, speed: float) -> float:
    """NO2 beside an arterial with `flow` veh/h and `speed` km/h in each direction, less that without traffic."""
    links = [d for d in ZONE if d.kind == "link-detector"][:2]
    station = msgspec.structs.replace(STATIONS[0], lon=links[0].lon, lat=links[0].lat + 6 / 111_320)
    levels = []
    for q in (flow, 0.0):
        air, now = Air([station], links, seed=1), moment(NIGHT, wind=wind, flow=[q, q], speed=[speed, speed])
        levels.append(air.read(now)["no2"][0])
    return float(levels[0] - levels[1])


def test_a_jam_raises_no2_at_the_kerb_most_in_a_calm() -> None:
    def jam(wind: float) -> float:
        return kerb(wind, 1_323, 6) - kerb(wind, 2_460, 40)

    assert 25 < jam(0.4) < 60
    assert 4 < jam(1.3) < 20
    assert jam(0.4) > jam(1.3) > jam(3.0) > 0


def test_dust_passes_over_the_stations_and_a_tenth_of_it_is_fine() -> None:
    air, now = Air(STATIONS, [], seed=1), moment(NIGHT + 4 * HOUR)
    before = air.read(now)
    now.fronts = [Front(NIGHT, 315, 10, 760, 150, 480, 480)]
    after = air.read(now)
    assert (after["pm10"] - before["pm10"]).mean() == pytest.approx(760, rel=0.15)
    assert (after["pm25"] - before["pm25"]).mean() == pytest.approx(80, rel=0.15)
    haze, dust = air.around(now, np.zeros((1, 2)))
    assert haze == pytest.approx(air.box.level[0])
    assert dust == pytest.approx(760 + air.box.level[1])


def test_a_leak_is_read_where_it_blows() -> None:
    air, rng = Air(STATIONS, [], seed=1), np.random.default_rng(1)
    east, north = plane(STATIONS)[0].tolist()
    for minute in range(1, 40):
        now = moment(NIGHT + minute * MINUTE, wind=2.0, wind_from=270)
        now.leaks = [Leak(east - 500, north, 10_000, NIGHT, NIGHT + HOUR)]
        air.step(now, rng)
    metric = "volatileOrganicCompoundsTotal"
    with_leak = air.read(now)[metric]
    air.plume.level = np.zeros(len(STATIONS))
    more = with_leak - air.read(now)[metric]
    assert more[0] > 1
