"""Dust fronts: they sweep at the speed of their wind, and rise, stay and fall as they are told to."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.conditions import Front
from simulators.dust import brought, heading
from simulators.weather import visibility
from twin.clock import HOUR, MINUTE, parse

AT = parse("2026-03-20T13:00:00")
FRONT = Front(at=AT, wind_from=315, speed=10, peak=760, rise=150, plateau=480, tau=480)


def over(front: Front, at: int, places: list[tuple[float, float]]) -> list[float]:
    return [float(level) for level in brought([front], at, np.array(places, np.float64))]


def test_a_wind_blows_where_it_does_not_come_from() -> None:
    assert heading(270) == pytest.approx([1, 0])
    assert heading(0) == pytest.approx([0, -1])


@given(st.floats(0, 360), st.floats(2, 20), st.floats(-8_000, 8_000), st.floats(-8_000, 8_000), st.floats(1, 1_500))
def test_a_front_sweeps_at_the_speed_of_its_wind(
    wind_from: float, speed: float, east: float, north: float, minutes: float
) -> None:
    """What the middle has now, a place has when the wind has gone there."""
    front = FRONT._replace(wind_from=wind_from, speed=speed)
    away = float(np.array([east, north]) @ heading(wind_from))
    middle = over(front, AT + round(minutes * MINUTE), [(0, 0)])
    later = over(front, AT + round((minutes + away / speed / 60) * MINUTE), [(east, north)])
    assert later == pytest.approx(middle, abs=0.05)


def test_it_crosses_16_km_in_27_minutes_at_10_metres_a_second() -> None:
    west, east = heading(315) * -8_000, heading(315) * 8_000
    reached = [
        next(m for m in range(-60, 60) if over(FRONT, AT + m * MINUTE, [tuple(place)])[0] > 1) for place in (west, east)
    ]
    assert reached[1] - reached[0] == pytest.approx(16_000 / 10 / 60, abs=1)


def test_it_rises_stays_and_decays() -> None:
    hours = {h: over(FRONT, AT + round(h * HOUR), [(0, 0)])[0] for h in (-0.1, 0, 1.25, 2.5, 10.5, 18.5)}
    assert hours[-0.1] == hours[0] == 0
    assert hours[1.25] == pytest.approx(380)
    assert hours[2.5] == hours[10.5] == pytest.approx(760)
    assert hours[18.5] == pytest.approx(760 / math.e)


def test_two_fronts_add_up() -> None:
    places = np.zeros((1, 2))
    assert brought([FRONT, FRONT], AT + HOUR, places) == pytest.approx(2 * brought([FRONT], AT + HOUR, places))


def test_the_view_shrinks_with_the_dust_by_dalmeida() -> None:
    clear, wall = visibility(np.array([35.0, 35.0]), np.array([55.0, 850.0]), 0.3, 0.0)
    assert 12_000 < clear < 20_000
    # PM10 = 914 V^-0.73 alone would give 1,104 m
    assert 950 < wall < 1_104
