"""Dust that comes with a front: a wall that sweeps over the zone with its wind.

A front is a plane wave. At a place, PM10 depends only on the time since its edge passed there, which is the distance
along the wind from the middle of the zone over the front's speed later than `Front.at`. So it is a function of absolute
time, and needs no memory. What the wall carries is coarse: about a tenth of its mass is PM2.5, so that PM2.5 over PM10
falls to 0.15 to 0.25 in all.

Sources: rise, plateau and decay as in the Guanzhong events of March 2022 and April 2018.
"""

import math
from collections.abc import Sequence

import numpy as np

from simulators.conditions import Array, Front
from twin.clock import MINUTE

FINE = 0.105  # share of a front's PM10 that is PM2.5


def heading(wind_from: float) -> Array:
    """(2,) the unit vector, east and north, towards which a wind from `wind_from` degrees blows."""
    angle = math.radians(wind_from + 180)
    return np.array([math.sin(angle), math.cos(angle)])


def brought(fronts: Sequence[Front], at: int, places: Array) -> Array:
    """PM10 in µg/m³ that fronts have brought to each place by `at`, UTC ms; `places` (n, 2) m east and north."""
    total = np.zeros(len(places))
    for front in fronts:
        along = places @ heading(front.wind_from)
        passed = (at - front.at) / MINUTE - along / front.speed / 60
        rising = 0.5 - 0.5 * np.cos(np.pi * np.clip(passed / front.rise, 0, 1))
        over = np.maximum(passed - front.rise - front.plateau, 0)
        total += front.peak * rising * np.exp(-over / front.tau)
    return total
