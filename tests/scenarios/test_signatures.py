"""Each scenario does what it is known for: times, levels and places, on its usual day in the zone as it is drawn.

S01 is held by tests/simulators/test_traffic.py, on the same roads. The wanted numbers are those of the incidents the
scenarios are made after; where physics gives others they are what is asserted, and the comment says so.
"""

import numpy as np
import pytest

from simulators.conditions import Array, plane
from simulators.effects import flood, pour
from simulators.scenarios import stories
from tests.scenarios.played import PLACES, REGISTRY, Played, arrivals, play, scenario_of
from twin import air, kpi, standards
from twin.clock import MINUTE
from twin.observation import Domain
from twin.snapshot import Snapshot


def first(played: Played, values: Array, above: float) -> int:
    """The minute in which the values are above a limit for the first time after the start; -1 when never."""
    found = (values > above) & (played.scene.minute >= 0)
    return int(played.scene.minute[np.argmax(found)]) if found.any() else -1


def last(played: Played, values: Array, above: float) -> int:
    found = (values > above) & (played.scene.minute >= 0)
    return int(played.scene.minute[np.flatnonzero(found)[-1]]) if found.any() else -1


def during(played: Played, values: Array, begin: float, end: float) -> Array:
    return values[played.at(begin) : played.at(end)]


def tpi(played: Played, links: list[int], *, plain: bool = False) -> Array:
    """(minutes,) the mean index of some links."""
    day = played.plain if plain else played.scene
    speed = day.values[Domain.TRAFFIC]["averageVehicleSpeed"][:, links]
    free = [PLACES.links[i].number("freeSpeed") for i in links]
    return np.array([np.mean([standards.tpi(float(v), f) for v, f in zip(row, free, strict=True)]) for row in speed])


@pytest.mark.parametrize("id", list(stories()))
def test_its_facts_lie_within_its_time_and_name_devices_of_the_zone(id: str) -> None:
    scenario, story = scenario_of(id), stories()[id]
    facts = scenario.plot.facts
    assert facts
    for fact in facts:
        assert fact.devices, fact.what
        assert all(d in REGISTRY for d in fact.devices), fact.what
        assert 0 <= fact.begin < fact.end <= story.minutes + story.after, fact.what
    assert max(fact.level for fact in facts) == story.level


@pytest.mark.parametrize("id", list(stories()))
def test_before_it_begins_it_is_an_ordinary_day(id: str) -> None:
    played = play(id)
    if played.scenario.plot.before:
        return
    until = played.at(0)
    for domain in Domain:
        for metric, values in played.scene.values[domain].items():
            np.testing.assert_array_equal(values[:until], played.plain.values[domain][metric][:until])


# ---------------------------------------------------------------- S02 dust


def test_s02_dust_sweeps_in_from_the_west_and_stays() -> None:
    p = play("S02")
    pm10, pm25 = p.scene.kind("air-station", "pm10"), p.scene.kind("air-station", "pm25")
    mean = pm10.mean(axis=1)
    rise = mean - p.plain.kind("air-station", "pm10").mean(axis=1)
    assert 120 <= first(p, rise, 0.95 * 760) <= 200, "2.5 h to the plateau"
    assert during(p, rise, 170, 600).min() > 0.9 * 760, "8 h of plateau"
    fall = rise[p.at(630 + 480)] / rise[p.at(630)]
    assert fall == pytest.approx(np.exp(-1), abs=0.08), "tau 8 h"
    assert during(p, pm25.mean(axis=1) - p.plain.kind("air-station", "pm25").mean(axis=1), 200, 500).mean() == (
        pytest.approx(80, abs=20)
    )
    stations = [d for d in REGISTRY if d.kind == "air-station"]
    east = plane(stations)[:, 0]
    half = [first(p, pm10[:, i] - p.plain.kind("air-station", "pm10")[:, i], 380) for i in range(len(stations))]
    # 5 minutes between readings of so long a scenario; 14 km between the outermost stations
    lag = np.polyfit(east, half, 1)[0] * 16_000
    assert 15 <= lag <= 35, "16 km at 10 m/s from 290°: 25 min"


def test_s02_visibility_wind_and_roads() -> None:
    p = play("S02")
    visibility = p.scene.kind("weather-station", "visibility")
    assert p.plain.kind("weather-station", "visibility")[p.at(0)].mean() > 7_000
    # 900 m are told of 850 µg/m³; the extinction of coarse dust gives a little more
    assert during(p, visibility.mean(axis=1), 200, 600).min() < 1_300
    assert during(p, p.scene.kind("weather-station", "windSpeed").mean(axis=1), 60, 600).mean() == pytest.approx(
        10, abs=1
    )
    assert during(p, p.scene.kind("weather-station", "relativeHumidity").mean(axis=1), 60, 600).max() < 0.22
    speed, usual = (d.kind("link-detector", "averageVehicleSpeed") for d in (p.scene, p.plain))
    night = slice(p.at(480), p.at(620))  # free roads from nine to half past eleven
    assert (speed[night].mean() / usual[night].mean()) == pytest.approx(0.88, abs=0.03)
    aqi = standards.aqi({"pm10": float(during(p, p.scene.kind("air-station", "pm10").mean(axis=1), 240, 300).mean())})
    assert aqi.value == 500
    kites = p.scene.of(PLACES.lots[PLACES.lot("poi:kite")].id, "occupancy")
    assert kites[p.at(200)] < 0.05


# ---------------------------------------------------------------- S03 chillers


def test_s03_the_hall_heats_throttles_and_recovers() -> None:
    p = play("S03")
    inlet = p.scene.kind("server", "inletTemperature")
    mean = inlet.mean(axis=1)
    assert mean[p.at(0)] == pytest.approx(23, abs=1)
    assert first(p, mean, 27) <= 3.3
    assert 2.5 <= first(p, mean, 32) <= 5.5
    assert 3.9 <= first(p, mean, 35) <= 7
    peak = during(p, mean, 0, 40).max()
    assert 36 <= peak <= 39
    # The standby starts at six minutes and loads over as long: the hall stays at its peak until the other is back
    assert 6.5 <= int(np.argmax(mean)) - p.at(0) <= 18
    assert last(p, mean, 27) <= 36.5
    power = p.scene.kind("compute-centre", "itPower")[:, 0]
    assert power[p.at(18)] < 0.8 * power[p.at(0)], "throttled, and jobs gone"
    allocated = p.scene.kind("compute-centre", "gpuAllocated")[:, 0]
    moved = p.scene.kind("dispatch", "jobsMigrated")[:, 0]
    assert moved.max() > 0
    assert allocated[p.at(20)] < allocated[p.at(0)]


def test_s03_pue_dips_and_overshoots() -> None:
    p = play("S03")
    pue = p.scene.kind("compute-centre", "pue")[:, 0]
    # 1.12 is told; one chiller that still carries its load keeps it above
    assert 1.11 <= during(p, pue, 0, 6).min() <= 1.24
    assert 1.43 <= during(p, pue, 15, 40).max() <= 1.58
    assert pue[p.at(70)] == pytest.approx(p.plain.kind("compute-centre", "pue")[p.at(70), 0], abs=0.05)


def test_s03_is_seen_in_the_compute_centre_only() -> None:
    p = play("S03")
    for domain in (Domain.TRAFFIC, Domain.ENVIRONMENT, Domain.PARKING, Domain.CITY):
        for metric, values in p.scene.values[domain].items():
            np.testing.assert_array_equal(values, p.plain.values[domain][metric])


# ---------------------------------------------------------------- S04 flood


def test_s04_the_gauge_shows_the_flood_of_2021() -> None:
    p = play("S04")
    gauge = p.scene.of("ws-wei-gauge", "waterDischarge")
    for hours, gauged in ((0, 3_150), (8, 4_810), (15.9, 6_050), (19, 5_610)):
        assert gauge[p.at(hours * 60)] == pytest.approx(gauged, rel=0.12)
    assert flood(48 * 60) / flood(24 * 60) < 0.75, "recession"
    level = p.scene.of("ws-wei-gauge", "waterLevel")
    assert level[p.at(15.9 * 60)] - level[p.at(0)] == pytest.approx(2.0, abs=0.4)
    blue, yellow, _ = p.facts
    assert first(p, gauge, 3_000) <= blue.begin + 60
    assert first(p, gauge, 4_500) == pytest.approx(yellow.begin, abs=60)
    assert [standards.flood_level(float(gauge[p.at(m)])).name for m in (60, 600)] == ["BLUE", "YELLOW"]


def test_s04_closes_the_embankment_restricts_the_bridge_and_spoils_the_water() -> None:
    p = play("S04")
    embankment = [PLACES.links[i].id for i in PLACES.road("road:ew:15")]
    flow, usual = (d.these(embankment, "intensity") for d in (p.scene, p.plain))
    day = slice(p.at(60), p.at(4 * 60))
    assert flow[day].mean() < 0.25 * usual[day].mean()
    bridge = [PLACES.links[i].id for i in PLACES.road("bridge:wei")]
    morning = slice(p.at(18 * 60), p.at(24 * 60))  # 8 to 14 h of the next day
    ratio = p.scene.these(bridge, "intensity")[morning].mean() / p.plain.these(bridge, "intensity")[morning].mean()
    assert ratio == pytest.approx(0.6, abs=0.12), "bridge flow -40 %"
    at = p.at(16 * 60)
    oxygen, phosphorus = ([d.of("ws-01", m)[at] for d in (p.scene, p.plain)] for m in ("O2", "P-TOT"))
    assert oxygen[0] < oxygen[1] - 0.7
    assert 1.5 <= phosphorus[0] / phosphorus[1] <= 2.6
    banks = [d.id for d in PLACES.lots if d.attributes.get("use") == "park"]
    assert p.scene.these(banks, "occupancy")[p.at(3 * 60)].max() < 0.1


# ---------------------------------------------------------------- S05 festival


def test_s05_car_parks_fill_spill_over_and_empty() -> None:
    p = play("S05")
    lots = [PLACES.lot("poi:lsd-park"), PLACES.lot("poi:music")]
    occupancy = p.scene.these([PLACES.lots[i].id for i in lots], "occupancy")
    # Told is 0.55 at the start; on a Friday in October a third is taken by then
    assert 0.2 <= occupancy[p.at(0)].mean() <= 0.6
    assert 50 <= first(p, occupancy.min(axis=1), 0.99) <= 85
    around = [i for i in PLACES.near(PLACES.lots, plane([PLACES.lots[lots[0]]])[0], within=800) if i not in lots]
    spilled = [
        i
        for i in around
        if during(p, p.scene.of(PLACES.lots[i].id, "occupancy"), 80, 260).max()
        > during(p, p.plain.of(PLACES.lots[i].id, "occupancy"), 80, 260).max() + 0.2
    ]
    assert len(spilled) >= 4
    assert occupancy[p.at(265)].min() > 0.95, "they stay for the music"
    assert occupancy[p.at(320)].max() < 0.25, "80 % have gone within 45 minutes"


def test_s05_the_streets_jam_twice_and_it_is_loud_until_ten() -> None:
    p = play("S05")
    streets = PLACES.near(PLACES.links, plane([PLACES.lots[PLACES.lot("poi:music")]])[0], most=6)
    here, usual = tpi(p, streets), tpi(p, streets, plain=True)
    assert during(p, here, 90, 110).max() > 7.5, "TPI 8 at 19:10"
    assert during(p, here - usual, 60, 110).max() > 2
    assert during(p, here - usual, 275, 330).max() > 0.5, "a second peak when it lets out"
    level = p.scene.of("ns-61", "LAeq")
    assert level[p.at(60)] == pytest.approx(58, abs=3)
    assert during(p, level, 95, 265).mean() == pytest.approx(74, abs=1)
    assert during(p, level, 275, 330).max() < 65


# ---------------------------------------------------------------- S06 leak


def test_s06_vapour_reaches_one_station_after_the_other_and_not_that_upwind() -> None:
    p = play("S06")
    at = {
        d.number("downwind"): p.scene.of(d.id, "volatileOrganicCompoundsTotal")
        for d in PLACES.of("air-station")
        if "downwind" in d.attributes
    }
    upwind, near, far, farthest = (at[m] for m in sorted(at))
    assert near[p.at(0)] < 0.4
    assert near[p.at(5)] == pytest.approx(6, abs=0.7)
    arrived = first(p, far, 0.6)
    assert 10 <= arrived <= 18, "1,014 m at 1.2 m/s"
    assert far[p.at(arrived + 3)] == pytest.approx(0.9, abs=0.3)
    assert first(p, farthest, 0.4) > arrived
    still = p.plain.of("aq-21", "volatileOrganicCompoundsTotal")
    np.testing.assert_allclose(upwind, still, atol=0.02)
    decay = near[p.at(85)] / near[p.at(65)]
    assert decay == pytest.approx(np.exp(-1), abs=0.08), "tau 20 min after the source stops at 55"


def test_s06_people_call_from_below_the_plume() -> None:
    p = play("S06")
    calls = p.scene.kind("city-grid", "odourReports")
    cells = [d for d in REGISTRY if d.kind == "city-grid"]
    begun = first(p, calls.sum(axis=1) - p.plain.kind("city-grid", "odourReports").sum(axis=1), 0.5)
    assert 8 <= begun <= 16, "complaints from +8 min"
    row = calls[p.at(90)]
    assert row.sum() > 20
    source = plane([d for d in PLACES.of("air-station") if d.attributes.get("downwind") == 150.0])[0]
    middle = (plane(cells) * row[:, None]).sum(axis=0) / row.sum()
    assert np.linalg.norm(middle - source) < 2_500
    assert row[np.linalg.norm(plane(cells) - source, axis=1) > 5_000].sum() < 0.15 * row.sum()


# ---------------------------------------------------------------- S07 network


def test_s07_gateways_fall_silent_and_bring_later_what_they_kept() -> None:
    silent, frozen, skewed = play("S07").facts
    rows = arrivals("S07")
    assert 60 <= len(silent.devices) <= 100  # two gateways: those of the district's air stations
    quiet = [r for r in rows if r.device in silent.devices]
    start = play("S07").scenario.start
    assert not [r for r in quiet if start + MINUTE <= r.received < start + 95 * MINUTE]
    backlog = [r for r in quiet if start <= r.at < start + 95 * MINUTE]
    assert len(backlog) == pytest.approx(95 * len(silent.devices), rel=0.01)
    assert all(start + 95 * MINUTE <= r.received <= start + 96 * MINUTE for r in backlog)
    for device in frozen.devices:
        values = {
            tuple(sorted(r.values.items())) for r in rows if r.device == device and start <= r.at < start + 95 * MINUTE
        }
        assert len(values) == 1
    for device in skewed.devices:
        ahead = [r.at - r.received for r in rows if r.device == device and start <= r.received < start + 90 * MINUTE]
        assert np.median(ahead) == pytest.approx(47_000, abs=500)
    assert len(frozen.devices) == 8
    assert len(skewed.devices) == 3


def aqi_known(now: int) -> kpi.Air:
    hours, snapshot = air.Hours(REGISTRY, now), Snapshot(REGISTRY)
    for row in arrivals("S07"):
        if row.received <= now:
            hours.fold(row)
            snapshot.fold(row)
    return kpi.indicators(kpi.Grouping(REGISTRY), snapshot, hours, now).air


def test_s07_the_districts_aqi_is_not_given_until_the_backlog_is_there() -> None:
    """HJ 633-2026, 5.3.1: a pollutant that is missing makes no AQI, not a zero; and the zone's goes on."""
    eleven = play("S07").scenario.start - 5 * MINUTE
    lost = aqi_known(eleven + 90 * MINUTE)
    assert lost.hour == eleven
    assert lost.districts["dist:equipment"] is None
    assert lost.aqi is not None
    assert lost.districts["dist:display"] is not None
    back = aqi_known(eleven + 105 * MINUTE)
    assert back.hour == eleven
    assert back.districts["dist:equipment"] is not None


# ---------------------------------------------------------------- S08 dip


def test_s08_chillers_drop_out_signals_are_dark_and_sensors_silent() -> None:
    p = play("S08")
    inlet = p.scene.kind("server", "inletTemperature").mean(axis=1)
    assert during(p, inlet, 0, 10).max() - inlet[p.at(0)] == pytest.approx(5, abs=1.5)
    assert inlet[p.at(15)] - inlet[p.at(0)] < 1
    volts = p.scene.kind("power-unit", "voltage")
    assert volts[p.at(0)].max() < 0.75 * 400
    assert volts[p.at(2)].min() > 380
    battery = p.scene.kind("power-unit", "batteryLevel")
    assert battery[p.at(1)].mean() < battery[p.at(-1)].mean()
    dark = next(f for f in p.facts if f.what == "Signals dark")
    links = [i for i, d in enumerate(PLACES.links) if d.id in dark.devices]
    assert len({PLACES.links[i].attributes["toNode"] for i in links}) == 14
    slower, usual = tpi(p, links), tpi(p, links, plain=True)
    assert during(p, slower - usual, 3, 11).max() > 0.7
    # It is the evening peak, in which what stood in a queue is felt for long
    assert (slower - usual)[p.at(45)] < 0.3 * (slower - usual).max()
    street = next(f for f in p.facts if f.what == "Street sensors without power")
    start = p.scenario.start
    heard = [r.at for r in arrivals("S08") if r.device in street.devices]
    assert not [t for t in heard if start <= t < start + 4 * MINUTE]
    assert len([t for t in heard if start + 4 * MINUTE <= t < start + 5 * MINUTE]) == len(street.devices)


# ---------------------------------------------------------------- S09 smog


def test_s09_pm25_climbs_for_days_and_a_front_clears_it() -> None:
    p = play("S09")
    pm25 = p.scene.kind("air-station", "pm25").mean(axis=1)
    assert 40 <= pm25[p.at(0)] <= 90
    assert during(p, pm25, 55 * 60, 84 * 60).max() == pytest.approx(210, abs=25)
    daily = [during(p, pm25, h * 60, (h + 24) * 60).mean() for h in (0, 24, 48)]
    assert daily == sorted(daily)
    assert pm25[p.at(88 * 60)] < 0.3 * pm25[p.at(84 * 60)], "-70 % in 4 h"
    co = p.scene.kind("air-station", "co").mean(axis=1)
    assert co[p.at(0)] == pytest.approx(0.7, abs=0.25)
    assert during(p, co, 55 * 60, 84 * 60).max() == pytest.approx(2.1, abs=0.3)
    humidity = p.scene.kind("weather-station", "relativeHumidity").mean(axis=1)
    assert during(p, humidity, 36 * 60, 84 * 60).min() > 0.83
    assert during(p, p.scene.kind("weather-station", "windSpeed").mean(axis=1), 60, 84 * 60).max() < 1


# ---------------------------------------------------------------- S10 heat


def test_s10_each_day_is_hotter() -> None:
    p = play("S10")
    sky = p.scene.kind("weather-station", "temperature").mean(axis=1)
    tops = [during(p, sky, d * 1_440, d * 1_440 + 600).max() for d in range(3)]
    assert tops == pytest.approx([36, 38, 40.5], abs=0.6)
    o3 = p.scene.kind("air-station", "o3").mean(axis=1)
    step = int(p.scene.minute[1] - p.scene.minute[0])
    hours = [during(p, o3, m, m + 60).mean() for m in range(0, 3 * 1_440, 60)]
    eight = [max(np.mean(hours[h : h + 8]) for h in range(d * 24, d * 24 + 10)) for d in range(3)]
    assert step == 5
    assert 150 <= eight[0] <= 200, "O3 8 h of 175"
    assert 205 <= eight[2] <= 255, "to 230"
    assert eight == sorted(eight)


def test_s10_pue_climbs_and_the_grid_is_obeyed() -> None:
    p = play("S10")
    pue = p.scene.kind("compute-centre", "pue")[:, 0]
    afternoon = [during(p, pue, d * 1_440 + 60, d * 1_440 + 180).mean() for d in range(3)]
    assert afternoon[2] == pytest.approx(1.34, abs=0.025)
    assert afternoon == sorted(afternoon)
    power = p.scene.kind("compute-centre", "itPower")[:, 0]
    for day in range(3):
        before, asked = (during(p, power, day * 1_440 + m, day * 1_440 + m + 30).mean() for m in (150, 200))
        assert asked / before == pytest.approx(0.85, abs=0.06), "15 % back at 15 h"
    waiting = p.scene.kind("compute-centre", "queueLength")[:, 0]
    assert waiting[p.at(2 * 1_440 + 355)] > waiting[p.at(2 * 1_440 + 175)], "jobs put off"


# ---------------------------------------------------------------- S11 cloudburst


def test_s11_the_underpass_floods_and_is_closed() -> None:
    p = play("S11")
    assert sum(pour(m) for m in range(121)) / 60 == pytest.approx(62, abs=1)
    rail = next(d for d in REGISTRY if d.kind == "underpass" and d.attributes["under"] == "rail")
    depth = p.scene.of(rail.id, "waterDepth")
    assert depth[p.at(0)] < 0.05
    assert depth[p.at(35)] == pytest.approx(0.38, abs=0.05)
    closed = first(p, depth, 0.27)
    assert 18 <= closed <= 32
    links = PLACES.under(rail)
    flow, usual = (d.values[Domain.TRAFFIC]["intensity"][:, links] for d in (p.scene, p.plain))
    assert flow[p.at(60) : p.at(150)].mean() < 0.08 * usual[p.at(60) : p.at(150)].mean()
    assert depth[p.at(230)] < 0.05
    assert flow[p.at(255) : p.at(270)].mean() > 0.5 * usual[p.at(255) : p.at(270)].mean()
    levels = {d.id: p.scene.of(d.id, "waterDepth").max() for d in REGISTRY if d.kind == "underpass"}
    assert max(levels, key=lambda d: levels[d]) == rail.id


def test_s11_the_whole_zone_is_slower_and_the_air_washed() -> None:
    p = play("S11")
    speed, usual = (d.kind("link-detector", "averageVehicleSpeed").mean(axis=1) for d in (p.scene, p.plain))
    assert speed[p.at(6)] / usual[p.at(6)] == pytest.approx(0.85, abs=0.06)
    every = list(range(len(PLACES.links)))
    assert during(p, tpi(p, every) - tpi(p, every, plain=True), 30, 120).max() == pytest.approx(2.5, abs=1.0)
    pm25, dry = (d.kind("air-station", "pm25").mean(axis=1) for d in (p.scene, p.plain))
    assert (pm25 / dry).min() == pytest.approx(0.45, abs=0.12)


# ---------------------------------------------------------------- S12 crowd


def test_s12_the_car_park_empties_through_its_gates() -> None:
    p = play("S12")
    lot = PLACES.lots[PLACES.lot("poi:live")].id
    occupancy, out = p.scene.of(lot, "occupancy"), p.scene.of(lot, "vehicleExitCount")
    assert occupancy[p.at(0)] == pytest.approx(0.92, abs=0.04)
    assert occupancy[p.at(40)] == pytest.approx(0.37, abs=0.06)
    gates = during(p, out, 1, 8)
    assert gates.std() < 1.5, "its gates let out what they can"
    assert gates.mean() > 2 * during(p, out, -30, 0).mean()
    kerb = next(f for f in p.facts if f.what == "Kerb lane blocked").devices
    links = [i for i, d in enumerate(PLACES.links) if d.id in kerb]
    assert during(p, tpi(p, links) - tpi(p, links, plain=True), 5, 40).max() > 2
