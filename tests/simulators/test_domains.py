"""Each domain: what must hold whatever the day, and what a duty officer would expect to see."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators import compute, traffic
from simulators.compute import CARDS, Job, Queue, plant_cop, pue, server_power
from simulators.conditions import Conditions, Weather
from simulators.environment import L10_TO_LEQ, crtn, stage, weather
from simulators.parking import USES, Parking
from simulators.world import World
from tests.simulators.conftest import Fortnight
from tests.simulators.zone import zone
from twin import standards
from twin.clock import DAY, HOUR, MINUTE, parse
from twin.errors import RegistryError
from twin.observation import Domain
from twin.registry import Device, Registry

# ---------------------------------------------------------------- traffic


def links(fortnight: Fortnight) -> tuple[Device, ...]:
    return fortnight.registry.of(Domain.TRAFFIC)


def test_every_link_stays_under_its_fundamental_diagram(fortnight: Fortnight) -> None:
    free = np.array([d.number("freeSpeed") for d in links(fortnight)])
    lanes = np.array([d.number("lanes") for d in links(fortnight)])
    jam = np.array([traffic.CLASSES[str(d.attributes["roadClass"])].jam for d in links(fortnight)])
    flow = fortnight.of("link-detector", "intensity") / lanes
    k = fortnight.density
    # Counting noise is 4 %; five of its deviations
    assert (flow <= 1.2 * np.minimum(free * k, traffic.WAVE * (jam - k)) + 1e-6).all()
    assert (k <= jam).all()


def test_flow_is_density_times_speed(fortnight: Fortnight) -> None:
    lanes = np.array([d.number("lanes") for d in links(fortnight)])
    flow = fortnight.of("link-detector", "intensity")
    speed = fortnight.of("link-detector", "averageVehicleSpeed")
    told = fortnight.density * lanes * speed
    busy = flow > 50
    assert np.median(np.abs(told[busy] / flow[busy] - 1)) < 0.05


def test_nobody_drives_much_faster_than_free(fortnight: Fortnight) -> None:
    free = np.array([d.number("freeSpeed") for d in links(fortnight)])
    assert (fortnight.of("link-detector", "averageVehicleSpeed") <= 1.1 * free).all()


def zone_tpi(fortnight: Fortnight) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    free = [d.number("freeSpeed") for d in links(fortnight)]
    speed = fortnight.of("link-detector", "averageVehicleSpeed")
    return np.array([np.mean([standards.tpi(v, f) for v, f in zip(row, free, strict=True)]) for row in speed])


def test_rush_hours_are_slow_nights_are_free_and_weekends_between(fortnight: Fortnight) -> None:
    tpi = zone_tpi(fortnight)
    morning = tpi[fortnight.during(7.5, 8.75)].mean()
    evening = tpi[fortnight.during(17.25, 18.5)].mean()
    assert min(morning, evening) > 1.8
    assert max(morning, evening) < 5
    assert tpi[fortnight.during(1, 5)].mean() < 0.4
    midday = tpi[fortnight.during(11, 15)].mean()
    assert tpi[fortnight.during(1, 5)].mean() < midday < min(morning, evening)
    assert tpi[fortnight.during(7.5, 8.75, weekend=True)].mean() < 0.7 * morning


def test_the_tide_turns(fortnight: Fortnight) -> None:
    """The links that are fuller in the morning than their opposite are emptier in the evening."""
    devices = links(fortnight)
    pair = {(d.attributes["fromNode"], d.attributes["toNode"]): i for i, d in enumerate(devices)}
    back = [pair[d.attributes["toNode"], d.attributes["fromNode"]] for d in devices]
    flow = fortnight.of("link-detector", "intensity")
    lead = [np.log(f / f[back]) for f in (flow[fortnight.during(a, a + 1)].mean(axis=0) for a in (7.5, 17.5))]
    assert np.corrcoef(lead[0], lead[1])[0, 1] < -0.5


def test_a_queue_holds_back_the_links_that_feed_it() -> None:
    registry = zone(6, 2)
    devices = registry.of(Domain.TRAFFIC)
    east = [i for i, d in enumerate(devices) if d.attributes["road"] == "road:ew:0" and i % 2 == 0]

    class Blocked:
        def apply(self, now: Conditions) -> None:
            now.capacity[east[3]] = 0.25

    at = parse("2026-11-20T07:00:00")
    free, blocked = (World(registry, seed=5, start=at, scenarios=s) for s in ([], [Blocked()]))
    for world in (free, blocked):
        world.advance(at + 100 * MINUTE)
    ratio = (
        blocked.read(Domain.TRAFFIC).values["averageVehicleSpeed"]
        / free.read(Domain.TRAFFIC).values["averageVehicleSpeed"]
    )
    assert ratio[east[3]] < 0.3
    assert ratio[east[2]] < 0.8, "the link before it"
    assert ratio[east[4]] > 0.95, "the link after it"


# ---------------------------------------------------------------- environment


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


def test_november_air_is_that_of_the_guanzhong_plain(fortnight: Fortnight) -> None:
    mean = {p: fortnight.of("air-station", p).mean() for p in ("pm25", "pm10", "so2", "no2", "co", "o3")}
    assert 45 < mean["pm25"] < 105
    assert 1.1 < mean["pm10"] / mean["pm25"] < 2.2
    assert 5 < mean["so2"] < 25
    assert 25 < mean["no2"] < 70
    assert 0.5 < mean["co"] < 1.6
    assert 15 < mean["o3"] < 60
    assert (fortnight.of("air-station", "pm10") > fortnight.of("air-station", "pm25")).all()


def test_no2_follows_traffic_and_ozone_the_sun(fortnight: Fortnight) -> None:
    no2, o3 = (fortnight.of("air-station", p).mean(axis=1) for p in ("no2", "o3"))
    rush, small_hours = fortnight.during(8, 9.5), fortnight.during(3, 5)
    assert no2[rush].mean() > 1.15 * no2[small_hours].mean()
    assert o3[fortnight.during(14, 16)].mean() > 1.4 * o3[fortnight.during(7, 9)].mean()


def test_without_traffic_there_is_less_no2() -> None:
    class Empty:
        def apply(self, now: Conditions) -> None:
            now.demand = 0.0

    at = parse("2026-11-20T03:30:00")
    usual, empty = (World(zone(8, 8), seed=3, start=at, scenarios=s) for s in ([], [Empty()]))

    def share_of_traffic() -> float:
        with_cars, without = (np.nanmean(w.read(Domain.ENVIRONMENT).values["no2"]) for w in (usual, empty))
        return float(with_cars - without)

    night = share_of_traffic()
    for world in (usual, empty):
        world.advance(parse("2026-11-20T09:00:00"))
    assert share_of_traffic() > 3
    assert share_of_traffic() > 3 * night > 0


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


@pytest.mark.parametrize(
    ("month", "coldest", "warmest"), [(1, (-6, 2), (1, 10)), (7, (19, 26), (27, 36)), (11, (0, 8), (6, 15))]
)
def test_the_seasons_of_34_degrees_north(month: int, coldest: tuple[int, int], warmest: tuple[int, int]) -> None:
    lows, highs = [], []
    for year in range(2024, 2030):
        start = parse(f"{year}-{month:02d}-10T00:00:00")
        for day in range(12):
            hours = [weather(9, start + day * DAY + h * HOUR).temperature for h in range(24)]
            lows.append(min(hours))
            highs.append(max(hours))
    assert coldest[0] < np.mean(lows) < coldest[1]
    assert warmest[0] < np.mean(highs) < warmest[1]


def test_it_rains_sometimes_and_more_in_september_than_in_november() -> None:
    def rain(month: int) -> tuple[float, float]:
        found = []
        for year in range(2010, 2030):
            start = parse(f"{year}-{month:02d}-01T00:00:00")
            found += [weather(9, start + h * HOUR).rain for h in range(30 * 24)]
        return float(np.mean(np.array(found) > 0)), float(np.sum(found) / 20)

    (wet_nov, mm_nov), (wet_sep, mm_sep) = rain(11), rain(9)
    assert 0.02 < wet_nov < 0.1
    assert 5 < mm_nov < 60
    assert wet_sep > wet_nov
    assert 50 < mm_sep < 250


def test_an_outfall_is_not_the_river() -> None:
    stations = [d for d in zone() if d.kind == "water-station"]
    moved = [msgspec.structs.replace(d, district="dist:materials" if i else d.district) for i, d in enumerate(stations)]
    block = World(Registry(moved), seed=1, start=parse("2026-11-20T00:10:00")).read(Domain.ENVIRONMENT)
    discharge = block.values["waterDischarge"]
    assert 25 < discharge[0] < 130
    assert (discharge[1:] < 2).all()


@given(st.floats(-10, 40), st.floats(0.05, 1.0))
def test_the_wet_bulb_is_under_the_dry(temperature: float, humidity: float) -> None:
    sky = Weather(temperature, humidity, 1, 0, 0, 0, 970, 300, 0)
    assert sky.wet_bulb <= temperature + 1.1  # Stull's formula is good to 1 K


def test_the_wet_bulb_is_stulls() -> None:
    assert Weather(20, 0.5, 1, 0, 0, 0, 970, 300, 0).wet_bulb == pytest.approx(13.7, abs=0.05)


def test_the_rating_of_the_wei() -> None:
    assert stage(3_000) == pytest.approx(4.0, abs=0.05)
    assert stage(6_050) == pytest.approx(6.1, abs=0.05)


# ---------------------------------------------------------------- parking


def test_cars_are_conserved(fortnight: Fortnight) -> None:
    capacity = np.array([d.number("capacity") for d in fortnight.registry.of(Domain.PARKING)])
    assert (fortnight.parked >= 0).all()
    assert (fortnight.parked <= capacity).all()
    change = np.diff(fortnight.parked, axis=0)
    assert (change == fortnight.entries[1:] - fortnight.exits[1:]).all()
    values = fortnight.values[Domain.PARKING]
    assert (values["occupiedSpotNumber"] + values["availableSpotNumber"] == capacity).all()
    assert np.allclose(values["occupancy"], values["occupiedSpotNumber"] / capacity)


def test_uses_have_their_hours(fortnight: Fortnight) -> None:
    uses = np.array([str(d.attributes["use"]) for d in fortnight.registry.of(Domain.PARKING)])

    def full(use: str, begin: float, end: float, *, weekend: bool = False) -> float:
        rows = fortnight.values[Domain.PARKING]["occupancy"][fortnight.during(begin, end, weekend=weekend)]
        return float(rows[:, uses == use].mean())

    assert full("office", 10, 12) > 0.6
    assert full("office", 10, 12) > 4 * full("office", 22, 24)
    assert full("office", 10, 12, weekend=True) < 0.4
    assert full("mall", 18, 20, weekend=True) > full("mall", 18, 20) > full("mall", 9, 10)
    assert full("park", 14, 17, weekend=True) > 1.4 * full("park", 14, 17)
    assert full("hospital", 9, 11) > 0.6


def test_a_car_park_filled_by_visitors_turns_away_and_the_streets_carry_them() -> None:
    class Festival:
        def apply(self, now: Conditions) -> None:
            now.visitors[:] = 30.0

    at = parse("2026-11-21T19:00:00")
    world = World(zone(), seed=3, start=at, scenarios=[Festival()])
    model = world.models[Domain.PARKING]
    assert isinstance(model, Parking)
    assert (model.occupied == model.capacity).mean() > 0.8
    assert model.turned_away.sum() > 0
    assert world.now.searching.sum() > 0


def test_a_use_that_is_not_known_is_named() -> None:
    device = next(d for d in zone() if d.kind == "car-park")
    wrong = msgspec.structs.replace(device, attributes={"capacity": 9.0, "use": "zoo"})
    with pytest.raises(RegistryError, match=r"zoo.*office"):
        World(Registry([wrong]), seed=1, start=parse("2026-11-20T00:00:00"))


def test_the_median_stay_is_that_of_the_model() -> None:
    assert {use: USES[use].streams[-1].median for use in ("mall", "park", "school_pickup", "factory_shift")} == {
        "mall": 110,
        "park": 95,
        "school_pickup": 18,
        "factory_shift": 540,
    }


# ---------------------------------------------------------------- compute


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


# ---------------------------------------------------------------- city


def test_lamps_burn_when_it_is_dark(fortnight: Fortnight) -> None:
    lit, power = fortnight.of("street-light", "illuminanceOn"), fortnight.of("street-light", "powerConsumption")
    assert (lit[fortnight.during(9, 16)] == 0).all()
    assert lit[fortnight.during(19, 24)].min() > 0.9
    assert 0.5 < lit[fortnight.during(1, 5)].mean() < 0.7
    assert power[fortnight.during(19, 24)].min() > 20 * power[fortnight.during(9, 16)].max()


def test_covers_are_opened_rarely(fortnight: Fortnight) -> None:
    world = World(zone(2, 2, covers=400), seed=1, start=parse("2026-11-20T00:00:00"))
    open_at = []
    for hour in range(48):
        world.advance(parse("2026-11-20T00:00:00") + hour * HOUR)
        open_at.append(np.nansum(world.read(Domain.CITY).values["coverOpen"]))
    assert 0 < max(open_at) < 10


def test_wet_wells_are_pumped_between_their_levels(fortnight: Fortnight) -> None:
    level, pumps = fortnight.of("pumping-station", "waterLevel"), fortnight.of("pumping-station", "pumpsRunning")
    assert level.min() > 0.7
    assert level.max() < 5
    assert 0 < (pumps > 0).mean() < 0.9
    assert ((fortnight.of("pumping-station", "flow") > 0) == (pumps > 0)).all()
