"""What a value means by the standard that governs it: an index, a state or a class.

Tables are data. A *band* is the ordinal class a device shows on the map: 0 is the best. Sources:

- air: HJ 633-2026 (2012 edition selectable), breakpoints in data/iaqi_hj633_*.csv; level names and colours from its
table 1
- traffic: GB/T 33171-2016, speed over free speed and the traffic performance index (TPI, 0 to 10)
- noise: GB 3096-2008, limits by zone class, day 06-22 and night 22-06 local time
- surface water: GB 3838-2002
- cold aisle: GB 50174-2017, 18-27 °C; the steps above it and the parking bands are this project's convention
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Literal, NamedTuple

Edition = Literal["2026", "2012"]

# ---------------------------------------------------------------- air


class Level(NamedTuple):
    """One band of a scale: its name (a message id) and its colour on screen."""

    label: str
    colour: str


AQI_LEVELS: Sequence[tuple[int, Level]] = (
    (50, Level("Excellent", "#00E400")),
    (100, Level("Good", "#FFFF00")),
    (150, Level("Lightly polluted", "#FF7E00")),
    (200, Level("Moderately polluted", "#FF0000")),
    (300, Level("Heavily polluted", "#99004C")),
    (500, Level("Severely polluted", "#7E0023")),
)

# metric → (column of the breakpoint table for an hourly report, decimals the concentration is rounded to: clause 4)
_HOURLY = {
    "pm25": ("PM25_24h", 0),
    "pm10": ("PM10_24h", 0),
    "so2": ("SO2_1h", 0),
    "no2": ("NO2_1h", 0),
    "co": ("CO_1h_mg", 1),
    "o3": ("O3_1h", 0),
}


@cache
def _breakpoints(edition: Edition, column: str) -> tuple[tuple[float, int], ...]:
    """(concentration, IAQI) pairs of one column, ascending; µg/m³, CO in mg/m³. Empty cells are left out."""
    text = (files("twin") / "data" / f"iaqi_hj633_{edition}.csv").read_text(encoding="utf-8")
    return tuple((float(row[column]), int(row["IAQI"])) for row in csv.DictReader(text.splitlines()) if row[column])


def iaqi(pollutant: str, concentration: float, edition: Edition = "2026") -> int:
    """Individual air-quality index of an hourly mean concentration (µg/m³; CO mg/m³), HJ 633 formula (1).

    The concentration is first rounded (integers, CO to 0.1), the index rounded up. Past the last breakpoint it stays
    at that breakpoint's index: 500, and 200 for hourly SO2, which the standard does not carry further.
    """
    column, decimals = _HOURLY[pollutant]
    table = _breakpoints(edition, column)
    c = _half_up(concentration, decimals)
    for (c_lo, i_lo), (c_hi, i_hi) in pairwise(table):
        if c <= c_hi:
            # round() removes the binary noise of 0.1 steps, so that a value on a breakpoint is not pushed one up
            return math.ceil(round((i_hi - i_lo) / (c_hi - c_lo) * (c - c_lo) + i_lo, 9))
    return table[-1][1]


class Aqi(NamedTuple):
    """`value` is None when the standard forbids one: a pollutant is missing and none of the others is over 100."""

    value: int | None
    primary: tuple[str, ...]
    parts: Mapping[str, int]


def aqi(concentrations: Mapping[str, float], edition: Edition = "2026") -> Aqi:
    """Air-quality index from hourly mean concentrations by metric name; others than the six pollutants are ignored.

    The primary pollutants are those with the greatest IAQI, when that is over 50 (HJ 633 clause 5).
    """
    parts = {p: iaqi(p, concentrations[p], edition) for p in _HOURLY if p in concentrations}
    worst = max(parts.values(), default=0)
    if len(parts) < len(_HOURLY) and worst <= 100:
        return Aqi(None, (), parts)
    return Aqi(worst, tuple(p for p, i in parts.items() if i == worst and worst > 50), parts)


def aqi_level(index: int) -> int:
    """0 (excellent) to 5 (severe)."""
    return next((i for i, (top, _) in enumerate(AQI_LEVELS) if index <= top), len(AQI_LEVELS) - 1)


def _half_up(value: float, decimals: int) -> float:
    scale = 10.0**decimals
    return math.floor(value * scale + 0.5) / scale


# ---------------------------------------------------------------- traffic

# speed over free speed → TPI, straight lines between (GB/T 33171-2016: states at 0.7, 0.5, 0.4, 0.3 and TPI 2, 4, 6, 8)
_TPI = ((0.0, 10.0), (0.3, 8.0), (0.4, 6.0), (0.5, 4.0), (0.7, 2.0), (1.0, 0.0))


def tpi(speed: float, free_speed: float) -> float:
    """Traffic performance index 0 (free) to 10 (jammed) of a mean speed, both km/h."""
    ratio = min(max(speed / free_speed, 0.0), 1.0)
    for (r0, t0), (r1, t1) in pairwise(_TPI):
        if ratio <= r1:
            return t0 + (t1 - t0) * (ratio - r0) / (r1 - r0)
    return 0.0


def traffic_state(index: float) -> int:
    """0 free, 1 mostly free, 2 slightly, 3 moderately, 4 severely congested, from a TPI."""
    return min(int(index / 2), 4)


# ---------------------------------------------------------------- noise, water, data centre, parking, city

NOISE_LIMITS: Mapping[str, tuple[int, int]] = {
    "0": (50, 40),
    "1": (55, 45),
    "2": (60, 50),
    "3": (65, 55),
    "4a": (70, 55),
    "4b": (70, 60),
}


def noise_excess(level: float, zone_class: str, hour: int) -> float:
    """dB(A) over the limit of a GB 3096 zone class at a local hour (06-22 is day); negative when within it."""
    day, night = NOISE_LIMITS[zone_class]
    return level - (day if 6 <= hour < 22 else night)


# item → the worst value allowed in classes I, II, III, IV, V; dissolved oxygen is a least, not a most
_WATER: Mapping[str, tuple[float, ...]] = {
    "O2": (7.5, 6, 5, 3, 2),
    "cod": (15, 15, 20, 30, 40),
    "NH4": (0.15, 0.5, 1.0, 1.5, 2.0),
    "P-TOT": (0.02, 0.1, 0.2, 0.3, 0.4),
}


def water_class(values: Mapping[str, float]) -> int | None:
    """0 (class I) to 5 (worse than V) by the worst item measured; None when none is (GB 3838-2002)."""
    found = [
        sum(values[item] < limit if item == "O2" else values[item] > limit for limit in limits)
        for item, limits in _WATER.items()
        if item in values
    ]
    return max(found, default=None)


@dataclass(frozen=True)
class Scale:
    """Bands of one number: `edges[i]` is where band i+1 begins (a value on an edge belongs to the higher band)."""

    edges: tuple[float, ...]
    levels: tuple[Level, ...]

    def band(self, value: float) -> int:
        return sum(value >= edge for edge in self.edges)


TRAFFIC = Scale(
    (2, 4, 6, 8),
    (
        Level("Free-flowing", "#16c784"),
        Level("Mostly free", "#9bd84b"),
        Level("Slightly congested", "#f5c542"),
        Level("Moderately congested", "#f2762e"),
        Level("Severely congested", "#d93a4e"),
    ),
)
AIR = Scale((51, 101, 151, 201, 301), tuple(level for _, level in AQI_LEVELS))
NOISE = Scale(
    (1e-9, 5),
    (Level("Within limit", "#16c784"), Level("Over limit", "#f5c542"), Level("Far over limit", "#f2762e")),
)
WATER = Scale(
    (1, 2, 3, 4, 5),
    (
        Level("Class I", "#4fc3f7"),
        Level("Class II", "#29b6f6"),
        Level("Class III", "#16c784"),
        Level("Class IV", "#f5c542"),
        Level("Class V", "#f2762e"),
        Level("Worse than V", "#d93a4e"),
    ),
)
PARKING = Scale(
    (0.60, 0.80, 0.90, 1.0),
    (
        Level("Plenty", "#16c784"),
        Level("Moderate", "#9bd84b"),
        Level("Tight", "#f5c542"),
        Level("Full soon", "#f2762e"),
        Level("Overflowing", "#d93a4e"),
    ),
)
COLD_AISLE = Scale(
    (27, 30, 32, 35),
    (
        Level("Normal", "#16c784"),
        Level("Warm", "#9bd84b"),
        Level("High", "#f5c542"),
        Level("Very high", "#f2762e"),
        Level("Throttling", "#d93a4e"),
    ),
)
PUE = Scale(
    (1.25, 1.30, 1.50),
    (
        Level("Leading", "#16c784"),
        Level("On target", "#9bd84b"),
        Level("Over target", "#f5c542"),
        Level("Poor", "#f2762e"),
    ),
)
LOAD = Scale((0.8, 1.0), (Level("Normal", "#16c784"), Level("High", "#f5c542"), Level("Overload", "#d93a4e")))
LAMPS = Scale((0.5,), (Level("Off", "#5f7a99"), Level("Lit", "#ffd166")))
COVER = Scale((0.5,), (Level("Closed", "#16c784"), Level("Open", "#d93a4e")))
UNDERPASS = Scale(
    (0.15, 0.27),
    (Level("Passable", "#16c784"), Level("Wading", "#f5c542"), Level("Closed to traffic", "#d93a4e")),
)
REPORTS = Scale(
    (6, 15, 30),
    (
        Level("Normal", "#16c784"),
        Level("Busy", "#9bd84b"),
        Level("High", "#f5c542"),
        Level("Very high", "#f2762e"),
    ),
)
