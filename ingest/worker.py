"""Messages into the store, each acknowledged only when it is there.

The network thread appends, one writer thread decodes, writes and acknowledges. While the store is away the batch is
kept and tried again with growing pauses; nothing is acknowledged meanwhile, so the broker keeps the rest. A killed
worker loses nothing: what it had not acknowledged is sent again to the same client id, and writing twice is harmless.
"""

import logging
import threading
import time
from collections import deque
from typing import Any, NamedTuple

import paho.mqtt.client as paho

from ingest.decode import Decoder
from ingest.quarantine import Quarantine
from twin import meters, mqtt
from twin.clock import Clock
from twin.errors import StoreAwayError
from twin.observation import Observation
from twin.settings import Broker, Ingest
from twin.store import Store

log = logging.getLogger("gaoxin.ingest")


class _Message(NamedTuple):
    topic: str
    payload: bytes
    received: int
    mid: int
    connection: int


class Worker:
    def __init__(
        self,
        store: Store,
        decoder: Decoder,
        quarantine: Quarantine,
        clock: Clock,
        settings: Ingest,
        broker: Broker,
        *,
        name: str = "ingest",
    ) -> None:
        self.store, self.decoder, self.quarantine, self.clock = store, decoder, quarantine, clock
        self.settings, self.broker = settings, broker
        self.connected = threading.Event()
        self.away: str = ""  # why the store cannot be written, while it cannot
        self._buffer: deque[_Message] = deque()
        self._room = threading.Semaphore(50_000)
        self._news = threading.Event()
        self._stop = threading.Event()
        self._connection = 0
        self._client = mqtt.client(broker, f"gaoxin-{name}", persistent=True, manual_ack=True)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._writer = threading.Thread(target=self._write_on, name="ingest-writer", daemon=True)

    def start(self) -> None:
        self._writer.start()
        mqtt.connect(self._client, self.broker)

    def stop(self) -> None:
        """What is buffered and not written stays with the broker."""
        self._stop.set()
        self._news.set()
        self._client.disconnect()
        self._client.loop_stop()
        self._writer.join(timeout=10)

    def _on_connect(self, client: paho.Client, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        if reason.is_failure:
            log.error("broker %s:%s refused ingest: %s", self.broker.host, self.broker.port, reason)
            return
        self._connection += 1
        client.subscribe([(f"{self.broker.prefix}/+/+/obs", 1), (f"{self.broker.prefix}/+/batch", 1)])
        self.connected.set()
        log.info("ingest connected to broker %s:%s", self.broker.host, self.broker.port)

    def _on_disconnect(self, _c: paho.Client, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        self.connected.clear()
        if not self._stop.is_set():
            log.warning("ingest lost the broker (%s); trying again", reason)

    def _on_message(self, _c: paho.Client, _u: Any, message: paho.MQTTMessage) -> None:
        # A full buffer stops the reading here, and with it the socket: the broker holds what comes next
        while not self._room.acquire(timeout=0.5):
            if self._stop.is_set():
                return
        meters.RECEIVED.inc()
        self._buffer.append(
            _Message(message.topic, bytes(message.payload), self.clock.now(), message.mid, self._connection)
        )
        if len(self._buffer) == 1 or len(self._buffer) >= self.settings.batch:
            self._news.set()

    def _write_on(self) -> None:
        while not self._stop.is_set():
            self._news.wait(timeout=0.5)
            self._news.clear()
            if self._buffer and len(self._buffer) < self.settings.batch:
                self._stop.wait(self.settings.age_ms / 1000)
            while self._buffer and not self._stop.is_set():
                batch = [self._buffer.popleft() for _ in range(min(len(self._buffer), self.settings.batch))]
                meters.BUFFERED.set(len(self._buffer) + len(batch))
                if not self._settle(batch):
                    return
                meters.BUFFERED.set(len(self._buffer))

    def _settle(self, batch: list[_Message]) -> bool:
        """Decode, write (again and again while the store is away) and acknowledge; False when stopped before that."""
        observations: list[Observation] = []
        for message in batch:
            found = self.decoder.decode(message.topic, message.payload, message.received)
            observations += found.observations
            if found.rejections:
                for rejection in found.rejections:
                    meters.REJECTED.labels(rejection.reason.name.lower()).inc()
                self._keep(message, found.rejections)
        pause = 0.5
        while observations:
            try:
                self._write(observations)
                break
            except StoreAwayError as error:
                meters.STORE_AWAY.inc()
                if not self.away:
                    log.error("store is away, %d messages wait with the broker: %s", len(batch), error)
                self.away = str(error)
            except Exception as error:  # the writer must outlive any fault of a store
                log.exception("the store failed on a batch of %d; trying again", len(observations))
                self.away = f"{type(error).__name__}: {error}"
            if self._stop.wait(pause):
                return False
            pause = min(pause * 2, 15)
        if self.away:
            log.info("store is back")
            self.away = ""
        self._acknowledge(batch)
        return True

    def _write(self, observations: list[Observation]) -> None:
        begun = time.perf_counter()
        written = self.store.write(observations)
        meters.WRITE_SECONDS.observe(time.perf_counter() - begun)
        meters.OBSERVATIONS.inc(written.accepted)
        for o in observations:
            meters.LAG_SECONDS.observe(max(0, o.received - o.at) / 1000)
        for _, why in written.rejected:
            meters.REJECTED.labels("store").inc()
            log.error("the store refused a reading: %s", why)

    def _keep(self, message: _Message, rejections: list[Any]) -> None:
        try:
            self.quarantine.keep(message.topic, message.payload, message.received, rejections)
        except OSError as error:
            log.error("quarantine %s cannot be written: %s", self.quarantine.path, error)

    def _acknowledge(self, batch: list[_Message]) -> None:
        for message in batch:
            self._room.release()
            # Ids belong to a connection: one from before a reconnect would acknowledge another message now
            if message.mid and message.connection == self._connection:
                self._client.ack(message.mid, 1)
