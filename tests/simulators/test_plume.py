"""Puffs: they conserve mass, add up to the plume of a steady wind, and are no beads on a string."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.conditions import Array, Leak
from simulators.dust import heading
from simulators.plume import POOL, Plume
from tests.simulators.moment import NIGHT, moment
from twin.clock import HOUR, MINUTE

RATE = 10_500.0  # mg/s
LEAK = Leak(east=0.0, north=0.0, rate=RATE, begin=NIGHT, end=NIGHT + 55 * MINUTE)


def downwind(*metres: float, wind_from: float = 315) -> Array:
    """Places on the axis of a plume from the middle, 3 m above the ground."""
    axis = np.array(metres)[:, None] * heading(wind_from)
    return np.column_stack([axis, np.full(len(metres), 3.0)])


def run(places: Array, minutes: int, *leaks: Leak, wind: float = 1.2, wind_from: float = 315) -> Array:
    """(minutes, n) mg/m³, the first one the minute after NIGHT."""
    plume, found = Plume(places), []
    for minute in range(1, minutes + 1):
        now = moment(NIGHT + minute * MINUTE, wind=wind, wind_from=wind_from)
        now.leaks.extend(leaks)
        plume.step(now)
        found.append(plume.level)
    return np.array(found)


@given(st.floats(0.5, 8), st.floats(0, 360))
@settings(max_examples=20)
def test_mass_is_conserved(wind: float, wind_from: float) -> None:
    """All that was let out is in the air, while nothing has left the zone; it stands in the puffs and in the field."""
    plume = Plume(np.zeros((1, 3)))
    for minute in range(1, 11):
        now = moment(NIGHT + minute * MINUTE, wind=wind, wind_from=wind_from, mixing_height=1_000)
        now.leaks.append(LEAK._replace(end=NIGHT + 5 * MINUTE))
        plume.step(now)
    released = RATE * (300 + POOL / 1000 * (1 - math.exp(-300_000 / POOL)))
    assert plume.puffs[:, 2].sum() == pytest.approx(released, rel=1e-3)


def test_the_field_holds_the_mass_that_is_in_the_air() -> None:
    """The integral of the concentration over a box of air round the plume is the mass let out."""
    east, north, up = np.arange(-300.0, 1_500, 45), np.arange(-495.0, 496, 45), np.arange(4.0, 250, 8)
    grid = np.stack(np.meshgrid(east, north, up, indexing="ij"), axis=-1).reshape(-1, 3)
    plume, mass = Plume(grid), []
    for minute in range(1, 9):
        now = moment(NIGHT + minute * MINUTE, wind=2.0, wind_from=270)
        now.leaks.append(LEAK._replace(end=NIGHT + HOUR))
        plume.step(now)
        mass.append(float(plume.level.sum() * 45 * 45 * 8))
    # The mean over a minute of what is in the air half-way through it
    expected = [RATE * 60 * (minute - 0.5) for minute in range(1, 9)]
    assert mass == pytest.approx(expected, rel=0.04)


def test_puffs_add_up_to_the_plume_of_a_steady_wind() -> None:
    x, wind = 1_014.0, 1.2
    wide = math.hypot(40, 0.08 * x / math.sqrt(1 + 1e-4 * x))
    high = math.hypot(7.4, 0.06 * x / math.sqrt(1 + 1.5e-3 * x))
    plume = RATE / (math.pi * wind * wide * high) * math.exp(-0.5 * (3 / high) ** 2)
    level = run(downwind(x), 50, LEAK, wind=wind)[-1, 0]
    assert level == pytest.approx(plume, rel=0.05)


@pytest.mark.parametrize("wind", [0.1, 0.6, 3.0, 12.0])
def test_no_beads_in_slow_or_fast_winds(wind: float) -> None:
    """Once the plume stands, a sensor on its axis reads the same from minute to minute."""
    level = run(downwind(150), 50, LEAK, wind=wind)[-20:, 0]
    assert level.min() > 0
    assert level.max() / level.min() < 1.02


def test_a_leak_as_the_sensors_of_a_plant_see_it() -> None:
    """Source at a plant, wind 1.2 m/s from the north-west, sensors upwind and 150, 1,014 and 1,900 m downwind."""
    level = run(downwind(-900, 150, 1_014, 1_900), 180, LEAK)
    upwind, near, far, farther = level.T
    assert upwind.max() < 1e-6
    assert near[:54].max() == pytest.approx(6, abs=0.5)
    assert near[4] > 5
    assert 10 <= np.argmax(far > 0.5) - np.argmax(near > 3) <= 15
    assert 0.6 < far[:60].max() < 1.1
    assert farther.max() < far.max()
    # 150 m away it decays as the pool does: to 1/e in 20 minutes
    assert near[90] / near[70] == pytest.approx(1 / math.e, rel=0.03)


def test_vapour_that_cannot_rise_through_the_lid_fills_the_layer() -> None:
    wide = math.hypot(40, 0.08 * 8_000 / math.sqrt(1.8))
    filled = RATE / (2.0 * math.sqrt(2 * math.pi) * wide * 100)
    assert _after_two_hours(mixing_height=100) == pytest.approx(filled, rel=0.02)
    assert _after_two_hours(mixing_height=2_000) < 0.7 * filled


def _after_two_hours(mixing_height: float) -> float:
    plume = Plume(downwind(8_000))
    for minute in range(1, 121):
        now = moment(NIGHT + minute * MINUTE, wind=2.0, mixing_height=mixing_height)
        now.leaks.append(LEAK._replace(end=NIGHT + 2 * HOUR))
        plume.step(now)
    return float(plume.level[0])


def test_puffs_are_forgotten_and_nothing_is_left() -> None:
    plume = Plume(downwind(150))
    for minute in range(1, 500):
        now = moment(NIGHT + minute * MINUTE, wind=3.0)
        now.leaks.append(LEAK)
        plume.step(now)
        assert len(plume.puffs) < 1_500
    assert len(plume.puffs) == 0
    assert plume.level[0] == pytest.approx(0, abs=1e-3)
