"""The city's grid (城市网格): each district cut into cells of a size, by which reports of citizens are counted.

A district is sampled on a lattice, and the samples are parted by Lloyd's method into as many cells as its area asks
for: compact, of about equal size. No randomness: the first middle is the sample nearest to the district's, each next
one the sample farthest from all before it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely
from shapely import Point
from shapely.geometry.base import BaseGeometry

from layers.place import Place
from twin.registry import Device

CELL_KM2 = 2.5
LATTICE_M = 100.0
LIVED_IN = frozenset({"residential", "village", "commercial", "education"})  # uses of land
_ROUNDS = 40

Points = npt.NDArray[np.float64]


class Cell(NamedTuple):
    """`middle`: the sample nearest to the mean of the cell's; `area` in km²; `lived_in` in hectares."""

    middle: Point
    area: float
    lived_in: float


def devices(place: Place) -> Iterator[Device]:
    parcels = place.parcels[place.parcels.use.isin(list(LIVED_IN))]
    homes = shapely.get_coordinates(parcels.geometry.representative_point().values)
    hectares = parcels.geometry.area.to_numpy() / 1e4
    for district, ground in place.inner.items():
        for k, cell in enumerate(cells(ground, homes, hectares), 1):
            name = f"{place.name(district)}{k}号网格"
            attributes = {"area": round(cell.area, 2), "homes": round(cell.lived_in, 1)}
            yield place.device(place.next("cg"), name, "city-grid", cell.middle, **attributes)


def cells(ground: BaseGeometry, homes: Points, hectares: npt.NDArray[np.float64]) -> Iterator[Cell]:
    """The cells of a district, from west to east. `homes`: (n, 2) where what is lived in stands, `hectares` of each.

    Metres in a projected CRS; `homes` may lie anywhere, those outside the district are not its.
    """
    samples = _lattice(ground)
    middles = _part(samples, max(1, round(ground.area / 1e6 / CELL_KM2)))
    middles = middles[np.lexsort((middles[:, 1], middles[:, 0]))]
    of = _nearest(samples, middles)
    within = shapely.contains_xy(ground, homes)
    lived_in = np.bincount(_nearest(homes[within], middles), weights=hectares[within], minlength=len(middles))
    for k, middle in enumerate(middles):
        own = samples[of == k]
        at = own[np.linalg.norm(own - middle, axis=1).argmin()]
        yield Cell(Point(at), ground.area / 1e6 * len(own) / len(samples), float(lived_in[k]))


def _lattice(ground: BaseGeometry) -> Points:
    west, south, east, north = np.round(np.array(ground.bounds) / LATTICE_M) * LATTICE_M
    x, y = np.meshgrid(np.arange(west, east + 1, LATTICE_M), np.arange(south, north + 1, LATTICE_M))
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    return np.asarray(points[shapely.contains_xy(ground, points)], np.float64)


def _part(samples: Points, n: int) -> Points:
    """(n, 2) middles of cells that Lloyd's method makes of the samples."""
    middles = samples[[np.linalg.norm(samples - samples.mean(axis=0), axis=1).argmin()]]
    while len(middles) < n:
        away = np.linalg.norm(samples[:, None] - middles[None], axis=2).min(axis=1)
        middles = np.vstack([middles, samples[away.argmax()]])
    for _ in range(_ROUNDS):
        of = _nearest(samples, middles)
        middles = np.array([samples[of == k].mean(axis=0) for k in range(n)])
    return middles


def _nearest(points: Points, middles: Points) -> npt.NDArray[np.int64]:
    return np.asarray(np.linalg.norm(points[:, None] - middles[None], axis=2).argmin(axis=1), np.int64)
