"""The tap never stalls and misses nothing: runs of 100,000 messages in bursts, at rates and with pauses, some of them
with broken sockets, in the clear and with TLS: `python -m tests.bench.endurance --runs 100 --messages 100000`.

The reader acknowledges from another thread, late and in random portions, as ingest does. A run has stalled when no
message has come for STALL_S although some are missing.
"""

import argparse
import contextlib
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import paho.mqtt.client as paho

from ingest.broker import configure, find
from ingest.tap import Message, Reader, Tap
from tests.bench.wire import connected, publish_packet, received
from tests.keys import Keys
from tests.servers import free_port, listens, wait_until
from twin import mqtt
from twin.settings import Broker

STALL_S = 30


class Outcome(NamedTuple):
    seconds: float
    received: int  # redelivered ones included
    missing: int
    connections: int


class Subscriber:
    """A persistent session whose messages are numbers."""

    def __init__(self, settings: Broker, name: str, seed: int) -> None:
        self.topic = name
        self.seen: set[int] = set()
        self.received = self.connections = 0
        self.last = time.monotonic()
        self.ready = threading.Event()
        self._random = random.Random(seed)
        self._late: deque[tuple[Tap, list[bytes]]] = deque()
        self._end = threading.Event()
        self.client = mqtt.client(Reader, settings, name, persistent=True, manual_ack=True)
        self.client.on_bulk = self._take
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = lambda *_: self.ready.set()
        self._thread = threading.Thread(target=self._acknowledge, daemon=True)
        self._thread.start()
        mqtt.connect(self.client, settings)

    def _on_connect(self, client: paho.Client, *_: object) -> None:
        self.connections += 1
        client.subscribe(self.topic, 1)

    def _take(self, tap: Tap, messages: list[Message]) -> None:
        self.seen.update(int(m[2]) for m in messages)
        self.received += len(messages)
        self.last = time.monotonic()
        self._late.append((tap, [m[0] for m in messages]))

    def _acknowledge(self) -> None:
        while not self._end.is_set():
            time.sleep(self._random.choice([0, 0.001, 0.01, 0.05]))
            for _ in range(len(self._late)):
                tap, mids = self._late.popleft()
                cut = self._random.randrange(len(mids) + 1)
                self.client.acknowledge(tap, mids[:cut])
                self.client.acknowledge(tap, mids[cut:])

    def break_socket(self) -> None:
        tap = self.client.tap
        if tap is not None:
            with contextlib.suppress(OSError):
                tap.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._end.set()
        self._thread.join()
        # What no other run will ask for must not wait at the broker
        self.client.unsubscribe(self.topic)
        time.sleep(0.1)
        self.client.disconnect()
        self.client.loop_stop()


def publish(port: int, count: int, seed: int) -> None:
    """In bursts of one to thousands, with pauses, never more than 2,000 on the way."""
    chance = random.Random(seed)
    pace = chance.choice([0, 0, 0.0005, 0.005])  # seconds a burst
    largest = chance.choice([1, 10, 100, 2_000])
    if pace and largest < 100:
        pace = 0  # else a run would take minutes
    with connected(port, f"feed-{seed}") as broker:
        sent = acknowledged = 0
        while acknowledged < 4 * count:
            room = min(2_000 - (sent - acknowledged // 4), count - sent, chance.randint(1, largest))
            if room > 0:
                packets = [publish_packet(f"tap-{seed}", b"%d" % n, n % 65_535 + 1) for n in range(sent, sent + room)]
                broker.sendall(b"".join(packets))
                sent += room
            if pace and chance.random() < 0.3:
                time.sleep(pace)
            if chance.random() < 0.0005:
                time.sleep(chance.random() / 2)
            if sent - acknowledged // 4 >= 1_000 or sent == count:
                acknowledged += len(received(broker))


@contextlib.contextmanager
def broker(folder: Path) -> Iterator[tuple[Broker, Broker, int]]:
    """One Mosquitto: settings for the clear and for TLS, and the port of the clear."""
    clear, secret, keys = free_port(), free_port(), Keys(folder / "keys")
    certificate, key = keys.issue("localhost")
    config = configure(folder, clear)
    with config.open("a", encoding="utf-8") as file:
        file.write(f"listener {secret} 127.0.0.1\ncafile {keys.ca}\ncertfile {certificate}\nkeyfile {key}\n")
        file.write("allow_anonymous true\n")
    process = subprocess.Popen([str(find("mosquitto")), "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: listens(secret), "Mosquitto listens")
        yield Broker(port=clear), Broker(host="localhost", port=secret, tls=True, ca=keys.ca), clear
    finally:
        process.terminate()
        process.wait(20)


def run(settings: Broker, port: int, count: int, seed: int, *, breaks: int) -> Outcome:
    subscriber = Subscriber(settings, f"tap-{seed}", seed)
    try:
        assert subscriber.ready.wait(10), "the subscriber is not connected"
        begun = time.monotonic()
        arguments = [sys.executable, "-m", "tests.bench.endurance", "--feed", str(port), str(count), str(seed)]
        feed = subprocess.Popen(arguments)
        chance = random.Random(seed)
        moments = sorted(begun + 0.3 + chance.random() * 2 for _ in range(breaks))
        while len(subscriber.seen) < count and time.monotonic() - subscriber.last < STALL_S:
            time.sleep(0.02)
            if moments and time.monotonic() > moments[0]:
                moments.pop(0)
                subscriber.break_socket()
        feed.wait(60)
        return Outcome(
            time.monotonic() - begun, subscriber.received, count - len(subscriber.seen), subscriber.connections
        )
    finally:
        subscriber.close()


def main(argv: Sequence[str] = ()) -> None:
    wanted = argparse.ArgumentParser("python -m tests.bench.endurance")
    wanted.add_argument("--runs", type=int, default=100)
    wanted.add_argument("--messages", type=int, default=100_000)
    wanted.add_argument("--feed", nargs=3, type=int, help=argparse.SUPPRESS)
    knobs = wanted.parse_args(argv)
    if knobs.feed:
        publish(*knobs.feed)
        return
    print(f"endurance of the tap: {knobs.runs} runs of {knobs.messages:,} messages, every third with TLS")
    outcomes = []
    with tempfile.TemporaryDirectory() as folder, broker(Path(folder)) as (clear, secret, port):
        for n in range(knobs.runs):
            breaks = 2 if n % 4 == 3 else 0
            outcomes.append(run(secret if n % 3 == 2 else clear, port, knobs.messages, n, breaks=breaks))
            if outcomes[-1].missing:
                print(f"  run {n}: {outcomes[-1]}")
        stalled = sum(o.missing > 0 for o in outcomes)
        again = sum(o.received - knobs.messages for o in outcomes)
        print(
            f"  stalled {stalled}, missing {sum(o.missing for o in outcomes)}, sockets broken "
            f"{sum(o.connections - 1 for o in outcomes)}, delivered again {again:,}, "
            f"{min(o.seconds for o in outcomes):.1f} to {max(o.seconds for o in outcomes):.1f} s a run"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
