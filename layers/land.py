"""Land use: the blocks between the roads, cut into parcels along the road grid, each with one use.

A parcel is cut off its block by halving across the longer side until it is about as large as its district's type wants
(binary space partition). Uses are dealt out by rank of a smooth random field, so that neighbours are alike and each use
gets its share. Landmarks have sites of their own. Everything in EPSG:4545, worked on in a frame turned with the roads.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from shapely import Point, Polygon
from shapely.affinity import rotate
from shapely.geometry.base import BaseGeometry

from layers import zone
from layers.network import CLASSES, DRAWN

# use → the name of its class of land in Chinese
USES = {
    "industry": "工业用地",
    "logistics": "物流仓储用地",
    "research": "科研用地",
    "education": "教育用地",
    "residential": "居住用地",
    "commercial": "商业服务业用地",
    "village": "村庄用地",
    "park": "公园",
    "green": "公园绿地",
    "farmland": "农田",
    "water": "水域",
    "reserved": "规划预留用地",
}

# What a district of a type is made of: size of a parcel in m², and shares of uses, from the field's heights downwards
_TYPES: dict[str, tuple[float, tuple[tuple[str, float], ...]]] = {
    "ecology": (150_000, (("park", 0.62), ("green", 0.38))),
    "reserve": (230_000, (("village", 0.13), ("farmland", 0.79), ("green", 0.08))),
    "biopharma": (
        95_000,
        (("research", 0.13), ("industry", 0.62), ("logistics", 0.05), ("residential", 0.1), ("green", 0.1)),
    ),
    "commercial_residential": (
        56_000,
        (("commercial", 0.2), ("residential", 0.3), ("green", 0.07), ("residential", 0.28), ("education", 0.09),
         ("green", 0.06)),
    ),
    "equipment": (
        115_000,
        (("research", 0.06), ("industry", 0.58), ("logistics", 0.12), ("farmland", 0.14), ("green", 0.1)),
    ),
    "compute": (60_000, (("research", 0.5), ("industry", 0.3), ("green", 0.2))),
    "university_science_park": (
        74_000,
        (("research", 0.26), ("education", 0.34), ("green", 0.1), ("residential", 0.2), ("commercial", 0.04),
         ("green", 0.06)),
    ),
    "ai_innovation": (42_000, (("commercial", 0.28), ("research", 0.42), ("green", 0.12), ("residential", 0.18))),
    "electronic_display": (
        90_000,
        (("research", 0.14), ("industry", 0.6), ("residential", 0.14), ("green", 0.12)),
    ),
    "new_materials": (
        120_000,
        (("research", 0.06), ("industry", 0.52), ("logistics", 0.12), ("farmland", 0.2), ("green", 0.1)),
    ),
}  # fmt: skip
# landmark kind → use of its site
_SITES = {
    "ai_hub": "commercial",
    "compute_centre": "research",
    "operations_centre": "commercial",
    "factory": "industry",
    "incubator": "research",
    "school": "education",
    "hotel": "commercial",
    "mall": "commercial",
    "visitor_centre": "commercial",
    "science_park": "research",
    "lab": "research",
    "park_industrial": "industry",
    "park": "park",
    "event_venue": "park",
}
SLIVER_M2 = 5_000.0
LAKE_FROM_M2 = 110_000.0


@dataclass(frozen=True)
class Grid:
    """A frame turned with the roads: in it they run along the axes. `angle` degrees anticlockwise from east."""

    angle: float
    origin: tuple[float, float]

    def flat(self, geometry: Any) -> Any:
        """From EPSG:4545 into the frame."""
        return rotate(geometry, -self.angle, origin=self.origin)

    def turned(self, geometry: Any) -> Any:
        """Back into EPSG:4545."""
        return rotate(geometry, self.angle, origin=self.origin)


def grid(roads: gpd.GeoDataFrame) -> Grid:
    """The roads' common bearing modulo 90°, weighted by length; roads more than 3° off it are left out of the mean."""
    steps = np.vstack([np.diff(np.asarray(line.coords), axis=0) for line in roads.geometry])
    lengths = np.hypot(*steps.T)
    # At four times its bearing, a street and one square to it point the same way
    vectors = lengths * np.exp(4j * np.arctan2(steps[:, 1], steps[:, 0]))
    off = np.abs(np.angle(vectors / vectors.sum()))
    mean = np.angle(vectors[off < np.radians(12)].sum()) / 4
    x0, y0, x1, y1 = roads.total_bounds
    return Grid(float(np.degrees(mean)), (float(round((x0 + x1) / 2, -3)), float(round((y0 + y1) / 2, -3))))


def site(mark: Any, grid: Grid) -> Polygon:
    """The land of a landmark that says how wide and deep it is, turned with the roads."""
    w, d = mark.width_m / 2, mark.depth_m / 2
    at = grid.flat(mark.geometry)
    return grid.turned(shapely.box(at.x - w, at.y - d, at.x + w, at.y + d))


def road_land(roads: Iterable[Any]) -> BaseGeometry:
    return shapely.union_all(
        [r.geometry.buffer(CLASSES[r.road_class].half_width, cap_style="flat", quad_segs=4) for r in roads]
    )


def land(
    districts: gpd.GeoDataFrame,
    roads: gpd.GeoDataFrame,
    landmarks: gpd.GeoDataFrame,
    rng: np.random.Generator,
) -> gpd.GeoDataFrame:
    """Parcels with id, use, name, district and the landmark they belong to; with the road land they tile the zone."""
    frame = grid(roads)
    streets = road_land(roads.itertuples())
    field = _Field(rng)
    rows: list[dict[str, Any]] = []
    for d in districts.itertuples():
        free = d.geometry.difference(streets)
        sites = [m for m in landmarks.itertuples() if m.district == d.id and m.width_m > 0]
        for mark in sites:
            plot = site(mark, frame).intersection(free)
            rows.append(_row(mark.id.replace("poi:", "lu:"), _site_use(mark), d.id, plot, name=mark.name, mark=mark.id))
            free = free.difference(plot)
        rows += _district_parcels(d, frame.flat(free), frame, field, rng)
    return gpd.GeoDataFrame(rows, crs=zone.METRIC)


def _site_use(mark: Any) -> str:
    return (
        _SITES.get(mark.kind, "commercial") if mark.kind in ("park", "event_venue") or mark.floors > 0 else "reserved"
    )


def _row(id: str, use: str, district: str, shape: BaseGeometry, *, name: str = "", mark: str = "") -> dict[str, Any]:
    return {
        "id": id,
        "use": use,
        "name": name or USES[use],
        "district": district,
        "landmark": mark or None,
        "schematic": True,
        "source": DRAWN,
        "geometry": shape,
    }


def _district_parcels(
    d: Any, free: BaseGeometry, frame: Grid, field: "_Field", rng: np.random.Generator
) -> Iterator[dict[str, Any]]:
    size, shares = _TYPES.get(d.district_type, _TYPES["reserve"])
    parcels = sorted(_cut(free, size, rng), key=lambda p: (-round(p.centroid.y), round(p.centroid.x)))
    whole = [p for p in parcels if not _sliver(p)]
    uses = iter(_dealt(whole, shares, field))
    stem = d.id.removeprefix("dist:")
    number = 0
    for parcel in parcels:
        use = "green" if _sliver(parcel) else next(uses)
        lake = _lake(parcel) if use == "park" and parcel.area > LAKE_FROM_M2 else None
        for kind, shape in ((use, parcel.difference(lake) if lake else parcel), ("water", lake)):
            if shape is not None:
                number += 1
                yield _row(f"lu:{stem}-{number:03d}", kind, d.id, frame.turned(shape))


def _sliver(p: Polygon) -> bool:
    """Too small or too thin to build on: 4πA/P² is 1 for a circle, 0.79 for a square."""
    return bool(p.area < SLIVER_M2 or 4 * np.pi * p.area / p.length**2 < 0.2)


def _cut(shape: BaseGeometry, size: float, rng: np.random.Generator) -> Iterator[Polygon]:
    for part in shapely.get_parts(shape):
        if part.geom_type != "Polygon" or part.area < 1.0:
            continue
        if part.area < 1.5 * size:
            yield part
            continue
        x0, y0, x1, y1 = part.bounds
        at = rng.uniform(0.42, 0.58)
        if x1 - x0 > y1 - y0:
            x = x0 + at * (x1 - x0)
            halves = shapely.box(x0, y0, x, y1), shapely.box(x, y0, x1, y1)
        else:
            y = y0 + at * (y1 - y0)
            halves = shapely.box(x0, y0, x1, y), shapely.box(x0, y, x1, y1)
        for half in halves:
            yield from _cut(part.intersection(half), size, rng)


def _dealt(parcels: Sequence[Polygon], shares: Sequence[tuple[str, float]], field: "_Field") -> list[str]:
    """The first use goes to where the field is highest, and so on down; each gets its share of the parcels."""
    order = np.argsort([-field(p.centroid) for p in parcels], kind="stable")
    until = np.cumsum([share for _, share in shares]) * len(parcels)
    uses = [""] * len(parcels)
    for rank, i in enumerate(order):
        uses[i] = shares[min(int(np.searchsorted(until, rank, side="right")), len(shares) - 1)][0]
    return uses


def _lake(parcel: Polygon) -> Polygon | None:
    """A lake of a fifth of the parcel, amid it, if it fits: an ellipse with two waves on it."""
    x0, y0, x1, y1 = parcel.bounds
    centre = parcel.representative_point()
    a, b = (x1 - x0) * 0.26, (y1 - y0) * 0.26
    t = np.linspace(0, 2 * np.pi, 33)[:-1]
    r = 1 + 0.18 * np.sin(2 * t + centre.x) + 0.12 * np.sin(3 * t + centre.y)
    lake = Polygon(np.column_stack([centre.x + a * r * np.cos(t), centre.y + b * r * np.sin(t)]))
    return lake if parcel.buffer(-25).contains(lake) else None


class _Field:
    """A smooth random function of place, a sum of plane waves of 2 to 6 km, and a grain of noise on it."""

    def __init__(self, rng: np.random.Generator) -> None:
        bearings, lengths = rng.uniform(0, 2 * np.pi, 7), rng.uniform(1_800, 6_000, 7)
        self._waves = np.column_stack([np.cos(bearings), np.sin(bearings)]) * (2 * np.pi / lengths)[:, None]
        self._phases = rng.uniform(0, 2 * np.pi, 7)
        self._rng = rng

    def __call__(self, at: Point) -> float:
        smooth = np.cos(self._waves @ np.array([at.x, at.y]) + self._phases).sum()
        return float(smooth + self._rng.normal(0, 0.9))
