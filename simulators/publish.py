"""The simulated zone on MQTT, as its sensors would publish: `{prefix}/{domain}/{device}/obs`, QoS 1, JSON.

Each device publishes once a period, at an offset of its own (a hash of its id), so that the load is even. Deadlines are
multiples of the period since 1970, not of the last sending: nothing drifts, and a process that was held up leaves out
what it missed instead of sending it all at once.

`speed` S runs the zone's day S times faster than real: the world's clock does, and each device publishes S times as
often. `at` is always the real time of sending: a rehearsal at speed 60 shows a day in 24 minutes, dated now.

Gateways: an MQTT connection has one last will, and the simulator is one connection for all gateways of the registry.
So each gateway's retained status is set `online` at every connect and `offline` at a clean stop; the last will is that
of `gateway/simulator/status`. If the simulator is killed, the broker says the simulator is offline and the gateways'
`online` stays; their devices are then found silent by their periods, which is also what a network loss looks like.
"""

import logging
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import paho.mqtt.client as paho

from simulators.conditions import Array, Ints, fraction
from simulators.scenarios import Scenario
from simulators.world import World
from twin import mqtt
from twin.clock import SECOND, Clock
from twin.observation import METRICS, Domain
from twin.registry import Device, Registry
from twin.settings import Broker

log = logging.getLogger("gaoxin.simulate")

SIMULATOR = "simulator"
# What waits for an absent broker: about four minutes of a zone of 1,250 devices; later readings are dropped
OUTBOX = 5_000

DECIMALS: Mapping[str, int] = {m.name: m.decimals + 2 for m in METRICS.values()}


def schedule(devices: Sequence[Device], speed: float = 1.0) -> tuple[Array, Array]:
    """Period and offset of each device, ms: it speaks at offset + k * period since 1970.

    Offsets are whole milliseconds, so that at speed 1 every deadline is.
    """
    period = np.array([d.period_s * SECOND / speed for d in devices], np.float64)
    phase = np.array([fraction(f"phase/{d.id}") for d in devices], np.float64)
    return period, np.floor(phase * period)


class Publisher:
    """What to send when. Pure: it knows no network, and no time but what it is told.

    `origin` UTC ms: the real time at which the world's clock reads the same.
    """

    def __init__(self, world: World, *, origin: int, speed: float = 1.0, prefix: str = "gaoxin/v1") -> None:
        self.world, self.speed, self.origin, self.prefix = world, speed, origin, prefix
        devices = world.registry.devices
        row = {d.id: i for domain in Domain for i, d in enumerate(world.devices[domain])}
        self._row = [row[d.id] for d in devices]
        self._topic = [f"{prefix}/{d.domain}/{d.id}/obs" for d in devices]
        self._period, self._offset = schedule(devices, speed)
        self._last = self._count(origin)
        self._sent: Ints = np.zeros(len(devices), np.int64)

    def due(self, now: int) -> list[tuple[str, bytes]]:
        """The messages whose deadline came since the last call, in registry order; at most one a device."""
        count = self._count(now)
        rows = np.flatnonzero(count > self._last)
        if not len(rows):
            return []
        self._last = np.maximum(count, self._last)
        self.world.advance(self.origin + round((now - self.origin) * self.speed))
        found = []
        for i in rows.tolist():
            payload = {"at": now, "values": self._values(i), "seq": int(self._sent[i])}
            found.append((self._topic[i], msgspec.json.encode(payload)))
        self._sent[rows] += 1
        return found

    def next(self) -> int:
        """UTC ms of the next deadline: `due` has nothing to say before it."""
        if not len(self._last):
            return self.origin + 365 * 86_400 * SECOND
        return int(np.ceil(((self._last + 1) * self._period + self._offset).min()))

    def _count(self, now: int) -> Ints:
        """How many deadlines each device has had since 1970."""
        count: Ints = np.floor((now - self._offset) / self._period).astype(np.int64)
        return count

    def _values(self, i: int) -> dict[str, float]:
        device, row = self.world.registry.devices[i], self._row[i]
        values = self.world.read(device.domain).values
        return {m: round(float(values[m][row]), DECIMALS[m]) for m in device.metrics}


def statuses(registry: Registry, prefix: str, word: str) -> list[tuple[str, bytes]]:
    """The status message of each gateway and of the simulator itself; to be retained."""
    gateways = sorted({d.gateway for d in registry if d.gateway})
    return [(f"{prefix}/gateway/{g}/status", word.encode()) for g in (*gateways, SIMULATOR)]


def run(
    registry: Registry,
    broker: Broker,
    clock: Clock,
    *,
    seed: int,
    speed: float = 1.0,
    scenarios: Sequence[Scenario] = (),
    stop: threading.Event | None = None,
) -> int:
    """Publish until `stop` is set (without one: until SIGINT or SIGTERM, from the main thread); returns the number of
    readings dropped because the broker was away too long.

    The broker may come late, go and come back: connecting is tried again after 1 to 15 s, up to OUTBOX messages wait
    meanwhile. Raises BrokerError on an address that cannot be one.
    """
    if stop is None:
        stop = _on_signal()
    origin, prefix = clock.now(), broker.prefix
    world = World(registry, seed=seed, start=origin, scenarios=scenarios)
    publisher = Publisher(world, origin=origin, speed=speed, prefix=prefix)
    client = client_of(broker)

    def on_connect(connected: paho.Client, *_: Any) -> None:
        log.info("simulator connected to broker %s:%s", broker.host, broker.port)
        for topic, word in statuses(registry, prefix, "online"):
            connected.publish(topic, word, qos=1, retain=True)

    def on_disconnect(_c: paho.Client, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        if not stop.is_set():
            log.warning("simulator lost the broker (%s); trying again", reason)

    client.on_connect, client.on_disconnect = on_connect, on_disconnect
    mqtt.connect(client, broker)
    try:
        return _send(publisher, client, clock, stop)
    finally:
        if client.is_connected():
            goodbyes = [
                client.publish(topic, word, qos=1, retain=True) for topic, word in statuses(registry, prefix, "offline")
            ]
            _wait(goodbyes)
        client.disconnect()
        client.loop_stop()


def _send(publisher: Publisher, client: paho.Client, clock: Clock, stop: threading.Event) -> int:
    dropped = 0
    while not stop.is_set():
        for topic, payload in publisher.due(clock.now()):
            sent = client.publish(topic, payload, qos=1)
            if sent.rc == paho.MQTT_ERR_QUEUE_SIZE:
                dropped += 1
                if dropped in (1, 1_000) or dropped % 100_000 == 0:
                    log.warning("broker away or too slow: %d readings dropped", dropped)
        # A clock that was set back must not put the simulator to sleep for as long; at least 1 ms, never a busy loop
        stop.wait(min(max(publisher.next() - clock.now(), 1), SECOND) / SECOND)
    return dropped


def _on_signal() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def client_of(broker: Broker) -> paho.Client:
    """The simulator's client, not connected yet, its last will set."""
    client = mqtt.client(paho.Client, broker, "gaoxin-simulator", outbox=OUTBOX)
    client.will_set(f"{broker.prefix}/gateway/{SIMULATOR}/status", b"offline", qos=1, retain=True)
    return client


def _wait(messages: list[paho.MQTTMessageInfo], seconds: float = 2) -> None:
    """Until the broker has them, at most `seconds` for all: a stop is not to hang on a broker that just went."""
    end = time.monotonic() + seconds
    for message in messages:
        try:
            message.wait_for_publish(timeout=max(end - time.monotonic(), 0))
        except (RuntimeError, ValueError):
            return
