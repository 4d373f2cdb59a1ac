"""Underpasses: where a road dips, the rain of its slopes gathers until the pumps have taken it away.

Rain reaches the bottom through a linear reservoir (some minutes to run off). The pool lies in the sag of the road's
vertical curve, x² = 2 R h, so that it holds V = 4/3 width sqrt(2 R) h^1.5: it deepens fast at first, slower as it
spreads. Two equal pumps: one runs while there is water, the other from a depth on until the road is dry. They are sized
for a rain, in mm/h over the catchment; without voltage they stand.

The road is closed where the depth reaches that of the scale's last band, and opened again when it is passable.

Sources: mass balance; radius and width of an urban road's sag. Catchments and pumps are assumptions, the dip under the
railway being the oldest: 62 mm in two hours, most of them in the first, put 38 cm on it in 35 minutes.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulators.conditions import STEP, Array, ids, traits
from twin.clock import HOUR
from twin.registry import Device, Registry
from twin.standards import UNDERPASS

RUN_OFF = 0.1  # hours
WIDTH, RADIUS = 16.0, 800.0  # m
_HELD = 4 / 3 * WIDTH * math.sqrt(2 * RADIUS)  # m³ at a depth of 1 m


class Dip(NamedTuple):
    """`catchment`: m² that drain in, times what runs off of them; `design`: mm/h that one of the two pumps keeps up
    with; `standby`: m of water at which the second starts."""

    catchment: float
    design: float
    standby: float


USUAL = Dip(8_000, 20.0, 0.15)
# by what the road passes under
DIPS: Mapping[str, Dip] = {"rail": Dip(17_000, 10.0, 0.25)}


class Underpasses:
    """`depth` m and `closed` of each, in the order of `devices`."""

    def __init__(self, registry: Registry, devices: Sequence[Device], seed: int) -> None:
        dips = [DIPS.get(str(d.attributes.get("under")), USUAL) for d in devices]
        catchment, design, self._standby = np.array(dips, np.float64).reshape(-1, len(Dip._fields)).T
        self._catchment = catchment * (0.9 + 0.2 * traits(seed, "catchment", ids(devices)))
        self._pump = design * catchment / 1000  # m³/h
        self._links = [_both_ways(registry, str(d.attributes.get("link"))) for d in devices]
        n = len(devices)
        self._runoff = 0.0  # mm/h
        self._held = np.zeros(n)  # m³
        self._both: npt.NDArray[np.bool_] = np.zeros(n, bool)
        self.closed: npt.NDArray[np.bool_] = np.zeros(n, bool)

    @property
    def depth(self) -> Array:
        return np.asarray((self._held / _HELD) ** (2 / 3))

    @property
    def closed_links(self) -> tuple[str, ...]:
        """Both directions of the roads that are closed, by the id of the link."""
        return tuple(link for closed, links in zip(self.closed, self._links, strict=True) if closed for link in links)

    def step(self, rain: float, *, powered: bool) -> None:
        """`rain` in mm/h over this step."""
        hours = STEP / HOUR
        self._runoff += (rain - self._runoff) * (1 - math.exp(-hours / RUN_OFF))
        self._both = (self._both & (self._held > 0)) | (self.depth > self._standby)
        pumped = self._pump * (1 + self._both) * powered
        self._held = np.maximum(self._held + (self._catchment * self._runoff / 1000 - pumped) * hours, 0.0)
        depth, (passable, shut) = self.depth, UNDERPASS.edges
        self.closed = (depth >= shut) | (self.closed & (depth >= passable))


def _both_ways(registry: Registry, link: str) -> tuple[str, ...]:
    """The link and the one that runs the other way between the same nodes; as told where there is no detector."""
    detectors = [d for d in registry if d.kind == "link-detector"]
    ends = {
        str(d.attributes.get("link")): (d.attributes.get("fromNode"), d.attributes.get("toNode")) for d in detectors
    }
    here = ends.get(link)
    if here is None:
        return (link,)
    return tuple(other for other, between in ends.items() if between in (here, here[::-1]))
