"""The Wei: its rating, a flood as it was gauged, and what a flood does to the water."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.effects import FLOOD, RISEN
from simulators.water import Water, hydrograph, stage
from simulators.world import World
from tests.simulators.moment import moment
from tests.simulators.zone import zone
from twin.clock import parse
from twin.observation import Domain
from twin.registry import Registry

STATIONS = [d for d in zone() if d.kind == "water-station"]


@pytest.mark.parametrize(("hours", "gauged"), [(0, 3_150), (8, 4_810), (15.9, 6_050), (19, 5_610)])
def test_the_hydrograph_passes_the_gaugings_of_september_2021(hours: float, gauged: float) -> None:
    assert hydrograph(RISEN + hours, **FLOOD) == pytest.approx(gauged, rel=0.10)


def test_a_flood_recedes_by_3_percent_an_hour() -> None:
    crest = hydrograph(30, **FLOOD)
    later = [hydrograph(30 + h, **FLOOD) for h in (0, 1, 24, 48)]
    assert later[0] == crest == 6_050
    assert (later[1] - 1_750) / (crest - 1_750) == pytest.approx(0.97, abs=0.001)
    assert later[3] < 3_000 < later[2] < crest


@given(st.floats(0, 100), st.floats(20, 3_000), st.floats(1, 4_000), st.floats(5, 60), st.floats(1, 7), st.floats(0, 1))
def test_a_flood_stays_between_its_base_and_its_peak(
    hours: float, base: float, more: float, to_peak: float, m: float, recession: float
) -> None:
    found = hydrograph(hours, base, base + more, to_peak, m, recession)
    assert base - 1e-6 <= found <= base + more + 1e-6
    if hours < to_peak:
        assert hydrograph(hours * 0.9, base, base + more, to_peak, m, recession) <= found + 1e-6


def test_the_rating_of_the_wei() -> None:
    assert stage(3_000) == pytest.approx(4.0, abs=0.05)
    assert stage(6_050) == pytest.approx(6.1, abs=0.05)


def read(discharge: float, rain: float = 0.0) -> dict[str, float]:
    """Means over stations in the river, after an hour."""
    water = Water(STATIONS, [], seed=1)
    now = moment(parse("2026-09-27T06:00:00"), rain=rain)
    now.river = discharge
    for _ in range(60):
        water.step(now)
    found = water.read(now, np.random.default_rng(1))
    return {metric: float(values.mean()) for metric, values in found.items()}


def test_a_flood_lifts_the_river_two_metres_muddies_it_and_takes_its_oxygen() -> None:
    usual, begun, crest = (read(q) for q in (60, 3_000, 6_050))
    assert crest["waterLevel"] - begun["waterLevel"] == pytest.approx(2.1, abs=0.1)
    assert crest["P-TOT"] / usual["P-TOT"] == pytest.approx(2, abs=0.25)
    assert crest["turbidity"] > 8 * usual["turbidity"]
    assert crest["O2"] < usual["O2"] - 1
    assert crest["O2"] > 3


@given(st.floats(1, 20_000), st.floats(0, 90))
def test_no_flood_gives_impossible_water(discharge: float, rain: float) -> None:
    found = read(discharge, rain)
    assert found["O2"] > 0
    assert 6 < found["pH"] < 9
    assert all(np.isfinite(v) and v >= 0 for v in found.values())
    assert found["turbidity"] < 10_000


def test_an_outfall_is_not_the_river() -> None:
    moved = [msgspec.structs.replace(d, district="dist:materials" if i else d.district) for i, d in enumerate(STATIONS)]
    block = World(Registry(moved), seed=1, start=parse("2026-11-20T00:10:00")).read(Domain.ENVIRONMENT)
    discharge = block.values["waterDischarge"]
    assert 25 < discharge[0] < 130
    assert (discharge[1:] < 2).all()


def test_a_flood_of_the_river_is_none_of_the_outfalls() -> None:
    """What runs into the river stays as clean or foul as it was."""
    outfalls = [msgspec.structs.replace(d, district="dist:materials") for d in STATIONS]
    water, now = Water(outfalls, [], seed=1), moment()
    readings = []
    for now.river in (60.0, 6_000.0):
        readings.append(water.read(now, np.random.default_rng(1)))
    for metric in readings[0]:
        assert readings[0][metric].tolist() == readings[1][metric].tolist()


def test_rain_wets_the_ground_which_dries_within_a_day() -> None:
    plots = [d for d in zone() if d.kind == "soil-station"]
    water, now = Water([], plots, seed=1), moment(rain=30.0)
    dry = water.read_soil(now, np.random.default_rng(1))["soilMoistureVwc"]
    for _ in range(60):
        water.step(now)
    wet = water.read_soil(now, np.random.default_rng(1))["soilMoistureVwc"]
    now.weather.rain = 0.0
    for _ in range(24 * 60):
        water.step(now)
    later = water.read_soil(now, np.random.default_rng(1))["soilMoistureVwc"]
    assert (wet > dry + 0.05).all()
    assert np.abs(later - dry).max() < 0.005
