"""Compute beyond the hall: the pools it is linked with, and the dispatch of jobs to them.

- A pool has customers of its own, whose load follows the day: a function of time. What they leave, up to ROOM, is lent.
- A job that has waited too long at home, or that is moved off a hot server, goes to the pool with room whose line is
  the shortest, and of equals to the one with the least load. It has room there from then on and begins when its data is
  over the line: jobs' data goes in order, at the share LENT of the line.
- A job is away for less than a day. A planned pool takes none.

Invariant: what was offered is under way, runs away, is done there, or was refused.

Sizes, loads and lines are assumptions: that the centre is to be linked with Zhengzhou and Hangzhou is known, not how.
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from simulators.conditions import STEP, bump, calendar, fraction, smooth
from simulators.jobs import Job
from twin.clock import HOUR
from twin.registry import Device

PFLOPS = 300.5 / 960  # a card, dense FP16, where a pool does not say how many it has
ROOM = 0.95  # of a pool's cards
DATA = 40.0  # GB a card that a job brings along: its model's state
LINE = 100.0  # Gbit/s, where a pool does not say
LENT = 0.6  # of a line, to jobs' data
WINDOW = 60  # minutes over which moves are counted


class Away(NamedTuple):
    """A job elsewhere: `begin` and `end` in minutes since 1970, `cards` it holds until then."""

    begin: int
    end: int
    cards: int
    busy: float


class Pool:
    """One pool. `guests`: our jobs in it."""

    def __init__(self, device: Device, seed: int) -> None:
        self.id, self._seed = device.id, seed
        self.nameplate = device.number("nameplateP")
        self.planned = bool(device.attributes.get("planned", 0))
        self.total = 0 if self.planned else round(float(device.attributes.get("cards", self.nameplate / PFLOPS)))
        self.latency = float(device.attributes.get("latencyMs", 0))
        self._rate = float(device.attributes.get("gbps", LINE)) * LENT * 60 / 8  # GB a minute
        self._peak = 10 + 10 * fraction(f"{seed}/peak/{device.id}")  # local hour
        self.guests: list[Away] = []
        self._line_free = 0.0  # minute since 1970 when the line has sent all it was given

    def own(self, minute: int) -> float:
        """Share of its cards that its own customers use."""
        hour, weekday, _ = calendar(minute * STEP)
        day = 0.52 + 0.24 * bump(hour, self._peak, 4.5) - (0.06 if weekday >= 5 else 0)
        return min(max(day + 0.05 * smooth(self._seed, f"pool/{self.id}", minute * STEP, 3 * HOUR), 0.0), 1.0)

    def allocated(self, minute: int) -> float:
        """Cards given away; our jobs are not put out when its own customers want more."""
        return min(self.own(minute) * self.total + self.lent(), float(self.total))

    def lent(self) -> int:
        return sum(guest.cards for guest in self.guests)

    def has_room(self, job: Job, minute: int) -> bool:
        return self.allocated(minute) + job.cards <= ROOM * self.total

    def take(self, job: Job, minute: int) -> None:
        self._line_free = max(self._line_free, float(minute)) + job.cards * DATA / self._rate
        begin = math.ceil(self._line_free)
        self.guests.append(Away(begin, begin + job.minutes, job.cards, job.busy))

    def sending(self, minute: int) -> float:
        """Share of the minute before that the line was sending our jobs' data."""
        return min(max(self._line_free - (minute - 1), 0.0), 1.0)

    def read(self, minute: int) -> dict[str, float]:
        """What it reports, as metrics of a `compute-pool`."""
        if self.planned:
            return dict.fromkeys(("gpuUtilization", "gpuAllocated", "gpuTotal", "fp16Pflops", "queueLength"), 0.0)
        at = minute * STEP
        share = self.allocated(minute) / max(self.total, 1)
        used = share * (0.72 + 0.03 * smooth(self._seed, f"busy/{self.id}", at, 20 * STEP))
        others = (
            0.16 + 0.14 * bump(calendar(at)[0], 20.0, 4.0) + 0.02 * smooth(self._seed, f"line/{self.id}", at, 10 * STEP)
        )
        line = min(max(others, 0.0) + LENT * self.sending(minute), 1.0)
        return {
            "gpuUtilization": used,
            "gpuAllocated": share * self.total,
            "gpuTotal": float(self.total),
            "fp16Pflops": used * self.nameplate,
            "queueLength": math.floor(4 * share**8 / max(1 - share, 0.02)),
            # Half a millisecond of queues in its routers at half load, after M/M/1
            "linkLatency": self.latency + 0.5 * line / max(1 - line, 0.05),
            "linkUtilization": line,
        }


class Dispatch:
    """`offered`, `refused`, `done`: jobs."""

    def __init__(self, pools: Sequence[Device], seed: int) -> None:
        self.pools = [Pool(device, seed) for device in pools]
        self._open = sorted((p for p in self.pools if not p.planned), key=lambda p: p.latency)
        self.offered = self.refused = self.done = 0
        self._sent: deque[int] = deque()
        self._moved: deque[int] = deque()

    def step(self, minute: int) -> None:
        """End what is over elsewhere."""
        for pool in self._open:
            if pool.guests:
                staying = [guest for guest in pool.guests if guest.end > minute]
                self.done += len(pool.guests) - len(staying)
                pool.guests = staying
        for counted in (self._sent, self._moved):
            while counted and counted[0] <= minute - WINDOW:
                counted.popleft()

    def send(self, job: Job, minute: int) -> bool:
        """A job that waited goes to another pool; False when none has room."""
        return self._give(job, minute, self._sent)

    def move(self, job: Job, minute: int) -> bool:
        """A job that ran goes on in another pool; False when none has room."""
        return self._give(job, minute, self._moved)

    def under_way(self, minute: int) -> int:
        """Jobs whose data is on its way."""
        return sum(guest.begin > minute for pool in self._open for guest in pool.guests)

    @property
    def away(self) -> int:
        return sum(len(pool.guests) for pool in self._open)

    def read(self, minute: int) -> dict[str, float]:
        """What it reports, as metrics of `dispatch`."""
        return {
            "queueLength": float(self.under_way(minute)),
            "jobsDispatched": float(len(self._sent)),
            "jobsMigrated": float(len(self._moved)),
        }

    def _give(self, job: Job, minute: int, counted: "deque[int]") -> bool:
        self.offered += 1
        room = [pool for pool in self._open if pool.has_room(job, minute)]
        if not room:
            self.refused += 1
            return False
        best = min(room, key=lambda pool: (pool.latency, pool.allocated(minute) / pool.total))
        best.take(job, minute)
        counted.append(minute)
        return True
