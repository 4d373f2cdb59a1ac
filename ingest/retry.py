"""Quarantined messages tried again, once their cause is mended: a device registered, a mapping corrected.

What can be read now is published as native batches, so that it goes the way of every reading, whatever the store and
however many workers there are. It is received now: a replay as known then will not show it, as it was not known then.
"""

import threading
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import paho.mqtt.client as paho

from ingest.decode import Decoder, Rejection
from ingest.quarantine import Entry
from twin import mqtt
from twin.errors import BrokerError
from twin.observation import Domain, Observation
from twin.settings import Broker

BATCH = 50  # readings of one message
PATIENCE_S = 10


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
    """Returns how many the broker has acknowledged: all. Raises BrokerError when it does not within PATIENCE_S."""
    by_domain: dict[Domain, list[dict[str, object]]] = {}
    for o in observations:
        item = {"device": o.device, "at": o.at, "values": o.values}
        by_domain.setdefault(decoder.registry[o.device].domain, []).append(item)
    client = mqtt.client(paho.Client, broker, "", outbox=0)
    connected = threading.Event()
    client.on_connect = lambda *_: connected.set()
    mqtt.connect(client, broker)
    count = 0
    try:
        if not connected.wait(PATIENCE_S):
            raise BrokerError(
                f"the broker at {broker.host}:{broker.port} cannot be reached within {PATIENCE_S} s. Nothing was done."
            )
        for domain, items in by_domain.items():
            for begin in range(0, len(items), BATCH):
                body = msgspec.json.encode(items[begin : begin + BATCH])
                sent = client.publish(f"{broker.prefix}/{domain}/batch", body, qos=1)
                sent.wait_for_publish(PATIENCE_S)
                if not sent.is_published():
                    raise BrokerError(
                        f"the broker at {broker.host}:{broker.port} did not acknowledge within {PATIENCE_S} s, "
                        f"after {count} readings. See that it runs, and try again: twice is harmless."
                    )
                count += len(items[begin : begin + BATCH])
    finally:
        client.disconnect()
        client.loop_stop()
    return count
