"""The same merge, bottleneck and incident by the zone's network loading and by UXsim, an independent simulator.

Two roads of 4 km meet in one of 2 km. For 40 minutes 1,400 and 1,000 veh/h come, more than the 2,100 that the road
after the merge carries; from minute 20 to 40 an accident at its end lets 1,000 veh/h pass, and the queue goes back
through the merge. Then 500 and 300 veh/h come until minute 90, and all drains.

UXsim (Seo 2025) moves platoons of vehicles by Newell's car following, this loading the densities of cells; the
fundamental diagram is the same. Capacity drop and drivers who turn off have no counterpart there and are left out here.
"""

from typing import NamedTuple

import numpy as np
from uxsim import World

from simulators.conditions import Array
from simulators.loading import Loading
from simulators.network import Network

FREE, WAVE, JAM = 60.0, 20.0, 140.0  # km/h, km/h, veh/km
SATURATION = FREE * WAVE * JAM / (FREE + WAVE)  # veh/h
LENGTHS = (4.0, 4.0, 2.0, 1.0)  # km: the two roads, the one they meet in, and the way out
DEMAND = ((0, 40, (1400.0, 1000.0)), (40, 90, (500.0, 300.0)))  # minutes, veh/h
ACCIDENT = (20, 40, 1000.0)  # minutes, veh/h
MINUTES = 120
_ROADS = (("a", "merge"), ("b", "merge"), ("merge", "site"), ("site", "end"))


class Course(NamedTuple):
    """By the minute, from minute 1 on. `queue` (minutes, 4): vehicles queued on each road; `inside`: vehicles anywhere
    in the system, those who wait to enter it too."""

    queue: Array
    inside: Array

    @property
    def travel_time(self) -> float:
        """Vehicle hours in all."""
        return float(self.inside.sum() / 60)


def network() -> Network:
    ones = np.ones(len(LENGTHS))
    return Network(
        length=np.array(LENGTHS),
        lanes=ones,
        free=FREE * ones,
        capacity=SATURATION * ones,
        saturation=SATURATION * ones,
        jam=JAM * ones,
        slowing=0 * ones,
        after=np.array([[2, 2, 3, 4]]),
        turning=np.array([[1.0, 1.0, 1.0, 0.0]]),
        wave=WAVE,
    )


def ours() -> Course:
    roads = network()
    loading = Loading(roads, drop=1.0, patience=0.0)
    queue, inside = [], []
    for minute in range(MINUTES):
        begin, limit = np.zeros(4), np.ones(4)
        for start, stop, (a, b) in DEMAND:
            if start <= minute < stop:
                begin[:2] = a, b
        if ACCIDENT[0] <= minute < ACCIDENT[1]:
            limit[2] = ACCIDENT[2] / SATURATION
        loading.advance(begin, roads.turning, limit=limit)
        queue.append(loading.queue)
        inside.append(loading.entered - loading.left)
    return Course(np.array(queue), np.array(inside))


def theirs() -> Course:
    per_metre = JAM / 1000
    world = World(
        name="merge",
        deltan=5,
        reaction_time=3600 / (WAVE * JAM),
        tmax=MINUTES * 60,
        print_mode=0,
        save_mode=0,
        show_mode=0,
        random_seed=1,
    )
    places = {"a": (0, 0), "b": (0, 2), "merge": (1, 1), "site": (2, 1), "end": (3, 1)}
    for name, (x, y) in places.items():
        world.addNode(name, x, y)
    links = [
        world.addLink(
            f"{a}-{b}",
            a,
            b,
            length=1000 * km,
            free_flow_speed=FREE / 3.6,
            jam_density=per_metre,
            capacity_out=SATURATION / 3600,
        )
        for (a, b), km in zip(_ROADS, LENGTHS, strict=True)
    ]
    for start, stop, flows in DEMAND:
        for origin, flow in zip("ab", flows, strict=True):
            world.adddemand(origin, "end", start * 60, stop * 60, flow / 3600)
    queue, inside = [], []
    for minute in range(MINUTES):
        blocked = ACCIDENT[0] <= minute < ACCIDENT[1]
        links[2].capacity_out = (ACCIDENT[2] if blocked else SATURATION) / 3600
        world.exec_simulation(until_t=(minute + 1) * 60)
        arrived = links[3].cum_departure[-1]
        queue.append([sum(v.v < 0.98 * link.u for v in link.vehicles) * world.DELTAN for link in links])
        inside.append(_asked(minute + 1) - arrived)
    return Course(np.array(queue, np.float64), np.array(inside, np.float64))


def _asked(minute: float) -> float:
    """Vehicles that have wanted to start by then."""
    return sum(sum(flows) * (min(minute, stop) - start) / 60 for start, stop, flows in DEMAND if minute > start)
