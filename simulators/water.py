"""The Wei, what runs into it, and the ground.

The river is a slow function of time with a synthetic rating; local rain barely moves it, and a scenario sets its floods
(`hydrograph`). Its quality follows from the discharge: a flood carries sediment by a power of the discharge, phosphorus
rides on the sediment, and oxygen falls by what is washed in and by the light that turbid water keeps out. Local rain
raises the outfalls and wets the ground, which remembers it for hours.

Sources: hydrograph in the form of Gray's gamma curve with a linear reservoir behind the peak; the rating is synthetic
(no stage is published); levels of quality are assumptions within GB 3838 class III.
"""

import math
from collections.abc import Sequence

import numpy as np

from simulators.conditions import STEP, Array, Conditions, bump, calendar, ids, smooth, spread, winter
from twin.clock import DAY, HOUR
from twin.registry import Device

RIVER = "dist:river"  # the district whose water stations stand in the Wei; those elsewhere are outfalls
# m3/s of the Wei, January to December
_RIVER = (35.0, 35, 40, 50, 60, 65, 90, 95, 120, 110, 70, 45)
_USUAL = 60.0  # m3/s, what the quality is given for
_DRYING = 5.0  # h
_PARTICULATE = 3e-4  # mg/L of phosphorus an NTU


def river(seed: int, at: int) -> float:
    """Discharge of the Wei at the zone, m³/s; the season's, wandering over days."""
    _, _, day = calendar(at)
    base = float(np.interp(day / 30.44 - 0.5, np.arange(-1, 13), (_RIVER[-1], *_RIVER, _RIVER[0])))
    return base * math.exp(0.22 * smooth(seed, "river", at, 5 * DAY) + 0.02 * smooth(seed, "river'", at, 5 * HOUR))


def hydrograph(hours: float, base: float, peak: float, hours_to_peak: float, m: float, recession: float) -> float:
    """Discharge in m³/s, `hours` after a flood has begun to rise from `base`.

    Up to the peak Qb + (Qp - Qb) [(t/tp) exp(1 - t/tp)]^m; behind it the rise decays by `recession` an hour.
    """
    since = max(hours, 0.0) / hours_to_peak
    share = (since * math.exp(1 - since)) ** m if since < 1 else math.exp(-recession * (hours - hours_to_peak))
    return base + (peak - base) * share


def stage(discharge: float) -> float:
    """m over the gauge's zero at a discharge in m³/s: a synthetic rating, 4.0 m at 3,000 and 6.1 m at 6,050 m³/s."""
    return float((discharge / 296) ** 0.6)


class Water:
    """`wet`: mm of rain, as the ground remembers it over five hours."""

    def __init__(self, stations: Sequence[Device], plots: Sequence[Device], seed: int) -> None:
        self._seed = seed
        self._outfall = np.array([d.district != RIVER for d in stations], bool)
        self._own = spread(seed, "water", ids(stations))
        self._plot = spread(seed, "soil", ids(plots))
        self.wet = 0.0

    def step(self, now: Conditions) -> None:
        hours = STEP / HOUR
        self.wet += now.weather.rain * hours - self.wet * (1 - math.exp(-hours / _DRYING))

    def read(self, now: Conditions, rng: np.random.Generator) -> dict[str, Array]:
        own, n = self._own, len(self._own)
        # What stands away from the river measures what runs into it
        sewage = 0.35 * (0.75 + 0.5 * bump(now.hour, 13, 5.0)) + 0.02 * self.wet
        discharge = np.where(self._outfall, sewage, now.river)
        surge = np.where(self._outfall, 0.0, max(math.log(max(now.river, 1.0) / _USUAL), -1.0))
        flood = np.maximum(surge, 0)
        day = math.cos(2 * math.pi * (now.hour - 16) / 24)
        turbidity = 28 * np.exp(0.55 * surge + 0.2 * own + 0.03 * min(self.wet, 40)) * rng.lognormal(0, 0.02, n)
        trend = 0.12 * smooth(self._seed, "water", now.at, 30 * HOUR) + 0.15 * own + 0.35 * self._outfall
        depth = np.where(self._outfall, 0.45 * math.sqrt(sewage), stage(now.river))
        oxygen = 0.84 * _saturated(now.day_of_year) + 0.35 * day - 0.3 * np.abs(own) - 0.35 * flood
        return {
            "waterLevel": depth + 0.15 * np.abs(own) + rng.normal(0, 0.004, n),
            "waterDischarge": discharge * np.exp(0.03 * own + rng.normal(0, 0.004, n)),
            "pH": 7.9 + 0.08 * day + 0.1 * own - 0.04 * flood + rng.normal(0, 0.01, n),
            "O2": np.maximum(oxygen + rng.normal(0, 0.04, n), 0.2),
            "NH4": 0.48 * np.exp(trend + 0.05 * day) + np.abs(rng.normal(0, 0.004, n)),
            "P-TOT": 0.096 * np.exp(0.7 * trend) + _PARTICULATE * turbidity + np.abs(rng.normal(0, 0.001, n)),
            "cod": 14.5 * np.exp(0.6 * trend + 0.07 * flood) + rng.normal(0, 0.15, n),
            "turbidity": turbidity,
        }

    def read_soil(self, now: Conditions, rng: np.random.Generator) -> dict[str, Array]:
        own, n = self._plot, len(self._plot)
        season = 14.5 - 12.5 * math.cos(2 * math.pi * (now.day_of_year - 30) / 365.25)
        lag = math.cos(2 * math.pi * (now.hour - 18) / 24)
        slow = 0.02 * smooth(self._seed, "soil", now.at, 4 * DAY) + 0.0035 * min(self.wet, 40)
        return {
            "soilMoistureVwc": np.clip(0.235 + 0.03 * own + slow + rng.normal(0, 0.0006, n), 0.05, 0.48),
            "soilTemperature": season + 1.3 * lag + 0.5 * own + 0.8 * smooth(self._seed, "ground", now.at, 60 * HOUR),
        }


def _saturated(day_of_year: float) -> float:
    """mg/L of oxygen that the river can hold, by the temperature that it has in that season."""
    warmth = 24 - 20 * winter((day_of_year - 12) % 366)
    return 14.6 - 0.39 * warmth + 0.0055 * warmth**2
