"""Parking: what must hold whatever the day, and what a duty officer would expect to see."""

import msgspec
import numpy as np
import pytest

from simulators.conditions import Conditions
from simulators.parking import USES, Parking
from simulators.world import World
from tests.simulators.conftest import Fortnight
from tests.simulators.zone import zone
from twin.clock import parse
from twin.errors import RegistryError
from twin.observation import Domain
from twin.registry import Registry


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
