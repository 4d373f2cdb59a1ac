"""Traffic: what must hold whatever the day, and what a duty officer would expect to see."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from simulators import traffic
from simulators.conditions import Array, Conditions
from simulators.scenarios import Places, Scenario
from simulators.traffic import Traffic
from simulators.world import World
from tests.simulators.conftest import Fortnight
from tests.simulators.laid import Laid
from tests.simulators.zone import zone
from twin import standards
from twin.clock import MINUTE, parse
from twin.observation import Domain
from twin.registry import Device, Registry, read


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


def test_vehicles_are_accounted_for_all_day() -> None:
    at = parse("2026-11-20T00:00:00")
    world = World(zone(), seed=5, start=at)
    loading = roads(world).loading
    for hour in range(24):
        world.advance(at + hour * 60 * MINUTE)
        inside = loading.vehicles.sum() + loading.waiting.sum()
        assert loading.entered == pytest.approx(loading.left + inside, rel=1e-12)
        assert loading.entered > 0


# ---------------------------------------------------------------- events, on the zone's own roads

MORNING = parse("2026-11-18T07:40:00")
EVENING = parse("2026-11-18T16:42:00")


def roads(world: World) -> Traffic:
    model = world.models[Domain.TRAFFIC]
    assert isinstance(model, Traffic)
    return model


def cut(links: list[int], factor: float) -> Callable[[Conditions], None]:
    def apply(now: Conditions) -> None:
        now.capacity[links] *= factor

    return apply


@dataclass
class Course:
    """By the minute from the one before the event on, (minutes, links); `out` veh/h over the end of each link; `tail`
    km from the end of the site upstream along its road that are one queue."""

    flow: Array
    speed: Array
    out: Array
    tail: Array

    def tpi(self, link: int) -> Array:
        return np.array([standards.tpi(v, FREE[link]) for v in self.speed[:, link]])


ZONE = Registry(
    d
    for d in read(Path(__file__).parents[2] / "layers" / "data" / "devices.json")
    if d.kind in ("link-detector", "car-park")
)
LINKS = ZONE.of(Domain.TRAFFIC)
FREE = [d.number("freeSpeed") for d in LINKS]
INDEX = {d.id: i for i, d in enumerate(LINKS)}
SITE = INDEX["td-ns02-02s"]  # 西环路, towards the works in the morning


def feeders(link: int) -> list[int]:
    here = LINKS[link].attributes
    return [
        i
        for i, d in enumerate(LINKS)
        if d.attributes["toNode"] == here["fromNode"] and d.attributes["fromNode"] != here["toNode"]
    ]


def upstream() -> list[int]:
    """The site and the links of its road before it, in that order."""
    chain = [SITE]
    while on := [i for i in feeders(chain[-1]) if LINKS[i].attributes["road"] == LINKS[SITE].attributes["road"]]:
        chain.append(on[0])
    return chain


def tail(model: Traffic, chain: list[int]) -> float:
    """Vehicles that stand take 1000 / 118 m a lane at the site's discharge; whole links and the part of the last."""
    length = 0.0
    for link in chain:
        share = model.queue[link] / (118 * model.network.lanes[link] * model.network.length[link])
        length += min(share, 1.0) * model.network.length[link]
        if share < 0.85:
            break
    return float(length)


def follow(world: World, minutes: int) -> Course:
    model, chain, begin = roads(world), upstream(), world.at
    rows: list[tuple[Array, Array, Array, float]] = []
    for minute in range(minutes + 1):
        world.advance(begin + minute * MINUTE)
        rows.append((model.flow, model.speed, 60 * model.loading.out, tail(model, chain)))
    flow, speed, out, queue = zip(*rows, strict=True)
    return Course(np.array(flow), np.array(speed), np.array(out), np.array(queue))


@pytest.fixture(scope="module")
def ordinary() -> World:
    """The zone's traffic a minute before the morning's event; to be copied."""
    return World(ZONE, seed=20261120, start=MORNING - MINUTE)


@pytest.fixture(scope="module")
def crash(ordinary: World) -> tuple[Course, Course]:
    """Without and with one of three lanes blocked for 35 minutes."""
    without, struck = deepcopy(ordinary), deepcopy(ordinary)
    struck.add(Scenario("S01", Places(ZONE), MORNING))
    return follow(without, 120), follow(struck, 120)


def test_a_crash_slows_its_site_within_minutes(crash: tuple[Course, Course]) -> None:
    free, struck = (c.speed[:, SITE] for c in crash)
    assert free[7] > 35
    assert struck[7] < 12


def test_its_queue_grows_as_queues_do_and_spills_over_two_nodes(crash: tuple[Course, Course]) -> None:
    free, struck = (c.tail for c in crash)
    network = [LINKS[i].number("length") / 1000 for i in upstream()]
    assert free.max() < 0.2
    assert 3 < (struck[16] - struck[4]) / 0.2 < 8, "km/h"
    first = int(np.argmax(struck > 0.9 * network[0])) - 1
    second = int(np.argmax(struck > network[0] + 0.9 * network[1])) - 1
    assert 3 <= first <= 12
    assert 8 <= second <= 22


def test_the_streets_across_are_held_up(crash: tuple[Course, Course]) -> None:
    free, struck = crash
    across = [i for i in feeders(SITE) if LINKS[i].attributes["road"] != LINKS[SITE].attributes["road"]]
    worst = np.max([struck.tpi(i) for i in across], axis=0)
    assert 14 <= int(np.argmax(worst > 6)) - 1 <= 30
    assert max(free.tpi(i)[24] for i in across) < 4


def test_once_cleared_it_discharges_below_capacity_and_recovers(crash: tuple[Course, Course]) -> None:
    free, struck = crash
    assert struck.out[20, SITE] == pytest.approx(0.49 * 2700, rel=0.01)
    assert struck.out[40, SITE] == pytest.approx(0.93 * 2700, rel=0.01)
    near = upstream()[:4]
    slower = (struck.speed[:, near] < 0.9 * free.speed[:, near]).any(axis=1)
    assert 70 <= int(np.flatnonzero(slower).max()) <= 120


def test_the_parallel_road_takes_some_of_it(crash: tuple[Course, Course]) -> None:
    free, struck = (c.flow[11:41].mean(axis=0) for c in crash)
    beside = [INDEX["td-ns03-04s"], INDEX["td-ns03-05s"]]
    assert all(LINKS[i].attributes["roadName"] == "高科一路" for i in beside)
    gain = struck[beside] / free[beside] - 1
    assert gain.mean() > 0.10
    assert (gain < 0.30).all()


@pytest.fixture(scope="module")
def afternoon(ordinary: World) -> World:
    world = deepcopy(ordinary)
    world.advance(EVENING - MINUTE)
    return world


def test_a_closed_road_is_gone_round_and_opens_again(afternoon: World) -> None:
    closed = [INDEX["td-ew04-05e"], INDEX["td-ew04-05w"]]
    open_, shut = deepcopy(afternoon), deepcopy(afternoon)
    shut.add(Laid(EVENING + 20 * MINUTE, 60, cut(closed, 0.0)))
    before, after = follow(open_, 200), follow(shut, 200)
    assert after.flow[60:80, closed].max() < 0.02 * before.flow[60:80, closed].min()
    gain = after.flow[50:80].mean(axis=0) - before.flow[50:80].mean(axis=0)
    beside = ("road:ew:03", "road:ew:x1", "road:ew:05")
    around = [i for i, d in enumerate(LINKS) if d.attributes["road"] in beside and gain[i] > 150]
    assert len(around) >= 3
    assert np.median(after.flow[90:110, closed]) > 1500, "open again"
    assert after.speed[200].mean() > 0.95 * before.speed[200].mean()


def test_dark_signals_at_fourteen_junctions_slow_them_and_pass(afternoon: World) -> None:
    dark = sorted({str(d.attributes["toNode"]) for d in LINKS})[::11][:14]
    approaches = [i for i, d in enumerate(LINKS) if d.attributes["toNode"] in dark]
    lit, out = deepcopy(afternoon), deepcopy(afternoon)
    out.add(Laid(EVENING, 10, cut(approaches, 0.5)))
    before, after = follow(lit, 60), follow(out, 60)

    def index(course: Course, minute: int) -> float:
        return float(np.mean([course.tpi(i)[minute] for i in approaches]))

    assert index(after, 10) > index(before, 10) + 2.5
    assert index(after, 60) < index(before, 60) + 0.3


def test_an_audience_that_leaves_jams_the_streets_around_and_gets_away(afternoon: World) -> None:
    streets = [INDEX[d] for d in ("td-ew09-05e", "td-ew09-05w")]

    def leave(now: Conditions) -> None:
        now.entering[streets] = 1500

    usual, event = deepcopy(afternoon), deepcopy(afternoon)
    event.add(Laid(EVENING, 30, leave))
    before, after = follow(usual, 120), follow(event, 120)
    assert max(after.tpi(i)[30] for i in streets) > max(before.tpi(i)[30] for i in streets) + 1
    entered = roads(event).loading.entered - roads(usual).loading.entered
    assert entered == pytest.approx(2 * 1500 * 0.5, rel=0.001)
    assert roads(event).loading.waiting[streets].max() == 0
    assert after.speed[120, streets] == pytest.approx(before.speed[120, streets], rel=0.05)


def test_dust_slows_all_who_drive(afternoon: World) -> None:
    def haze(now: Conditions) -> None:
        now.pace = 0.88

    clear, dust = deepcopy(afternoon), deepcopy(afternoon)
    dust.add(Laid(EVENING, 30, haze))
    before, after = follow(clear, 20), follow(dust, 20)
    assert np.median(after.speed[20] / before.speed[20]) == pytest.approx(0.88, abs=0.05)
