"""What a message says: observations, or why not. Never raises on anything a network can send.

Topics, under the prefix: `{domain}/{device}/obs` (one object), `{domain}/batch` (an array of objects that name their
device), `gateway/{gateway}/status` (`online` or `offline`). A bad metric does not cost its good neighbours: they are
kept, it is rejected.
"""

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from twin.clock import parse
from twin.observation import METRICS, Domain, Observation
from twin.registry import Registry


class Reason(StrEnum):
    TOPIC = "topic is not one of ours"
    JSON = "payload is not JSON"
    SHAPE = "payload has not the form {at, values}"
    TIME = "time cannot be read"
    FUTURE = "time is too far ahead of ours"
    PAST = "time is too long ago"
    DEVICE = "device is not in the registry"
    DOMAIN = "device belongs to another domain"
    METRIC = "device does not measure this"
    TYPE = "value is not a number"
    RANGE = "value is outside its valid range"
    EMPTY = "no value at all"


class Rejection(NamedTuple):
    reason: Reason
    detail: str


class Decoded(NamedTuple):
    observations: list[Observation]
    rejections: list[Rejection]


class GatewayStatus(NamedTuple):
    gateway: str
    online: bool


class Decoder:
    """`future` and `past`: how far, in ms, a time may be from `received`."""

    def __init__(self, registry: Registry, *, prefix: str, future: int = 300_000, past: int = 400 * 86_400_000) -> None:
        self.registry, self.prefix = registry, prefix + "/"
        self.future, self.past = future, past
        self._json = msgspec.json.Decoder()
        self._measures = {d.id: frozenset(d.metrics) for d in registry}

    def decode(self, topic: str, payload: bytes, received: int) -> Decoded:
        parts = topic[len(self.prefix) :].split("/") if topic.startswith(self.prefix) else []
        try:
            domain = Domain(parts[0]) if parts else None
        except ValueError:
            domain = None
        single = len(parts) == 3 and parts[2] == "obs"
        if domain is None or not (single or parts[1:] == ["batch"]):
            return _rejected(Reason.TOPIC, topic)
        try:
            body = self._json.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _rejected(Reason.JSON, str(error))
        found = Decoded([], [])
        if single:
            self._reading(domain, parts[1], body, received, found)
        elif isinstance(body, list):
            for item in body:
                device = item.get("device") if isinstance(item, dict) else None
                self._reading(domain, device, item, received, found)
        else:
            found.rejections.append(Rejection(Reason.SHAPE, "a batch is a JSON array"))
        return found

    def gateway(self, topic: str, payload: bytes) -> GatewayStatus | None:
        """The gateway's state if this is a message of one, else None."""
        parts = topic.removeprefix(self.prefix).split("/")
        if len(parts) != 3 or parts[0] != "gateway" or parts[2] != "status" or payload not in (b"online", b"offline"):
            return None
        return GatewayStatus(parts[1], payload == b"online")

    def _reading(self, domain: Domain, device: Any, body: Any, received: int, found: Decoded) -> None:
        if not isinstance(body, dict) or not isinstance(body.get("values"), dict):
            found.rejections.append(Rejection(Reason.SHAPE, _short(body)))
            return
        if not isinstance(device, str) or device not in self.registry:
            found.rejections.append(Rejection(Reason.DEVICE, _short(device)))
            return
        if self.registry[device].domain is not domain:
            found.rejections.append(Rejection(Reason.DOMAIN, f"{device} is in {self.registry[device].domain}"))
            return
        at = self._time(body.get("at"), received)
        if isinstance(at, Rejection):
            found.rejections.append(at)
            return
        values = self._values(device, body["values"], found.rejections)
        if values:
            found.observations.append(Observation(device, at, values, received))

    def _time(self, at: Any, received: int) -> int | Rejection:
        if at is None:
            return received
        try:
            moment = parse(at) if isinstance(at, str) else at
        except (ValueError, OverflowError) as error:
            return Rejection(Reason.TIME, str(error))
        if not isinstance(moment, int) or isinstance(moment, bool):
            return Rejection(Reason.TIME, f"{_short(at)}: UTC milliseconds as an integer, or RFC 3339 text")
        if moment > received + self.future:
            return Rejection(
                Reason.FUTURE, f"{(moment - received) / 1000:.0f} s ahead; allowed {self.future / 1000:.0f} s"
            )
        if moment < received - self.past:
            return Rejection(Reason.PAST, f"{(received - moment) / 86_400_000:.0f} days ago")
        return moment

    def _values(self, device: str, given: Mapping[str, Any], rejections: list[Rejection]) -> dict[str, float]:
        if not given:
            rejections.append(Rejection(Reason.EMPTY, device))
        measures, values = self._measures[device], {}
        for name, value in given.items():
            if name not in measures:
                rejections.append(Rejection(Reason.METRIC, f"{device}: {_short(name)}"))
            elif not isinstance(value, int | float) or isinstance(value, bool) or not _finite(value):
                rejections.append(Rejection(Reason.TYPE, f"{device}: {name} = {_short(value)}"))
            elif not METRICS[name].low <= value <= METRICS[name].high:
                m = METRICS[name]
                rejections.append(
                    Rejection(Reason.RANGE, f"{device}: {name} = {_short(value)}, not in {m.low:g}…{m.high:g} {m.unit}")
                )
            else:
                values[name] = float(value)
        return values


def _rejected(reason: Reason, detail: str) -> Decoded:
    return Decoded([], [Rejection(reason, _short(detail))])


def _finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer too large for a float
        return False


def _short(value: Any) -> str:
    """At most 200 characters of it, whatever it is: a detail is evidence, not a second copy of the message."""
    text = value if isinstance(value, str) else repr(value) if not isinstance(value, int) else _digits(value)
    return text if len(text) <= 200 else text[:199] + "…"


def _digits(value: int) -> str:
    # str() of an int beyond 4,300 digits raises; nobody needs to read it
    return str(value) if value.bit_length() < 1_000 else f"an integer of {value.bit_length()} bits"
