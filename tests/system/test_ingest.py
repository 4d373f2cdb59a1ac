"""Ingest on a real broker: what was acknowledged is stored, whatever the store or the worker does meanwhile."""

import json
import time
from pathlib import Path
from random import Random

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from ingest import quarantine
from ingest.decode import Decoder
from ingest.worker import Worker
from tests.contracts.influx_server import influx_behind_nginx
from tests.core.test_decode import RUBBISH, SEEDS, mutated
from tests.servers import mosquitto, wait_until
from tests.zone import PREFIX, SMALL, topic
from twin.clock import SystemClock
from twin.settings import Broker, Ingest
from twin.store import Store
from twin.store.duckdb import DuckDBStore
from twin.store.influx import InfluxStore
from twin.store.memory import MemoryStore

pytestmark = pytest.mark.server


def worker(store: Store, port: int, folder: Path) -> Worker:
    return Worker(
        store,
        Decoder(SMALL, prefix=PREFIX),
        folder,
        SystemClock(),
        Ingest(),
        Broker(port=port),
    )


class Sensors:
    """A publisher that knows what the broker has acknowledged."""

    def __init__(self, port: int) -> None:
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id="sensors")
        self.client.max_inflight_messages_set(1000)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.start = SystemClock().now()

    def publish(self, first: int, last: int) -> None:
        """Readings number first..last-1 of td-1, a millisecond apart; returns once the broker has all of them."""
        sent = []
        for i in range(first, last):
            body = {"at": self.start + i, "values": {"intensity": i}}
            sent.append(self.client.publish(topic("td-1"), json.dumps(body), qos=1))
        for message in sent:
            message.wait_for_publish(20)

    def stored(self, store: Store) -> list[float]:
        return store.series("td-1", "intensity", self.start, self.start + 10**6).mean.tolist()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_nothing_acknowledged_is_lost_while_the_store_is_away(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as port, influx_behind_nginx(tmp_path / "influx") as server:
        store = InfluxStore(SMALL, **server.address._asdict(), timeout_s=2)
        taken = worker(store, port, tmp_path)
        taken.start()
        assert taken.connected.wait(10)
        sensors = Sensors(port)
        sensors.publish(0, 500)
        wait_until(lambda: len(sensors.stored(store)) == 500, "the first are stored")
        server.stop()
        sensors.publish(500, 2_500)
        wait_until(lambda: bool(taken.away), "ingest says that the store is away")
        assert "502" in taken.away
        time.sleep(1)
        server.start()
        wait_until(lambda: len(sensors.stored(store)) == 2_500, "all are stored once it is back")
        assert sensors.stored(store) == [float(i) for i in range(2_500)]
        assert taken.away == ""
        sensors.close()
        taken.stop()


def test_a_new_worker_takes_what_came_while_none_was_there(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as port:
        store = DuckDBStore(SMALL, tmp_path / "o.duckdb")
        first = worker(store, port, tmp_path)
        first.start()
        assert first.connected.wait(10)
        sensors = Sensors(port)
        sensors.publish(0, 100)
        wait_until(lambda: len(sensors.stored(store)) == 100, "the first are stored")
        first.stop()
        sensors.publish(100, 3_000)
        second = worker(store, port, tmp_path)
        second.start()
        wait_until(lambda: len(sensors.stored(store)) == 3_000, "the rest are stored")
        sensors.close()
        second.stop()
        store.close()


def test_what_cannot_be_taken_is_kept_with_its_reason_and_blocks_nothing(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as port:
        store = MemoryStore(SMALL)
        taken = worker(store, port, tmp_path)
        taken.start()
        assert taken.connected.wait(10)
        sensors = Sensors(port)
        for body in (b"", b"\xff\xfe{", b'{"values": {"intensity": 10000000}}', b'{"values": {}}'):
            sensors.client.publish(topic("td-1"), body, qos=1)
        sensors.client.publish(f"{PREFIX}/traffic/nobody/obs", b'{"values": {"intensity": 1}}', qos=1)
        sensors.publish(0, 10)
        wait_until(lambda: len(sensors.stored(store)) == 10, "the good ones are stored")
        kept = list(quarantine.read(tmp_path / "quarantine"))
        assert [k.grounds[0].reason for k in kept] == ["json", "json", "range", "empty", "device"]
        assert kept[2].content == b'{"values": {"intensity": 10000000}}'
        assert kept[1].content == b"\xff\xfe{"
        assert "not in 0…20000" in kept[2].grounds[0].detail
        sensors.close()
        taken.stop()


def test_whatever_is_sent_is_stored_or_in_quarantine(tmp_path: Path) -> None:
    """Three thousand mutated payloads through the broker: each accounted for, none in the way of the good ones."""
    random = Random(7)
    decoder = Decoder(SMALL, prefix=PREFIX)
    with mosquitto(tmp_path / "broker") as port:
        store = MemoryStore(SMALL)
        taken = worker(store, port, tmp_path)
        taken.start()
        assert taken.connected.wait(10)
        sensors = Sensors(port)
        refused = 0
        for _ in range(3_000):
            body = mutated(random, random.choice(SEEDS)) if random.random() < 0.99 else random.choice(RUBBISH)
            found = decoder.decode(topic("td-2"), body, SystemClock().now())
            refused += bool(found.rejections)
            sensors.client.publish(topic("td-2"), body, qos=1)
        sensors.publish(0, 100)
        wait_until(lambda: len(sensors.stored(store)) == 100, "the good ones are stored")
        wait_until(lambda: len(list(quarantine.read(tmp_path / "quarantine"))) == refused, "the bad ones are kept")
        assert refused > 2_000
        sensors.close()
        taken.stop()
