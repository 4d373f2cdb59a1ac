"""City: what must hold whatever the day, and what a duty officer would expect to see."""

import numpy as np

from simulators.world import World
from tests.simulators.conftest import Fortnight
from tests.simulators.zone import zone
from twin.clock import HOUR, parse
from twin.observation import Domain


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
