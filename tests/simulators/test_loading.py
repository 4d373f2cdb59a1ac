"""The loading of a network: what must hold whatever is asked of it, and the same as an independent simulator."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simulators import network
from simulators.conditions import Array
from simulators.demand import trips
from simulators.detours import Detours
from simulators.loading import DROP, STEP_S, Loading
from tests.simulators import uxsim_check
from tests.simulators.zone import zone
from twin.observation import Domain

DEVICES = zone(5, 4).of(Domain.TRAFFIC)
ROADS = network.of_devices(DEVICES)
LINKS = len(DEVICES)


def unaccounted(loading: Loading) -> float:
    return float(loading.entered - loading.left - loading.content.sum() - loading.waiting.sum())


def assert_sound(loading: Loading, steps: int = 6) -> None:
    """The invariants of a state; flows of so many steps under the diagram. What one cell lets go is bounded by the room
    of the next; for the last cell that is on another link."""
    assert abs(unaccounted(loading)) < 1e-9 * max(loading.entered, 1)
    assert np.isfinite(loading.content).all()
    assert loading.content.min() >= 0
    assert loading.waiting.min() >= 0
    k, q = loading.density, loading.flow
    assert (k <= ROADS.jam * (1 + 1e-9)).all()
    assert (q <= np.minimum(ROADS.free * k, ROADS.saturation) * (1 + 1e-9) + 1e-6).all()
    over_the_end = loading.out / loading.cells / (steps * STEP_S / 3600)
    assert (q <= ROADS.wave * (ROADS.jam - k) + over_the_end + 1e-6).all()


def test_what_comes_is_what_was_wanted_while_all_roads_carry_it() -> None:
    wanted = 0.6 * ROADS.capacity
    begin, shares = trips(wanted, ROADS)
    loading = Loading(ROADS)
    for _ in range(60):
        loading.advance(begin, shares, limit=np.ones(LINKS))
    reached = loading.flow / (begin + ROADS.into(shares * loading.flow))
    assert reached == pytest.approx(np.ones(LINKS), abs=1e-3)
    assert np.median(np.abs(loading.flow / wanted - 1)) < 0.02
    assert loading.queue.sum() == 0


def test_drivers_slow_with_load_as_the_bpr_function_has_it() -> None:
    for load in (0.1, 0.5, 0.85):
        begin, shares = trips(load * ROADS.capacity, ROADS)
        loading = Loading(ROADS)
        for _ in range(60):
            loading.advance(begin, shares, limit=np.ones(LINKS))
        x = loading.flow / ROADS.capacity
        expected = ROADS.free / (1 + ROADS.slowing * x**2.2)
        assert loading.flow / loading.density == pytest.approx(expected, rel=0.10)


@settings(max_examples=25)
@example(seed=2734, load=3.0, pace=1.0, narrowing=1.0)
@given(
    seed=st.integers(0, 2**32 - 1),
    load=st.floats(0, 3),
    pace=st.floats(0.3, 1.0),
    narrowing=st.floats(0.5, 1.0),
)
def test_vehicles_are_conserved_and_cells_stay_sound_under_random_cuts(
    seed: int, load: float, pace: float, narrowing: float
) -> None:
    rng = np.random.default_rng(seed)
    loading, detours = Loading(ROADS), Detours(ROADS, network.headings(DEVICES))
    for _ in range(12):
        limit = np.where(rng.random(LINKS) < 0.3, rng.choice([0.0, 0.2, 0.5, 0.9], LINKS), 1.0)
        begin, usual = trips(load * ROADS.capacity * rng.random(LINKS), ROADS)
        shares = detours.choose(usual, loading.vehicles, limit <= 0)
        assert (shares >= 0).all()
        assert (shares.sum(axis=0) <= 1 + 1e-9).all()
        for _ in range(6):
            loading.advance(begin, shares, limit=limit, pace=pace, narrowing=narrowing, steps=1)
            assert_sound(loading, steps=1)
        speed = loading.flow / np.maximum(loading.density, 1e-9)
        detours.learn(speed, ROADS.free, loading.moved, loading.out, loading.vehicles)


def test_a_city_full_to_the_brim_empties_again() -> None:
    loading = Loading(ROADS)
    loading.content = loading._room.copy()
    loading.entered = float(loading.content.sum())
    _, shares = trips(0.5 * ROADS.capacity, ROADS)
    for _ in range(4 * 60):
        loading.advance(np.zeros(LINKS), shares, limit=np.ones(LINKS))
    assert loading.content.sum() < 0.001 * loading.entered
    assert_sound(loading)


def row(*capacity: float) -> network.Network:
    """Links of 2 km in a row, one lane, all of the same saturation of 2,100 veh/h, that let `capacity` pass."""
    n = len(capacity)
    ones = np.ones(n)
    return network.Network(
        length=2 * ones,
        lanes=ones,
        free=60 * ones,
        capacity=np.array(capacity),
        saturation=2100 * ones,
        jam=140 * ones,
        slowing=0 * ones,
        after=np.append(np.arange(1, n), n)[None, :],
        turning=np.append(np.ones(n - 1), 0.0)[None, :],
    )


def hours(loading: Loading, begin: Array, minutes: int, limit: Array) -> None:
    for _ in range(minutes):
        loading.advance(begin, loading.network.turning, limit=limit)


def test_a_queue_grows_as_the_shock_wave_does() -> None:
    """Speed of the shock: (inflow - discharge) / (density before - density in the queue)."""
    roads = row(2100, 2100)
    loading = Loading(roads)
    begin, blocked = np.array([1500.0, 0.0]), np.array([1.0, 0.4])
    hours(loading, begin, 10, np.ones(2))
    lengths = []
    for _ in range(2):
        hours(loading, begin, 6, blocked)
        queued = loading.content > 1.3 * loading._critical[loading._link]
        lengths.append(loading._cell_km[loading._link][queued].sum())
    discharge = 0.4 * 2100
    wave = (1500 - discharge) / ((140 - discharge / 20) - 1500 / 60)
    assert (lengths[1] - lengths[0]) / 0.1 == pytest.approx(wave, rel=0.35)
    assert loading.queue.sum() == pytest.approx((140 - discharge / 20) * lengths[1], rel=0.1)


def test_a_queue_discharges_less_than_the_free_road_carries() -> None:
    loading = Loading(row(1500, 2100))
    hours(loading, np.array([1480.0, 0.0]), 30, np.ones(2))
    assert loading.flow[1] == pytest.approx(1480, rel=0.001)
    hours(loading, np.array([1480.0, 0.0]), 3, np.array([0.0, 1.0]))
    hours(loading, np.array([1480.0, 0.0]), 5, np.ones(2))
    assert loading.out[0] * 60 == pytest.approx(DROP * 1500, rel=0.001)


def test_what_does_not_fit_waits_outside_and_comes_in_later() -> None:
    loading = Loading(row(600, 2100))
    hours(loading, np.array([2000.0, 0.0]), 60, np.ones(2))
    assert loading.waiting[0] > 800
    assert loading.queue[0] == pytest.approx(loading.vehicles[0], rel=0.01)
    hours(loading, np.zeros(2), 4 * 60, np.ones(2))
    assert loading.waiting[0] == 0
    assert loading.left == pytest.approx(loading.entered, rel=1e-6)


def test_a_step_is_no_longer_than_a_drive_over_a_cell() -> None:
    loading = Loading(ROADS)
    assert (loading._cell_km >= ROADS.free * STEP_S / 3600 - 1e-12).all()


@pytest.fixture(scope="module")
def merge() -> tuple[uxsim_check.Course, uxsim_check.Course]:
    return uxsim_check.ours(), uxsim_check.theirs()


def test_total_travel_time_as_uxsim_has_it(merge: tuple[uxsim_check.Course, uxsim_check.Course]) -> None:
    ours, theirs = merge
    assert ours.travel_time == pytest.approx(theirs.travel_time, rel=0.15)


def test_queues_as_uxsim_has_them(merge: tuple[uxsim_check.Course, uxsim_check.Course]) -> None:
    ours, theirs = (course.queue.sum(axis=1) for course in merge)
    assert theirs.max() > 600, "there is a queue to speak of"
    assert ours.max() == pytest.approx(theirs.max(), rel=0.15)
    assert np.abs(ours - theirs).mean() < 0.15 * theirs[theirs > 20].mean()
    assert ours.argmax() == pytest.approx(theirs.argmax(), abs=3)
