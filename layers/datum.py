"""The shifted datums of Chinese web maps, forwards and back, and whether a file looks to be in one of them.

GCJ-02 moves a WGS-84 place by a smooth function of itself, some 300 to 700 m; BD-09 moves a GCJ-02 place once more,
some 700 m. Neither is officially published: these are the approximations in general circulation (the eviltransform and
coordtransform libraries have the same constants), 1 to 3 m from what the map providers do. Around the zone GCJ-02 is
450 m away at azimuth 114°, BD-09 1.1 km at 63°.

Arrays of degrees throughout. The inverses iterate on the forward function until they meet it to 1e-12 degrees.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from layers import zone

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Pair = tuple[Array, Array]

# Krasovsky 1940: semi-major axis in metres and squared eccentricity, as GCJ-02 uses them
_A = 6_378_245.0
_EE = 0.006_693_421_622_965_943
# GCJ-02 leaves places outside this box of longitude and latitude where they are
_CHINA = (72.004, 137.8347, 0.8293, 55.8271)
# BD-09: the angle in its ripple, and its plain offset in degrees
_X_PI = np.pi * 3000 / 180
_BD_LON, _BD_LAT = 0.0065, 0.006


class Datum(StrEnum):
    WGS84 = "wgs84"
    GCJ02 = "gcj02"
    BD09 = "bd09"


def gcj02(lon: Array, lat: Array) -> Pair:
    """WGS-84 → GCJ-02."""
    x, y = lon - 105.0, lat - 35.0
    ripple = (20 * np.sin(6 * np.pi * x) + 20 * np.sin(2 * np.pi * x)) * 2 / 3
    north = -100 + 2 * x + 3 * y + 0.2 * y**2 + 0.1 * x * y + 0.2 * np.sqrt(np.abs(x)) + ripple
    north += (20 * np.sin(np.pi * y) + 40 * np.sin(np.pi * y / 3)) * 2 / 3
    north += (160 * np.sin(np.pi * y / 12) + 320 * np.sin(np.pi * y / 30)) * 2 / 3
    east = 300 + x + 2 * y + 0.1 * x**2 + 0.1 * x * y + 0.1 * np.sqrt(np.abs(x)) + ripple
    east += (20 * np.sin(np.pi * x) + 40 * np.sin(np.pi * x / 3)) * 2 / 3
    east += (150 * np.sin(np.pi * x / 12) + 300 * np.sin(np.pi * x / 30)) * 2 / 3
    phi = np.radians(lat)
    w2 = 1 - _EE * np.sin(phi) ** 2
    d_lat = np.degrees(north / (_A * (1 - _EE) / (w2 * np.sqrt(w2))))
    d_lon = np.degrees(east / (_A / np.sqrt(w2) * np.cos(phi)))
    west, east_end, south, north_end = _CHINA
    shifted = (lon >= west) & (lon <= east_end) & (lat >= south) & (lat <= north_end)
    return np.where(shifted, lon + d_lon, lon), np.where(shifted, lat + d_lat, lat)


def bd09(lon: Array, lat: Array) -> Pair:
    """WGS-84 → BD-09."""
    return _bd09_of_gcj02(*gcj02(lon, lat))


def _bd09_of_gcj02(lon: Array, lat: Array) -> Pair:
    radius = np.hypot(lon, lat) + 2e-5 * np.sin(lat * _X_PI)
    angle = np.arctan2(lat, lon) + 3e-6 * np.cos(lon * _X_PI)
    return radius * np.cos(angle) + _BD_LON, radius * np.sin(angle) + _BD_LAT


_FORWARD: Mapping[Datum, Callable[[Array, Array], Pair]] = {
    Datum.WGS84: lambda lon, lat: (lon, lat),
    Datum.GCJ02: gcj02,
    Datum.BD09: bd09,
}


def shift(datum: Datum, lon: Array, lat: Array) -> Pair:
    """WGS-84 → the datum."""
    return _FORWARD[datum](lon, lat)


def unshift(datum: Datum, lon: Array, lat: Array) -> Pair:
    """The datum → WGS-84: forward(forward⁻¹(p)) = p to some 1e-12 degrees, by fixed-point iteration.

    The shift changes by a thousandth of the way one goes, so that each round gains three digits.
    """
    x, y = np.array(lon, float), np.array(lat, float)
    for _ in range(12):
        there = shift(datum, x, y)
        off_x, off_y = lon - there[0], lat - there[1]
        x, y = x + off_x, y + off_y
        if np.max(np.abs([off_x, off_y]), initial=0.0) < 1e-12:
            break
    return x, y


def geometries(change: Callable[[Array, Array], Pair], of: gpd.GeoSeries) -> gpd.GeoSeries:
    """A change of coordinates applied to every vertex."""
    moved = shapely.transform(of.values, lambda xy: np.column_stack(change(xy[:, 0], xy[:, 1])))
    return gpd.GeoSeries(moved, index=of.index, crs=zone.STORED)


# ---------------------------------------------------------------- guessing

FITS_M = 80.0  # what lies this near to its anchor is in place
WORSE_M = 200.0  # what lies this much nearer after an inverse shift was shifted
SAMPLE = 400


@dataclass(frozen=True)
class Guess:
    """`before` and `after`: median metres from the anchors as read, and once taken back from `datum`; `azimuth` degrees
    from north, of the shift; `by` what was compared."""

    datum: Datum
    before: float
    after: float
    shift: float
    azimuth: float
    by: str

    def __str__(self) -> str:
        return (
            f"looks like {self.datum.upper()}: {self.by} lie {self.before:.0f} m from where they are known to be, "
            f"and {self.after:.0f} m when read as {self.datum.upper()}, which moves them {self.shift:.0f} m (they are "
            f"off at azimuth {self.azimuth:.0f}°). Read it with --crs {self.datum}"
        )


def guess_datum(frame: gpd.GeoDataFrame, folder: Path | None = None, *, read_as: Datum = Datum.WGS84) -> Guess | None:
    """The datum that a frame, taken to EPSG:4326 from `read_as`, fits better; None where nothing says so.

    Features are compared with ours of the same name; where fewer than two have one, lines with our roads and polygons
    with our borders. Nameless points say nothing.
    """
    found = _by_name(frame, folder) or _by_nearness(frame, folder)
    if found is None:
        return None
    by, pairs = found
    here = gpd.GeoSeries([p for p, _ in pairs], crs=zone.STORED)
    anchors = gpd.GeoSeries([a for _, a in pairs], crs=zone.METRIC)
    written = geometries(lambda lon, lat: shift(read_as, lon, lat), here)
    back = {d: geometries(lambda lon, lat, d=d: unshift(d, lon, lat), written) for d in Datum}  # type: ignore[misc]
    off = {d: float(np.median(points.to_crs(zone.METRIC).distance(anchors))) for d, points in back.items()}
    best = min(off, key=lambda d: off[d])
    if best is read_as or off[best] > FITS_M or off[read_as] - off[best] < WORSE_M:
        return None
    right, wrong = back[best].iloc[0], here.iloc[0]
    azimuth, _, metres = zone.GEOD.inv(right.x, right.y, wrong.x, wrong.y)
    return Guess(best, off[read_as], off[best], float(metres), float(azimuth % 360), by)


_Pairs = list[tuple[shapely.Point, BaseGeometry]]


def _by_name(frame: gpd.GeoDataFrame, folder: Path | None) -> tuple[str, _Pairs] | None:
    if "name" not in frame:
        return None
    known = _named(folder)
    rows = [(g, known[n]) for n, g in zip(frame["name"], frame.geometry, strict=True) if n in known]
    pairs = [(p, anchor) for g, anchor in rows for p in _like(g, anchor)]
    return (f"{len(rows)} features that we know by name", pairs) if len(rows) > 1 else None


def _named(folder: Path | None) -> dict[str, BaseGeometry]:
    layers: tuple[zone.Name, ...] = ("landmarks", "roads", "bridges")
    frames = [zone.measured(name, folder) for name in layers]
    return {str(n): g for f in frames for n, g in zip(f["name"], f.geometry, strict=True)}


def _like(geometry: BaseGeometry, anchor: BaseGeometry) -> list[shapely.Point]:
    """Points of a geometry that should lie on its anchor: along a line, but the middle of anything for a point."""
    if geometry is None or geometry.is_empty:
        return []
    return [geometry.centroid] if anchor.geom_type == "Point" else list(_along(geometry, 9))


def _by_nearness(frame: gpd.GeoDataFrame, folder: Path | None) -> tuple[str, _Pairs] | None:
    shapes = [g for g in frame.geometry if g is not None and not g.is_empty]
    if not shapes or shapes[0].geom_type.endswith("Point"):
        return None
    lines = shapes[0].geom_type.endswith("LineString")
    shapes = [s for s in shapes if s.geom_type.endswith("LineString") == lines]
    layer: zone.Name = "roads" if lines else "districts"
    anchor = shapely.union_all([g if lines else g.boundary for g in zone.measured(layer, folder).geometry])
    each = max(3, SAMPLE // len(shapes))
    points = [p for g in shapes[:SAMPLE] for p in _along(g if lines else g.boundary, each)]
    return ("lines, against our roads," if lines else "borders, against our districts,"), [(p, anchor) for p in points]


def _along(line: BaseGeometry, n: int) -> Iterator[shapely.Point]:
    """n points along a line, not counting its ends: where a road ends is a matter of opinion."""
    for share in (np.arange(n) + 0.5) / n:
        yield shapely.line_interpolate_point(_one(line), share, normalized=True)


def _one(shape: BaseGeometry) -> BaseGeometry:
    return max(shapely.get_parts(shape), key=lambda p: p.length)
