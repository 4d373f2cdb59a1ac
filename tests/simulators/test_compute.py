"""Compute: what must hold whatever the day, and what a duty officer would expect to see."""

from collections.abc import Callable
from functools import lru_cache

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators import jobs
from simulators.compute import RELEASE, THROTTLE, Compute, server_power
from simulators.conditions import Array, Conditions
from simulators.cooling import AIR, MASS, RESTART, Chiller, Hall, plant_cop, pue
from simulators.dispatch import ROOM, Dispatch
from simulators.jobs import CARDS, Job, Queue
from simulators.world import World
from tests.simulators.conftest import Fortnight
from tests.simulators.zone import zone
from twin.clock import HOUR, MINUTE, parse
from twin.observation import Domain
from twin.registry import Device, Registry

AT = parse("2026-07-21T15:20:00")


class Turned:
    """A scenario: `turn` gets the conditions and the minutes since `at`, from then on."""

    faults = ()

    def __init__(self, at: int, turn: Callable[[Conditions, int], None]) -> None:
        self._at, self._turn = at, turn

    def apply(self, now: Conditions) -> None:
        if now.at >= self._at:
            self._turn(now, (now.at - self._at) // MINUTE)


class Centre:
    """The centre of 120 servers with three chillers and one that stands by, watched minute by minute from `at` on."""

    def __init__(
        self, turn: Callable[[Conditions, int], None], at: int = AT, seed: int = 4, servers: int = 120
    ) -> None:
        self.world = World(hall(servers), seed=seed, start=at - 5 * MINUTE, scenarios=[Turned(at, turn)])
        model = self.world.models[Domain.COMPUTE]
        assert isinstance(model, Compute)
        self.model, self._at = model, at
        self.rows: dict[tuple[str, str], list[Array]] = {}

    def watch(self, minutes: int) -> "Centre":
        """Read minute 0 (nothing has had time to happen) to `minutes`."""
        devices = self.world.registry.of(Domain.COMPUTE)
        for minute in range(minutes + 1):
            self.world.advance(self._at + minute * MINUTE)
            for metric, values in self.world.read(Domain.COMPUTE).values.items():
                for kind in {d.kind for d in devices}:
                    rows = [d.kind == kind for d in devices]
                    self.rows.setdefault((kind, metric), []).append(values[rows])
        return self

    def of(self, kind: str, metric: str) -> Array:
        """(minutes, devices)."""
        return np.array(self.rows[kind, metric])

    @property
    def inlet(self) -> Array:
        """°C, mean of the servers."""
        return np.asarray(self.of("server", "inletTemperature").mean(axis=1))

    def first(self, degrees: float) -> float:
        """Minutes until the mean inlet passes this."""
        after = int(np.argmax(self.inlet > degrees))
        before, passed = self.inlet[after - 1], self.inlet[after]
        return float(after - 1 + (degrees - before) / (passed - before))


def hall(servers: int = 120, **attributes: float) -> Registry:
    """The centre of a small zone, the last of its four chillers standing by; `attributes` go to every server."""
    devices = [d for d in zone(2, 2, servers=servers) if d.domain is Domain.COMPUTE]
    last = max(i for i, d in enumerate(devices) if d.kind == "chiller")
    spare = msgspec.structs.replace(devices[last], id="chiller-spare", attributes={"standby": 1.0})
    devices.insert(last + 1, spare)
    return Registry(
        msgspec.structs.replace(d, attributes=d.attributes | attributes) if d.kind == "server" else d for d in devices
    )


def nothing(now: Conditions, minute: int) -> None:
    pass


@pytest.mark.parametrize(("wet_bulb", "expected"), [(5, 1.18), (18, 1.27), (25, 1.32), (27, 1.34)])
def test_pue_by_wet_bulb(wet_bulb: float, expected: float) -> None:
    assert pue(plant_cop(wet_bulb)) == pytest.approx(expected, abs=0.005)


def test_the_centre_is_the_sum_of_its_servers(fortnight: Fortnight) -> None:
    def centre(metric: str) -> Array:
        return fortnight.of("compute-centre", metric)[:, 0]

    servers = fortnight.registry.of(Domain.COMPUTE)
    cards = sum(d.number("cards") for d in servers if d.kind == "server")
    nameplate = next(d for d in servers if d.kind == "compute-centre").number("nameplateP")
    busy, power = fortnight.of("server", "gpuUtilization"), fortnight.of("server", "itPower")
    assert np.allclose(centre("gpuUtilization"), busy.mean(axis=1))
    assert np.allclose(centre("itPower"), power.sum(axis=1))
    assert np.allclose(centre("facilityPower"), centre("itPower") * centre("pue"))
    chillers = fortnight.of("chiller", "powerConsumption").sum(axis=1)
    assert np.allclose(centre("facilityPower"), 1.11 * centre("itPower") + chillers)
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
    world = World(zone(2, 2, parks=0, servers=120), seed=4, start=parse("2026-11-20T00:00:00"))
    used = []
    for hour in range(48):
        world.advance(parse("2026-11-20T00:00:00") + hour * HOUR)
        used.append(world.read(Domain.COMPUTE).values["gpuUtilization"][0])
    assert 0.38 < np.mean(used) < 0.75


def test_another_profile_is_told_by_the_registry() -> None:
    """38 servers of H800: 7.9 PFLOPS and 10.2 kW each."""
    registry = Registry(
        msgspec.structs.replace(d, attributes=d.attributes | {"nameplateP": 300.0}) if d.kind == "compute-centre" else d
        for d in hall(38, fullKw=10.2)
    )
    world = World(registry, seed=4, start=AT)
    values = world.read(Domain.COMPUTE).values
    assert values["gpuTotal"][0] == 38 * 8
    assert values["fp16Pflops"][0] / values["gpuUtilization"][0] == pytest.approx(38 * 7.9, rel=0.002)
    power = values["itPower"][[d.kind == "server" for d in registry.of(Domain.COMPUTE)]]
    assert power.min() > 0.3 * 10.2
    assert power.max() < 10.2
    assert server_power(np.array([0.0, 1.0]), 10.2)[1] == pytest.approx(10.2)


# ---------------------------------------------------------------- heat


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 700), st.lists(st.floats(0, 1), min_size=3, max_size=3)), max_size=60))
def test_heat_is_neither_made_nor_lost(minutes: list[tuple[float, list[float]]]) -> None:
    hall = Hall(650.0, [1.0, 1.0, 1.0], [False, False, True])
    air, mass = hall.air, hall.mass
    kept = 0.0
    for heat, shares in minutes:
        hall.step(heat, shares, 1.0, 18.0)
        kept += (heat - hall.cooling) * 60
    stored = AIR * 650 * (hall.air - air) + MASS * 650 * (hall.mass - mass)
    assert stored == pytest.approx(kept, rel=1e-9, abs=1e-5)


def test_by_day_the_plant_keeps_to_the_formula() -> None:
    """Its real power, by part load, stays within three hundredths of PUE by wet bulb."""
    for day in ("2026-01-12", "2026-05-10", "2026-07-21"):
        world = World(hall(), seed=4, start=parse(f"{day}T06:00:00"))
        for hour in range(6, 22):
            world.advance(parse(f"{day}T{hour:02d}:00:00"))
            cop = world.models[Domain.COMPUTE].hall.cop  # type: ignore[attr-defined]
            assert world.read(Domain.COMPUTE).values["pue"][0] == pytest.approx(pue(cop), abs=0.03)


@lru_cache(maxsize=1)
def tripped() -> Centre:
    """Two of three chillers fail; one of them is back after 18 minutes, the other is not."""

    def fail(now: Conditions, minute: int) -> None:
        now.chillers[0] = float(minute >= 18)
        now.chillers[1] = 0

    return Centre(fail).watch(45)


def test_when_two_of_three_chillers_fail_the_hall_heats_as_such_halls_do() -> None:
    inlet = tripped().inlet
    assert inlet[0] == pytest.approx(23, abs=1)
    assert tripped().first(27) == pytest.approx(1.8, abs=1.5)
    assert tripped().first(32) == pytest.approx(4.0, abs=1.5)
    assert tripped().first(35) == pytest.approx(5.4, abs=1.5)
    assert inlet.max() == pytest.approx(37.5, abs=1.5)
    assert inlet[8] > inlet.max() - 2.5, "near its peak at +8, with the standby on its way"
    assert inlet[18] > 35, "not over before the second is back"
    assert inlet[26] < 33
    assert inlet[45] < 27


def test_the_standby_takes_over_six_minutes_after_the_plant_lacks_capacity() -> None:
    spare = tripped().of("chiller", "coolingPower")[:, -1]
    assert (spare[:6] == 0).all()
    assert spare[8] > 1
    assert spare[12] > 0.9 * tripped().of("chiller", "coolingPower")[12, 2]


def test_with_chillers_off_pue_dips_and_then_overshoots() -> None:
    ratio = tripped().of("compute-centre", "pue")[:, 0]
    assert ratio[1:5].max() < ratio[0] - 0.08
    assert ratio[18:].max() > ratio[0] + 0.1


def test_hot_servers_throttle_until_they_are_cool_and_do_less() -> None:
    centre = Centre(lambda now, minute: now.chillers.fill(0) if minute < 8 else None, servers=40)
    model = centre.model
    before = model.utilisation.mean()
    seen = False
    for minute in range(60):
        was, off = model.throttled.copy(), model.off.copy()
        centre.world.advance(AT + minute * MINUTE)
        seen |= bool(model.throttled.any())
        assert (model.throttled >= (model.inlet >= THROTTLE)).all()
        assert (model.throttled <= ((model.inlet >= THROTTLE) | (was & (model.inlet >= RELEASE)))).all()
        if was.all() and not model.off.any():
            assert model.utilisation.mean() < 0.75 * before
        assert (model.power[off] == 0).all()
    assert seen
    assert not model.throttled.any()


def test_a_hall_without_any_cooling_saves_itself() -> None:
    """Servers switch off before they are cooked, and come back."""
    centre = Centre(lambda now, minute: now.chillers.fill(0) if minute < 60 else None)
    centre.watch(180)
    assert centre.inlet.max() < 46
    assert centre.of("compute-centre", "gpuTotal")[40, 0] < 0.05 * 960
    assert centre.of("compute-centre", "gpuTotal")[180, 0] == 960
    assert centre.inlet[180] < 24


def test_a_dip_of_the_grid_throws_chillers_off_and_the_ups_carries_the_servers() -> None:
    def dip(now: Conditions, minute: int) -> None:
        now.voltage = 0.7 if minute == 0 else 1.0
        now.chillers[:] = float(minute >= 3)

    centre = Centre(dip, at=parse("2026-07-21T16:42:00")).watch(40)
    assert centre.inlet.max() - centre.inlet[0] == pytest.approx(5, abs=1.5)
    assert centre.inlet[40] < centre.inlet[0] + 1
    assert centre.of("power-unit", "voltage")[0].max() < 300
    assert centre.of("power-unit", "voltage")[1].min() > 390
    charge = centre.of("power-unit", "batteryLevel")
    assert (charge[0] < 0.97).all()
    assert (charge[40] > charge[0]).all()
    assert (centre.of("server", "itPower")[0] > 0).all()


def test_a_chiller_waits_before_it_starts_again_and_takes_its_load_slowly() -> None:
    chiller = Chiller(200.0, standby=False)
    chiller.begin(0.0, dip=False)
    chiller.move(called=True)
    chiller.begin(1.0, dip=False)
    levels = []
    for _ in range(round(RESTART / 6) + 80):
        chiller.move(called=True)
        levels.append(chiller.level)
    waiting = round(RESTART / 6) - 2
    assert (np.diff(levels[:waiting]) < 0).all()
    assert 0.2 < levels[waiting + 20] < 0.6
    assert levels[-1] == 1


def test_a_standby_chiller_stands_by() -> None:
    block = World(hall(), seed=1, start=parse("2026-11-20T00:10:00")).read(Domain.COMPUTE)
    power = {d.id: p for d, p in zip(block.devices, block.values["coolingPower"], strict=True) if d.kind == "chiller"}
    assert power.pop("chiller-spare") == 0
    assert all(p > 0 for p in power.values())


def test_a_day_after_a_failure_the_hall_has_forgotten_it() -> None:
    """Which server runs which job is told apart for longer: the queue is played through ten days for that reason."""

    def fail(now: Conditions, minute: int) -> None:
        now.chillers[:2] = float(minute >= 20)

    earlier, later = AT - HOUR, AT + 36 * HOUR
    a, b = (World(hall(), seed=3, start=start, scenarios=[Turned(AT, fail)]) for start in (earlier, later))
    a.advance(later)
    one, two = a.models[Domain.COMPUTE], b.models[Domain.COMPUTE]
    assert isinstance(one, Compute)
    assert isinstance(two, Compute)
    assert (one.hall.air, one.hall.mass) == pytest.approx((two.hall.air, two.hall.mass), abs=0.1)
    assert one.hall.cop == pytest.approx(two.hall.cop, rel=1e-6)
    assert [c.level for c in one.hall.plant.chillers] == pytest.approx([c.level for c in two.hall.plant.chillers])
    assert not one.throttled.any()
    assert (one.charge == two.charge).all()
    assert one.it_power == pytest.approx(two.it_power, rel=0.05)


# ---------------------------------------------------------------- the grid and the weather


def test_what_the_grid_asks_back_is_met_by_putting_jobs_off() -> None:
    def curtail(now: Conditions, minute: int) -> None:
        now.curtailed = 0.15 if minute < 90 else 0.0

    centre, free = Centre(curtail).watch(120), Centre(nothing).watch(120)
    asked = centre.of("compute-centre", "itPower")[:, 0]
    before = free.of("compute-centre", "itPower")[0, 0]
    assert (asked[:90] < 0.855 * before).all()
    assert (asked[2:90] > 0.78 * before).all()
    waiting, usual = (c.of("compute-centre", "queueLength")[:, 0] for c in (centre, free))
    assert waiting[60] > usual[60] + 5
    assert asked[95] > 0.95 * free.of("compute-centre", "itPower")[95, 0]


def test_on_a_hot_and_humid_day_the_facility_draws_more() -> None:
    def hot(now: Conditions, minute: int) -> None:
        now.weather.temperature, now.weather.humidity = 36.0, 0.49

    at = parse("2026-05-10T12:00:00")
    warm, usual = Centre(hot, at=at).watch(180), Centre(nothing, at=at).watch(180)
    assert 25 < warm.world.now.weather.wet_bulb < 28
    assert warm.of("compute-centre", "pue")[180, 0] == pytest.approx(1.335, abs=0.02)
    assert usual.of("compute-centre", "pue")[180, 0] < 1.27
    more = warm.of("compute-centre", "facilityPower")[180, 0] / usual.of("compute-centre", "facilityPower")[180, 0]
    assert 1.06 < more < 1.11


# ---------------------------------------------------------------- jobs and other pools

_JOBS = st.lists(
    st.tuples(st.sampled_from([1, 2, 4, 8, 16, 64, 128]), st.integers(1, 600), st.floats(0, 1), st.integers(0, 400)),
    max_size=60,
)


@given(_JOBS)
def test_no_card_is_given_twice(wanted: list[tuple[int, int, float, int]]) -> None:
    queue = Queue(np.full(20, CARDS, np.int64), 4)
    for minute in range(0, 1_100, 5):
        queue.step(minute, [Job(c, m, 0.8, s, minute) for c, m, s, came in wanted if came // 5 == minute // 5])
        if minute % 100 == 0:
            before = queue.free.sum()
            queue.gather()
            assert queue.free.sum() == before, "moving jobs together loses none"
        assert (queue.free >= 0).all()
        assert (queue.free <= CARDS).all()
        assert (queue.load <= CARDS - queue.free + 1e-9).all()
    queue.step(400 + 600 + jobs.PATIENCE, [Job(1, 1, 0.5, 0.5, 0)])
    assert queue.free.sum() >= 20 * CARDS - 1, "all cards come back"


@given(_JOBS, st.lists(st.tuples(st.integers(0, 1_000), st.sampled_from(["close", "open", "suspend", "cap", "off"]))))
def test_jobs_are_conserved(wanted: list[tuple[int, int, float, int]], turns: list[tuple[int, str]]) -> None:
    queue = Queue(np.full(20, CARDS, np.int64), 4)
    some: npt.NDArray[np.bool_] = np.arange(20) % 3 > 0
    left = 0
    for minute in range(0, 1_100, 5):
        coming = [Job(c, m, 0.8, s, minute) for c, m, s, came in wanted if came // 5 == minute // 5]
        left += len(queue.step(minute, coming))
        for turn in (t for at, t in turns if at // 5 == minute // 5):
            if turn == "suspend":
                queue.suspend(minute)
            elif turn == "off":
                left += queue.off(some, minute, lambda job: job.cards > 2, put_back=bool(minute % 2))
            else:
                queue.restrict(some & (turn == "close"), 3.0 if turn == "cap" else np.inf)
        queue.gather()
        assert queue.submitted == len(queue.waiting) + len(queue.running) + queue.done + left
        held = sum(len(run.servers) * run.taken for run in queue.running)
        assert queue.free.sum() + held == 20 * CARDS


def test_a_closed_server_takes_no_job_and_no_more_starts_than_is_spared() -> None:
    queue = Queue(np.full(20, CARDS, np.int64), 0)
    closed: npt.NDArray[np.bool_] = np.arange(20) != 19
    queue.restrict(closed, np.inf)
    queue.step(0, [Job(8, 60, 0.5, s / 10, 0) for s in range(10)])
    assert [run.servers.tolist() for run in queue.running] == [[19]]
    queue.restrict(~closed & closed, 9.0)
    queue.step(1, [])
    assert len(queue.running) == 3, "four busy cards each"


def pools(**attributes: float) -> list[Device]:
    """The planned pool and two linked ones of a small zone."""
    found = [d for d in zone(2, 2) if d.kind == "compute-pool"]
    return [msgspec.structs.replace(d, attributes=d.attributes | attributes) for d in found]


@given(st.lists(st.tuples(st.sampled_from([1, 8, 64, 128]), st.integers(1, 600), st.integers(0, 5)), max_size=40))
def test_a_job_goes_where_there_is_room_and_the_line_is_short_and_none_is_lost(
    wanted: list[tuple[int, int, int]],
) -> None:
    dispatch = Dispatch(pools(), 1)
    planned, near, far = dispatch.pools
    minute = AT // MINUTE
    for cards, minutes, later in wanted:
        minute += later
        dispatch.step(minute)
        job = Job(cards, minutes, 0.8, 0.5, minute)
        room, before = near.has_room(job, minute), near.lent()
        taken = dispatch.send(job, minute)
        assert taken or not far.has_room(job, minute)
        assert (near.lent() > before) == room
        assert dispatch.offered == dispatch.away + dispatch.done + dispatch.refused
        assert not room or near.allocated(minute) <= ROOM * near.total + 1e-9
    assert planned.lent() == 0
    dispatch.step(minute + 2_000)
    assert dispatch.away == 0


def test_data_goes_over_the_line_in_order() -> None:
    dispatch = Dispatch(pools(gbps=100.0), 1)
    near = dispatch.pools[1]
    minute = AT // MINUTE
    for _ in range(3):
        assert dispatch.move(Job(32, 30, 0.8, 0.5, minute), minute)
    begins = [guest.begin - minute for guest in near.guests]
    # 32 cards of 40 GB at 60 Gbit/s: 2.8 minutes each
    assert begins == [3, 6, 9]
    assert dispatch.under_way(minute + 4) == 2
    assert near.read(minute + 1)["linkUtilization"] > 0.6 > near.read(minute + 40)["linkUtilization"]
    assert dispatch.read(minute + 1) == {"queueLength": 3, "jobsDispatched": 0, "jobsMigrated": 3}


def test_the_planned_pool_is_only_planned(fortnight: Fortnight) -> None:
    for metric in ("gpuUtilization", "gpuAllocated", "gpuTotal", "fp16Pflops", "queueLength"):
        assert (fortnight.of("compute-pool", metric)[:, 0] == 0).all()
        if metric != "queueLength":
            assert (fortnight.of("compute-pool", metric)[:, 1:] > 0).all()


def test_other_pools_follow_their_own_day(fortnight: Fortnight) -> None:
    busy = fortnight.of("compute-pool", "gpuAllocated")[:, 1:] / fortnight.of("compute-pool", "gpuTotal")[:, 1:]
    assert (busy[fortnight.during(10, 20)].mean(axis=0) > busy[fortnight.during(2, 6)].mean(axis=0) + 0.1).all()
    latency = fortnight.of("compute-pool", "linkLatency")[:, 1:]
    assert (latency.min(axis=0) > [9, 27]).all()
    assert (latency.mean(axis=0) < [10.5, 28.5]).all()


def test_what_is_hot_moves_to_other_pools_and_no_job_is_lost() -> None:
    centre = tripped()
    queue, dispatch = centre.model.queue, centre.model.dispatch
    moved = centre.of("dispatch", "jobsMigrated")[:, 0]
    assert moved[3] == 0
    assert moved[20] >= 5
    assert centre.of("dispatch", "queueLength")[:, 0].max() > 0, "their data is over the line in time"
    gone = dispatch.offered - dispatch.refused + centre.model.withdrawn
    assert queue.submitted == len(queue.waiting) + len(queue.running) + queue.done + gone
