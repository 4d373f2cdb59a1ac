"""Car parks: Poisson arrivals by the hour and the use, a dwell for each car, tries elsewhere, and gates to leave by.

M_t/G/c/c: arrivals form a non-homogeneous Poisson process, each car stays a lognormal time whatever the others do, and
a car that finds no space does not wait. Each use is a few streams of visitors with their own hours and dwell; their
rates are set so that the mean number parked, arrivals convolved with survival, peaks at the use's usual fullness.

- Turned away, a driver tries car parks open to all within 800 m, the nearer the likelier (exp(-d / 300 m)), at most two
  more; who finds none drives about for 3.5 to 14 minutes: see `Conditions.searching`.
- Who comes for an event (`Conditions.visitors`) leaves after its end, Gamma(2) distributed: four in five within 45
  minutes.
- A car leaves through a gate, one a 300 spaces and 4 s a car, less where the streets outside are narrowed; it holds its
  space while it waits. Exits beyond the ordinary day's begin trips: see `Conditions.entering`. At the kerb there is no
  gate.

Conserved: occupied + free = capacity, and entries - exits = change of occupied, each minute.

Sources: non-homogeneous arrivals and loss as in Tavafoghi, Poolla and Varaiya's parking queue; search times by the
literature on cruising for parking; median stays, shapes and gates are assumptions.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulators.conditions import STEP, Array, Conditions, Ints, Wander, bump, ids, numbers, plane, spread, traits
from twin.clock import HOUR
from twin.errors import RegistryError
from twin.registry import Device, Registry

Bools = npt.NDArray[np.bool_]

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

_PRIVATE = frozenset({"factory_shift", "school_pickup"})  # no one else is let in
_TRIES, _NEAR, _WITHIN = 3, 300.0, 800.0  # car parks a driver tries; m
_SEARCH = (3.5, 14.0)  # minutes, the least and the most; as likely between
_CRUISE = 15.0  # km/h
_LAG = 15.0  # minutes, scale of the Gamma(2) after the end of an event
_GATE = 15.0  # cars a minute
_SPACES_A_GATE = 300
_STREETS = 4  # links about a car park: as a rule two streets, both ways


class Cars(NamedTuple):
    """In the order they come: the car park each is at, the minutes it would stay, 1 where it comes for an event."""

    lot: Ints
    stay: Ints
    event: Ints

    def only(self, which: Bools | Ints) -> "Cars":
        return Cars(*(column[which] for column in self))


class Parking:
    """Per car park, in registry order: `occupied`, `exiting` of them at the gate; `entries`, `exits`, `turned_away` of
    the last minute, the last counting each try."""

    def __init__(self, registry: Registry, devices: Sequence[Device], seed: int) -> None:
        n = len(devices)
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
        self._noise = Wander(n, 60)
        # Who leaves in which minute to come, (minutes, 2, n): ordinary, event
        self._leaving: Ints = np.zeros((LONGEST + 1, 2, n), np.int64)
        self._minute = 0
        self.occupied: Ints = np.zeros(n, np.int64)
        self._at_gate: Ints = np.zeros((2, n), np.int64)
        self.entries, self.exits, self.turned_away = (np.zeros(n, np.int64) for _ in range(3))
        kerb = np.array([use == "street" for use in uses], bool)
        gates = np.maximum(np.round(self.capacity / _SPACES_A_GATE), 1)
        self._gates = np.where(kerb, np.maximum(self.capacity, 1), _GATE * gates)
        self._pull = _pull(devices, uses)
        self._lost = np.zeros((len(_STILL), n))  # who found no space anywhere, by minutes ago
        links = [d for d in registry if d.kind == "link-detector"]
        self._streets = _streets(devices, links)
        self._widths = numbers(links, "capacity")[self._streets]
        self._round = numbers(links, "length")[self._streets].sum(axis=1) / 1000

    @property
    def exiting(self) -> Ints:
        return np.asarray(self._at_gate.sum(axis=0))

    def step(self, now: Conditions, rng: np.random.Generator) -> None:
        cars = self._arrivals(now, rng)
        self._call(now, rng)
        self._let_out(now)
        self._let_in(cars, now, rng)
        now.searching = self._searching(len(now.flow))
        self._minute += 1

    def read(self, now: Conditions, rng: np.random.Generator) -> dict[str, Array]:
        return {
            "occupiedSpotNumber": self.occupied.astype(np.float64),
            "availableSpotNumber": (self.capacity - self.occupied).astype(np.float64),
            "occupancy": self.occupied / np.maximum(self.capacity, 1),
            "vehicleEntranceCount": self.entries.astype(np.float64),
            "vehicleExitCount": self.exits.astype(np.float64),
        }

    def _arrivals(self, now: Conditions, rng: np.random.Generator) -> Cars:
        """Who comes this minute, in the order of coming.

        Drawn before anyone is turned away, so that the draws do not depend on how full it is.
        """
        noise = np.exp(0.10 * self._noise.step(rng) - 0.005)
        quarter = (int(now.hour * 4) - self._late) % 96
        rain = 1.15 if now.weather.rain > 0.3 else 1.0
        mean = self._rate[int(now.weekend), quarter, np.arange(len(self._lot))] * noise[self._lot] * rain
        came = rng.poisson(mean)
        which = np.repeat(np.arange(len(came)), came)
        stay = self._median[which] * np.exp(self._sigma[which] * rng.standard_normal(len(which)))
        guests = np.repeat(np.arange(len(now.visitors)), rng.poisson(np.maximum(now.visitors, 0.0)))
        late = max(now.visit, 0.0) + _LAG * rng.standard_gamma(2.0, len(guests))
        return Cars(
            np.concatenate([self._lot[which], guests]),
            np.clip(np.concatenate([stay, late]), 2, LONGEST).astype(np.int64),
            np.repeat(np.array([0, 1], np.int64), [len(which), len(guests)]),
        ).only(rng.permutation(len(which) + len(guests)))

    def _call(self, now: Conditions, rng: np.random.Generator) -> None:
        """Those whose time is up go to the gate, and the share of the others that `now.leaving` calls away."""
        slot = self._minute % len(self._leaving)
        self._at_gate += self._leaving[slot]
        self._leaving[slot] = 0
        called = np.flatnonzero(now.leaving > 0)
        if called.size:
            parked = self._leaving[:, :, called]
            gone = rng.binomial(parked, np.minimum(now.leaving[called], 1.0))
            self._leaving[:, :, called] = parked - gone
            # They leave ahead of the hour at which the day's traffic has them
            self._at_gate[1, called] += gone.sum(axis=(0, 1))

    def _let_out(self, now: Conditions) -> None:
        free = self._widths * np.clip(now.capacity[self._streets], 0.0, 1.0)
        passable = free.sum(axis=1) / self._widths.sum(axis=1) if free.size else 1.0
        ordinary, event = self._at_gate
        waiting = ordinary + event
        self.exits = np.minimum(waiting, np.floor(self._gates * passable).astype(np.int64))
        mixed = np.round(self.exits * event / np.maximum(waiting, 1)).astype(np.int64)
        beyond = np.clip(mixed, self.exits - ordinary, event)
        self._at_gate = np.stack([ordinary - self.exits + beyond, event - beyond])
        self.occupied = self.occupied - self.exits
        if free.size and beyond.any():
            share = free / np.maximum(free.sum(axis=1, keepdims=True), 1e-9)
            np.add.at(now.entering, self._streets, beyond[:, None] * share * _PER_HOUR)

    def _let_in(self, cars: Cars, now: Conditions, rng: np.random.Generator) -> None:
        """Each car tries up to `_TRIES` car parks; a later try meets what room the tries before it left."""
        room = np.where(now.shut > 0, 0, self.capacity - self.occupied)
        before = self.occupied
        self.turned_away, lost = np.zeros_like(room), np.zeros_like(room)
        tried: Ints = np.zeros((len(cars.lot), 0), np.int64)
        for tries_left in reversed(range(_TRIES)):
            found = _first_come(cars.lot, room)
            room = room - self._park(cars.only(found))
            cars, tried = cars.only(~found), np.column_stack([tried, cars.lot])[~found]
            if not len(cars.lot):
                break
            self.turned_away = self.turned_away + self._counted(cars.lot)
            elsewhere, goes = self._elsewhere(cars.lot, tried, rng)
            goes &= tries_left > 0
            lost = lost + self._counted(cars.lot[~goes])
            cars, tried = cars._replace(lot=elsewhere).only(goes), tried[goes]
        self.entries = self.occupied - before
        self._lost[1:] = self._lost[:-1]
        self._lost[0] = lost

    def _park(self, cars: Cars) -> Ints:
        """How many entered each car park."""
        np.add.at(self._leaving, ((self._minute + cars.stay) % len(self._leaving), cars.event, cars.lot), 1)
        entered = self._counted(cars.lot)
        self.occupied = self.occupied + entered
        return entered

    def _elsewhere(self, lot: Ints, tried: Ints, rng: np.random.Generator) -> tuple[Ints, Bools]:
        """The next car park of each driver, and whether there is one near."""
        pull = self._pull[lot]
        pull[np.arange(len(lot))[:, None], tried] = 0.0
        reach = pull.cumsum(axis=1)
        total = reach[:, -1:]
        chosen = (reach <= rng.random((len(lot), 1)) * total).sum(axis=1)
        return np.minimum(chosen, len(self.capacity) - 1), total[:, 0] > 0

    def _counted(self, lot: Ints) -> Ints:
        return np.bincount(lot, minlength=len(self.capacity))

    def _searching(self, links: int) -> Array:
        """veh/h that pass on the links about a car park: its searchers' kilometres over the length of these links."""
        searching = np.zeros(links)
        cars = _STILL @ self._lost
        if links and cars.any():
            np.add.at(searching, self._streets, (cars * _CRUISE / self._round)[:, None])
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


def _still() -> Array:
    """Share of those who began to search so many minutes ago that still do."""
    least, most = _SEARCH
    return np.clip((most - np.arange(int(most) + 1)) / (most - least), 0.0, 1.0)


_STILL = _still()
_PER_HOUR = HOUR / STEP


def _first_come(lot: Ints, room: Ints) -> Bools:
    """Which of the cars, in their order, find a space where they are."""
    order = np.argsort(lot, kind="stable")
    at = lot[order]
    found = np.zeros(len(lot), bool)
    found[order] = np.arange(len(lot)) - np.searchsorted(at, at) < room[at]
    return found


def _pull(devices: Sequence[Device], uses: Sequence[str]) -> Array:
    """(n, n) how much one draws those whom another turned away: 0 at itself, out of reach, and where it is private."""
    if not devices:
        return np.zeros((0, 0))
    away = np.linalg.norm(plane(devices)[:, None, :] - plane(devices)[None, :, :], axis=2)
    public = np.array([use not in _PRIVATE for use in uses], bool)
    pull = np.where((away <= _WITHIN) & public, np.exp(-away / _NEAR), 0.0)
    np.fill_diagonal(pull, 0.0)
    return pull


def _streets(devices: Sequence[Device], links: Sequence[Device]) -> Ints:
    """(n, 4) the links nearest to each car park; fewer where there are fewer."""
    if not devices or not links:
        return np.zeros((len(devices), 0), np.int64)
    away = np.linalg.norm(plane(devices)[:, None, :] - plane(links)[None, :, :], axis=2)
    return np.argsort(away, axis=1, kind="stable")[:, :_STREETS]
