"""The zone's map as SVG. What stands still is drawn once (`ground`); each moment refers to it and adds what was so.

Plate carrée about the zone's middle: at this size nobody can tell it from a better projection. Points of one colour are
one path of zero-length strokes with round ends, a tenth of the bytes of circles.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from html import escape
from math import cos, radians

from dashboards.i18n import Language
from dashboards.report import ink
from twin import snapshot
from twin.bundle import Ground, Moment, Shape
from twin.standards import Level

WIDTH = 720.0


class Sheet:
    """Where a degree is on the paper."""

    def __init__(self, ground: Ground) -> None:
        lon = [v for s in _of(ground, "boundary") for line in s.lines for v in line[::2]] or [
            s.lon for s in ground.spots
        ]
        lat = [v for s in _of(ground, "boundary") for line in s.lines for v in line[1::2]] or [
            s.lat for s in ground.spots
        ]
        self.west, east, south, self.north = min(lon), max(lon), min(lat), max(lat)
        self._narrow = cos(radians((south + self.north) / 2))
        self._scale = (WIDTH - 24) / max((east - self.west) * self._narrow, 1e-6)
        self.height = round((self.north - south) * self._scale + 24)

    def xy(self, lon: float, lat: float) -> tuple[float, float]:
        return 12 + (lon - self.west) * self._narrow * self._scale, 12 + (self.north - lat) * self._scale

    def path(self, shapes: Iterable[Shape], *, closed: bool = False) -> str:
        return "".join(self._line(line, closed) for s in shapes for line in s.lines)

    def _line(self, line: Sequence[float], closed: bool) -> str:
        points = [self.xy(line[i], line[i + 1]) for i in range(0, len(line), 2)]
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + ("Z" if closed else "")


def _of(ground: Ground, layer: str) -> list[Shape]:
    return [s for s in ground.shapes if s.layer == layer]


def ground(land: Ground, language: Language) -> str:
    """The definitions that each moment refers to, as an SVG of no size."""
    sheet = Sheet(land)
    outline = sheet.path(_of(land, "boundary"), closed=True)
    rivers = _of(land, "river")
    water = [s for s in rivers if s.lines and s.lines[0][:2] == s.lines[0][-2:]]
    names = "".join(_name(s, sheet, language) for s in _of(land, "districts"))
    return (
        '<svg class="nothing" aria-hidden="true"><defs>'
        f'<g id="ground"><path class="zone" d="{outline}"/>'
        f'<path class="river" d="{sheet.path(water, closed=True)}"/>'
        f'<path class="district" d="{sheet.path(_of(land, "districts"), closed=True)}"/>'
        f'<path class="road" d="{sheet.path(_of(land, "roads"))}"/>'
        f'<path class="outline" d="{outline}"/></g><g id="names">{names}</g></defs></svg>'
    )


def _name(shape: Shape, sheet: Sheet, language: Language) -> str:
    ring = max(shape.lines, key=len)
    x, y = sheet.xy(
        (min(ring[::2]) + max(ring[::2])) / 2,
        (min(ring[1::2]) + max(ring[1::2])) / 2,
    )
    return f'<text x="{x:.0f}" y="{y:.0f}">{escape(shape.names[language == "en"])}</text>'


def moment(land: Ground, then: Moment, concerned: frozenset[str], title: str) -> str:
    """The zone at a moment: links and devices by band, those in alarm with a ring of their level's colour."""
    sheet = Sheet(land)
    links: dict[str, list[Shape]] = defaultdict(list)
    for s in _of(land, "links"):
        links[_colour(land, then, s.device)].append(s)
    dots: dict[str, list[str]] = defaultdict(list)
    rings: dict[Level, list[str]] = defaultdict(list)
    marks: dict[str, None] = {}  # many stand in one place
    for i, spot in enumerate(land.spots):
        x, y = sheet.xy(spot.lon, spot.lat)
        if level := Level(then.status[i] & 15):
            rings[level].append(f"M{x:.1f} {y:.1f}h0")
        if spot.kind != "link-detector":
            dots[_colour(land, then, i)].append(f"M{x:.1f} {y:.1f}h0")
        if spot.id in concerned:
            marks[f"M{x - 10:.0f} {y:.0f}a10 10 0 1 0 20 0a10 10 0 1 0 -20 0"] = None
    drawn = [
        '<use href="#ground"/>',
        *(
            f'<path class="area" fill="{ink.LEVELS[then.districts[s.id]]}" d="{sheet.path([s], closed=True)}"/>'
            for s in _of(land, "districts")
            if s.id in then.districts
        ),
        *(f'<path class="link" stroke="{c}" d="{sheet.path(found)}"/>' for c, found in links.items()),
        *(f'<path class="dot" stroke="{c}" d="{"".join(d)}"/>' for c, d in dots.items()),
        *(f'<path class="halo" stroke="{ink.LEVELS[v]}" d="{"".join(d)}"/>' for v, d in sorted(rings.items())),
        *(f'<path class="core" stroke="{ink.LEVELS[v]}" d="{"".join(d)}"/>' for v, d in sorted(rings.items())),
        f'<path class="mark" d="{"".join(marks)}"/>',
        '<use class="names" href="#names"/>',
    ]
    head = f'<svg class="map" viewBox="0 0 {WIDTH:.0f} {sheet.height}" role="img" aria-label="{escape(title)}">'
    return head + "".join(drawn) + "</svg>"


def _colour(land: Ground, then: Moment, i: int) -> str:
    band = then.status[i] >> 4
    bands = snapshot.BANDS.get(land.spots[i].kind, ())
    return bands[band].colour if band < len(bands) else ink.UNKNOWN
