"""The road network: nodes where roads meet, and two directed links between neighbours on a road.

Roads meet where they cross, and where one ends within SNAP_M of another; meeting points within MERGE_M are one. An
expressway is crossed on another level, except at its `interchanges`. A bridge that lies along a road is part of it; any
other is a road of its own. All in EPSG:4545.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import geopandas as gpd
import shapely
from shapely import LineString, MultiPoint, Point
from shapely.geometry.base import BaseGeometry

from layers import zone

SNAP_M = 60.0
MERGE_M = 110.0
SHORTEST_STUB_M = 120.0
ALONG_M = 15.0
DRAWN = "drawn for this project"
_SIDES = {"e": "东", "w": "西", "n": "北", "s": "南"}


@dataclass(frozen=True)
class RoadClass:
    """What a road of a class has where its own record does not say: per direction lanes and veh/h, km/h; and half its
    width with pavements and green, metres: nothing is built nearer to the centre line."""

    lanes: int
    free_speed: float
    capacity: float
    half_width: float


CLASSES = {
    "expressway": RoadClass(4, 100.0, 7_200.0, 45.0),
    "arterial": RoadClass(3, 60.0, 2_700.0, 32.0),
    "collector": RoadClass(2, 50.0, 1_600.0, 24.0),
    "local": RoadClass(1, 40.0, 700.0, 18.0),
}


@dataclass(frozen=True)
class Network:
    nodes: gpd.GeoDataFrame
    links: gpd.GeoDataFrame


def network(roads: gpd.GeoDataFrame, bridges: gpd.GeoDataFrame) -> Network:
    """Deterministic: nodes in the order of the roads, links in the order of their road, each forward then back."""
    lines = {str(r.id): r for r in roads.itertuples()}
    spans = {str(b.id): b for b in bridges.itertuples()}
    carried = {b: road for b, span in spans.items() if (road := _along(span.geometry, lines))}
    lines |= {b: span for b, span in spans.items() if b not in carried}
    nodes = list(_nodes(lines))
    on = {road: [n for n in nodes if road in n.roads] for road in lines}
    rows = [link for road, r in lines.items() for link in _links(r, on[road])]
    links = gpd.GeoDataFrame(rows, crs=zone.METRIC)
    links["bridge"] = [_bridge_under(link, spans, carried) for link in links.itertuples()]
    return Network(_node_frame(nodes, lines), links)


@dataclass
class _Node:
    """`side` says which end of its only road it is: e, w, n or s."""

    point: Point
    roads: list[str]
    side: str = ""


def _nodes(lines: dict[str, Any]) -> Iterator[_Node]:
    """Meeting points, those closer than MERGE_M made one; then the ends of roads that are no meeting point."""
    found = [_Node(MultiPoint(c.points).centroid, c.roads) for c in _clusters(lines)]
    for road, r in lines.items():
        for line in (r.geometry, r.geometry.reverse()):
            end = Point(line.coords[-1])
            if all(end.distance(n.point) > SHORTEST_STUB_M for n in found if road in n.roads):
                found.append(_Node(end, [road], heading(line).lower()))
    yield from found


@dataclass
class _Cluster:
    points: list[Point]
    roads: list[str]


def _clusters(lines: dict[str, Any]) -> list[_Cluster]:
    """Meeting points with all that lie within MERGE_M of one of theirs, so that no link is shorter than that."""
    found: list[_Cluster] = []
    for a, b in combinations(lines, 2):
        for point in _meetings(lines[a], lines[b]):
            near = [c for c in found if any(p.distance(point) < MERGE_M for p in c.points)]
            merged = _Cluster([point], [])
            for c in near:
                merged.points += c.points
                merged.roads += [r for r in c.roads if r not in merged.roads]
                found.remove(c)
            merged.roads += [r for r in (a, b) if r not in merged.roads]
            found.append(merged)
    return found


def _meetings(a: Any, b: Any) -> Iterable[Point]:
    if not _same_level(a, b):
        return []
    crossings = [p for p in shapely.get_parts(a.geometry.intersection(b.geometry)) if p.geom_type == "Point"]
    if crossings:
        return crossings
    touches = [*_ends_near(a.geometry, b.geometry), *_ends_near(b.geometry, a.geometry)]
    return touches[:1]


def _ends_near(line: LineString, other: LineString) -> list[Point]:
    ends = (Point(line.coords[0]), Point(line.coords[-1]))
    return [other.interpolate(other.project(e)) for e in ends if other.distance(e) < SNAP_M]


def _same_level(a: Any, b: Any) -> bool:
    express = [r for r in (a, b) if r.road_class == "expressway"]
    if len(express) != 1:
        return True
    other = b if express[0] is a else a
    return str(other.id) in str(express[0].interchanges).split()


def _along(bridge: BaseGeometry, lines: dict[str, Any]) -> str | None:
    """The road a bridge lies along, if any."""
    return next((road for road, r in lines.items() if r.geometry.buffer(ALONG_M).contains(bridge)), None)


def _links(r: Any, nodes: list[_Node]) -> Iterator[dict[str, Any]]:
    stations = sorted(((r.geometry.project(n.point), n) for n in nodes), key=lambda s: s[0])
    for number, ((a, start), (b, end)) in enumerate(pairwise(stations), 1):
        inner = shapely.ops.substring(r.geometry, a, b).coords[1:-1]
        piece = LineString([start.point, *inner, end.point])
        yield _link(r, number, start, end, piece)
        yield _link(r, number, end, start, piece.reverse())


def _link(r: Any, number: int, start: _Node, end: _Node, line: LineString) -> dict[str, Any]:
    usual = CLASSES[r.road_class]
    direction = heading(line)
    return {
        "id": f"{_stem(r.id)}-{number:02d}{direction.lower()}",
        "road": r.id,
        "name": r.name,
        "roadClass": r.road_class,
        "fromNode": _node_id(start),
        "toNode": _node_id(end),
        "direction": direction,
        "length": round(line.length, 1),
        "lanes": int(_known(r, "lanes_total", 2 * usual.lanes)) // 2 or 1,
        "freeSpeed": _known(r, "free_speed_kmh", usual.free_speed),
        "capacity": _known(r, "capacity_vph_per_dir", usual.capacity),
        "schematic": bool(getattr(r, "schematic", True)),
        "source": DRAWN,
        "geometry": line,
    }


def heading(line: LineString) -> str:
    """E, W, N or S: where the line mostly goes. Metric coordinates."""
    dx, dy = line.coords[-1][0] - line.coords[0][0], line.coords[-1][1] - line.coords[0][1]
    return ("E" if dx > 0 else "W") if abs(dx) > abs(dy) else ("N" if dy > 0 else "S")


def _known(r: Any, column: str, otherwise: float) -> float:
    value = getattr(r, column, None)
    return float(value) if value is not None and value == value else otherwise


def _stem(road: str) -> str:
    """`road:ew:05` → `ew05`, `bridge:wei` → `wei`; whatever a user's id holds, a part of a topic and of an id."""
    bare = road.split(":", 1)[-1]
    return "".join(c for c in bare if c.isalnum() or c in "-_")


def _node_id(node: _Node) -> str:
    return "-".join(["nd", *(_stem(r) for r in node.roads[:2]), *node.side])


def _bridge_under(link: Any, spans: dict[str, Any], carried: dict[str, str]) -> str | None:
    if link.road in spans:
        return str(link.road)
    here = [b for b, road in carried.items() if road == link.road]
    return next((b for b in here if spans[b].geometry.centroid.distance(link.geometry) < ALONG_M), None)


def _node_frame(nodes: list[_Node], lines: dict[str, Any]) -> gpd.GeoDataFrame:
    rows = [
        {
            "id": _node_id(n),
            "kind": _kind(n, lines),
            "name": _node_name(n, lines),
            "schematic": True,
            "source": DRAWN,
            "geometry": n.point,
        }
        for n in nodes
    ]
    return gpd.GeoDataFrame(rows, crs=zone.METRIC)


def _kind(node: _Node, lines: dict[str, Any]) -> str:
    if len(node.roads) == 1:
        return "end"
    return "interchange" if any(lines[r].road_class == "expressway" for r in node.roads) else "crossing"


def _node_name(node: _Node, lines: dict[str, Any]) -> str:
    names = [lines[r].name for r in node.roads[:2]]
    match _kind(node, lines):
        case "end":
            return f"{names[0]}{_SIDES[node.side]}端"
        case "interchange":
            return "".join(names) + "互通"
        case _:
            return "与".join(names) + "路口"
