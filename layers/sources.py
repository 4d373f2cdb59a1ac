"""Opening a user's file, whatever it is: GeoJSON, GeoPackage, Shapefile (also zipped) or a CSV of points.

What comes out is the table as it was written, row for row, with the reference system that the file names, if any.
Rows count from 1, the heading of a CSV not counted.
"""

import csv
import io
import re
import tempfile
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pyproj

from layers import zone
from twin.errors import LayerError

SUFFIXES = (".geojson", ".json", ".gpkg", ".shp", ".zip", ".csv", ".txt")
LARGEST_UNZIPPED = 1_000_000_000  # bytes

_LON = ("lon", "lng", "long", "longitude", "经度", "东经", "x", "x坐标", "东坐标", "point_x")
_LAT = ("lat", "latitude", "纬度", "北纬", "y", "y坐标", "北坐标", "point_y")


@dataclass
class Source:
    """`frame` without a reference system; `crs` what the file says. `problems` are of rows that hold no point."""

    frame: gpd.GeoDataFrame
    file: str
    layer: str | None = None
    crs: pyproj.CRS | None = None
    problems: list[LayerError] = field(default_factory=list)

    def wrong(self, what: str, remedy: str, row: int | None = None) -> LayerError:
        return LayerError(what, file=self.file, layer=self.layer, row=row, remedy=remedy)


def load(path: Path, layer: str | None = None) -> Source:
    """The file's table. Raises LayerError when it cannot be read at all: missing, of no known kind, broken, or of
    several layers with none named."""
    suffix = path.suffix.lower()
    if not path.exists():
        raise LayerError("no such file", file=str(path), remedy="Check the path.")
    if suffix not in SUFFIXES:
        raise LayerError(
            f"a {suffix or 'nameless'} file is not one this reads",
            file=path.name,
            remedy="Save it as GeoJSON, GeoPackage, Shapefile or CSV.",
        )
    if suffix == ".zip":
        return _unzipped(path, layer)
    return _points(path) if suffix in (".csv", ".txt") else _features(path, layer)


def _unzipped(path: Path, layer: str | None) -> Source:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise LayerError("not a zip file", file=path.name, remedy="Zip the layer's files again.") from None
    with archive, tempfile.TemporaryDirectory() as folder:
        if sum(f.file_size for f in archive.infolist()) > LARGEST_UNZIPPED:
            raise LayerError("more than 1 GB unzipped", file=path.name, remedy="Cut the layer to the zone.")
        archive.extractall(folder)
        wanted = [s for s in SUFFIXES if s != ".zip"]
        inside = {f.stem: f for f in sorted(Path(folder).rglob("*")) if f.suffix.lower() in wanted}
        name = _the_one(path, list(inside), layer)
        source = load(inside[name])
    source.file, source.layer = path.name, name
    for problem in source.problems:
        problem.file, problem.layer = path.name, name
    return source


def _the_one(path: Path, names: Sequence[str], wanted: str | None) -> str:
    if wanted is not None and wanted not in names:
        raise LayerError(
            f"no layer {wanted!r}", file=path.name, remedy=f"Name one it has: {', '.join(names) or 'none'}."
        )
    if wanted is None and len(names) != 1:
        raise LayerError(
            f"{len(names)} layers, and none named" if names else "no layer in it",
            file=path.name,
            remedy=f"Name one: {', '.join(names)}." if names else "Put a layer in it.",
        )
    return wanted or names[0]


# ---------------------------------------------------------------- vector formats


def _features(path: Path, layer: str | None) -> Source:
    try:
        names = [str(n) for n, _ in pyogrio.list_layers(path)]
        several = path.suffix.lower() == ".gpkg"
        name = _the_one(path, names, layer) if several else None
        frame = _decoded(path, name)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError) as error:
        raise LayerError(
            f"cannot be read: {error}", file=path.name, remedy="Open it in QGIS and save it again."
        ) from None
    if not isinstance(frame, gpd.GeoDataFrame):
        raise LayerError("has no geometry", file=path.name, layer=name, remedy="Save it as points, as GeoJSON or CSV.")
    crs = frame.crs
    bare = gpd.GeoDataFrame(frame.drop(columns=frame.geometry.name), geometry=frame.geometry.values, crs=None)
    return Source(bare.set_crs(None, allow_override=True), path.name, name, crs)


def _decoded(path: Path, layer: str | None) -> gpd.GeoDataFrame:
    """A Shapefile without a .cpg does not say its encoding, and a GeoJSON may have another: UTF-8, else GB 18030."""
    if path.suffix.lower() in (".geojson", ".json"):
        return _read(io.BytesIO(_text(path).encode()), layer)
    if path.suffix.lower() != ".shp" or path.with_suffix(".cpg").exists():
        return _read(path, layer)
    try:
        return _read(path, layer, encoding="utf-8")
    except UnicodeDecodeError:
        return _read(path, layer, encoding="gb18030")


def _read(source: Path | io.BytesIO, layer: str | None, **options: str) -> gpd.GeoDataFrame:
    with warnings.catch_warnings():
        # A geometry that cannot even be built arrives as none, and is reported with its row
        warnings.simplefilter("ignore")
        return gpd.read_file(source, layer=layer, on_invalid="ignore", **options)


def _text(path: Path) -> str:
    data = path.read_bytes()
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise LayerError(
        "neither UTF-8 nor GB 18030 text", file=path.name, remedy="Save it again with UTF-8 as its encoding."
    )


# ---------------------------------------------------------------- points


def _points(path: Path) -> Source:
    text = _text(path)
    heading = text.split("\n", 1)[0]
    mark = max(",;\t|", key=heading.count)
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=mark) if any(c.strip() for c in row)]
    if not rows:
        raise LayerError("empty", file=path.name, remedy="Give it a heading and a row for each point.")
    columns = [c.strip() for c in rows[0]]
    x, y = (_column(path, columns, names) for names in (_LON, _LAT))
    table = pd.DataFrame([_fitted(row, len(columns)) for row in rows[1:]], columns=columns, dtype=object)
    table = table.map(lambda v: v.strip() or None)
    source = Source(gpd.GeoDataFrame(), path.name)
    lon, lat = (_degrees(source, table[c]) for c in (x, y))
    known = ~np.isnan(lon) & ~np.isnan(lat)
    points = gpd.GeoSeries(gpd.points_from_xy(lon, lat)).where(pd.Series(known))
    source.frame = gpd.GeoDataFrame(table.drop(columns=[x, y]), geometry=points.values)
    return source


def _column(path: Path, columns: Sequence[str], names: Sequence[str]) -> str:
    found = next((c for n in names for c in columns if re.sub(r"[（(].*", "", c).strip().lower() == n), None)
    if found is None:
        raise LayerError(
            f"no column {names[0]!r} among {', '.join(columns)}",
            file=path.name,
            row=0,
            remedy=f"Name it one of: {', '.join(names)}.",
        )
    return found


def _fitted(row: list[str], width: int) -> list[str]:
    return (row + [""] * width)[:width]


def _degrees(source: Source, column: pd.Series) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(float)
    for row in np.flatnonzero(np.isnan(numbers)):
        value = column.iloc[row]
        what = f"{column.name} {value!r} is not a number" if isinstance(value, str) else f"{column.name} is empty"
        source.problems.append(source.wrong(what, "Write it in decimal degrees, or metres.", int(row) + 1))
    return np.asarray(numbers)


def suggested(source: Source) -> tuple[str, str]:
    """(reference system, why) for a file that does not name its own, from the size of its coordinates."""
    # The median, as one wrong row must not speak for all
    x, y = (float(np.nanmedian(v)) for v in source.frame.bounds[["minx", "miny"]].to_numpy().T)
    if max(abs(x), abs(y)) <= 180:
        return zone.STORED, "its coordinates are degrees"
    if 36e6 < max(x, y) < 37e6:
        return "EPSG:4524", "its eastings begin with zone 36"
    return zone.METRIC, "its coordinates are metres"
