"""What people report: calls to the city's hotline by grid cell and subject, counted over the last hour.

Calls are a Poisson process a cell and a subject. Its rate is the habit of the hour, by how much of the cell is lived
in, and what is wrong near by: water on the road, drivers who find no space, noise at night, covers that stand open and
lamps that are dark. A nuisance annoys the cell whose middle is nearest; sound reaches all by distance; a `Concern` of
the conditions is spread by a Gaussian about its place, to so many calls in all.

Rates are assumptions, some 400 calls a day in the zone when nothing happens.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from simulators.conditions import STEP, Array, Conditions, Ints, bump, plane
from twin.clock import HOUR
from twin.registry import Device

_SLOTS = HOUR // STEP
_LIVED_IN = 45.0  # ha of housing, shops and schools in a usual cell
_DAY_SILENT, _NIGHT_SILENT = 52.0, 42.0  # dB(A) outside homes that no one reports


class Habit(NamedTuple):
    """Calls an hour in a usual cell at most; bells over the day: (local hour, standard deviation, weight)."""

    most: float
    day: tuple[tuple[float, float, float], ...]


_OFFICE_HOURS = ((10.0, 2.0, 1.0), (16.0, 2.2, 0.9))
# in the order of the kind's metrics
HABITS: Mapping[str, Habit] = {
    "odourReports": Habit(0.05, ((8.0, 2.0, 0.6), (21.0, 2.0, 1.0))),
    "noiseReports": Habit(0.20, ((7.0, 1.0, 0.3), (13.0, 1.5, 0.4), (22.5, 1.6, 1.0))),
    "floodReports": Habit(0.01, _OFFICE_HOURS),
    "parkingReports": Habit(0.30, ((8.0, 1.2, 0.9), (18.5, 1.8, 1.0))),
    "facilityReports": Habit(0.20, _OFFICE_HOURS),
}
SUBJECTS = tuple(HABITS)
_ODOUR, _NOISE, _FLOOD, _PARKING, _FACILITY = range(len(SUBJECTS))


class Nuisances(NamedTuple):
    """How bad it is at each underpass and cover (m of water), cover (1 open) and light cabinet (share of lamps that
    should burn and do not)."""

    underpasses: Array
    wells: Array
    covers: Array
    lamps: Array


class Citizens:
    """`calls`: (subjects, cells) of the last hour, in the order of `SUBJECTS` and of the cells."""

    def __init__(
        self,
        cells: Sequence[Device],
        links: Sequence[Device],
        underpasses: Sequence[Device],
        covers: Sequence[Device],
        lamps: Sequence[Device],
    ) -> None:
        n = len(cells)
        self._middle = plane(cells)
        lived_in = np.array([float(c.attributes.get("homes", _LIVED_IN)) for c in cells], np.float64)
        self._people = 0.15 + 0.85 * lived_in / _LIVED_IN
        area = np.array([float(c.attributes.get("area", 2.5)) for c in cells], np.float64)
        self._radius = np.sqrt(area * 1e6 / math.pi)
        self._links, self._underpasses, self._covers, self._lamps = (
            self._nearest(things) for things in (links, underpasses, covers, lamps)
        )
        self.calls: Ints = np.zeros((len(SUBJECTS), n), np.int64)
        self._by_minute: Ints = np.zeros((_SLOTS, len(SUBJECTS), n), np.int64)

    def step(self, now: Conditions, nuisances: Nuisances, rng: np.random.Generator) -> None:
        if not len(self._people):
            return
        slot = now.at // STEP % _SLOTS
        new = rng.poisson(self._rates(now, nuisances) * (STEP / HOUR))
        self.calls = self.calls + new - self._by_minute[slot]
        self._by_minute[slot] = new

    def _rates(self, now: Conditions, nuisances: Nuisances) -> Array:
        """Calls an hour, (subjects, cells)."""
        rate = _habits(now.hour)[:, None] * self._people
        if now.sounds:
            rate[_NOISE] += self._people * self._annoyance(now)
        rate[_FLOOD] += 0.05 * max(now.weather.rain - 8.0, 0.0) * self._people
        rate[_FLOOD] += self._sum(self._underpasses, 40.0 * np.clip(nuisances.underpasses - 0.10, 0.0, 0.5))
        rate[_FLOOD] += self._sum(self._covers, np.where(nuisances.wells > 0.8, 1.0, 0.0))
        rate[_PARKING] += self._sum(self._links, 0.015 * now.searching)
        rate[_FACILITY] += self._sum(self._covers, 0.6 * nuisances.covers)
        rate[_FACILITY] += self._sum(self._lamps, 0.5 * nuisances.lamps)
        for concern in now.concerns:
            away = np.linalg.norm(self._middle - (concern.east, concern.north), axis=1)
            near = 0.5 * (away / max(concern.reach, 1.0)) ** 2
            share = np.exp(near.min() - near)
            rate[SUBJECTS.index(concern.subject)] += concern.per_hour * share / share.sum()
        return rate

    def _annoyance(self, now: Conditions) -> Array:
        """Calls an hour about the sounds of the conditions, where as many live as in a usual cell."""
        energy = np.zeros(len(self._people))
        for sound in now.sounds:
            away = np.linalg.norm(self._middle - (sound.east, sound.north), axis=1)
            # No one lives in the middle of a cell alone
            energy += 10 ** (sound.level / 10) * 100 / (away**2 + (self._radius / 3) ** 2)
        level = 10 * np.log10(energy + 1.0)
        silent = _DAY_SILENT if 7 <= now.hour < 20 else _NIGHT_SILENT
        return 0.5 * np.maximum(level - silent, 0.0)

    def _nearest(self, things: Sequence[Device]) -> Ints:
        if not len(self._middle):
            return np.zeros(0, np.int64)
        away = np.linalg.norm(plane(things)[:, None, :] - self._middle[None, :, :], axis=2)
        return np.asarray(away.argmin(axis=1))

    def _sum(self, cell: Ints, each: Array) -> Array:
        return np.asarray(np.bincount(cell, weights=each, minlength=len(self._people)), np.float64)


@lru_cache(maxsize=1440)
def _habits(hour: float) -> Array:
    """Calls an hour in a usual cell by subject; a tenth of the most when all sleep. Not to be written to."""
    return np.array(
        [h.most * (0.1 + 0.9 * min(sum(w * bump(hour, c, sd) for c, sd, w in h.day), 1.0)) for h in HABITS.values()]
    )
