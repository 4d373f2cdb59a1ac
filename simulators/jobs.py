"""Jobs of the accelerator centre: how they arrive, wait, run and leave.

- They come as a non-homogeneous Poisson process, more by day. Small ones (under a server) share one pool, large ones
  take whole servers of another, in order of arrival; what fits may go first until the one before it has waited long.
- A job waits and runs less than a day in all: limits that batch queues have, and what lets a simulation forget how it
  began.
- A server may be closed to new jobs, a job moved off it or put back to wait; it then has its remaining minutes to run.

Invariants: a card is given once; what was submitted waits, runs, is done, or has left (`Queue.step` and `Queue.off` say
which jobs do).

Sources: job sizes and durations after the Helios (SC21), Philly and AcmeTrace papers.
"""

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulators.conditions import Array, Ints, bump, calendar, stream
from twin.clock import HOUR

CARDS = 8  # a server, where the centre does not say
LONGEST = 16 * 60  # minutes a job may run
PATIENCE = 6 * 60  # minutes after which a job that waits is given up here
GATHER = 4 * 60  # minute of the local day at which running jobs are moved together
HOLD = 75  # minutes after which nothing of its pool passes a job that waits
TARGET = 0.90  # share of the batch pools' cards that jobs ask for on average
WAITING = 400  # jobs; no more may wait

# (cards, share of jobs, median minutes, sigma)
_JOBS = (
    (1, 0.55, 55, 1.6),
    (2, 0.09, 80, 1.6),
    (4, 0.06, 90, 1.6),
    (8, 0.20, 120, 1.7),
    (16, 0.04, 170, 1.5),
    (32, 0.025, 200, 1.4),
    (64, 0.015, 240, 1.3),
    (128, 0.02, 260, 1.2),
)


@dataclass(slots=True)
class Job:
    """`cards` wanted; `minutes` of running; `busy`: how much of a card it uses; `start`: what orders the servers
    for it; `came`: the minute it was submitted or put back."""

    cards: int
    minutes: int
    busy: float
    start: float
    came: int


class Run(NamedTuple):
    """A job until the minute `end` on `taken` cards of each of `servers`; `order`: by when it started."""

    end: int
    order: int
    servers: Ints
    taken: int
    job: Job


class Queue:
    """Jobs on servers: which wait, which run until when, and how many cards of each server are free.

    `closed` servers take no new job; `spare`: busy cards that may be added in a minute. `submitted`, `done`: jobs.
    """

    def __init__(self, cards: Ints, inference: int) -> None:
        self.cards = cards
        n = len(cards)
        small = inference + round(0.35 * (n - inference))
        self.shared, self.whole = np.arange(inference, small), np.arange(small, n)
        self.free = cards.copy()
        self._salt = np.sqrt(np.arange(n) + 2.0)
        self.load = np.zeros(n)
        self.waiting: list[Job] = []
        self.running: list[Run] = []
        self.closed: npt.NDArray[np.bool_] = np.zeros(n, bool)
        self.spare = math.inf
        self.submitted = self.done = 0
        self._count = 0
        self._stirred = False

    def step(self, minute: int, jobs: Sequence[Job]) -> list[Job]:
        """Take in what was submitted, end what is over and start, in order of arrival, what fits.

        Returns the jobs that leave: those that waited too long, and the last ones of too many. Nothing is decided in a
        minute in which no job comes or ends.
        """
        if not jobs and not self._stirred and not (self.running and self.running[0].end <= minute):
            return []
        self._stirred = False
        self.submitted += len(jobs)
        while self.running and self.running[0].end <= minute:
            self._vacate(heapq.heappop(self.running))
            self.done += 1
        still: list[Job] = []
        leaving: list[Job] = []
        # What did not fit once this minute will not fit when more is taken
        refused = {False: 1 << 30, True: 1 << 30}
        for job in (*self.waiting, *jobs):
            large, waited = job.cards >= CARDS, minute - job.came
            if waited > PATIENCE:
                leaving.append(job)
            elif job.cards >= refused[large] or not self._starts(job, minute):
                refused[large] = 0 if waited > HOLD else min(refused[large], job.cards)
                still.append(job)
        self.waiting = still[:WAITING]
        return leaving + still[WAITING:]

    def restrict(self, closed: npt.NDArray[np.bool_], spare: float) -> None:
        """Which servers take no new job from now on, and how many busy cards may be added in the next minute."""
        self._stirred |= spare < math.inf or self.spare < math.inf or bool((self.closed & ~closed).any())
        self.closed, self.spare = closed, spare

    def off(
        self,
        servers: npt.NDArray[np.bool_],
        minute: int,
        taken: Callable[[Job], bool],
        *,
        put_back: bool = False,
    ) -> int:
        """Offer every job that runs on one of the servers, as it remains, to `taken`; how many it took. The others run
        on, or wait again."""
        moved = 0
        for run in sorted(self.running, key=lambda run: run.order):
            if not servers[run.servers].any():
                continue
            rest = _rest(run, minute)
            if taken(rest):
                self._stop(run)
                moved += 1
            elif put_back:
                self._stop(run)
                self._back(rest)
        return moved

    def suspend(self, minute: int) -> bool:
        """Put the job that started last back to wait; False when none runs."""
        if not self.running:
            return False
        run = max(self.running, key=lambda run: run.order)
        self._stop(run)
        self._back(_rest(run, minute))
        return True

    def _back(self, job: Job) -> None:
        """Put a job before all that wait."""
        self.waiting.insert(0, job)
        self._stirred = True

    def gather(self) -> None:
        """Move what runs together, as is done at night against fragments: large jobs first, so that all fit again."""
        if self.closed.any():
            return
        running = sorted(self.running, key=lambda r: (-r.job.cards, r.job.came, r.job.start))
        self.running, self.free, self.load = [], self.cards.copy(), np.zeros(len(self.cards))
        for run in running:
            self._place(run.job, run.end)

    def _starts(self, job: Job, minute: int) -> bool:
        asked = job.cards * job.busy
        if asked > self.spare or not self._place(job, minute + job.minutes):
            return False
        self.spare -= asked
        return True

    def _place(self, job: Job, end: int) -> bool:
        own, other = (self.whole, self.shared) if job.cards >= CARDS else (self.shared, self.whole)
        pool = own if len(own) else other
        if not len(pool):
            return False
        turned = pool[np.argsort((self._salt[pool] + job.start) * 9973.0 % 1.0)]
        turned = turned[~self.closed[turned]]
        if job.cards >= CARDS:
            wanted = min(job.cards // CARDS, len(pool))
            servers = turned[self.free[turned] == self.cards[turned]][:wanted]
            taken = int(self.cards[servers].min()) if len(servers) else 0
        else:
            wanted, taken = 1, min(job.cards, int(self.cards[pool].max()))
            servers = turned[self.free[turned] >= taken][:1]
        if len(servers) < wanted:
            return False
        self.free[servers] -= taken
        self.load[servers] += taken * job.busy
        self._count += 1
        heapq.heappush(self.running, Run(end, self._count, servers, taken, job))
        return True

    def _stop(self, run: Run) -> None:
        self.running = [other for other in self.running if other.order != run.order]
        heapq.heapify(self.running)
        self._vacate(run)

    def _vacate(self, run: Run) -> None:
        self.free[run.servers] += run.taken
        self.load[run.servers] -= run.taken * run.job.busy


def _rest(run: Run, minute: int) -> Job:
    return replace(run.job, minutes=max(run.end - minute, 1), came=minute)


class Arrivals:
    """What tenants submit: `cards` those of the batch pools, which jobs ask for to TARGET on average."""

    def __init__(self, cards: int, seed: int) -> None:
        self._seed = seed
        self._rate = TARGET * cards / _asked()
        self._hour = -1
        self._coming: list[list[Job]] = []

    def at(self, minute: int) -> list[Job]:
        """The jobs submitted in a minute since 1970."""
        hour, rest = divmod(minute, 60)
        if hour != self._hour:
            self._hour, self._coming = hour, self._jobs(hour)
        return self._coming[rest]

    def _jobs(self, hour: int) -> list[list[Job]]:
        """Those of each minute of an hour, counted since 1970 (whole hours in Asia/Shanghai too)."""
        rng = stream(self._seed, "jobs", hour)
        local_hour, weekday, _ = calendar(hour * HOUR)
        day = 0.70 + 0.62 * bump(local_hour + 0.5, 14.5, 4.0)
        week = 0.72 if weekday >= 5 else 1.06
        came = int(rng.poisson(60 * self._rate * day * week))
        kind = rng.choice(len(_JOBS), came, p=[share for _, share, _, _ in _JOBS])
        stay, busy, start = rng.standard_normal(came), rng.beta(9, 3.2, came), rng.random(came)
        jobs: list[list[Job]] = [[] for _ in range(60)]
        for k, z, b, s, m in zip(kind, stay, busy, start, rng.integers(60, size=came).tolist(), strict=True):
            cards, _, median, sigma = _JOBS[k]
            minutes = int(min(max(median * math.exp(sigma * z), 3), LONGEST))
            jobs[m].append(Job(cards, minutes, float(b), float(s), hour * 60 + m))
        return jobs


def _asked() -> float:
    """Card minutes of an average job, by the mean of the truncated lognormals."""
    normal: Array = np.array([NormalDist().inv_cdf((i + 0.5) / 2000) for i in range(2000)])
    return sum(
        share * cards * float(np.clip(median * np.exp(sigma * normal), 3, LONGEST).mean())
        for cards, share, median, sigma in _JOBS
    )
