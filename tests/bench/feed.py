"""The feed of the ingest bench: readings of the zone's own devices, as MQTT packets in a file."""

import json
import time
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.wire import publish_packet
from twin.observation import METRICS
from twin.registry import Device, Registry

PACK = 50  # readings in a packed message
BEHIND_MS = 2 * 3_600_000  # the first reading is this old
STEP_MS = 1_000  # from one reading of a device to its next


class Feed(NamedTuple):
    """Readings from `first` on; those from `tail` on are the last tenth. Both are UTC milliseconds."""

    mode: str
    path: Path
    messages: int
    readings: int
    first: int
    tail: int
    tail_readings: int
    probe: bytes


def build(registry: Registry, folder: Path, mode: str, readings: int) -> Feed:
    """`mode`: single (a reading a message) or packed. Every (device, at) is there once."""
    first = int(time.time() * 1000) - BEHIND_MS
    made = list(islice(_readings(registry, first), readings))
    messages = list(_packed(made) if mode == "packed" else map(_single, made))
    path = folder / f"{mode}.mqtt"
    path.write_bytes(b"".join(_packet(*message, n) for n, message in enumerate(messages)))
    tail = first + STEP_MS * (9 * readings // (10 * len(registry)))
    return Feed(
        mode,
        path,
        len(messages),
        readings,
        first,
        tail,
        sum(body["at"] >= tail for _, body in made),
        _packet(*_single(next(_readings(registry, first - 60_000))), 0),
    )


def _readings(registry: Registry, first: int) -> Iterator[tuple[Device, dict[str, Any]]]:
    """All devices in turn, again and again; at most four metrics of each, with values that never repeat in a row."""
    for turn in count():
        share = (turn % 97) / 97
        for device in registry:
            values = {m: _value(m, share) for m in device.metrics[:4]}
            yield device, {"at": first + turn * STEP_MS, "values": values}


def _value(metric: str, share: float) -> float:
    low, high = METRICS[metric].scale
    return round(low + (high - low) * share, 2)


def _single(reading: tuple[Device, dict[str, Any]]) -> tuple[str, Any]:
    device, body = reading
    return f"gaoxin/v1/{device.domain}/{device.id}/obs", body


def _packed(readings: list[tuple[Device, dict[str, Any]]]) -> Iterator[tuple[str, Any]]:
    """Fifty readings of a domain a message; what is left at the end in shorter ones."""
    waiting: dict[str, list[dict[str, Any]]] = {}
    for device, body in readings:
        pack = waiting.setdefault(device.domain, [])
        pack.append({"device": device.id} | body)
        if len(pack) == PACK:
            yield f"gaoxin/v1/{device.domain}/batch", waiting.pop(device.domain)
    for domain, pack in waiting.items():
        yield f"gaoxin/v1/{domain}/batch", pack


def _packet(topic: str, body: Any, n: int) -> bytes:
    whole = body if isinstance(body, list) else body | {"seq": n}
    return publish_packet(topic, json.dumps(whole, separators=(",", ":")).encode(), n % 65_535 + 1)
