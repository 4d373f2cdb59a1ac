"""Road traffic of the zone: demand by the clock (`demand`), loaded on the network (`network`, `loading`) by drivers who
go round what is slow (`detours`).

Sources of the factors: rain HCM 2010 ex. 10-15 (capacity) and the FHWA road-weather synthesis (speed).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from simulators.conditions import STEP, Array, Conditions
from simulators.demand import Demand, throats, trips
from simulators.detours import Detours
from simulators.loading import STEP_S, Loading
from simulators.network import CLASSES, WAVE, RoadClass, ends, headings, of_devices
from twin.registry import Device, Registry

__all__ = ["CLASSES", "VEHICLE", "WAVE", "RoadClass", "Traffic", "ends"]

VEHICLE = 6.5  # m, vehicle and detector: density times this is occupancy

# mm/h → factor on capacity, on speed
_RAIN = (0.0, 0.3, 2.5, 6.4, 20.0)
_RAIN_CAPACITY = (1.0, 0.98, 0.95, 0.90, 0.86)
_RAIN_SPEED = (1.0, 0.965, 0.95, 0.90, 0.84)

_STEPS = STEP // (1000 * STEP_S)


class Traffic:
    """Per link, in registry order: `flow` veh/h, `speed` km/h (mean over it), `density` veh/km/lane, `queue` veh."""

    def __init__(self, registry: Registry, devices: Sequence[Device], seed: int) -> None:
        self._demand = Demand(registry, devices, seed)
        whole = of_devices(devices)
        narrow = throats(devices, seed, self._demand.inbound)
        self.network = replace(whole, capacity=whole.capacity * narrow)
        self.loading = Loading(self.network)
        self._detours = Detours(self.network, headings(devices))
        n = len(devices)
        self.queue, self.flow, self.density = np.zeros(n), np.zeros(n), np.zeros(n)
        self.speed = self.network.free.copy()

    def step(self, now: Conditions, rng: np.random.Generator) -> None:
        if not len(self.flow):
            return
        begin, usual = trips(self._demand.wanted(now, rng), self.network)
        closed = now.capacity <= 0
        pace = min(now.pace * float(np.interp(now.weather.rain, _RAIN, _RAIN_SPEED)), 1.0)
        self.loading.advance(
            # Who lives on a closed road leaves by another, uncounted
            np.where(closed, 0.0, begin + now.searching + now.entering),
            self._detours.choose(usual, self.loading.vehicles, closed),
            limit=now.capacity,
            pace=pace,
            narrowing=float(np.interp(now.weather.rain, _RAIN, _RAIN_CAPACITY)),
            steps=_STEPS,
        )
        self._observe(self.network.free * pace)
        now.flow, now.speed = self.flow, self.speed

    def read(self, now: Conditions, rng: np.random.Generator) -> dict[str, Array]:
        """What the detectors say: counting noise of a smoothed minute, 2 % on speed."""
        n = len(self.flow)
        counted = self.flow * (1 + 0.04 * rng.standard_normal(n))
        return {
            "intensity": np.maximum(counted, 0.0),
            "averageVehicleSpeed": np.clip(
                self.speed * (1 + 0.02 * rng.standard_normal(n)), 0.5, 1.1 * self.network.free
            ),
            "occupancy": np.minimum(self.density * VEHICLE / 1000, 1.0),
        }

    def _observe(self, free: Array) -> None:
        """`free` km/h: what an empty link would be driven at."""
        loading = self.loading
        vehicles = loading.vehicles
        self.flow, self.queue = loading.flow, loading.queue
        self.density = loading.density / self.network.lanes
        self.speed = np.where(loading.density > 1e-6, self.flow / np.maximum(loading.density, 1e-6), free)
        self._detours.learn(self.speed, free, loading.moved, loading.out, vehicles)
