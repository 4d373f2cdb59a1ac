"""The stored weeks in memory, so that a rule is tried on them while its author drags a threshold.

A range is read once, in a thread and with progress, and kept as a `History`: what a rule reads of the devices that it
looks at. It serves everyone who tries a rule on no more than that. A range of the last so many days grows by what has
come since: the old one goes on answering until the new one is there. Ranges are dropped when nobody has asked for half
an hour, and the longest unused first when together they take more memory than they may; one that could never fit is
refused before it is read.

Evaluations take turns: this process has screens to serve, and an author who drags asks again in a moment.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYetError

import msgspec
import numpy as np

from twin import schedule
from twin.alerts import Transition
from twin.alerts.history import History
from twin.alerts.plan import plan
from twin.clock import DAY, HOUR, MINUTE, Clock
from twin.errors import RefusedError
from twin.refusal import Refusal
from twin.registry import Registry
from twin.rules import Rule
from twin.store import Columns, Store, in_order

log = logging.getLogger("gaoxin.backtests")

OLD = 10 * MINUTE  # a range of the last days that ends longer ago than this is read on
READ_BYTES, LAID_BYTES = 20, 40  # of a row as it is read, and laid out once beside
IDLE = 30 * MINUTE  # a range that nobody asked for this long is dropped
PART_ROWS = 3_000_000  # read at a time, so that progress can be told
TOLD = 8  # stories kept with a range: the rule in force, and those that were tried last


class Period(msgspec.Struct, frozen=True):
    """What is asked about: the last `days`, or exactly [begin, end)."""

    days: int = 0
    begin: int = 0
    end: int = 0


class Need(msgspec.Struct, frozen=True):
    """What rules read: of these devices, by metric."""

    devices: frozenset[str]
    metrics: frozenset[str]

    def within(self, other: "Need") -> bool:
        return self.devices <= other.devices and self.metrics <= other.metrics


class Range:
    """A range in memory. `short`: the store does not go back as far as was asked. `story` may be called from several
    threads."""

    def __init__(
        self,
        span: Period,
        need: Need,
        columns: dict[str, Columns],
        history: History,
        *,
        turn: threading.Lock,
        used: int,
        short: bool = False,
    ) -> None:
        self.span, self.need, self.columns, self.history, self.short = span, need, columns, history, short
        self.begin, self.end = history.begin, history.end
        self._told: OrderedDict[bytes, list[Transition]] = OrderedDict()
        self._turn, self.used = turn, used

    def story(self, rule: Rule | None) -> list[Transition]:
        """What a rule would have made of it; nothing where there is none or it is off."""
        if rule is None or not rule.enabled:
            return []
        with self._turn:
            if rule.meaning not in self._told:
                self._told[rule.meaning] = self.history.transitions(rule)
                while len(self._told) > TOLD:
                    # The first stays: it is the rule in force, beside which all others are held
                    del self._told[list(self._told)[1]]
            return self._told[rule.meaning]

    @property
    def bytes(self) -> int:
        return self.history.bytes


class Loading:
    """A range that is being read: `share` of its rows are there."""

    def __init__(self, span: Period, need: Need) -> None:
        self.span, self.need, self.share = span, need, 0.0
        self.done: Future[Range] = Future()


class Backtests:
    """The ranges of one process. Any of its methods may be called from any thread."""

    def __init__(
        self,
        registry: Registry,
        store: Store,
        clock: Clock,
        *,
        most_bytes: int,
        calendar: schedule.Calendar | None = None,
    ) -> None:
        self.registry, self.store, self.clock, self.most, self.calendar = registry, store, clock, most_bytes, calendar
        self._kept: list[Range] = []  # the longest unused first
        self._loading: list[Loading] = []
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._pool = ThreadPoolExecutor(1, "backtests")

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    @property
    def bytes(self) -> int:
        with self._lock:
            return sum(kept.bytes for kept in self._kept)

    def ask(self, span: Period, rules: Iterable[Rule | None], *, wait: float) -> Range | float:
        """A range on which all of these can be tried, or how much of it is there (0 to 1) if that takes longer than
        `wait` seconds. Raises StoreError, and RefusedError where it cannot fit into memory."""
        need = self._need(rules)
        with self._lock:
            found = next((r for r in reversed(self._kept) if r.span == span and need.within(r.need)), None)
            if found is not None:
                self._kept.remove(found)
                self._kept.append(found)
                found.used = self.clock.now()
                self._drop()
                if span.days and self.clock.now() - found.end > OLD:
                    self._load(span, found.need, found)
                return found
            loading = self._load(span, need)
        try:
            return loading.done.result(wait)
        except NotYetError:
            return loading.share

    def forget(self) -> None:
        """Drop what nobody has asked for a while."""
        with self._lock:
            self._kept = [r for r in self._kept if self.clock.now() - r.used <= IDLE]

    def _drop(self) -> None:
        while len(self._kept) > 1 and sum(r.bytes for r in self._kept) > self.most:
            del self._kept[0]

    def _need(self, rules: Iterable[Rule | None]) -> Need:
        wanted = [rule for rule in rules if rule is not None]
        devices = frozenset(d.id for rule in wanted for d in self.registry if rule.covers(d))
        return Need(devices, frozenset(m for rule in wanted for m in rule.metrics))

    def _load(self, span: Period, need: Need, before: Range | None = None) -> Loading:
        for loading in self._loading:
            if loading.span == span and need.within(loading.need):
                return loading
        begin, end = self._bounds(span)
        self._check(need, begin, end)
        loading = Loading(span, need)
        self._loading.append(loading)
        self._pool.submit(self._read, loading, begin, end, before)
        return loading

    def _bounds(self, span: Period) -> tuple[int, int]:
        if not span.days:
            return span.begin, span.end
        end = self.clock.now() // MINUTE * MINUTE
        return end - span.days * DAY, end

    def _check(self, need: Need, begin: int, end: int) -> None:
        rows = sum(self._rows(d, begin, end) for d in need.devices)
        # "" is when anything was said: it is not laid out
        if rows * sum(READ_BYTES + (LAID_BYTES if metric else 0) for metric in need.metrics) > self.most:
            days = max(1, round((end - begin) / DAY))
            raise RefusedError(Refusal.TOO_MUCH, devices=len(need.devices), days=days)

    def _rows(self, device: str, begin: int, end: int) -> float:
        return (end - begin) / 1000 / self.registry[device].period_s

    def _read(self, loading: Loading, begin: int, end: int, before: Range | None) -> None:
        try:
            columns = {}
            for n, metric in enumerate(sorted(loading.need.metrics)):
                if before is not None and begin < before.end:
                    columns[metric] = self._read_on(before, metric, begin, end)
                else:
                    columns[metric] = self._read_all(loading, n, metric, begin, end)
            first = _first(columns, begin)
            history = History(self.registry, columns, begin=first, end=end, calendar=self.calendar)
            made = Range(
                loading.span,
                loading.need,
                columns,
                history,
                turn=self._turn,
                used=self.clock.now(),
                short=first > begin,
            )
        except BaseException as error:  # whoever waits is told
            with self._lock:
                self._loading.remove(loading)
            if before is not None:
                log.warning("a range for backtests is not read on: %s", error)
            loading.done.set_exception(error)
            return
        with self._lock:
            self._loading.remove(loading)
            self._kept = [r for r in self._kept if not (r.span == made.span and r.need.within(made.need))]
            self._kept.append(made)
            self._drop()
        loading.done.set_result(made)

    def _read_all(self, loading: Loading, before: int, metric: str, begin: int, end: int) -> Columns:
        parts = list(self._parts(loading.need.devices, begin, end))
        found = []
        for n, devices in enumerate(parts):
            found.append(self.store.columns(devices, metric, begin, end))
            loading.share = (before + (n + 1) / len(parts)) / len(loading.need.metrics)
        return in_order(found)

    def _parts(self, wanted: frozenset[str], begin: int, end: int) -> Iterable[Sequence[str]]:
        """The devices in the order of the registry, so that what is read of them need not be sorted."""
        part: list[str] = []
        rows = 0.0
        for device in self.registry:
            if device.id in wanted:
                part.append(device.id)
                rows += self._rows(device.id, begin, end)
                if rows > PART_ROWS:
                    yield part
                    part, rows = [], 0.0
        if part:
            yield part

    def _read_on(self, before: Range, metric: str, begin: int, end: int) -> Columns:
        """What is there from `begin` on, and what came since its end."""
        there = before.columns[metric]
        kept = there.take(np.asarray(there.at >= begin))
        names = [d.id for d in self.registry if d.id in before.need.devices]
        return in_order([kept, self.store.columns(names, metric, before.end, end)])


def _first(columns: Mapping[str, Columns], begin: int) -> int:
    """Where the range really begins: before the first reading nothing is known, and no silence is an alarm."""
    first = min((int(of.at.min()) for of in columns.values() if len(of.at)), default=begin)
    return first // MINUTE * MINUTE if first - begin > HOUR else begin


def scope_of(rules: Iterable[Rule | None], registry: Registry) -> frozenset[str]:
    """The devices that they can be tried on."""
    laid = (plan(rule, registry) for rule in rules if rule is not None)
    return frozenset(i.id for of in laid for s in of.subjects for part in s.parts for i in part)
