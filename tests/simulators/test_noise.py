"""Noise: CRTN as it is printed, sources that spread as points, and what traffic does to a kerb."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.conditions import Sound, plane
from simulators.noise import L10_TO_LEQ, Noise, crtn, heard
from tests.simulators.conftest import Fortnight
from tests.simulators.moment import moment
from tests.simulators.zone import zone


def test_crtn() -> None:
    # L10 at 10 m; Leq is 3 dB less in free-flowing traffic
    assert crtn(2_700, 50, 6) == pytest.approx(75.75, abs=0.05)
    assert crtn(2_700, 50, 6) + L10_TO_LEQ == pytest.approx(72.8, abs=0.1)
    # CRTN chart 2 to 4: no correction at 75 km/h without heavy vehicles; 3 dB a doubling
    assert crtn(1_000, 75, 0) == pytest.approx(72.2, abs=0.1)
    assert crtn(2_000, 75, 0) - crtn(1_000, 75, 0) == pytest.approx(3.01, abs=0.01)


@given(st.floats(50, 8_000), st.floats(20, 120), st.floats(0, 40))
def test_crtn_grows_with_flow_and_heavy_vehicles(flow: float, speed: float, heavy: float) -> None:
    assert crtn(flow * 1.1, speed, heavy) > crtn(flow, speed, heavy)
    assert crtn(flow, speed, heavy + 1) > crtn(flow, speed, heavy)


@given(st.floats(0, 20))
def test_a_queue_is_no_louder_for_standing_still(speed: float) -> None:
    assert crtn(1_300, speed, 5) == crtn(1_300, 20, 5)


def test_a_queue_is_quieter_and_a_detour_louder() -> None:
    """A lane of three closed halves the flow; a detour takes 18 % more."""
    free = crtn(2_500, 52, 5)
    assert -5 < crtn(1_323, 9, 5) - free < -2
    assert 0.5 < crtn(2_500 * 1.18, 50, 5) - free < 2


@given(st.floats(1, 5_000), st.floats(60, 110))
def test_a_point_source_loses_6_db_a_doubling_and_what_the_air_takes(away: float, level: float) -> None:
    near, far = 10 * np.log10(heard([Sound(0, 0, level)], np.array([[away, 0], [0, 2 * away]])))
    assert near - far == pytest.approx(20 * math.log10(2) + 0.005 * away, abs=1e-6)
    assert 10 * np.log10(heard([Sound(0, 0, level)], np.array([[10.0, 0]])))[0] == pytest.approx(level - 0.05)


def test_a_stage_takes_a_quiet_monitor_from_58_to_74() -> None:
    quiet = [d for d in zone(monitors=8) if d.kind == "noise-monitor"][2:3]
    noise, now = Noise(quiet, [], seed=1), moment()
    before = noise.read(now, np.random.default_rng(1))["LAeq"][0]
    assert before < 58
    east, north = plane(quiet)[0]
    # Applause and street bring 58; the stage is 98.2 dB(A) at 10 m
    now.sounds = [Sound(east + 10, north, 58.05)]
    assert noise.read(now, np.random.default_rng(1))["LAeq"][0] == pytest.approx(58, abs=0.5)
    now.sounds.append(Sound(east, north + 150, 98.2))
    assert noise.read(now, np.random.default_rng(1))["LAeq"][0] == pytest.approx(74, abs=0.5)


def test_roads_are_loud_by_day_and_quieter_at_night(fortnight: Fortnight) -> None:
    kerb = [
        i for i, d in enumerate(fortnight.registry) if d.kind == "noise-monitor" and d.attributes["noiseClass"] == "4a"
    ]
    assert kerb
    level = fortnight.of("noise-monitor", "LAeq")
    day, night = level[fortnight.during(9, 17)].mean(axis=0), level[fortnight.during(1, 4)].mean(axis=0)
    assert (day > night + 4).all()
    assert 62 < day.max() < 78
    assert (fortnight.of("noise-monitor", "LAmax") > level).all()
