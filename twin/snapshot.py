"""The zone at a time: what is known of each device, and the frame that carries it to a screen.

The fold is pure and total: whatever order observations arrive in, a device shows the one with the greatest (at,
received), and of those equal in both the one that came last, as in every store. A device that has been silent past its
grace, or whose gateway is gone, is *unknown*: that is a state of its own, never the last value and never normal. Live,
replay and tests all use this one fold and this one encoder, so the picture at t is the same bytes whoever asks.

Frame v1, little-endian, 28 bytes then the body:
    0  'GX'   2  u8 version 1   3  u8 kind (0 key, 1 delta)   4  u32 registry digest   8  u32 seq   12  u32 n
    16 f64 at (UTC ms)   24 u32 engine start (UTC seconds)
    key:   n value bytes, n status bytes (device = position in the registry)
    delta: n u32 device positions, n value bytes, n status bytes; applies only to the frame with seq - 1
value: 0-250 on the headline metric's display scale, 254 unknown, 255 never heard.
status: high nibble = band by the standard (15 none), low nibble = alarm level (0 none, 1 blue ... 4 red).
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin import standards
from twin.clock import HOUR, local
from twin.observation import METRICS, Observation
from twin.registry import Device, Registry
from twin.store import Said

UNKNOWN, NEVER_HEARD = 254, 255
NO_BAND = 15
_HEADER = struct.Struct("<2sBBIIIdI")
KEY, DELTA = 0, 1
_EAST = 8  # hours: Shanghai has had no summer time since 1991
NEVER = -(1 << 62)  # before any time

U8 = npt.NDArray[np.uint8]


def display_byte(device: Device, values: Mapping[str, float]) -> int:
    """0-250 on the headline metric's display scale; 254 when the observation does not carry it."""
    value = values.get(device.headline)
    if value is None:
        return UNKNOWN
    low, high = METRICS[device.headline].scale
    return round(min(max((value - low) / (high - low), 0.0), 1.0) * 250)


def band(device: Device, values: Mapping[str, float], at: int) -> int:
    """The ordinal class these values have by their standard, 0 the best; 15 where there is none.

    It is of this one reading, so that the map shows what is so now. The standards of air, noise and traffic speak of
    means over longer: the indicators make those.
    """
    match device.kind:
        case "link-detector" if "averageVehicleSpeed" in values:
            return standards.traffic_state(standards.tpi(values["averageVehicleSpeed"], device.number("freeSpeed")))
        case "air-station":
            index = standards.aqi(values).value
            return NO_BAND if index is None else standards.aqi_level(index)
        case "noise-monitor" if "LAeq" in values:
            zone_class = str(device.attributes.get("noiseClass", "2"))
            return standards.NOISE.band(standards.noise_excess(values["LAeq"], zone_class, local(at).hour))
        case "water-station":
            found = standards.water_class(values)
            return NO_BAND if found is None else found
    scaled = SCALES.get(device.kind)
    if scaled is None or scaled[0] not in values:
        return NO_BAND
    return scaled[1].band(values[scaled[0]])


# Kinds whose band is one metric on one scale
SCALES: Mapping[str, tuple[str, standards.Scale]] = {
    "car-park": ("occupancy", standards.PARKING),
    "compute-centre": ("pue", standards.PUE),
    "server": ("inletTemperature", standards.COLD_AISLE),
    "power-unit": ("loadRatio", standards.LOAD),
    "street-light": ("illuminanceOn", standards.LAMPS),
    "manhole": ("coverOpen", standards.COVER),
    "underpass": ("waterDepth", standards.UNDERPASS),
    "city-grid": ("reports", standards.REPORTS),
}

# What a screen shows for each band of a kind
BANDS: Mapping[str, tuple[standards.Band, ...]] = {
    "link-detector": standards.TRAFFIC.bands,
    "air-station": standards.AIR.bands,
    "noise-monitor": standards.NOISE.bands,
    "water-station": standards.WATER.bands,
    **{kind: scale.bands for kind, (_, scale) in SCALES.items()},
}


def graces(registry: Registry, grace: float) -> npt.NDArray[np.int64]:
    """How long each device may be silent and still be known, ms; `grace` in periods of each."""
    return np.array([grace * d.period_s * 1000 for d in registry], np.int64)


class Shown:
    """`display_byte` and `band` for many observations of one domain at once, equal to the last bit."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        kinds = {d.kind for d in registry}
        self._of_kind = {kind: np.array([d.kind == kind for d in registry]) for kind in kinds}
        self._headline = np.array([d.headline for d in registry])
        # What silence would be over the limit of a device at a local hour
        self._quiet = np.array(
            [
                [standards.noise_excess(0.0, str(d.attributes.get("noiseClass", "2")), hour) for hour in range(24)]
                for d in registry
            ]
        ).reshape(-1, 24)
        self._free = np.array([d.number("freeSpeed") if d.kind == "link-detector" else 1.0 for d in registry])

    def of(self, said: Said) -> tuple[U8, U8]:
        """(value, band) of each row."""
        value, bands = np.full(len(said.at), UNKNOWN, np.uint8), np.full(len(said.at), NO_BAND, np.uint8)
        headline = self._headline[said.device]
        for metric in set(headline.tolist()) & said.values.keys():
            low, high = METRICS[metric].scale
            of = said.values[metric]
            rows = (headline == metric) & ~np.isnan(of)
            value[rows] = np.rint(np.clip((of[rows] - low) / (high - low), 0.0, 1.0) * 250)
        for kind, of_kind in self._of_kind.items():
            rows = np.flatnonzero(of_kind[said.device])
            if len(rows):
                bands[rows] = self._bands(kind, said, rows)
        return value, bands

    def _bands(self, kind: str, said: Said, rows: npt.NDArray[np.intp]) -> U8:
        if kind == "link-detector":
            speed = said.values["averageVehicleSpeed"][rows]
            index = standards.tpis(speed, self._free[said.device[rows]])
            return np.where(np.isnan(speed), NO_BAND, standards.TRAFFIC.of(index)).astype(np.uint8)
        if kind in SCALES:
            metric, scale = SCALES[kind]
            of = said.values[metric][rows]
            return np.where(np.isnan(of), NO_BAND, scale.of(of)).astype(np.uint8)
        if kind == "noise-monitor":
            level = said.values["LAeq"][rows]
            hour = (said.at[rows] // HOUR + _EAST) % 24
            excess = level + self._quiet[said.device[rows], hour]
            return np.where(np.isnan(level), NO_BAND, standards.NOISE.of(excess)).astype(np.uint8)
        if kind not in BANDS:
            return np.full(len(rows), NO_BAND, np.uint8)
        devices, at = said.device[rows].tolist(), said.at[rows].tolist()
        return np.array(
            [
                band(self.registry.devices[d], values, t)
                for d, values, t in zip(devices, said.dicts(rows), at, strict=True)
            ],
            np.uint8,
        )


class Snapshot:
    """`grace` is in periods of each device."""

    def __init__(self, registry: Registry, *, grace: float = 3.0) -> None:
        self.registry = registry
        n = len(registry)
        self.last: list[Observation | None] = [None] * n
        # What else was said of that instant: said again, it is a redelivery and no correction
        self._before: dict[int, list[dict[str, float]]] = {}
        self._value = np.full(n, NEVER_HEARD, np.uint8)
        self._band = np.full(n, NO_BAND, np.uint8)
        self.level = np.zeros(n, np.uint8)
        self._at = np.full(n, NEVER, np.int64)
        self._received = np.full(n, NEVER, np.int64)
        self._grace = graces(registry, grace)
        self._gone = np.full(n, NEVER, np.int64)  # when the device's gateway went offline
        self._behind: dict[str, npt.NDArray[np.intp]] = {}
        for gateway in {d.gateway for d in registry if d.gateway}:
            self._behind[gateway] = np.array([i for i, d in enumerate(registry) if d.gateway == gateway])

    def fold(self, observation: Observation) -> bool:
        """Take one observation in; False when it is no news (older than what is known, or unregistered)."""
        i = self.registry.index.get(observation.device)
        if i is None or (observation.at, observation.received) < (self._at[i], self._received[i]):
            return False
        known = self.last[i]
        if known is not None and known.at == observation.at:
            before = self._before.setdefault(i, [])
            if observation.values == known.values or observation.values in before:
                return False  # a redelivery: the first `received` stands, as it does in every store
            before.append(known.values)
        elif i in self._before:
            del self._before[i]
        device = self.registry.devices[i]
        self.put(
            i, observation, display_byte(device, observation.values), band(device, observation.values, observation.at)
        )
        return True

    def put(self, i: int, observation: Observation, value: int, band: int) -> None:
        """The last observation of the device in position `i`, and what it shows."""
        self.last[i] = observation
        self._at[i], self._received[i] = observation.at, observation.received
        self._value[i], self._band[i] = value, band

    def gateway(self, gateway: str, online: bool, at: int) -> None:
        """A gateway came or went at `at`; while it is gone, what its devices said before is not knowledge any more."""
        behind = self._behind.get(gateway)
        if behind is not None:
            self._gone[behind] = NEVER if online else at

    def known(self, now: int) -> npt.NDArray[np.bool_]:
        """Which devices are known at `now`: heard within their grace, and since their gateway was last lost."""
        # A clock that runs ahead does not keep a silent sensor alive: what counts is the earlier of its time and ours
        heard = np.minimum(self._at, self._received)
        fresh: npt.NDArray[np.bool_] = (now - heard <= self._grace) & (self._received > self._gone)
        return fresh

    def band_of(self, device: str) -> int:
        """The band of a device's last observation, 15 where there is none."""
        return int(self._band[self.registry.index[device]])

    def bytes_at(self, now: int) -> tuple[U8, U8]:
        """(value, status) of every device at `now`."""
        known = self.known(now)
        heard = self._at != NEVER
        value = np.where(known, self._value, np.where(heard, UNKNOWN, NEVER_HEARD)).astype(np.uint8)
        status = (np.where(known, self._band, NO_BAND) << 4 | self.level).astype(np.uint8)
        return value, status


def of(registry: Registry, zone: Iterable[Observation], *, grace: float = 3.0) -> Snapshot:
    """The snapshot that these observations make, in any order."""
    snapshot = Snapshot(registry, grace=grace)
    for observation in zone:
        snapshot.fold(observation)
    return snapshot


@dataclass(frozen=True)
class Frame:
    """A decoded frame; `index` is None in a key frame. `at` UTC ms, `started` UTC seconds."""

    digest: int
    seq: int
    at: int
    started: int
    index: npt.NDArray[np.uint32] | None
    value: U8
    status: U8


def encode(frame: Frame) -> bytes:
    kind = KEY if frame.index is None else DELTA
    header = _HEADER.pack(
        b"GX", 1, kind, frame.digest, frame.seq & 0xFFFFFFFF, len(frame.value), float(frame.at), frame.started
    )
    index = b"" if frame.index is None else frame.index.astype("<u4").tobytes()
    return header + index + frame.value.tobytes() + frame.status.tobytes()


def decode(data: bytes) -> Frame:
    """Raises ValueError saying what is wrong with a frame that is none."""
    if len(data) < _HEADER.size:
        raise ValueError(f"a frame has at least {_HEADER.size} bytes, this has {len(data)}")
    magic, version, kind, digest, seq, n, at, started = _HEADER.unpack_from(data)
    if magic != b"GX" or version != 1 or kind not in (KEY, DELTA):
        raise ValueError(f"not a frame of version 1: {data[:4]!r}")
    wanted = _HEADER.size + n * (2 if kind == KEY else 6)
    if len(data) != wanted:
        raise ValueError(f"a frame of {n} devices has {wanted} bytes, this has {len(data)}")
    body = _HEADER.size
    index = None
    if kind == DELTA:
        index = np.frombuffer(data, "<u4", n, body)
        body += 4 * n
    return Frame(
        digest,
        seq,
        int(at),
        started,
        index,
        np.frombuffer(data, np.uint8, n, body),
        np.frombuffer(data, np.uint8, n, body + n),
    )


class Encoder:
    """Turns a snapshot into the sequence of key and delta frames a screen follows."""

    def __init__(self, snapshot: Snapshot, *, started: int) -> None:
        self.snapshot, self.started = snapshot, started
        self.seq = 0
        n = len(snapshot.registry)
        self._sent = (np.full(n, NEVER_HEARD, np.uint8), np.full(n, NO_BAND << 4, np.uint8))

    def key(self, now: int) -> bytes:
        self.seq += 1
        self._sent = self.snapshot.bytes_at(now)
        return encode(Frame(self.snapshot.registry.digest, self.seq, now, self.started, None, *self._sent))

    def delta(self, now: int) -> bytes:
        """What changed since the last frame; an empty one still says that the engine lives and how late it is."""
        value, status = self.snapshot.bytes_at(now)
        index = np.flatnonzero((value != self._sent[0]) | (status != self._sent[1])).astype(np.uint32)
        self.seq += 1
        self._sent = value, status
        return encode(
            Frame(self.snapshot.registry.digest, self.seq, now, self.started, index, value[index], status[index])
        )
