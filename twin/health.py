"""How well each device reports: when it was last heard, how much of its period it keeps, what is lost on the way, and
whether its clock is right.

A fold over observations in the order of their receipt, beside the snapshot's. Counts are since the fold began.

Sequence numbers, where a sender gives them: what is skipped is missing until it comes late; a number seen before is a
repeat. The newest 64 are remembered. A number that goes back while time goes on is a sender that was started again.

Clocks: the time stamp of a message minus its receipt, the median of the newest 16. A lag alone says little, as
many a device stamps the beginning of its period, so it is compared with the median of its kind where there are enough
of them. An offset that stays put is a clock; one that scatters is a network.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from statistics import median

import msgspec

from twin.clock import HOUR, SECOND
from twin.observation import Observation
from twin.registry import Registry

REMEMBERED = 64  # sequence numbers
JUMP = 10_000  # a gap wider than this is a sender that counts anew, not ten thousand lost messages
NEWEST = 16  # time stamps kept to judge a clock by
FEWEST = 5  # time stamps, and devices of a kind, below which nothing is judged
OFFSET = 10 * SECOND  # a clock may be this wrong before it is said


class Sequence:
    """What the sequence numbers of one sender say."""

    __slots__ = ("_seen", "_top", "late", "missing", "repeated", "restarts")

    def __init__(self) -> None:
        self._top = -1
        self._seen = 0  # bit i: the number top - i was heard
        self.missing = self.late = self.repeated = self.restarts = 0

    def take(self, number: int, *, newer: bool) -> None:
        """`newer`: its observation is later than every one before."""
        ahead = number - self._top
        if self._top < 0 or ahead > JUMP or (ahead <= 0 and newer):
            self.restarts += self._top >= 0
            self._top, self._seen = number, 1
        elif ahead > 0:
            self.missing += ahead - 1
            self._top, self._seen = number, (self._seen << ahead | 1) & ((1 << REMEMBERED) - 1)
        elif -ahead < REMEMBERED:
            if self._seen >> -ahead & 1:
                self.repeated += 1
            else:
                self._seen |= 1 << -ahead
                self.missing -= 1
                self.late += 1


class _Pulse:
    """One device's bookkeeping."""

    __slots__ = ("at", "count", "hour", "kept", "offsets", "past", "received", "refused", "sequence", "slot", "slots")

    def __init__(self) -> None:
        self.at = self.received = self.slot = -1
        self.count = self.past = self.refused = 0
        self.offsets: deque[int] = deque(maxlen=NEWEST)
        self.sequence: Sequence | None = None
        self.hour = -1
        self.kept, self.slots = [0, 0], [0, 0]  # this hour and the one before


class DeviceHealth(msgspec.Struct, frozen=True, array_like=True):
    """Times UTC ms, -1 for never. `kept`: share of its periods with a reading, this hour and the last; -1 for too few.

    `past`: readings older than one before. `missing`, `repeated`, `late`: by sequence number. `refused`: readings
    quarantined. `clock_ms`: how far its clock is ahead (negative: behind), 0 where it seems right.
    """

    at: int
    received: int
    count: int
    kept: float
    past: int
    missing: int
    repeated: int
    late: int
    refused: int
    clock_ms: int
    known: bool
    cut: bool  # its gateway is offline


class ZoneHealth(msgspec.Struct, frozen=True):
    """Devices by their position in the registry; `gateways`: online or not. `since`: when counting began, UTC ms."""

    at: int
    since: int
    digest: int
    devices: list[DeviceHealth]
    gateways: dict[str, bool]


class Health:
    def __init__(self, registry: Registry, now: int) -> None:
        self.registry, self.since = registry, now
        self._pulses = [_Pulse() for _ in registry]
        self._periods = [d.period_s * SECOND for d in registry]
        self._gateways: dict[str, bool] = {}

    def remember(self, observation: Observation) -> None:
        """What a store knows from before: when it was last heard, and nothing that is counted."""
        i = self.registry.index.get(observation.device)
        if i is not None:
            pulse = self._pulses[i]
            pulse.at, pulse.received = observation.at, observation.received

    def fold(self, observation: Observation, seq: int | None = None) -> None:
        i = self.registry.index.get(observation.device)
        if i is None:
            return
        pulse, at, received = self._pulses[i], observation.at, observation.received
        newer = at > pulse.at
        pulse.count += 1
        pulse.offsets.append(at - received)
        if seq is not None:
            if pulse.sequence is None:
                pulse.sequence = Sequence()
            pulse.sequence.take(seq, newer=newer)
        if not newer:
            pulse.past += at < pulse.at
            return
        self._keep(pulse, at, self._periods[i])
        pulse.at, pulse.received = at, received

    def refuse(self, device: str) -> None:
        i = self.registry.index.get(device)
        if i is not None:
            self._pulses[i].refused += 1

    def gateway(self, gateway: str, online: bool) -> None:
        self._gateways[gateway] = online

    def report(self, now: int, known: Iterable[bool]) -> ZoneHealth:
        """`known`: which devices the snapshot knows at `now`."""
        clocks = self._clocks()
        cut = {g for g, online in self._gateways.items() if not online}
        return ZoneHealth(
            now,
            self.since,
            self.registry.digest,
            [
                _health(pulse, period, now, clocks.get(i, 0), bool(k), device.gateway in cut)
                for i, (pulse, period, k, device) in enumerate(
                    zip(self._pulses, self._periods, known, self.registry, strict=True)
                )
            ],
            dict(self._gateways),
        )

    def _keep(self, pulse: _Pulse, at: int, period: int) -> None:
        slot, hour = at // period, at // HOUR
        if hour != pulse.hour:
            follows = hour == pulse.hour + 1
            pulse.kept = [0, pulse.kept[0] if follows else 0]
            pulse.slots = [0, pulse.slots[0] if follows else 0]
            pulse.hour = hour
        if pulse.slot >= 0:
            # No more than an hour's: a device that was away for a week has not missed a week of this hour
            pulse.slots[0] += min(slot - pulse.slot, max(HOUR // period, 1))
            pulse.kept[0] += slot > pulse.slot
        pulse.slot = slot

    def _clocks(self) -> Mapping[int, int]:
        """The devices whose clock is off, and by how many ms."""
        medians: dict[int, tuple[int, int]] = {}
        kinds: dict[tuple[str, int], list[int]] = {}
        for i, pulse in enumerate(self._pulses):
            if len(pulse.offsets) >= FEWEST:
                ordered, n = sorted(pulse.offsets), len(pulse.offsets)
                medians[i] = (ordered[n // 2], ordered[3 * n // 4] - ordered[n // 4])
                kinds.setdefault(self._peers(i), []).append(ordered[n // 2])
        usual = {peers: median(found) for peers, found in kinds.items() if len(found) >= FEWEST}
        wrong = {}
        for i, (middle, scatter) in medians.items():
            peers = self._peers(i)
            if peers in usual:
                offset = middle - usual[peers]
            else:
                # Alone, only what no habit of stamping explains: ahead of us, or behind by more than a period
                offset = middle if middle > 0 else min(middle + self._periods[i], 0)
            if abs(offset) >= OFFSET and scatter <= max(2 * SECOND, abs(offset) / 4):
                wrong[i] = round(offset)
        return wrong

    def _peers(self, i: int) -> tuple[str, int]:
        device = self.registry.devices[i]
        return device.kind, device.period_s


def _health(pulse: _Pulse, period: int, now: int, clock_ms: int, known: bool, cut: bool) -> DeviceHealth:
    kept, slots = sum(pulse.kept), sum(pulse.slots)
    if pulse.slot >= 0 and slots:
        # Silence counts as it goes on, once the next reading is overdue by a period
        slots += min(max((now - pulse.at) // period - 1, 0), max(HOUR // period, 1))
    s = pulse.sequence or Sequence()
    return DeviceHealth(
        pulse.at,
        pulse.received,
        pulse.count,
        round(kept / slots, 4) if slots >= 2 else -1.0,
        pulse.past,
        s.missing,
        s.repeated,
        s.late,
        pulse.refused,
        clock_ms,
        known,
        cut,
    )
