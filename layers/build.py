"""Draws the schematic layers that ship, from the hand-kept ones: boundary, districts, roads, river and landmarks.

    roads → nodes and directed links → blocks between the roads → land use → buildings → devices

Positions are plausible, not surveyed: every feature says `schematic`. The same seed draws the same zone, byte for byte.
Everything is drawn in EPSG:4545 (metres) and written in EPSG:4326 with 7 decimals (a centimetre).
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from shapely import LineString, Point, Polygon
from shapely.affinity import rotate, translate
from shapely.geometry.base import BaseGeometry
from shapely.ops import polygonize, unary_union

from layers import zone

SEED = 123
DRAWN = "drawn for this project"

# Half of a road's width with its pavements and green, metres: nothing is built nearer to the centre line
HALF_WIDTH = {"expressway": 45.0, "arterial": 32.0, "collector": 24.0, "local": 18.0}
LANES_SPEED = {"expressway": 100.0, "arterial": 60.0, "collector": 50.0, "local": 40.0}
# The expressway is crossed on another level everywhere but at these
INTERCHANGES = frozenset({"road:ns:02", "road:ns:05", "road:ns:08"})
SHORTEST_STUB_M = 120.0
AI_PORT = "poi:ai-hub"


def build(folder: Path, seed: int = SEED) -> dict[str, int]:
    """Write the drawn layers and the device registry into `folder`; returns the number of features of each."""
    from layers import devices
    from twin.registry import write

    rng = np.random.default_rng(seed)
    districts = zone.measured("districts")
    roads = zone.measured("roads")
    boundary = zone.measured("boundary").geometry.iloc[0]
    nodes, links = network(roads, boundary)
    blocks = land(districts, roads)
    landmarks = seat_landmarks(zone.measured("landmarks"), blocks)
    buildings = raise_buildings(blocks, landmarks, rng)
    counts = {
        "nodes": _write(folder, "nodes", nodes),
        "links": _write(folder, "links", links),
        "landuse": _write(folder, "landuse", blocks),
        "landmarks": _write(folder, "landmarks", landmarks),
        "buildings": _write(folder, "buildings", buildings),
    }
    registry = devices.registry(districts, nodes, links, blocks, landmarks, np.random.default_rng(seed + 1))
    write(folder / "devices.json", registry)
    return counts | {"devices": len(registry)}


# ---------------------------------------------------------------- network


def network(roads: gpd.GeoDataFrame, boundary: Polygon) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """Nodes where roads cross or leave the zone, and two directed links between each pair of neighbours on a road."""
    lines = {r.id: r for r in roads.itertuples() if r.in_15x10 or r.road_class == "expressway" or r.id == "bridge:wei"}
    on_road = {road: sorted(_stations(road, lines, boundary)) for road in lines}
    nodes: dict[tuple[int, int], str] = {}

    def node_at(point: Point) -> str:
        # Two roads meet in one point; computed from either line it differs by far less than a metre
        key = next((k for k in nodes if abs(k[0] - point.x) < 2 and abs(k[1] - point.y) < 2), None)
        if key is None:
            key = (round(point.x), round(point.y))
            nodes[key] = f"n{len(nodes) + 1:03d}"
        return nodes[key]

    rows = []
    for road, stations in on_road.items():
        r = lines[road]
        ids = [node_at(r.geometry.interpolate(s)) for s in stations]
        for i, (a, b) in enumerate(zip(stations, stations[1:], strict=False)):
            piece = shapely.ops.substring(r.geometry, a, b)
            for forward in (True, False):
                rows.append(_link(r, i + 1, ids[i], ids[i + 1], piece, forward))
    points = [Point(k) for k in nodes]
    made = gpd.GeoDataFrame(
        {"id": list(nodes.values()), "schematic": True, "source": DRAWN}, geometry=points, crs=zone.METRIC
    )
    return made, gpd.GeoDataFrame(rows, crs=zone.METRIC)


def _stations(road: str, lines: dict[str, Any], boundary: Polygon) -> set[float]:
    """Distances along a road at which it has a node, metres."""
    line = lines[road].geometry
    found: set[float] = set()
    for other, r in lines.items():
        if other == road or not _meet(road, other):
            continue
        cut = line.intersection(r.geometry)
        if cut.is_empty and line.distance(r.geometry) < 60:
            cut = shapely.ops.nearest_points(line, r.geometry)[1]
        for point in shapely.get_parts(cut) if not cut.is_empty else ():
            if point.geom_type == "Point":
                found.add(round(line.project(point), 3))
    ends = [0.0, line.length]
    found |= {e for e in ends if all(abs(e - s) > SHORTEST_STUB_M for s in found)}
    return found


def _meet(a: str, b: str) -> bool:
    """Whether two roads that cross on the map meet on the ground."""
    if "bridge:wei" in (a, b):
        return {a, b} == {"bridge:wei", "road:ns:03"}
    if "road:ew:x1" in (a, b):
        return bool({a, b} & INTERCHANGES)
    return a.split(":")[1] != b.split(":")[1]


def _link(r: Any, number: int, start: str, end: str, piece: LineString, forward: bool) -> dict[str, Any]:
    ew = abs(piece.coords[-1][0] - piece.coords[0][0]) > abs(piece.coords[-1][1] - piece.coords[0][1])
    rising = (piece.coords[-1][0] > piece.coords[0][0]) if ew else (piece.coords[-1][1] > piece.coords[0][1])
    letter = ("EW" if ew else "NS")[0 if rising == forward else 1]
    lanes = int(r.lanes_total) // 2
    stem = r.id.removeprefix("road:").replace(":", "")
    return {
        "id": f"{stem}-{number:02d}{letter.lower()}",
        "road": r.id,
        "name": r.name,
        "roadClass": r.road_class,
        "fromNode": start if forward else end,
        "toNode": end if forward else start,
        "direction": letter,
        "length": round(piece.length, 1),
        "lanes": lanes,
        "freeSpeed": float(r.free_speed_kmh),
        "capacity": float(r.capacity_vph_per_dir)
        if r.capacity_vph_per_dir == r.capacity_vph_per_dir
        else 900.0 * lanes,
        "schematic": True,
        "source": DRAWN,
        "geometry": piece if forward else piece.reverse(),
    }


# ---------------------------------------------------------------- land

# district type → what its blocks are used for, and how often
USES: dict[str, tuple[tuple[str, float], ...]] = {
    "ecology": (("park", 1.0),),
    "reserve": (("farmland", 0.86), ("village", 0.14)),
    "biopharma": (("industry", 0.72), ("research", 0.12), ("green", 0.08), ("residential", 0.08)),
    "commercial_residential": (("residential", 0.55), ("commercial", 0.22), ("education", 0.11), ("green", 0.12)),
    "equipment": (("industry", 0.7), ("logistics", 0.14), ("green", 0.06), ("farmland", 0.1)),
    "compute": (("research", 0.6), ("industry", 0.25), ("green", 0.15)),
    "university_science_park": (("education", 0.42), ("research", 0.32), ("residential", 0.16), ("green", 0.1)),
    "ai_innovation": (("research", 0.45), ("commercial", 0.33), ("residential", 0.12), ("green", 0.1)),
    "electronic_display": (("industry", 0.7), ("research", 0.14), ("residential", 0.08), ("green", 0.08)),
    "new_materials": (("industry", 0.62), ("logistics", 0.1), ("research", 0.06), ("green", 0.06), ("farmland", 0.16)),
}


def land(districts: gpd.GeoDataFrame, roads: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """The blocks between the roads, cut at district borders, each with one use; with the road land they tile the zone."""
    road_land = unary_union([r.geometry.buffer(HALF_WIDTH[r.road_class], cap_style="flat") for r in roads.itertuples()])
    rows = []
    rng = np.random.default_rng(SEED)
    for d in districts.itertuples():
        # Parcels of some 400 m: a use a parcel reads as a city, a use a square kilometre does not
        for i, block in enumerate(_parcels(d.geometry.difference(road_land))):
            names, weights = zip(*USES[d.district_type], strict=True)
            use = str(rng.choice(names, p=weights))
            rows.append(
                {
                    "id": f"lu:{d.id.removeprefix('dist:')}-{i + 1:03d}",
                    "use": use,
                    "district": d.id,
                    "schematic": True,
                    "source": DRAWN,
                    "geometry": block,
                }
            )
    made = gpd.GeoDataFrame(rows, crs=zone.METRIC)
    covered = road_land.intersection(unary_union(list(districts.geometry)))
    road = {"id": "lu:roads", "use": "road", "district": "", "schematic": True, "source": DRAWN, "geometry": covered}
    return gpd.GeoDataFrame([*rows, road], crs=made.crs)


GRID_DEG = 9.0  # the roads run this much north of east
PARCEL_M = 420.0


def _parcels(land: BaseGeometry) -> list[Polygon]:
    """Polygons cut along a grid turned like the roads; slivers stay with the cut that made them."""
    found = []
    for part in shapely.get_parts(land):
        if part.area < 400:
            found.append(part)
            continue
        centre = part.centroid
        flat = rotate(part, -GRID_DEG, origin=centre)
        x0, y0, x1, y1 = flat.bounds
        xs = np.linspace(x0, x1, max(1, round((x1 - x0) / PARCEL_M)) + 1)
        ys = np.linspace(y0, y1, max(1, round((y1 - y0) / PARCEL_M)) + 1)
        cuts = [LineString([(x, y0 - 1), (x, y1 + 1)]) for x in xs[1:-1]]
        cuts += [LineString([(x0 - 1, y), (x1 + 1, y)]) for y in ys[1:-1]]
        pieces = list(polygonize(unary_union([flat.boundary, *cuts]))) if cuts else [flat]
        inside = [p for p in pieces if flat.contains(p.representative_point())]
        found += [rotate(p, GRID_DEG, origin=centre) for p in inside]
    return sorted(found, key=lambda p: (round(p.centroid.y), round(p.centroid.x)))


def seat_landmarks(landmarks: gpd.GeoDataFrame, blocks: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Each landmark moved into the middle of the nearest parcel of its district that is large enough and not yet taken."""
    free = blocks[(blocks.use != "road") & (blocks.area > 45_000)].copy()
    points = []
    for mark in landmarks.itertuples():
        candidates = free[free.district == mark.district]
        nearest = candidates.geometry.centroid.distance(mark.geometry).sort_values(kind="stable").index[0]
        points.append(free.geometry[nearest].representative_point())
        free = free.drop(nearest)
    moved = landmarks.copy()
    moved["geometry"] = points
    moved["coordinate_confidence"] = "none (placed in a parcel of its district)"
    return moved


# ---------------------------------------------------------------- buildings

# use → (width, depth, height) ranges in metres, spacing in metres, share of places built on, floors' height
_FORMS: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float], float, float, float]] = {
    "industry": ((55, 120), (30, 60), (9, 20), 34, 0.62, 7.0),
    "logistics": ((70, 140), (35, 55), (10, 14), 40, 0.55, 10.0),
    "residential": ((38, 62), (13, 17), (18, 96), 42, 0.72, 3.0),
    "commercial": ((34, 64), (30, 50), (18, 120), 36, 0.6, 4.2),
    "research": ((40, 80), (18, 28), (16, 56), 40, 0.6, 4.0),
    "education": ((45, 80), (16, 24), (12, 28), 48, 0.5, 3.8),
    "village": ((14, 24), (10, 14), (4, 9), 26, 0.5, 3.5),
}
# landmark kind → (width, depth, height, floors) of its own building, metres
_OWN: dict[str, tuple[float, float, float, int]] = {
    "compute_centre": (110, 70, 24, 4),
    "operations_centre": (70, 40, 36, 8),
    "factory": (190, 90, 18, 2),
    "incubator": (80, 50, 48, 11),
    "school": (95, 45, 20, 5),
    "hotel": (48, 32, 86, 22),
    "mall": (150, 95, 28, 5),
    "visitor_centre": (60, 45, 22, 3),
    "science_park": (100, 60, 60, 14),
    "lab": (80, 45, 28, 6),
    "park_industrial": (140, 80, 24, 5),
}


def raise_buildings(
    blocks: gpd.GeoDataFrame, landmarks: gpd.GeoDataFrame, rng: np.random.Generator
) -> gpd.GeoDataFrame:
    """Footprints with heights: the landmarks' own buildings, then rows of what each parcel's use builds."""
    rows = [_landmark_building(m) for m in landmarks.itertuples() if m.kind in _OWN or m.id == AI_PORT]
    taken = shapely.STRtree([r["geometry"].buffer(30) for r in rows])
    for block in blocks.itertuples():
        if block.use not in _FORMS:
            continue
        inside = block.geometry.buffer(-14)
        if inside.is_empty:
            continue
        shapely.prepare(inside)
        for footprint, height, floors in _rows_of(block.use, block.geometry, rng):
            if inside.contains(footprint) and not len(taken.query(footprint, predicate="intersects")):
                rows.append(_building(f"{block.id}", block.use, block.district, footprint, height, floors))
    for i, row in enumerate(rows):
        row["id"] = f"bd:{i + 1:05d}"
    return gpd.GeoDataFrame(rows, crs=zone.METRIC)


def _rows_of(use: str, block: Polygon, rng: np.random.Generator) -> Iterable[tuple[Polygon, float, int]]:
    """Rectangles along the road grid that might stand in a block; the caller drops those that do not fit."""
    (w0, w1), (d0, d1), (h0, h1), gap, share, storey = _FORMS[use]
    centre = block.centroid
    flat = rotate(block, -GRID_DEG, origin=centre)
    x0, y0, x1, y1 = flat.bounds
    # Tall things stand together: one draw a block, the buildings around it
    tall = h0 + (h1 - h0) * rng.beta(1.3, 2.6)
    y = y0 + 16
    while y < y1 - 16:
        depth = rng.uniform(d0, d1)
        x = x0 + 16 + rng.uniform(0, gap / 2)
        while x < x1 - 16:
            width = rng.uniform(w0, w1)
            if rng.random() < share:
                height = float(np.clip(tall * rng.uniform(0.75, 1.3), h0, h1))
                floors = max(1, round(height / storey))
                box = shapely.box(x, y, x + width, y + depth)
                yield rotate(box, GRID_DEG, origin=centre), round(floors * storey, 1), floors
            x += width + gap * rng.uniform(0.5, 1.2)
        y += depth + gap * rng.uniform(0.7, 1.2)


def _landmark_building(mark: Any) -> dict[str, Any]:
    if mark.id == AI_PORT:
        footprint, height, floors = ai_port(mark.geometry), 30.0, 4
    else:
        width, depth, height, floors = _OWN[mark.kind]
        box = shapely.box(-width / 2, -depth / 2, width / 2, depth / 2)
        footprint = translate(rotate(box, GRID_DEG), mark.geometry.x, mark.geometry.y)
    return _building(mark.id, mark.kind, mark.district, footprint, height, floors, name=mark.name)


def ai_port(centre: Point, floor_area: float = 19_800.0, floors: int = 4) -> Polygon:
    """The O of 中国西部AI创新港: a ring whose four floors make 19,800 m², the court's radius half of the outer one."""
    ring = floor_area / floors
    outer = float(np.sqrt(ring / (np.pi * 0.75)))
    shape = centre.buffer(outer, quad_segs=16).difference(centre.buffer(outer / 2, quad_segs=16))
    # A polygon of 64 sides is a little smaller than its circle
    return shapely.affinity.scale(shape, *(float(np.sqrt(ring / shape.area)),) * 2, origin=centre)


def _building(
    place: str, kind: str, district: str, footprint: Polygon, height: float, floors: int, name: str = ""
) -> dict[str, Any]:
    return {
        "id": "",
        "place": place,
        "kind": kind,
        "name": name,
        "district": district,
        "height": height,
        "floors": floors,
        "schematic": True,
        "source": DRAWN,
        "geometry": footprint,
    }


# ---------------------------------------------------------------- writing


def _write(folder: Path, name: str, frame: gpd.GeoDataFrame) -> int:
    """One feature a line, 7 decimals, so that a change reads well in a diff."""
    out = shapely.set_precision(frame.to_crs(zone.STORED).geometry.values, 1e-7)
    columns: Sequence[str] = [c for c in frame.columns if c != "geometry"]
    lines = []
    for row, geometry in zip(frame[columns].to_dict("records"), out, strict=True):
        properties = {k: v for k, v in row.items() if v == v and v is not None}
        feature = {
            "type": "Feature",
            "id": row["id"],
            "properties": properties,
            "geometry": json.loads(shapely.to_geojson(geometry), parse_float=lambda t: round(float(t), 7)),
        }
        lines.append(json.dumps(feature, ensure_ascii=False, separators=(",", ":")))
    head = f'{{"type":"FeatureCollection","name":"{name}","features":[\n'
    (folder / f"{name}.geojson").write_text(head + ",\n".join(lines) + "\n]}\n", encoding="utf-8")
    return len(lines)
