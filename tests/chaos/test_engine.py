"""kill -9 of the engine at twenty random moments of S05, a festival: the ledger is the same."""

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from tests.chaos.killed_engine import SENSORS
from tests.scenarios.played import arrivals, play
from twin.clock import HOUR
from twin.ledger import Ledger, sqlite_url
from twin.ledger.tables import ALARM, TRANSITION

pytestmark = pytest.mark.server

KILLS = 20
MOST_GAP = 200  # readings published while it is dead: some 20 s of them


@pytest.fixture(scope="module")
def stream() -> bytes:
    begin = play("S05").scenario.start
    heard = [o for o in arrivals("S05") if o.device in SENSORS and begin <= o.received < begin + 5 * HOUR // 2]
    return msgspec.msgpack.encode(heard)


def start(folder: Path, gap: int) -> subprocess.Popen[str]:
    program = [sys.executable, "-m", "tests.chaos.killed_engine", str(folder), str(gap)]
    return subprocess.Popen(program, stdout=subprocess.PIPE, text=True)


def run(folder: Path, stream: bytes, kills: list[int], dice: random.Random) -> int:
    """Kill it as soon as it has said that it is past each of these; returns how often it was."""
    folder.mkdir()
    (folder / "stream").write_bytes(stream)
    killed, gap = 0, 0
    while True:
        with start(folder, gap) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line == "done\n":
                    assert process.wait(30) == 0
                    return killed
                if kills and int(line) > kills[0]:
                    process.kill()
                    kills = [k for k in kills if k > int(line)]
                    killed += 1
                    break
            else:
                raise AssertionError(f"it ended by itself with {process.wait(30)}")
        gap = dice.randrange(MOST_GAP)


def said(folder: Path) -> tuple[list[Any], list[Any]]:
    """All of the ledger but when it was noticed and the numbers of its rows."""
    ledger = Ledger(sqlite_url(folder / "ledger.sqlite"))
    t, a = TRANSITION.c, ALARM.c
    told = sa.select(t.at, t.rule, t.subject, t.kind, t.level, t.was, t.value, t.reason, t.flapping, t.version)
    kept = sa.select(a.opened, a.rule, a.subject, a.level, a.highest, a.changed, a.closed, a.unknown, a.flapping)
    with ledger.reading() as connection:
        found = tuple(sorted((tuple(r) for r in connection.execute(q)), key=repr) for q in (told, kept))
    ledger.close()
    return found[0], found[1]


def test_a_killed_engine_keeps_the_same_ledger(stream: bytes, tmp_path: Path) -> None:
    count = len(msgspec.msgpack.decode(stream, type=list[msgspec.Raw]))
    dice = random.Random()
    moments = sorted(dice.sample(range(count // 50, count * 9 // 10), KILLS))
    run(tmp_path / "whole", stream, [], dice)
    times = run(tmp_path / "killed", stream, moments, dice)
    told, kept = said(tmp_path / "whole")
    assert len(told) > 50
    assert {rule for _, rule, *_ in told} >= {"parking-full", "traffic-district"}
    assert said(tmp_path / "killed") == (told, kept), f"killed at {moments}"
    assert times >= KILLS - 3  # two moments within one batch are one
