"""The zone's layers as GeoDataFrames, from the data files that ship or from a user's own that replace them.

Stored in EPSG:4326 (longitude, latitude in degrees; CGCS2000 differs by decimetres, which is ignored). Lengths and
areas are measured in EPSG:4545 (CGCS2000, 3-degree Gauss-Krüger, central meridian 108° E), metres. Every feature says
whether it is schematic and where it comes from.

Kept by hand: boundary, districts, roads, bridges, river, landmarks. Drawn from those by `layers.build`: nodes, links,
land use and buildings.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import geopandas as gpd
import numpy as np
import pyproj
import shapely
from shapely.geometry.base import BaseGeometry

STORED = "EPSG:4326"
METRIC = "EPSG:4545"
GEOD = pyproj.Geod(ellps="GRS80")
DECIMALS = 7  # of stored degrees: a centimetre

Name = Literal[
    "boundary", "districts", "roads", "bridges", "river", "landmarks", "nodes", "links", "landuse", "buildings"
]
NAMES: tuple[Name, ...] = get_args(Name)

# Columns of which a file may have no value at all, and so no trace
_SPARSE: Mapping[str, tuple[str, ...]] = {
    "roads": ("interchanges",),
    "links": ("bridge",),
    "landuse": ("landmark",),
    "buildings": ("name", "landmark"),
}

SHIPPED = Path(__file__).parent / "data"


def path(name: Name, folder: Path | None = None) -> Path:
    """The file a layer is read from: the one in `folder` where there is one, else the one that ships."""
    own = folder / f"{name}.geojson" if folder else None
    return own if own and own.exists() else SHIPPED / f"{name}.geojson"


def layer(name: Name, folder: Path | None = None) -> gpd.GeoDataFrame:
    """The layer in EPSG:4326; from `folder` where that holds one of this name, else the one that ships."""
    file = path(name, folder)
    frame = _read(file, file.stat().st_mtime_ns)
    # A file without features does not say what columns they would have had
    frame = frame.copy() if len(frame) else layer(name).head(0)
    for column in _SPARSE.get(name, ()):
        if column not in frame:
            frame[column] = None
    return frame


def measured(name: Name, folder: Path | None = None) -> gpd.GeoDataFrame:
    """The layer in EPSG:4545, for lengths, areas and distances in metres."""
    return layer(name, folder).to_crs(METRIC)


def area_km2(frame: gpd.GeoDataFrame) -> float:
    """Geodesic area on GRS80 of polygons in EPSG:4326."""
    return sum(abs(GEOD.geometry_area_perimeter(g)[0]) for g in frame.geometry) / 1e6


def write(file: Path, frame: gpd.GeoDataFrame, *, name: str = "") -> None:
    """The frame as GeoJSON in EPSG:4326, one feature a line, so that a change reads well in a diff."""
    columns = [c for c in frame.columns if c != "geometry"]
    lines = [
        json.dumps(feature, ensure_ascii=False, separators=(",", ":"))
        for feature in features(frame[columns], frame.to_crs(STORED).geometry, DECIMALS)
    ]
    head = f'{{"type":"FeatureCollection","name":"{name or file.stem}","features":[\n'
    file.write_text(head + ",\n".join(lines) + "\n]}\n", encoding="utf-8")


def features(properties: Any, geometries: Any, decimals: int) -> list[dict[str, Any]]:
    """GeoJSON features of a table of properties and as many geometries; properties without a value are left out."""
    rows = json.loads(properties.to_json(orient="records", double_precision=10))
    return [
        {
            "type": "Feature",
            **({"id": row["id"]} if "id" in row else {}),
            "properties": {k: v for k, v in row.items() if v is not None},
            "geometry": coordinates(geometry, decimals),
        }
        for row, geometry in zip(rows, geometries, strict=True)
    ]


def coordinates(geometry: BaseGeometry, decimals: int) -> Any:
    """A GeoJSON geometry, its degrees rounded."""
    rounded = shapely.transform(geometry, lambda xy: np.round(xy, decimals))
    return json.loads(shapely.to_geojson(rounded))


@cache
def _read(file: Path, changed: int) -> gpd.GeoDataFrame:
    """`changed`, the file's time of change, is there to read a file again that has been replaced."""
    return gpd.read_file(file).set_crs(STORED, allow_override=True)
