"""One way to make a paho client: MQTT 3.1.1, settings' account, patient reconnects."""

from typing import TypeVar

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from twin.errors import BrokerError
from twin.settings import Broker

C = TypeVar("C", bound=paho.Client)


def client(
    kind: type[C],
    settings: Broker,
    client_id: str,
    *,
    persistent: bool = False,
    manual_ack: bool = False,
    outbox: int = 20_000,
) -> C:
    """Not connected yet. `persistent`: the broker keeps what comes while this client is away (needs a stable id).

    `outbox`: how many messages of its own wait at most while the broker is away.
    """
    made = kind(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=not persistent, manual_ack=manual_ack)
    # At least 1 s: a faster reconnect is taken by some brokers for a second session of the same id
    made.reconnect_delay_set(1, 15)
    made.max_inflight_messages_set(1_000)
    made.max_queued_messages_set(outbox)
    if settings.user:
        made.username_pw_set(settings.user, settings.password.get_secret_value() or None)
    return made


def connect(made: paho.Client, settings: Broker) -> None:
    """Start the network thread; it tries until the broker is there. Raises BrokerError on a bad address."""
    try:
        made.connect_async(settings.host, settings.port, keepalive=30)
    except ValueError as error:
        raise BrokerError(f"broker address {settings.host}:{settings.port}: {error}") from None
    made.loop_start()
