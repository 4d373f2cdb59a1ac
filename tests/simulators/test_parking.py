"""Parking: what must hold whatever the day, and what a duty officer would expect to see."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.conditions import Conditions, stream
from simulators.parking import USES, Parking
from simulators.world import World
from tests.simulators.conftest import Fortnight
from tests.simulators.zone import zone
from twin.clock import MINUTE, parse
from twin.errors import RegistryError
from twin.observation import Domain
from twin.registry import Registry

EVENING = parse("2026-11-21T19:00:00")
ZONE = zone()
NOW = World(ZONE, seed=3, start=EVENING).now
LOTS = ZONE.of(Domain.PARKING)
CAPACITY = np.array([d.number("capacity") for d in LOTS])
GATED = np.array([d.attributes["onStreet"] == 0 for d in LOTS])
MOST = np.where(GATED, 15 * np.maximum(np.round(CAPACITY / 300), 1), CAPACITY)  # a minute, out
LINKS = len(NOW.flow)


def minute(k: int, **changed: object) -> Conditions:
    """A minute of that evening, with nothing left in it by another."""
    fresh = {"entering": np.zeros(LINKS), "capacity": np.ones(LINKS), "searching": np.zeros(LINKS)}
    return replace(NOW, **(fresh | {"at": EVENING + k * MINUTE} | changed))  # type: ignore[arg-type]


def lots(**number: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A number a car park, by its use; 0 for the others."""
    return np.array([number.get(str(d.attributes["use"]), 0.0) for d in LOTS])


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
        faults = ()

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


# ---------------------------------------------------------------- overflow, gates, events


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.floats(0, 60), st.floats(0, 1), st.booleans(), st.floats(0, 1), st.floats(-10, 300)),
        min_size=3,
        max_size=25,
    ),
    st.integers(0, 2**32),
)
def test_cars_are_conserved_whatever_happens(minutes: list[tuple[float, float, bool, float, float]], seed: int) -> None:
    parking = Parking(ZONE, LOTS, 3)
    for k, (visitors, leaving, shut, street, visit) in enumerate(minutes):
        rng = stream(seed, "any", k)
        closed = shut * (rng.random(len(LOTS)) < 0.5)
        now = minute(
            k,
            visitors=visitors * rng.random(len(LOTS)),
            leaving=leaving * rng.random(len(LOTS)),
            shut=closed.astype(float),
            capacity=np.full(LINKS, street),
            visit=visit,
        )
        before = parking.occupied
        parking.step(now, rng)
        assert (parking.occupied - before == parking.entries - parking.exits).all()
        assert (parking.occupied <= CAPACITY).all()
        assert (parking.exiting >= 0).all()
        assert (parking.exiting <= parking.occupied).all()
        assert (parking.entries[closed > 0] == 0).all()
        assert (now.searching >= 0).all()
        assert 0 <= now.entering.sum() <= 60 * parking.exits.sum() * (1 + 1e-9)


def test_who_is_turned_away_parks_near_by_but_not_at_a_school() -> None:
    shut, visitors = lots(park=1.0), lots(park=20.0)
    quiet, crowded = Parking(ZONE, LOTS, 3), Parking(ZONE, LOTS, 3)
    for k in range(20):
        quiet.step(minute(k), stream(1, "crowd", k))
        crowded.step(minute(k, visitors=visitors, shut=shut), stream(1, "crowd", k))
    more = {str(d.attributes["use"]): int(n) for d, n in zip(LOTS, crowded.occupied - quiet.occupied, strict=True)}
    assert crowded.occupied[shut > 0].sum() == 0
    assert more["hospital"] > 20
    assert more["mall"] > 20
    assert more["school_pickup"] < 10
    # The other cluster of car parks is over 800 m away
    assert more["office"] < 10


def test_the_nearer_car_park_is_taken_by_more() -> None:
    full, *rest = (msgspec.structs.replace(LOTS[0], id=f"pk-{i}", lon=LOTS[0].lon + 0.002 * i) for i in range(4))
    devices = tuple(
        msgspec.structs.replace(d, attributes={"capacity": 5_000.0, "use": "mall", "onStreet": 0.0})
        for d in (full, *rest)
    )
    parking = Parking(Registry([*ZONE, *devices]), devices, 3)
    for k in range(5):
        now = minute(k, visitors=np.array([200.0, 0, 0, 0]), shut=np.array([1.0, 0, 0, 0]), leaving=np.zeros(4))
        parking.step(now, stream(1, "near", k))
    counts = parking.occupied[1:]
    # 184 m apart: each next one e^-0.61 of the one before
    assert counts[1] / counts[0] == pytest.approx(0.54, abs=0.12)
    assert counts[2] / counts[1] == pytest.approx(0.54, abs=0.15)


def test_searching_ends_a_quarter_of_an_hour_after_the_last_was_turned_away() -> None:
    parking = Parking(ZONE, LOTS, 3)
    nowhere = np.ones(len(LOTS))
    flows = []
    for k in range(40):
        now = minute(k, visitors=10.0 * nowhere * (k < 20), shut=nowhere * (k < 20))
        parking.step(now, stream(1, "search", k))
        flows.append(now.searching.sum())
    assert flows[3] < flows[10] < flows[19]
    assert flows[19] > flows[25] > flows[30]
    assert flows[35] == 0
    # 80 visitors a minute and a few others who search 8.75 minutes on average, at 15 km/h; each passes 960 m links
    assert flows[19] == pytest.approx(85 * 8.75 * 15 / 0.96, rel=0.15)


def test_gates_hold_back_a_crowd_that_leaves_and_its_cars_begin_trips() -> None:
    parking = Parking(ZONE, LOTS, 3)
    for k in range(30):
        parking.step(minute(k, visitors=np.full(len(LOTS), 30.0)), stream(1, "fill", k))
    crowd = parking.occupied
    queues, entering, before = [], 0.0, crowd.sum()
    for k in range(30, 60):
        now = minute(k, leaving=np.full(len(LOTS), float(k == 30)), shut=np.ones(len(LOTS)))
        parking.step(now, stream(1, "go", k))
        assert (parking.exits <= MOST).all()
        queues.append(parking.exiting)
        entering += now.entering.sum() / 60
    assert (queues[0] == np.maximum(crowd - MOST, 0)).all()
    assert queues[0].max() > 200
    assert parking.occupied.sum() == 0
    # All but those whose time was up anyway
    assert 0.8 * before < entering <= before


def test_a_narrowed_street_lets_fewer_out_and_a_closed_one_none() -> None:
    parking = Parking(ZONE, LOTS, 3)
    for k in range(30):
        parking.step(minute(k, visitors=np.full(len(LOTS), 30.0)), stream(1, "fill", k))
    for k, (share, most) in enumerate(((1.0, 15), (0.65, 9), (0.0, 0)), 30):
        now = minute(k, leaving=np.full(len(LOTS), 1.0), capacity=np.full(LINKS, share))
        parking.step(now, stream(1, "go", k))
        assert (parking.exits[GATED] == most).all()


def test_the_guests_of_an_event_leave_after_it_four_in_five_within_45_minutes() -> None:
    attributes: dict[str, str | float] = {"capacity": 30_000.0, "use": "park", "onStreet": 0.0}
    device = msgspec.structs.replace(LOTS[0], id="pk-fair", attributes=attributes)
    event, plain = (Parking(Registry([*ZONE, device]), [device], 3) for _ in range(2))
    guests, end = [], 120
    for k in range(end + 46):
        for parking, visitors in ((event, 50.0), (plain, 0.0)):
            now = minute(k, visitors=np.array([visitors * (k < 60)]), shut=np.zeros(1), leaving=np.zeros(1))
            parking.step(replace(now, visit=float(end - k)), stream(1, "event", k))
        guests.append(event.occupied.sum() - plain.occupied.sum())
    assert guests[60] == pytest.approx(3_000, rel=0.05)
    assert guests[end] > 0.97 * guests[60]
    assert guests[end + 45] == pytest.approx(0.2 * guests[60], rel=0.2)


def test_an_ordinary_day_begins_no_trips_of_its_own() -> None:
    world = World(zone(), seed=3, start=EVENING)
    for k in range(1, 60):
        world.advance(EVENING + k * MINUTE)
        assert world.now.entering.sum() == 0
