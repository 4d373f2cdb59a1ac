"""A process without a web answers for itself: the commands as started by a person, on a real broker."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.servers import free_port, mosquitto, wait_until

pytestmark = pytest.mark.server


class Process:
    def __init__(self, command: str, folder: Path, broker: int, port: int | None = None) -> None:
        self.port = port or free_port()
        env = {k: v for k, v in os.environ.items() if not k.startswith("GAOXIN_")} | {
            "GAOXIN_DATA": str(folder / command),
            "GAOXIN_STORE__KIND": "memory",
            "GAOXIN_BROKER__PORT": str(broker),
            "GAOXIN_MONITOR__PORT": str(self.port),
        }
        self.log = folder / f"{command}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "dashboards", command], env=env, stderr=log)

    def get(self, path: str) -> httpx2.Response:
        return httpx2.get(f"http://127.0.0.1:{self.port}{path}", timeout=5)

    def answers(self, path: str, status: int) -> bool:
        assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
        with contextlib.suppress(httpx2.HTTPError):
            return self.get(path).status_code == status
        return False

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(15)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[int, Process, Process, Process]]:
    broker = free_port()
    ingest, engine, simulate = (Process(c, tmp_path, broker) for c in ("ingest", "engine", "simulate"))
    try:
        yield broker, ingest, engine, simulate
    finally:
        assert [p.stop() for p in (ingest, engine, simulate)] == [0, 0, 0]


def test_each_says_what_keeps_it_from_its_work(started: tuple[int, Process, Process, Process], tmp_path: Path) -> None:
    broker, ingest, engine, simulate = started
    for process in (ingest, engine, simulate):
        wait_until(lambda p=process: p.answers("/healthz", 200), f"{process.log.stem} lives")
        assert process.get("/healthz").json() == {"status": "ok"}
    for process in (ingest, engine):
        ready = process.get("/readyz")
        assert ready.status_code == 503
        trouble = f"{process.log.stem}: not connected to the broker"
        assert ready.json() == {"status": "not ready", "troubles": [trouble]}
    assert simulate.get("/readyz").status_code == 404
    with mosquitto(tmp_path, broker):
        for process in (ingest, engine):
            wait_until(lambda p=process: p.answers("/readyz", 200), f"{process.log.stem} is ready")
            assert process.get("/readyz").json() == {"status": "ready", "troubles": []}
        wait_until(lambda: counted(ingest, "gaoxin_observations_stored_total") > 0, "simulated readings are stored")
        assert simulate.get("/metrics").headers["content-type"].startswith("text/plain")
        (tmp_path / "second").mkdir()
        taken = Process("ingest", tmp_path / "second", broker, port=simulate.port)
        assert taken.process.wait(20) == 2
        words = taken.log.read_text(encoding="utf-8")
        assert f"monitor.port = {simulate.port}" in words
        assert "GAOXIN_MONITOR__PORT" in words
    for process in (ingest, engine):
        wait_until(lambda p=process: p.answers("/readyz", 503), f"{process.log.stem} misses the broker")
        assert process.answers("/healthz", 200)


def counted(process: Process, metric: str) -> float:
    [line] = [one for one in process.get("/metrics").text.splitlines() if one.startswith(metric + " ")]
    return float(line.split()[1])
