"""Weather: the seasons, the rain and the view."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.conditions import Weather
from simulators.weather import visibility, weather
from twin.clock import DAY, HOUR, parse


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


@given(st.floats(-10, 40), st.floats(0.05, 1.0))
def test_the_wet_bulb_is_under_the_dry(temperature: float, humidity: float) -> None:
    sky = Weather(temperature, humidity, 1, 0, 0, 0, 970, 300, 0)
    assert sky.wet_bulb <= temperature + 1.1  # Stull's formula is good to 1 K


def test_the_wet_bulb_is_stulls() -> None:
    assert Weather(20, 0.5, 1, 0, 0, 0, 970, 300, 0).wet_bulb == pytest.approx(13.7, abs=0.05)


def view(haze: float = 30, dust: float = 30, humidity: float = 0.5, rain: float = 0) -> float:
    return float(visibility(np.array([haze]), np.array([dust]), humidity, rain)[0])


@given(st.floats(0, 500), st.floats(0, 2_000), st.floats(0.1, 1), st.floats(0, 90))
def test_haze_dust_moisture_and_rain_dim_the_view(haze: float, dust: float, humidity: float, rain: float) -> None:
    clear = view(haze, dust, humidity, rain)
    assert clear > 0
    assert view(haze + 10, dust, humidity, rain) < clear
    assert view(haze, dust + 10, humidity, rain) < clear
    assert view(haze, dust, humidity, rain + 1) < clear
    assert view(haze, dust, max(humidity - 0.1, 0), rain) >= clear


def test_the_view_of_a_clear_a_hazy_and_a_wet_day() -> None:
    assert view(10, 10) > 30_000
    assert 1_000 < view(200, 60, 0.9) < 5_000
    assert 1_500 < view(rain=31, humidity=0.95) < 4_500
