"""The simulated zone on MQTT, as its sensors would publish: `{prefix}/{domain}/{device}/obs`, QoS 1, JSON.

What to send when is in `timetable`, what is played in `stage`; here is the network.

Gateways: an MQTT connection has one last will, and the simulator is one connection for all gateways of the registry.
So each gateway's retained status is set `online` at every connect and `offline` at a clean stop; the last will is that
of `gateway/simulator/status`. If the simulator is killed, the broker says the simulator is offline and the gateways'
`online` stays; their devices are then found silent by their periods, which is also what a network loss looks like.
"""

import logging
import queue
import signal
import threading
import time
from typing import Any

import paho.mqtt.client as paho

from simulators.stage import Stage
from simulators.timetable import SIMULATOR, statuses
from twin import mqtt
from twin.clock import SECOND, Clock
from twin.registry import Registry
from twin.settings import Broker

log = logging.getLogger("gaoxin.simulate")

# What waits for an absent broker: about four minutes of a zone of 1,250 devices; later readings are dropped
OUTBOX = 5_000


def run(
    registry: Registry,
    broker: Broker,
    clock: Clock,
    *,
    seed: int,
    speed: float = 1.0,
    stop: threading.Event | None = None,
) -> int:
    """Publish until `stop` is set (without one: until SIGINT or SIGTERM, from the main thread); returns the number of
    readings dropped because the broker was away too long.

    The broker may come late, go and come back: connecting is tried again after 1 to 15 s, up to OUTBOX messages wait
    meanwhile. Commands on `{prefix}/simulator/command` play and stop scenarios; `{prefix}/simulator/state` says what is
    played. Raises BrokerError on an address that cannot be one.
    """
    if stop is None:
        stop = _on_signal()
    prefix = broker.prefix
    stage = Stage(registry, seed=seed, speed=speed, now=clock.now(), prefix=prefix)
    client = client_of(broker)
    commands: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def on_connect(connected: paho.Client, *_: Any) -> None:
        log.info("simulator connected to broker %s:%s", broker.host, broker.port)
        connected.subscribe(f"{prefix}/simulator/command", 1)
        for topic, word, _retain in statuses(registry, prefix, "online"):
            connected.publish(topic, word, qos=1, retain=True)
        stage.repeat()

    def on_disconnect(_c: paho.Client, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        if not stop.is_set():
            log.warning("simulator lost the broker (%s); trying again", reason)

    client.on_connect, client.on_disconnect = on_connect, on_disconnect
    client.on_message = lambda _c, _u, message: commands.put(bytes(message.payload))
    mqtt.connect(client, broker)
    try:
        return _send(stage, client, clock, commands, stop)
    finally:
        if client.is_connected():
            goodbyes = [
                client.publish(topic, word, qos=1, retain=True)
                for topic, word, _ in statuses(registry, prefix, "offline")
            ]
            _wait(goodbyes)
        client.disconnect()
        client.loop_stop()


def _send(
    stage: Stage, client: paho.Client, clock: Clock, commands: "queue.SimpleQueue[bytes]", stop: threading.Event
) -> int:
    dropped = 0
    while not stop.is_set():
        while not commands.empty():
            stage.obey(commands.get(), clock.now())
        for topic, payload, retain in stage.due(clock.now()):
            sent = client.publish(topic, payload, qos=1, retain=retain)
            if sent.rc == paho.MQTT_ERR_QUEUE_SIZE:
                dropped += 1
                if dropped in (1, 1_000) or dropped % 100_000 == 0:
                    log.warning("broker away or too slow: %d readings dropped", dropped)
        # A clock that was set back must not put the simulator to sleep for as long; at least 1 ms, never a busy loop,
        # and a command is obeyed within a quarter of a second
        stop.wait(min(max(stage.next() - clock.now(), 1), SECOND // 4) / SECOND)
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
