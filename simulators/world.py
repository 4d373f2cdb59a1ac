"""The simulated zone as one: steps of a minute, all domains under the same conditions.

A world begins empty at local midnight of the day before its `start` and runs up to it. Everything in it either is a
function of absolute time or forgets its beginning within that day, so a world begun later goes on where one begun
earlier is by then: history filled in by one and live values from another meet without a jump.

Same registry, seed, start and scenarios: the same bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import numpy as np

from simulators import environment
from simulators.city import City
from simulators.compute import Compute
from simulators.conditions import STEP, Array, Conditions, calendar, stream, sun_elevation
from simulators.environment import Environment
from simulators.faults import Fault, Faults
from simulators.parking import Parking
from simulators.traffic import Traffic
from twin.clock import local
from twin.observation import Domain, columns
from twin.registry import Device, Registry

__all__ = ["STEP", "Block", "Model", "World"]


@dataclass(frozen=True)
class Block:
    """A domain at one instant: `values[metric][i]` is of `devices[i]`; NaN where that device has no such metric."""

    domain: Domain
    at: int
    devices: tuple[Device, ...]
    values: Mapping[str, Array]


class Model(Protocol):
    """A domain. `step` moves it on by STEP under the conditions and may leave in them what others react to;
    `read` says what its sensors would, and changes nothing."""

    def step(self, now: Conditions, rng: np.random.Generator) -> None: ...

    def read(self, now: Conditions, rng: np.random.Generator) -> dict[str, Array]: ...


class Scenario(Protocol):
    """What is laid over the ordinary day: `apply` changes the conditions of a step before any domain reads them, and
    `faults` are those of the sensors, with their times."""

    def apply(self, now: Conditions) -> None: ...

    @property
    def faults(self) -> Sequence[Fault]: ...


class World:
    """`at`: UTC ms of the last step made, a whole minute. Scenarios may be added and removed while it runs."""

    def __init__(self, registry: Registry, *, seed: int, start: int, scenarios: Sequence[Scenario] = ()) -> None:
        self.registry, self.seed = registry, seed
        self.scenarios: list[Scenario] = []
        self.faults = Faults(registry, seed)
        for scenario in scenarios:
            self.add(scenario)
        self.devices = {domain: registry.of(domain) for domain in Domain}
        # In this order within a step: parking sees no one, air and noise see the traffic of the same minute
        self.models: dict[Domain, Model] = {
            Domain.PARKING: Parking(registry, self.devices[Domain.PARKING], seed),
            Domain.TRAFFIC: Traffic(registry, self.devices[Domain.TRAFFIC], seed),
            Domain.ENVIRONMENT: Environment(registry, self.devices[Domain.ENVIRONMENT], seed),
            Domain.COMPUTE: Compute(registry, self.devices[Domain.COMPUTE], seed),
            Domain.CITY: (city := City(registry, self.devices[Domain.CITY], seed)),
        }
        self._city = city
        self._links = [d.attributes.get("link") for d in self.devices[Domain.TRAFFIC]]
        self._absent = {domain: _absent(devices, domain) for domain, devices in self.devices.items()}
        self._blocks: dict[Domain, Block] = {}
        midnight = local(start).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
        self.at = round(midnight.timestamp() * 1000) - STEP
        self.advance(start)

    def add(self, scenario: Scenario) -> None:
        self.scenarios.append(scenario)
        for fault in scenario.faults:
            self.faults.add(fault)

    def remove(self, scenario: Scenario) -> None:
        """From the next step on it is as if it had never begun; what it set going goes on by itself."""
        self.scenarios.remove(scenario)
        for fault in scenario.faults:
            self.faults.remove(fault)

    def advance(self, to: int) -> None:
        """Step on until the last whole minute up to `to` (UTC ms). A time already passed changes nothing."""
        while self.at + STEP <= to:
            self._step()

    def read(self, domain: Domain) -> Block:
        """The domain's sensors at `self.at`; asked twice, it answers the same."""
        block = self._blocks.get(domain)
        if block is None:
            found = self.models[domain].read(self.now, stream(self.seed, f"{domain}/read", self.at // STEP))
            for metric, absent in self._absent[domain].items():
                found.setdefault(metric, np.zeros(len(absent)))[absent] = np.nan
            block = self._blocks[domain] = Block(domain, self.at, self.devices[domain], found)
        return block

    def _step(self) -> None:
        self.at += STEP
        self._blocks.clear()
        self.now = self._conditions(self.at)
        if closed := self._city.closed_links:
            # A road that was under water a minute ago
            self.now.capacity[[link in closed for link in self._links]] = 0.0
        for scenario in self.scenarios:
            scenario.apply(self.now)
        for domain, model in self.models.items():
            model.step(self.now, stream(self.seed, domain, self.at // STEP))

    def _conditions(self, at: int) -> Conditions:
        hour, weekday, day = calendar(at)
        links, parks = len(self.devices[Domain.TRAFFIC]), len(self.devices[Domain.PARKING])
        chillers = sum(d.kind == "chiller" for d in self.devices[Domain.COMPUTE])
        return Conditions(
            at=at,
            hour=hour,
            weekday=weekday,
            day_of_year=day,
            sun=sun_elevation(at),
            weather=environment.weather(self.seed, at),
            river=environment.river(self.seed, at),
            capacity=np.ones(links),
            entering=np.zeros(links),
            visitors=np.zeros(parks),
            leaving=np.zeros(parks),
            shut=np.zeros(parks),
            chillers=np.ones(chillers),
            flow=np.zeros(links),
            speed=np.zeros(links),
            searching=np.zeros(links),
        )


def _absent(devices: Sequence[Device], domain: Domain) -> dict[str, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Which devices do not list a metric, for the metrics where some do not."""
    masks = {m: np.array([m not in d.metrics for d in devices], bool) for m in columns(domain)}
    return {m: mask for m, mask in masks.items() if mask.any()}
