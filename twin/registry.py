"""Which devices exist, where they stand, what they measure and how often they should be heard.

The registry is a file: the twin knows a device before it first speaks, so that silence can be told from absence.
A frame names a device by its position here, so the order is part of the registry; `digest` changes with any of it.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import msgspec

from twin.errors import RegistryError
from twin.observation import KINDS, METRICS, Domain, Kind
from twin.standards import NOISE_LIMITS

_ID = re.compile(r"[^\s/+#\\]{1,64}")


# Numbers without which the indicators of a kind cannot be made
NEEDED = {"link-detector": ("freeSpeed", "length", "lanes"), "car-park": ("capacity",)}


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """`lon`, `lat` are WGS-84 degrees; `period_s` is how often a reading is expected, in seconds.

    `attributes` holds what a kind needs beyond that: a detector's `link`, `road`, `freeSpeed` (km/h), `capacity`
    (veh/h), a car park's `capacity` (spaces), a noise monitor's `noiseClass` (GB 3096). `gateway` is what it reports
    through.
    """

    id: str
    name: str
    kind: str
    district: str
    lon: float
    lat: float
    metrics: tuple[str, ...]
    period_s: int
    gateway: str = ""
    schematic: bool = True
    attributes: dict[str, str | float] = {}

    @property
    def domain(self) -> Domain:
        return KINDS[self.kind].domain

    @property
    def headline(self) -> str:
        wanted = KINDS[self.kind].headline
        return wanted if wanted in self.metrics else self.metrics[0]

    def number(self, attribute: str) -> float:
        """A numeric attribute; raises RegistryError naming the device when it is missing or text."""
        value = self.attributes.get(attribute)
        if not isinstance(value, int | float):
            raise RegistryError(
                f"device {self.id} ({self.kind}): attribute {attribute!r} must be a number, is {value!r}"
            )
        return float(value)


class Registry:
    def __init__(self, devices: Iterable[Device]) -> None:
        self.devices = tuple(devices)
        self.index: dict[str, int] = {}
        for i, device in enumerate(self.devices):
            _check(device, i)
            if device.id in self.index:
                raise RegistryError(
                    f"device {device.id!r} is listed twice (rows {self.index[device.id]} and {i}): rename one"
                )
            self.index[device.id] = i

    def __len__(self) -> int:
        return len(self.devices)

    def __iter__(self) -> Iterator[Device]:
        return iter(self.devices)

    def __contains__(self, device: object) -> bool:
        return device in self.index

    def __getitem__(self, device: str) -> Device:
        return self.devices[self.index[device]]

    def of(self, domain: Domain) -> tuple[Device, ...]:
        return tuple(d for d in self.devices if d.domain is domain)

    @cached_property
    def digest(self) -> int:
        """32 bits that differ when any device, or their order, differs."""
        return int.from_bytes(hashlib.sha256(msgspec.json.encode(self.devices)).digest()[:4], "little")


def read(path: Path) -> Registry:
    """The registry in a JSON file (a list of devices). Raises RegistryError naming file, row and remedy."""
    try:
        return Registry(msgspec.json.decode(path.read_bytes(), type=list[Device]))
    except FileNotFoundError:
        raise RegistryError(f"{path}: no such file. Build one with `gaoxin layers build`.") from None
    except (msgspec.DecodeError, RegistryError) as error:
        raise RegistryError(f"{path}: {error}") from None


def write(path: Path, registry: Registry) -> None:
    """One device a line, so that a change reads well in a diff."""
    lines = b",\n".join(msgspec.json.encode(d) for d in registry)
    path.write_bytes(b"[\n" + lines + b"\n]\n")


def _check(device: Device, row: int) -> None:
    def wrong(what: str) -> RegistryError:
        return RegistryError(f"row {row}, device {device.id!r}: {what}")

    if not _ID.fullmatch(device.id):
        raise wrong("an id is 1 to 64 characters without spaces, '/', '+', '#' or '\\', as it is part of a topic")
    kind: Kind | None = KINDS.get(device.kind)
    if kind is None:
        raise wrong(f"unknown kind {device.kind!r}; known: {', '.join(KINDS)}")
    if not device.metrics:
        raise wrong("it measures nothing; list its metrics")
    for name in device.metrics:
        if name not in METRICS:
            raise wrong(f"unknown metric {name!r}")
        if name not in kind.metrics:
            raise wrong(f"a {kind.name} has no metric {name!r}; allowed: {', '.join(kind.metrics)}")
    for attribute in NEEDED.get(device.kind, ()):
        value = device.attributes.get(attribute)
        if not isinstance(value, int | float) or value <= 0:
            raise wrong(f"a {device.kind} needs the attribute {attribute!r}, a number above 0; it is {value!r}")
    noise_class = device.attributes.get("noiseClass", "2")
    if noise_class not in NOISE_LIMITS:
        raise wrong(f"noiseClass is {noise_class!r}; GB 3096 has {', '.join(NOISE_LIMITS)}")
    if device.period_s < 1:
        raise wrong(f"period_s must be at least 1 second, is {device.period_s}")
    if not (-180 <= device.lon <= 180 and -90 <= device.lat <= 90):
        raise wrong(f"({device.lon}, {device.lat}) is not a longitude and latitude in degrees")
