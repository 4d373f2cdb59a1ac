"""The accelerator centre: jobs run on servers, servers make heat, chillers carry it off, other pools take what is over.

- Jobs (`jobs`) run on servers; inference, a pool of its own, follows the day. What must wait too long goes to other
  pools (`dispatch`).
- A server draws P_idle + (P_max - P_idle) u^1.2, plus 1 % fan power a kelvin of inlet above 27 °C.
- The hall and its plant (`cooling`) say how warm the aisle is. A server throttles by 30 % from an inlet of 35 °C on and
  switches off at 40 °C, until it is below 30 °C again; it takes no new job until it is below 27 °C. A job that has long
  to go leaves a throttled server for another pool; one whose server is off goes on elsewhere or waits again.
- What the grid asks back is met by putting off jobs, those that started last first.
- The centre's figures are sums over its servers: cards, power and PFLOPS; its PUE is what all draw over what the
  servers draw. A throttled job ends when it would have.

Sources: powers are assumptions, thresholds a convention of the project above the range of GB 50174.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from simulators.conditions import (
    STEP,
    Array,
    Conditions,
    Ints,
    Wander,
    bump,
    ids,
    smooth,
    spread,
    traits,
)
from simulators.cooling import COLD_AISLE, DISTRIBUTION, FANS, Hall
from simulators.dispatch import PFLOPS, Dispatch
from simulators.jobs import CARDS, GATHER, Arrivals, Queue
from twin.clock import HOUR, MINUTE, SECOND
from twin.errors import RegistryError
from twin.registry import Device, Registry

IDLE, FULL = 200 / 120, 650 / 120  # kW a server of eight cards
HISTORY = 10 * 24 * 60  # minutes the queue is played through before the first step: it forgets slowly
THROTTLE, SHUTDOWN, RELEASE, READY = 35.0, 40.0, 30.0, 27.0  # °C at the inlet
SLOWED = 0.70  # of its work is left to a throttled server
WORTH = 4 * 60  # minutes a job must have to go to be worth moving
BATTERY = 0.9  # per unit of the grid's voltage; below it the UPS is on battery
AUTONOMY, RECHARGE = 15 * 60.0, 4 * 3600.0  # s: a full battery at full load, and charging it


def server_power(utilisation: Array, full: Array | float = FULL) -> Array:
    """kW of a server at a utilisation of 0 to 1, by its `full` power."""
    return np.asarray(full * (IDLE + (FULL - IDLE) * utilisation**1.2) / FULL, np.float64)


class Compute:
    def __init__(self, registry: Registry, devices: Sequence[Device], seed: int) -> None:
        self._seed = seed
        of = {k: [i for i, d in enumerate(devices) if d.kind == k] for k in {d.kind for d in devices}}
        self._size = len(devices)
        self._centre, self._servers, self._chillers, self._units, self._pools, self._stations = (
            np.array(of.get(k, []), np.int64)
            for k in ("compute-centre", "server", "chiller", "power-unit", "compute-pool", "dispatch")
        )
        if len(self._centre) > 1:
            raise RegistryError("the simulators know one compute centre; take the others out of the simulated registry")
        servers = [devices[i] for i in self._servers]
        self._equip(servers)
        self.nameplate = float(self.cards.sum() * PFLOPS)
        for i in self._centre:
            if "nameplateP" in devices[i].attributes:
                self.nameplate = devices[i].number("nameplateP")
        n = len(servers)
        self._inference = round(0.3 * n)
        self.queue = Queue(self.cards, self._inference)
        self.arrivals = Arrivals(int(self.cards[self._inference :].sum()), seed)
        self.dispatch = Dispatch([devices[i] for i in self._pools], seed)
        self.withdrawn = 0
        self._minute: int | None = None
        self._duty = Wander(n, 18)
        self._warm = 0.7 * spread(seed, "rack", ids(servers))
        self._high = traits(seed, "height", ids(servers))
        self._own = spread(seed, "unit", [devices[i].id for i in (*self._chillers, *self._units)])
        # A hall whose chillers the registry does not list has one all the same
        spare = [bool(devices[i].attributes.get("standby", 0)) for i in self._chillers] or [False]
        sizes = (1 + 0.02 * self._own[: len(self._chillers)]).tolist() or [1.0]
        self.hall = Hall(max(self._full, 1.0), sizes, spare)
        self.charge = np.ones(len(self._units))
        self._asked: float | None = None
        self._held: tuple[list[float], float] | None = None  # shares of the chillers and voltage, of the last step

    def _equip(self, servers: Sequence[Device]) -> None:
        """`cards` and power of each, as the registry says or of the usual server."""
        n = len(servers)
        self.cards: Ints = np.array([d.attributes.get("cards", CARDS) for d in servers], np.float64).astype(np.int64)
        usual = FULL * self.cards / CARDS
        own = [d.attributes.get("fullKw", usual[i]) for i, d in enumerate(servers)]
        self._most: Array = np.array(own, np.float64)
        self._full = float(self._most.sum())
        self.allocated, self.utilisation, self.power = np.zeros(n), np.zeros(n), server_power(np.zeros(n), self._most)
        self.inlet, self._mixed = np.full(n, COLD_AISLE), np.zeros(n)
        self.throttled: npt.NDArray[np.bool_] = np.zeros(n, bool)
        self.off: npt.NDArray[np.bool_] = np.zeros(n, bool)

    def step(self, now: Conditions, rng: np.random.Generator) -> None:
        minute = now.at // STEP
        self._play(minute)
        duty = np.exp(0.05 * self._duty.step(rng))
        self._work(now, duty)
        spare = self._curtail(now, duty)
        self._cool(now)
        self._protect(minute)
        self.queue.restrict(self.throttled | self.off | (self.queue.closed & (self.inlet >= READY)), spare)
        self._supply(now)

    def read(self, now: Conditions, rng: np.random.Generator) -> dict[str, Array]:
        values: dict[str, Array] = {}

        def put(metric: str, index: Ints, what: Array | float) -> None:
            if metric not in values:
                values[metric] = np.full(self._size, np.nan)
            values[metric][index] = what

        for metric, value in self._figures().items():
            put(metric, self._centre, value)
        put("gpuUtilization", self._servers, self.utilisation)
        put("itPower", self._servers, self.power)
        put("inletTemperature", self._servers, self.inlet)
        put("outletTemperature", self._servers, self.inlet + self._rise)
        self._plant(now, put)
        self._mains(now, put)
        for index, pool in zip(self._pools, self.dispatch.pools, strict=True):
            for metric, value in pool.read(now.at // STEP).items():
                put(metric, index, value)
        for metric, value in self.dispatch.read(now.at // STEP).items():
            put(metric, self._stations, value)
        return values

    @property
    def it_power(self) -> float:
        """kW, all servers."""
        return float(self.power.sum())

    @property
    def _share(self) -> Array:
        """Power over full power of each server."""
        return np.asarray(self.power / np.maximum(self._most, 1e-9), np.float64)

    @property
    def _rise(self) -> Array:
        """K from inlet to outlet: fans speed up with power, so that it grows less than in proportion."""
        return np.asarray(np.where(self.off, 0.0, 6.5 + 7.0 * self._share), np.float64)

    def _figures(self) -> dict[str, float]:
        """The centre's own metrics."""
        total, it = int(self.cards.sum()), self.it_power
        mean = float(self.utilisation @ self.cards) / max(total, 1)
        facility = it * (1 + DISTRIBUTION + FANS) + self.hall.chilling
        return {
            "gpuUtilization": mean,
            "gpuAllocated": float(self.allocated.sum()),
            "gpuTotal": float(self.cards[~self.off].sum()),
            "fp16Pflops": self.nameplate * mean,
            "queueLength": float(len(self.queue.waiting)),
            "itPower": it,
            "facilityPower": facility,
            "pue": min(facility / it, 10.0) if it > 0 else 10.0,
        }

    def _play(self, to: int) -> None:
        """Bring the queue to the minute `to`; before its first, through the days before."""
        if self._minute is None:
            self._minute = to - HISTORY
        while self._minute < to:
            self._minute += 1
            self.dispatch.step(self._minute)
            for job in self.queue.step(self._minute, self.arrivals.at(self._minute)):
                self.withdrawn += not self.dispatch.send(job, self._minute)
            if (self._minute + 8 * 60) % (24 * 60) == GATHER:
                self.queue.gather()

    def _work(self, now: Conditions, duty: Array) -> None:
        """What each server does and draws."""
        served, busy = self._inference_load(now)
        self.allocated = np.where(self.off, 0.0, self.cards - self.queue.free + served)
        used = (self.queue.load + served * busy) * duty / np.maximum(self.cards, 1)
        used = np.clip(used, 0, self.allocated / np.maximum(self.cards, 1))
        self.utilisation = np.where(self.throttled, SLOWED * used, used)
        fans = 1 + 0.01 * np.maximum(self.inlet - 27, 0)
        self.power = np.where(self.off, 0.0, server_power(self.utilisation, self._most) * fans)

    def _inference_load(self, now: Conditions) -> tuple[Ints, float]:
        """Cards each server gives to inference, and how busy they are: 0.3 to 0.8 by the hour."""
        level = 0.34 + 0.34 * bump(now.hour, 11.0, 2.6) + 0.42 * bump(now.hour, 20.0, 3.0)
        level = min(max(level + 0.04 * smooth(self._seed, "inference", now.at, 2 * HOUR), 0.25), 0.85)
        served = np.zeros(len(self.cards), np.int64)
        n = self._inference
        filled = np.clip((0.25 + 0.75 * level) * n - np.arange(n), 0, 1)
        served[:n] = np.floor(filled * self.cards[:n])
        return served, 0.30 + 0.55 * level

    def _curtail(self, now: Conditions, duty: Array) -> float:
        """Put jobs off until the servers draw what the grid leaves of their power before; how many more busy cards may
        start."""
        if now.curtailed <= 0 or self._asked is None:
            self._asked = self.it_power
            return math.inf
        most = (1 - now.curtailed) * self._asked
        while self.it_power > most and self.queue.suspend(now.at // STEP):
            self._work(now, duty)
        a_card = 1.2 * (FULL - IDLE) / FULL * self._full / max(int(self.cards.sum()), 1)  # kW, at most
        return max(most - 0.01 * self._asked - self.it_power, 0.0) / a_card

    def _cool(self, now: Conditions) -> None:
        """The minute up to now of the hall and the servers' inlets, under what held in it."""
        ran, self._held = self._held, (now.chillers.tolist() if len(self._chillers) else [1.0], now.voltage)
        shares, voltage = ran or self._held
        self.hall.step(self.it_power * (1 + FANS), shares, voltage, now.weather.wet_bulb)
        # Hot air comes round the ends and over the top of the racks, more where servers work hard
        settled = -1.2 + self._warm + 2.6 * self._share * (0.4 + self._high)
        self._mixed = self._mixed + (settled - self._mixed) * (1 - math.exp(-STEP / (4 * MINUTE)))
        self.inlet = np.minimum(self.hall.air + self._mixed, 75.0)

    def _protect(self, minute: int) -> None:
        """Throttle and switch off by the inlet, and see to the jobs there."""
        hot, over, cool = self.inlet >= THROTTLE, self.inlet >= SHUTDOWN, self.inlet < RELEASE
        struck, lost = hot & ~self.throttled, over & ~self.off
        self.throttled = (self.throttled | hot) & ~cool
        self.off = (self.off | over) & ~cool
        if struck.any():
            self.queue.off(struck, minute, lambda job: job.minutes >= WORTH and self.dispatch.move(job, minute))
        if lost.any():
            self.queue.off(lost, minute, lambda job: self.dispatch.move(job, minute), put_back=True)

    def _supply(self, now: Conditions) -> None:
        """The UPS: on battery while the grid is low."""
        seconds = STEP / SECOND
        if now.voltage < BATTERY:
            self.charge = np.maximum(self.charge - self._unit_load * seconds / AUTONOMY, 0.0)
        else:
            self.charge = np.minimum(self.charge + seconds / RECHARGE, 1.0)

    @property
    def _each(self) -> Array:
        """Share of the servers' power that each power unit carries."""
        own = 1 + 0.03 * self._own[len(self._chillers) :]
        return np.asarray(own / max(float(own.sum()), 1e-9), np.float64)

    @property
    def _unit_load(self) -> Array:
        return np.minimum(self.it_power * self._each / max(1.3 * self._full / max(len(self._units), 1), 1e-9), 2.0)

    def _plant(self, now: Conditions, put: Callable[[str, Ints, Array], None]) -> None:
        """The chillers."""
        n = len(self._chillers)
        if not n:
            return
        chillers, seconds = self.hall.plant.chillers, STEP / SECOND
        load = np.array([c.cooled / seconds / c.size for c in chillers])
        put("coolingPower", self._chillers, np.array([c.cooled / seconds for c in chillers]))
        put("powerConsumption", self._chillers, np.array([c.drawn / seconds for c in chillers]))
        put("loadRatio", self._chillers, load)
        drift = 0.15 * self._own[:n] + 0.2 * smooth(self._seed, "supply", now.at, 40 * MINUTE)
        lost = 0.6 * max(self.hall.air - COLD_AISLE, 0.0)
        # What makes no cold has water as warm as the aisle
        idle = 7.0 * (1 - np.array([c.level for c in chillers]))
        put("supplyTemperature", self._chillers, 14.0 + 2.0 * load + drift + lost + idle)

    def _mains(self, now: Conditions, put: Callable[[str, Ints, Array], None]) -> None:
        """The power units."""
        own = self._own[len(self._chillers) :]
        put("loadRatio", self._units, self._unit_load)
        put("powerConsumption", self._units, self.it_power * (1 + DISTRIBUTION) * self._each)
        hum = smooth(self._seed, "mains", now.at, 9 * MINUTE)
        put("voltage", self._units, 400 * now.voltage + 1.2 * hum + 0.5 * own)
        put("batteryLevel", self._units, np.clip(0.99 * self.charge + 0.004 * own, 0, 1))
