"""Folds what the sensors say into the zone's snapshot and publishes it for the screens.

`Engine` is a function of the messages and the time it is given; `run` is its shell: its own plain subscription, one a
zone. Topics out: `frame/key` (retained, so that a web process that starts has a picture at once), `frame/delta`,
`frame/indicators`, `frame/health` and `frame/alarms` (retained JSON), and `alert/{rule}/{subject}` (`alert_topics`).
"""

import contextlib
import logging
import queue
import threading
from typing import Any, NamedTuple

import msgspec
import paho.mqtt.client as paho

from ingest.alert_topics import AlertTopics
from ingest.announcer import Told
from ingest.decode import Decoder
from ingest.tap import Message, Reader, Tap
from ingest.watch import Watch
from twin import air, kpi, meters, mqtt
from twin.clock import SECOND, Clock
from twin.errors import LedgerError, StoreError
from twin.health import Health
from twin.ledger import Ledger, truth
from twin.registry import Registry
from twin.settings import Broker
from twin.settings import Engine as EngineSettings
from twin.snapshot import Encoder, Snapshot
from twin.store import Store
from twin.truth import Run, Stage

log = logging.getLogger("gaoxin.engine")

HEALTH_S = 5


class Publication(NamedTuple):
    topic: str
    payload: bytes
    retain: bool


class Engine:
    def __init__(
        self,
        registry: Registry,
        decoder: Decoder,
        settings: EngineSettings,
        *,
        prefix: str,
        now: int,
        watch: Watch | None = None,
    ) -> None:
        self.watch = watch
        self.alerts = AlertTopics(f"{prefix}/alert/")
        self.decoder, self.settings, self.prefix = decoder, settings, prefix
        self.snapshot = Snapshot(registry, grace=settings.grace_periods)
        self._encoder = Encoder(self.snapshot, started=now // SECOND)
        self.hours = air.Hours(registry, now)
        self._grouping = kpi.Grouping(registry)
        self.health = Health(registry, now)
        self._next_key = self._next_delta = self._next_indicators = self._next_health = now

    def remember(self, store: Store, now: int) -> None:
        """Begin with what the store knows, so that a restart does not forget the zone. Raises what the store raises."""
        self.hours = air.recall(self.snapshot.registry, store, now)
        for observation in store.latest().values():
            self.snapshot.fold(observation)
            self.health.remember(observation)
        for word in self.watch.gateways.values() if self.watch else ():
            self.snapshot.gateway(*word)
            self.health.gateway(word.gateway, word.online)

    def feed(self, topic: str, payload: bytes, received: int, *, retained: bool = False) -> None:
        status = self.decoder.gateway(topic, payload)
        if status is not None:
            self.snapshot.gateway(status.gateway, status.online, received)
            self.health.gateway(status.gateway, status.online)
            if self.watch:
                self.watch.gateway(status.gateway, status.online, received)
            return
        found = self.decoder.decode(topic, payload, received, retained=retained)
        for observation, seq in zip(found.observations, found.seqs, strict=True):
            self.snapshot.fold(observation)
            if self.watch:
                self.watch.step(observation)
            self.hours.fold(observation)
            self.health.fold(observation, seq)
        for rejection in found.rejections:
            self.health.refuse(rejection.device)

    def tick(self, now: int) -> list[Publication]:
        """What is due by `now`. A pause makes one late frame, not a burst of them."""
        out: list[Publication] = []
        if self.watch:
            ringing = self.watch.turn(now)
            self.snapshot.level[:] = self.watch.levels
            if ringing is not None:
                out.append(Publication(f"{self.prefix}/frame/alarms", msgspec.json.encode(ringing), True))
                if ringing.away is None:
                    differences = self.alerts.differences(self.watch.open, self.watch.names)
                    out += [Publication(topic, payload, True) for topic, payload in differences]
        if now >= self._next_key:
            out.append(Publication(f"{self.prefix}/frame/key", self._encoder.key(now), True))
            self._next_key = _after(self._next_key, now, self.settings.key_s * SECOND)
            self._next_delta = now + self.settings.delta_ms
        elif now >= self._next_delta:
            out.append(Publication(f"{self.prefix}/frame/delta", self._encoder.delta(now), False))
            self._next_delta = _after(self._next_delta, now, self.settings.delta_ms)
        if now >= self._next_indicators:
            self.hours.forget(now)
            found = kpi.indicators(self._grouping, self.snapshot, self.hours, now)
            _count(found)
            out.append(Publication(f"{self.prefix}/frame/indicators", msgspec.json.encode(found), True))
            self._next_indicators = _after(self._next_indicators, now, SECOND)
        if now >= self._next_health:
            report = self.health.report(now, self.snapshot.known(now).tolist())
            out.append(Publication(f"{self.prefix}/frame/health", msgspec.json.encode(report), True))
            self._next_health = _after(self._next_health, now, HEALTH_S * SECOND)
        return out

    @property
    def deadline(self) -> int:
        return min(self._next_key, self._next_delta, self._next_indicators, self._next_health)


def _after(due: int, now: int, step: int) -> int:
    return due + step if due + step > now else now + step


def _count(found: kpi.Indicators) -> None:
    for domain, coverage in found.domains.items():
        meters.DEVICES.labels(domain.value, "known").set(coverage.known)
        meters.DEVICES.labels(domain.value, "unknown").set(coverage.total - coverage.known)


class Shell:
    """The engine on a broker: one network thread that appends, one thread that folds and publishes."""

    QUEUE = 200_000  # messages

    def __init__(
        self,
        registry: Registry,
        decoder: Decoder,
        clock: Clock,
        settings: EngineSettings,
        broker: Broker,
        store: Store,
        ledger: Ledger,
        told: Told | None = None,
    ) -> None:
        self.clock, self.broker, self.store, self.ledger = clock, broker, store, ledger
        self._stage = f"{broker.prefix}/simulator/state".encode()
        self._alert = f"{broker.prefix}/alert/".encode()
        self._recorded: dict[str, Run] = {}
        watch = Watch(registry, ledger, clock.now(), told=told)
        self.engine = Engine(registry, decoder, settings, prefix=broker.prefix, now=clock.now(), watch=watch)
        self.watch = watch
        self.connected = threading.Event()
        self._queue: queue.SimpleQueue[tuple[int, list[Message]]] = queue.SimpleQueue()
        self._queued = self._taken = 0  # messages put in by the network thread, and taken out by the engine's
        self._stop = threading.Event()
        self._client = mqtt.client(Reader, broker, f"gaoxin-engine-{clock.now():x}")
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = lambda *_: self.connected.clear()
        self._client.on_bulk = self._on_bulk
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        try:
            self.watch.start(self.store, self.clock.now())
            self.engine.remember(self.store, self.clock.now())
        except StoreError as error:
            log.error("the engine starts without memory: %s", error)
        mqtt.connect(self._client, self.broker)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=10)
        try:
            self.watch.keep(self.clock.now())
        except LedgerError as error:
            log.error("the alarms' state is not kept: %s", error)
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: paho.Client, *_: Any) -> None:
        decoder = self.engine.decoder
        # QoS 0: the store has everything through ingest, and a gateway's last word is retained
        own = (self._stage.decode(), f"{self.broker.prefix}/alert/+/+")
        client.subscribe([(topic, 0) for topic in (*decoder.topics, *decoder.gateway_topics, *own)])
        self._queue.put((self.clock.now(), []))
        self.connected.set()
        log.info("engine connected to broker %s:%s", self.broker.host, self.broker.port)

    def _on_bulk(self, _: Tap, messages: list[Message]) -> None:
        if self._queued - self._taken > self.QUEUE:
            # The screens get the next value. Counted, never silent
            meters.ENGINE_DROPPED.inc(len(messages))
            return
        self._queued += len(messages)
        self._queue.put((self.clock.now(), messages))

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
            frame, _, kind = publication.topic.removeprefix(f"{self.broker.prefix}/").partition("/")
            meters.FRAMES.labels(kind if frame == "frame" else frame).inc()
            if self.connected.is_set():
                self._client.publish(publication.topic, publication.payload, qos=0, retain=publication.retain)

    def _drain(self, wait: float) -> None:
        """Feed what has come, waiting at most `wait` seconds for the first; then look at the time again."""
        with contextlib.suppress(queue.Empty):
            self._feed(*self._queue.get(timeout=wait))
            fed = self._taken
            while self._taken - fed < 5_000:
                self._feed(*self._queue.get_nowait())

    def _feed(self, received: int, messages: list[Message]) -> None:
        self._taken += len(messages)
        if not messages:  # connected anew
            self.engine.alerts.connected()
        for _, topic, payload, retained in messages:
            if topic == self._stage:
                self._record(payload)
                continue
            if topic.startswith(self._alert):
                if retained and payload:  # else it is what we say ourselves
                    self.engine.alerts.heard(topic.decode(), payload)
                continue
            self.engine.feed(topic.decode("utf-8", "backslashreplace"), payload, received, retained=retained)

    def _record(self, payload: bytes) -> None:
        """The ground truth of what is simulated goes to the ledger, run by run as it becomes known."""
        try:
            runs = msgspec.json.decode(payload, type=Stage).runs
            for run in runs:
                if self._recorded.get(run.id) != run:
                    with self.ledger.transaction() as connection:
                        truth.record(connection, run.id, run.facts)
                    self._recorded[run.id] = run
        except (msgspec.DecodeError, LedgerError) as error:
            log.error("the ground truth of a scenario is not recorded: %s", error)
