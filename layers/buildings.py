"""Buildings: footprints with heights, plausible for what each parcel is used for. Schematic, every one.

A parcel is filled row by row along the road grid. Each use has styles; a parcel draws one, and each of its rows follows
a form of it. Heights rise towards the centres (the AI port, the mall) and vary a little from house to house.
In the grid's frame, metres, until a row is done.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, cycle
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from shapely import Polygon
from shapely.affinity import scale

from layers import land, zone
from layers.land import Grid
from layers.network import DRAWN

AI_PORT = "poi:ai-hub"
SETBACK_M = 13.0
SEARCH_M = 6.0  # how far a row moves on where a slanting edge leaves it no room
CENTRE_KINDS = ("ai_hub", "mall", "operations_centre")


@dataclass(frozen=True)
class Form:
    """A row of buildings: ranges of width, depth and floors, a storey's height and gaps in metres, and the share of
    places left empty. `plan` is the shape of each: a box, a court (U) or an L. `most` in a row."""

    width: tuple[float, float]
    depth: tuple[float, float]
    floors: tuple[int, int]
    storey: float
    gap: tuple[float, float]
    behind: float
    empty: float = 0.0
    plan: str = "box"
    most: int = 99


_TOWERS = Form((32, 40), (26, 30), (24, 34), 3.0, (50, 64), 54, 0.08)
_SLABS = Form((70, 90), (15, 17), (11, 18), 3.0, (26, 36), 44, 0.06)
_WALK_UPS = Form((84, 112), (14, 16), (6, 7), 3.0, (18, 26), 31, 0.06)
_SHOPS = Form((90, 140), (18, 22), (2, 3), 4.5, (16, 26), 32)
_PODIUM = Form((90, 150), (54, 76), (4, 6), 5.0, (30, 40), 34, most=2)
_HIGH = Form((38, 48), (36, 44), (20, 40), 4.0, (44, 64), 42, 0.1)
_OFFICES = Form((80, 104), (50, 62), (5, 10), 4.0, (38, 52), 40, 0.08, "court")
_LABS = Form((70, 96), (40, 50), (4, 8), 4.2, (34, 46), 38, 0.08, "L")
_TOWER_BLOCK = Form((50, 64), (26, 34), (12, 22), 4.0, (50, 66), 50, 0.1)
_TEACHING = Form((88, 116), (52, 62), (4, 6), 3.9, (40, 56), 46, 0.05, "court", 3)
_DORMS = Form((74, 94), (16, 18), (6, 12), 3.3, (26, 38), 40, 0.05)
_GYM = Form((66, 84), (44, 54), (2, 2), 9.0, (60, 90), 54, 0.1, "box", 1)
_FRONT = Form((56, 76), (18, 22), (4, 7), 4.0, (60, 110), 30, 0.1, "box", 1)
_HALLS = Form((150, 250), (74, 104), (1, 2), 8.5, (26, 36), 30, 0.04)
_BIG_HALLS = Form((230, 340), (110, 150), (1, 2), 11.0, (30, 40), 36)
_WORKSHOPS = Form((96, 140), (48, 62), (2, 4), 5.5, (28, 38), 30, 0.08)
_SHEDS = Form((210, 310), (64, 84), (1, 1), 12.0, (34, 44), 52)
_COTTAGES = Form((70, 110), (11, 14), (2, 3), 3.3, (16, 26), 34, 0.12, "box", 3)

# use → its styles; a parcel's rows, from the south, follow a style's first form and then the rest in turn
STYLES: dict[str, tuple[tuple[Form, ...], ...]] = {
    "residential": ((_SHOPS, _TOWERS), (_TOWERS,), (_SLABS,), (_SHOPS, _SLABS), (_WALK_UPS,)),
    "commercial": ((_PODIUM, _HIGH, _HIGH), (_HIGH,), (_HIGH, _PODIUM)),
    "research": ((_OFFICES,), (_LABS, _TOWER_BLOCK), (_OFFICES, _TOWER_BLOCK)),
    "education": ((_TEACHING, _GYM, _DORMS), (_TEACHING, _DORMS)),
    "industry": ((_FRONT, _HALLS), (_FRONT, _BIG_HALLS), (_FRONT, _HALLS), (_FRONT, _WORKSHOPS, _HALLS)),
    "logistics": ((_SHEDS,),),
    "village": ((_COTTAGES,),),
}
# Villages and works do not fill their land: the share of a parcel's width and depth that is built on
_BUILT = {"village": 0.45}


def buildings(
    parcels: gpd.GeoDataFrame, landmarks: gpd.GeoDataFrame, frame: Grid, rng: np.random.Generator
) -> gpd.GeoDataFrame:
    """Every building with id, kind, district, height (m) and floors; those of landmarks also with name and landmark."""
    marks = [m for m in landmarks.itertuples() if m.floors > 0]
    rows = [_of_landmark(m, frame) for m in marks]
    centres = [frame.flat(m.geometry) for m in landmarks.itertuples() if m.kind in CENTRE_KINDS]
    for parcel in parcels[parcels.landmark.isna()].itertuples():
        if parcel.use in STYLES:
            shape = frame.flat(parcel.geometry)
            rise = _rise(shape, centres, rng)
            for footprint, form, floors in _fill(shape, parcel.use, rise, rng):
                rows.append(_row(parcel.use, parcel.district, frame.turned(footprint), floors * form.storey, floors))
    for number, row in enumerate(rows, 1):
        row["id"] = f"bd:{number:04d}"
    return gpd.GeoDataFrame(rows, crs=zone.METRIC)


def _row(kind: str, district: str, footprint: Polygon, height: float, floors: int, mark: Any = None) -> dict[str, Any]:
    return {
        "id": "",
        "kind": kind,
        "name": mark.name if mark else None,
        "landmark": mark.id if mark else None,
        "district": district,
        "height": round(height, 1),
        "floors": floors,
        "schematic": True,
        "source": DRAWN,
        "geometry": footprint,
    }


def _rise(parcel: Polygon, centres: Sequence[Any], rng: np.random.Generator) -> float:
    """How tall a parcel is within what its forms allow, 0 to 1: a skyline that falls off over two kilometres."""
    away = min((parcel.distance(c) for c in centres), default=9_000.0)
    return float(np.clip(0.15 + 0.7 * np.exp(-((away / 2_000) ** 2)) + rng.uniform(-0.15, 0.3), 0, 1))


def _fill(parcel: Polygon, use: str, rise: float, rng: np.random.Generator) -> Iterator[tuple[Polygon, Form, int]]:
    inner = parcel.buffer(-SETBACK_M, join_style="mitre")
    if inner.is_empty:
        return
    if use in _BUILT:
        inner = scale(inner, _BUILT[use], _BUILT[use], origin=inner.representative_point())
    styles = STYLES[use]
    style = styles[int(rng.integers(len(styles)))]
    forms = chain(style[:1], cycle(style[1:] or style))
    # A parcel's edge may be off the grid by a few centimetres
    roomy = inner.buffer(0.5)
    shapely.prepare(roomy)
    _, y, _, top = inner.bounds
    form, depth = _next(forms, rng)
    while y + depth < top:
        wide = [s for s in _spans(inner, y, y + depth) if s[1] - s[0] >= form.width[0]]
        if not wide:
            y += SEARCH_M
            continue
        for x, width in (place for span in wide for place in _places(*span, form, rng)):
            box = shapely.box(x, y, x + width, y + depth)
            if rng.random() >= form.empty and roomy.covers(box):
                yield _shaped(box, form.plan, bool(rng.integers(2))), form, _floors(form, rise, rng)
        y += depth + form.behind
        form, depth = _next(forms, rng)


def _next(forms: Iterator[Form], rng: np.random.Generator) -> tuple[Form, float]:
    form = next(forms)
    return form, float(rng.uniform(*form.depth))


def _spans(inner: Polygon, y0: float, y1: float) -> list[tuple[float, float]]:
    """Where a row between two heights is inside along its whole lower and upper edge: intervals of x."""
    x0, _, x1, _ = inner.bounds
    lower, upper = (inner.intersection(shapely.LineString([(x0 - 1, y), (x1 + 1, y)])) for y in (y0 + 0.1, y1 - 0.1))
    edges = [[(p.bounds[0], p.bounds[2]) for p in shapely.get_parts(e) if p.length > 0] for e in (lower, upper)]
    both = [(max(a[0], b[0]), min(a[1], b[1])) for a in edges[0] for b in edges[1]]
    return [(a, b) for a, b in both if b > a]


def _places(left: float, right: float, form: Form, rng: np.random.Generator) -> list[tuple[float, float]]:
    """(x, width) of the buildings of a row, spread over its whole length as evenly as it allows."""
    width, gap = float(rng.uniform(*form.width)), float(rng.uniform(*form.gap))
    room = right - left
    width = min(width, room)
    count = min(form.most, int((room + gap) // (width + gap)))
    spare = room - count * width - (count - 1) * gap
    # Half of what is left over widens the gaps, the rest frees the ends
    step = width + gap + (spare / (count - 1) / 2 if count > 1 else 0.0)
    start = left + (room - (count - 1) * step - width) / 2
    return [(start + i * step, width) for i in range(count)]


def _floors(form: Form, rise: float, rng: np.random.Generator) -> int:
    low, high = form.floors
    return int(np.clip(round(low + (high - low) * (rise + rng.uniform(-0.2, 0.2))), low, high))


def _shaped(box: Polygon, plan: str, mirrored: bool) -> Polygon:
    """A box, or its U open to the south or the L that is left when a corner is cut out; wings 16 m deep."""
    if plan == "box":
        return box
    x0, y0, x1, y1 = box.bounds
    wing = 16.0
    if plan == "court":
        return box.difference(shapely.box(x0 + wing, y0 - 1, x1 - wing, y1 - wing))
    cut = (x0 - 1, x1 - wing) if mirrored else (x0 + wing, x1 + 1)
    return box.difference(shapely.box(cut[0], y0 - 1, cut[1], y1 - wing))


# ---------------------------------------------------------------- landmarks

# landmark kind → how much of its site's width and depth its main building takes, and its plan
_MAIN: dict[str, tuple[float, float, str]] = {
    "factory": (0.74, 0.66, "box"),
    "park_industrial": (0.6, 0.4, "court"),
    "science_park": (0.5, 0.4, "court"),
    "school": (0.56, 0.44, "court"),
    "mall": (0.74, 0.66, "box"),
    "compute_centre": (0.6, 0.52, "box"),
    "hotel": (0.46, 0.36, "box"),
    "operations_centre": (0.5, 0.36, "box"),
}


def _of_landmark(mark: Any, frame: Grid) -> dict[str, Any]:
    footprint = ai_port(mark.geometry) if mark.id == AI_PORT else _main(mark, frame)
    return _row(mark.kind, mark.district, footprint, mark.height_m, int(mark.floors), mark)


def _main(mark: Any, frame: Grid) -> Polygon:
    wide, deep, plan = _MAIN.get(mark.kind, (0.56, 0.44, "box"))
    box = scale(frame.flat(land.site(mark, frame)), wide, deep)
    return frame.turned(_shaped(box, plan, False))


def ai_port(centre: shapely.Point, floor_area: float = 19_800.0, floors: int = 4, radius: float = 55.0) -> Polygon:
    """The O of 中国西部AI创新港: a ring of outer `radius` metres whose floors together make `floor_area` m²."""
    outer = centre.buffer(radius, quad_segs=16)
    # The same polygon scaled down leaves exactly the floor's area between the two
    inner = scale(outer, *(float(np.sqrt(1 - floor_area / floors / outer.area)),) * 2, origin=centre)
    return outer.difference(inner)
