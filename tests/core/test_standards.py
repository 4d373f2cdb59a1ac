import pytest

from twin import standards as s

CLEAN = {"pm25": 10.0, "pm10": 20.0, "so2": 5.0, "no2": 20.0, "co": 0.5, "o3": 60.0}


@pytest.mark.parametrize(
    ("pollutant", "concentration", "index"),
    [
        ("pm25", 0, 0),
        ("pm25", 35, 50),
        ("pm25", 36, 52),  # (100-50)/(60-35)*1+50 = 52
        ("pm25", 60, 100),
        ("pm25", 61, 101),  # 0.909 up
        ("pm25", 35.4, 50),  # concentrations are whole numbers first
        ("pm25", 35.5, 52),
        ("pm25", 500, 500),
        ("pm25", 900, 500),
        ("pm10", 120, 100),
        ("co", 5, 50),
        ("co", 5.04, 50),
        ("co", 5.05, 51),
        ("so2", 800, 200),
        ("so2", 2000, 200),
        ("o3", 200, 100),
        ("no2", 700, 150),
    ],
)
def test_iaqi_2026(pollutant: str, concentration: float, index: int) -> None:
    assert s.iaqi(pollutant, concentration) == index


def test_the_editions_differ_where_the_standard_changed() -> None:
    assert s.iaqi("pm25", 60, "2012") == 82  # (100-50)/(75-35)*25+50 = 81.25, rounded up
    assert s.iaqi("pm10", 120, "2012") == 85
    assert s.iaqi("no2", 150, "2012") == s.iaqi("no2", 150, "2026")


def test_the_worst_pollutant_leads_and_none_does_when_air_is_excellent() -> None:
    assert s.aqi(CLEAN | {"pm25": 80.0}) == (
        s.iaqi("pm25", 80),
        ("pm25",),
        {p: s.iaqi(p, c) for p, c in (CLEAN | {"pm25": 80.0}).items()},
    )
    assert s.aqi(CLEAN).value == 20
    assert s.aqi(CLEAN).primary == ()


def test_equals_share_the_lead() -> None:
    assert s.aqi(CLEAN | {"pm25": 60.0, "pm10": 120.0}).primary == ("pm25", "pm10")


def test_a_missing_pollutant_forbids_a_value_unless_another_is_over_100() -> None:
    some = {k: v for k, v in CLEAN.items() if k != "o3"}
    assert s.aqi(some).value is None
    assert s.aqi(some | {"pm25": 60.0}).value is None  # exactly 100 is not over it
    assert s.aqi(some | {"pm25": 61.0}).value == 101
    assert s.aqi({}).value is None


def test_levels_begin_one_above_the_last() -> None:
    assert [s.aqi_level(i) for i in (0, 50, 51, 100, 101, 150, 151, 200, 201, 300, 301, 500)] == [
        0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5,
    ]  # fmt: skip
    assert [s.AIR.band(i) for i in (50, 51, 301)] == [0, 1, 5]


@pytest.mark.parametrize(("ratio", "index", "state"), [
    (1.2, 0, 0), (1.0, 0, 0), (0.7, 2, 1), (0.6, 3, 1), (0.5, 4, 2), (0.4, 6, 3), (0.3, 8, 4), (0.0, 10, 4),
])  # fmt: skip
def test_traffic_index_by_speed_ratio(ratio: float, index: float, state: int) -> None:
    assert s.tpi(60 * ratio, 60) == pytest.approx(index)
    assert s.traffic_state(round(s.tpi(60 * ratio, 60), 9)) == state


def test_noise_limits_by_class_and_hour() -> None:
    assert s.noise_excess(70, "4a", 6) == 0
    assert s.noise_excess(70, "4a", 21) == 0
    assert s.noise_excess(70, "4a", 22) == 15
    assert s.noise_excess(70, "4a", 5) == 15
    assert s.noise_excess(44, "1", 12) == -11


def test_water_class_is_that_of_the_worst_item() -> None:
    assert s.water_class({"O2": 8.0, "NH4": 0.1, "P-TOT": 0.01, "cod": 10.0}) == 0
    assert s.water_class({"O2": 4.0, "NH4": 0.1}) == 3
    assert s.water_class({"NH4": 2.5}) == 5
    assert s.water_class({"pH": 7.0}) is None


@pytest.mark.parametrize(("value", "band"), [(0.59, 0), (0.6, 1), (0.8, 2), (0.9, 3), (0.999, 3), (1.0, 4), (1.2, 4)])
def test_a_value_on_an_edge_belongs_to_the_higher_band(value: float, band: int) -> None:
    assert s.PARKING.band(value) == band
