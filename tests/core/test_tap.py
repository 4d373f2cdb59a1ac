"""The tap against a byte stream made by hand: whatever the pieces, the same messages, and the rest to paho."""

import itertools
import random
import struct

import paho.mqtt.client as paho
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.tap import LONGEST, MalformedError, Message, Reader, Tap
from twin import mqtt
from twin.settings import Broker


def packet(first: int, body: bytes) -> bytes:
    length, out = len(body), b""
    while True:
        length, digit = divmod(length, 128)
        out += bytes([digit | (128 if length else 0)])
        if not length:
            return bytes([first]) + out + body


def publish(message: Message, dup: int = 0) -> bytes:
    mid, topic, payload, retained = message
    first = 0x30 | (0x02 if mid else 0) | dup | retained
    return packet(first, struct.pack(">H", len(topic)) + topic + mid + payload)


PINGRESP, SUBACK = b"\xd0\x00", packet(0x90, b"\x00\x01\x01\x01")


class Pieces:
    """A socket that gives the stream in these pieces, and then nothing yet."""

    def __init__(self, stream: bytes, cuts: list[int]) -> None:
        edges = [0, *sorted({c % (len(stream) + 1) for c in cuts}), len(stream)]
        self.pieces = [stream[a:b] for a, b in itertools.pairwise(edges) if b > a]

    def recv(self, size: int) -> bytes:
        if not self.pieces:
            raise BlockingIOError
        piece = self.pieces.pop(0)
        if len(piece) > size:
            self.pieces.insert(0, piece[size:])
        return piece[:size]


def through(stream: bytes, cuts: list[int]) -> tuple[list[Message], bytes]:
    """What the sink got and what paho got, reading as paho does: one byte, or what it wants."""
    got: list[Message] = []
    sock = Pieces(stream, cuts)
    tap = Tap(sock, lambda _, found: got.extend(found), lambda: True)
    rest = b""
    while sock.pieces or tap.pending():
        try:
            rest += tap.recv(1)
        except BlockingIOError:
            continue
    return got, rest


messages = st.tuples(
    st.one_of(st.just(b""), st.binary(min_size=2, max_size=2)),
    st.binary(max_size=40),
    st.binary(max_size=300),
    st.booleans(),
)
packets = st.lists(
    st.one_of(
        st.tuples(messages, st.sampled_from([0, 0x08])),
        st.sampled_from([PINGRESP, SUBACK, b"\x40\x02\0\1"]),
    ),
    max_size=30,
)


@given(packets, st.lists(st.integers(0, 20_000), max_size=40))
@settings(max_examples=400)
def test_any_fragmentation_gives_the_same(sent: list, cuts: list[int]) -> None:
    stream = b"".join(p if isinstance(p, bytes) else publish(*p) for p in sent)
    got, rest = through(stream, cuts)
    assert got == [p[0] for p in sent if not isinstance(p, bytes)]
    assert rest == b"".join(p for p in sent if isinstance(p, bytes))


def test_every_byte_on_its_own() -> None:
    sent = [(struct.pack(">H", i + 1), b"t/%d" % i, b"x" * (i * 7), False) for i in range(60)]
    stream = SUBACK + b"".join(map(publish, sent)) + PINGRESP
    assert through(stream, list(range(len(stream)))) == (sent, SUBACK + PINGRESP)


@pytest.mark.parametrize("size", [LONGEST - 1, LONGEST, LONGEST + 1, 3 * LONGEST])
def test_what_is_too_large_comes_cut_short_and_blocks_nothing(size: int) -> None:
    big, small = (b"\0\1", b"t", b"x" * size, False), (b"\0\2", b"t", b"y", True)
    stream = publish(big) + publish(small) + PINGRESP
    cuts = random.Random(size).sample(range(len(stream)), 30)
    got, rest = through(stream, cuts)
    assert got == [(b"\0\1", b"t", b"x" * min(size, LONGEST), False), small]
    assert rest == PINGRESP


@pytest.mark.parametrize(
    "stream", [b"\x32\xff\xff\xff\xff\x01", b"\x32\x01\x00", b"\x32\x03\x00\x09x", b"\x32\x03\x00\x01x"]
)
def test_what_is_not_mqtt_ends_the_connection(stream: bytes) -> None:
    with pytest.raises(MalformedError):
        through(stream, [])


def test_nothing_is_read_while_there_is_no_room() -> None:
    sock = Pieces(publish((b"\0\1", b"t", b"x", False)), [])
    got: list[Message] = []
    tap = Tap(sock, lambda _, found: got.extend(found), lambda: False)
    with pytest.raises(BlockingIOError):
        tap.recv(1)
    assert sock.pieces
    assert got == []


def test_an_old_connection_s_ids_are_not_acknowledged_on_a_new_one() -> None:
    reader = mqtt.client(Reader, Broker(), "x", manual_ack=True)
    old, new = (Tap(Pieces(b"", []), lambda *_: None, lambda: True) for _ in range(2))
    reader.tap = new
    queued: list[bytes] = []
    reader._packet_queue = lambda _c, data, _m, _q, _i=None: queued.append(data)
    assert reader.acknowledge(old, [b"\0\1"]) == 0
    assert reader.acknowledge(new, [b"", b""]) == 0
    assert reader.acknowledge(new, [b"\0\1", b"", b"\0\2"]) == 2
    assert queued == [b"\x40\x02\0\1\x40\x02\0\2"]


def test_the_private_names_of_paho_are_there() -> None:
    assert callable(paho.Client._create_socket)
    assert callable(paho.Client._packet_queue)
    assert mqtt.client(Reader, Broker(), "x")._ping_t == 0.0
