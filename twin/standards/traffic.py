"""Road traffic by GB/T 33171-2016: states by the share of the free speed that is driven, or by absolute speed.

The share of a journey that is delay (DTP) is 1 - speed / free speed, so the standard's bounds on it are those on the
speed ratio. The performance index (TPI, 0 to 10) runs straight between the states' bounds.
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from twin.standards.scale import Band, Scale, table

_STATES = table("traffic_gbt33171_2016")
_COLOURS = ("#16c784", "#9bd84b", "#f5c542", "#f2762e", "#d93a4e")

TRAFFIC = Scale(
    tuple(float(row["tpi_from"]) for row in _STATES[1:]),
    tuple(Band(row["name_en"], colour) for row, colour in zip(_STATES, _COLOURS, strict=True)),
)

# (speed over free speed, TPI), ascending in speed
_TPI = ((0.0, 10.0), *((float(row["speed_ratio_to"]), float(row["tpi_from"])) for row in reversed(_STATES)))

# A speed on a bound belongs to the worse state: "above" in the table
_BY_SPEED: Mapping[str, tuple[float, ...]] = {
    row["class"]: tuple(float(v) for k, v in row.items() if k.endswith("_above"))
    for row in table("traffic_speed_bands")
}


def delay_share(speed: float, free_speed: float) -> float:
    """Share of the travel time that is delay (DTP), 0 to 1, of a mean speed; both km/h (GB/T 33171-2016)."""
    return 1.0 - min(max(speed / free_speed, 0.0), 1.0)


def tpi(speed: float, free_speed: float) -> float:
    """Traffic performance index 0 (free) to 10 (jammed) of a mean speed, both km/h (GB/T 33171-2016)."""
    ratio = min(max(speed / free_speed, 0.0), 1.0)
    for (r0, t0), (r1, t1) in pairwise(_TPI):
        if ratio <= r1:
            return t0 + (t1 - t0) * (ratio - r0) / (r1 - r0)
    return 0.0


def tpis(speed: npt.NDArray[np.float64], free_speed: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """`tpi` of each, equal to the last bit."""
    ratio = np.clip(speed / free_speed, 0.0, 1.0)
    found = np.zeros(len(ratio))
    for (r0, t0), (r1, t1) in reversed(list(pairwise(_TPI))):
        found = np.where(ratio <= r1, t0 + (t1 - t0) * (ratio - r0) / (r1 - r0), found)
    return found


def traffic_state(index: float) -> int:
    """0 free, 1 mostly free, 2 slightly, 3 moderately, 4 severely congested, from a TPI (GB/T 33171-2016)."""
    return TRAFFIC.band(index)


def state_by_speed(speed: float, road_class: str) -> int:
    """The same states by absolute speed (km/h) of a class: expressway, arterial, collector or local."""
    return sum(speed <= bound for bound in _BY_SPEED[road_class])
