"""Traffic: what must hold whatever the day, and what a duty officer would expect to see."""

import numpy as np

from simulators import traffic
from simulators.conditions import Conditions
from simulators.world import World
from tests.simulators.conftest import Fortnight
from tests.simulators.zone import zone
from twin import standards
from twin.clock import MINUTE, parse
from twin.observation import Domain
from twin.registry import Device


def links(fortnight: Fortnight) -> tuple[Device, ...]:
    return fortnight.registry.of(Domain.TRAFFIC)


def test_every_link_stays_under_its_fundamental_diagram(fortnight: Fortnight) -> None:
    free = np.array([d.number("freeSpeed") for d in links(fortnight)])
    lanes = np.array([d.number("lanes") for d in links(fortnight)])
    jam = np.array([traffic.CLASSES[str(d.attributes["roadClass"])].jam for d in links(fortnight)])
    flow = fortnight.of("link-detector", "intensity") / lanes
    k = fortnight.density
    # Counting noise is 4 %; five of its deviations
    assert (flow <= 1.2 * np.minimum(free * k, traffic.WAVE * (jam - k)) + 1e-6).all()
    assert (k <= jam).all()


def test_flow_is_density_times_speed(fortnight: Fortnight) -> None:
    lanes = np.array([d.number("lanes") for d in links(fortnight)])
    flow = fortnight.of("link-detector", "intensity")
    speed = fortnight.of("link-detector", "averageVehicleSpeed")
    told = fortnight.density * lanes * speed
    busy = flow > 50
    assert np.median(np.abs(told[busy] / flow[busy] - 1)) < 0.05


def test_nobody_drives_much_faster_than_free(fortnight: Fortnight) -> None:
    free = np.array([d.number("freeSpeed") for d in links(fortnight)])
    assert (fortnight.of("link-detector", "averageVehicleSpeed") <= 1.1 * free).all()


def zone_tpi(fortnight: Fortnight) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    free = [d.number("freeSpeed") for d in links(fortnight)]
    speed = fortnight.of("link-detector", "averageVehicleSpeed")
    return np.array([np.mean([standards.tpi(v, f) for v, f in zip(row, free, strict=True)]) for row in speed])


def test_rush_hours_are_slow_nights_are_free_and_weekends_between(fortnight: Fortnight) -> None:
    tpi = zone_tpi(fortnight)
    morning = tpi[fortnight.during(7.5, 8.75)].mean()
    evening = tpi[fortnight.during(17.25, 18.5)].mean()
    assert min(morning, evening) > 1.8
    assert max(morning, evening) < 5
    assert tpi[fortnight.during(1, 5)].mean() < 0.4
    midday = tpi[fortnight.during(11, 15)].mean()
    assert tpi[fortnight.during(1, 5)].mean() < midday < min(morning, evening)
    assert tpi[fortnight.during(7.5, 8.75, weekend=True)].mean() < 0.7 * morning


def test_the_tide_turns(fortnight: Fortnight) -> None:
    """The links that are fuller in the morning than their opposite are emptier in the evening."""
    devices = links(fortnight)
    pair = {(d.attributes["fromNode"], d.attributes["toNode"]): i for i, d in enumerate(devices)}
    back = [pair[d.attributes["toNode"], d.attributes["fromNode"]] for d in devices]
    flow = fortnight.of("link-detector", "intensity")
    lead = [np.log(f / f[back]) for f in (flow[fortnight.during(a, a + 1)].mean(axis=0) for a in (7.5, 17.5))]
    assert np.corrcoef(lead[0], lead[1])[0, 1] < -0.5


def test_a_queue_holds_back_the_links_that_feed_it() -> None:
    registry = zone(6, 2)
    devices = registry.of(Domain.TRAFFIC)
    east = [i for i, d in enumerate(devices) if d.attributes["road"] == "road:ew:0" and i % 2 == 0]

    class Blocked:
        faults = ()

        def apply(self, now: Conditions) -> None:
            now.capacity[east[3]] = 0.25

    at = parse("2026-11-20T07:00:00")
    free, blocked = (World(registry, seed=5, start=at, scenarios=s) for s in ([], [Blocked()]))
    for world in (free, blocked):
        world.advance(at + 100 * MINUTE)
    ratio = (
        blocked.read(Domain.TRAFFIC).values["averageVehicleSpeed"]
        / free.read(Domain.TRAFFIC).values["averageVehicleSpeed"]
    )
    assert ratio[east[3]] < 0.3
    assert ratio[east[2]] < 0.8, "the link before it"
    assert ratio[east[4]] > 0.95, "the link after it"
