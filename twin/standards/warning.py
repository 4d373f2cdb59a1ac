"""Warning levels, blue to red, as pure functions of what has been measured.

The authorities issue these on forecasts ("within 12 h, or already reached"); here stands the second half: what the
readings up to now already reach. So a level of NONE is not an all-clear.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from twin.clock import DAY, HOUR
from twin.standards.scale import Level, rounded, table

PollutionEdition = Literal["2024", "2021"]


class Emergency(NamedTuple):
    """What a level is called: of a warning (一级 …), of a response (Ⅰ …), and the class of an incident."""

    warning: str
    response: str
    incident: str


# 突发事件应对法; the response grades of emergency plans
EMERGENCY: Mapping[Level, Emergency] = {
    Level[row["level"].upper()]: Emergency(row["warning_zh"], row["response"], row["incident_zh"])
    for row in table("emergency_levels")
}


class Window(NamedTuple):
    """Readings of one quantity, any order: `at` int64 UTC ms, `value` float64, as many of each."""

    at: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]

    def last(self, milliseconds: int, now: int) -> npt.NDArray[np.float64]:
        """Values with now - milliseconds < at <= now."""
        found: npt.NDArray[np.float64] = self.value[(self.at > now - milliseconds) & (self.at <= now)]
        return found


def _sum(window: Window, hours: int, now: int, threshold: float) -> bool:
    # Rain is reported to 0.1 mm: 600 readings of 1/12 mm are 50 mm
    return rounded(float(window.last(hours * HOUR, now).sum()), 1) >= threshold


def _highest(window: Window, hours: int, now: int, threshold: float) -> bool:
    return bool((window.last(hours * HOUR, now) >= threshold).any())


def _lowest(window: Window, hours: int, now: int, threshold: float) -> bool:
    return bool((window.last(hours * HOUR, now) < threshold).any())


def _every_day(window: Window, hours: int, now: int, threshold: float) -> bool:
    return all(_highest(window, 24, now - i * DAY, threshold) for i in range(hours // 24))


_STATISTICS: Mapping[str, Callable[[Window, int, int, float], bool]] = {
    "sum": _sum,
    "highest": _highest,
    "lowest": _lowest,
    "every-day": _every_day,
}
_SIGNALS = table("weather_signals")

HAZARDS = tuple(dict.fromkeys(row["hazard"] for row in _SIGNALS))


def weather_signal(hazard: str, windows: Mapping[str, Window], now: int) -> Level:
    """Weather-warning signal (CMA order 16 of 2007) that the readings up to `now` reach.

    `hazard` is one of HAZARDS. `windows` by quantity: precipitation (mm since the reading before, not mm/h), windSpeed
    and gustSpeed (m/s, means of 10 min and gusts), temperature (°C), visibility (m). A quantity that is not given adds
    nothing. Visibility does not tell dust from fog: the caller must, by humidity or PM10.
    """
    if hazard not in HAZARDS:
        raise ValueError(f"{hazard!r} is no hazard; known: {', '.join(HAZARDS)}")
    reached = (
        Level[row["level"].upper()]
        for row in _SIGNALS
        if row["hazard"] == hazard
        and row["quantity"] in windows
        and _STATISTICS[row["statistic"]](windows[row["quantity"]], int(row["hours"]), now, float(row["threshold"]))
    )
    return max(reached, default=Level.NONE)


def _run(days: Sequence[int | None], over: int) -> int:
    """How many of the last days, without a break, were over this AQI."""
    return next((n for n, aqi in enumerate(reversed(days)) if aqi is None or aqi <= over), len(days))


def _longest(days: Sequence[int | None], over: int) -> int:
    return max((_run(days[: i + 1], over) for i in range(len(days))), default=0)


def heavy_pollution(days: Sequence[int | None], edition: PollutionEdition = "2024") -> Level:
    """Heavy-pollution warning of daily AQI, oldest first, the last being today's (or the last that is forecast).

    "2024": 环大气〔2024〕6号; "2021": the plan before it. Each asks for a spell of days over one AQI that lasts until
    the last day, the reddest also for days over a higher one within that spell. A day without AQI (None) ends a spell.
    """
    level = Level.NONE
    for row in table("heavy_pollution"):
        if row["edition"] != edition:
            continue
        spell = _run(days, int(row["over"]))
        also = not row["and_over"] or _longest(days[len(days) - spell :], int(row["and_over"])) >= int(row["and_days"])
        if spell >= int(row["days"]) and also:
            level = max(level, Level[row["level"].upper()])
    return level


def flood_level(discharge: float) -> Level:
    """Response level of the Wei's discharge (m³/s): blue (Ⅳ) from 3,000, yellow (Ⅲ) from 4,500. A convention."""
    reached = (Level[row["level"].upper()] for row in table("flood_wei") if discharge >= float(row["discharge"]))
    return max(reached, default=Level.NONE)
