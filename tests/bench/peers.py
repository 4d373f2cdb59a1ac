"""The consumers of the ingest bench, each a context: started and subscribed on entry, ended on exit.

Ours reaches InfluxDB 1.6 through nginx, which gives it the write path of the later versions; Node-RED writes to it
directly. Ours acknowledges what is stored, all others what they have received.
"""

import contextlib
import filecmp
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import httpx2
import psutil

from tests.bench.feed import Feed
from tests.bench.wire import FILTERS, publish
from tests.contracts.influx_server import InfluxServer, influx_behind_nginx
from tests.servers import free_port
from twin.observation import Domain

LIMIT_S = 240.0  # longest wait for the last reading of a run
START_S = 30.0  # longest wait for a consumer to store its first
POLL_S = 0.1
BATCH = 1_000  # points in one write of Node-RED
FLUSH_MS = 100  # longest a point waits there for its batch to fill, as with ours
ROOT = Path(__file__).parents[2]
FLOW = Path(__file__).parent / "nodered"
MODULES = ROOT / "build" / "nodered"


class RunFailedError(Exception):
    """Why a run has no figure."""


@dataclass
class Running:
    """`processes`: those measured. `finish` waits for the last reading and gives its moment (`time.monotonic()`)."""

    processes: list[psutil.Process]
    finish: Callable[[], float]

    def cpu_s(self) -> float:
        """User and system seconds so far, of the children too."""
        return sum(sum(p.cpu_times()[:4]) for p in self._all())

    def peak_mib(self) -> float:
        """The most memory that was ever resident, summed over the processes."""
        return sum(_peak_kib(p.pid) for p in self._all()) / 1024

    def _all(self) -> list[psutil.Process]:
        return self.processes + [child for p in self.processes for child in p.children(recursive=True)]


Peer = Callable[[Path, int, Feed], contextlib.AbstractContextManager[Running]]


def _peak_kib(pid: int) -> int:
    words = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(words.partition("VmHWM:")[2].split()[0])


# ------------------------------------------------------------ processes


@contextlib.contextmanager
def process(arguments: list[str], log: Path, settings: Mapping[str, str], *, talks: bool) -> Iterator[psutil.Popen]:
    """A program with, of our own variables, these alone. One that talks is heard here, else its output is logged."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GAOXIN_")}
    pipe = subprocess.PIPE
    with log.open("ab") as file:
        out = pipe if talks else file
        made = psutil.Popen(arguments, env={**clean, **settings}, stdin=pipe, stdout=out, stderr=file, bufsize=0)
    try:
        yield made
    finally:
        made.stdin.close()
        made.terminate()
        try:
            made.wait(20)
        except psutil.TimeoutExpired:
            made.kill()
            made.wait()
        if talks:
            made.stdout.close()


@contextlib.contextmanager
def wire(role: str, port: int, what: object, log: Path) -> Iterator[psutil.Popen]:
    """A process of tests/bench/wire.py that is ready."""
    arguments = [sys.executable, "-m", "tests.bench.wire", role, str(port), str(what)]
    with process(arguments, log, {}, talks=True) as made:
        told(made, START_S)
        yield made


def told(made: psutil.Popen, seconds: float) -> str:
    """The next line of a process."""
    if not select.select([made.stdout], [], [], seconds)[0]:
        raise RunFailedError(f"nothing heard within {seconds:g} s")
    line: bytes = made.stdout.readline()
    if not line:
        raise RunFailedError("the process ended")
    return line.decode().strip()


def _until(true: Callable[[], bool], what: Callable[[], str], seconds: float, processes: list[psutil.Popen]) -> None:
    end = time.monotonic() + seconds
    while not true():
        if any(p.poll() is not None for p in processes):
            raise RunFailedError("the process ended")
        if time.monotonic() > end:
            raise RunFailedError(f"{what()} within {seconds:g} s")
        time.sleep(POLL_S)


# ------------------------------------------------------------ without a store


def reader(role: str) -> Peer:
    @contextlib.contextmanager
    def running(folder: Path, port: int, feed: Feed) -> Iterator[Running]:
        with wire(role, port, feed.messages, folder / f"{role}.log") as made:
            yield Running([made], lambda: float(told(made, LIMIT_S)))

    return running


# ------------------------------------------------------------ into InfluxDB


class Rows:
    """What InfluxDB has of a feed."""

    def __init__(self, server: InfluxServer, feed: Feed) -> None:
        self.feed = feed
        self._http = httpx2.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60)
        self._http.post("/query", params={"q": "CREATE DATABASE gaoxin"})

    def count(self, condition: str) -> int:
        query = f'SELECT count("received") FROM /.*/ WHERE {condition}'
        answer = self._http.get("/query", params={"db": "gaoxin", "q": query}).json()
        return sum(series["values"][0][1] for series in answer["results"][0].get("series", []))

    def probed(self) -> bool:
        return self.count(f"time < {self.feed.first}ms") > 0

    def finish(self, processes: list[psutil.Popen]) -> float:
        """Asks for the last tenth until that is there, then for all, so that asking costs little."""
        found: dict[str, Any] = {}

        def whole() -> bool:
            found["at"] = time.monotonic()
            if self.count(f"time >= {self.feed.tail}ms") < self.feed.tail_readings:
                return False
            found["at"] = time.monotonic()
            return self.count(f"time >= {self.feed.first}ms") >= self.feed.readings

        def lacking() -> str:
            return f"{self.count(f'time >= {self.feed.first}ms'):,} of {self.feed.readings:,} readings stored"

        _until(whole, lacking, LIMIT_S, processes)
        return float(found["at"])


def _awaken(made: list[psutil.Popen], port: int, feed: Feed, stored: Callable[[], bool]) -> None:
    """Wait until every process is at the broker and a first reading, older than the feed, is stored."""

    def subscribed() -> bool:
        return all(any(c.raddr and c.raddr.port == port for c in p.net_connections("tcp")) for p in made)

    def first() -> bool:
        publish(port, [feed.probe])
        return stored()

    _until(subscribed, lambda: "not connected to the broker", START_S, made)
    _until(first, lambda: "the first reading was not stored", START_S, made)
    time.sleep(1)  # what starting still has to do


def _node_red(folder: Path, port: int, server: InfluxServer) -> list[str]:
    home = folder / "nodered"
    home.mkdir()
    (home / "flows.json").write_text(json.dumps(_flow(port, server.port)), encoding="utf-8")
    settings = {
        "flowFile": "flows.json",
        "userDir": str(home),
        "httpAdminRoot": False,
        "httpNodeRoot": False,
        "credentialSecret": False,
        "externalModules": {"autoInstall": False},
        "telemetry": {"enabled": False},
        "logging": {"console": {"level": "warn"}},
    }
    (home / "settings.js").write_text(f"module.exports = {json.dumps(settings)}", encoding="utf-8")
    program = MODULES / "node_modules" / "node-red" / "red.js"
    return ["node", str(program), "--no-telemetry", "--settings", str(home / "settings.js")]


def _flow(port: int, influx_port: int) -> list[dict[str, Any]]:
    """mqtt in → json → a function that makes points and batches of them → influx batch."""
    words = (FLOW / "points.js").read_text(encoding="utf-8")
    words = words.replace("BATCH", str(BATCH)).replace("FLUSH_MS", str(FLUSH_MS))
    subscription = {"type": "mqtt in", "qos": "1", "datatype": "utf8", "broker": "broker", "wires": [["json"]]}
    subscriptions = [{"id": f"in{i}", "topic": f} | subscription for i, f in enumerate(FILTERS)]
    nodes: list[dict[str, Any]] = [
        *subscriptions,
        {"id": "json", "type": "json", "property": "payload", "action": "obj", "wires": [["points"]]},
        {"id": "points", "type": "function", "func": words, "outputs": 1, "wires": [["influx"]]},
        {"id": "influx", "type": "influxdb batch", "influxdb": "server", "precision": "ms", "wires": []},
    ]
    return [
        {"id": "tab", "type": "tab", "label": "ingest"},
        {"id": "broker", "type": "mqtt-broker", "broker": "127.0.0.1", "port": str(port), "clientid": "bench-nodered"}
        | {"autoConnect": True, "protocolVersion": "4", "keepalive": "60", "cleansession": True},
        {"id": "server", "type": "influxdb", "hostname": "127.0.0.1", "port": str(influx_port), "database": "gaoxin"}
        | {"influxdbVersion": "1.x"},
        *({"z": "tab", "x": 0, "y": 0} | node for node in nodes),
    ]


@contextlib.contextmanager
def node_red(folder: Path, port: int, feed: Feed) -> Iterator[Running]:
    why = node_red_is_missing()
    if why:
        raise RunFailedError(why)
    with influx_behind_nginx(folder / "influx") as server:
        rows = Rows(server, feed)
        with process(_node_red(folder, port, server), folder / "nodered.log", {}, talks=False) as made:
            _awaken([made], port, feed, rows.probed)
            yield Running([made], lambda: rows.finish([made]))


@cache
def node_red_is_missing() -> str:
    """Install it where it is not; why it cannot be, or nothing."""
    lock = MODULES / "package-lock.json"
    if lock.exists() and filecmp.cmp(lock, FLOW / "package-lock.json", shallow=False):
        return ""
    if not (shutil.which("node") and shutil.which("npm")):
        return "node or npm is not installed"
    MODULES.mkdir(parents=True, exist_ok=True)
    shutil.copy(FLOW / "package.json", MODULES)
    shutil.copy(FLOW / "package-lock.json", lock)
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=MODULES, capture_output=True, text=True
    )
    if done.returncode:
        lock.unlink()
        return f"npm ci failed: {done.stderr.strip()[-200:]}"
    return ""


def ours(workers: int) -> Peer:
    """`gaoxin ingest`, so many of it on one feed, into InfluxDB."""

    @contextlib.contextmanager
    def running(folder: Path, port: int, feed: Feed) -> Iterator[Running]:
        with influx_behind_nginx(folder / "influx") as server, contextlib.ExitStack() as started:
            rows = Rows(server, feed)
            store = {
                "GAOXIN_STORE__KIND": "influx",
                "GAOXIN_STORE__URL": server.address.url,
                "GAOXIN_STORE__BUCKET": server.address.bucket,
                "GAOXIN_STORE__TOKEN": server.address.token,
            }
            made = []
            for n in range(workers):
                share = {"GAOXIN_INGEST__SHARED": "true", "GAOXIN_INGEST__WORKER": f"w{n + 1}"} if workers > 1 else {}
                made.append(started.enter_context(_gaoxin("ingest", folder, port, store | share)))
            _awaken(made, port, feed, rows.probed)
            yield Running(made, lambda: rows.finish(made))

    return running


def _gaoxin(
    command: str, folder: Path, port: int, settings: Mapping[str, str]
) -> contextlib.AbstractContextManager[psutil.Popen]:
    always = {
        "GAOXIN_DATA": str(folder / "data"),
        "GAOXIN_BROKER__KIND": "outside",
        "GAOXIN_BROKER__PORT": str(port),
        "GAOXIN_SIMULATE__ON": "false",
    }
    arguments = [sys.executable, "-m", "dashboards", *command.split()]
    return process(arguments, folder / "gaoxin.log", {**always, **settings}, talks=False)


# ------------------------------------------------------------ into DuckDB


@contextlib.contextmanager
def ours_duckdb(folder: Path, port: int, feed: Feed) -> Iterator[Running]:
    """One process owns the file, so it is asked how many it stored; its rows are counted when it has ended."""
    monitor = free_port()
    settings = {"GAOXIN_STORE__KIND": "duckdb", "GAOXIN_MONITOR__PORT": str(monitor)}
    with _gaoxin("ingest", folder, port, settings) as made:
        _awaken([made], port, feed, lambda: _stored(monitor) > 0)
        before = _stored(monitor)
        found: dict[str, float] = {}

        def whole() -> bool:
            found["at"] = time.monotonic()
            return _stored(monitor) - before >= feed.readings

        def finish() -> float:
            _until(whole, lambda: f"{_stored(monitor) - before:,.0f} of {feed.readings:,} stored", LIMIT_S, [made])
            return found["at"]

        yield Running([made], finish)
    rows = _rows(folder / "data" / "observations.duckdb", feed.first)
    if rows != feed.readings:
        raise RunFailedError(f"{rows:,} rows in the file, {feed.readings:,} published")


def _stored(monitor: int) -> float:
    """`gaoxin_observations_stored_total` of the process; 0 while it does not answer."""
    try:
        words = httpx2.get(f"http://127.0.0.1:{monitor}/metrics", timeout=10).text
    except httpx2.HTTPError:
        return 0
    lines = [line for line in words.splitlines() if line.startswith("gaoxin_observations_stored_total ")]
    return float(lines[0].split()[1]) if lines else 0


def _rows(path: Path, first: int) -> int:
    with duckdb.connect(str(path), read_only=True) as file:
        counts = [file.execute(f"SELECT count(*) FROM {d} WHERE time >= {first}").fetchone() for d in Domain]
    return sum(row[0] for row in counts if row)
