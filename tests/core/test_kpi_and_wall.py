"""From observations to what the wall says."""

import json
import re
from typing import Any

import msgspec
import pytest

from dashboards.views.wall import MISSING, wall
from tests.zone import SMALL, T0, device, seen
from twin import air, kpi, snapshot
from twin.clock import HOUR, MINUTE
from twin.observation import Domain, Observation
from twin.registry import Registry

AIR = {"pm25": 80.0, "pm10": 100.0, "so2": 5.0, "no2": 20.0, "co": 0.5, "o3": 60.0}
FULL = [
    seen("td-1", averageVehicleSpeed=60.0, intensity=900.0),
    seen("td-2", averageVehicleSpeed=60.0, intensity=900.0),
    seen("td-3", averageVehicleSpeed=24.0, intensity=900.0),
    *(seen("aq-1", T0 - i * MINUTE, **AIR) for i in range(61)),
    seen("ns-1", LAeq=72.0, LAmax=80.0),
    seen("ws-1", temperature=7.25, relativeHumidity=0.61, windSpeed=2.0, windDirection=350.0, precipitation=0.0),
    seen("wt-1", waterLevel=382.1, waterDischarge=88.0, O2=8.0, NH4=0.7),
    seen("pk-1", occupiedSpotNumber=150.0, availableSpotNumber=50.0, occupancy=0.75),
    seen("pk-2", occupiedSpotNumber=99.0, availableSpotNumber=1.0, occupancy=0.99),
    seen("cc-1", gpuUtilization=0.62, fp16Pflops=186.0, facilityPower=560.0, itPower=450.0, pue=1.244, queueLength=4.0),
    seen("sv-1", inletTemperature=28.0, gpuUtilization=0.7),
    seen("sl-1", illuminanceOn=1.0),
    seen("mh-1", coverOpen=1.0, waterDepth=0.1),
    seen("up-1", waterDepth=0.3),
]


def indicators(*observations: Observation, now: int = T0, registry: Registry = SMALL) -> kpi.Indicators:
    hours = air.Hours(registry, now)
    for observation in observations:
        hours.fold(observation)
    return kpi.indicators(kpi.Grouping(registry), snapshot.of(registry, observations), hours, now)


def test_traffic_is_weighted_by_length_and_lanes() -> None:
    t = indicators(*FULL).traffic
    # two free links of 1 km and one of 3 km at TPI 6
    assert t.tpi == pytest.approx(6 * 3 / 5, abs=0.01)
    assert t.speed == pytest.approx((60 + 60 + 24 * 3) / 5, abs=0.1)
    assert t.congested_km == 3.0
    assert [(r.road, r.state) for r in t.roads] == [("road:ns:03", 3), ("road:ew:05", 0)]


def test_parking_adds_up() -> None:
    p = indicators(*FULL).parking
    assert (p.free, p.capacity) == (51, 300)
    assert p.occupancy == pytest.approx(249 / 300)
    assert [lot.device for lot in p.lots] == ["pk-2", "pk-1"]


def test_a_lost_car_park_leaves_both_sides_of_the_ratio() -> None:
    p = indicators(*(o for o in FULL if o.device != "pk-2")).parking
    assert p.occupancy == pytest.approx(0.75)
    assert (p.coverage.known, p.coverage.total) == (1, 2)


def test_the_rest_of_the_zone() -> None:
    found = indicators(*FULL)
    assert (found.air.aqi, found.air.level, found.air.primary) == (119, 2, ("pm25",))
    assert found.noise.within == 0.0
    assert (found.water.discharge, found.water.worst) == (88.0, 2)
    assert (found.compute.hottest, found.compute.hot) == (28.0, 1)
    assert (found.city.open_covers, found.city.closed_underpasses, found.city.lit) == (1, 1, 1.0)
    assert found.weather.values["windDirection"] == pytest.approx(350.0)
    assert found.unknown == 0
    assert found.domains[Domain.TRAFFIC] == kpi.Coverage(3, 3, T0)


class TestAir:
    """The hourly report: of the last complete clock hour, T0 being 08:00 in Shanghai."""

    STATIONS = Registry(
        [
            msgspec.structs.replace(device(f"aq-{i}", "air-station"), district=district)
            for i, district in enumerate(["dist:river", "dist:river", "dist:display"], 1)
        ]
    )

    def hour(self, station: str, start: int = T0 - HOUR, n: int = 60, **values: float) -> list[Observation]:
        return [seen(station, start + i * MINUTE, **(AIR | values)) for i in range(n)]

    def test_it_is_of_the_hour_that_is_complete(self) -> None:
        before, after = self.hour("aq-1", pm25=200.0), self.hour("aq-1", T0, pm25=10.0)
        for now, aqi in ((T0, 250), (T0 + HOUR - 1, 250), (T0 + HOUR, 86)):
            found = indicators(*before, *after, now=now).air
            assert (found.hour, found.aqi) == (now // HOUR * HOUR - HOUR, aqi)
        # 86: pm10 of 100 leads then, 50 + 50/70*50 = 85.7
        assert indicators(*before, *after, now=T0 + HOUR).air.primary == ("pm10",)

    def test_it_is_of_the_mean_over_the_stations(self) -> None:
        readings = [*self.hour("aq-1", pm25=80.0), *self.hour("aq-2", pm25=115.0), *self.hour("aq-3", pm25=90.5)]
        found = indicators(*readings, registry=self.STATIONS).air
        # 95.16 is 95 as reported: 100 + 50/55*35 = 131.8
        assert (found.aqi, found.concentrations["pm25"], found.stations) == (132, 95.0, 3)
        # 97.5 → 98 → 134.5; 90.5 → 90 → 127.3
        assert found.districts == {"dist:river": 135, "dist:display": 128}

    def test_a_district_that_lost_its_stations_has_none(self) -> None:
        readings = [*self.hour("aq-1"), *self.hour("aq-3", n=44)]
        found = indicators(*readings, registry=self.STATIONS).air
        assert found.districts == {"dist:river": 119, "dist:display": None}
        assert (found.aqi, found.stations) == (119, 1)
        view = wall(indicators(*readings, registry=self.STATIONS), "zh", simulated=False)
        assert view["air"]["hour"] == "7–8时 · 1/3站"

    def test_without_a_full_hour_there_is_none_and_the_wall_says_why(self) -> None:
        found = indicators(*self.hour("aq-1", n=44))
        assert (found.air.hour, found.air.aqi, found.air.level) == (None, None, None)
        view = wall(found, "zh", simulated=False)["air"]
        assert (view["aqi"], view["level"], view["hour"], view["colour"]) == (MISSING, "尚无完整小时", "", "")
        assert wall(found, "en", simulated=False)["air"]["level"] == "no full hour yet"

    def test_with_a_pollutant_missing_there_is_none_and_the_wall_says_which(self) -> None:
        clean = {p: c for p, c in AIR.items() if p != "o3"} | {"pm25": 20.0}
        some = [seen("aq-1", T0 - HOUR + i * MINUTE, **clean) for i in range(60)]
        found = indicators(*some)
        assert (found.air.hour, found.air.aqi) == (T0 - HOUR, None)
        assert wall(found, "zh", simulated=False)["air"]["level"] == "缺O₃"
        fewer = [seen("aq-1", o.at, pm25=20.0) for o in some]
        assert wall(indicators(*fewer), "en", simulated=False)["air"]["level"] == "5 pollutants missing"
        dirty = [seen("aq-1", o.at, **(clean | {"pm25": 80.0})) for o in some]
        assert indicators(*dirty).air.aqi == 119

    def test_the_badge_has_the_colour_that_the_map_gives_such_air(self) -> None:
        view = wall(indicators(*FULL), "zh", simulated=True)
        assert view["air"]["colour"] == snapshot.BANDS["air-station"][2].colour
        assert view["air"]["hour"] == "7–8时"


def test_silence_is_told_latest_first_and_never_counts_as_zero() -> None:
    found = indicators(seen("td-1", averageVehicleSpeed=50.0), seen("td-2", T0 - 200_000, averageVehicleSpeed=9.0))
    assert found.unknown == len(SMALL) - 1
    assert found.silent[0].device == "td-2"
    assert [s.device for s in found.silent if s.last] == ["td-2"]
    assert found.parking.occupancy is None
    assert found.air.aqi is None
    assert found.traffic.speed == 50.0


def test_indicators_survive_the_wire() -> None:
    found = indicators(*FULL)
    assert msgspec.json.decode(msgspec.json.encode(found), type=kpi.Indicators).parking == kpi.Parking(
        found.parking.coverage, found.parking.occupancy, 51, 300, list(found.parking.lots)
    )


def texts(view: Any) -> list[str]:
    if isinstance(view, dict):
        return [t for v in view.values() for t in texts(v)]
    if isinstance(view, list):
        return [t for v in view for t in texts(v)]
    return [view] if isinstance(view, str) else []


def test_the_wall_in_chinese() -> None:
    view = wall(indicators(*FULL), "zh", simulated=True)
    assert view["traffic"]["state"] == "基本畅通"
    assert view["traffic"]["tpi"] == "3.6"
    assert (view["air"]["aqi"], view["air"]["level"], view["air"]["primary"]) == ("119", "轻度污染", "PM2.5")
    assert view["parking"]["state"] == "紧张"
    assert view["weather"]["text"] == "7.2 ℃  ·  湿度 61 %  ·  北风 2.0 m/s"
    assert view["simulated"] == "模拟数据"
    assert view["city"]["depth"] == "30"
    assert view["city"]["depthTone"] == "severe"
    assert view["silent"]["rows"][0]["cells"][0] == "全部设备在线"


def test_the_wall_in_english() -> None:
    view = wall(indicators(*FULL), "en", simulated=False)
    assert view["traffic"]["state"] == "Mostly free"
    assert view["simulated"] == ""
    assert not [t for t in texts(view) if re.search("[一-鿿]", t) and "世纪大道" not in t and "设备" not in t]


def test_a_zone_that_says_nothing_shows_dashes_and_no_green() -> None:
    view = wall(indicators(), "zh", simulated=False)
    for path in ("traffic.tpi", "air.aqi", "parking.free", "compute.pue", "city.depth", "city.covers"):
        block, name = path.split(".")
        assert view[block][name] == MISSING, path
    for block in ("traffic", "air", "parking"):
        assert view[block]["tone"] == "none"
        assert view[block]["coverageTone"] == "none"
    assert "None" not in json.dumps(view, ensure_ascii=False)
    assert "nan" not in json.dumps(view)
