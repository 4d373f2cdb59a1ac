"""Quarantined messages tried again, once their cause is mended: a device registered, a mapping corrected.

What can be read now is published as native batches, so that it goes the way of every reading, whatever the store and
however many workers there are. It is received now: a replay as known then will not show it, as it was not known then.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
import paho.mqtt.client as paho

from ingest.decode import Decoder, Rejection
from ingest.quarantine import Entry
from ingest.worker import Status
from twin import mqtt
from twin.errors import BrokerError
from twin.observation import Domain, Observation
from twin.settings import Broker

BATCH = 50  # readings of one message
PATIENCE_S = 10
LISTEN_S = 1  # for retained messages, which come at once


class Tried(NamedTuple):
    """`whole`: nothing of the message is refused any more; what is refused still says why."""

    entry: Entry
    observations: list[Observation]
    refused: list[Rejection]

    @property
    def whole(self) -> bool:
        return bool(self.observations) and not self.refused


def decode(entries: Iterable[Entry], decoder: Decoder, now: int) -> list[Tried]:
    """What each says by today's registry and mapping.

    A message without a time keeps the time of its receipt; one that was ahead of its receipt may be past by now.
    """
    tried = []
    allowed = decoder.future
    for entry in entries:
        decoder.future = allowed + max(0, now - entry.received)
        found = decoder.decode(entry.topic, entry.content, entry.received)
        tried.append(Tried(entry, found.observations, found.rejections))
    decoder.future = allowed
    return tried


def publish(observations: Iterable[Observation], decoder: Decoder, broker: Broker) -> int:
    """Returns how many the broker has taken: all. Raises BrokerError when it does not take one within PATIENCE_S."""
    by_domain: dict[Domain, list[dict[str, object]]] = {}
    for o in observations:
        item = {"device": o.device, "at": o.at, "values": o.values}
        by_domain.setdefault(decoder.registry[o.device].domain, []).append(item)
    count = 0
    with _connected(broker) as sender:
        for domain, items in by_domain.items():
            for begin in range(0, len(items), BATCH):
                sender.send(f"{broker.prefix}/{domain}/batch", msgspec.json.encode(items[begin : begin + BATCH]), count)
                count += len(items[begin : begin + BATCH])
    return count


def workers(broker: Broker) -> list[Status]:
    """What the ingest workers say of themselves, as the broker has kept it; BrokerError as for `publish`."""
    found: dict[str, Status] = {}  # of one that speaks meanwhile, its latest word

    def take(_c: paho.Client, _u: object, message: paho.MQTTMessage) -> None:
        with contextlib.suppress(msgspec.DecodeError):
            said = msgspec.json.decode(message.payload, type=Status)
            found[said.worker] = said

    with _connected(broker) as sender:
        sender.client.on_message = take
        sender.client.subscribe(f"{broker.prefix}/worker/+/status")
        time.sleep(LISTEN_S)
    return [w for w in found.values() if w.state != "offline"]


class _Sender:
    """Publishes one message after the other, and hears what the broker says to each."""

    def __init__(self, broker: Broker, *, version_5: bool) -> None:
        self.broker, self.answers = broker, queue.SimpleQueue[str]()
        self.connected = threading.Event()
        self.client = mqtt.client(paho.Client, broker, "", version_5=version_5)
        self.client.on_connect = lambda *_: self.connected.set()
        self.client.on_publish = lambda _c, _u, _m, reason, _p: self.answers.put(
            str(reason) if reason.is_failure else ""
        )
        mqtt.connect(self.client, broker)

    def send(self, topic: str, body: bytes, before: int) -> None:
        """`before`: how many readings were taken before this."""
        self.client.publish(topic, body, qos=1)
        where = f"the broker at {self.broker.host}:{self.broker.port}"
        try:
            refusal = self.answers.get(timeout=PATIENCE_S)
        except queue.Empty:
            raise BrokerError(
                f"{where} did not acknowledge within {PATIENCE_S} s, after {before} readings. "
                "See that it runs, and try again: twice is harmless."
            ) from None
        if refusal:
            account = self.broker.user or "without a name"
            raise BrokerError(
                f"{where} does not let the account {account} write {topic} ({refusal}). "
                "Nothing was settled. Use the account of ingest, or give this one the right."
            )


@contextlib.contextmanager
def _connected(broker: Broker) -> Iterator[_Sender]:
    # MQTT 5 first: with 3.1.1 a broker acknowledges what it then throws away
    for version_5 in (True, False):
        sender = _Sender(broker, version_5=version_5)
        try:
            if sender.connected.wait(PATIENCE_S if not version_5 else PATIENCE_S / 2):
                yield sender
                return
        finally:
            sender.client.disconnect()
            sender.client.loop_stop()
    raise BrokerError(f"the broker at {broker.host}:{broker.port} cannot be reached. Nothing was done.")
