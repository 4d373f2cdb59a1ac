"""Which roads stand beside a place, and how much more a vehicle gives off there when it crawls.

Average-speed emission functions of the COPERT family have a term in 1/v (idling, starting off), a constant, and one in
v² (drag at speed). The coefficients are rounded from the NOx curves of a mixed urban fleet: assumptions, not a fleet's
measurement.
"""

from collections.abc import Sequence

import numpy as np

from simulators.conditions import Array, Ints, plane
from simulators.traffic import ends
from twin.registry import Device

_CRAWL = 3.0  # km/h; below, a vehicle idles and its emission a kilometre means nothing


def effort(speed: Array | float) -> Array:
    """Emission a vehicle kilometre over that at 50 km/h, by mean speed in km/h: 1.5 at 20, 2.5 at 10, 4.5 at 5."""
    v = np.maximum(speed, _CRAWL)
    return np.asarray(0.5 + 20 / v + 4e-5 * v**2, np.float64)


def nearest(places: Sequence[Device], links: Sequence[Device], most: int) -> tuple[Ints, Array]:
    """(n, most) the links nearest to each place, and the metres to them; a link is taken as straight."""
    most = min(most, len(links))
    if not places or not links:
        return np.zeros((len(places), 0), np.int64), np.zeros((len(places), 0))
    start, end = ends(links)
    run = end - start
    point = plane(places)[:, None, :] - start[None, :, :]
    along = np.clip((point * run).sum(axis=2) / np.maximum((run * run).sum(axis=1), 1e-9), 0, 1)
    away = np.linalg.norm(point - along[:, :, None] * run[None, :, :], axis=2)
    index = np.argsort(away, axis=1, kind="stable")[:, :most]
    return index, np.take_along_axis(away, index, axis=1)
