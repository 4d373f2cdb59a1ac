"""How fast each store takes a day of the zone, a batch, and gives back a moment and a series."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from dashboards.opening import read_registry
from simulators.backfill import chunks
from tests.contracts.influx_server import influx_behind_nginx
from twin.clock import DAY, HOUR, MINUTE
from twin.observation import Observation
from twin.registry import Registry
from twin.settings import load
from twin.store import Store
from twin.store.duckdb import DuckDBStore
from twin.store.influx import InfluxStore

START = 1_792_540_800_000


def main() -> None:
    registry = read_registry(load(environ={}))
    begun = time.perf_counter()
    day = [part for _, part in chunks(registry, seed=1, start=START, end=START + DAY)]
    rows = sum(table.num_rows for part in day for table in part.values())
    spent = time.perf_counter() - begun
    print(f"stores: {len(registry):,} devices, one day = {rows:,} observations (simulated in {spent:.1f} s)")
    with tempfile.TemporaryDirectory() as folder:
        duck = DuckDBStore(registry, Path(folder) / "o.duckdb")
        measure("duckdb", duck, registry, day, rows)
        duck.close()
        size = sum(f.stat().st_size for f in Path(folder).iterdir()) / 2**20
        print(f"    file                    {size:8.1f} MiB")
    with tempfile.TemporaryDirectory() as folder, influx_behind_nginx(Path(folder)) as server:
        influx = InfluxStore(registry, **server.address._asdict(), timeout_s=60)
        measure("influx (1.6.7 behind nginx)", influx, registry, day, rows)


def measure(name: str, store: Store, registry: Registry, day: list, rows: int) -> None:
    print(f"  {name}")
    begun = time.perf_counter()
    for domain, table in (item for part in day for item in part.items()):
        store.load(domain, table)
    spent = time.perf_counter() - begun
    print(f"    load                    {rows / spent:8,.0f} rows/s ({spent:.1f} s)")
    link = next(d for d in registry if d.kind == "link-detector")
    detectors = [d for d in registry if d.kind == "link-detector"]
    batches = [
        [
            Observation(
                d.id, START + DAY + (k * 21 + i) * MINUTE, {"intensity": 5.0 + i, "averageVehicleSpeed": 40.0}, 0
            )
            for i in range(21)
            for d in detectors
        ][:10_000]
        for k in range(5)
    ]
    each("write of 10,000", [lambda b=b: store.write(b) for b in batches])
    end = START + DAY
    moments = [START + h * HOUR for h in (2, 5, 8, 11, 14, 17, 20, 23)]
    each("zone at T, as known now", [lambda t=t: store.zone(t, since=t - HOUR) for t in moments])
    each("zone at T, as known then", [lambda t=t: store.zone(t, known=t, since=t - HOUR) for t in moments])
    each("latest of all", [store.latest] * 5)
    each("24 h series, raw", [lambda: store.series(link.id, "intensity", START, end)] * 8)
    each("24 h series, 300 points", [lambda: store.series(link.id, "intensity", START, end, points=300)] * 8)


def each(what: str, calls: list[Callable[[], object]]) -> None:
    times = []
    for call in calls:
        begun = time.perf_counter()
        call()
        times.append((time.perf_counter() - begun) * 1000)
    print(f"    {what:24}{statistics.median(times):8.1f} ms (median of {len(times)}, worst {max(times):.1f})")


if __name__ == "__main__":
    main()
