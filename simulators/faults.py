"""What sensors and networks do wrong between the zone and the broker.

A fault stands on devices for a time and turns each of their readings into none, one or two, each with its time, its
values and how late it arrives. Live publishing and backfill pass every reading through the same function. Faults are in
the world's time; draws hang on (seed, device, time) alone, so that they repeat.

- drop: a share `size` of the readings is lost
- freeze: the values of the first reading are repeated
- spike: a share `size` of the readings jumps to a far end of what its metric may be
- drift: values move off by `size` of the metric's display range an hour
- duplicate: each reading arrives twice
- reorder: a share `size` of the readings arrives after the one that follows it
- skew: the device's clock is `size` seconds fast
- outage: the gateway is gone; readings are kept and arrive when it is back (within half a minute). With `size` 1 the
  devices themselves are dark, and there is nothing to bring later
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from simulators.conditions import fraction
from twin.clock import HOUR, SECOND
from twin.observation import METRICS
from twin.registry import Device, Registry

BACKLOG = 30 * SECOND  # within which a gateway that is back has sent what it kept


class Kind(StrEnum):
    DROP = "drop"
    FREEZE = "freeze"
    SPIKE = "spike"
    DRIFT = "drift"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    SKEW = "skew"
    OUTAGE = "outage"


@dataclass(frozen=True)
class Fault:
    """On `devices` in [begin, end), UTC ms. For an outage `gateways` says which of them are then offline."""

    kind: Kind
    devices: frozenset[str]
    begin: int
    end: int
    size: float = 1.0
    gateways: frozenset[str] = frozenset()


class Reading(NamedTuple):
    """`at` UTC ms as the device says it; `late`: ms from its true time until it is sent."""

    at: int
    values: Mapping[str, float]
    late: int = 0


class Faults:
    """The faults of a zone. `pass_on` keeps what frozen sensors last said; everything else is a function of time."""

    def __init__(self, registry: Registry, seed: int, faults: Sequence[Fault] = ()) -> None:
        self.registry, self.seed = registry, seed
        self.all: list[Fault] = []
        self._on: dict[str, list[Fault]] = defaultdict(list)
        self._frozen: dict[tuple[str, int], Mapping[str, float]] = {}
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        self.all.append(fault)
        for device in fault.devices:
            self._on[device].append(fault)

    def remove(self, fault: Fault) -> None:
        """The fault is as if it had never been; what an outage kept back is not brought later."""
        self.all.remove(fault)
        for device in fault.devices:
            self._on[device].remove(fault)

    @property
    def devices(self) -> set[str]:
        """Those that any fault is ever on."""
        return {device for device, faults in self._on.items() if faults}

    def gone(self, at: int) -> frozenset[str]:
        """The gateways that are offline."""
        return frozenset(g for f in self.all if f.begin <= at < f.end for g in f.gateways)

    def pass_on(self, device: Device, at: int, values: Mapping[str, float]) -> list[Reading]:
        """What becomes of a reading that the device takes at `at`."""
        readings = [Reading(at, values)]
        for fault in self._on.get(device.id, ()):
            if fault.begin <= at < fault.end:
                draw = fraction(f"{self.seed}/{fault.kind}/{device.id}/{at}")
                readings = [out for r in readings for out in _DO[fault.kind](self, fault, device, r, draw)]
        return readings

    def _freeze(self, fault: Fault, device: Device, reading: Reading, _: float) -> list[Reading]:
        values = self._frozen.setdefault((device.id, fault.begin), reading.values)
        return [reading._replace(values=values)]


def _drop(_: Faults, fault: Fault, _d: Device, reading: Reading, draw: float) -> list[Reading]:
    return [] if draw < fault.size else [reading]


def _spike(_: Faults, fault: Fault, _d: Device, reading: Reading, draw: float) -> list[Reading]:
    if draw >= fault.size:
        return [reading]
    ends = {m: (METRICS[m].scale[1] if draw < fault.size / 2 else METRICS[m].scale[0]) for m in reading.values}
    return [reading._replace(values=ends)]


def _drift(_: Faults, fault: Fault, _d: Device, reading: Reading, _draw: float) -> list[Reading]:
    hours = (reading.at - fault.begin) / HOUR
    return [reading._replace(values={m: _moved(m, v, fault.size * hours) for m, v in reading.values.items()})]


def _moved(name: str, value: float, share: float) -> float:
    metric = METRICS[name]
    low, high = metric.scale
    return min(max(value + share * (high - low), metric.low), metric.high)


def _duplicate(_: Faults, _f: Fault, _d: Device, reading: Reading, draw: float) -> list[Reading]:
    return [reading, reading._replace(late=reading.late + round((0.2 + draw) * 2 * SECOND))]


def _reorder(_: Faults, fault: Fault, device: Device, reading: Reading, draw: float) -> list[Reading]:
    held = round(1.2 * device.period_s * SECOND) if draw < fault.size else 0
    return [reading._replace(late=reading.late + held)]


def _skew(_: Faults, fault: Fault, _d: Device, reading: Reading, _draw: float) -> list[Reading]:
    return [reading._replace(at=reading.at + round(fault.size * SECOND))]


def _outage(_: Faults, fault: Fault, _d: Device, reading: Reading, _draw: float) -> list[Reading]:
    if fault.size >= 1:
        return []
    # In the order in which they were taken
    share = (reading.at - fault.begin) / (fault.end - fault.begin)
    return [reading._replace(late=max(reading.late, fault.end - reading.at + round(share * BACKLOG)))]


_DO: Mapping[Kind, Callable[[Faults, Fault, Device, Reading, float], list[Reading]]] = {
    Kind.DROP: _drop,
    Kind.FREEZE: Faults._freeze,
    Kind.SPIKE: _spike,
    Kind.DRIFT: _drift,
    Kind.DUPLICATE: _duplicate,
    Kind.REORDER: _reorder,
    Kind.SKEW: _skew,
    Kind.OUTAGE: _outage,
}
