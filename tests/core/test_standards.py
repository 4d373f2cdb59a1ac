"""The standards to the digit. Expected numbers are worked by hand, or follow from the standard's own table."""

import colorsys
import csv
import math
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import twin
from twin import standards as s
from twin.clock import DAY, HOUR, MINUTE
from twin.standards import Edition, Form, Level

DATA = Path(twin.__file__).parent / "data"
CLEAN = {"pm25": 10.0, "pm10": 20.0, "so2": 5.0, "no2": 20.0, "co": 0.5, "o3": 60.0}
T0 = 1_792_540_800_000  # 2026-10-21 08:00 in Shanghai

# Which column of table 2 each pollutant is read in
COLUMNS: dict[Form, dict[str, str]] = {
    "hour": {"pm25": "PM25_24h", "pm10": "PM10_24h", "so2": "SO2_1h", "no2": "NO2_1h", "co": "CO_1h_mg", "o3": "O3_1h"},
    "day": {
        "pm25": "PM25_24h", "pm10": "PM10_24h", "so2": "SO2_24h", "no2": "NO2_24h", "co": "CO_24h_mg", "o3": "O3_8h"
    },
}  # fmt: skip


class Line(NamedTuple):
    """One straight piece of table 2."""

    edition: Edition
    form: Form
    pollutant: str
    low: tuple[Fraction, int]
    high: tuple[Fraction, int]
    last: bool


def lines() -> Iterator[Line]:
    editions: tuple[Edition, ...] = ("2026", "2012")
    for edition in editions:
        rows = list(csv.DictReader((DATA / f"iaqi_hj633_{edition}.csv").open(encoding="utf-8")))
        for form, columns in COLUMNS.items():
            for pollutant, column in columns.items():
                points = [(Fraction(r[column]), int(r["IAQI"])) for r in rows if r[column]]
                for low, high in pairwise(points):
                    yield Line(edition, form, pollutant, low, high, high == points[-1])


class TestIaqi:
    @pytest.mark.parametrize("line", list(lines()), ids=lambda x: f"{x.edition}-{x.form}-{x.pollutant}-{x.high[0]}")
    def test_at_every_breakpoint_and_one_step_to_each_side(self, line: Line) -> None:
        (c_lo, i_lo), (c_hi, i_hi) = line.low, line.high
        step = Fraction(1, 10) if line.pollutant == "co" else Fraction(1)

        def index(c: Fraction) -> int | None:
            return s.iaqi(line.pollutant, float(c), line.edition, form=line.form)

        for c in (c_lo, c_lo + step, c_hi - step, c_hi):
            assert index(c) == math.ceil(i_lo + (i_hi - i_lo) * (c - c_lo) / (c_hi - c_lo)), c
        assert (index(c_lo), index(c_hi)) == (i_lo, i_hi)
        if line.last:
            assert index(c_hi + step) == (500 if i_hi == 500 else None)

    def test_there_are_two_columns_that_end_at_800(self) -> None:
        ends = {(x.form, x.pollutant, x.high) for x in lines() if x.last and x.high[1] != 500}
        assert ends == {("hour", "so2", (Fraction(800), 200)), ("day", "o3", (Fraction(800), 300))}

    @pytest.mark.parametrize(
        ("pollutant", "concentration", "index"),
        [
            ("pm25", 36, 52),  # (100-50)/(60-35)*1+50 = 52
            ("pm25", 61, 101),  # 100 + 50/55, up
            ("pm25", 200, 250),  # 200 + 100/100*50
            ("pm25", 900, 500),
            ("pm10", 121, 101),  # 100 + 50/130, up
            ("pm10", 850, 500),
            ("co", 0.1, 1),
            ("co", 5.1, 51),  # 50 + 50/5*0.1 = 51 exactly: no binary noise may make it 52
            ("co", 8.3, 83),
            ("o3", 201, 101),
            ("no2", 201, 101),  # 100 + 50/500
        ],
    )
    def test_by_hand(self, pollutant: str, concentration: float, index: int) -> None:
        assert s.iaqi(pollutant, concentration) == index

    def test_the_editions_differ_where_the_standard_changed(self) -> None:
        assert s.iaqi("pm25", 60, "2012") == 82  # (100-50)/(75-35)*25+50 = 81.25, rounded up
        assert s.iaqi("pm10", 120, "2012") == 85
        differing = {
            x.pollutant
            for x in lines()
            if s.iaqi(x.pollutant, float(x.high[0]), "2012", form=x.form)
            != s.iaqi(x.pollutant, float(x.high[0]), form=x.form)
        }
        assert differing == {"pm25", "pm10"}

    @pytest.mark.parametrize(
        ("pollutant", "concentration", "as_reported"),
        [
            ("pm25", 35.4, 35), ("pm25", 35.5, 36), ("pm25", 36.5, 36), ("pm25", 36.51, 37), ("pm25", 0.5, 0),
            ("co", 5.04, 5.0), ("co", 5.05, 5.0), ("co", 5.15, 5.2), ("co", 0.35, 0.4), ("co", 0.45, 0.4),
        ],
    )  # fmt: skip
    def test_a_half_goes_to_the_even_neighbour(self, pollutant: str, concentration: float, as_reported: float) -> None:
        assert s.reported(pollutant, concentration) == as_reported
        assert s.iaqi(pollutant, concentration) == s.iaqi(pollutant, as_reported)

    def test_the_noise_of_a_sum_does_not_decide_a_half(self) -> None:
        assert s.rounded(35.5 - 1e-13, 0) == s.rounded(35.5, 0) == 36
        assert s.rounded(1e9 + 0.25, 1) == Decimal("1000000000.2")

    @pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf])
    def test_what_is_no_concentration_is_refused(self, wrong: float) -> None:
        with pytest.raises(ValueError, match="pm25"):
            s.iaqi("pm25", wrong)

    @given(
        st.sampled_from(s.POLLUTANTS), st.sampled_from(["2026", "2012"]), st.sampled_from(["hour", "day"]),
        st.floats(0, 3000), st.floats(0, 3000),
    )  # fmt: skip
    def test_more_is_never_better(self, pollutant: str, edition: Edition, form: Form, a: float, b: float) -> None:
        less, more = (s.iaqi(pollutant, c, edition, form=form) for c in sorted((a, b)))
        assert less is not None or more is None
        assert less is None or more is None or 0 <= less <= more <= 500


class TestAqi:
    def test_the_worst_pollutant_leads_and_none_does_when_air_is_excellent(self) -> None:
        found = s.aqi(CLEAN | {"pm25": 80.0})
        assert (found.value, found.primary, found.exceeding) == (119, ("pm25",), ("pm25",))
        assert found.parts == {p: s.iaqi(p, c) for p, c in (CLEAN | {"pm25": 80.0}).items()}
        assert s.aqi(CLEAN)[:3] == (20, (), ())
        # 50 is excellent still, 51 has a primary pollutant; 100 is within the standard, 101 exceeds it
        assert s.aqi(CLEAN | {"no2": 100.0})[:3] == (50, (), ())
        assert s.aqi(CLEAN | {"no2": 101.0})[:3] == (51, ("no2",), ())
        assert s.aqi(CLEAN | {"no2": 200.0})[:3] == (100, ("no2",), ())
        assert s.aqi(CLEAN | {"no2": 201.0})[:3] == (101, ("no2",), ("no2",))

    def test_equals_share_the_lead(self) -> None:
        found = s.aqi(CLEAN | {"pm25": 60.0, "pm10": 120.0, "o3": 200.0})
        assert (found.value, found.primary) == (100, ("pm25", "pm10", "o3"))
        assert s.aqi(CLEAN | {"pm25": 115.0, "o3": 250.0})[1:3] == (("pm25",), ("pm25", "o3"))

    @pytest.mark.parametrize("missing", s.POLLUTANTS)
    def test_a_missing_pollutant_forbids_a_value_unless_another_is_over_100(self, missing: str) -> None:
        other = "no2" if missing == "pm25" else "pm25"
        at_100, at_101 = (200.0, 201.0) if other == "no2" else (60.0, 61.0)
        some = {p: c for p, c in CLEAN.items() if p != missing}
        assert s.aqi(some)[:3] == (None, (), ())
        assert s.aqi(some | {other: at_100}).value is None
        assert s.aqi(some | {other: at_101})[:3] == (101, (other,), (other,))

    def test_of_nothing_there_is_none(self) -> None:
        assert s.aqi({}) == s.aqi({"windSpeed": 3.0}) == (None, (), (), {})

    def test_sulphur_dioxide_above_800_is_reported_by_its_day(self) -> None:
        high = CLEAN | {"so2": 801.0}
        assert s.aqi(high).value is None
        assert s.aqi(high | {"pm25": 61.0}).value == 101
        assert s.aqi(high, other={"so2": 475.0})[:2] == (150, ("so2",))
        assert s.aqi(CLEAN | {"so2": 800.0}, other={"so2": 475.0}).value == 200

    def test_ozone_of_eight_hours_above_800_is_reported_by_its_hour(self) -> None:
        assert s.aqi(CLEAN | {"o3": 800.0}, form="day").value == 300
        assert s.aqi(CLEAN | {"o3": 801.0}, form="day").value is None
        assert s.aqi(CLEAN | {"o3": 801.0}, form="day", other={"o3": 1000.0})[:2] == (400, ("o3",))

    def test_a_day_is_judged_by_its_own_columns(self) -> None:
        day = {"pm25": 30.0, "pm10": 60.0, "so2": 40.0, "no2": 60.0, "co": 1.0, "o3": 130.0}
        # no2 50+50*20/40 = 75, o3 50+50*30/60 = 75, pm10 50+50*10/70 = 57.1; by the hour the first two are under 50
        assert s.aqi(day, form="day")[:2] == (75, ("no2", "o3"))
        assert s.aqi(day).parts["no2"] == 30

    @given(st.fixed_dictionaries({p: st.floats(0, 600) for p in s.POLLUTANTS}), st.sampled_from(s.POLLUTANTS))
    def test_it_is_the_greatest_part_and_grows_with_each(self, air: dict[str, float], worse: str) -> None:
        found = s.aqi(air)
        assert found.value == max(found.parts.values())
        assert set(found.primary) == {p for p, i in found.parts.items() if i == found.value and i > 50}
        more = s.aqi(air | {worse: air[worse] * 1.3}).value
        assert more is None or more >= found.value

    def test_levels_begin_one_above_the_last(self) -> None:
        indices = (0, 50, 51, 100, 101, 150, 151, 200, 201, 300, 301, 500)
        assert [s.aqi_level(i) for i in indices] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
        assert [b.label for b in s.AIR.bands][:3] == ["Excellent", "Good", "Lightly polluted"]


def test_screen_colours_keep_the_hue_of_the_standard_and_stand_out_from_the_wall() -> None:
    def rgb(text: str) -> tuple[float, ...]:
        return tuple(int(text[i : i + 2], 16) / 255 for i in (1, 3, 5))

    def luminance(text: str) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb(text)]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    rows = list(csv.DictReader((DATA / "aqi_levels.csv").open(encoding="utf-8")))
    hues = {}
    for row in rows:
        assert (luminance(row["screen_hex"]) + 0.05) / (luminance("#08111f") + 0.05) >= 3, row["colour_zh"]
        hues[row["colour_zh"]] = colorsys.rgb_to_hsv(*rgb(row["screen_hex"]))[0] * 360
    # 紫 is named for a hue that its own RGB (330°) leaves towards red
    expected = {"绿色": 125, "黄色": 55, "橙色": 28, "红色": 0, "紫色": 290, "褐红色": 348}
    assert {name: round(hue) for name, hue in hues.items()} == pytest.approx(expected, abs=15)
    assert [b.colour for b in s.AIR.bands] == [row["screen_hex"] for row in rows]


class TestMeans:
    def test_an_hour_needs_45_minutes(self) -> None:
        assert s.hour_mean([1.0, 2.0, 4.5], 45) == 2.5
        assert s.hour_mean([1.0, 2.0, 4.5], 44) is None
        assert s.hour_mean([], 60) is None

    def test_eight_hours_need_six(self) -> None:
        assert s.eight_hour_means([1.0] * 7) == []
        assert s.eight_hour_means([None, None, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 100.0]) == [3.5, pytest.approx(121 / 7)]
        assert s.eight_hour_means([None, None, None, 1.0, 2.0, 3.0, 4.0, 5.0]) == [None]

    def test_a_day_needs_twenty_hours(self) -> None:
        assert s.day_mean([4.0] * 20 + [None] * 4) == 4.0
        assert s.day_mean([4.0] * 19 + [None] * 5) is None

    def test_the_highest_eight_hours_need_fourteen_unless_over_the_limit(self) -> None:
        afternoon = [50.0] * 12 + [150.0] * 8 + [50.0] * 4
        assert s.highest_eight_hours(afternoon) == 150.0
        # The first three windows have five hours at most: 14 are left; then 13
        assert s.highest_eight_hours([None] * 5 + afternoon[5:]) == 150.0
        assert s.highest_eight_hours([None] * 6 + afternoon[6:]) is None
        assert s.highest_eight_hours([None] * 6 + [161.0] * 18) == 161.0
        assert s.highest_eight_hours([None] * 24) is None

    def test_a_day_of_hours_makes_the_concentrations_of_its_form(self) -> None:
        hours: dict[str, list[float | None]] = {p: [20.0] * 24 for p in s.POLLUTANTS}
        hours["o3"] = [50.0] * 12 + [150.0] * 8 + [50.0] * 4
        hours["co"] = [1.0] * 10 + [None] * 14
        assert s.daily(hours) == {"pm25": 20.0, "pm10": 20.0, "so2": 20.0, "no2": 20.0, "o3": 150.0}


class TestTraffic:
    @pytest.mark.parametrize(("ratio", "index", "state"), [
        (1.2, 0, 0), (1.0, 0, 0), (0.71, 1.9333, 0), (0.7, 2, 1), (0.6, 3, 1), (0.5, 4, 2), (0.4, 6, 3), (0.3, 8, 4),
        (0.0, 10, 4),
    ])  # fmt: skip
    def test_index_by_speed_ratio(self, ratio: float, index: float, state: int) -> None:
        assert s.tpi(60 * ratio, 60) == pytest.approx(index, abs=1e-4)
        assert s.traffic_state(round(s.tpi(60 * ratio, 60), 9)) == state

    def test_the_bounds_on_delay_are_those_on_speed(self) -> None:
        for row in csv.DictReader((DATA / "traffic_gbt33171_2016.csv").open(encoding="utf-8")):
            assert s.delay_share(float(row["speed_ratio_to"]) * 60, 60) == pytest.approx(float(row["delay_from"]))
        assert s.delay_share(70, 60) == 0.0

    @pytest.mark.parametrize(("speed", "road_class", "state"), [
        (65.1, "expressway", 0), (65, "expressway", 1), (20, "expressway", 4),
        (40.5, "arterial", 0), (40, "arterial", 1), (30, "arterial", 2), (20, "arterial", 3), (15, "arterial", 4),
        (36, "collector", 0), (10.1, "local", 3), (10, "local", 4),
    ])  # fmt: skip
    def test_state_by_absolute_speed(self, speed: float, road_class: str, state: int) -> None:
        assert s.state_by_speed(speed, road_class) == state


class TestNoise:
    def test_limits_by_class_and_hour(self) -> None:
        assert [s.noise_excess(70, "4a", h) for h in (5, 6, 21, 22)] == [15, 0, 0, 15]
        assert s.noise_excess(44, "1", 12) == -11
        assert {c: s.noise_excess(0, c, 23) for c in ("0", "1", "2", "3", "4b", "4b-existing")} == {
            "0": -40, "1": -45, "2": -50, "3": -55, "4b": -60, "4b-existing": -55,
        }  # fmt: skip

    def test_at_the_limit_it_is_within(self) -> None:
        assert [s.NOISE.band(x) for x in (-1, 0, 0.1, 5, 5.1)] == [0, 0, 1, 1, 2]

    def test_a_sudden_noise_at_night_may_be_15_over(self) -> None:
        assert s.night_peak_excess(70, "4a", 23) == 0
        assert s.night_peak_excess(90, "4a", 12) is None

    def test_levels_add_as_energies(self) -> None:
        assert s.equivalent_level([60, 60]) == pytest.approx(60)
        assert s.equivalent_level([70, 0]) == pytest.approx(70 - 10 * math.log10(2))
        assert s.equivalent_level([]) is None


class TestWater:
    def test_the_class_is_that_of_the_worst_item(self) -> None:
        assert s.water_class({"O2": 8.0, "NH4": 0.1, "P-TOT": 0.01, "cod": 10.0}) == 0
        assert s.water_quality({"O2": 4.0, "NH4": 0.1, "P-TOT": 0.25}) == (3, ("O2", "P-TOT"))
        assert s.water_quality({"NH4": 2.5}) == (5, ("NH4",))

    @pytest.mark.parametrize(
        ("item", "limits"),
        [("O2", (7.5, 6, 5, 3, 2)), ("cod", (15, 15, 20, 30, 40)), ("NH4", (0.15, 0.5, 1.0, 1.5, 2.0)),
         ("P-TOT", (0.02, 0.1, 0.2, 0.3, 0.4))],
    )  # fmt: skip
    def test_a_value_on_a_limit_keeps_its_class(self, item: str, limits: tuple[float, ...]) -> None:
        worse = -0.001 if item == "O2" else 0.001
        for i, limit in enumerate(limits):
            assert s.water_class({item: limit}) == limits.index(limit)
            assert s.water_class({item: limit + worse}) == max(k for k, x in enumerate(limits) if x == limit) + 1, i

    def test_acidity_can_only_spoil_a_class(self) -> None:
        assert s.water_class({"pH": 7.0}) is None
        assert s.water_quality({"pH": 9.0, "NH4": 0.3}) == (1, ("NH4",))
        assert s.water_quality({"pH": 9.01, "NH4": 0.3}) == (5, ("pH",))
        assert s.water_quality({"pH": 5.9}) == (5, ("pH",))
        assert s.water_quality({"turbidity": 9.0}) is None


class TestFacilities:
    @pytest.mark.parametrize(
        ("value", "band"), [(0.59, 0), (0.6, 1), (0.8, 2), (0.9, 3), (0.999, 3), (1.0, 4), (1.2, 4)]
    )
    def test_parking(self, value: float, band: int) -> None:
        assert s.PARKING.band(value) == band

    def test_what_is_at_most_a_target_meets_it(self) -> None:
        assert [s.PUE.band(x) for x in (1.25, 1.251, 1.30, 1.301, 1.5, 1.51)] == [0, 1, 1, 2, 2, 3]
        assert [s.COLD_AISLE.band(x) for x in (27.0, 27.1, 35.0, 35.1)] == [0, 1, 3, 4]
        assert [s.pue_grade(x) for x in (1.2, 1.21, 1.3, 1.5, 1.501)] == [1, 2, 2, 3, None]

    def test_the_ranges_of_a_data_hall(self) -> None:
        assert [s.data_centre_excess("inletTemperature", t) for t in (16.5, 18, 27, 30)] == [-1.5, 0, 0, 3]
        assert s.data_centre_excess("relativeHumidity", 0.1) == 0
        assert s.data_centre_excess("relativeHumidity", 0.7) == pytest.approx(0.1)


def window(*readings: tuple[float, float]) -> s.Window:
    """(minutes before T0, value) of each."""
    return s.Window(np.array([T0 - round(m * MINUTE) for m, _ in readings]), np.array([float(v) for _, v in readings]))


def every_minute(hours: float, value: float, end: float = 0) -> s.Window:
    return window(*((end + m, value) for m in range(round(hours * 60))))


class TestWeatherSignals:
    def test_levels_are_ordered_as_their_colours(self) -> None:
        assert list(Level) == sorted(Level)
        assert [x.name for x in Level] == ["NONE", "BLUE", "YELLOW", "ORANGE", "RED"]
        assert s.EMERGENCY[Level.RED] == ("一级", "Ⅰ", "特别重大")
        assert s.EMERGENCY[Level.BLUE] == ("四级", "Ⅳ", "一般")

    @pytest.mark.parametrize(("hours", "mm", "level"), [
        (12, 49.9, Level.NONE), (12, 50, Level.BLUE), (6, 50, Level.YELLOW), (3, 50, Level.ORANGE),
        (3, 99.9, Level.ORANGE), (3, 100, Level.RED), (2, 62, Level.ORANGE), (24, 90, Level.NONE), (13, 50, Level.NONE),
    ])  # fmt: skip
    def test_rain_by_what_fell(self, hours: float, mm: float, level: Level) -> None:
        assert s.weather_signal("rainstorm", {"precipitation": every_minute(hours, mm / hours / 60)}, T0) == level

    def test_rain_of_yesterday_is_no_warning(self) -> None:
        assert s.weather_signal("rainstorm", {"precipitation": every_minute(3, 1.0, end=12 * 60)}, T0) == Level.NONE

    @pytest.mark.parametrize(("mean", "gust", "level"), [
        (10.7, None, Level.NONE), (10.8, None, Level.BLUE), (5, 13.9, Level.BLUE), (17.2, 18, Level.YELLOW),
        (5, 20.8, Level.YELLOW), (24.5, 25, Level.ORANGE), (20, 28.5, Level.ORANGE),
        (32.7, 33, Level.RED), (30, 37, Level.RED),
    ])  # fmt: skip
    def test_wind_by_mean_or_gust(self, mean: float, gust: float | None, level: Level) -> None:
        windows = {"windSpeed": window((30, mean))} | ({} if gust is None else {"gustSpeed": window((30, gust))})
        assert s.weather_signal("gale", windows, T0) == level

    def test_a_strong_wind_pales_as_it_passes(self) -> None:
        def after(hours: float) -> Level:
            return s.weather_signal("gale", {"windSpeed": window((hours * 60, 25.0))}, T0)

        assert [after(h) for h in (5, 7, 13, 25)] == [Level.ORANGE, Level.YELLOW, Level.BLUE, Level.NONE]

    @pytest.mark.parametrize(("highest", "level"), [
        ((36, 34.9, 36), Level.NONE), ((35, 35, 35), Level.YELLOW), ((20, 20, 37), Level.ORANGE),
        ((36, 38, 40.5), Level.RED), ((40, 40, 34), Level.NONE), ((36, 38, 36.9), Level.YELLOW),
    ])  # fmt: skip
    def test_heat_by_the_last_three_days(self, highest: tuple[float, ...], level: Level) -> None:
        days = window(*(((2 - i) * 24 * 60 + 600, t) for i, t in enumerate(highest)))
        assert s.weather_signal("heat", {"temperature": days}, T0) == level

    def test_heat_needs_every_day_measured(self) -> None:
        assert s.weather_signal("heat", {"temperature": window((10, 36), (60 * 60, 36))}, T0) == Level.NONE

    @pytest.mark.parametrize(("hazard", "metres", "level"), [
        ("sandstorm", 1000, Level.NONE), ("sandstorm", 999, Level.YELLOW), ("sandstorm", 499, Level.ORANGE),
        ("sandstorm", 49, Level.RED), ("fog", 500, Level.NONE), ("fog", 499, Level.YELLOW), ("fog", 199, Level.ORANGE),
        ("fog", 49, Level.RED),
    ])  # fmt: skip
    def test_dust_and_fog_by_visibility(self, hazard: str, metres: float, level: Level) -> None:
        assert s.weather_signal(hazard, {"visibility": window((90, 20_000), (60, metres), (5, 20_000))}, T0) == level

    def test_dense_fog_is_red_for_two_hours(self) -> None:
        found = [s.weather_signal("fog", {"visibility": window((h * 60, 40.0))}, T0) for h in (1, 3, 7, 13)]
        assert found == [Level.RED, Level.ORANGE, Level.YELLOW, Level.NONE]

    def test_nothing_measured_warns_of_nothing(self) -> None:
        for hazard in s.HAZARDS:
            assert s.weather_signal(hazard, {}, T0) == Level.NONE
            quantities = ("precipitation", "windSpeed", "gustSpeed", "temperature", "visibility")
            assert s.weather_signal(hazard, {q: window() for q in quantities}, T0) == Level.NONE
        with pytest.raises(ValueError, match="rainstorm"):
            s.weather_signal("hail", {}, T0)

    @given(
        st.lists(st.tuples(st.integers(0, 4320), st.floats(0, 60)), max_size=20), st.floats(0, 40), st.integers(0, 719)
    )
    def test_more_rain_never_lowers_a_signal(self, rain: list[tuple[int, float]], more: float, ago: int) -> None:
        before, after = (
            s.weather_signal("rainstorm", {"precipitation": window(*some)}, T0) for some in (rain, [*rain, (ago, more)])
        )
        assert after >= before

    def test_the_window_is_open_at_its_beginning(self) -> None:
        edge = s.Window(np.array([T0 - 3 * HOUR, T0]), np.array([60.0, 49.0]))
        assert edge.last(3 * HOUR, T0).tolist() == [49.0]
        assert edge.last(DAY, T0 - 1).tolist() == [60.0]


class TestHeavyPollution:
    @pytest.mark.parametrize(("days", "level"), [
        ([], Level.NONE), ([200], Level.NONE), ([201], Level.YELLOW), ([151, 151], Level.YELLOW), ([151], Level.NONE),
        ([210, 210], Level.ORANGE), ([151, 160, 170], Level.ORANGE), ([210, 210, 210], Level.ORANGE),
        ([210, 301, 210], Level.RED), ([301, 210, 210], Level.RED),
        ([301, 150, 210], Level.YELLOW), ([400, 400], Level.ORANGE), ([210, None, 210], Level.YELLOW),
        ([210, 210, 210, 90], Level.NONE), ([310, 310, 310, None], Level.NONE),
    ])  # fmt: skip
    def test_by_the_edition_of_2024(self, days: list[int | None], level: Level) -> None:
        assert s.heavy_pollution(days) == level

    @pytest.mark.parametrize(("days", "level"), [
        ([201], Level.NONE), ([201, 201], Level.YELLOW), ([201] * 3, Level.ORANGE), ([201] * 4, Level.ORANGE),
        ([201, 301, 301, 201], Level.RED), ([301, 201, 301, 201], Level.ORANGE),
        ([500], Level.RED), ([499], Level.NONE), ([301, 301, 201], Level.ORANGE),
    ])  # fmt: skip
    def test_by_the_edition_before(self, days: list[int | None], level: Level) -> None:
        assert s.heavy_pollution(days, "2021") == level

    @given(st.lists(st.integers(0, 500), min_size=1, max_size=8), st.integers(0, 7), st.sampled_from(["2024", "2021"]))
    def test_a_worse_day_never_lowers_it(self, days: list[int], i: int, edition: s.PollutionEdition) -> None:
        worse = list(days)
        worse[i % len(days)] = min(500, worse[i % len(days)] + 60)
        assert s.heavy_pollution(worse, edition) >= s.heavy_pollution(days, edition)


@pytest.mark.parametrize(
    ("discharge", "level"),
    [(2_999.9, Level.NONE), (3_000, Level.BLUE), (4_499, Level.BLUE), (4_500, Level.YELLOW), (6_050, Level.YELLOW)],
)
def test_flood_levels_of_the_wei(discharge: float, level: Level) -> None:
    assert s.flood_level(discharge) == level


def test_every_table_says_where_it_is_from() -> None:
    for file in DATA.glob("*.csv"):
        header = file.read_text(encoding="utf-8").splitlines()[0]
        assert "source" in header or file.name.startswith("iaqi_"), file.name
