"""A small zone that tests can read at a glance: one device of each kind that matters, and its messages."""

import json

from twin.observation import KINDS, Observation
from twin.registry import Device, Registry

PREFIX = "gaoxin/v1"
T0 = 1_792_540_800_000  # 2026-10-21 00:00:00 UTC, 08:00 in Shanghai


def device(id: str, kind: str, *, gateway: str = "", period_s: int | None = None, **attributes: str | float) -> Device:
    k = KINDS[kind]
    return Device(
        id=id,
        name=f"设备 {id}",
        kind=kind,
        district="dist:aihub",
        lon=108.67,
        lat=34.31,
        metrics=k.metrics,
        period_s=period_s or k.period_s,
        gateway=gateway,
        attributes=attributes,
    )


def link(id: str, road: str = "road:ew:05", **more: float) -> Device:
    attributes = {"freeSpeed": 60.0, "length": 1000.0, "lanes": 3.0, "capacity": 2700.0} | more
    return device(id, "link-detector", gateway="gw-a", road=road, roadName="世纪大道", **attributes)


SMALL = Registry(
    [
        link("td-1"),
        link("td-2"),
        link("td-3", road="road:ns:03", length=3000.0),
        device("aq-1", "air-station", gateway="gw-b"),
        device("ns-1", "noise-monitor", noiseClass="4a"),
        device("ws-1", "weather-station"),
        device("wt-1", "water-station"),
        device("pk-1", "car-park", capacity=200.0),
        device("pk-2", "car-park", capacity=100.0),
        device("cc-1", "compute-centre"),
        device("sv-1", "server"),
        device("sl-1", "street-light"),
        device("mh-1", "manhole"),
        device("up-1", "underpass"),
    ]
)


def seen(device: str, at: int = T0, received: int | None = None, **values: float) -> Observation:
    return Observation(device, at, values, at if received is None else received)


def topic(device: str, registry: Registry = SMALL) -> str:
    return f"{PREFIX}/{registry[device].domain}/{device}/obs"


def payload(at: int | str | None = T0, **values: object) -> bytes:
    body: dict[str, object] = {"values": values}
    if at is not None:
        body["at"] = at
    return json.dumps(body).encode()
