"""An engine to be killed: the alarm side on its store and ledger, fed a recorded stream by the stream's own time.

`python -m tests.chaos.killed_engine FOLDER GAP` goes on from where the store ends, as ingest does from what the broker
kept for it; the engine itself hears nothing of the GAP readings that were published while it was dead. Ingest is one
batch behind the engine, as in life. Says how far it is, a line a batch.
"""

import sys
from pathlib import Path

import msgspec

from ingest.watch import Watch
from tests.scenarios.played import REGISTRY
from twin.clock import MINUTE, SECOND
from twin.ledger import Ledger, sqlite_url
from twin.observation import Domain, Observation
from twin.registry import Registry
from twin.store.duckdb import DuckDBStore

STEP = 10 * SECOND
SENSORS = Registry([d for d in REGISTRY if d.domain in (Domain.PARKING, Domain.TRAFFIC)])


def main(folder: Path, gap: int) -> None:
    stream = msgspec.msgpack.decode((folder / "stream").read_bytes(), type=list[Observation])
    store = DuckDBStore(SENSORS, folder / "observations.duckdb")
    ledger = Ledger(sqlite_url(folder / "ledger.sqlite"))
    newest = max((o.received for o in store.latest().values()), default=-1)
    stored = next((i for i, o in enumerate(stream) if o.received > newest), len(stream))
    heard = min(stored + gap, len(stream) - 1)
    now = stream[heard].received
    watch = Watch(SENSORS, ledger, now if stored else stream[0].received)
    watch.start(store, now)
    watch.turn(now)  # before ingest has had anything
    waiting = stream[stored:heard]
    while heard < len(stream):
        now += STEP
        begin = heard
        while heard < len(stream) and stream[heard].received < now:
            watch.step(stream[heard])
            heard += 1
        watch.turn(now)
        store.write(waiting)
        waiting = stream[begin:heard]
        print(heard, flush=True)
    store.write(waiting)
    for minute in range(60):
        watch.turn(now + minute * MINUTE)
    store.close()
    ledger.close()
    print("done", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
