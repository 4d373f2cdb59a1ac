"""MQTT 3.1.1 by hand, and the small processes of the ingest bench: `python -m tests.bench.wire publish|bare|paho …`.

Each says `ready`, does its work, and says when it was done: moments are `time.monotonic()`, which all processes of a
machine share. It then waits for the end of its standard input, so that its CPU time can still be read.
"""

import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

WINDOW = 2_000  # PUBLISH packets on the way to the broker and not acknowledged
FILTERS = ("gaoxin/v1/+/+/obs", "gaoxin/v1/+/batch")
_PUBLISH, _PUBACK = 3, b"\x40\x02"


def publish_packet(topic: str, payload: bytes, mid: int) -> bytes:
    """A QoS 1 PUBLISH."""
    name = topic.encode()
    return b"\x32" + _framed(len(name).to_bytes(2, "big") + name + mid.to_bytes(2, "big") + payload)


def publish(port: int, packets: list[bytes]) -> tuple[float, float]:
    """Send as fast as the broker takes them; the moments of the first PUBLISH and of the last PUBACK."""
    with connected(port, "bench-feed") as broker:
        begun = time.monotonic()
        sent, acknowledged = 0, 0  # packets, bytes
        while acknowledged < 4 * len(packets):
            some = packets[sent : acknowledged // 4 + WINDOW]
            if some:
                broker.sendall(b"".join(some))
                sent += len(some)
            acknowledged += len(received(broker))
        return begun, time.monotonic()


def read_bare(port: int, messages: int) -> float:
    """Take so many messages off a raw socket, a line of line protocol each; the moment of the last."""
    with connected(port, "bench-bare") as broker:
        filters = b"".join(len(f).to_bytes(2, "big") + f.encode() + b"\x01" for f in FILTERS)
        broker.sendall(b"\x82" + _framed(b"\x00\x01" + filters))
        received(broker)  # SUBACK
        _say("ready")
        seen, rest = 0, b""
        while seen < messages:
            lines, acknowledgements, rest = _cut(rest + received(broker))
            seen += len(lines)
            if acknowledgements:
                broker.sendall(acknowledgements)
        return time.monotonic()


def read_paho(port: int, messages: int) -> float:
    """Take so many messages with paho and do nothing with them; the moment of the last."""
    seen, done = 0, threading.Event()

    def count(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == messages:
            done.set()

    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench-paho")
    client.on_message = count
    client.on_subscribe = lambda *_: _say("ready")
    client.connect("127.0.0.1", port)
    client.subscribe([(f, 1) for f in FILTERS])
    client.loop_start()
    done.wait()
    return time.monotonic()


def _cut(buffer: bytes) -> tuple[list[bytes], bytes, bytes]:
    """Whole PUBLISH packets of the buffer as lines, their acknowledgements, and the bytes of a packet begun."""
    lines, acknowledgements, begin, now = [], [], 0, time.time_ns()
    while begin + 5 <= len(buffer):  # no PUBLISH is shorter
        body, length = _length(buffer, begin + 1)
        end = body + length
        if end > len(buffer):
            break
        if buffer[begin] >> 4 == _PUBLISH:
            mid = body + 2 + (buffer[body] << 8 | buffer[body + 1])
            topic = buffer[body + 2 : mid].split(b"/")
            lines.append(b"%b,device=%b bytes=%di %d" % (topic[2], topic[3], end - mid - 2, now))
            acknowledgements.append(_PUBACK + buffer[mid : mid + 2])
        begin = end
    return lines, b"".join(acknowledgements), buffer[begin:]


def _length(buffer: bytes, at: int) -> tuple[int, int]:
    """Where the body begins, and its length in bytes."""
    length = shift = 0
    while True:
        byte = buffer[at]
        length |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return at, length


def _framed(body: bytes) -> bytes:
    """The body with its length before it."""
    length, head = len(body), bytearray()
    while length > 127:
        head.append(length & 127 | 128)
        length >>= 7
    return bytes(head) + bytes([length]) + body


def connected(port: int, client_id: str) -> socket.socket:
    broker = socket.create_connection(("127.0.0.1", port))
    broker.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    name = client_id.encode()
    # protocol level 4, clean session, no keep-alive
    broker.sendall(b"\x10" + _framed(b"\x00\x04MQTT\x04\x02\x00\x00" + len(name).to_bytes(2, "big") + name))
    assert received(broker) == b"\x20\x02\x00\x00", "the broker refuses the bench"
    return broker


def received(broker: socket.socket) -> bytes:
    data = broker.recv(1 << 18)
    if not data:
        raise ConnectionError("the broker hung up")
    return data


def _split(data: bytes) -> Iterator[bytes]:
    begin = 0
    while begin < len(data):
        body, length = _length(data, begin + 1)
        yield data[begin : body + length]
        begin = body + length


def _say(words: str) -> None:
    print(words, flush=True)


def main(role: str, port: str, what: str) -> None:
    """`what`: the file of packets to publish, or how many messages to read."""
    if role == "publish":
        packets = list(_split(Path(what).read_bytes()))
        _say("ready")
        sys.stdin.readline()
        begun, ended = publish(int(port), packets)
        _say(f"{begun} {ended}")
    else:
        _say(str({"bare": read_bare, "paho": read_paho}[role](int(port), int(what))))
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
