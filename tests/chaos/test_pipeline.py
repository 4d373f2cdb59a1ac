"""What the broker has acknowledged to a sensor is in the store, whatever dies: real Mosquitto, real InfluxDB, real
processes. Each test counts distinct (device, at) acknowledged against stored, and prints them.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from ingest import quarantine
from ingest.broker import find
from ingest.worker import Status
from tests.contracts.influx_server import Address, InfluxServer, influx_behind_nginx
from tests.servers import mosquitto, wait_until
from tests.zone import PREFIX, SMALL, topic
from twin import registry
from twin.clock import SystemClock
from twin.store.influx import InfluxStore

pytestmark = pytest.mark.server

LINKS = ("td-1", "td-2", "td-3")


class Sensors:
    """Three link detectors that know what the broker has acknowledged."""

    def __init__(self, port: int) -> None:
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id="sensors", clean_session=False)
        self.client.max_inflight_messages_set(500)
        self.client.max_queued_messages_set(0)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_publish = lambda _c, _u, mid, _r, _p: self._acknowledged(mid)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.begin = SystemClock().now()
        self.published = 0
        self._lock = threading.Lock()
        self._sent: dict[int, int] = {}  # packet id → number of the message
        self._early: set[int] = set()
        self.acknowledged: set[int] = set()

    def _acknowledged(self, mid: int) -> None:
        with self._lock:
            if mid in self._sent:
                self.acknowledged.add(self._sent.pop(mid))
            else:
                self._early.add(mid)

    def publish(self, count: int, *, rate: float, **more: float) -> None:
        """`count` readings, each of another (device, at), at `rate` a second."""
        begun = time.monotonic()
        for i in range(count):
            number = self.published
            body = {"at": self.begin + number // 3, "values": {"intensity": number % 5_000, **more}, "seq": number // 3}
            sent = self.client.publish(topic(LINKS[number % 3]), json.dumps(body), qos=1)
            with self._lock:
                self.published += 1
                if sent.mid in self._early:
                    self._early.discard(sent.mid)
                    self.acknowledged.add(number)
                else:
                    self._sent[sent.mid] = number
            ahead = (i + 1) / rate - (time.monotonic() - begun)
            if ahead > 0.01:
                time.sleep(ahead)

    def settled(self) -> None:
        """Returns once the broker has acknowledged all."""
        wait_until(lambda: len(self.acknowledged) == self.published, "the broker has acknowledged all")

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Ingest:
    """`gaoxin ingest` as a process of its own."""

    def __init__(self, folder: Path, port: int, store: Address, *, worker: str = "ingest", **settings: str) -> None:
        self.folder, self.name = folder, worker
        folder.mkdir(parents=True, exist_ok=True)
        registry.write(folder / "devices.json", SMALL)
        clean = {k: v for k, v in os.environ.items() if not k.startswith("GAOXIN_")}
        self.env = clean | {
            "GAOXIN_DATA": str(folder / "data"),
            "GAOXIN_REGISTRY": str(folder / "devices.json"),
            "GAOXIN_BROKER__KIND": "outside",
            "GAOXIN_BROKER__PORT": str(port),
            "GAOXIN_STORE__KIND": "influx",
            "GAOXIN_STORE__URL": store.url,
            "GAOXIN_STORE__BUCKET": store.bucket,
            "GAOXIN_STORE__TOKEN": store.token,
            "GAOXIN_STORE__TIMEOUT_S": "5",
            "GAOXIN_INGEST__WORKER": worker,
            **settings,
        }
        self.arguments = [sys.executable, "-m", "dashboards", "ingest"]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Ingest":
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(self.arguments, env=self.env, stdout=log, stderr=log)
        return self

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(40)


class Statuses:
    """What the workers say of themselves."""

    def __init__(self, port: int) -> None:
        self.now: dict[str, Status] = {}
        self.seen: set[str] = set()
        self.client = paho.Client(CallbackAPIVersion.VERSION2)
        self.client.on_connect = lambda client, *_: client.subscribe(f"{PREFIX}/worker/+/status")
        self.client.on_message = self._take
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _take(self, _c: Any, _u: Any, message: paho.MQTTMessage) -> None:
        status = msgspec.json.decode(message.payload, type=Status)
        self.now[status.worker] = status
        self.seen.add(status.state)

    def wait(self, worker: str, state: str, seconds: float = 30) -> None:
        wait_until(
            lambda: worker in self.now and self.now[worker].state == state,
            f"worker {worker} says {state}",
            seconds,
        )

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def stored(address: Address, sensors: Sensors) -> set[int]:
    """The numbers of the messages whose (device, at) is in the database."""
    store = InfluxStore(SMALL, **address._asdict())
    found = set()
    for i, device in enumerate(LINKS):
        at = store.series(device, "intensity", sensors.begin, sensors.begin + 10**7).at
        found |= {int(t - sensors.begin) * 3 + i for t in at}
    store.close()
    return found


def rows(address: Address) -> int:
    """Points in the database: more than distinct (device, at) would be a reading stored twice."""
    store = InfluxStore(SMALL, **address._asdict())
    [series] = store._ask('SELECT count("intensity") FROM "autogen"."traffic"')
    store.close()
    return int(series["values"][0][1])


def account(what: str, address: Address, sensors: Sensors, *, seconds: float = 60) -> None:
    """Wait until all is stored, print the account, and hold it to zero lost and none twice."""
    sensors.settled()
    found: set[int] = set()

    def all_there() -> bool:
        nonlocal found
        found = stored(address, sensors)
        return found >= sensors.acknowledged

    with contextlib.suppress(AssertionError):
        wait_until(all_there, "all are stored", seconds)
    lost, twice = sensors.acknowledged - found, rows(address) - len(found)
    print(
        f"\n{what}: published {sensors.published}, acknowledged {len(sensors.acknowledged)}, "
        f"stored {len(found)}, twice {twice}, lost {len(lost)}"
    )
    assert not lost, f"lost {len(lost)}, the first {sorted(lost)[:10]}"
    assert twice == 0


class Place:
    def __init__(self, folder: Path, port: int, influx: InfluxServer) -> None:
        self.folder, self.port, self.influx = folder, port, influx
        self.sensors, self.statuses = Sensors(port), Statuses(port)
        self.workers: list[Ingest] = []

    def ingest(self, worker: str = "ingest", **settings: str) -> Ingest:
        made = Ingest(self.folder / "node", self.port, self.influx.address, worker=worker, **settings)
        self.workers.append(made)
        return made

    def account(self, what: str, **more: float) -> None:
        account(what, self.influx.address, self.sensors, **more)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with mosquitto(tmp_path / "broker") as port, influx_behind_nginx(tmp_path / "influx") as influx:
        made = Place(tmp_path, port, influx)
        try:
            yield made
        finally:
            made.sensors.close()
            made.statuses.close()
            for worker in made.workers:
                worker.end()


def test_a_worker_killed_ten_times_in_the_middle_of_its_work(place: Place) -> None:
    worker = place.ingest().start()
    place.statuses.wait("ingest", "storing")
    feed = threading.Thread(target=lambda: place.sensors.publish(60_000, rate=2_500))
    feed.start()
    for _ in range(10):
        if not feed.is_alive():  # all was said before the tenth death, by a slow machine: there must be something to do
            feed = threading.Thread(target=lambda: place.sensors.publish(20_000, rate=2_500))
            feed.start()
        before = len(stored(place.influx.address, place.sensors))
        wait_until(lambda n=before: len(stored(place.influx.address, place.sensors)) > n, "it stores")
        worker.end(signal.SIGKILL)
        place.statuses.wait("ingest", "offline")  # the broker tells, by the last will
        worker.start()
        place.statuses.wait("ingest", "storing")
    feed.join()
    place.account("worker killed ten times")


def test_influxdb_away_for_a_minute_under_two_thousand_messages_a_second(place: Place) -> None:
    worker = place.ingest().start()
    place.statuses.wait("ingest", "storing")
    feed = threading.Thread(target=lambda: place.sensors.publish(140_000, rate=2_000))
    feed.start()
    time.sleep(2)
    place.influx.stop()
    place.statuses.wait("ingest", "spooling")
    time.sleep(30)
    # A killed worker with a spool takes it up again
    worker.end(signal.SIGKILL)
    worker.start()
    time.sleep(30)
    assert place.statuses.now["ingest"].state == "spooling"
    # All that was sent is acknowledged meanwhile: nothing but the last moments waits with the broker
    assert place.statuses.now["ingest"].buffered < 20_000
    place.influx.start()
    feed.join()
    place.account("InfluxDB away for 60 s")
    place.statuses.wait("ingest", "storing")
    assert place.statuses.now["ingest"].spool_bytes == 0


def test_a_broker_that_is_restarted(tmp_path: Path) -> None:
    with influx_behind_nginx(tmp_path / "influx") as influx:
        with mosquitto(tmp_path / "broker") as port:
            place = Place(tmp_path, port, influx)
            worker = place.ingest().start()
            place.statuses.wait("ingest", "storing")
            feed = threading.Thread(target=lambda: place.sensors.publish(40_000, rate=2_500))
            feed.start()
            time.sleep(5)
        # Longer than a retry of either client, so that both meet a broker that is not there
        time.sleep(2)
        with mosquitto(tmp_path / "broker", port):
            feed.join()
            place.account("broker restarted")
            place.sensors.close()
            place.statuses.close()
            worker.end()


def test_the_spool_s_disk_is_full(place: Place) -> None:
    """The data folder is a file system of 128 KiB, seen by the worker alone."""
    data = place.folder / "node" / "data"
    data.mkdir(parents=True)
    worker = place.ingest(GAOXIN_INGEST__BATCH="1000")
    mount = f'mount -t tmpfs -o size=128k none "{data}" && exec "$@"'
    alone = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    worker.arguments = [*alone, "sh", "-c", mount, "-", *worker.arguments]
    worker.start()
    place.statuses.wait("ingest", "storing")
    place.influx.stop()
    place.sensors.publish(30_000, rate=4_000)
    place.statuses.wait("ingest", "holding")
    assert "Make room on this disk" in place.statuses.now["ingest"].why
    held = place.statuses.now["ingest"].spooled
    assert 0 < held < 30_000
    place.sensors.publish(3_000, rate=3_000)
    assert place.statuses.now["ingest"].spooled == held
    place.influx.start()
    place.account("spool disk full")
    place.statuses.wait("ingest", "storing")


def test_one_poison_line_in_ten_thousand(place: Place) -> None:
    """A field that the database holds as text: InfluxDB refuses every number for it, for ever."""
    store = InfluxStore(SMALL, **place.influx.address._asdict())
    store.check()
    # A field has one type in a shard, which holds a week
    store._post(f'traffic,device=td-9 occupancy="full",received=1i {place.sensors.begin}000000'.encode())
    place.ingest().start()
    place.statuses.wait("ingest", "storing")
    place.sensors.publish(5_000, rate=10_000)
    body = {"at": place.sensors.begin - 1, "values": {"intensity": 1, "occupancy": 0.5}}
    place.sensors.client.publish(topic("td-1"), json.dumps(body), qos=1).wait_for_publish(10)
    place.sensors.publish(4_999, rate=10_000)
    place.account("one poison line in 10,000")
    wait_until(lambda: list(quarantine.read(place.folder / "node" / "data" / "quarantine")), "it is in quarantine")
    [entry] = quarantine.read(place.folder / "node" / "data" / "quarantine")
    assert entry.grounds[0].reason == "store"
    assert "type conflict" in entry.grounds[0].detail
    assert json.loads(entry.content) == {"at": place.sensors.begin - 1, "values": {"intensity": 1.0, "occupancy": 0.5}}
    place.statuses.wait("ingest", "storing")
    wait_until(lambda: place.statuses.now["ingest"].buffered == 0, "nothing waits")


def test_one_of_two_shared_workers_killed_and_started_again(place: Place) -> None:
    first, _ = (place.ingest(name, GAOXIN_INGEST__SHARED="true").start() for name in ("w1", "w2"))
    for name in ("w1", "w2"):
        place.statuses.wait(name, "storing")
    feed = threading.Thread(target=lambda: place.sensors.publish(40_000, rate=2_500))
    feed.start()
    time.sleep(4)
    first.end(signal.SIGKILL)
    place.statuses.wait("w1", "offline")
    time.sleep(3)
    first.start()
    feed.join()
    place.account("one of two workers killed")
    assert all(place.statuses.now[name].received > 5_000 for name in ("w1", "w2"))


def test_the_tools_of_these_tests_are_there() -> None:
    assert find("mosquitto")
    assert shutil.which("unshare")
    assert shutil.which("influxd")
