"""What the simulated zone costs: a week into DuckDB, live, and against the zone's size."""

import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import psutil

from dashboards.opening import read_registry
from simulators import backfill
from simulators.world import World
from tests.servers import mosquitto
from twin.clock import DAY, HOUR, MINUTE, parse
from twin.observation import Domain
from twin.registry import Device, Registry
from twin.settings import load
from twin.store.duckdb import DuckDBStore

START = parse("2026-11-09T00:00:00")
ALONE = ("compute-centre", "dispatch", "compute-pool")  # kinds of which a zone has its own and no copies

PLACED = ("fromNode", "toNode", "road", "link", "poi")


def main() -> None:
    registry = read_registry(load(environ={}))
    print("simulated zone")
    week(registry)
    live()
    sizes(registry)


def week(registry: Registry) -> None:
    spent: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    whole = backfill.World
    backfill.World = timed(spent)  # type: ignore[misc]
    try:
        with tempfile.TemporaryDirectory() as folder:
            store = DuckDBStore(registry, Path(folder) / "week.duckdb")
            begun = time.perf_counter()
            for _, tables in backfill.chunks(registry, seed=1, start=START, end=START + 7 * DAY):
                for domain, table in tables.items():
                    at = time.perf_counter()
                    store.load(domain, table)
                    spent["stored"] += time.perf_counter() - at
                    rows[domain] += table.num_rows
            took = time.perf_counter() - begun
            store.close()
    finally:
        backfill.World = whole  # type: ignore[misc]
    total = rows.total()
    spent["rows made of it"] = took - spent.total()
    print(f"  seven days of {len(registry):,} devices: {total:,} observations in {took:.1f} s, {total / took:,.0f}/s")
    for what, seconds in spent.most_common():
        count = f"{rows[what]:>12,} rows" if rows[what] else ""
        print(f"    {what:16} {seconds:6.1f} s  {seconds / took:5.1%} {count}")


def timed(spent: Counter[str]) -> type[World]:
    """A world whose domains say how long they take."""

    class Timed(World):
        def __init__(self, *args: Any, **more: Any) -> None:
            self.watched = False
            super().__init__(*args, **more)

        def _step(self) -> None:
            if not self.watched:
                self.watched = True
                for domain, model in self.models.items():
                    model.step = watch(model.step, domain)  # type: ignore[method-assign]
                    model.read = watch(model.read, domain)  # type: ignore[method-assign]
            super()._step()

    def watch(act: Any, domain: Domain) -> Any:
        def watched(*args: Any) -> Any:
            at = time.perf_counter()
            try:
                return act(*args)
            finally:
                spent[domain] += time.perf_counter() - at

        return watched

    return Timed


def live(seconds: float = 60) -> None:
    with tempfile.TemporaryDirectory() as folder, mosquitto(Path(folder)) as port:
        env = {"GAOXIN_BROKER__PORT": str(port), "GAOXIN_BROKER__KIND": "outside", "GAOXIN_DATA": folder, "PATH": ""}
        process = subprocess.Popen([sys.executable, "-m", "dashboards", "simulate"], env=env)
        try:
            time.sleep(15)  # the start and the day before
            watched = psutil.Process(process.pid)
            before = sum(watched.cpu_times()[:2])
            time.sleep(seconds)
            used = (sum(watched.cpu_times()[:2]) - before) / seconds
            print(f"  live: {used:.1%} of a core, {watched.memory_info().rss / 2**20:.0f} MiB")
        finally:
            process.terminate()
            process.wait(20)


def sizes(registry: Registry) -> None:
    print("  against the zone's size, six hours of the day:")
    first = None
    for times in (1, 4, 16):
        large = enlarged(registry, times)
        world = World(large, seed=1, start=START)
        begun = time.perf_counter()
        for minute in range(6 * 60):
            world.advance(START + 6 * HOUR + minute * MINUTE)
            for domain in Domain:
                world.read(domain)
        took = (time.perf_counter() - begun) * 4
        first = first or took
        print(f"    {times:2}x, {len(large):6,} devices: {took:6.1f} s a day, {took / first:4.1f} times the first")


def enlarged(registry: Registry, times: int) -> Registry:
    """The zone beside itself so many times; what there is only one of stays single."""

    def copy(device: Device, k: int) -> Device:
        if not k:
            return device
        places = {a: f"{device.attributes[a]}~{k}" for a in PLACED if a in device.attributes}
        return msgspec.structs.replace(
            device,
            id=f"{device.id}~{k}",
            lon=device.lon + 0.2 * (k % 4),
            lat=device.lat + 0.15 * (k // 4),
            attributes=device.attributes | places,
        )

    return Registry([copy(d, k) for k in range(times) for d in registry if not k or d.kind not in ALONE])
