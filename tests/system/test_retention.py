from pathlib import Path

from dashboards.node import Node
from tests.zone import SMALL, T0, seen
from twin.clock import DAY, ManualClock
from twin.settings import Settings
from twin.store.memory import MemoryStore


def test_a_clock_that_jumps_ahead_forgets_no_more_than_two_days_at_a_time(tmp_path: Path) -> None:
    store = MemoryStore(SMALL)
    store.write([seen("td-1", T0 - day * DAY, T0, intensity=float(day)) for day in range(500)])
    settings = Settings(data=tmp_path)

    def left_at(now: int) -> int:
        # A new process each time: what was done last is in the data folder
        node = Node(settings, SMALL, store, ManualClock(now), engine=False, web=False)
        node._forget()
        node.worker.spool.close()
        return len(store.series("td-1", "intensity", T0 - 1_000 * DAY, T0 + 1).at)

    assert left_at(T0 + 500 * DAY) == 399, "the first time, what the store has seen is the measure"
    assert left_at(T0 + 500 * DAY) == 397
    assert left_at(T0) == 397, "the clock was put right"
    assert left_at(T0 + 30 * DAY) == 397, "two days on from there are gone already"
