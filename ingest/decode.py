"""What a message says: observations, or why not. Never raises on anything a network can send.

Topics, under the prefix: `{domain}/{device}/obs` (one object), `{domain}/batch` (an array of objects that name their
device), `gateway/{gateway}/status` (`online` or `offline`). A bad metric does not cost its good neighbours: they are
kept, it is rejected.

There are two roads to the same place. The fast one has msgspec check the types while it parses and takes a message
only when nothing at all is wrong with it; whatever it does not take goes the slow one, which says why. What the fast
road takes, the slow one would have taken just so: a property test holds them together.
"""

import logging
import math
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from enum import StrEnum
from functools import lru_cache
from reprlib import Repr
from typing import Any, NamedTuple

import msgspec

from ingest.mapping import Mapping as ForeignFeeds
from ingest.mapping import MappingFault
from twin.clock import parse
from twin.observation import METRICS, Domain, Observation, columns
from twin.registry import Registry

log = logging.getLogger("gaoxin.ingest")

LARGEST = 1 << 20  # bytes of a payload; a batch of 50 readings is some 5 KiB
MOST = 10_000  # readings of a batch: a megabyte of `[0,0,0,…` must not cost seconds


class Reason(StrEnum):
    TOPIC = "topic is not one of ours"
    SIZE = "payload is larger than 1 MiB or 10,000 readings"
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
    MAPPING = "the mapping cannot read it"
    RETAINED = "an old message, kept by the broker, without a time of its own"
    FAULT = "our own decoder failed on it"
    STORE = "the store will not take it"


class Rejection(NamedTuple):
    """`device` is empty where none is known."""

    reason: Reason
    detail: str
    device: str = ""


class Decoded(NamedTuple):
    """`seqs` goes with `observations`, one each: the sender's own number, None where it gives none."""

    observations: list[Observation]
    seqs: list[int | None]
    rejections: list[Rejection]

    @classmethod
    def nothing(cls) -> "Decoded":
        return cls([], [], [])


class GatewayStatus(NamedTuple):
    gateway: str
    online: bool


class _Single(msgspec.Struct, gc=False):
    values: dict[str, float]
    at: int | None = None
    seq: int | None = None


class _Item(_Single, gc=False, kw_only=True):
    device: str


_Limits = Mapping[str, tuple[float, float]]


class Decoder:
    """`future` and `past`: how far, in ms, a time may be from `received`. `mapping`: the foreign feeds, if any."""

    def __init__(
        self,
        registry: Registry,
        *,
        prefix: str,
        future: int = 300_000,
        past: int = 400 * 86_400_000,
        mapping: ForeignFeeds | None = None,
    ) -> None:
        self.registry, self.prefix, self.mapping = registry, prefix + "/", mapping
        self.future, self.past = future, past
        self._json = msgspec.json.Decoder()
        self._single = msgspec.json.Decoder(_Single).decode
        self._batch = msgspec.json.Decoder(list[_Item]).decode
        limits: dict[tuple[str, ...], _Limits] = {}
        self._limits: dict[str, _Limits] = {
            d.id: limits.setdefault(d.metrics, {m: (METRICS[m].low, METRICS[m].high) for m in d.metrics})
            for d in registry
        }
        self._device_of = {f"{self.prefix}{d.domain}/{d.id}/obs": d.id for d in registry}
        self._members = {
            f"{self.prefix}{domain}/batch": frozenset(d.id for d in registry.of(domain)) for domain in Domain
        }

    @property
    def digest(self) -> str:
        """Differs when the registry or the mapping does."""
        return f"{self.registry.digest:08x}-{self.mapping.digest if self.mapping else 0:08x}"

    @property
    def topics(self) -> list[str]:
        """The MQTT filters on which observations come."""
        foreign = [feed.topic.filter for feed in self.mapping.feeds] if self.mapping else []
        return [f"{self.prefix}+/+/obs", f"{self.prefix}+/batch", *foreign]

    @property
    def gateway_topics(self) -> list[str]:
        """The MQTT filters on which gateways come and go."""
        foreign = [gateway.topic.filter for gateway in self.mapping.gateways] if self.mapping else []
        return [f"{self.prefix}gateway/+/status", *foreign]

    def decode(
        self, topic: str, payload: bytes, received: int, found: Decoded | None = None, *, retained: bool = False
    ) -> Decoded:
        """What the message says, added to `found` (several messages may share one).

        `retained`: the broker had kept it from before. Without a time of its own nobody knows how old it is, and taken
        as received now it would bring a dead sensor to life at every start.
        """
        found = Decoded.nothing() if found is None else found
        device = self._device_of.get(topic)
        if len(payload) > LARGEST or retained:
            taken = False
        elif device is not None:
            try:
                taken = self._take(device, self._single(payload), received, found)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                taken = False
        else:
            taken = topic in self._members and self._take_batch(self._members[topic], payload, received, found)
        if not taken:
            try:
                self.explain(topic, payload, received, found, retained=retained)
            except Exception as error:  # a fault of ours must not stop what comes behind the message
                log.exception("decoding a message on %s failed", _short(topic))
                found.rejections.append(Rejection(Reason.FAULT, f"{type(error).__name__}: {_short(str(error))}"))
        return found

    def gateway(self, topic: str, payload: bytes) -> GatewayStatus | None:
        """The gateway's state if this is a message of one, else None."""
        if not topic.startswith(self.prefix):
            found = self.mapping.gateway(topic, payload) if self.mapping else None
            return None if found is None else GatewayStatus(*found)
        parts = topic.removeprefix(self.prefix).split("/")
        if len(parts) != 3 or parts[0] != "gateway" or parts[2] != "status" or payload not in (b"online", b"offline"):
            return None
        return GatewayStatus(parts[1], payload == b"online")

    def topic_of(self, observation: Observation) -> str:
        """The native topic for it; for a device that has left the registry, the first domain with such metrics."""
        if observation.device in self.registry:
            domain = self.registry[observation.device].domain
        else:
            domain = next((d for d in Domain if set(observation.values) <= set(columns(d))), Domain.CITY)
        return f"{self.prefix}{domain}/{observation.device}/obs"

    # ------------------------------------------------------------ the fast road

    def _take(self, device: str, body: _Single, received: int, found: Decoded) -> bool:
        """Take it if nothing is wrong with it; else leave `found` as it was."""
        at = received if body.at is None else body.at
        if not received - self.past <= at <= received + self.future or not body.values:
            return False
        limits = self._limits[device]
        for name, value in body.values.items():
            limit = limits.get(name)
            if limit is None or not limit[0] <= value <= limit[1]:
                return False
        found.observations.append(Observation(device, at, body.values, received))
        found.seqs.append(body.seq)
        return True

    def _take_batch(self, members: frozenset[str], payload: bytes, received: int, found: Decoded) -> bool:
        """All of its readings or, when anything is wrong with any, none."""
        before = len(found.observations)
        try:
            items = self._batch(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        if 0 < len(items) <= MOST and all(
            i.device in members and self._take(i.device, i, received, found) for i in items
        ):
            return True
        del found.observations[before:], found.seqs[before:]
        return False

    # ------------------------------------------------------------ the slow road

    def explain(self, topic: str, payload: bytes, received: int, found: Decoded, *, retained: bool = False) -> None:
        """`decode` by the slow road alone."""

        def refuse(reason: Reason, detail: str) -> None:
            found.rejections.append(Rejection(reason, _short(detail)))

        parts = topic[len(self.prefix) :].split("/") if topic.startswith(self.prefix) else []
        try:
            domain = Domain(parts[0]) if parts else None
        except ValueError:
            domain = None
        single = len(parts) == 3 and parts[2] == "obs"
        ours = domain is not None and (single or parts[1:] == ["batch"])
        if not ours and (parts or self.mapping is None):
            return refuse(Reason.TOPIC, topic)
        if len(payload) > LARGEST:
            return refuse(Reason.SIZE, f"{len(payload):,} bytes or more")
        try:
            body = self._json.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return refuse(Reason.JSON, str(error))
        if domain is None:
            self._foreign(topic, body, received, found, retained)
        elif single:
            self._reading(domain, parts[1], body, received, found, retained)
        elif not isinstance(body, list):
            refuse(Reason.SHAPE, "a batch is a JSON array")
        elif not body:
            refuse(Reason.EMPTY, "a batch without readings")
        elif len(body) > MOST:
            refuse(Reason.SIZE, f"{len(body):,} readings")
        else:
            for item in body:
                device = item.get("device") if isinstance(item, dict) else None
                self._reading(domain, device, item, received, found, retained)

    def _foreign(self, topic: str, body: Any, received: int, found: Decoded, retained: bool) -> None:
        assert self.mapping is not None
        try:
            readings = self.mapping.readings(topic, body)
        except MappingFault as fault:
            found.rejections.append(Rejection(Reason.MAPPING, _short(str(fault))))
            return
        if readings is None:
            found.rejections.append(Rejection(Reason.TOPIC, _short(topic)))
            return
        if not readings:
            found.rejections.append(Rejection(Reason.EMPTY, "no reading in it"))
        for reading in readings:
            if isinstance(reading, MappingFault):
                found.rejections.append(Rejection(Reason.MAPPING, _short(str(reading))))
            else:
                domain = self.registry[reading.device].domain if reading.device in self.registry else Domain.CITY
                self._reading(domain, reading.device, reading._asdict(), received, found, retained)

    def _reading(self, domain: Domain, device: Any, body: Any, received: int, found: Decoded, retained: bool) -> None:
        named = device if isinstance(device, str) else ""

        def refuse(reason: Reason, detail: str) -> None:
            found.rejections.append(Rejection(reason, detail, named))

        if not isinstance(body, dict) or not isinstance(body.get("values"), dict):
            return refuse(Reason.SHAPE, _short(body))
        if named not in self.registry:
            return refuse(Reason.DEVICE, _short(device))
        if self.registry[named].domain is not domain:
            return refuse(Reason.DOMAIN, f"{named} is in {self.registry[named].domain}")
        if retained and body.get("at") is None:
            return refuse(Reason.RETAINED, named)
        at = self._time(body.get("at"), received, refuse)
        if at is None:
            return None
        values = self._values(named, body["values"], refuse)
        if values:
            found.observations.append(Observation(named, at, values, received))
            found.seqs.append(_whole(body.get("seq")))

    def _time(self, at: Any, received: int, refuse: Callable[[Reason, str], None]) -> int | None:
        if at is None:
            return received
        try:
            moment = parse(at) if isinstance(at, str) else at
        except (ValueError, OverflowError) as error:
            refuse(Reason.TIME, _short(str(error)))
            return None
        moment = _whole(moment)
        if moment is None:
            refuse(Reason.TIME, f"{_short(at)}: UTC milliseconds as an integer, or RFC 3339 text")
        elif moment > received + self.future:
            ahead = (moment - received) // 1000
            refuse(Reason.FUTURE, f"{_short(ahead)} s ahead; allowed {self.future // 1000} s")
        elif moment < received - self.past:
            seconds = received - self.past <= moment * 1000 <= received + self.future
            hint = "; these look like seconds, milliseconds are expected" if seconds else ""
            refuse(Reason.PAST, f"{_short((received - moment) // 86_400_000)} days ago{hint}")
        else:
            return moment
        return None

    def _values(self, device: str, given: Mapping[str, Any], refuse: Callable[[Reason, str], None]) -> dict[str, float]:
        if not given:
            refuse(Reason.EMPTY, device)
        limits, values = self._limits[device], {}
        for name, value in given.items():
            if name not in limits:
                refuse(Reason.METRIC, f"{device}: {_short(name)}{_nearest(name[:64])}")
            elif not isinstance(value, int | float) or isinstance(value, bool) or not _finite(value):
                refuse(Reason.TYPE, f"{device}: {name} = {_as_sent(value)}")
            elif not limits[name][0] <= value <= limits[name][1]:
                m = METRICS[name]
                refuse(Reason.RANGE, f"{device}: {name} = {_short(value)}, not in {m.low:g}…{m.high:g} {m.unit}")
            else:
                values[name] = float(value)
        return values


def _as_sent(value: Any) -> str:
    """A scalar as JSON has it, with what is wrong about it."""
    match value:
        case None:
            return "null; leave out what was not measured"
        case True | False:
            return f"{str(value).lower()}; 1 or 0 is expected"
        case str():
            return f'"{_short(value)}" is text; send the number without quotes'
    return _short(value)


@lru_cache(1_000)
def _nearest(name: str) -> str:
    if name in METRICS:
        return " is a metric, but not one of this device in the registry"
    near = get_close_matches(name, METRICS, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _whole(value: Any) -> int | None:
    """An integer, also one that its sender has written as 17.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer too large for a float
        return False


def _short(value: Any) -> str:
    """At most 200 characters of it, whatever it is: a detail is evidence, not a second copy of the message."""
    try:
        text = value if isinstance(value, str) else _SHOWN.repr(value)
    except ValueError:  # an integer of more digits than Python writes, perhaps deep inside
        text = f"{type(value).__name__} with a number of thousands of digits"
    return text if len(text) <= 200 else text[:199] + "…"


# Bounded in depth and width: the plain repr of a deep value overflows the stack
_SHOWN = Repr()
_SHOWN.maxlevel, _SHOWN.maxdict, _SHOWN.maxlist, _SHOWN.maxstring, _SHOWN.maxlong = 4, 8, 8, 100, 60
