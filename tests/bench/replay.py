"""Replay: opening a day to its first frame, its chunks in time and bytes, and the wall's views, by store and zone."""

import gzip
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from dashboards.opening import read_registry
from dashboards.views.wall import wall
from simulators.backfill import chunks
from tests.contracts.influx_server import influx_behind_nginx
from twin import kpi, replay
from twin.clock import HOUR, MINUTE, SECOND
from twin.ledger import Ledger, sqlite_url
from twin.past import Past
from twin.registry import Registry
from twin.replay import Span, View
from twin.settings import load
from twin.store import Store
from twin.store.duckdb import DuckDBStore
from twin.store.influx import InfluxStore

START = 1_792_540_800_000
HOURS = 24
SIZES = (0, 5_000, 10_000)  # devices; 0: the default zone


def main() -> None:
    base = read_registry(load(environ={}))
    for size in SIZES:
        registry = larger(base, size)
        print(f"replay: {len(registry):,} devices, {HOURS} h stored", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            ledger = Ledger(sqlite_url(Path(folder) / "ledger.sqlite"))
            duck = DuckDBStore(registry, Path(folder) / "o.duckdb")
            measure("duckdb", registry, duck, ledger, base)
            duck.close()
            with influx_behind_nginx(Path(folder) / "influx") as server:
                influx = InfluxStore(registry, **server.address._asdict(), timeout_s=60)
                measure("influx (1.6.7 behind nginx)", registry, influx, ledger, base)
            ledger.close()


def larger(base: Registry, size: int) -> Registry:
    """The default zone as often as it takes; itself for 0."""
    size = size or len(base)
    devices = [
        msgspec.structs.replace(d, id=f"{d.id}{f'-{k}' if k else ''}")
        for k in range(-(-size // len(base)))
        for d in base
    ]
    return Registry(devices[:size])


def fill(registry: Registry, base: Registry, store: Store) -> int:
    """The default zone's hours, said by every copy of each device; returns how many readings."""
    copies = -(-len(registry) // len(base))
    rows = 0
    for _, part in chunks(base, seed=1, start=START, end=START + HOURS * HOUR):
        for domain, table in part.items():
            names = table["device"].to_pylist()
            for k in range(copies):
                named = [f"{name}-{k}" if k else name for name in names]
                there = [name in registry for name in named]
                copied = table.set_column(table.column_names.index("device"), "device", [named]).filter(there)
                rows += store.load(domain, copied)
    return rows


def measure(name: str, registry: Registry, store: Store, ledger: Ledger, base: Registry) -> None:
    rows = fill(registry, base, store)
    past = Past(registry, store, ledger, grace=3.0, ahead=300 * SECOND)
    print(f"  {name}, {rows:,} readings")
    begin = START + (HOURS - 2) * HOUR
    for view in View:
        each(f"first frame, {view}", [lambda view=view: past.chunk(view, Span(begin, begin + 1, SECOND))] * 5)
    spans = [Span(START + h * HOUR, START + (h + 1) * HOUR, SECOND) for h in range(1, HOURS)]
    made: list[bytes] = []
    each("chunk of an hour, 1 s", [lambda s=s: made.append(replay.encode(past.chunk(View.THEN, s))) for s in spans])
    with spent("  its gzip, an hour"):
        packed = [gzip.compress(body, 6) for body in made[:1]]
    packed += [gzip.compress(body, 6) for body in made[1:]]
    of_day = 24 / len(made)
    print(f"    24 h of them            {sum(map(len, made)) * of_day / 1e6:8.2f} MB raw")
    print(f"                            {sum(map(len, packed)) * of_day / 1e6:8.2f} MB gzip")
    overview = Span(START, START + HOURS * HOUR, HOUR)
    each("overview, steps of 1 h", [lambda: past.chunk(View.NOW, overview)] * 3)
    grouping, names = kpi.Grouping(registry), {d.id: d.name for d in registry}
    hour = Span(begin, begin + HOUR, MINUTE)

    def views() -> bytes:
        return msgspec.json.encode(
            [
                wall(
                    kpi.indicators(grouping, m.zone, m.hours, m.at),
                    "zh",
                    simulated=True,
                    ringing=m.ringing,
                    names=names,
                )
                for m in past.moments(View.THEN, hour)
            ]
        )

    each("60 views of an hour", [views] * 3)


@contextmanager
def spent(what: str) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    print(f"    {what:24}{(time.perf_counter() - begun) * 1000:8.1f} ms")


def each(what: str, calls: list[Callable[[], object]]) -> None:
    """By the clock and, as a machine has other work, by what the process itself has used."""
    times, used = [], []
    for call in calls:
        begun, before = time.perf_counter(), time.process_time()
        call()
        times.append((time.perf_counter() - begun) * 1000)
        used.append((time.process_time() - before) * 1000)
    found = f"median of {len(times)}, worst {max(times):.1f}; {statistics.median(used):.1f} ms of processor"
    print(f"    {what:24}{statistics.median(times):8.1f} ms ({found})")


if __name__ == "__main__":
    main()
