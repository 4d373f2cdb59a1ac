"""Colours and numbers as the report writes them: on white paper, so darker than on the wall."""

from collections.abc import Mapping

from dashboards.i18n import Translate
from twin.clock import local
from twin.observation import METRICS
from twin.standards import Level
from twin.wording import shown

LEVELS: Mapping[Level, str] = {
    Level.NONE: "#8a98a6",
    Level.BLUE: "#2474d6",
    Level.YELLOW: "#d9a400",
    Level.ORANGE: "#ec7a16",
    Level.RED: "#d3262f",
}
UNKNOWN = "#b4bec8"

# Message ids
LEVEL_LABELS: Mapping[Level, str] = {
    Level.NONE: "No level",
    Level.BLUE: "Blue",
    Level.YELLOW: "Yellow",
    Level.ORANGE: "Orange",
    Level.RED: "Red",
}


def value(number: float, metric: str, _: Translate) -> str:
    """With as many decimals as the metric has, and its unit."""
    m = METRICS[metric]
    return shown(number, m.unit, m.decimals, _)


def clock(at: int) -> str:
    return f"{local(at):%m-%d %H:%M:%S}"


def whole(at: int) -> str:
    return f"{local(at):%Y-%m-%d %H:%M:%S}"


def lasting(milliseconds: int, _: Translate) -> str:
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return _("{d} d {h} h").format(d=hours // 24, h=hours % 24)
    if hours:
        return _("{h} h {m} min").format(h=hours, m=minutes)
    if minutes:
        return _("{m} min {s} s").format(m=minutes, s=seconds)
    return _("{n} s").format(n=seconds)
