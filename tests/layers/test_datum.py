"""The shifted datums."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers import datum, zone
from layers.datum import Datum

SHIFTED = (Datum.GCJ02, Datum.BD09)


def moved(name: zone.Name, to: Datum) -> object:
    frame = zone.layer(name)
    frame.geometry = datum.geometries(lambda lon, lat: datum.shift(to, lon, lat), frame.geometry)
    return frame


@pytest.mark.parametrize(("to", "metres", "azimuth"), [(Datum.GCJ02, 446.5, 113.7), (Datum.BD09, 1_124.5, 62.4)])
def test_the_shift_at_the_middle_of_the_zone(to: Datum, metres: float, azimuth: float) -> None:
    lon, lat = np.array([108.59832]), np.array([34.29476])
    there = datum.shift(to, lon, lat)
    forward, _, away = zone.GEOD.inv(lon, lat, *there)
    assert away[0] == pytest.approx(metres, abs=0.5)
    assert forward[0] == pytest.approx(azimuth, abs=0.1)


# Tiananmen, as in the test data of the public implementations: WGS-84 (116.397, 39.908)
def test_a_place_that_others_computed_too() -> None:
    lon, lat = datum.gcj02(np.array([116.404]), np.array([39.915]))
    assert (lon[0], lat[0]) == pytest.approx((116.410_244_499_169_38, 39.916_404_281_501_64), abs=1e-9)


@given(st.floats(75, 134), st.floats(4, 53), st.sampled_from(SHIFTED))
def test_there_and_back_is_where_one_was(lon: float, lat: float, to: Datum) -> None:
    x, y = np.array([lon]), np.array([lat])
    back = datum.unshift(to, *datum.shift(to, x, y))
    assert zone.GEOD.inv(x, y, *back)[2][0] < 1e-6


def test_outside_china_gcj02_is_wgs84() -> None:
    lon, lat = datum.gcj02(np.array([2.35, 116.4]), np.array([48.85, -12.0]))
    assert lon.tolist() == [2.35, 116.4]
    assert lat.tolist() == [48.85, -12.0]


@pytest.mark.parametrize("to", SHIFTED)
@pytest.mark.parametrize("name", ["landmarks", "roads", "districts", "boundary", "buildings"])
def test_a_shifted_layer_is_told(name: zone.Name, to: Datum) -> None:
    guess = datum.guess_datum(moved(name, to))
    assert guess is not None
    assert guess.datum is to
    assert guess.shift == pytest.approx({Datum.GCJ02: 450, Datum.BD09: 1_125}[to], abs=15)
    assert guess.azimuth == pytest.approx({Datum.GCJ02: 113, Datum.BD09: 63}[to], abs=3)
    assert f"--crs {to}" in str(guess)


@pytest.mark.parametrize("to", SHIFTED)
def test_roads_without_names_are_told_by_where_they_run(to: Datum) -> None:
    roads = moved("roads", to).drop(columns="name")
    guess = datum.guess_datum(roads)
    assert guess is not None
    assert guess.datum is to


@pytest.mark.parametrize("name", ["landmarks", "roads", "districts", "boundary", "buildings", "landuse", "river"])
def test_a_layer_in_place_raises_no_suspicion(name: zone.Name) -> None:
    assert datum.guess_datum(zone.layer(name)) is None


def test_the_users_own_landmarks_are_the_anchors_once_there_are_some(tmp_path: Path) -> None:
    zone.write(tmp_path / "landmarks.geojson", moved("landmarks", Datum.GCJ02))
    assert datum.guess_datum(zone.layer("landmarks"), tmp_path) is None


@pytest.mark.parametrize("named", [datum.Datum.GCJ02, datum.Datum.BD09])
def test_a_shift_taken_back_that_was_never_there_is_seen_too(named: datum.Datum) -> None:
    roads = zone.layer("roads").copy()
    roads.geometry = datum.geometries(lambda lon, lat: datum.unshift(named, lon, lat), roads.geometry)
    guess = datum.guess_datum(roads, read_as=named)
    assert guess is not None
    assert guess.datum is datum.Datum.WGS84
    assert "--crs wgs84" in str(guess)
