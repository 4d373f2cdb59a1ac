"""Compute: what must hold whatever the day, and what a duty officer would expect to see."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators import compute
from simulators.compute import CARDS, Job, Queue, plant_cop, pue, server_power
from simulators.conditions import Conditions
from simulators.world import World
from tests.simulators.conftest import Fortnight
from tests.simulators.zone import zone
from twin.clock import HOUR, MINUTE, parse
from twin.observation import Domain
from twin.registry import Registry


@pytest.mark.parametrize(("wet_bulb", "expected"), [(5, 1.18), (18, 1.27), (25, 1.32), (27, 1.34)])
def test_pue_by_wet_bulb(wet_bulb: float, expected: float) -> None:
    assert pue(plant_cop(wet_bulb)) == pytest.approx(expected, abs=0.005)


def test_the_centre_is_the_sum_of_its_servers(fortnight: Fortnight) -> None:
    def centre(metric: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return fortnight.of("compute-centre", metric)[:, 0]

    servers = fortnight.registry.of(Domain.COMPUTE)
    cards = sum(d.number("cards") for d in servers if d.kind == "server")
    nameplate = next(d for d in servers if d.kind == "compute-centre").number("nameplateP")
    busy, power = fortnight.of("server", "gpuUtilization"), fortnight.of("server", "itPower")
    assert np.allclose(centre("gpuUtilization"), busy.mean(axis=1))
    assert np.allclose(centre("itPower"), power.sum(axis=1))
    assert np.allclose(centre("facilityPower"), centre("itPower") * centre("pue"))
    assert np.allclose(centre("fp16Pflops"), nameplate * centre("gpuUtilization"))
    assert (centre("gpuTotal") == cards).all()
    assert (centre("gpuAllocated") <= cards).all()
    # Nothing works that is not allocated
    assert (busy.sum(axis=1) * CARDS <= centre("gpuAllocated") + 1e-9).all()
    assert np.allclose(fortnight.of("power-unit", "powerConsumption").sum(axis=1), 1.06 * centre("itPower"))


def test_a_server_idles_and_peaks_where_it_should() -> None:
    assert server_power(np.array([0.0, 1.0])) * 120 == pytest.approx([200, 650])


def test_the_aisle_is_cold_and_the_centre_busy(fortnight: Fortnight) -> None:
    inlet = fortnight.of("server", "inletTemperature")
    assert inlet.min() > 18
    assert inlet.max() < 27
    rise = fortnight.of("server", "outletTemperature") - inlet
    assert rise.min() > 6
    assert rise.max() < 15
    full = zone(2, 2, parks=0, servers=120)
    world = World(full, seed=4, start=parse("2026-11-20T00:00:00"))
    used = []
    for hour in range(48):
        world.advance(parse("2026-11-20T00:00:00") + hour * HOUR)
        used.append(world.read(Domain.COMPUTE).values["gpuUtilization"][0])
    assert 0.38 < np.mean(used) < 0.75


def test_without_chillers_the_aisle_heats_and_with_them_it_recovers() -> None:
    at = parse("2026-11-20T15:20:00")

    class Tripped:
        faults = ()

        def apply(self, now: Conditions) -> None:
            if at <= now.at < at + 10 * MINUTE:
                now.cooling = 1 / 3

    registry = zone(2, 2, servers=120)
    world = World(registry, seed=4, start=at, scenarios=[Tripped()])
    hot = [d.kind == "server" for d in registry.of(Domain.COMPUTE)]

    def hottest() -> float:
        return float(world.read(Domain.COMPUTE).values["inletTemperature"][hot].max())

    before = hottest()
    world.advance(at + 10 * MINUTE)
    assert hottest() > before + 3
    world.advance(at + HOUR)
    assert hottest() < before + 1


def test_a_standby_chiller_stands_by() -> None:
    registry = zone(2, 2)
    last = [d.id for d in registry if d.kind == "chiller"][-1]
    devices = [msgspec.structs.replace(d, attributes={"standby": 1.0}) if d.id == last else d for d in registry]
    block = World(Registry(devices), seed=1, start=parse("2026-11-20T00:10:00")).read(Domain.COMPUTE)
    power = {d.id: p for d, p in zip(block.devices, block.values["coolingPower"], strict=True) if d.kind == "chiller"}
    assert power.pop(last) == 0
    assert all(p > 0 for p in power.values())


@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 2, 4, 8, 16, 64, 128]), st.integers(1, 600), st.floats(0, 1), st.integers(0, 400)
        ),
        max_size=60,
    )
)
def test_no_card_is_given_twice(wanted: list[tuple[int, int, float, int]]) -> None:
    queue = Queue(np.full(20, CARDS, np.int64), 4)
    for minute in range(0, 1_100, 5):
        jobs = [Job(c, m, 0.8, s, minute) for c, m, s, came in wanted if came // 5 == minute // 5]
        queue.step(minute, jobs)
        if minute % 100 == 0:
            before = queue.free.sum()
            queue.gather()
            assert queue.free.sum() == before, "moving jobs together loses none"
        assert (queue.free >= 0).all()
        assert (queue.free <= CARDS).all()
        assert (queue.load <= CARDS - queue.free + 1e-9).all()
    queue.step(400 + 600 + compute.PATIENCE, [Job(1, 1, 0.5, 0.5, 0)])
    assert queue.free.sum() >= 20 * CARDS - 1, "all cards come back"
