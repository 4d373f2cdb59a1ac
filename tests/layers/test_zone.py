"""The zone as it ships: what the sources say of it holds on the ground that is drawn."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import shapely

from layers import zone
from layers.land import USES, road_land
from layers.network import CLASSES

AREA_KM2 = 123.39
NS = {"西环路", "高科一路", "高科二路", "高科三路", "高科四路", "高科五路", "西华路"}
EW = {"珠泉路", "永昌路", "星火大道", "世纪大道", "咸兴路", "渭河堤路"}


def test_the_boundary_has_the_area_that_the_sources_give() -> None:
    assert zone.area_km2(zone.layer("boundary")) == pytest.approx(AREA_KM2, rel=1e-4)


def test_the_districts_tile_the_zone() -> None:
    districts = zone.measured("districts").geometry
    whole, boundary = districts.union_all(), zone.measured("boundary").union_all()
    # Coordinates are kept to a centimetre, so that borders that share no vertex may be off by that along their length
    assert whole.symmetric_difference(boundary).area < 100
    assert districts.area.sum() - whole.area < 100
    assert zone.area_km2(zone.layer("districts")) == pytest.approx(AREA_KM2, rel=1e-4)


def test_fifteen_roads_by_ten() -> None:
    roads = zone.layer("roads")
    grid = roads[roads.in_15x10]
    assert Counter(grid.orientation) == {"EW": 15, "NS": 10}
    assert set(grid[grid.orientation == "EW"].name) >= EW
    assert set(grid[grid.orientation == "NS"].name) >= NS
    assert roads.name.is_unique
    assert set(roads.road_class) <= set(CLASSES)
    assert not roads.name.isna().any()


def test_the_roads_lie_inside_and_the_bridge_crosses_the_river() -> None:
    boundary = zone.measured("boundary").union_all().buffer(0.1)
    assert zone.measured("roads").within(boundary).all()
    river = zone.measured("river")
    centre = river[river.id == "river:wei:centre"].geometry.iloc[0]
    bridges = zone.measured("bridges").set_index("id").geometry
    assert bridges["bridge:wei"].crosses(centre)
    assert bridges["bridge:wei"].length == pytest.approx(1_803, abs=2)


@pytest.mark.parametrize("name", zone.NAMES)
def test_every_feature_says_whether_it_is_schematic_and_where_it_comes_from(name: zone.Name) -> None:
    frame = zone.layer(name)
    assert frame.crs == zone.STORED
    assert frame.schematic.isin([True, False]).all()
    assert frame.source.str.len().gt(0).all()
    assert frame.id.is_unique
    assert frame.is_valid.all()
    assert not frame.is_empty.any()


def test_the_data_stays_small() -> None:
    assert sum(f.stat().st_size for f in zone.SHIPPED.iterdir()) < 3_000_000


# ---------------------------------------------------------------- network


def test_every_link_runs_from_its_node_to_its_node_the_way_it_says() -> None:
    nodes = zone.measured("nodes").set_index("id").geometry
    for link in zone.measured("links").itertuples():
        ends = [shapely.Point(c) for c in link.geometry.coords]
        assert ends[0].distance(nodes[link.fromNode]) < 0.1
        assert ends[-1].distance(nodes[link.toNode]) < 0.1
        dx, dy = ends[-1].x - ends[0].x, ends[-1].y - ends[0].y
        along = {"E": (dx, dy), "W": (-dx, dy), "N": (dy, dx), "S": (-dy, dx)}[link.direction]
        assert along[0] >= abs(along[1])
        assert link.length == pytest.approx(link.geometry.length, abs=0.2)
        assert link.length > 100


def test_one_can_drive_from_everywhere_to_everywhere() -> None:
    links = zone.layer("links")
    for start, end in (("fromNode", "toNode"), ("toNode", "fromNode")):
        ways: dict[str, list[str]] = {}
        for a, b in zip(links[start], links[end], strict=True):
            ways.setdefault(a, []).append(b)
        seen, edge = {links[start].iloc[0]}, [links[start].iloc[0]]
        while edge:
            new = {b for a in edge for b in ways.get(a, ())} - seen
            seen |= new
            edge = list(new)
        assert seen == set(zone.layer("nodes").id)


def test_every_road_is_driven_end_to_end_both_ways() -> None:
    links = zone.layer("links")
    roads = set(zone.layer("roads").id) | {"bridge:wei"}
    assert set(links.road) == roads
    for _, on in links.groupby("road"):
        forward, back = on.iloc[::2], on.iloc[1::2]
        assert all(a == b for (_, a), (b, _) in pairwise(zip(forward.fromNode, forward.toNode, strict=True)))
        assert list(zip(forward.fromNode, forward.toNode, strict=True)) == list(
            zip(back.toNode, back.fromNode, strict=True)
        )


def test_the_expressway_is_met_at_its_interchanges_only() -> None:
    links, nodes = zone.layer("links"), zone.layer("nodes").set_index("id")
    ends = links[links.road == "road:ew:x1"].fromNode
    assert sorted(Counter(nodes.kind[ends])) == ["end", "interchange"]
    assert (nodes.kind == "interchange").sum() == 3


def test_the_flyover_is_a_stretch_of_its_road() -> None:
    links = zone.layer("links").set_index("id")
    carried = links[links.bridge == "bridge:gk1-flyover"]
    assert set(carried.road) == {"road:ns:03"}
    assert carried["length"].tolist() == pytest.approx([1_284.3, 1_284.3], abs=1)


# ---------------------------------------------------------------- land and buildings


def test_the_land_between_the_roads_is_used_once() -> None:
    parcels, roads = zone.measured("landuse"), zone.measured("roads")
    assert set(parcels.use) <= set(USES)
    between = zone.measured("boundary").union_all().difference(road_land(roads.itertuples()))
    whole = parcels.union_all()
    # 280 km of edges kept to a centimetre
    assert whole.symmetric_difference(between).area < 5_000
    assert parcels.area.sum() - whole.area < 5_000


def test_the_ai_port_is_an_o_of_four_floors_on_thirty_mu() -> None:
    buildings, parcels = zone.measured("buildings"), zone.measured("landuse")
    port = buildings[buildings.landmark == "poi:ai-hub"].iloc[0]
    assert len(port.geometry.interiors) == 1
    assert (port.height, port.floors) == (30.0, 4)
    geodesic = zone.area_km2(zone.layer("buildings")[buildings.landmark == "poi:ai-hub"]) * 1e6
    assert geodesic * port.floors == pytest.approx(19_800, rel=0.02)
    site = parcels[parcels.landmark == "poi:ai-hub"].geometry.iloc[0]
    assert site.covers(port.geometry)
    assert site.area <= 20_010


def test_buildings_stand_apart_off_the_roads_and_in_their_district() -> None:
    buildings = zone.measured("buildings")
    shapes = buildings.geometry.to_numpy()
    tree = shapely.STRtree(shapes)
    a, b = tree.query(shapes, predicate="intersects")
    assert (a == b).all()
    assert not buildings.intersects(road_land(zone.measured("roads").itertuples())).any()
    assert not buildings.intersects(zone.measured("river").union_all()).any()
    districts = zone.measured("districts").set_index("id").geometry
    assert buildings.within(districts[buildings.district].set_axis(buildings.index).buffer(0.1)).all()


def test_the_city_has_a_skyline() -> None:
    buildings = zone.layer("buildings")
    assert 1_500 <= len(buildings) <= 4_000
    by_kind = buildings.groupby("kind").height
    assert by_kind.median()["commercial"] > 2 * by_kind.median()["industry"]
    assert buildings.height.max() > 120
    assert (buildings.height > 0).all()
    assert np.allclose(buildings.height * 10, np.round(buildings.height * 10))


def test_landmarks_stand_in_their_district_and_those_built_have_a_building() -> None:
    marks = zone.measured("landmarks")
    districts = zone.measured("districts").set_index("id").geometry
    assert marks.within(districts[marks.district].set_axis(marks.index)).all()
    built = zone.measured("buildings").set_index("landmark").geometry
    for mark in marks[marks.floors > 0].itertuples():
        assert built[mark.id].envelope.contains(mark.geometry)


def test_a_users_layer_stands_before_the_one_that_ships_as_soon_as_it_is_there(tmp_path: Path) -> None:
    assert len(zone.layer("landmarks", tmp_path)) == len(zone.layer("landmarks"))
    zone.write(tmp_path / "landmarks.geojson", zone.layer("landmarks").head(3))
    assert len(zone.layer("landmarks", tmp_path)) == 3
    assert zone.path("roads", tmp_path).parent == zone.SHIPPED


def test_a_layer_is_the_callers_own() -> None:
    frame = zone.layer("roads")
    frame["name"] = "changed"
    assert "changed" not in set(zone.layer("roads").name)
