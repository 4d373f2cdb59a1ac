"""The accelerator centre: jobs arrive, wait, run on servers; servers make heat; chillers carry it off.

- Jobs come as a non-homogeneous Poisson process, more by day. Small ones (under a server) share one pool, large ones
  take whole servers of another, in order of arrival; what fits may go first until the one before it has waited long.
  A third pool serves inference and follows the day. A job waits and runs less than a day in all: limits that batch
  queues have, and what lets a simulation forget how it began.
- A server draws P_idle + (P_max - P_idle) u^1.2, plus 1 % fan power a kelvin of inlet above 27 °C.
- The cold aisle is one heat capacity, C dT/dt = P_it - Q_cool, held at its set point while the chillers can.
- The centre's figures are sums over its servers: cards, power and PFLOPS; facility power is IT power times PUE.

Sources: job sizes and durations after the Helios (SC21), Philly and AcmeTrace papers; lumped heat capacity after
Khankari (ASHRAE 2011); powers and the PUE formula are assumptions.
"""

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np

from simulators.conditions import (
    STEP,
    Array,
    Conditions,
    Ints,
    Wander,
    bump,
    calendar,
    ids,
    smooth,
    spread,
    stream,
    traits,
)
from twin.clock import HOUR, MINUTE, SECOND
from twin.errors import RegistryError
from twin.registry import Device, Registry

IDLE, FULL = 200 / 120, 650 / 120  # kW a server of eight cards
CARDS = 8
NAMEPLATE = 300.5 / 960  # PFLOPS a card, dense FP16, where the centre does not say
DISTRIBUTION, FANS = 0.06, 0.05  # share of IT power
HEAT = 12.0  # kJ/K a kW of full IT power
COLD_AISLE = 22.5  # °C, set point
PLANT = 1.65  # heat the regular chillers can take over the servers' full power
LONGEST = 16 * 60  # minutes a job may run
PATIENCE = 6 * 60  # minutes after which its owner withdraws a job that waits
HISTORY = 10 * 24 * 60  # minutes the queue is played through before the first step: it forgets slowly
GATHER = 4 * 60  # minute of the local day at which running jobs are moved together
HOLD = 75  # minutes after which nothing of its pool passes a job that waits
TARGET = 0.90  # share of the batch pools' cards that jobs ask for on average
WAITING = 400  # jobs; tenants stop submitting beyond

# (cards, share of jobs, median minutes, sigma)
_JOBS = (
    (1, 0.55, 55, 1.6),
    (2, 0.09, 80, 1.6),
    (4, 0.06, 90, 1.6),
    (8, 0.20, 120, 1.7),
    (16, 0.04, 170, 1.5),
    (32, 0.025, 200, 1.4),
    (64, 0.015, 240, 1.3),
    (128, 0.02, 260, 1.2),
)


def plant_cop(wet_bulb: float) -> float:
    """Coefficient of performance of the cooling plant: 14 by free cooling below 8 °C, else falling from 8.5 to 3."""
    return 14.0 if wet_bulb < 8 else min(max(8.5 - 0.22 * (wet_bulb - 8), 3.0), 8.5)


def pue(cop: float) -> float:
    """Power usage effectiveness: distribution and UPS, fans, and cooling at a plant's `cop`."""
    return 1 + DISTRIBUTION + FANS + 1 / cop


def server_power(utilisation: Array) -> Array:
    """kW of a server at a utilisation of 0 to 1."""
    return np.asarray(IDLE + (FULL - IDLE) * utilisation**1.2, np.float64)


@dataclass(slots=True)
class Job:
    """`cards` wanted; `minutes` of running; `busy`: how much of a card it uses; `start`: what orders the servers
    for it; `came`: the minute it was submitted."""

    cards: int
    minutes: int
    busy: float
    start: float
    came: int


class Queue:
    """Jobs on servers: which wait, which run until when, and how many cards of each server are free."""

    def __init__(self, cards: Ints, inference: int) -> None:
        self.cards = cards
        n = len(cards)
        small = inference + round(0.35 * (n - inference))
        self.shared, self.whole = np.arange(inference, small), np.arange(small, n)
        self.free = cards.copy()
        self._salt = np.sqrt(np.arange(n) + 2.0)
        self.load = np.zeros(n)
        self.waiting: list[Job] = []
        self._running: list[tuple[int, int, Ints, int, Job]] = []
        self._count = 0

    def step(self, minute: int, jobs: Sequence[Job]) -> None:
        """Take in what was submitted, end what is over and start, in order of arrival, what fits.

        Nothing is decided in a minute in which no job comes or ends.
        """
        if not jobs and not (self._running and self._running[0][0] <= minute):
            return
        while self._running and self._running[0][0] <= minute:
            _, _, servers, cards, job = heapq.heappop(self._running)
            self.free[servers] += cards
            self.load[servers] -= cards * job.busy
        still: list[Job] = []
        # What did not fit once this minute will not fit when more is taken
        refused = {False: 1 << 30, True: 1 << 30}
        for job in (*self.waiting, *jobs):
            large, waited = job.cards >= CARDS, minute - job.came
            if waited > PATIENCE:
                continue
            if job.cards >= refused[large] or not self._place(job, minute + job.minutes):
                refused[large] = 0 if waited > HOLD else min(refused[large], job.cards)
                still.append(job)
        self.waiting = still[:WAITING]

    def gather(self) -> None:
        """Move what runs together, as is done at night against fragments: large jobs first, so that all fit again."""
        running = sorted(self._running, key=lambda r: (-r[4].cards, r[4].came, r[4].start))
        self._running, self.free, self.load = [], self.cards.copy(), np.zeros(len(self.cards))
        for end, _, _, _, job in running:
            self._place(job, end)

    def _place(self, job: Job, end: int) -> bool:
        own, other = (self.whole, self.shared) if job.cards >= CARDS else (self.shared, self.whole)
        pool = own if len(own) else other
        if not len(pool):
            return False
        turned = pool[np.argsort((self._salt[pool] + job.start) * 9973.0 % 1.0)]
        if job.cards >= CARDS:
            wanted = min(job.cards // CARDS, len(pool))
            servers = turned[self.free[turned] == self.cards[turned]][:wanted]
            taken = int(self.cards[servers].min()) if len(servers) else 0
        else:
            wanted, taken = 1, min(job.cards, int(self.cards[pool].max()))
            servers = turned[self.free[turned] >= taken][:1]
        if len(servers) < wanted:
            return False
        self.free[servers] -= taken
        self.load[servers] += taken * job.busy
        self._count += 1
        heapq.heappush(self._running, (end, self._count, servers, taken, job))
        return True


class Compute:
    def __init__(self, registry: Registry, devices: Sequence[Device], seed: int) -> None:
        self._seed = seed
        of = {k: [i for i, d in enumerate(devices) if d.kind == k] for k in {d.kind for d in devices}}
        self._size = len(devices)
        self._centre, self._servers, self._chillers, self._units = (
            np.array(of.get(k, []), np.int64) for k in ("compute-centre", "server", "chiller", "power-unit")
        )
        if len(self._centre) > 1:
            raise RegistryError("the simulators know one compute centre; take the others out of the simulated registry")
        servers = [devices[i] for i in self._servers]
        n = len(servers)
        self.cards: Ints = np.array([int(d.number("cards")) if "cards" in d.attributes else CARDS for d in servers])
        self.cards = self.cards.astype(np.int64)
        self.nameplate = self.cards.sum() * NAMEPLATE
        for i in self._centre:
            if "nameplateP" in devices[i].attributes:
                self.nameplate = devices[i].number("nameplateP")
        self._standby = np.array([bool(devices[i].attributes.get("standby", 0)) for i in self._chillers], bool)
        self._inference = round(0.3 * n)
        self.queue = Queue(self.cards, self._inference)
        self._minute: int | None = None
        self._coming: list[list[Job]] = []
        self._batch_cards = int(self.cards[self._inference :].sum())
        self._duty = Wander(n, 18)
        self._warm = 0.7 * spread(seed, "rack", ids(servers))
        self._high = traits(seed, "height", ids(servers))
        self._own = spread(seed, "unit", [devices[i].id for i in (*self._chillers, *self._units)])
        self.aisle, self.cop = COLD_AISLE, 10.0
        self.cooling = 0.0
        self.allocated, self.utilisation, self.power = np.zeros(n), np.zeros(n), server_power(np.zeros(n))
        self.inlet = np.full(n, COLD_AISLE)

    def step(self, now: Conditions, rng: np.random.Generator) -> None:
        self._play(now.at // STEP)
        duty = np.exp(0.05 * self._duty.step(rng))
        served, busy = self._inference_load(now)
        self.allocated = np.asarray(self.cards - self.queue.free + served, np.float64)
        used = (self.queue.load + served * busy) * duty / np.maximum(self.cards, 1)
        self.utilisation = np.clip(used, 0, self.allocated / np.maximum(self.cards, 1))
        fans = 1 + 0.01 * np.maximum(self.inlet - 27, 0)
        self.power = server_power(self.utilisation) * fans * self.cards / CARDS
        self._cool(now)

    def read(self, now: Conditions, rng: np.random.Generator) -> dict[str, Array]:
        it = self.it_power
        ratio = pue(self.cop)
        values: dict[str, Array] = {}

        def put(metric: str, index: Ints, what: Array | float) -> None:
            values.setdefault(metric, np.full(self._size, np.nan))[index] = what

        total = int(self.cards.sum())
        mean = float(self.utilisation @ self.cards) / max(total, 1)
        centre = {
            "gpuUtilization": mean,
            "gpuAllocated": float(self.allocated.sum()),
            "gpuTotal": float(total),
            "fp16Pflops": self.nameplate * mean,
            "queueLength": float(len(self.queue.waiting)),
            "itPower": it,
            "facilityPower": it * ratio,
            "pue": ratio,
        }
        for metric, value in centre.items():
            put(metric, self._centre, value)
        put("gpuUtilization", self._servers, self.utilisation)
        put("itPower", self._servers, self.power)
        put("inletTemperature", self._servers, self.inlet)
        put("outletTemperature", self._servers, self.inlet + self._rise)
        self._plant(now, put, it)
        return values

    @property
    def it_power(self) -> float:
        """kW, all servers."""
        return float(self.power.sum())

    @property
    def _rise(self) -> Array:
        """K from inlet to outlet: fans speed up with power, so that it grows less than in proportion."""
        return np.asarray(6.5 + 7.0 * (self.power / (FULL * np.maximum(self.cards, 1) / CARDS)), np.float64)

    def _play(self, to: int) -> None:
        """Bring the queue to the minute `to`; before its first, through the days before."""
        if self._minute is None:
            self._minute = to - HISTORY
        while self._minute < to:
            self._minute += 1
            hour, minute = divmod(self._minute, 60)
            if minute == 0 or not self._coming:
                self._coming = self._jobs(hour)
            self.queue.step(self._minute, self._coming[minute])
            if (self._minute + 8 * 60) % (24 * 60) == GATHER:
                self.queue.gather()

    def _jobs(self, hour: int) -> list[list[Job]]:
        """The jobs submitted in each minute of an hour, counted since 1970 (whole hours in Asia/Shanghai too)."""
        rng = stream(self._seed, "jobs", hour)
        local_hour, weekday, _ = calendar(hour * HOUR)
        day = 0.70 + 0.62 * bump(local_hour + 0.5, 14.5, 4.0)
        week = 0.72 if weekday >= 5 else 1.06
        came = int(rng.poisson(60 * self._rate * day * week))
        kind = rng.choice(len(_JOBS), came, p=[share for _, share, _, _ in _JOBS])
        stay, busy, start = rng.standard_normal(came), rng.beta(9, 3.2, came), rng.random(came)
        jobs: list[list[Job]] = [[] for _ in range(60)]
        for k, z, b, s, m in zip(kind, stay, busy, start, rng.integers(60, size=came).tolist(), strict=True):
            cards, _, median, sigma = _JOBS[k]
            minutes = int(min(max(median * math.exp(sigma * z), 3), LONGEST))
            jobs[m].append(Job(cards, minutes, float(b), float(s), hour * 60 + m))
        return jobs

    @cached_property
    def _rate(self) -> float:
        """Jobs a minute that ask for TARGET of the batch pools' cards, by the mean of the truncated lognormals."""
        normal = np.array([NormalDist().inv_cdf((i + 0.5) / 2000) for i in range(2000)])
        asked = sum(
            share * cards * float(np.clip(median * np.exp(sigma * normal), 3, LONGEST).mean())
            for cards, share, median, sigma in _JOBS
        )
        return TARGET * self._batch_cards / asked

    def _inference_load(self, now: Conditions) -> tuple[Ints, float]:
        """Cards each server gives to inference, and how busy they are: 0.3 to 0.8 by the hour."""
        level = 0.34 + 0.34 * bump(now.hour, 11.0, 2.6) + 0.42 * bump(now.hour, 20.0, 3.0)
        level = min(max(level + 0.04 * smooth(self._seed, "inference", now.at, 2 * HOUR), 0.25), 0.85)
        served = np.zeros(len(self.cards), np.int64)
        n = self._inference
        filled = np.clip((0.25 + 0.75 * level) * n - np.arange(n), 0, 1)
        served[:n] = np.floor(filled * self.cards[:n])
        return served, 0.30 + 0.55 * level

    def _cool(self, now: Conditions) -> None:
        """One step of the cold aisle, the plant's COP and the servers' inlets."""
        # The plant changes over between free cooling and compressors within minutes, not at once
        self.cop += (plant_cop(now.weather.wet_bulb) - self.cop) * (1 - math.exp(-STEP / (25 * MINUTE)))
        full = FULL * float(self.cards.sum()) / CARDS
        if full <= 0:
            return
        heat, capacity = self.it_power * (1 + FANS), HEAT * full
        able = PLANT * full * now.cooling
        seconds = STEP / SECOND / 6
        for _ in range(6):
            wanted = heat + 0.035 * capacity * (self.aisle - COLD_AISLE)
            self.cooling = min(max(wanted, 0.0), able)
            self.aisle += (heat - self.cooling) / capacity * seconds
        # Hot air comes round the ends and over the top of the racks, more where servers work hard
        share = self.power / (FULL * np.maximum(self.cards, 1) / CARDS)
        settled = self.aisle - 1.2 + self._warm + 2.6 * share * (0.4 + self._high)
        self.inlet = np.minimum(self.inlet + (settled - self.inlet) * (1 - math.exp(-STEP / (4 * MINUTE))), 75.0)

    def _plant(self, now: Conditions, put: Callable[[str, Ints, Array], None], it: float) -> None:
        """Regular chillers share the cooling, power units the electricity; a standby chiller stands by."""
        n, m = len(self._chillers), len(self._units)
        full = FULL * float(self.cards.sum()) / CARDS
        if n:
            regular = max(int((~self._standby).sum()), 1)
            running = ~self._standby & (np.cumsum(~self._standby) <= math.ceil(now.cooling * regular - 1e-9))
            each = running * (1 + 0.02 * self._own[:n])
            each = each / max(each.sum(), 1e-9)
            load = self.cooling * each / max(PLANT * full / regular, 1e-9)
            put("coolingPower", self._chillers, self.cooling * each)
            put("powerConsumption", self._chillers, it / self.cop * each)
            put("loadRatio", self._chillers, np.minimum(load, 2.0))
            drift = 0.15 * self._own[:n] + 0.2 * smooth(self._seed, "supply", now.at, 40 * MINUTE)
            lost = max(self.aisle - COLD_AISLE, 0)
            put("supplyTemperature", self._chillers, 14.0 + 2.0 * load + drift + 0.6 * lost)
        if m:
            each = (1 + 0.03 * self._own[n:]) / max(float((1 + 0.03 * self._own[n:]).sum()), 1e-9)
            put("loadRatio", self._units, np.minimum(it * each / max(1.3 * full / m, 1e-9), 2.0))
            put("powerConsumption", self._units, it * (1 + DISTRIBUTION) * each)
            hum = smooth(self._seed, "mains", now.at, 9 * MINUTE)
            put("voltage", self._units, 400 + 1.2 * hum + 0.5 * self._own[n:])
            put("batteryLevel", self._units, np.clip(0.99 + 0.004 * self._own[n:], 0, 1))
