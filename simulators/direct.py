"""Asking a running simulator over the broker to play a scenario: for those who are not themselves on it."""

import queue
from uuid import uuid4

import msgspec
import paho.mqtt.client as paho

from simulators.stage import Command
from twin import mqtt
from twin.errors import BrokerError, OurError
from twin.settings import Broker
from twin.truth import Stage

PATIENCE_S = 30


class RefusedError(OurError):
    """The simulator says why it does not do what it was asked."""


def state(broker: Broker) -> Stage:
    """What the simulator plays now. Raises BrokerError when none has spoken."""
    return _converse(broker, None, 5)


def ask(broker: Broker, command: Command) -> Stage:
    """What the simulator plays once it has obeyed. Raises RefusedError with its reason, BrokerError when it is
    silent.
    """
    stage = _converse(broker, command, PATIENCE_S)
    if stage.answer is not None and stage.answer.wrong:
        raise RefusedError(stage.answer.wrong)
    return stage


def _converse(broker: Broker, command: Command | None, patience: float) -> Stage:
    """The state that answers the command; without one, whatever state is retained."""
    heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    client = mqtt.client(paho.Client, broker, f"gaoxin-direct-{uuid4().hex[:12]}")

    def on_connect(connected: paho.Client, *_: object) -> None:
        connected.subscribe(f"{broker.prefix}/simulator/state", 1)
        if command is not None:
            connected.publish(f"{broker.prefix}/simulator/command", msgspec.json.encode(command), qos=1)

    client.on_connect = on_connect
    client.on_message = lambda _c, _u, message: heard.put(bytes(message.payload))
    mqtt.connect(client, broker)
    try:
        while True:
            stage = msgspec.json.decode(heard.get(timeout=patience), type=Stage)
            if command is None or (stage.answer is not None and stage.answer.id == command.id):
                return stage
    except queue.Empty:
        raise BrokerError(
            f"no simulator answers on {broker.host}:{broker.port} within {patience:g} s. Is the twin running "
            "(make up), with simulate.on = true, and broker.port that of its broker?"
        ) from None
    finally:
        client.disconnect()
        client.loop_stop()
