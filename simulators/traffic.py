"""Road traffic: demand by the clock, a queue at the end of each link, and the fundamental diagram between them.

A link is a free part and a queue. Vehicles arrive by the daily profile of their direction, drive at the BPR speed, and
leave at most at the link's capacity; what cannot leave stands in the queue, at the density which the congested branch
of the triangular diagram gives for that outflow. So every (density, flow) point of a link is a mean of two points of
the diagram and lies under it. A queue that fills its link holds back the links that feed it, and congestion clusters;
the longer the queue, the more drivers turn off before it.

First form: links do not hand vehicles on to one another (demand is imposed a link), only queues act upstream. Cell or
link transmission replaces `step` with the same inputs and outputs.

Sources: triangular diagram and BPR with usual parameters for urban roads; rain factors HCM 2010 ex. 10-15 (capacity)
and the FHWA road-weather synthesis (speed); hourly shares of a Chinese arterial. Levels of demand are assumptions.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from simulators.conditions import STEP, Array, Conditions, Ints, Wander, bump, ids, numbers, plane, spread, traits
from twin.clock import HOUR
from twin.registry import Device, Registry

# Share of a weekday's traffic by local hour (sums to 1)
WEEKDAY = (
    *(0.00803, 0.00502, 0.00402, 0.00402, 0.00602, 0.01506, 0.03514, 0.0753, 0.08233, 0.06024, 0.05221, 0.05221),
    *(0.0502, 0.0492, 0.05221, 0.05622, 0.06325, 0.07831, 0.07631, 0.05522, 0.04217, 0.03414, 0.0261, 0.01707),
)
# One broad peak: 0.6 of it flat over 9 to 21 h (with soft shoulders), 0.4 as on a weekday
_FLAT = (*(0.0,) * 7, 0.1, 0.4, 0.8, *(1.0,) * 9, 0.9, 0.75, 0.5, 0.3, 0.15)
WEEKEND = tuple(0.4 * w + 0.6 * f / sum(_FLAT) for w, f in zip(WEEKDAY, _FLAT, strict=True))
DAY_FACTOR = (0.98, 0.99, 1.0, 1.0, 1.06, 0.86, 0.80)  # Monday to Sunday
PEAK = max(WEEKDAY)

WAVE = 20.0  # km/h, backward wave of the triangular diagram (18 to 22)
VEHICLE = 6.5  # m, vehicle and detector: density times this is occupancy


class RoadClass(NamedTuple):
    """`jam` veh/km/lane; BPR `a`, `b`; `level`: flow over capacity at the peak; `heavy`: percent of heavy vehicles."""

    jam: float
    a: float
    b: float
    level: float
    heavy: float


CLASSES: Mapping[str, RoadClass] = {
    "expressway": RoadClass(140, 0.15, 4.0, 0.62, 12),
    "arterial": RoadClass(140, 0.80, 2.2, 0.86, 5),
    "collector": RoadClass(145, 0.85, 2.2, 0.78, 4),
    "local": RoadClass(150, 0.90, 2.0, 0.62, 2),
}

# mm/h → factor on capacity, on speed
_RAIN = (0.0, 0.3, 2.5, 6.4, 20.0)
_RAIN_CAPACITY = (1.0, 0.98, 0.95, 0.90, 0.86)
_RAIN_SPEED = (1.0, 0.965, 0.95, 0.90, 0.84)

_EMPLOYERS = frozenset({"factory_shift", "factory", "office"})
_BOTTLENECKS = 0.12  # share of links that narrow where they end
_FED = 3  # downstream links a link is held back by, at most


class Traffic:
    """Per link, in registry order: `flow` veh/h, `speed` km/h (mean over it), `density` veh/km/lane, `queue` veh."""

    def __init__(self, registry: Registry, devices: Sequence[Device], seed: int) -> None:
        self.length = numbers(devices, "length") / 1000
        self.lanes = numbers(devices, "lanes")
        self.free = numbers(devices, "freeSpeed")
        self.capacity = numbers(devices, "capacity")
        classes = [CLASSES.get(str(d.attributes.get("roadClass")), CLASSES["collector"]) for d in devices]
        table = np.array(classes, np.float64).reshape(-1, len(RoadClass._fields))
        self.jam, self._a, self._b, level, self.heavy = table.T
        roads = [str(d.attributes.get("road", d.id)) for d in devices]
        names = list(dict.fromkeys(roads))
        self._road: Ints = np.array([names.index(r) for r in roads], np.int64)
        by_road = spread(seed, "level of road", names)[self._road]
        self._level = level * np.exp(0.10 * by_road + 0.07 * spread(seed, "level", ids(devices)))
        self._inbound = _inbound(registry, devices)
        self._throat = _throats(devices, seed, self._inbound)
        self._detour = 0.6 + 1.2 * traits(seed, "detour", ids(devices))
        self._next, self._share = _downstream(devices)
        self._hourly = self._profiles()
        self._link_noise = Wander(len(devices), 25)
        self._road_noise = Wander(len(names), 80)
        n = len(devices)
        self.queue, self.flow, self.density = np.zeros(n), np.zeros(n), np.zeros(n)
        self.speed = self.free.copy()

    def step(self, now: Conditions, rng: np.random.Generator) -> None:
        noise = np.exp(0.055 * self._link_noise.step(rng) + 0.06 * self._road_noise.step(rng)[self._road] - 0.0033)
        demand = self._level * self.capacity * noise * now.demand * self._profile(now) + now.searching
        rain = now.weather.rain
        # Nobody sees what a link could carry; a queue that reaches the node behind takes from those who would enter
        fill = self.queue / self._storage
        blocked = np.append(np.clip((fill - 0.25) / 0.5, 0, 1), 0.0)
        held = 1 - 0.55 * (self._share * blocked[self._next]).sum(axis=1)
        outflow = self.capacity * self._throat * now.capacity * held * float(np.interp(rain, _RAIN, _RAIN_CAPACITY))
        outflow = np.maximum(outflow, 1.0)
        self._advance(demand * np.maximum(1 - self._detour * fill, 0.1), outflow, STEP / HOUR)
        self._observe(outflow, float(np.interp(rain, _RAIN, _RAIN_SPEED)))
        now.flow, now.speed = self.flow, self.speed

    def read(self, now: Conditions, rng: np.random.Generator) -> dict[str, Array]:
        """What the detectors say: counting noise of a smoothed minute, 2 % on speed."""
        n = len(self.flow)
        counted = self.flow * (1 + 0.04 * rng.standard_normal(n))
        return {
            "intensity": np.maximum(counted, 0.0),
            "averageVehicleSpeed": np.clip(self.speed * (1 + 0.02 * rng.standard_normal(n)), 0.5, 1.1 * self.free),
            "occupancy": np.minimum(self.density * VEHICLE / 1000, 1.0),
        }

    @property
    def _storage(self) -> Array:
        """Vehicles that stand on a link when its queue fills it, at three quarters of jam density."""
        return 0.75 * self.jam * self.lanes * self.length

    def _advance(self, demand: Array, outflow: Array, hours: float) -> None:
        waiting = self.queue / hours
        self.flow = np.minimum(demand + waiting, outflow)
        self.queue = np.minimum((demand + waiting - self.flow) * hours, self._storage)

    def _observe(self, outflow: Array, rain_speed: float) -> None:
        """Density and mean speed of the two parts, weighted by their lengths."""
        load = self.flow / self.capacity
        free_speed = self.free * rain_speed / (1 + self._a * load**self._b)
        lane_flow = self.flow / self.lanes
        queued = np.maximum(self.jam - outflow / self.lanes / WAVE, 0.3 * self.jam)
        share = np.minimum(self.queue / (queued * self.lanes * self.length), 1.0)
        self.density = share * queued + (1 - share) * lane_flow / free_speed
        self.speed = np.where(self.density > 1e-9, lane_flow / np.maximum(self.density, 1e-9), free_speed)

    def _profiles(self) -> tuple[Array, Array]:
        return np.array([*WEEKDAY, WEEKDAY[0]]) / PEAK, np.array([*WEEKEND, WEEKEND[0]]) / PEAK

    def _profile(self, now: Conditions) -> Array:
        """Demand over peak demand, a link: the day's course, and the morning's direction given back in the evening."""
        # Who drives home after midnight belongs to the evening before: the days meet over the small hours
        new = min(now.hour / 6, 1.0)
        here = new * self._share_of_peak(now.hour, now.weekday)
        here += (1 - new) * self._share_of_peak(now.hour, (now.weekday - 1) % 7)
        tide = 0.0 if now.weekend else bump(now.hour, 8.0, 1.3) - bump(now.hour, 17.9, 1.5)
        return here * (1 + 0.18 * tide * self._inbound)

    def _share_of_peak(self, hour: float, weekday: int) -> float:
        # A share belongs to the middle of its hour
        return float(np.interp((hour - 0.5) % 24, np.arange(25), self._hourly[int(weekday >= 5)])) * DAY_FACTOR[weekday]


def _inbound(registry: Registry, devices: Sequence[Device]) -> Array:
    """-1 to 1: how far a link leads towards where people work, seen from the car parks of plants and offices.

    0.18 of it at the peak makes the direction split of 55 to 60 % that is usual.
    """
    if not devices:
        return np.zeros(0)
    works = [d for d in registry if d.kind == "car-park" and d.attributes.get("use") in _EMPLOYERS]
    start, end = ends(devices)
    if not works:
        return np.where((end - start)[:, 0] > 0, 1.0, -1.0)
    weight = numbers(works, "capacity")

    def pull(points: Array) -> Array:
        away = np.linalg.norm(points[:, None, :] - plane(works)[None, :, :], axis=2)
        return np.asarray(np.log((weight * np.exp(-away / 2_500)).sum(axis=1) + 1e-9), np.float64)

    run = np.maximum(np.linalg.norm(end - start, axis=1), 1.0)
    return np.asarray(np.clip(2_500 * (pull(end) - pull(start)) / run * 1.5, -1, 1), np.float64)


def ends(devices: Sequence[Device]) -> tuple[Array, Array]:
    """Where each link begins and ends, (n, 2) metres each: its detector, half its length back and forth.

    Nodes have no coordinates in the registry; each is taken as the middle of the detectors around it, which gives the
    link its direction.
    """
    middle = plane(devices)
    around: dict[str, list[int]] = defaultdict(list)
    for i, d in enumerate(devices):
        for node in ("fromNode", "toNode"):
            around[str(d.attributes.get(node, d.id))].append(i)
    place = {node: middle[near].mean(axis=0) for node, near in around.items()}
    start = np.array([place[str(d.attributes.get("fromNode", d.id))] for d in devices]).reshape(-1, 2)
    end = np.array([place[str(d.attributes.get("toNode", d.id))] for d in devices]).reshape(-1, 2)
    run = end - start
    half = run / np.maximum(np.linalg.norm(run, axis=1, keepdims=True), 1e-9) * numbers(devices, "length")[:, None] / 2
    return middle - half, middle + half


def _throats(devices: Sequence[Device], seed: int, inbound: Array) -> Array:
    """Share of its capacity a link can discharge; below 1 at the few that end in a bad junction."""
    roads = np.array([str(d.attributes.get("roadClass")) in ("arterial", "collector") for d in devices], bool)
    # The tidal links are those where narrow junctions are felt
    chance = _BOTTLENECKS * (0.5 + np.abs(inbound))
    narrow = roads & (traits(seed, "bottleneck", ids(devices)) < chance)
    return np.where(narrow, 0.70 + 0.12 * traits(seed, "throat", ids(devices)), 1.0)


def _downstream(devices: Sequence[Device]) -> tuple[Ints, Array]:
    """For each link the links it feeds (padded with n) and the share of its traffic each takes: 0.6 straight on."""
    n = len(devices)
    leaving: dict[str, list[int]] = defaultdict(list)
    for i, d in enumerate(devices):
        leaving[str(d.attributes.get("fromNode"))].append(i)
    after, share = np.full((n, _FED), n, np.int64), np.zeros((n, _FED))
    for i, d in enumerate(devices):
        back = d.attributes.get("fromNode")
        on = [j for j in leaving[str(d.attributes.get("toNode"))] if devices[j].attributes.get("toNode") != back]
        on.sort(key=lambda j: devices[j].attributes.get("road") != d.attributes.get("road"))
        straight = sum(devices[j].attributes.get("road") == d.attributes.get("road") for j in on)
        for slot, j in enumerate(on[:_FED]):
            after[i, slot] = j
            same = slot < straight
            share[i, slot] = 0.6 / straight if same else (0.4 if straight else 1.0) / max(len(on) - straight, 1)
    return after, share
