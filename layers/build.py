"""Draws the schematic layers that ship, from those kept by hand: boundary, districts, roads, bridges, river, landmarks.

    roads → nodes and directed links → parcels between the roads → buildings → devices

Positions are plausible, not surveyed: every feature says `schematic`. The same seed draws the same zone, byte for byte.
Drawn in EPSG:4545 (metres), written in EPSG:4326 with 7 decimals (a centimetre).
"""

import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np

from layers import buildings as houses
from layers import devices, zone
from layers.land import grid, land
from layers.network import network
from twin.registry import Registry, read, write

SEED = 123
KEPT: tuple[zone.Name, ...] = ("boundary", "districts", "roads", "bridges", "river", "landmarks")


def build(folder: Path = zone.SHIPPED, seed: int = SEED) -> dict[str, int]:
    """Write the drawn layers and `devices.json` into `folder`, from the kept layers there or else those that ship.

    What a user put there stays: land use, buildings and devices that are not schematic are drawn from, not drawn over.
    Returns how many features each has. The folder then holds the whole zone: kept layers that it lacked are copied, so
    that what is drawn goes on fitting what it was drawn from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        if zone.path(name, folder).parent != folder:
            shutil.copyfile(zone.path(name), folder / f"{name}.geojson")
    kept = {name: zone.measured(name, folder) for name in KEPT}
    landmarks = kept["landmarks"].fillna({"width_m": 0, "depth_m": 0, "height_m": 0, "floors": 0})
    net = network(kept["roads"], kept["bridges"])
    parcels = _own("landuse", folder)
    if parcels is None:
        parcels = land(kept["districts"], kept["roads"], landmarks, np.random.default_rng(seed))
    built = _own("buildings", folder)
    if built is None:
        built = houses.buildings(parcels, landmarks, grid(kept["roads"]), np.random.default_rng(seed + 1))
    drawn = {"nodes": net.nodes, "links": net.links, "landuse": parcels, "buildings": built}
    for layer, frame in drawn.items():
        zone.write(folder / f"{layer}.geojson", frame)
    found = _devices(folder, seed + 2)
    return {name: len(frame) for name, frame in (kept | drawn).items()} | {"devices": len(found)}


def _own(name: zone.Name, folder: Path) -> gpd.GeoDataFrame | None:
    """The layer in `folder` if a user put it there, in EPSG:4545."""
    if folder == zone.SHIPPED or not (folder / f"{name}.geojson").exists():
        return None
    frame = zone.measured(name, folder)
    return None if frame["schematic"].any() else frame


def _devices(folder: Path, seed: int) -> Registry:
    """The user's own registry in `folder`, else one drawn and written there."""
    file = folder / "devices.json"
    own = read(file) if file.exists() else None
    if own is not None and not any(d.schematic for d in own):
        return own
    drawn = devices.registry(folder, np.random.default_rng(seed))
    write(file, drawn)
    return drawn
