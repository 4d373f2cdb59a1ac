"""Organic vapour from a leak: Gaussian puffs carried by each minute's wind.

A puff of mass M spreads as a Gaussian about its centre, reflected at the ground and well mixed once it fills the mixing
layer:  C = 2M / ((2π)^1.5 σx σy σz) · exp(-x²/2σx² - y²/2σy² - z²/2σz²),  σx = σy.
Vapour is let out as a puff every ten seconds. Sensors report the mean of a minute, in which a puff moves along a
straight stretch, so the passage is integrated (two error functions) rather than sampled: a fast wind leaves no beads,
and in a steady wind the puffs add up to the plume Q / (π u σy σz).

A leak lives on after its end: what has pooled evaporates with the time constant POOL. `Conditions.leaks` must carry it
for as long as that counts. Mass is conserved until a puff has left the zone or is too thin to be seen.

Sources: class D growth (Briggs 1973, open country; at night, in town, close to Briggs's urban E) over the start that a
volume source has (EPA: width / 4.3, height / 2.15), here a plant yard 170 m wide with halls of 16 m. Error function:
Abramowitz and Stegun 7.1.26.
"""

import math
from collections.abc import Sequence

import numpy as np

from simulators.conditions import STEP, Array, Conditions, Leak
from simulators.dust import heading
from twin.clock import MINUTE, SECOND

POOL = 20 * MINUTE
_PUFFS = 6  # let out in a minute
_START = (40.0, 7.4)  # m, σy and σz of a puff when it is let out
_CALM = 0.3  # m/s, air never stands quite still
_GONE = 15_000.0  # m from the middle of the zone
_THIN = 1e-5  # mg/m³ at the centre of a puff; some twenty overlap, and sensors show 0.01


class Plume:
    """`level`: mg/m³ at each place, the mean of the last minute. `puffs`: (k, 4) m east and north, mg, m travelled.

    `places`: (n, 3) metres east and north of the middle of the zone, and above the ground.
    """

    def __init__(self, places: Array) -> None:
        self._places = places
        self.level = np.zeros(len(places))
        self.puffs = np.zeros((0, 4))

    def step(self, now: Conditions) -> None:
        fresh = _let_out(now.leaks, now.at)
        if not len(fresh) and not len(self.puffs):
            self.level = np.zeros(len(self._places))
            return
        wind = max(now.weather.wind, _CALM)
        # A puff let out within the minute flies for what is left of it
        left = (np.arange(_PUFFS, 0, -1) - 0.5) * STEP / SECOND / _PUFFS
        flown = wind * np.concatenate([np.full(len(self.puffs), STEP / SECOND), np.tile(left, len(fresh) // _PUFFS)])
        self.puffs = np.concatenate([self.puffs, fresh])
        ahead = heading(now.weather.wind_from)
        self.level = self._passage(flown, ahead, wind, now.weather.mixing_height)
        self.puffs[:, :2] += flown[:, None] * ahead
        self.puffs[:, 3] += flown
        self._forget(now.weather.mixing_height)

    def _passage(self, flown: Array, ahead: Array, wind: float, lid: float) -> Array:
        """(n,) mg/m³, the minute's mean while each puff moves `flown` m along `ahead`."""
        east, north, mass, run = self.puffs.T
        away_east = self._places[:, :1] - east
        away_north = self._places[:, 1:2] - north
        along = away_east * ahead[0] + away_north * ahead[1]
        across = away_north * ahead[0] - away_east * ahead[1]
        wide, high = _spread(run + np.clip(along, 0, flown), lid)
        passed = _erf(along / (math.sqrt(2) * wide)) - _erf((along - flown) / (math.sqrt(2) * wide))
        bell = np.exp(-0.5 * (across / wide) ** 2 - 0.5 * (self._places[:, 2:] / high) ** 2)
        found = mass / (2 * math.pi * wide * high * wind * STEP / SECOND) * passed * bell
        return np.asarray(found.sum(axis=1), np.float64)

    def _forget(self, lid: float) -> None:
        wide, high = _spread(self.puffs[:, 3], lid)
        centre = 2 * self.puffs[:, 2] / ((2 * math.pi) ** 1.5 * wide**2 * high)
        near = np.hypot(self.puffs[:, 0], self.puffs[:, 1]) < _GONE
        self.puffs = self.puffs[near & (centre > _THIN)]


def _let_out(leaks: Sequence[Leak], at: int) -> Array:
    """(6 a leak that gave anything, 4) the puffs of the minute that ends `at`."""
    moments = at - STEP + (np.arange(_PUFFS) + 0.5) * STEP / _PUFFS
    fresh = []
    for leak in leaks:
        mass = _rate(leak, moments) * STEP / SECOND / _PUFFS
        if mass.any():
            here = np.tile((leak.east, leak.north, 0.0, 0.0), (_PUFFS, 1))
            here[:, 2] = mass
            fresh.append(here)
    return np.concatenate(fresh) if fresh else np.zeros((0, 4))


def _rate(leak: Leak, at: Array) -> Array:
    """mg/s: the leak's own until its end, then what evaporates from the pool it left."""
    pooled = np.exp(-np.maximum(at - leak.end, 0) / POOL)
    return np.where(at < leak.begin, 0.0, leak.rate * pooled)


def _spread(run: Array, lid: float) -> tuple[Array, Array]:
    """σy and σz, m, after `run` m; a σz of √(2/π) mixing heights is a layer filled evenly."""
    wide = 0.08 * run / np.sqrt(1 + 1e-4 * run)
    high = 0.06 * run / np.sqrt(1 + 1.5e-3 * run)
    return np.hypot(_START[0], wide), np.minimum(np.hypot(_START[1], high), math.sqrt(2 / math.pi) * lid)


def _erf(x: Array) -> Array:
    """Good to 1.5e-7."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.asarray(np.copysign(1 - series * np.exp(-(x**2)), x), np.float64)
