"""Draws the schematic layers that ship, from those kept by hand: boundary, districts, roads, bridges, river, landmarks.

    roads → nodes and directed links → parcels between the roads → buildings → devices

Positions are plausible, not surveyed: every feature says `schematic`. The same seed draws the same zone, byte for byte.
Drawn in EPSG:4545 (metres), written in EPSG:4326 with 7 decimals (a centimetre).
"""

import shutil
from pathlib import Path

import numpy as np

from layers import buildings as houses
from layers import devices, zone
from layers.land import grid, land
from layers.network import network
from twin.registry import write

SEED = 123
KEPT: tuple[zone.Name, ...] = ("boundary", "districts", "roads", "bridges", "river", "landmarks")


def build(folder: Path = zone.SHIPPED, seed: int = SEED) -> dict[str, int]:
    """Write the drawn layers and `devices.json` into `folder`, from the kept layers there or else those that ship.

    Returns how many features each has. The folder then holds the whole zone: kept layers that it lacked are copied.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        if zone.path(name, folder).parent != folder:
            shutil.copyfile(zone.path(name), folder / f"{name}.geojson")
    kept = {name: zone.measured(name, folder) for name in KEPT}
    landmarks = kept["landmarks"].fillna({"width_m": 0, "depth_m": 0, "height_m": 0, "floors": 0})
    net = network(kept["roads"], kept["bridges"])
    parcels = land(kept["districts"], kept["roads"], landmarks, np.random.default_rng(seed))
    built = houses.buildings(parcels, landmarks, grid(kept["roads"]), np.random.default_rng(seed + 1))
    drawn = {"nodes": net.nodes, "links": net.links, "landuse": parcels, "buildings": built}
    for layer, frame in drawn.items():
        zone.write(folder / f"{layer}.geojson", frame)
    registry = devices.registry(folder, np.random.default_rng(seed + 2))
    write(folder / "devices.json", registry)
    return {name: len(frame) for name, frame in (kept | drawn).items()} | {"devices": len(registry)}
