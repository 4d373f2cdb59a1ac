"""Where in the zone something can stand: the layers in EPSG:4545, and the device that stands at a point of them."""

from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import shapely
from shapely import LineString, Point
from shapely.geometry.base import BaseGeometry

from layers import zone
from layers.land import Grid, grid
from twin.observation import KINDS
from twin.registry import Device

MARGIN_M = 3.0  # from a district's edge, so that rounding to 7 decimals carries no device over it
INDUSTRIAL = frozenset({"biopharma", "equipment", "electronic_display", "new_materials"})
TVOC = "volatileOrganicCompoundsTotal"


class Place:
    """The layers in EPSG:4545, and where in them something can stand."""

    def __init__(self, folder: Path | None, rng: np.random.Generator) -> None:
        self.rng = rng
        self.districts = {d.id: d for d in zone.measured("districts", folder).itertuples()}
        self.inner: dict[str, BaseGeometry] = {i: d.geometry.buffer(-MARGIN_M) for i, d in self.districts.items()}
        self.roads = zone.measured("roads", folder)
        self.river = zone.measured("river", folder)
        self.bridges = zone.measured("bridges", folder)
        self.nodes = {n.id: n for n in zone.measured("nodes", folder).itertuples()}
        self.links = zone.measured("links", folder)
        self.parcels = zone.measured("landuse", folder)
        self.marks = {m.id: m for m in zone.measured("landmarks", folder).itertuples()}
        self.grid: Grid = grid(self.roads)
        self._degrees = pyproj.Transformer.from_crs(zone.METRIC, zone.STORED, always_xy=True)
        self._counts: Counter[str] = Counter()

    @cached_property
    def whole(self) -> BaseGeometry:
        return shapely.union_all(list(self.inner.values()))

    @cached_property
    def streets(self) -> list[Any]:
        """One link for both directions of every road but the expressways and bridges of their own."""
        both = self.links[self.links.direction.isin(["E", "N"]) & (self.links.roadClass != "expressway")]
        return list(both[~both.road.isin(self.bridges.id)].itertuples())

    def next(self, prefix: str, digits: int = 2) -> str:
        self._counts[prefix] += 1
        return f"{prefix}-{self._counts[prefix]:0{digits}d}"

    def name(self, district: str) -> str:
        return str(self.districts[district].name).split("（")[0]

    def type(self, district: str) -> str:
        return str(getattr(self.districts[district], "district_type", ""))

    def ground(self, district: str, uses: Iterable[str] = ()) -> BaseGeometry:
        """The district's parcels, of the given uses if it has any, without their edges; else all of it."""
        own = self.parcels[self.parcels.district == district]
        wanted = own[own.use.isin(list(uses))]
        ground = shapely.union_all([g.buffer(-15) for g in (own if wanted.empty else wanted).geometry])
        return self.inner[district] if ground.is_empty else ground

    def beside(self, link: Any, share: float, offset: float) -> Point:
        """The point at a share of a link's length, or of what of it lies in the zone, `offset` metres to its right."""
        line = link.geometry
        if not self.whole.covers(line.interpolate(share, normalized=True)):
            line = longest(line.intersection(self.whole)) or line
        at = line.length * share
        here, ahead = line.interpolate(max(at - 1, 0)), line.interpolate(min(at + 1, line.length))
        dx, dy = ahead.x - here.x, ahead.y - here.y
        step = float(np.hypot(dx, dy))
        return Point((here.x + ahead.x) / 2 + dy / step * offset, (here.y + ahead.y) / 2 - dx / step * offset)

    def device(self, id: str, name: str, kind: str, at: Point, **attributes: str | float) -> Device:
        """The device at the point, or as near to it as its district allows."""
        district = min(self.inner, key=lambda d: (self.inner[d].distance(at), d))
        if not self.inner[district].covers(at):
            at = shapely.ops.nearest_points(self.inner[district].buffer(-1), at)[0]
        lon, lat = self._degrees.transform(at.x, at.y)
        metrics = KINDS[kind].metrics
        if kind == "air-station" and self.type(district) not in INDUSTRIAL:
            metrics = tuple(m for m in metrics if m != TVOC)
        return Device(
            id=id,
            name=name,
            kind=kind,
            district=district,
            lon=round(float(lon), zone.DECIMALS),
            lat=round(float(lat), zone.DECIMALS),
            metrics=metrics,
            period_s=KINDS[kind].period_s,
            attributes=attributes,
        )

    def scatter(self, within: BaseGeometry, n: int, apart: float) -> list[Point]:
        """n points inside, `apart` metres from each other where there is room, nearer where there is not."""
        x0, y0, x1, y1 = within.bounds
        shapely.prepare(within)
        found: list[Point] = []
        while len(found) < n:
            p = Point(self.rng.uniform(x0, x1), self.rng.uniform(y0, y1))
            if within.contains(p) and all(p.distance(q) > apart for q in found):
                found.append(p)
            apart *= 0.998
        return found

    def shares(self, total: int, least: int = 1) -> dict[str, int]:
        """`total` devices over the districts by the square root of their areas, at least `least` each."""
        weights = {d: float(np.sqrt(g.area)) for d, g in self.inner.items()}
        rest = total - least * len(weights)
        exact = {d: rest * w / sum(weights.values()) for d, w in weights.items()}
        share = {d: least + int(e) for d, e in exact.items()}
        for d in sorted(exact, key=lambda d: (int(exact[d]) - exact[d], d))[: total - sum(share.values())]:
            share[d] += 1
        return share


def longest(shape: BaseGeometry) -> LineString | None:
    return max(
        (p for p in shapely.get_parts(shape) if p.geom_type == "LineString"), key=lambda p: p.length, default=None
    )
