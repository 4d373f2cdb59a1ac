"""Hours in small: 2,000 observations a second, and the memory of every process: `python -m tests.bench.soak`.

Two installations side by side, each fed at this rate beside its simulators: `gaoxin up` as it comes (DuckDB), and the
parts as processes of their own (two ingest workers, engine, web) with InfluxDB; a screen listens to each web. At the
end what was published is counted in the stores.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import duckdb
import httpx2
import numpy as np
import paho.mqtt.client as paho
import psutil
from paho.mqtt.enums import CallbackAPIVersion
from websockets.sync.client import connect

from dashboards.opening import read_registry
from tests.contracts.influx_server import InfluxServer, influx_behind_nginx
from tests.servers import Up, free_port, mosquitto, wait_until
from twin.clock import SystemClock
from twin.observation import METRICS, Domain
from twin.registry import Registry
from twin.settings import load
from twin.store.influx import InfluxStore

EVERY_S = 10
WARM_S = 180  # what grows before this is warming up


class Feed:
    """`rate` readings a second of devices in turn, each its own (device, at), between the simulators' own readings."""

    def __init__(self, port: int, registry: Registry, rate: int) -> None:
        self.devices, self.rate, self.published = list(registry), rate, 0
        self.begin = SystemClock().now()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"soak-{port}")
        self.client.max_queued_messages_set(0)
        self.client.max_inflight_messages_set(1_000)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        chance, begun = Random(1), time.monotonic()
        while not self._stop.wait(0.05):
            for _ in range(int((time.monotonic() - begun) * self.rate) - self.published):
                device = self.devices[self.published % len(self.devices)]
                values = {}
                for name in device.metrics[:3]:
                    m = METRICS[name]
                    values[name] = round(m.low + (m.high - m.low) * chance.uniform(0.1, 0.6), 2)
                # One in a thousand is refused, so that the quarantine turns as well
                if self.published % 1_000 == 0:
                    values = dict.fromkeys(values, 1000000000000.0)
                body = {"at": SystemClock().now(), "values": values, "seq": self.published // len(self.devices)}
                self.client.publish(f"gaoxin/v1/{device.domain}/{device.id}/obs", json.dumps(body), qos=1)
                self.published += 1

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        wait_until(lambda: not self.client._out_messages, "the broker has all")
        self.client.disconnect()
        self.client.loop_stop()


def screen(port: int, stop: threading.Event) -> None:
    """Reads what the web sends to a screen, and comes back when it is cut off."""
    while not stop.is_set():
        with (
            contextlib.suppress(OSError, Exception),
            connect(f"ws://127.0.0.1:{port}/api/v1/live", max_size=None) as socket,
        ):
            while not stop.is_set():
                socket.recv(timeout=30)


@contextlib.contextmanager
def parts(folder: Path, influx: InfluxServer, port: int, web: int) -> Iterator[dict[str, int]]:
    """Name → pid of ingest workers, engine, web and simulators."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GAOXIN_")}
    common = {
        "GAOXIN_BROKER__KIND": "outside",
        "GAOXIN_BROKER__PORT": str(port),
        "GAOXIN_STORE__KIND": "influx",
        "GAOXIN_STORE__URL": influx.address.url,
        "GAOXIN_STORE__BUCKET": influx.address.bucket,
        "GAOXIN_STORE__TOKEN": influx.address.token,
        "GAOXIN_INGEST__SHARED": "true",
        "GAOXIN_WEB__PORT": str(web),
    }
    commands = {
        "ingest w1": "ingest",
        "ingest w2": "ingest",
        "engine": "engine",
        "web": "serve",
        "simulate": "simulate",
    }
    children = {}
    for name, command in commands.items():
        own = {"GAOXIN_DATA": str(folder / name), "GAOXIN_INGEST__WORKER": name.split()[-1]}
        log = (folder / f"{name}.log").open("wb")
        children[name] = subprocess.Popen(
            [sys.executable, "-m", "dashboards", command], env=clean | common | own, stdout=log, stderr=log
        )
    try:
        yield {name: child.pid for name, child in children.items()}
    finally:
        for child in reversed(children.values()):
            child.terminate()
        for child in children.values():
            child.wait(40)


def watch(pids: dict[str, int], minutes: float) -> dict[str, list[tuple[float, float]]]:
    """Name → (seconds, resident MiB), every EVERY_S."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in pids}
    begun = time.monotonic()
    while time.monotonic() - begun < minutes * 60:
        for name, pid in pids.items():
            found[name].append((time.monotonic() - begun, psutil.Process(pid).memory_info().rss / (1 << 20)))
        time.sleep(EVERY_S)
    return found


def report(found: dict[str, list[tuple[float, float]]], cpu: dict[str, float], minutes: float) -> None:
    marks = [m for m in (1, 3, 10, 20, 30, 60, 120) if m <= minutes]
    print(f"  {'resident MiB':<22}" + "".join(f"{m:>8} min" for m in marks) + "   MiB/h after 3 min   % of a core")
    for name, samples in found.items():
        at, size = np.array(samples).T
        row = [size[np.searchsorted(at, m * 60 - EVERY_S)] for m in marks]
        warm = at > WARM_S
        slope = np.polyfit(at[warm], size[warm], 1)[0] * 3600 if warm.sum() > 10 else float("nan")
        print(f"  {name:<22}" + "".join(f"{v:>12.1f}" for v in row) + f"{slope:>20.1f}{cpu[name]:>14.1f}")


def main(argv: Sequence[str] = ()) -> None:
    wanted = argparse.ArgumentParser("python -m tests.bench.soak")
    wanted.add_argument("--minutes", type=float, default=30)
    wanted.add_argument("--rate", type=int, default=2_000, help="observations a second, to each installation")
    knobs = wanted.parse_args(argv)
    registry = read_registry(load(environ={}))
    print(f"soak: {knobs.minutes:g} min at {knobs.rate:,} observations a second to each of two installations")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        twin = Up(folder)
        (folder / "parts").mkdir()
        with mosquitto(folder / "broker") as port, influx_behind_nginx(folder / "influx") as influx:
            web = free_port()
            with parts(folder / "parts", influx, port, web) as pids:
                twin.start()
                try:
                    _soak(knobs.minutes, knobs.rate, registry, twin, pids, port, web, influx)
                finally:
                    twin.stop()


def _soak(
    minutes: float,
    rate: int,
    registry: Registry,
    twin: Up,
    pids: dict[str, int],
    port: int,
    web: int,
    influx: InfluxServer,
) -> None:
    twin.wait_ready()
    wait_until(lambda: httpx2.get(f"http://127.0.0.1:{web}/readyz").status_code == 200, "the parts are ready", 90)
    assert twin.process is not None
    assert influx.process is not None
    watched = {
        "up: supervisor": twin.process.pid,
        **{f"up: {k}": v for k, v in twin.children().items()},
        **{f"parts: {k}": v for k, v in pids.items()},
        "InfluxDB": influx.process.pid,
    }
    stop = threading.Event()
    for p in (twin.port, web):
        threading.Thread(target=screen, args=(p, stop), daemon=True).start()
    feeds = [Feed(p, registry, rate) for p in (twin.broker_port, port)]
    before = {name: sum(psutil.Process(pid).cpu_times()[:2]) for name, pid in watched.items()}
    found = watch(watched, minutes)
    for feed in feeds:
        feed.stop()
    cpu = {
        name: (sum(psutil.Process(pid).cpu_times()[:2]) - before[name]) / (minutes * 60) * 100
        for name, pid in watched.items()
    }
    stop.set()
    report(found, cpu, minutes)
    _account(feeds, twin, influx, registry)


def _account(feeds: list[Feed], twin: Up, influx: InfluxServer, registry: Registry) -> None:
    """What was published and is good is in the stores. The simulators' own readings are there beside them."""
    time.sleep(5)
    good = [feed.published - -(-feed.published // 1_000) for feed in feeds]
    store = InfluxStore(registry, **influx.address._asdict(), timeout_s=120)
    in_influx = 0
    for domain in Domain:
        for series in store._ask(
            f'SELECT count("received") FROM "autogen"."{domain}" WHERE time >= {feeds[1].begin}ms'
        ):
            in_influx += int(series["values"][0][1])
    twin.stop()
    with duckdb.connect(str(twin.folder / "data" / "observations.duckdb"), read_only=True) as db:
        in_duckdb = sum(
            db.execute(f"SELECT count(*) FROM {domain} WHERE time >= {feeds[0].begin}").fetchall()[0][0]
            for domain in Domain
        )
    for name, feed, sound, there in zip(("DuckDB", "InfluxDB"), feeds, good, (in_duckdb, in_influx), strict=True):
        print(
            f"  {name}: published {feed.published:,}, of them good {sound:,}; stored, with the simulators', {there:,}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
