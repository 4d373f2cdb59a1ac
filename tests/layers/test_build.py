"""Drawing the zone again."""

from pathlib import Path

import pytest

from layers import zone
from layers.build import build


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zone")
    build(folder)
    return folder


def test_what_is_drawn_again_is_what_ships_byte_for_byte(again: Path) -> None:
    shipped = sorted(f.name for f in zone.SHIPPED.iterdir())
    assert sorted(f.name for f in again.iterdir()) == shipped
    for name in shipped:
        assert (again / name).read_bytes() == (zone.SHIPPED / name).read_bytes(), name


def test_another_seed_draws_another_city_on_the_same_roads(again: Path, tmp_path: Path) -> None:
    build(tmp_path, seed=7)
    assert (tmp_path / "links.geojson").read_bytes() == (again / "links.geojson").read_bytes()
    assert (tmp_path / "buildings.geojson").read_bytes() != (again / "buildings.geojson").read_bytes()


def test_a_users_own_roads_are_what_is_drawn_from(tmp_path: Path) -> None:
    roads = zone.layer("roads")
    own = roads[roads.id.isin(["road:ew:05", "road:ew:07", "road:ns:03", "road:ns:05"])]
    zone.write(tmp_path / "roads.geojson", own[["id", "name", "road_class", "schematic", "source", "geometry"]])
    zone.write(tmp_path / "landmarks.geojson", zone.layer("landmarks").head(0))
    zone.write(tmp_path / "bridges.geojson", zone.layer("bridges").head(0))
    counts = build(tmp_path)
    # Four crossings; a road crossed twice is three stretches of two directions
    assert (counts["nodes"], counts["links"]) == (12, 24)
    links = zone.layer("links", tmp_path)
    assert set(links.capacity) == {2_700.0, 1_600.0}
    assert counts["devices"] > 300
