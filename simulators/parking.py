"""Car parks: Poisson arrivals by the hour and the use, a dwell for each car, and a full park turns cars away.

M_t/G/c/c: arrivals form a non-homogeneous Poisson process, each car stays a lognormal time whatever the others do, and
a car that finds no space does not wait. Each use is a few streams of visitors with their own hours and dwell; their
rates are set so that the mean number parked, arrivals convolved with survival, peaks at the use's usual fullness.
Drivers turned away search the streets about: see `Conditions.searching`.

Conserved: occupied + free = capacity, and entries - exits = change of occupied, each minute.

Sources: non-homogeneous arrivals and loss as in Tavafoghi, Poolla and Varaiya's parking queue; median stays and shapes
are assumptions.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from simulators.conditions import STEP, Array, Conditions, Ints, Wander, bump, ids, numbers, plane, spread, traits
from twin.clock import MINUTE
from twin.errors import RegistryError
from twin.registry import Device, Registry

LONGEST = 22 * 60  # minutes; under a day, so that the spin-up forgets how the world began


class Stream(NamedTuple):
    """`share` of the use's cars; they stay `median` minutes (lognormal, `sigma`) and come about the hours of `peaks`:
    (centre, standard deviation, weight). On weekends `weekend` times as many."""

    share: float
    median: float
    sigma: float
    peaks: tuple[tuple[float, float, float], ...]
    weekend: float


class Use(NamedTuple):
    """`full`: mean share of spaces taken at the fullest time of a weekday."""

    full: float
    streams: tuple[Stream, ...]


_SHIFTS = ((7.6, 0.35, 0.6), (15.6, 0.35, 0.25), (23.5, 0.35, 0.15))

USES: Mapping[str, Use] = {
    "office": Use(
        0.90,
        (
            Stream(0.55, 540, 0.10, ((8.4, 0.5, 1.0),), 0.18),
            Stream(0.45, 150, 0.5, ((9.8, 1.1, 0.6), (14.6, 1.2, 0.5)), 0.25),
        ),
    ),
    "mall": Use(0.66, (Stream(1.0, 110, 0.5, ((11.5, 1.3, 0.5), (15.0, 2.0, 0.5), (18.3, 1.5, 1.0)), 1.55),)),
    "park": Use(0.38, (Stream(1.0, 95, 0.5, ((8.0, 1.5, 0.5), (15.0, 2.2, 1.0)), 2.1),)),
    "school_pickup": Use(
        0.85,
        (
            Stream(0.3, 540, 0.08, ((7.3, 0.3, 1.0),), 0.08),
            Stream(0.7, 18, 0.5, ((7.4, 0.35, 0.6), (16.9, 0.45, 1.0)), 0.05),
        ),
    ),
    "hospital": Use(
        0.93,
        (
            Stream(0.75, 75, 0.5, ((9.0, 1.3, 1.0), (14.6, 1.5, 0.75), (19.0, 2.0, 0.2)), 0.7),
            Stream(0.25, 500, 0.2, ((7.7, 0.5, 1.0), (19.5, 0.6, 0.3)), 0.75),
        ),
    ),
    "factory_shift": Use(0.82, (Stream(1.0, 540, 0.07, _SHIFTS, 0.6),)),
    "residential": Use(
        0.92,
        (
            Stream(0.75, 690, 0.2, ((18.6, 1.4, 1.0), (12.5, 1.5, 0.25)), 0.95),
            Stream(0.25, 1050, 0.1, ((10.0, 3.0, 1.0),), 1.3),
        ),
    ),
    "street": Use(0.78, (Stream(1.0, 65, 0.6, ((10.0, 1.6, 0.8), (14.5, 2.0, 0.7), (19.0, 1.7, 1.0)), 1.05),)),
}

_SEARCH_REACH = 3  # links that carry the cars a full car park turned away


class Parking:
    """Per car park, in registry order: `occupied`, and `entries`, `exits`, `turned_away` of the last minute."""

    def __init__(self, registry: Registry, devices: Sequence[Device], seed: int) -> None:
        self.capacity: Ints = np.array([int(c) for c in numbers(devices, "capacity")], np.int64)
        uses = [_use_of(d) for d in devices]
        streams = [(i, s) for i, use in enumerate(uses) for s in range(len(USES[use].streams))]
        self._lot: Ints = np.array([i for i, _ in streams], np.int64)
        self._median = np.array([USES[uses[i]].streams[s].median for i, s in streams])
        self._sigma = np.array([USES[uses[i]].streams[s].sigma for i, s in streams])
        popular = np.exp(0.12 * spread(seed, "popular", ids(devices)))
        size = self.capacity * np.minimum(popular, 1.12)
        # Arrivals a minute by quarter hour of a weekday and of a weekend day, (2, 96, streams)
        self._rate = np.array([_rates(uses[i])[:, :, s] * size[i] for i, s in streams]).reshape(-1, 2, 96)
        self._rate = np.moveaxis(self._rate, 0, 2)
        self._late = np.round(4 * (traits(seed, "late", ids(devices)) - 0.5)).astype(np.int64)[self._lot]
        self._noise = Wander(len(devices), 60)
        self._leaving: Ints = np.zeros((LONGEST + 1, len(devices)), np.int64)
        self._minute = 0
        n = len(devices)
        self.occupied: Ints = np.zeros(n, np.int64)
        self.entries, self.exits, self.turned_away = (np.zeros(n, np.int64) for _ in range(3))
        self._streets = _streets(devices, [d for d in registry if d.kind == "link-detector"])

    def step(self, now: Conditions, rng: np.random.Generator) -> None:
        wanted, stay = self._arrivals(now, rng)
        slot = self._minute % len(self._leaving)
        self.exits = self._leaving[slot].copy()
        self._leaving[slot] = 0
        room = self.capacity - self.occupied + self.exits
        lot = np.repeat(np.arange(len(room)), wanted)
        first = np.cumsum(wanted) - wanted
        admitted = np.arange(len(lot)) - first[lot] < room[lot]
        lot, stay = lot[admitted], stay[admitted]
        np.add.at(self._leaving, ((self._minute + stay) % len(self._leaving), lot), 1)
        self.entries = np.bincount(lot, minlength=len(room))
        self.turned_away = wanted - self.entries
        self.occupied = self.occupied + self.entries - self.exits
        self._minute += 1
        now.searching = self._search(len(now.flow))

    def read(self, now: Conditions, rng: np.random.Generator) -> dict[str, Array]:
        return {
            "occupiedSpotNumber": self.occupied.astype(np.float64),
            "availableSpotNumber": (self.capacity - self.occupied).astype(np.float64),
            "occupancy": self.occupied / np.maximum(self.capacity, 1),
            "vehicleEntranceCount": self.entries.astype(np.float64),
            "vehicleExitCount": self.exits.astype(np.float64),
        }

    def _arrivals(self, now: Conditions, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Cars that come to each car park this minute, and how long each would stay, minutes, car park by car park.

        Drawn before anyone is turned away, so that the draws do not depend on how full it is.
        """
        noise = np.exp(0.10 * self._noise.step(rng) - 0.005)
        quarter = (int(now.hour * 4) - self._late) % 96
        rain = 1.15 if now.weather.rain > 0.3 else 1.0
        mean = self._rate[int(now.weekend), quarter, np.arange(len(self._lot))] * noise[self._lot] * rain
        mean += now.visitors[self._lot] / np.bincount(self._lot)[self._lot] if len(self._lot) else 0.0
        came = rng.poisson(mean)
        which = np.repeat(np.arange(len(came)), came)
        stay = self._median[which] * np.exp(self._sigma[which] * rng.standard_normal(len(which)))
        wanted = np.bincount(self._lot, weights=came, minlength=len(self.capacity)).astype(np.int64)
        return wanted, np.clip(stay, 2, LONGEST).astype(np.int64)

    def _search(self, links: int) -> Array:
        """veh/h the links beside full car parks carry more: each driver turned away drives past once."""
        searching = np.zeros(links)
        if links and self.turned_away.any():
            per_hour = self.turned_away * (60 * MINUTE / STEP) / self._streets.shape[1]
            np.add.at(searching, self._streets, per_hour[:, None])
        return searching


def _use_of(device: Device) -> str:
    use = "street" if device.attributes.get("onStreet") else str(device.attributes.get("use", "mall"))
    if use not in USES:
        raise RegistryError(f"car park {device.id}: use {use!r} is not one of {', '.join(USES)}")
    return use


@cache
def _rates(use: str) -> Array:
    """Arrivals a minute and a space, (2, 96, streams): by quarter hour, on a weekday and on a weekend day."""
    full, streams = USES[use]
    minutes = np.arange(1440)
    shapes, parked = [], np.zeros(1440)
    for s in streams:
        shape = np.array([sum(w * bump(m / 60, c, sd) for c, sd, w in s.peaks) + 0.01 for m in minutes])
        shape *= s.share / shape.sum()
        stays = s.median * np.exp(s.sigma * np.array([NormalDist().inv_cdf(p) for p in (np.arange(40) + 0.5) / 40]))
        survival = (stays[None, :] > minutes[:, None]).mean(axis=1)
        # A day that repeats: circular convolution of arrivals with survival
        parked += np.fft.irfft(np.fft.rfft(shape) * np.fft.rfft(survival), 1440)
        shapes.append(shape)
    scale = full / parked.max()
    quarters = np.stack([shape.reshape(96, 15).mean(axis=1) * scale for shape in shapes], axis=1)
    return np.stack([quarters, quarters * np.array([s.weekend for s in streams])])


def _streets(devices: Sequence[Device], links: Sequence[Device]) -> Ints:
    """(n, 3) the links nearest to each car park."""
    if not devices or not links:
        return np.zeros((len(devices), 1), np.int64)
    away = np.linalg.norm(plane(devices)[:, None, :] - plane(links)[None, :, :], axis=2)
    return np.argsort(away, axis=1, kind="stable")[:, :_SEARCH_REACH]
