"""The road network as arrays: directed links, what each can hold and pass, and how traffic turns where they meet.

Inside a link every state lies under the triangular fundamental diagram, q = min(v k, saturation, w (jam - k)): free
speed v, backward wave w, jam density. Its end is a junction that lets `capacity` pass, the green share of saturation.
Up to capacity drivers slow by side friction and waits at lights within a few percent of the BPR function with exponent
2 to 3, but as a function of density: v = free / (1 + a u^1.5 / (1 + a)^1.5), u = k free / capacity, so that at
capacity v = free / (1 + a). With a = 0 the triangle itself is left.

Turning shares are data: 0.2 left, 0.6 straight on, 0.2 right, times the capacity of what is turned into, because major
roads draw. Nobody turns back but where a road ends. Of those on a link a share ends its trip there, by its length.

Sources: Daganzo (1994), the triangular diagram with usual urban parameters; BPR for signalised roads.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from simulators.conditions import Array, Ints, numbers, plane
from twin.registry import Device

WAVE = 20.0  # km/h, backward wave of the triangular diagram (18 to 22)
TURNS = {"left": 0.2, "straight": 0.6, "right": 0.2}
TRIP = 5.0  # km, mean length of a trip within the zone


class RoadClass(NamedTuple):
    """`jam` veh/km/lane; `green`: share of a cycle the end of a link has, so that saturation times it is capacity;
    `slowing`: `a` above; `level`: flow over capacity at the peak; `heavy`: percent of heavy vehicles."""

    jam: float
    green: float
    slowing: float
    level: float
    heavy: float


CLASSES: Mapping[str, RoadClass] = {
    "expressway": RoadClass(140, 1.0, 0.15, 0.62, 12),
    "arterial": RoadClass(140, 0.50, 0.80, 0.83, 5),
    "collector": RoadClass(145, 0.45, 0.85, 0.78, 4),
    "local": RoadClass(150, 0.40, 0.90, 0.62, 2),
}


@dataclass(frozen=True)
class Network:
    """n links. `length` km; `lanes`; `free` km/h; `capacity`, `saturation` veh/h, all lanes; `jam` veh/km, all lanes;
    `slowing` as above; `wave` km/h.

    `after` (k, n): the links each feeds, n where there is none; `turning` (k, n): the share of those at the end of a
    link that goes there. What a column lacks to 1 ends its trip.
    """

    length: Array
    lanes: Array
    free: Array
    capacity: Array
    saturation: Array
    jam: Array
    slowing: Array
    after: Ints
    turning: Array
    wave: float = WAVE

    def into(self, movements: Array) -> Array:
        """(n,) what flows into each link, summed over the movements (k, n)."""
        n = len(self.length)
        return np.asarray(np.bincount(self.after.ravel(), movements.ravel(), n + 1)[:n], np.float64)


def of_devices(devices: Sequence[Device]) -> Network:
    """The network its detectors stand on. Raises RegistryError naming the first that lacks an attribute."""
    kinds = np.array([road_class(d) for d in devices], np.float64).reshape(-1, len(RoadClass._fields))
    lanes, capacity, length = (numbers(devices, a) for a in ("lanes", "capacity", "length"))
    after, turning = _turns(devices, capacity)
    return Network(
        length=length / 1000,
        lanes=lanes,
        free=numbers(devices, "freeSpeed"),
        capacity=capacity,
        saturation=capacity / kinds[:, 1],
        jam=kinds[:, 0] * lanes,
        slowing=kinds[:, 2],
        after=after,
        turning=turning * np.exp(-length / 1000 / TRIP),
    )


def road_class(device: Device) -> RoadClass:
    return CLASSES.get(str(device.attributes.get("roadClass")), CLASSES["collector"])


def ends(devices: Sequence[Device]) -> tuple[Array, Array]:
    """Where each link begins and ends, (n, 2) metres each: its detector, half its length back and forth.

    Nodes have no coordinates in the registry; each is taken as the middle of the detectors around it, which gives the
    link its direction.
    """
    middle = plane(devices)
    around: dict[str, list[int]] = defaultdict(list)
    for i, d in enumerate(devices):
        for node in _nodes(d):
            around[node].append(i)
    place = {node: middle[near].mean(axis=0) for node, near in around.items()}
    start = np.array([place[_nodes(d)[0]] for d in devices]).reshape(-1, 2)
    end = np.array([place[_nodes(d)[1]] for d in devices]).reshape(-1, 2)
    run = end - start
    half = run / np.maximum(np.linalg.norm(run, axis=1, keepdims=True), 1e-9) * numbers(devices, "length")[:, None] / 2
    return middle - half, middle + half


def headings(devices: Sequence[Device]) -> Array:
    """(n, 2) the unit vector each link runs along, east and north; zero for one without direction."""
    start, end = ends(devices)
    run = end - start
    return np.asarray(run / np.maximum(np.linalg.norm(run, axis=1, keepdims=True), 1e-9), np.float64)


def _nodes(device: Device) -> tuple[str, str]:
    have = device.attributes
    return str(have.get("fromNode", device.id)), str(have.get("toNode", device.id))


def _turns(devices: Sequence[Device], capacity: Array) -> tuple[Ints, Array]:
    """`after` and turning shares, (k, n); columns sum to 1, or to 0 where a road ends."""
    n, heading = len(devices), headings(devices)
    leaving: dict[str, list[int]] = defaultdict(list)
    for i, d in enumerate(devices):
        leaving[_nodes(d)[0]].append(i)
    onward = [_onward(devices, i, leaving) for i in range(n)]
    k = max((len(on) for on in onward), default=0) or 1
    after, turning = np.full((k, n), n, np.int64), np.zeros((k, n))
    for i, on in enumerate(onward):
        weight = np.array([TURNS[_turn(devices[i], devices[j], heading[i], heading[j])] for j in on]) * capacity[on]
        after[: len(on), i] = on
        turning[: len(on), i] = weight / weight.sum() if on else ()
    return after, turning


def _onward(devices: Sequence[Device], i: int, leaving: Mapping[str, list[int]]) -> list[int]:
    start, end = _nodes(devices[i])
    return [j for j in leaving.get(end, ()) if j != i and _nodes(devices[j])[1] != start]


def _turn(here: Device, there: Device, heading: Array, onto: Array) -> str:
    if here.attributes.get("road") == there.attributes.get("road"):
        return "straight"
    return "left" if heading[0] * onto[1] - heading[1] * onto[0] > 0 else "right"
