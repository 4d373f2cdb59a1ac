"""A scenario played into the true zone on its usual day, minute by minute, beside the same day without it.

Of a scenario of days the day without it is followed for the first thirty hours only.
"""

from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from simulators.backfill import chunks
from simulators.conditions import Array
from simulators.scenarios import Fact, Places, Scenario, stories
from simulators.world import World
from twin.clock import MINUTE, parse
from twin.observation import KINDS, Domain, Observation
from twin.registry import read

REGISTRY = read(Path(__file__).parents[2] / "layers" / "data" / "devices.json")
PLACES = Places(REGISTRY)
SEED = 20261120
LEAD = 60  # minutes shown before the start
AFTER = 180  # and at most after the end
PLAIN = 30 * 60


@dataclass(frozen=True)
class Day:
    """`minute` since the start; `values[domain][metric]` (minutes, devices)."""

    minute: npt.NDArray[np.int64]
    values: dict[Domain, dict[str, Array]]

    def of(self, device: str, metric: str) -> Array:
        domain = REGISTRY[device].domain
        column = [d.id for d in REGISTRY.of(domain)].index(device)
        return self.values[domain][metric][:, column]

    def these(self, devices: list[str], metric: str) -> Array:
        """(minutes, devices) of one domain."""
        return np.stack([self.of(d, metric) for d in devices], axis=1)

    def kind(self, kind: str, metric: str) -> Array:
        """(minutes, devices of the kind)."""
        domain = KINDS[kind].domain
        mask = [d.kind == kind for d in REGISTRY.of(domain)]
        return self.values[domain][metric][:, mask]


@dataclass(frozen=True)
class Played:
    """`scene`: the day with the scenario; `plain`: the same day without it. `at(minute)` is a row of both."""

    scenario: Scenario
    scene: Day
    plain: Day

    def at(self, minute: float) -> int:
        return int(np.searchsorted(self.scene.minute, minute))

    @property
    def facts(self) -> list[Fact]:
        return list(self.scenario.plot.facts)


@cache
def scenario_of(id: str) -> Scenario:
    story = stories()[id]
    return Scenario(id, PLACES, parse(f"2026-{story.season}T{story.start}:00"))


@cache
def play(id: str) -> Played:
    scenario = scenario_of(id)
    story, start = scenario.story, scenario.start
    begin = start - round(max(LEAD, scenario.plot.before)) * MINUTE
    plain = World(REGISTRY, seed=SEED, start=begin)
    scene = deepcopy(plain)
    scene.add(scenario)
    end = round(story.minutes + min(story.after, AFTER))
    return Played(scenario, _record(scene, scenario, end), _record(plain, scenario, min(end, PLAIN)))


def _record(world: World, scenario: Scenario, minutes: int) -> Day:
    # Long scenarios every five minutes
    step = 1 if scenario.story.minutes <= 900 else 5
    times = range(scenario.start - LEAD * MINUTE, scenario.start + minutes * MINUTE + 1, step * MINUTE)
    found: dict[Domain, dict[str, list[Array]]] = {d: {} for d in Domain}
    for at in times:
        world.advance(at)
        for domain in Domain:
            for metric, values in world.read(domain).values.items():
                found[domain].setdefault(metric, []).append(values.astype(np.float32))
    since = (np.array(times) - scenario.start) // MINUTE
    return Day(since, {d: {m: np.array(rows) for m, rows in metrics.items()} for d, metrics in found.items()})


@cache
def arrivals(id: str) -> tuple[Observation, ...]:
    """The observations of the scenario and the hour before it as ingest would have had them, by time of arrival."""
    scenario = play(id).scenario
    span = {"start": scenario.start - 2 * LEAD * MINUTE, "end": scenario.over}
    found = [
        Observation(
            row["device"],
            row["at"],
            {m: v for m, v in row.items() if m not in ("device", "at", "received") and v is not None},
            row["received"],
        )
        for _, tables in chunks(REGISTRY, seed=SEED, **span, scenarios=[scenario])
        for table in tables.values()
        for row in table.to_pylist()
    ]
    return tuple(sorted(found, key=lambda o: o.received))
