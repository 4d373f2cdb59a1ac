"""MQTT to the last row in the database, ours beside others, on one feed: `python -m tests.bench.ingest --runs 2`.

The feed is QoS 1 and as fast as Mosquitto takes it. A rate is from the first PUBLISH to the moment at which the last
reading can be counted; processor time and memory are those of the consumer, not of broker and database, which share
the machine with it and with the feed.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dashboards.opening import read_registry
from tests.bench import peers
from tests.bench.feed import Feed, build
from tests.servers import mosquitto
from twin.settings import load

NODE_RED = "Node-RED 4, InfluxDB"
PEERS: dict[str, peers.Peer] = {
    "bare socket, no store": peers.reader("bare"),
    "paho, no store": peers.reader("paho"),
    NODE_RED: peers.node_red,
    "ours, 1 worker, InfluxDB": peers.ours(1),
    "ours, 2 workers, InfluxDB": peers.ours(2),
    "ours, 1 worker, DuckDB": peers.ours_duckdb,
}


class Run(NamedTuple):
    """`seconds` from the first PUBLISH to the last row; `fed` the part of it in which the feed was published."""

    seconds: float
    fed: float
    cpu_s: float
    peak_mib: float


def main(argv: Sequence[str] = ()) -> None:
    wanted = argparse.ArgumentParser("python -m tests.bench.ingest")
    wanted.add_argument("--runs", type=int, default=5)
    wanted.add_argument("--single", type=int, default=200_000, help="readings, one a message")
    wanted.add_argument("--packed", type=int, default=1_000_000, help="readings, fifty a message")
    knobs = wanted.parse_args(argv)
    print(f"ingest: MQTT QoS 1 to the last row on {os.cpu_count()} cores, {knobs.runs} runs each in turn, medians")
    with tempfile.TemporaryDirectory() as folder:
        registry = read_registry(load(environ={}))
        feeds = [build(registry, Path(folder), mode, getattr(knobs, mode)) for mode in ("single", "packed")]
        for feed in feeds:
            report(feed, measure(feed, knobs.runs))


def measure(feed: Feed, runs: int) -> dict[str, list[Run]]:
    """Run 1 of all, then run 2 of all, so that whatever else the machine does falls on all of them."""
    found: dict[str, list[Run]] = {name: [] for name in PEERS}
    for n in range(runs):
        for name, peer in PEERS.items():
            try:
                found[name].append(run(peer, feed))
            except peers.RunFailedError as error:
                print(f"  {feed.mode}, run {n + 1}, {name}: {error}")
    return found


def run(peer: peers.Peer, feed: Feed) -> Run:
    """A fresh broker, a fresh store."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return _run(peer, feed, Path(folder))
        except peers.RunFailedError as error:
            raise peers.RunFailedError(" | ".join([str(error), *_last_words(Path(folder))])) from None


def _last_words(folder: Path) -> list[str]:
    """The last line of each program's log."""
    logs = (log.read_text(encoding="utf-8", errors="replace").splitlines() for log in folder.glob("*.log"))
    return [lines[-1] for lines in logs if lines]


def _run(peer: peers.Peer, feed: Feed, folder: Path) -> Run:
    with (
        mosquitto(folder / "broker") as port,
        peers.wire("publish", port, feed.path, folder / "feed.log") as publisher,
        peer(folder, port, feed) as running,
    ):
        before = running.cpu_s()
        publisher.stdin.write(b"go\n")
        begun, published = map(float, peers.told(publisher, peers.LIMIT_S).split())
        ended = running.finish()
        return Run(ended - begun, published - begun, running.cpu_s() - before, running.peak_mib())


COLUMNS = "{:<46}{:>12}{:>34}{:>12}{:>16}{:>10}"


def report(feed: Feed, found: dict[str, list[Run]]) -> None:
    title = f"{feed.mode}: {feed.readings:,} readings in {feed.messages:,} messages"
    spread = "readings/s (lowest–highest)"
    print(" ", COLUMNS.format(title, "messages/s", spread, "× Node-RED", "CPU µs/reading", "peak MiB"))
    red = [feed.readings / r.seconds for r in found[NODE_RED]]
    for name, runs in found.items():
        if not runs:
            print(f"    {name}: no figure")
            continue
        rates = [feed.readings / r.seconds for r in runs]
        rate = statistics.median(rates)
        row = (
            f"{rate * feed.messages / feed.readings:,.0f}",
            f"{rate:,.0f} ({min(rates):,.0f}–{max(rates):,.0f})",
            f"{rate / statistics.median(red):.2f}" if red else "–",
            f"{statistics.median(r.cpu_s for r in runs) / feed.readings * 1e6:.1f}",
            f"{statistics.median(r.peak_mib for r in runs):.0f}",
        )
        print(" ", COLUMNS.format(f"  {name}", *row))
    fed = statistics.median([r.fed for runs in found.values() for r in runs] or [0])
    print(f"    the feed itself took {fed:.1f} s (median)")


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
