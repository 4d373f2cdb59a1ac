"""Folds what the sensors say into the zone's snapshot and publishes it for the screens.

`Engine` is a function of the messages and the time it is given; `run` is its shell: its own plain subscription, one a
zone. Topics out: `frame/key` (retained, so that a web process that starts has a picture at once), `frame/delta`,
`frame/indicators` (retained JSON).
"""

import logging
import queue
import threading
from typing import Any, NamedTuple

import msgspec
import paho.mqtt.client as paho

from ingest.decode import Decoder
from twin import kpi, meters, mqtt
from twin.clock import SECOND, Clock
from twin.errors import StoreError
from twin.observation import Observation
from twin.registry import Registry
from twin.settings import Broker
from twin.settings import Engine as EngineSettings
from twin.snapshot import Encoder, Snapshot
from twin.store import Store

log = logging.getLogger("gaoxin.engine")


class Publication(NamedTuple):
    topic: str
    payload: bytes
    retain: bool


class Engine:
    def __init__(
        self, registry: Registry, decoder: Decoder, settings: EngineSettings, *, prefix: str, now: int
    ) -> None:
        self.decoder, self.settings, self.prefix = decoder, settings, prefix
        self.snapshot = Snapshot(registry, grace=settings.grace_periods)
        self._encoder = Encoder(self.snapshot, started=now // SECOND)
        self._grouping = kpi.Grouping(registry)
        self._next_key = self._next_delta = self._next_indicators = now

    def remember(self, observations: list[Observation]) -> None:
        """Begin with what the store knows, so that a restart does not forget the zone."""
        for observation in observations:
            self.snapshot.fold(observation)

    def feed(self, topic: str, payload: bytes, received: int) -> None:
        status = self.decoder.gateway(topic, payload)
        if status is not None:
            self.snapshot.gateway(status.gateway, status.online, received)
            return
        for observation in self.decoder.decode(topic, payload, received).observations:
            self.snapshot.fold(observation)

    def tick(self, now: int) -> list[Publication]:
        """What is due by `now`. A pause makes one late frame, not a burst of them."""
        out: list[Publication] = []
        if now >= self._next_key:
            out.append(Publication(f"{self.prefix}/frame/key", self._encoder.key(now), True))
            self._next_key = _after(self._next_key, now, self.settings.key_s * SECOND)
            self._next_delta = now + self.settings.delta_ms
        elif now >= self._next_delta:
            out.append(Publication(f"{self.prefix}/frame/delta", self._encoder.delta(now), False))
            self._next_delta = _after(self._next_delta, now, self.settings.delta_ms)
        if now >= self._next_indicators:
            found = kpi.indicators(self._grouping, self.snapshot, now)
            _count(found)
            out.append(Publication(f"{self.prefix}/frame/indicators", msgspec.json.encode(found), True))
            self._next_indicators = _after(self._next_indicators, now, SECOND)
        return out

    @property
    def deadline(self) -> int:
        return min(self._next_key, self._next_delta, self._next_indicators)


def _after(due: int, now: int, step: int) -> int:
    return due + step if due + step > now else now + step


def _count(found: kpi.Indicators) -> None:
    for domain, coverage in found.domains.items():
        meters.DEVICES.labels(domain.value, "known").set(coverage.known)
        meters.DEVICES.labels(domain.value, "unknown").set(coverage.total - coverage.known)


class Shell:
    """The engine on a broker: one network thread that appends, one thread that folds and publishes."""

    QUEUE = 200_000

    def __init__(
        self, registry: Registry, decoder: Decoder, clock: Clock, settings: EngineSettings, broker: Broker, store: Store
    ) -> None:
        self.clock, self.broker, self.store = clock, broker, store
        self.engine = Engine(registry, decoder, settings, prefix=broker.prefix, now=clock.now())
        self.connected = threading.Event()
        self._queue: queue.Queue[tuple[str, bytes, int]] = queue.Queue(self.QUEUE)
        self._stop = threading.Event()
        self._client = mqtt.client(paho.Client, broker, f"gaoxin-engine-{clock.now():x}")
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = lambda *_: self.connected.clear()
        self._client.on_message = self._on_message
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        try:
            self.engine.remember(list(self.store.latest().values()))
        except StoreError as error:
            log.error("the engine starts without memory: %s", error)
        mqtt.connect(self._client, self.broker)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=10)
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: paho.Client, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        if reason.is_failure:
            log.error("broker refused the engine: %s", reason)
            return
        prefix = self.broker.prefix
        client.subscribe([(f"{prefix}/+/+/obs", 0), (f"{prefix}/+/batch", 0), (f"{prefix}/gateway/+/status", 1)])
        self.connected.set()
        log.info("engine connected to broker %s:%s", self.broker.host, self.broker.port)

    def _on_message(self, _c: paho.Client, _u: Any, message: paho.MQTTMessage) -> None:
        try:
            self._queue.put_nowait((message.topic, bytes(message.payload), self.clock.now()))
        except queue.Full:
            # The store has them through ingest; the screens get the next value. Counted, never silent
            meters.ENGINE_DROPPED.inc()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._turn()
            except Exception:  # the zone's picture must go on whatever one message did
                log.exception("the engine failed on a turn; going on")
                self._stop.wait(0.1)

    def _turn(self) -> None:
        self._drain(max(self.engine.deadline - self.clock.now(), 1) / 1000)
        for publication in self.engine.tick(self.clock.now()):
            meters.FRAMES.labels(publication.topic.rsplit("/", 1)[1]).inc()
            if self.connected.is_set():
                self._client.publish(publication.topic, publication.payload, qos=0, retain=publication.retain)

    def _drain(self, wait: float) -> None:
        """Feed what has come, waiting at most `wait` seconds for the first; then look at the time again."""
        try:
            self.engine.feed(*self._queue.get(timeout=wait))
            for _ in range(5_000):
                self.engine.feed(*self._queue.get_nowait())
        except queue.Empty:
            pass
