"""Named incidents laid over the ordinary day: a scenario changes the conditions of a step before the domains read them.

A scenario keeps no state of its own, so that it can be entered at any time and repeated: what it does at an instant
follows from the minutes since its start. What is told of it is data (scenarios.toml), what it does a small function
(effects.py); either is of no use without the other, and a test holds them together.
"""

import tomllib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from simulators.conditions import Array, Conditions, plane
from simulators.faults import Fault
from twin.clock import MINUTE, parse
from twin.errors import OurError, RegistryError
from twin.observation import Domain
from twin.registry import Device, Registry
from twin.standards import Level
from twin.truth import Run, Truth


class ScenarioError(OurError):
    """No such scenario, or a time it cannot begin at."""


class Story(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a scenario is, for people. `start` local hh:mm, `season` month-day; `minutes` it lasts, `after` until the
    zone has recovered; `place` an id of a road, landmark, district or river; `needs` kinds of device."""

    name: str
    story: str
    start: str
    season: str
    minutes: float
    after: float
    level: Level
    place: str
    needs: tuple[str, ...]


class Fact(NamedTuple):
    """Ground truth: `what` went wrong, for `devices` to see, from `begin` to `end`, minutes since the start."""

    what: str
    devices: Sequence[str]
    begin: float
    end: float
    level: Level


@dataclass(frozen=True)
class Plot:
    """What a scenario does in one zone from one start: `effect` is told the conditions and the minutes since the
    start, at every step from `before` minutes before it until the zone has recovered."""

    effect: Callable[[Conditions, float], None]
    facts: Sequence[Fact]
    faults: Sequence[Fault] = ()
    before: float = 0.0


class Places:
    """Where things are in a registry, for those who write scenarios. Masks and indices are in the domain's order."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.links = registry.of(Domain.TRAFFIC)
        self.lots = registry.of(Domain.PARKING)
        self.chillers = [d for d in registry.of(Domain.COMPUTE) if d.kind == "chiller"]

    def road(self, road: str, heading: str = "") -> list[int]:
        """Positions of the links of a road in registry order; `heading`: how their ids end (n, s, e, w)."""
        return [i for i, d in enumerate(self.links) if d.attributes.get("road") == road and d.id.endswith(heading)]

    def lot(self, poi: str) -> int:
        """The car park of a landmark; raises RegistryError when there is none."""
        for i, d in enumerate(self.lots):
            if d.attributes.get("poi") == poi:
                return i
        raise RegistryError(f"no car park has the attribute poi = {poi!r}, which the scenario needs")

    def middle(self, road: str, heading: str = "") -> int:
        """The link in the middle of a road; raises RegistryError when the road has none."""
        links = self.road(road, heading)
        if not links:
            raise RegistryError(f"no link-detector has the attribute road = {road!r}, which the scenario needs")
        return links[len(links) // 2]

    def under(self, underpass: Device) -> list[int]:
        """Positions of the links, there and back, that an underpass can close."""
        stem = str(underpass.attributes.get("link", "")).rstrip("nsew")
        return [
            i for i, d in enumerate(self.links) if stem and str(d.attributes.get("link", "")).rstrip("nsew") == stem
        ]

    def into_junctions(self, point: Array, most: int) -> list[int]:
        """Positions of the links that lead into the `most` junctions nearest to a point."""
        nodes: dict[str, list[int]] = defaultdict(list)
        for i, d in enumerate(self.links):
            nodes[str(d.attributes.get("toNode", ""))].append(i)
        where = plane(self.links)
        away = {node: float(np.linalg.norm(where[i].mean(axis=0) - point)) for node, i in nodes.items() if len(i) > 2}
        return [i for node in sorted(away, key=lambda n: away[n])[:most] for i in nodes[node]]

    def near(
        self, what: Sequence[Device], point: Array, most: int = 1 << 30, within: float = float("inf")
    ) -> list[int]:
        """Positions in `what` of those nearest to a point (m east, north), the nearest first."""
        away = np.linalg.norm(plane(what) - point, axis=1) if what else np.zeros(0)
        order = np.argsort(away, kind="stable")[:most]
        return [int(i) for i in order if away[i] <= within]

    def of(self, *kinds: str, district: str = "") -> list[Device]:
        return [d for d in self.registry if d.kind in kinds and district in ("", d.district)]

    @staticmethod
    def mask(size: int, positions: Sequence[int]) -> npt.NDArray[np.bool_]:
        found = np.zeros(size, bool)
        found[list(positions)] = True
        return found


def _both_ways(device: Device) -> str:
    """The id of the device's link without its direction."""
    return str(device.attributes.get("link", "")).rstrip("nsew")


@cache
def stories() -> Mapping[str, Story]:
    """All scenarios by id."""
    text = (files("simulators") / "scenarios.toml").read_text(encoding="utf-8")
    found = tomllib.loads(text)
    for story in found.values():
        story["level"] = Level[story["level"].upper()]
    return msgspec.convert(found, dict[str, Story])


def told(id: str) -> Story:
    """The story of a scenario. Raises ScenarioError for an unknown id."""
    if id not in stories():
        raise ScenarioError(f"there is no scenario {id!r}. Known: {', '.join(stories())}")
    return stories()[id]


class Scenario:
    """A story laid over a zone from `start`, UTC ms."""

    def __init__(self, id: str, places: Places, start: int) -> None:
        """Raises ScenarioError for an unknown id, RegistryError when the zone has not what it needs."""
        from simulators import effects

        self.id, self.story, self.start = id, told(id), start
        kinds = {d.kind for d in places.registry}
        missing = [k for k in self.story.needs if k not in kinds]
        if missing:
            raise RegistryError(f"scenario {id} needs what the registry has not: {', '.join(missing)}")
        self.plot: Plot = getattr(effects, id.lower())(places, start)
        self.end = start + round(self.story.minutes * MINUTE)
        self.over = self.end + round(self.story.after * MINUTE)

    def apply(self, now: Conditions) -> None:
        if self.start - self.plot.before * MINUTE <= now.at < self.over:
            self.plot.effect(now, (now.at - self.start) / MINUTE)

    @property
    def faults(self) -> Sequence[Fault]:
        return self.plot.faults

    def run(self, *, asked: int | None = None, began: int | None = None, speed: float = 1.0) -> Run:
        """The run with its facts, in a time in which the start is at `began` (default: its own) and everything goes
        `speed` times as fast. `asked` tells it from another run of the same scenario at the same start."""
        zero = self.start if began is None else began
        id = f"{self.id}-{zero if asked is None else asked:x}"

        def at(minutes: float) -> int:
            return zero + round(minutes * MINUTE / speed)

        facts = tuple(
            Truth(id, self.id, f.what, tuple(f.devices), at(f.begin), at(f.end), f.level) for f in self.plot.facts
        )
        return Run(id, self.id, zero, at(self.story.minutes), facts)


def scheduled(text: str, places: Places) -> Scenario:
    """The scenario of `S03@2026-11-20T15:20` (local time). Raises ScenarioError, RegistryError."""
    id, _, when = text.partition("@")
    try:
        return Scenario(id, places, parse(when))
    except ValueError as error:
        raise ScenarioError(f"{text!r}: {error}. A scenario and its start are written S03@2026-11-20T15:20") from None
