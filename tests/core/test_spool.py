import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ingest import spool as spools
from ingest.spool import Spool, SpoolFullError, SpoolInUseError
from tests.zone import T0, seen
from twin.observation import Observation

LIMIT = 1 << 24


def some(first: int, count: int = 3) -> list[Observation]:
    return [seen("td-1", T0 + i, T0 + i + 70, intensity=float(i)) for i in range(first, first + count)]


def drained(spool: Spool) -> list[Observation]:
    found = []
    while (record := spool.peek()) is not None:
        found += record
        spool.drop()
    return found


def reopened(spool: Spool) -> Spool:
    spool.close()
    return Spool(spool.folder, limit=spool.limit)


def only_segment(folder: Path) -> Path:
    [path] = folder.glob("*.spool")
    return path


def test_what_went_in_comes_out_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s", limit=LIMIT)
    assert not spool
    for i in range(0, 30, 3):
        spool.append(some(i))
    assert spool
    assert drained(spool) == some(0, 30)
    assert not spool
    assert spool.bytes == 0
    assert list(spool.folder.glob("*.spool")) == []


def test_a_record_stays_until_it_is_dropped_and_survives_a_new_process(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s", limit=LIMIT)
    spool.append(some(0))
    spool.append(some(3))
    assert spool.peek() == spool.peek() == some(0)
    spool.drop()
    spool = reopened(spool)
    # The oldest segment is drained again from its start: harmless, as writing twice is
    assert drained(spool) == some(0, 6)


def test_segments_are_small_and_deleted_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spools, "SEGMENT", 300)
    spool = Spool(tmp_path / "s", limit=LIMIT)
    for i in range(0, 60, 3):
        spool.append(some(i))
    files = len(list(spool.folder.glob("*.spool")))
    assert files > 3
    assert spool.bytes == sum(p.stat().st_size for p in spool.folder.glob("*.spool"))
    for _ in range(10):
        spool.peek()
        spool.drop()
    assert len(list(spool.folder.glob("*.spool"))) < files
    spool = reopened(spool)
    left = drained(spool)
    assert left == some(60 - len(left), len(left))
    assert len(left) >= 30


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_an_unfinished_last_record_is_dropped_and_counted_and_the_rest_is_read(tmp_path: Path, cut: int) -> None:
    spool = Spool(tmp_path / "s", limit=LIMIT)
    spool.append(some(0))
    spool.append(some(3))
    whole = spool.bytes
    spool.append(some(6))
    spool.close()
    path = only_segment(spool.folder)
    assert whole < path.stat().st_size - cut
    os.truncate(path, path.stat().st_size - cut)
    spool = Spool(spool.folder, limit=LIMIT)
    spool.append(some(9))
    assert drained(spool) == some(0, 6) + some(9)
    assert (spool.torn, spool.damaged) == (1, 0)
    assert list(spool.folder.glob("*.damaged")) == []


@pytest.mark.parametrize("where", [0, 5, 9, 30])
def test_damage_in_the_middle_costs_one_record_and_is_set_aside(tmp_path: Path, where: int) -> None:
    spool = Spool(tmp_path / "s", limit=LIMIT)
    spool.append(some(0))
    begin = spool.bytes
    spool.append(some(3))
    spool.append(some(6))
    spool.close()
    path = only_segment(spool.folder)
    raw = bytearray(path.read_bytes())
    raw[begin + where] ^= 0x55
    path.write_bytes(raw)
    spool = Spool(spool.folder, limit=LIMIT)
    assert drained(spool) == some(0) + some(6)
    assert (spool.torn, spool.damaged) == (0, 1)
    assert path.with_suffix(".damaged").read_bytes() == raw


def test_a_flipped_bit_in_the_last_record_is_damage_and_not_a_power_cut(tmp_path: Path) -> None:
    for _ in range(2):
        spool = Spool(tmp_path / "s", limit=LIMIT)
        spool.append(some(0))
        spool.append(some(3))
        spool.close()
        path = only_segment(spool.folder)
        raw = bytearray(path.read_bytes())
        raw[-3] ^= 1
        path.write_bytes(raw)
        spool = Spool(spool.folder, limit=LIMIT)
        assert drained(spool) == some(0)
        assert (spool.torn, spool.damaged) == (0, 1)
        spool.close()
    # The evidence of the first time is not written over by the second
    assert len(list(spool.folder.glob("*.damaged"))) == 2


def test_what_is_no_segment_is_let_be_and_blocks_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "00000009.spool").mkdir()
    (folder / "1.spool").write_bytes(b"foreign")
    (folder / "٣.spool").write_bytes(b"foreign")
    (folder / "00000003.spool").write_bytes(b"GXSP\xff\xff\xff\xff rubbish")
    (folder / "00000002.spool").symlink_to(folder / "nowhere")
    spool = Spool(folder, limit=LIMIT)
    spool.append(some(0))
    assert drained(spool) == some(0)
    assert not spool


def test_the_spool_of_a_worker_that_is_no_more_is_taken_over(tmp_path: Path) -> None:
    old, runs, mine = (Spool(tmp_path / name, limit=LIMIT) for name in ("old", "runs", "mine"))
    old.append(some(0))
    runs.append(some(3))
    mine.append(some(6))
    old.close()
    assert mine.adopt(tmp_path / "old") > 0
    assert mine.adopt(tmp_path / "runs") == 0
    assert mine.adopt(tmp_path / "old") == 0
    assert drained(mine) == some(6) + some(0)
    assert drained(runs) == some(3)


def test_a_full_spool_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s", limit=400)
    spool.append(some(0))
    spool.append(some(3))
    with pytest.raises(SpoolFullError, match=r"Bring the store back, or raise ingest\.spool_mb"):
        spool.append(some(6, 300))
    assert drained(spool) == some(0, 6)
    spool.append(some(0))
    assert drained(spool) == some(0)


def test_a_disk_that_refuses_leaves_no_half_record(tmp_path: Path) -> None:
    """In a process of its own whose files may not grow past a bound, as a full disk would have it."""
    code = f"""
        import resource, signal, sys
        from pathlib import Path
        from ingest.spool import Spool, SpoolFullError
        from tests.core.test_spool import some
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        spool, kept = Spool(Path({str(tmp_path / "s")!r}), limit={LIMIT}), 0
        try:
            while True:
                spool.append(some(kept))
                kept += 3
        except SpoolFullError as error:
            assert "Make room on this disk" in str(error), error
            print(kept)
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    kept = int(run.stdout)
    assert kept > 3
    spool = Spool(tmp_path / "s", limit=LIMIT)
    assert drained(spool) == some(0, kept)
    assert spool.torn == 0


def test_two_workers_cannot_share_a_spool(tmp_path: Path) -> None:
    first = Spool(tmp_path / "s", limit=LIMIT)
    with pytest.raises(SpoolInUseError, match=r"ingest\.worker"):
        Spool(tmp_path / "s", limit=LIMIT)
    first.close()
    Spool(tmp_path / "s", limit=LIMIT).close()


def test_a_process_killed_while_it_appends_loses_nothing_it_has_said(tmp_path: Path) -> None:
    code = f"""
        from pathlib import Path
        from ingest.spool import Spool
        from tests.core.test_spool import some
        spool = Spool(Path({str(tmp_path / "s")!r}), limit={LIMIT})
        for i in range(0, 10**9, 3):
            spool.append(some(i))
            print(i + 3, flush=True)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(50)]
    process.send_signal(signal.SIGKILL)
    said += process.stdout.readlines()
    process.wait()
    found = drained(Spool(tmp_path / "s", limit=LIMIT))
    assert len(found) >= int(said[-1])
    assert found == some(0, len(found))


class Model(RuleBasedStateMachine):
    """A spool beside a plain list, with restarts, torn ends and damage."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.spool = Spool(Path(self.folder.name), limit=LIMIT)
        self.there: list[list[Observation]] = []
        self.next = 0

    @rule(count=st.integers(1, 5))
    def append(self, count: int) -> None:
        record = some(self.next, count)
        self.spool.append(record)
        self.there.append(record)
        self.next += count

    @rule()
    def take(self) -> None:
        record = self.spool.peek()
        assert record == (self.there[0] if self.there else None)
        if record is not None:
            self.spool.drop()
            self.there.pop(0)

    @rule(garbage=st.binary(min_size=1, max_size=40))
    def crash(self, garbage: bytes) -> None:
        """Half a record at the end of the newest segment, then a new process."""
        self.spool.close()
        files = sorted(self.spool.folder.glob("*.spool"))
        if files:
            with files[-1].open("ab") as file:
                file.write(garbage.replace(b"GXSP", b""))
        self.spool = Spool(self.spool.folder, limit=LIMIT)
        # Records that were dropped may come again, in order, before the rest; never fewer
        again = []
        while (record := self.spool.peek()) is not None:
            again.append(record)
            self.spool.drop()
        assert again[len(again) - len(self.there) :] == self.there
        self.there = []

    @invariant()
    def bytes_are_what_is_on_disk(self) -> None:
        assert self.spool.bytes == sum(p.stat().st_size for p in self.spool.folder.glob("*.spool"))

    def teardown(self) -> None:
        self.spool.close()
        self.folder.cleanup()


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=40, stateful_step_count=20)
