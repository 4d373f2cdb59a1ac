"""The zone's layers as GeoDataFrames, from the data files that ship or from a user's own that replace them.

Stored in EPSG:4326 (longitude, latitude in degrees; CGCS2000 differs by decimetres, which is ignored). Lengths and areas are
measured in EPSG:4545 (CGCS2000, 3-degree Gauss-Krüger, central meridian 108° E), metres. Every feature says whether it is
schematic and where it comes from.
"""

from functools import cache
from pathlib import Path
from typing import Literal, get_args

import geopandas as gpd
import pyproj

STORED = "EPSG:4326"
METRIC = "EPSG:4545"
GEOD = pyproj.Geod(ellps="GRS80")

Name = Literal["boundary", "districts", "roads", "links", "nodes", "river", "landmarks", "buildings", "landuse"]
NAMES: tuple[Name, ...] = get_args(Name)

SHIPPED = Path(__file__).parent / "data"


def layer(name: Name, folder: Path | None = None) -> gpd.GeoDataFrame:
    """The layer in EPSG:4326; from `folder` where that holds one of this name, else the one that ships."""
    own = folder / f"{name}.geojson" if folder else None
    return _read(own if own and own.exists() else SHIPPED / f"{name}.geojson")


def measured(name: Name, folder: Path | None = None) -> gpd.GeoDataFrame:
    """The layer in EPSG:4545, for lengths, areas and distances in metres."""
    return layer(name, folder).to_crs(METRIC)


def area_km2(frame: gpd.GeoDataFrame) -> float:
    """Geodesic area on GRS80 of polygons in EPSG:4326."""
    return sum(abs(GEOD.geometry_area_perimeter(g)[0]) for g in frame.geometry) / 1e6


@cache
def _read(path: Path) -> gpd.GeoDataFrame:
    return gpd.read_file(path).set_crs(STORED, allow_override=True)
