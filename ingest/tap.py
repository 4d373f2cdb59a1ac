"""A bulk reader of QoS 0 and 1 messages on paho-mqtt.

paho keeps what it is good at: connect, session, keep-alive, TLS, reconnect. But it hands over one message at a time, at
some 30 µs each. Here its socket is replaced by one that cuts the PUBLISH packets out of the byte stream as they
arrive, hands them over in bulk, and leaves every other packet to paho. Acknowledgements go out in bulk as well, through
paho's own outgoing queue, so that they never cut into a packet that paho is sending.

Three private names of paho are used, `_create_socket`, `_packet_queue` and `_ping_t`: paho is pinned, and tests hold
them.

What must not be broken:
- Packet identifiers belong to a connection. One from an old connection would acknowledge another message on the new
  one, so each bulk carries the `Tap` it came through, and `acknowledge` leaves out what came through another.
- paho asks `pending()` before it waits for the socket; it must tell of bytes that are already here.
- What is larger than LONGEST is handed over cut short and acknowledged like the rest: refused, it would be sent again
  and again for ever.

Packet layout: MQTT 3.1.1, sections 2.2 (fixed header) and 3.3 (PUBLISH).
"""

import logging
import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode

log = logging.getLogger("gaoxin.mqtt")

BULK = 1 << 18  # bytes read at once
LONGEST = (1 << 20) + 1  # bytes of a payload that are kept: one more than the decoder takes
_PUBLISH, _QOS_1 = 0x30, 0x02
_KIND, _RETAIN = 0xF6, 0x01  # of a first byte: type and QoS (without DUP and RETAIN), RETAIN
_PUBACK = b"\x40\x02"


# (mid, topic, payload, retained). `mid` is the packet identifier as sent, two bytes, empty with QoS 0; `retained` is
# true for what the broker had kept from before this subscription. A plain tuple, for speed
Message = tuple[bytes, bytes, bytes, bool]


class MalformedError(OSError):
    """The byte stream is not MQTT; paho takes it as a lost connection and makes a new one."""


class Tap:
    """The socket that paho sees. Whatever is not said here goes to the real one."""

    def __init__(self, sock: Any, sink: Callable[["Tap", list[Message]], None], ready: Callable[[], bool]) -> None:
        self._sock, self._sink, self._ready = sock, sink, ready
        self._begun = b""  # a packet that is not all here
        self._skip = 0  # bytes still to come of a packet that was handed over cut short
        self._rest = bytearray()  # for paho

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def pending(self) -> int:
        return len(self._rest)

    def recv(self, size: int) -> bytes:
        if not self._rest:
            if not self._ready():
                raise BlockingIOError  # what comes stays with the broker
            data = self._read()
            if not data:
                return b""
            try:
                self._cut(data)
            except OSError:
                raise
            except Exception as error:  # paho's thread would end without a word; so it connects anew
                log.exception("a message could not be handed over")
                raise ConnectionError(str(error)) from error
            if not self._rest:
                raise BlockingIOError
        taken = bytes(self._rest[:size])
        del self._rest[:size]
        return taken

    def _read(self) -> bytes:
        """Up to BULK bytes; b"" at the end. Raises BlockingIOError (or what TLS has for it) where there are none."""
        data: bytes = self._sock.recv(BULK)
        if not data or not isinstance(self._sock, ssl.SSLSocket):
            return data
        # TLS gives one record of at most 16 KiB at a time, and what it has decrypted no `select` can see
        parts, total = [data], len(data)
        while total < BULK:
            try:
                data = self._sock.recv(BULK)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            if not data:
                break
            parts.append(data)
            total += len(data)
        return b"".join(parts)

    def _cut(self, data: bytes) -> None:
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        if self._begun:
            data = self._begun + data
        found: list[Message] = []
        here, end_of_data = 0, len(data)
        while end_of_data - here > 1:
            # The remaining length: seven bits a byte, least first, at most four bytes
            size, body = data[here + 1], here + 2
            if size > 127:
                size, shift, more = size & 127, 7, True
                while more and body < end_of_data and shift < 28:
                    size |= (data[body] & 127) << shift
                    more = data[body] > 127
                    shift += 7
                    body += 1
                if more and shift == 28:
                    raise MalformedError("a packet's length has more than four bytes")
                if more:
                    break
            end = body + size
            kind = data[here] & _KIND
            ours = kind == _PUBLISH or kind == _PUBLISH | _QOS_1
            if end > end_of_data:
                if ours and end_of_data - body > LONGEST + 65_540:
                    found.append(_message(data, body, end_of_data, data[here]))
                    self._skip = end - end_of_data
                    here = end_of_data
                break
            if ours:
                found.append(_message(data, body, end, data[here]))
            else:
                self._rest += data[here:end]
            here = end
        self._begun = data[here:]
        if found:
            self._sink(self, found)


def _message(data: bytes, body: int, end: int, first: int) -> Message:
    """The PUBLISH with this first byte whose variable header begins at `body`.

    Raises MalformedError when it is too short for itself.
    """
    text = body + 2
    after = text + (data[body] << 8 | data[body + 1]) if text <= end else end + 1
    begin = after + 2 if first & _QOS_1 else after
    if begin > end:
        raise MalformedError("a PUBLISH packet ends before its payload begins")
    return data[after:begin], data[text:after], data[begin : min(end, begin + LONGEST)], bool(first & _RETAIN)


class Reader(paho.Client):
    """A client that takes its messages through `on_bulk(tap, messages)`, in its network thread, instead of
    `on_message`.

    `ready()` is asked before each reading and may wait a little; False leaves what comes with the broker. Both are to
    be set before connecting.
    """

    on_bulk: Callable[[Tap, list[Message]], None]
    ready: Callable[[], bool] = staticmethod(lambda: True)
    tap: Tap | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._switch = threading.Lock()  # between acknowledging and changing the connection

    def reconnect(self) -> MQTTErrorCode:
        with self._switch:
            self.tap = None
        try:
            return super().reconnect()
        except RuntimeError as error:
            # paho walks through what is to be sent; something was added meanwhile. Its thread would end of this
            raise ConnectionError(str(error)) from error

    def _create_socket(self) -> Any:
        self.tap = Tap(super()._create_socket(), lambda tap, found: self.on_bulk(tap, found), self._may_read)
        return self.tap

    def _may_read(self) -> bool:
        if self.ready():
            return True
        # The answer to a ping waits unread behind the messages: that is no dead connection
        self._ping_t = 0.0
        return False

    def acknowledge(self, tap: Tap, mids: Iterable[bytes]) -> int:
        """Acknowledge what came through this tap, from any thread; returns how many were (none if it is an old one)."""
        some = [mid for mid in mids if mid]
        with self._switch:
            if tap is not self.tap or not some:
                return 0
            self._packet_queue(_PUBACK[0], _PUBACK + _PUBACK.join(some), 0, 1)
        return len(some)
