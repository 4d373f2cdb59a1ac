"""One metric of one device over the incident as SVG: its course, the thresholds it was held against, its alarms.

A line breaks where the device was silent. Where there are more readings than pixels, each pixel keeps its lowest and
highest: a peak is never smoothed away. Readings that came late are hollow.
"""

from collections.abc import Iterable, Sequence
from html import escape
from math import floor, log10
from typing import NamedTuple

import msgspec

from dashboards.i18n import Translate
from dashboards.report import ink
from twin.clock import DAY, HOUR, MINUTE, local
from twin.observation import METRICS
from twin.standards import Level

WIDTH, HEIGHT = 400.0, 190.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 8.0, 10.0, 22.0
_SILENT = 3.5  # periods
_STEPS = (MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR)


class Point(NamedTuple):
    at: int
    value: float
    late: bool = False


class Line(NamedTuple):
    """A threshold."""

    level: Level
    value: float


class Span(NamedTuple):
    """An alarm at one level."""

    level: Level
    begin: int
    end: int


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    metric: str
    begin: int
    end: int
    period: int  # ms
    points: Sequence[Point]
    lines: Sequence[Line] = ()
    spans: Sequence[Span] = ()
    marks: Sequence[int] = ()


class _Axes:
    def __init__(self, chart: Chart) -> None:
        self.chart = chart
        values = [p.value for p in chart.points]
        low, high = min(values), max(values)
        # A threshold far away would press the course flat: it is drawn where it is near
        reach = max(high - low, abs(high) * 0.25, 1e-6)
        near = [v.value for v in chart.lines if low - reach <= v.value <= high + reach]
        low, high = min([low, *near]), max([high, *near])
        self.step = _nice((high - low) / 4 or 1.0)
        self.low = floor(low / self.step) * self.step
        self.high = max(self.low + self.step, -floor(-high / self.step) * self.step)

    def x(self, at: int) -> float:
        share = (at - self.chart.begin) / (self.chart.end - self.chart.begin)
        return _LEFT + min(max(share, 0.0), 1.0) * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - (value - self.low) / (self.high - self.low) * (HEIGHT - _TOP - _BOTTOM)

    def ticks(self) -> list[float]:
        n = round((self.high - self.low) / self.step)
        return [self.low + i * self.step for i in range(n + 1)]


def _nice(step: float) -> float:
    size = 10.0 ** floor(log10(step))
    return next((f * size for f in (1, 2, 2.5, 5) if f * size >= step * 0.999), 10 * size)


def draw(chart: Chart, title: str, _: Translate) -> str:
    """`title` is for those who cannot see it. Needs at least one point."""
    axes = _Axes(chart)
    drawn = [*_spans(axes), *_grid(axes), *_thresholds(axes, _), _course(axes), *_late(axes), *_marks(axes)]
    head = f'<svg class="chart" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" aria-label="{escape(title)}">'
    return head + "".join(drawn) + _peak(axes, _) + "</svg>"


def _spans(axes: _Axes) -> Iterable[str]:
    for level, begin, end in axes.chart.spans:
        x, to = axes.x(begin), axes.x(end)
        yield (
            f'<rect x="{x:.1f}" y="{_TOP}" width="{max(to - x, 1):.1f}" height="{HEIGHT - _TOP - _BOTTOM:.0f}" '
            f'fill="{ink.LEVELS[level]}" opacity="0.13"/>'
            f'<rect x="{x:.1f}" y="{HEIGHT - _BOTTOM}" width="{max(to - x, 1):.1f}" height="4" '
            f'fill="{ink.LEVELS[level]}"/>'
        )


def _grid(axes: _Axes) -> Iterable[str]:
    decimals = max(0, -floor(log10(axes.step) + 1e-9) + (1 if f"{axes.step:e}".startswith("2.5") else 0))
    for value in axes.ticks():
        y = axes.y(value)
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>'
        yield f'<text class="y" x="{_LEFT - 5}" y="{y + 3:.1f}">{value:.{decimals}f}</text>'
    for at in _times(axes.chart.begin, axes.chart.end):
        form = "%m-%d" if axes.chart.end - axes.chart.begin > 2 * DAY else "%H:%M"
        x = axes.x(at)
        yield f'<path class="tick" d="M{x:.1f} {HEIGHT - _BOTTOM}v4"/>'
        yield f'<text class="x" x="{x:.1f}" y="{HEIGHT - 6}">{local(at):{form}}</text>'


def _times(begin: int, end: int) -> list[int]:
    """At most seven round local times."""
    span = end - begin
    step = next((s for s in _STEPS if span / s <= 7), DAY * -(-span // (7 * DAY)) if span > 7 * 6 * HOUR else DAY)
    away = local(begin).utcoffset()
    assert away is not None
    offset = round(away.total_seconds() * 1000)
    first = -(-(begin + offset) // step) * step - offset
    return list(range(first, end, step))


def _thresholds(axes: _Axes, _: Translate) -> Iterable[str]:
    for level, value in axes.chart.lines:
        if axes.low <= value <= axes.high:
            y = axes.y(value)
            yield (
                f'<path class="threshold" stroke="{ink.LEVELS[level]}" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>'
                f'<text class="threshold" fill="{ink.LEVELS[level]}" x="{WIDTH - _RIGHT - 2}" y="{y - 3:.1f}">'
                f"{escape(_(ink.LEVEL_LABELS[level]))} {value:g}</text>"
            )


def _course(axes: _Axes) -> str:
    path, before = [], None
    for point in thinned(axes.chart.points, round(WIDTH), axes.chart.begin, axes.chart.end):
        silent = before is None or point.at - before > max(_SILENT * axes.chart.period, _pixel(axes.chart))
        path.append(f"{'M' if silent else 'L'}{axes.x(point.at):.1f} {axes.y(point.value):.1f}")
        before = point.at
    return f'<path class="course" d="{"".join(path)}"/>'


def _pixel(chart: Chart) -> float:
    return 2 * (chart.end - chart.begin) / WIDTH


def thinned(points: Sequence[Point], pixels: int, begin: int, end: int) -> list[Point]:
    """The lowest and the highest of each pixel, in their order; all of them where there is room."""
    if len(points) <= 2 * pixels:
        return list(points)
    columns: dict[int, list[Point]] = {}
    for p in points:
        columns.setdefault((p.at - begin) * pixels // (end - begin), []).append(p)
    found = []
    for column in columns.values():
        ends = {min(column, key=lambda p: p.value), max(column, key=lambda p: p.value)}
        found += sorted(ends, key=lambda p: p.at)
    return found


def _late(axes: _Axes) -> Iterable[str]:
    for p in [p for p in axes.chart.points if p.late][:200]:
        yield f'<circle class="late" cx="{axes.x(p.at):.1f}" cy="{axes.y(p.value):.1f}" r="2.2"/>'


def _marks(axes: _Axes) -> Iterable[str]:
    for at in axes.chart.marks:
        if axes.chart.begin <= at <= axes.chart.end:
            yield f'<path class="bookmark" d="M{axes.x(at):.1f} {_TOP}V{HEIGHT - _BOTTOM}"/>'


def _peak(axes: _Axes, _: Translate) -> str:
    chart = axes.chart
    downwards = bool(chart.lines) and all(v.value <= chart.points[0].value for v in chart.lines)
    peak = (min if downwards else max)(chart.points, key=lambda p: p.value)
    x, y = axes.x(peak.at), axes.y(peak.value)
    anchor = "end" if x > WIDTH * 0.75 else "start"
    beside = -6 if anchor == "end" else 6
    text = f"{peak.value:.{METRICS[chart.metric].decimals}f} · {local(peak.at):%H:%M}"
    return (
        f'<circle class="peak" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
        f'<text class="peak" text-anchor="{anchor}" x="{x + beside:.1f}" y="{max(y + 3, _TOP + 9):.1f}">{text}</text>'
    )
