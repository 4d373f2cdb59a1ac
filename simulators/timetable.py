"""When each simulated sensor speaks, and what it says: the feed as messages, without a network.

Each device publishes once a period, at an offset of its own (a hash of its id), so that the load is even. Deadlines are
multiples of the period since 1970, not of the last sending: nothing drifts, and a process that was held up leaves out
what it missed instead of sending it all at once.

`speed` S runs the zone's day S times faster than real: the world's clock does, and each device publishes S times as
often. `at` is always the real time of sending: a rehearsal at speed 60 shows a day in 24 minutes, dated now.
"""

import heapq
from collections.abc import Mapping, Sequence
from itertools import count
from typing import NamedTuple

import msgspec
import numpy as np

from simulators.conditions import Array, Ints, fraction
from simulators.world import World
from twin.clock import LAST, SECOND
from twin.observation import METRICS, Domain
from twin.registry import Device, Registry

SIMULATOR = "simulator"

DECIMALS: Mapping[str, int] = {m.name: m.decimals + 2 for m in METRICS.values()}


def schedule(devices: Sequence[Device], speed: float = 1.0) -> tuple[Array, Array]:
    """Period and offset of each device, ms: it speaks at offset + k * period since 1970.

    Offsets are whole milliseconds, so that at speed 1 every deadline is.
    """
    period = np.array([d.period_s * SECOND / speed for d in devices], np.float64)
    phase = np.array([fraction(f"phase/{d.id}") for d in devices], np.float64)
    return period, np.floor(phase * period)


class Message(NamedTuple):
    topic: str
    payload: bytes
    retain: bool = False


class Publisher:
    """What to send when. Pure: it knows no network, and no time but what it is told.

    `origin` UTC ms: the real time at which the world's clock reads `begin` (default: the same). `gone`: the gateways
    that were last said to be offline.
    """

    def __init__(
        self,
        world: World,
        *,
        origin: int,
        begin: int | None = None,
        speed: float = 1.0,
        prefix: str = "gaoxin/v1",
        gone: frozenset[str] = frozenset(),
    ) -> None:
        self.world, self.speed, self.origin, self.prefix = world, speed, origin, prefix
        self.begin = origin if begin is None else begin
        devices = world.registry.devices
        row = {d.id: i for domain in Domain for i, d in enumerate(world.devices[domain])}
        self._row = [row[d.id] for d in devices]
        self._topic = [f"{prefix}/{d.domain}/{d.id}/obs" for d in devices]
        self._period, self._offset = schedule(devices, speed)
        self._last = self._count(origin)
        self._sent: Ints = np.zeros(len(devices), np.int64)
        self._late: list[tuple[int, int, Message]] = []  # (when to send, a number that keeps the order, what)
        self._order = count()
        self.gone = gone

    def due(self, now: int) -> list[Message]:
        """The messages whose time came since the last call: what gateways became, readings in registry order (at most
        one a device is taken), then what was held back by a fault."""
        deadlines = self._count(now)
        rows = np.flatnonzero(deadlines > self._last)
        self._last = np.maximum(deadlines, self._last)
        if len(rows):
            self.world.advance(self.clock(now))
        found = self._gateways(now)
        for i in rows.tolist():
            found += self._taken(i, now)
        self._sent[rows] += 1
        while self._late and self._late[0][0] <= now:
            found.append(heapq.heappop(self._late)[2])
        return found

    def next(self) -> int:
        """UTC ms of the next deadline: `due` has nothing to say before it."""
        held = self._late[0][0] if self._late else LAST
        if not len(self._last):
            return held
        return min(int(np.ceil(((self._last + 1) * self._period + self._offset).min())), held)

    def clock(self, now: int) -> int:
        """What the world's clock reads at the real time `now`, UTC ms."""
        return self.begin + round((now - self.origin) * self.speed)

    def _count(self, now: int) -> Ints:
        """How many deadlines each device has had since 1970."""
        found: Ints = np.floor((now - self._offset) / self._period).astype(np.int64)
        return found

    def _taken(self, i: int, now: int) -> list[Message]:
        """What is to be sent now of the reading device i takes; what a fault holds back is kept for later."""
        device = self.world.registry.devices[i]
        there = self.clock(now)
        found = []
        for at, values, late in self.world.faults.pass_on(device, there, self._values(i)):
            # A clock that runs ahead does so by as much whatever the speed of the day
            payload = msgspec.json.encode({"at": now + at - there, "values": values, "seq": int(self._sent[i])})
            message = Message(self._topic[i], payload)
            if late:
                heapq.heappush(self._late, (now + round(late / self.speed), next(self._order), message))
            else:
                found.append(message)
        return found

    def _gateways(self, now: int) -> list[Message]:
        gone = self.world.faults.gone(self.clock(now))
        words = [(g, "offline") for g in sorted(gone - self.gone)] + [(g, "online") for g in sorted(self.gone - gone)]
        self.gone = gone
        return [Message(f"{self.prefix}/gateway/{g}/status", word.encode(), retain=True) for g, word in words]

    def _values(self, i: int) -> dict[str, float]:
        device, row = self.world.registry.devices[i], self._row[i]
        values = self.world.read(device.domain).values
        return {m: round(float(values[m][row]), DECIMALS[m]) for m in device.metrics}


def statuses(registry: Registry, prefix: str, word: str) -> list[Message]:
    """The status message of each gateway and of the simulator itself; to be retained."""
    gateways = sorted({d.gateway for d in registry if d.gateway})
    return [Message(f"{prefix}/gateway/{g}/status", word.encode(), retain=True) for g in (*gateways, SIMULATOR)]
