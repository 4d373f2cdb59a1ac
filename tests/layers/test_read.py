"""A user's own files: every format in every datum comes out where it is, and what is wrong is said, with its row."""

import zipfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from shapely import Point, Polygon

from layers import datum, read, zone
from layers.build import build
from layers.datum import Datum
from layers.roles import Role
from twin import registry as registries
from twin.errors import LayerError

FORMATS = ("geojson", "gpkg", "shp", "zip", "csv")
SYSTEMS = ("4326", "4490", "4545", "4524", "gcj02", "bd09")


def in_system(frame: gpd.GeoDataFrame, system: str) -> gpd.GeoDataFrame:
    """The frame in another reference system; a shifted one poses as WGS-84, as files from web maps do."""
    if system in ("gcj02", "bd09"):
        moved = datum.geometries(lambda lon, lat: datum.shift(Datum(system), lon, lat), frame.geometry)
        return frame.set_geometry(moved)
    return frame.to_crs(int(system))


def save(frame: gpd.GeoDataFrame, folder: Path, kind: str, *, encoding: str = "utf-8") -> Path:
    path = folder / f"own.{kind}"
    if kind == "csv":
        table = frame.drop(columns="geometry").assign(经度=frame.geometry.x, 纬度=frame.geometry.y)
        table.to_csv(path, index=False, encoding=encoding)
    elif kind == "zip":
        inner = folder / "道路.shp"
        frame.to_file(inner, encoding=encoding)
        inner.with_suffix(".cpg").unlink()
        with zipfile.ZipFile(path, "w") as archive:
            for part in folder.glob("道路.*"):
                archive.write(part, f"资料/{part.name}")
    elif kind == "shp":
        frame.to_file(path, encoding=encoding)
    else:
        frame.to_file(path)
    return path


def roads() -> gpd.GeoDataFrame:
    return zone.layer("roads")[["id", "name", "road_class", "lanes_total", "free_speed_kmh", "geometry"]]


def landmarks() -> gpd.GeoDataFrame:
    return zone.layer("landmarks")[["id", "name", "kind", "geometry"]]


def metres_off(a: gpd.GeoDataFrame, b: gpd.GeoDataFrame) -> float:
    ours, theirs = (np.vstack([shapely.get_coordinates(g) for g in f.geometry]) for f in (a, b))
    return float(np.max(zone.GEOD.inv(*ours.T, *theirs.T)[2]))


# Shapefile cuts headings to ten letters, and says so
@pytest.mark.filterwarnings("ignore:Normalized", "ignore:Column names longer")
@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_in_every_datum(tmp_path: Path, kind: str, system: str) -> None:
    role: Role = "landmarks" if kind == "csv" else "roads"
    true = landmarks() if kind == "csv" else roads()
    path = save(in_system(true, system), tmp_path, kind)
    frame = read.read(path, role=role, crs=system)
    assert frame.crs == zone.STORED
    assert list(frame.name) == list(true.name)
    assert list(frame.id) == list(true.id)
    assert metres_off(frame, true) < 0.01
    assert not frame.schematic.any()


@pytest.mark.parametrize("system", ["4326", "4490", "4545", "4524"])
@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_says_or_shows_its_system_needs_no_telling(tmp_path: Path, kind: str, system: str) -> None:
    true = landmarks()
    report = read.check(save(in_system(true, system), tmp_path, kind), role="landmarks")
    assert report.problems == ()
    assert metres_off(report.frame, true) < 0.01
    assert report.features == len(true)
    assert report.extent == pytest.approx(tuple(true.total_bounds), abs=1e-6)


@pytest.mark.parametrize("kind", ["shp", "zip", "csv"])
def test_chinese_in_gb18030_without_a_word_of_it(tmp_path: Path, kind: str) -> None:
    path = save(landmarks().rename(columns={"name": "名称"}), tmp_path, kind, encoding="gb18030")
    path.with_suffix(".cpg").unlink(missing_ok=True)
    assert list(read.read(path, role="landmarks").name) == list(landmarks().name)


def test_a_geojson_in_gb18030(tmp_path: Path) -> None:
    path = tmp_path / "own.geojson"
    path.write_bytes((zone.SHIPPED / "landmarks.geojson").read_bytes().decode().encode("gb18030"))
    assert list(read.read(path, role="landmarks").name) == list(landmarks().name)


@pytest.mark.parametrize("system", ["gcj02", "bd09"])
def test_a_shifted_file_that_does_not_say_so_is_told(tmp_path: Path, system: str) -> None:
    report = read.check(save(in_system(roads(), system), tmp_path, "geojson"), role="roads")
    assert any(f"--crs {system}" in w for w in report.warnings)
    right = read.check(save(in_system(roads(), system), tmp_path, "geojson"), role="roads", crs=system)
    assert not any("looks like" in w for w in right.warnings)


def test_survey_plans_that_call_north_x(tmp_path: Path) -> None:
    flat = landmarks().to_crs(zone.METRIC)
    path = tmp_path / "survey.csv"
    table = flat.drop(columns="geometry").assign(X=flat.geometry.y, Y=flat.geometry.x)
    table.to_csv(path, index=False)
    report = read.check(path, role="landmarks", crs="4545")
    assert report.ok
    assert metres_off(report.frame, landmarks()) < 0.01
    assert any("northing" in w for w in report.warnings)


@pytest.mark.parametrize(
    "role", ["boundary", "districts", "roads", "bridges", "river", "landmarks", "buildings", "landuse"]
)
def test_the_layers_that_ship_can_be_read_as_what_they_are(role: Role) -> None:
    report = read.check(zone.SHIPPED / f"{role}.geojson", role=role)
    assert [str(p) for p in report.problems] == []
    assert not [w for w in report.warnings if "drawn from it" not in w]


# ---------------------------------------------------------------- what is wrong

HEAD = "id,name,kind,lon,lat\n"
GOOD = "poi:a,甲,park,108.60,34.30\n"


def csv_file(folder: Path, *rows: str, head: str = HEAD) -> Path:
    path = folder / "own.csv"
    path.write_text(head + "".join(rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("row", "what", "remedy"),
    [
        ("poi:b,乙,park,34.30,108.60\n", "exchanged", "Exchange"),
        ("poi:b,乙,park,200,34.3\n", "no longitude", "--crs"),
        ("poi:b,乙,park,,34.3\n", "lon is empty", "decimal degrees"),
        ("poi:b,乙,park,108°36',34.3\n", "is not a number", "decimal degrees"),
        ("poi:b,,park,108.6,34.3\n", "name is empty", "Fill it in"),
        ("poi:b,乙,park,109.6,34.3\n", "outside the zone", "--crs"),
        ("poi:a,乙,park,108.6,34.3\n", "also that of row 1", "Rename"),
    ],
)
def test_a_wrong_point_is_named_with_its_row(tmp_path: Path, row: str, what: str, remedy: str) -> None:
    path = csv_file(tmp_path, GOOD, row, GOOD.replace("poi:a", "poi:c"))
    report = read.check(path, role="landmarks")
    assert [p.row for p in report.problems] == [2]
    (problem,) = report.problems
    assert (what in problem.what, remedy in problem.remedy) == (True, True), str(problem)
    assert (problem.file, problem.row) == ("own.csv", 2)
    with pytest.raises(LayerError, match=r"own\.csv, row 2: "):
        read.read(path, role="landmarks")


def test_all_problems_are_found_at_once(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "poi:a,,park,34.3,108.6\n", GOOD, "poi:b,乙,park,x,34.3\n")
    report = read.check(path, role="landmarks")
    assert sorted(p.row for p in report.problems) == [1, 1, 2, 3]
    assert list(report.lines())[-1].startswith("not fit for use: 4")


BOW = Polygon([(108.60, 34.30), (108.61, 34.31), (108.61, 34.30), (108.60, 34.31)])


@pytest.mark.parametrize(
    ("role", "shape", "properties", "what"),
    [
        ("buildings", BOW, {"height": 20}, "Self-intersection"),
        ("buildings", Point(108.6, 34.3), {"height": 20}, "a Point where a Polygon or MultiPolygon belongs"),
        ("buildings", None, {"height": 20}, "no geometry"),
        ("buildings", Point(108.6, 34.3).buffer(0.001), {"height": -3}, "height is -3"),
        ("buildings", Point(108.6, 34.3).buffer(0.001), {"height": "tall"}, "not a number"),
        ("buildings", Point(108.6, 34.3).buffer(0.001), {"storeys": 3}, "no column 'height'"),
        ("landuse", Point(108.6, 34.3).buffer(0.001), {"use": "moon"}, "use 'moon' is not known"),
        ("roads", Point(108.6, 34.3).buffer(0.001), {"id": "r", "name": "n", "road_class": "local"}, "a Polygon where"),
        (
            "roads",
            shapely.LineString([(108.6, 34.3), (108.61, 34.3)]),
            {"id": "r", "name": "n", "road_class": "path"},
            "'path'",
        ),
    ],
)
def test_a_wrong_shape_or_value(
    tmp_path: Path, role: Role, shape: shapely.Geometry | None, properties: dict[str, object], what: str
) -> None:
    path = tmp_path / "own.gpkg"
    gpd.GeoDataFrame([properties], geometry=[shape], crs=4326).to_file(path, layer="first")
    report = read.check(path, role=role)
    assert any(what in str(p) for p in report.problems), report.problems
    assert all(p.file == "own.gpkg" and p.layer == "first" and p.remedy for p in report.problems)


def test_a_boundary_is_one(tmp_path: Path) -> None:
    path = tmp_path / "own.geojson"
    zone.layer("districts")[["name", "geometry"]].to_file(path)
    (problem,) = read.check(path, role="boundary").problems
    assert "10 features" in problem.what


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("own.pdf", b"%PDF", "not one this reads"),
        ("own.geojson", b"hello", "cannot be read"),
        ("own.zip", b"hello", "not a zip file"),
        ("own.csv", b"", "empty"),
        ("own.csv", b"a,b\n1,2\n", "no column 'lon'"),
        ("own.csv", b"\xff\xff\xff", "neither UTF-8"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, name: str, content: bytes, what: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(LayerError, match=what) as caught:
        read.check(path, role="landmarks")
    assert caught.value.file == name
    assert caught.value.remedy


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(LayerError, match="no such file"):
        read.check(tmp_path / "own.gpkg", role="roads")


def test_a_layer_of_several_has_to_be_named(tmp_path: Path) -> None:
    path = tmp_path / "own.gpkg"
    roads().to_file(path, layer="streets")
    landmarks().to_file(path, layer="places")
    with pytest.raises(LayerError, match="Name one: streets, places"):
        read.check(path, role="roads")
    with pytest.raises(LayerError, match="no layer 'rivers'"):
        read.check(path, role="roads", layer="rivers")
    assert read.check(path, role="landmarks", layer="places").ok


def test_a_reference_system_that_is_none_or_cannot_be(tmp_path: Path) -> None:
    path = save(roads(), tmp_path, "geojson")
    with pytest.raises(LayerError, match="Use one of: wgs84"):
        read.check(path, role="roads", crs="wgs72")
    with pytest.raises(LayerError, match="Give --crs wgs84"):
        read.check(path, role="roads", crs="4545")
    flat = save(roads().to_crs(zone.METRIC), tmp_path, "gpkg")
    for crs in ("gcj02", "wgs84"):
        with pytest.raises(LayerError, match="metres"):
            read.check(flat, role="roads", crs=crs)
    zoned = save(landmarks().to_crs(4524), tmp_path, "csv")
    with pytest.raises(LayerError, match="Give --crs 4524"):
        read.check(zoned, role="landmarks", crs="4545")


def test_districts_that_leave_gaps_are_told(tmp_path: Path) -> None:
    path = tmp_path / "own.geojson"
    zone.layer("districts").head(9).to_file(path)
    assert any("ha of the zone lie in no district" in w for w in read.check(path, role="districts").warnings)


# ---------------------------------------------------------------- use

DEVICES = "id,名称,kind,经度,纬度,length,lanes,freeSpeed,capacity,noiseClass\n"
DETECTOR = "td-1,一号,link-detector,108.60,34.30,900,3,60,2700,\n"
MONITOR = "ns-1,二号,noise-monitor,108.61,34.31,,,,,2\n"


def test_a_layer_in_use_stands_before_the_one_that_ships(tmp_path: Path) -> None:
    path = save(in_system(landmarks().head(5), "bd09"), tmp_path, "gpkg")
    installed = tmp_path / "layers"
    target = read.use(path, role="landmarks", folder=installed, crs="bd09")
    assert target == installed / "landmarks.geojson"
    own = zone.layer("landmarks", installed)
    assert list(own.id) == list(landmarks().id[:5])
    assert metres_off(own, landmarks().head(5)) < 0.02
    assert list(own.district) == list(zone.layer("landmarks").district[:5])
    assert [f.name for f in installed.iterdir()] == ["landmarks.geojson"]


def test_own_roads_and_landmarks_in_use_can_be_built_on(tmp_path: Path) -> None:
    installed = tmp_path / "layers"
    read.use(save(in_system(roads(), "gcj02"), tmp_path, "gpkg"), role="roads", folder=installed, crs="gcj02")
    read.use(save(landmarks(), tmp_path, "csv"), role="landmarks", folder=installed)
    assert build(installed)["links"] > 450


def test_devices_become_a_registry(tmp_path: Path) -> None:
    path = csv_file(tmp_path, DETECTOR, MONITOR, head=DEVICES)
    target = read.use(path, role="devices", folder=tmp_path / "layers")
    detector, monitor = registries.read(target)
    assert (detector.name, detector.period_s, detector.district) == ("一号", 60, "dist:university")
    assert detector.number("capacity") == 2_700
    assert monitor.attributes == {"noiseClass": "2"}
    assert monitor.metrics == ("LAeq", "LAmax")
    assert not monitor.schematic


def test_what_a_user_put_in_place_is_not_drawn_over(tmp_path: Path) -> None:
    installed = tmp_path / "layers"
    read.use(csv_file(tmp_path, DETECTOR, MONITOR, head=DEVICES), role="devices", folder=installed)
    towers = zone.layer("buildings").head(40)[["height", "geometry"]]
    read.use(save(towers, tmp_path, "geojson"), role="buildings", folder=installed)
    counts = build(installed)
    assert (counts["devices"], counts["buildings"]) == (2, 40)
    assert [d.id for d in registries.read(installed / "devices.json")] == ["td-1", "ns-1"]
    assert counts["landuse"] == len(zone.layer("landuse"))


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (DETECTOR.replace("td-1", "td+1"), "without spaces"),
        (DETECTOR.replace("link-detector", "camera"), "kind 'camera' is not known"),
        (DETECTOR.replace("2700", ""), "attribute 'capacity' must be a number"),
        (DETECTOR.replace("108.60", "118.60"), "outside the zone"),
    ],
)
def test_a_wrong_device_is_named_with_its_row_and_nothing_is_written(tmp_path: Path, row: str, what: str) -> None:
    path = csv_file(tmp_path, MONITOR, row, head=DEVICES)
    with pytest.raises(LayerError, match="row 2") as caught:
        read.use(path, role="devices", folder=tmp_path / "layers")
    assert what in caught.value.what
    assert not (tmp_path / "layers").exists()


def test_a_device_that_says_the_wrong_district(tmp_path: Path) -> None:
    head = "id,name,kind,lon,lat,district,metrics,period_s\n"
    rows = "sl-1,灯,street-light,108.60,34.30,dist:river,voltage,30\n", "sl-2,灯,street-light,108.6,34.3,,,\n"
    (problem,) = read.check(csv_file(tmp_path, *rows, head=head), role="devices").problems
    assert "says district dist:river, lies in dist:university" in problem.what
