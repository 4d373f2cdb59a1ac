"""A drill of yesterday in a data folder: scenario S03 in the store with its ground truth, and the alarms that the
shipped rules raise over it in the ledger, as an engine would have written them."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec

from tests.scenarios.played import REGISTRY
from twin.access import Role
from twin.alerts import run
from twin.clock import DAY, HOUR, MINUTE, SystemClock, local, parse
from twin.episodes import DISTRICT
from twin.ledger import Ledger, alarms, rules, sqlite_url, truth, users
from twin.observation import Domain
from twin.rules import Book, default_rules
from twin.store.duckdb import DuckDBStore


class Drill(msgspec.Struct, frozen=True):
    run: str
    begin: int
    end: int
    alarms: tuple[int, ...]
    acknowledged: int


def play(data: Path) -> Drill:
    """Fill `data`, which no twin has opened yet. Somebody on duty acknowledges the first alarm, and comments."""
    yesterday = f"{local(SystemClock().now() - DAY):%Y-%m-%d}"
    begin, end = parse(f"{yesterday}T14:30"), parse(f"{yesterday}T17:30")
    span = ["--from", f"{yesterday}T14:30", "--to", f"{yesterday}T17:30", "--scenario", f"S03@{yesterday}T15:20"]
    program = [sys.executable, "-m", "dashboards", "backfill", *span]
    subprocess.run(program, env=os.environ | {"GAOXIN_DATA": str(data)}, check=True, capture_output=True)
    store = DuckDBStore(REGISTRY, data / "observations.duckdb", memory_mb=500)
    compute = [d.id for d in REGISTRY.of(Domain.COMPUTE)]
    there = {*compute, *(DISTRICT + REGISTRY[d].district for d in compute)}
    rows = sorted(store.rows(compute, begin, end), key=lambda o: o.at)
    store.close()
    ledger = Ledger(sqlite_url(data / "ledger.sqlite"))
    with ledger.transaction() as connection:
        shipped = default_rules()
        version = rules.commit(connection, shipped, author="seed", reason="shipped", base=0, at=begin - HOUR)
        book = Book(version, shipped)
        said = run(book, REGISTRY, rows, begin=begin, end=end)
        made = alarms.record(connection, [t for t in said if t.subject in there], noticed=end)
        first = min(made, key=lambda a: (a.opened, a.id))
        users.add(connection, "li", Role.OPERATOR, "a-long-password", by="seed", at=begin - HOUR)
        alarms.acknowledge(connection, first.id, by="li", at=first.opened + 3 * MINUTE)
        alarms.comment(connection, first.id, "现场确认 2 号冷机跳闸", by="li", at=first.opened + 5 * MINUTE)
        [name] = {f.run for f in truth.between(connection, begin, end)}
    ledger.close()
    return Drill(name, begin, end, tuple(a.id for a in made), first.id)
