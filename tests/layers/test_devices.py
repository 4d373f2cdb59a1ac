"""The registry that ships."""

import re
from collections import Counter, defaultdict

import geopandas as gpd
import pytest

from layers import zone
from twin import registry as registries
from twin.observation import KINDS
from twin.registry import Device

REGISTRY = registries.read(zone.SHIPPED / "devices.json")
EXACTLY = {
    "air-station": 24,
    "noise-monitor": 61,
    "weather-station": 6,
    "water-station": 8,
    "soil-station": 12,
    "compute-centre": 1,
    "server": 120,
    "chiller": 4,
    "power-unit": 4,
    "compute-pool": 3,
    "dispatch": 1,
    "street-light": 160,
    "manhole": 200,
    "pumping-station": 14,
    "underpass": 8,
    "city-grid": 50,
}


def points(devices: list[Device]) -> gpd.GeoSeries:
    return gpd.GeoSeries(gpd.points_from_xy([d.lon for d in devices], [d.lat for d in devices]), crs=zone.STORED)


def of(kind: str) -> list[Device]:
    return [d for d in REGISTRY if d.kind == kind]


def near(mark: str, metres: float, among: list[Device]) -> list[Device]:
    marks = zone.measured("landmarks").set_index("id").geometry
    away = points(among).to_crs(zone.METRIC).distance(marks[mark])
    return [d for d, m in zip(among, away, strict=True) if m <= metres]


def test_there_are_enough_of_every_kind() -> None:
    counts = Counter(d.kind for d in REGISTRY)
    assert set(counts) == set(KINDS)
    assert {k: counts[k] for k in EXACTLY} == EXACTLY
    assert len(REGISTRY) >= 1_150
    assert counts["car-park"] >= 72


def test_every_device_lies_in_the_district_it_says() -> None:
    devices = list(REGISTRY)
    districts = zone.layer("districts").set_index("id").geometry
    assert points(devices).within(districts[[d.district for d in devices]].reset_index(drop=True)).all()
    assert {d.district for d in of("air-station")} == set(districts.index)


def test_every_directed_link_has_its_detector_on_its_right() -> None:
    links = zone.measured("links").set_index("id")
    detectors = of("link-detector")
    assert [d.attributes["link"] for d in detectors] == list(links.index)
    for d, p in zip(detectors, points(detectors).to_crs(zone.METRIC), strict=True):
        link = links.loc[str(d.attributes["link"])]
        assert (d.number("length"), d.number("capacity")) == (link.length, link.capacity)
        if link.road != "bridge:wei":
            assert link.geometry.distance(p) == pytest.approx(12, abs=6)
            at = link.geometry.project(p)
            ahead, here = link.geometry.interpolate(at + 1), link.geometry.interpolate(at - 1)
            cross = (ahead.x - here.x) * (p.y - here.y) - (ahead.y - here.y) * (p.x - here.x)
            assert cross < 0
    assert REGISTRY["td-ew05-07e"].name == "世纪大道 高科二路→高科一路（东向）"


def test_a_lost_gateway_silences_a_quarter_not_a_district() -> None:
    behind: dict[str, set[str]] = defaultdict(set)
    for d in REGISTRY:
        if d.kind != "city-grid":
            behind[d.gateway].add(d.district)
    assert all(len(districts) == 1 for districts in behind.values())
    assert max(Counter(d.gateway for d in REGISTRY).values()) <= 60
    assert all(re.fullmatch(r"gw-[a-z]+-\d+", g) for g in behind)
    # Scenario S07 loses some 60 devices at once
    assert sum(d.district == "dist:equipment" for d in REGISTRY) > 60


def test_a_plume_can_be_told_from_its_source() -> None:
    plume = [d for d in of("air-station") if d.attributes.get("poi") == "poi:kelong"]
    assert [d.attributes["downwind"] for d in plume] == [-900.0, 150.0, 1_014.0, 1_900.0]
    assert {d.district for d in plume} == {"dist:materials"}
    assert all("volatileOrganicCompoundsTotal" in d.metrics for d in plume)
    (first,) = near("poi:kelong", 160, plume)
    assert first.attributes["downwind"] == 150.0
    assert not [d for d in of("air-station") if d.district == "dist:mixed" and len(d.metrics) > 6]


def test_an_event_finds_1800_stalls_and_spills_to_lots_nearby() -> None:
    own = [d for d in of("car-park") if d.attributes.get("poi") in ("poi:lsd-park", "poi:music")]
    assert sum(d.number("capacity") for d in own) == 1_800
    assert len([d for d in near("poi:lsd-park", 800, of("car-park")) if d not in own]) >= 4
    assert "poi:live" in {d.attributes.get("poi") for d in of("car-park")}


def test_car_parks_are_of_every_use_on_the_street_and_off_it() -> None:
    parks = of("car-park")
    uses = {d.attributes["use"] for d in parks}
    assert uses == {"office", "mall", "park", "school_pickup", "hospital", "factory_shift", "residential"}
    assert Counter(d.attributes["onStreet"] for d in parks)[1.0] == 20


def test_noise_monitors_of_class_4a_stand_beside_main_roads() -> None:
    kerb = [d for d in of("noise-monitor") if d.attributes["noiseClass"] == "4a"]
    assert len(kerb) == 20
    roads = zone.measured("roads")
    main = roads[roads.road_class == "arterial"].union_all()
    assert (points(kerb).to_crs(zone.METRIC).distance(main) < 60).all()
    assert all(d.attributes["noiseClass"] in ("1", "2", "3", "4a") for d in of("noise-monitor"))


def test_the_gauge_is_by_the_bridge_and_outfalls_are_not_in_the_river_district() -> None:
    gauge = points([REGISTRY["ws-wei-gauge"]]).to_crs(zone.METRIC).iloc[0]
    bridge = zone.measured("bridges").set_index("id").geometry["bridge:wei"]
    assert gauge.distance(bridge) < 400
    assert Counter(d.district == "dist:river" for d in of("water-station")) == {True: 6, False: 2}


def test_the_servers_stand_in_the_hall() -> None:
    hall = zone.layer("buildings").set_index("landmark").geometry["poi:dc-300p"]
    assert points(of("server")).within(hall).all()
    assert len(set(zip(points(of("server")).x, points(of("server")).y, strict=True))) == 120
    assert Counter(d.attributes["rack"] for d in of("server")).most_common(1)[0][1] == 4
    assert (REGISTRY["cc-300p"].number("nameplateP"), REGISTRY["cc-300p"].number("cards")) == (300, 960)
    assert [d.attributes["standby"] for d in of("chiller")] == [0, 0, 0, 1]


def test_underpasses_lie_on_the_links_they_name() -> None:
    links = zone.measured("links").set_index("id")
    for d, p in zip(of("underpass"), points(of("underpass")).to_crs(zone.METRIC), strict=True):
        link = links.loc[str(d.attributes["link"])]
        assert link.road == d.attributes["road"]
        assert link.geometry.distance(p) < 10
    assert "road:ew:04" in {d.attributes["road"] for d in of("underpass")}


def test_the_citys_grid_parts_the_districts_into_cells_of_a_size() -> None:
    cells, districts = of("city-grid"), zone.measured("districts").set_index("id")
    assert sum(d.number("area") for d in cells) == pytest.approx(districts.area.sum() / 1e6, rel=0.01)
    assert all(1.9 < d.number("area") < 3.6 for d in cells)
    assert {d.district for d in cells} == set(districts.index)
    away = points(cells).to_crs(zone.METRIC).reset_index(drop=True)
    assert all(away.drop(i).distance(at).min() > 800 for i, at in away.items())
    homes = zone.measured("landuse").query("use in ('residential', 'village', 'commercial', 'education')").area.sum()
    assert sum(d.number("homes") for d in cells) == pytest.approx(homes / 1e4, rel=0.01)
    # They are counted at the hotline: a gateway that is lost in the field does not silence them
    assert {d.gateway for d in cells} == {""}


def test_names_are_not_shared() -> None:
    names = Counter(d.name for d in REGISTRY if d.kind != "noise-monitor")
    assert [n for n, count in names.items() if count > 1] == []
