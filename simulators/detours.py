"""Which way drivers take when it is slow ahead.

What lies ahead of a link is its own delay and, discounted, what lies ahead of the links it leads to; the news travels
upstream a link a minute. Where links meet, the usual turning shares are weighed by a logit on what lies ahead, so
that a closed or queued link loses to the others at its node (a one-step form of the recursive logit of Fosgerau,
Frejinger and Karlström, 2013).

Who left his way remembers it: at the end of the link he took instead, he turns the way he was going. So a queue fills
the road parallel to it and not just the streets across. `_astray` counts them by the turn they mean to take; they are
mixed evenly among the others on their link.

Invariants: the share of each link that goes on at its end is what it would be without delays, but for those astray,
who all go on; 0 ≤ astray of a link ≤ vehicles on it.
"""

import numpy as np
import numpy.typing as npt

from simulators.conditions import Array, Ints
from simulators.network import Network

INFORMED = 0.5  # share of drivers who look for a way round; the others only give way to a closure
SENSE = 0.12  # a minute: of two ways, the one a minute slower loses e^-SENSE
AHEAD = 0.6  # weight of what lies a link further on
NEWS = 3.0  # minutes of travel that drivers' notion of a delay is a mean over
SHUT = 1e-6  # weight of a closed link, so that it is entered only where there is no other
SLOWEST = 20.0  # minutes that a queue counts at most


class Detours:
    """`ahead`: minutes of delay that lie before those who enter a link."""

    def __init__(self, network: Network, heading: Array) -> None:
        """`heading` (n, 2): the unit vector each link runs along."""
        self.network = network
        n = len(network.length)
        self._back = _returns(network.after, heading)
        self._notion, self.ahead = np.zeros(n), np.zeros(n)
        self._astray = np.zeros(network.after.shape)
        # Of each movement the share who are not where they meant to go, and the movement their link lost most to others
        self._left, self._lost = np.zeros(network.after.shape), np.zeros(n, np.int64)

    def choose(self, usual: Array, vehicles: Array, closed: npt.NDArray[np.bool_]) -> Array:
        """Turning shares (k, n) of this minute from the usual ones; `closed` marks links that lead nowhere."""
        after = self.network.after
        mixed = self._astray / np.maximum(vehicles, 1e-9)
        lost = np.minimum(mixed.sum(axis=0), 1.0)
        base = usual * (1 - lost) + mixed
        onward = base.sum(axis=0)
        cost = np.append(self.ahead, 0.0)[after]
        cost -= np.where(base > 0, cost, np.inf).min(axis=0, initial=1e3)
        shut = np.where(np.append(closed, False)[after], SHUT, 1.0)
        base_open = base * shut
        steady, looking = _scaled(base_open, onward), _scaled(base_open * np.exp(-SENSE * cost), onward)
        shares = (1 - INFORMED) * steady + INFORMED * looking
        self._left = np.maximum(shares - base, 0.0) / np.maximum(shares, 1e-12)
        self._lost = np.argmax(base - shares, axis=0).astype(np.int64)
        return np.asarray(shares, np.float64)

    def learn(self, speed: Array, free: Array, moved: Array, out: Array, vehicles: Array) -> None:
        """What the minute was like: `speed`, `free` km/h a link, `moved` (k, n) and `out` vehicles over its end."""
        delay = np.minimum(60 * self.network.length * (1 / np.maximum(speed, 1.0) - 1 / free), SLOWEST)
        self._notion += (np.maximum(delay, 0.0) - self._notion) / NEWS
        going = moved / np.maximum(out, 1e-9)
        self.ahead = self._notion + AHEAD * (going * np.append(self.ahead, 0.0)[self.network.after]).sum(axis=0)
        self._follow(moved, out, vehicles)

    def _follow(self, moved: Array, out: Array, vehicles: Array) -> None:
        """Those astray leave their link with the others; those who turned off theirs are astray on the next."""
        k, n = moved.shape
        self._astray *= vehicles / np.maximum(vehicles + out, 1e-9)
        back = np.take_along_axis(self._back, self._lost[None, None], axis=0)[0]
        known = back >= 0
        seats = (back * n + self.network.after)[known]
        self._astray += np.bincount(seats, (moved * self._left)[known], k * n).reshape(k, n)
        self._astray *= np.minimum(vehicles / np.maximum(self._astray.sum(axis=0), 1e-9), 1.0)


def _scaled(weight: Array, total: Array) -> Array:
    """(k, n) in proportion to `weight`, columns summing to `total`."""
    return np.asarray(weight * (total / np.maximum(weight.sum(axis=0), 1e-300)), np.float64)


def _returns(after: Ints, heading: Array) -> Ints:
    """[lost, taken, link] → the slot at the end of the link taken that runs the way the lost one does; -1 if none."""
    k, n = after.shape
    course = np.vstack([heading, np.zeros((1, 2))])
    onward = np.append(after, np.full((k, 1), n), axis=1)
    found = np.full((k, k, n), -1, np.int64)
    for lost in range(k):
        for taken in range(k):
            options = onward[:, after[taken]]
            along = (course[options] * course[after[lost]]).sum(axis=2)
            best = along.argmax(axis=0)
            known = (along.max(axis=0) > 0.5) & (lost != taken)
            found[lost, taken] = np.where(known, best, -1)
    return found
