"""Air quality: the index by HJ 633, and the means it is made from by GB 3095.

An individual index (IAQI) is a straight line between the breakpoints of table 2, rounded up; the AQI is the greatest of
the six. Two forms: the hour's (1 h means; PM by the 24 h column, as the real-time report does) and the day's (24 h
means, O3 by its highest 8 h mean). Concentrations are whole µg/m³, CO 0.1 mg/m³. HJ 633 says that they are rounded, not
how; the assessment standard HJ 663 refers to GB/T 8170 for it, and so do we: a half goes to the even neighbour.

Two columns end at 800 µg/m³, where the standard hands over to another (notes to table 2): SO2 of an hour to its 24 h
mean, O3 of 8 h to that of 1 h. Without that other mean the pollutant counts as missing.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Literal, NamedTuple

from twin.standards.scale import Band, Scale, rounded, table

Edition = Literal["2026", "2012"]
Form = Literal["hour", "day"]

POLLUTANTS = ("pm25", "pm10", "so2", "no2", "co", "o3")

_COLUMNS: Mapping[Form, Mapping[str, str]] = {
    "hour": dict(zip(POLLUTANTS, ("PM25_24h", "PM10_24h", "SO2_1h", "NO2_1h", "CO_1h_mg", "O3_1h"), strict=True)),
    "day": dict(zip(POLLUTANTS, ("PM25_24h", "PM10_24h", "SO2_24h", "NO2_24h", "CO_24h_mg", "O3_8h"), strict=True)),
}
# The column that takes over where one ends
_OTHER: Mapping[Form, Mapping[str, str]] = {"hour": {"so2": "SO2_24h"}, "day": {"o3": "O3_1h"}}

AIR = Scale(
    tuple(int(row["aqi_hi"]) for row in table("aqi_levels")[:-1]),
    tuple(Band(row["name_en"], row["screen_hex"]) for row in table("aqi_levels")),
    inclusive=True,
)


def reported(pollutant: str, concentration: float) -> float:
    """The concentration as a report has it: whole µg/m³, CO to 0.1 mg/m³ (HJ 633-2026 clause 4)."""
    return float(rounded(concentration, 1 if pollutant == "co" else 0))


@cache
def _breakpoints(edition: Edition, column: str) -> tuple[tuple[int, int], ...]:
    """(concentration in tenths, IAQI) pairs of one column, ascending; µg/m³, CO in mg/m³."""
    rows = table(f"iaqi_hj633_{edition}")
    return tuple((round(float(row[column]) * 10), int(row["IAQI"])) for row in rows if row[column])


def _index(breakpoints: Sequence[tuple[int, int]], tenths: int) -> int | None:
    """Formula (1) in whole numbers. Past the last breakpoint 500, or None where the column does not reach 500."""
    for (c_lo, i_lo), (c_hi, i_hi) in pairwise(breakpoints):
        if tenths <= c_hi:
            # -(-a // b) is a / b rounded up
            return i_lo - (-(i_hi - i_lo) * (tenths - c_lo) // (c_hi - c_lo))
    top = breakpoints[-1][1]
    return top if top == 500 else None


def iaqi(pollutant: str, concentration: float, edition: Edition = "2026", *, form: Form = "hour") -> int | None:
    """Individual index of a mean concentration (µg/m³; CO mg/m³), formula (1) of HJ 633 (2012: clause 4.2).

    None where the standard does not compute one: SO2 of an hour and O3 of 8 h above 800. Raises ValueError for a
    concentration below 0 or that is no number.
    """
    return _of_column(pollutant, concentration, edition, _COLUMNS[form][pollutant])


def _of_column(pollutant: str, concentration: float, edition: Edition, column: str) -> int | None:
    if not 0 <= concentration < math.inf:
        raise ValueError(f"{pollutant} = {concentration}: a concentration is 0 or more")
    return _index(_breakpoints(edition, column), round(reported(pollutant, concentration) * 10))


class Aqi(NamedTuple):
    """`value` is None when the standard forbids one. `primary`: those with the greatest IAQI, if it is over 50;
    `exceeding`: those with an IAQI over 100; `parts`: IAQI by pollutant.
    """

    value: int | None
    primary: tuple[str, ...]
    exceeding: tuple[str, ...]
    parts: Mapping[str, int]


def aqi(
    concentrations: Mapping[str, float],
    edition: Edition = "2026",
    *,
    form: Form = "hour",
    other: Mapping[str, float] | None = None,
) -> Aqi:
    """Air-quality index from means by metric name, HJ 633 (2012: clause 4.4); other metrics are ignored.

    With a pollutant missing there is none (NA), unless another's IAQI is already over 100 (2026 clause 5.3.1).
    `other` gives what takes over above 800 µg/m³: `so2` as a 24 h mean in the hour's form, `o3` as the highest 1 h mean
    in the day's.
    """
    parts = {}
    for pollutant in POLLUTANTS:
        if pollutant in concentrations:
            part = iaqi(pollutant, concentrations[pollutant], edition, form=form)
            if part is None and other and pollutant in other:
                part = _of_column(pollutant, other[pollutant], edition, _OTHER[form][pollutant])
            if part is not None:
                parts[pollutant] = part
    return _worst(parts)


def _worst(parts: Mapping[str, int]) -> Aqi:
    exceeding = tuple(p for p, i in parts.items() if i > 100)
    if len(parts) < len(POLLUTANTS) and not exceeding:
        return Aqi(None, (), (), parts)
    worst = max(parts.values())
    return Aqi(worst, tuple(p for p, i in parts.items() if i == worst > 50), exceeding, parts)


def aqi_level(index: int) -> int:
    """0 (excellent) to 5 (severe), HJ 633 table 1."""
    return AIR.band(index)


# ---------------------------------------------------------------- means

# GB 3095 clause 6 (table 4): how much of a period must have been measured for its mean to count
_HOUR_MINUTES, _EIGHT_HOURS, _DAY_HOURS = 45, 6, 20
# HJ 663-2013: 8 h means that a day's highest needs, of the 17 that end at 8 to 24 o'clock; short of it, one over the
# grade II limit (GB 3095 table 1, µg/m³) still counts
_DAY_EIGHTS, _O3_LIMIT = 14, 160


def hour_mean(values: Sequence[float], minutes: float) -> float | None:
    """Mean of an hour's values, which cover `minutes` of it; None under 45 (GB 3095 clause 6)."""
    return _mean(values) if values and minutes >= _HOUR_MINUTES else None


def eight_hour_means(hours: Sequence[float | None]) -> list[float | None]:
    """Mean of each eight hours on end, oldest first; None with fewer than six of them valid (GB 3095 clause 6)."""
    eights = ([h for h in hours[i : i + 8] if h is not None] for i in range(len(hours) - 7))
    return [_mean(valid) if len(valid) >= _EIGHT_HOURS else None for valid in eights]


def day_mean(hours: Sequence[float | None]) -> float | None:
    """Mean of a day's 24 hourly means; None with fewer than 20 valid (GB 3095 clause 6)."""
    valid = [h for h in hours if h is not None]
    return _mean(valid) if len(valid) >= _DAY_HOURS else None


def highest_eight_hours(hours: Sequence[float | None]) -> float | None:
    """Highest 8 h mean of a day's 24 hourly means of O3 (µg/m³), HJ 663-2013 table 1; None when too few count."""
    valid = [m for m in eight_hour_means(hours) if m is not None]
    highest = max(valid, default=None)
    return highest if highest is not None and (len(valid) >= _DAY_EIGHTS or highest > _O3_LIMIT) else None


def daily(hours: Mapping[str, Sequence[float | None]]) -> dict[str, float]:
    """What the day's form of the AQI is made from, of each pollutant's 24 hourly means; without what does not count."""
    means = {p: highest_eight_hours(of) if p == "o3" else day_mean(of) for p, of in hours.items()}
    return {p: m for p, m in means.items() if m is not None}


def _mean(values: Sequence[float]) -> float:
    # An exact sum: the mean does not depend on the order in which values arrived
    return math.fsum(values) / len(values)
