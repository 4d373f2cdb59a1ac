"""What traffic the roads are asked to carry: by the hour, the day of the week, the tide, and a slow wander.

The pattern wanted, veh/h a link, is a class's level at the peak times the share of the day's course. The trips behind
it follow from the turning shares: where more is wanted on a link than turns into it, the rest begins there; where
less, some of those who would turn into it end their trip instead.

Sources: hourly shares of a Chinese arterial; peak hour 8 to 9 % of the day and a direction split of 55 to 60 % as
usual. Levels and day factors are assumptions.
"""

from collections.abc import Sequence

import numpy as np

from simulators.conditions import Array, Conditions, Ints, Wander, bump, ids, numbers, plane, spread, traits
from simulators.loading import DROP
from simulators.network import Network, ends, road_class
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

# Roads busier than their class, over what is usual for it: the new ring, 西环路, is near capacity in the morning
BUSY = {"road:ns:02": 1.30}

_EMPLOYERS = frozenset({"factory_shift", "factory", "office"})
_BOTTLENECKS = 0.10  # share of links that narrow where they end


class Demand:
    """`inbound`, -1 to 1 a link: how far it leads to where people work."""

    def __init__(self, registry: Registry, devices: Sequence[Device], seed: int) -> None:
        roads = [str(d.attributes.get("road", d.id)) for d in devices]
        names = list(dict.fromkeys(roads))
        self._road: Ints = np.array([names.index(r) for r in roads], np.int64)
        usual = np.exp(0.10 * spread(seed, "level of road", names))
        by_road = np.array([BUSY.get(name, u) for name, u in zip(names, usual, strict=True)], np.float64)[self._road]
        level = np.array([road_class(d).level for d in devices], np.float64)
        own = by_road * np.exp(0.07 * spread(seed, "level", ids(devices)))
        self._peak = numbers(devices, "capacity") * level * own
        self.inbound = _inbound(registry, devices)
        self._hourly = np.array([*WEEKDAY, WEEKDAY[0]]) / PEAK, np.array([*WEEKEND, WEEKEND[0]]) / PEAK
        self._link_noise = Wander(len(devices), 25)
        self._road_noise = Wander(len(names), 80)

    def wanted(self, now: Conditions, rng: np.random.Generator) -> Array:
        """veh/h a link at this minute."""
        noise = np.exp(0.055 * self._link_noise.step(rng) + 0.06 * self._road_noise.step(rng)[self._road] - 0.0033)
        return np.asarray(self._peak * noise * now.demand * self._profile(now), np.float64)

    def _profile(self, now: Conditions) -> Array:
        """Demand over peak demand, a link: the day's course, and the morning's direction given back in the evening."""
        # Who drives home after midnight belongs to the evening before: the days meet over the small hours
        new = min(now.hour / 6, 1.0)
        here = new * self._share_of_peak(now.hour, now.weekday)
        here += (1 - new) * self._share_of_peak(now.hour, (now.weekday - 1) % 7)
        tide = 0.0 if now.weekend else bump(now.hour, 8.0, 1.3) - bump(now.hour, 17.9, 1.5)
        return here * (1 + 0.18 * tide * self.inbound)

    def _share_of_peak(self, hour: float, weekday: int) -> float:
        # A share belongs to the middle of its hour
        return float(np.interp((hour - 0.5) % 24, np.arange(25), self._hourly[int(weekday >= 5)])) * DAY_FACTOR[weekday]


def trips(wanted: Array, network: Network) -> tuple[Array, Array]:
    """veh/h that begin on each link, and the shares (k, n) of those at a link's end who go on to the next.

    At the edge of the zone no more comes in than a queue on the same road outside would discharge.
    """
    inflow = network.into(network.turning * wanted)
    taken = np.ones(len(wanted) + 1)
    taken[:-1] = np.minimum(wanted / np.maximum(inflow, 1e-9), 1.0)
    most = np.where(inflow > 0, np.inf, DROP * network.capacity)
    return np.clip(wanted - inflow, 0.0, most), network.turning * taken[network.after]


def throats(devices: Sequence[Device], seed: int, inbound: Array) -> Array:
    """Share of its capacity a link can discharge; below 1 at the few that end in a bad junction."""
    roads = np.array([d.attributes.get("roadClass") in ("arterial", "collector") for d in devices], bool)
    new = np.array([d.attributes.get("road") in BUSY for d in devices], bool)
    # The tidal links are those where narrow junctions are felt
    chance = _BOTTLENECKS * (0.5 + np.abs(inbound))
    narrow = roads & ~new & (traits(seed, "bottleneck", ids(devices)) < chance)
    return np.where(narrow, 0.70 + 0.12 * traits(seed, "throat", ids(devices)), 1.0)


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
