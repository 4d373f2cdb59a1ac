"""The worker's decisions, without a broker: what becomes of a batch that a store fails on."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ingest import quarantine
from ingest.decode import Decoder
from ingest.worker import Worker
from tests.zone import PREFIX, SMALL, T0, seen
from twin.clock import ManualClock
from twin.errors import StoreAwayError
from twin.observation import Observation
from twin.registry import Registry
from twin.settings import Broker, Ingest
from twin.store import Written
from twin.store.memory import MemoryStore


class Failing(MemoryStore):
    """Raises on a batch that has a reading for which `poison` holds; `broken`: on every write."""

    def __init__(self, poison: Callable[[Observation], bool]) -> None:
        super().__init__(SMALL)
        self.poison, self.broken, self.writes = poison, False, 0

    def write(self, batch: Sequence[Observation]) -> Written:
        self.writes += 1
        if self.broken or any(map(self.poison, batch)):
            raise ZeroDivisionError("no idea what this is")
        return super().write(batch)


def worker(store: MemoryStore, folder: Path, registry: Registry = SMALL) -> Worker:
    return Worker(store, Decoder(registry, prefix=PREFIX), folder, ManualClock(T0), Ingest(), Broker())


def readings(count: int) -> list[Observation]:
    return [seen("td-1", T0 + i, intensity=float(i)) for i in range(count)]


def kept(folder: Path) -> list[quarantine.Entry]:
    return list(quarantine.read(folder / "quarantine"))


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("bad", [{0}, {17}, set(range(40)), set(range(0, 100, 2)), {99}])
def test_the_readings_at_fault_are_found_whatever_the_store_raises(
    tmp_path: Path, *, bad: set[int], first: bool
) -> None:
    store = Failing(lambda o: o.values.get("intensity") in bad)
    if not first:
        store.write([seen("td-2", intensity=500.0)])
    made = worker(store, tmp_path)
    if first and len(bad & set(range(20))) == 20:
        # An empty store that takes none of twenty: it is the store, until it is known to work
        with pytest.raises(StoreAwayError, match="takes nothing"):
            made._write(readings(100))
        store.write([seen("td-2", intensity=500.0)])
    made._write(readings(100))
    there = {int(v) for v in store.series("td-1", "intensity", T0, T0 + 100).mean}
    assert there == set(range(100)) - bad
    assert {e.grounds[0].reason for e in kept(tmp_path)} == {"store"}
    assert len(kept(tmp_path)) == len(bad)
    assert "no idea what this is" in kept(tmp_path)[0].grounds[0].detail


def test_a_batch_of_nothing_but_poison_does_not_block_what_comes_behind(tmp_path: Path) -> None:
    store = Failing(lambda o: o.device == "td-1")
    store.write([seen("td-2", intensity=1.0)])
    made = worker(store, tmp_path)
    made._store_or_spool(readings(50))
    made._store_or_spool([seen("td-2", T0 + 1, intensity=2.0)])
    assert made.state == "storing"
    assert store.latest()["td-2"].at == T0 + 1
    assert len(kept(tmp_path)) == 50


def test_a_store_that_fails_on_everything_is_away_and_nothing_is_refused(tmp_path: Path) -> None:
    store = Failing(lambda _: False)
    store.write([seen("td-2", intensity=1.0)])
    store.broken = True
    made = worker(store, tmp_path)
    made._store_or_spool(readings(1_000))
    assert (made.state, kept(tmp_path)) == ("spooling", [])
    assert store.writes < 10
    store.broken, made._again = False, 0.0
    made._drain()
    assert made.state == "storing"
    assert len(store.series("td-1", "intensity", T0, T0 + 10_000).at) == 1_000


def test_what_was_spooled_for_a_device_that_has_left_the_registry_goes_into_quarantine(tmp_path: Path) -> None:
    smaller = Registry([d for d in SMALL if d.id != "td-1"])
    made = worker(MemoryStore(smaller), tmp_path, smaller)
    made.spool.append([seen("td-1", intensity=1.0), seen("td-2", intensity=2.0)])
    made._drain()
    assert made.state == "storing"
    [entry] = kept(tmp_path)
    assert entry.topic == f"{PREFIX}/traffic/td-1/obs"
    assert "not in the registry" in entry.grounds[0].detail
    assert set(made.store.latest()) == {"td-2"}


def test_folders_tidied_away_are_made_again(tmp_path: Path) -> None:
    store = Failing(lambda o: o.values.get("intensity") == 3.0)
    store.write([seen("td-2", intensity=1.0)])
    made = worker(store, tmp_path)
    for folder in (tmp_path / "quarantine", tmp_path / "spool" / "ingest"):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    made._write(readings(10))
    assert len(kept(tmp_path)) == 1
    made.spool.append(readings(3))
    assert made.spool.peek() == readings(3)
    made.spool.drop()
    # A segment that somebody deleted while it was written to
    made.spool.append(readings(4))
    for file in (tmp_path / "spool" / "ingest").glob("*.spool"):
        file.unlink()
    made.spool.append(readings(5))
    found = []
    while (record := made.spool.peek()) is not None:
        found.append(len(record))
        made.spool.drop()
    assert found[-1] == 5
    assert made.spool.damaged >= 1
