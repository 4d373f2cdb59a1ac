"""Weather: a function of absolute time (season, hour and slow fronts) for 34.3° N on the Guanzhong plain.

Scenarios change a step's `Weather` before any domain sees it; the stations here only read it, each with an offset of
its own. Visibility alone is made at the stations, from the haze and dust that hang over each, so that a wall of dust
darkens them one after the other.

Sources: Magnus (vapour), Haurwitz 1945 (clear sky), mixing heights over Xi'an (Du et al. 2013), Koschmieder
(visibility is 3.912 over extinction), D'Almeida 1986 (visibility in dust).
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from simulators.conditions import (
    Array,
    Conditions,
    Weather,
    bump,
    calendar,
    ids,
    smooth,
    spread,
    sun_elevation,
    winter,
)
from twin.clock import HOUR, MINUTE
from twin.registry import Device

# Share of the time it rains, and mm/h scale of the rain, January to December; sums to 6 mm in December, 20 in November,
# 100 in September
_WET = (0.03, 0.04, 0.05, 0.06, 0.07, 0.06, 0.08, 0.08, 0.12, 0.09, 0.05, 0.03)
_POUR = (0.35, 0.4, 0.6, 0.75, 1.0, 1.15, 1.4, 1.1, 0.85, 0.7, 0.45, 0.3)
_NORMAL = NormalDist()


def weather(seed: int, at: int) -> Weather:
    """The zone's weather at UTC ms `at`. November: 2 to 12 °C, dry, north-easterly, often nearly calm."""
    hour, _, day = calendar(at)
    cold = winter(day)
    front = smooth(seed, "front", at, 40 * HOUR)
    rain = _rain(seed, at, day)
    cloud = _NORMAL.cdf(0.9 * smooth(seed, "cloud", at, 14 * HOUR) - 0.1)
    cloud = max(cloud, min(1.0, 0.8 + rain))
    mean = 13.6 - 13.6 * math.cos(2 * math.pi * (day - 18) / 365.25) + 2.2 * front
    swing = (5.6 - 0.8 * cold) * (1 - 0.65 * cloud)
    # The warmest at 15 h, the coldest at dawn: a sine with its second harmonic
    turn = 2 * math.pi * (hour - 15.0) / 24
    temperature = mean + swing * (0.88 * math.cos(turn) + 0.18 * math.cos(2 * turn - 0.6)) - 0.5 * min(rain, 2)
    dew = mean - 3.6 - 3.4 * (1 - cloud) + 1.6 * smooth(seed, "dew", at, 20 * HOUR) + 2.5 * min(rain, 1.0)
    humidity = min(max(_vapour(dew) / _vapour(temperature), 0.12), 0.99)
    day_breeze = bump(hour, 15.0, 3.5)
    wind = 1.35 * (0.8 + 0.55 * day_breeze) * math.exp(0.48 * smooth(seed, "wind", at, 7 * HOUR)) * (1.25 - 0.25 * cold)
    wind *= math.exp(0.12 * smooth(seed, "gust", at, 11 * MINUTE))
    wind_from = 60 + 65 * smooth(seed, "veer", at, 11 * HOUR) + 14 * smooth(seed, "swing", at, 25 * MINUTE)
    sun = sun_elevation(at)
    return Weather(
        temperature=temperature,
        humidity=humidity,
        wind=max(wind, 0.1),
        wind_from=wind_from % 360,
        rain=rain,
        cloud=cloud,
        pressure=968 + 9 * (2 * cold - 1) - 3.5 * front + 0.8 * math.cos(4 * math.pi * (hour - 10) / 24),
        mixing_height=_mixing_height(hour, cold, cloud, wind),
        solar=_clear_sky(sun) * (1 - 0.72 * cloud**2.5),
    )


def _rain(seed: int, at: int, day: float) -> float:
    month = min(int(day / 30.44), 11)
    excess = smooth(seed, "rain", at, 9 * HOUR) - _NORMAL.inv_cdf(1 - _WET[month])
    if excess <= 0:
        return 0.0
    return min(_POUR[month] * 2.2 * excess * math.exp(0.7 * smooth(seed, "shower", at, 35 * MINUTE)), 90.0)


def _vapour(temperature: float) -> float:
    """Saturation vapour pressure, hPa (Magnus)."""
    return 6.112 * math.exp(17.62 * temperature / (243.12 + temperature))


def _clear_sky(sun: float) -> float:
    """Global radiation of a clear sky, W/m² (Haurwitz 1945)."""
    s = math.sin(math.radians(sun))
    return 1098 * s * math.exp(-0.057 / s) if s > 0.01 else 0.0


def _mixing_height(hour: float, cold: float, cloud: float, wind: float) -> float:
    """m; in winter 150 to 700, in summer 300 to 2,000, highest about 15 h; cloud damps it, wind lifts it."""
    low, high = 300 - 150 * cold, 2_000 - 1_300 * cold
    rise = max(0.0, math.sin(math.pi * (hour - 8) / 13.5)) ** 1.3 if 8 <= hour <= 21.5 else 0.0
    return low + (high - low) * rise * (1 - 0.55 * cloud) + 45 * max(wind - 1.0, 0.0)


# ---------------------------------------------------------------- what stations read


def visibility(haze: Array, dust: Array, humidity: float, rain: float) -> Array:
    """m, from PM2.5 without what is of dust, dust as PM10, both in µg/m³, humidity 0 to 1 and rain in mm/h.

    Extinctions add up, 1/km: clean air; fine haze, which swells when moist; dust by D'Almeida's PM10 = 914 V^-0.73, so
    with the larger grains that come along and that PM10 does not weigh; rain.
    """
    growth = 1 + 2.2 * max(humidity - 0.4, 0) ** 2 / (1.02 - humidity) ** 0.4
    extinction = 0.012 + 0.0036 * haze * growth + 3.912 * (dust / 914) ** (1 / 0.73) + 0.12 * rain**0.63
    return np.asarray(3_912 / extinction, np.float64)


class WeatherStations:
    def __init__(self, devices: Sequence[Device], seed: int) -> None:
        self._own = spread(seed, "sky", ids(devices))

    def read(self, now: Conditions, rng: np.random.Generator, haze: Array, dust: Array) -> dict[str, Array]:
        """`haze`, `dust`: µg/m³ over each station, see `visibility`."""
        sky, own, n = now.weather, self._own, len(self._own)
        turned = sky.wind_from + 8 * own + rng.normal(0, 4, n)
        return {
            "temperature": sky.temperature + 0.3 * own + rng.normal(0, 0.05, n),
            "relativeHumidity": np.clip(sky.humidity - 0.01 * own + rng.normal(0, 0.004, n), 0.05, 1.0),
            "windSpeed": np.maximum(sky.wind * np.exp(0.1 * own + rng.normal(0, 0.08, n)), 0.0),
            "windDirection": turned % 360,
            "precipitation": sky.rain * np.exp(0.08 * own) * np.ones(n),
            "atmosphericPressure": sky.pressure + 0.3 * own,
            "visibility": np.clip(visibility(haze, dust, sky.humidity, sky.rain) * np.exp(0.03 * own), 50, 30_000),
            "solarRadiation": np.maximum(sky.solar * np.exp(0.02 * own + rng.normal(0, 0.01, n)), 0.0),
        }
