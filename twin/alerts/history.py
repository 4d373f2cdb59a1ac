"""What a rule would have raised over the stored weeks: equal to the evaluator, to the last bit, and fast.

Numpy does not decide anything here. It lays what was observed out as a *series*: stretches of time over each of which
a subject's demand is the same. It discards the runs of a latch's asking that are too short to matter, and every run that
is left is decided by the same two functions that decide live, `observe` and `settle`.

A rule of one term reads its column as it is. Absence, several terms and groups of devices are first made into series of
demands: each input's runs, added up as the order statistic that `plan` describes.

Windows of a schedule are cut out of the series, and each (subject, window) is a subject of its own that begins with the
value then held.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from twin import schedule
from twin.alerts.plan import Demand, Plan, plan
from twin.alerts.transition import NEVER, Kind, Reason, Transition, flapping, kind_of, observe, ordered, settle
from twin.clock import MINUTE
from twin.registry import Registry
from twin.rules import Condition, Rule
from twin.standards.scale import Level
from twin.store import Columns

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Series:
    """Stretches [at, end) of subjects, ordered by (subject, at), none overlapping; a hole is a time of not knowing.

    The demand is that of `value`, or is given as `up` and `held`; `known` None: all of them.
    """

    subject: I64
    at: I64
    end: I64
    demand: Demand
    value: F64 | None = None
    up: npt.NDArray[np.int8] | None = None
    held: npt.NDArray[np.int8] | None = None
    known: Mask | None = None

    def reached(self, k: int) -> Mask:
        if self.value is not None:
            return self.demand.reached(k, self.value)
        assert self.up is not None
        return self.up > k

    def left(self, k: int) -> Mask:
        if self.value is not None:
            return self.demand.left(k, self.value)
        assert self.held is not None
        return self.held <= k

    def take(self, rows: I64, **changed: I64) -> "Series":
        """These rows of it, with the given columns in the place of theirs."""
        columns = {
            name: None if (column := getattr(self, name)) is None else column[rows]
            for name in ("subject", "at", "end", "value", "up", "held", "known")
        }
        return replace(self, **(columns | changed))

    @property
    def fresh(self) -> I64:
        """Rows that do not go on from the row before."""
        if not len(self.at):
            return np.zeros(0, np.int64)
        broken = (self.subject[1:] != self.subject[:-1]) | (self.end[:-1] < self.at[1:])
        return np.concatenate(([0], np.flatnonzero(broken) + 1))


class Rows(NamedTuple):
    """A column cleaned: ordered by (device, at), each newer than the one before; `first`: where each device begins."""

    device: npt.NDArray[np.int32]
    at: I64
    value: F64
    first: I64

    def of(self, device: int) -> slice:
        """The rows of a device."""
        a, b = np.searchsorted(self.device[self.first], [device, device + 1])
        bounds = np.append(self.first, len(self.at))
        return slice(int(bounds[a]), int(bounds[b]))


def clean(columns: Columns, begin: int, end: int) -> Rows:
    """Rows in [begin, end) in the order of their arrival for each device; what was late, or is no number, is left out."""
    device, at, value = columns
    good = (at >= begin) & (at < end) & ~np.isnan(value)
    if not good.all():
        device, at, value = device[good], at[good], value[good]
    if (device[1:] < device[:-1]).any():
        order = np.argsort(device, kind="stable")
        device, at, value = device[order], at[order], value[order]
    while len(at):
        late = (at[1:] <= at[:-1]) & (device[1:] == device[:-1])
        if not late.any():
            break
        first = np.flatnonzero(np.concatenate(([True], device[1:] != device[:-1])))
        # Each device's times are put above those of the device before: then one running maximum serves for all
        above = np.repeat(np.arange(len(first)) * (end - begin), np.diff(np.append(first, len(at)))) + (at - begin)
        kept = np.concatenate(([True], above[1:] > np.maximum.accumulate(above)[:-1]))
        device, at, value = device[kept], at[kept], value[kept]
    first = np.flatnonzero(np.concatenate((np.ones(min(len(at), 1), bool), device[1:] != device[:-1])))
    return Rows(device, at, value, first)


class History:
    """Stored weeks in memory, to try rules on: `columns` by metric ("" with any value: when anything was said).

    What does not hang on thresholds is kept from one rule to the next, so that a dragged threshold is answered at once.
    """

    KEPT = 4  # laid-out columns kept

    def __init__(
        self,
        registry: Registry,
        columns: Mapping[str, Columns],
        *,
        begin: int,
        end: int,
        calendar: schedule.Calendar | None = None,
    ) -> None:
        self.registry, self.begin, self.end = registry, begin, end
        self.calendar = schedule.calendar() if calendar is None else calendar
        self._rows = {metric: clean(of, begin, end) for metric, of in columns.items()}
        self._laid: dict[tuple[object, ...], tuple[Series, I64, Rows]] = {}

    def transitions(self, rule: Rule, version: int = 0) -> list[Transition]:
        """What `rule` would have made of [begin, end), begun without memory; `run` would say the same."""
        laid = plan(rule, self.registry)
        if not laid.subjects or not laid.levels:
            return []
        windows = schedule.windows(rule.schedule, self.calendar, self.begin, self.end)
        if not windows:
            return []
        series, fresh, value_of = self._series(laid)
        if not len(series.at):
            return []
        names = [s.name for s in laid.subjects]
        if rule.schedule:
            series, blind = cut(series, windows)
            fresh = series.fresh
        else:
            blind = np.zeros(0, np.int64)
        story = _Story(laid, version, names, windows, value_of)
        for k in range(len(laid.levels)):
            found = flips(series, fresh, k, laid.on_after, laid.off_after)
            if not found:
                break
            story.flips += found
        story.silences(series, fresh, blind)
        return ordered(story.told(self.end))

    def _series(self, laid: Plan) -> tuple[Series, I64, Callable[[int, int], float | None]]:
        """The subjects' series, their fresh rows, and what the first term held at a time."""
        if laid.simple and laid.rule.when[0].condition is not Condition.ABSENT:
            series, fresh, rows = self._valued(laid, 0)
            return replace(series, demand=laid.demands[0]), fresh, _held(rows, laid)
        inputs = [self._input(laid, n) for n in range(len(laid.demands))]
        merged = merge(inputs, _counts(laid, parts=True), laid.part_need, self.end)
        value_of = self._first_value(laid)
        if laid.rule.over.value != "device":
            merged = self._grouped(laid, merged)
        return merged, merged.fresh, value_of

    def _valued(self, laid: Plan, term: int) -> tuple[Series, I64, Rows]:
        """The series of a term that compares values; subject = number of the device's part."""
        of = laid.rule.when[term]
        parts = [part[term] for s in laid.subjects for part in s.parts]
        key = (of.metric, of.of, of.window_s, tuple((i.device, i.grace) for i in parts))
        if key not in self._laid:
            while len(self._laid) >= self.KEPT:
                del self._laid[next(iter(self._laid))]
            self._laid[key] = self._lay(laid, term)
        series, fresh, rows = self._laid[key]
        return series, fresh, rows

    def _lay(self, laid: Plan, term: int) -> tuple[Series, I64, Rows]:
        of = laid.rule.when[term]
        parts = [part[term] for s in laid.subjects for part in s.parts]
        number, grace, divisor = (np.full(len(self.registry), fill) for fill in (-1, 0, 1.0))
        for n, one in enumerate(parts):
            number[one.device], grace[one.device], divisor[one.device] = n, one.grace, one.divisor
        rows = _only(self._rows[of.metric], number) if of.metric in self._rows else _NOTHING
        if of.of:
            rows = rows._replace(value=rows.value / divisor[rows.device])
        if of.condition is Condition.RATE:
            rows = _rates(rows, of.window_s * 1000, grace)
        last = np.empty(len(rows.at), bool)
        last[:-1] = rows.device[1:] != rows.device[:-1]
        last[-1:] = True
        end = np.empty(len(rows.at), np.int64)
        end[:-1] = rows.at[1:]
        end[last] = self.end
        same = len(set(grace[number >= 0].tolist())) == 1
        patience = int(parts[0].grace) if same else grace[rows.device]
        np.minimum(end, rows.at + (patience + 1), out=end)
        # Subjects are in the order of the registry, or the rows must be put in theirs
        subject = number[rows.device]
        series = Series(subject, rows.at, end, laid.demands[term], value=rows.value)
        if (subject[1:] < subject[:-1]).any():
            series = series.take(np.argsort(subject, kind="stable"))
        return series, series.fresh, rows

    def _input(self, laid: Plan, term: int) -> Series:
        """A term's demands as runs: stretches over which they do not change."""
        if laid.rule.when[term].condition is Condition.ABSENT:
            return self._absent(laid, term)
        series, fresh, _ = self._valued(laid, term)
        series = replace(series, demand=laid.demands[term])
        if not len(series.at):
            return replace(series, value=None, up=np.zeros(0, np.int8), held=np.zeros(0, np.int8))
        k = len(laid.levels)
        up = sum((series.reached(i).astype(np.int8) for i in range(k)), np.zeros(len(series.at), np.int8))
        held = k - sum((series.left(i).astype(np.int8) for i in range(k)), np.zeros(len(series.at), np.int8))
        starts = np.zeros(len(up), bool)
        starts[fresh] = True
        starts[1:] |= (up[1:] != up[:-1]) | (held[1:] != held[:-1])
        first = np.flatnonzero(starts)
        last = np.append(first[1:], len(up)) - 1
        return Series(
            series.subject[first], series.at[first], series.end[last], series.demand, up=up[first], held=held[first]
        )

    def _absent(self, laid: Plan, term: int) -> Series:
        """Silence counted from `begin` or from what was last said; a row for each threshold it passes."""
        after = laid.demands[term].after_ms
        parts = [part[term] for s in laid.subjects for part in s.parts]
        rows = self._rows.get(laid.rule.when[term].metric, _NOTHING)
        found: list[tuple[int, int, int, int]] = []
        for n, one in enumerate(parts):
            heard = rows.at[rows.of(one.device)]
            heard = np.concatenate(([self.begin], heard[heard > self.begin]))
            until = np.append(heard[1:], self.end)
            start = self.begin
            for i in np.flatnonzero(until - heard > after[0]).tolist():
                at, stop = int(heard[i]), int(until[i])
                edges = [start, *(at + a for a in after if at + a < stop), stop]
                found += [(n, a, b, up) for up, (a, b) in enumerate(zip(edges, edges[1:], strict=False))]
                start = stop
            if start < self.end:
                found.append((n, start, self.end, 0))
        table = np.array(found, np.int64).reshape(-1, 4).T
        up = table[3].astype(np.int8)
        return Series(table[0], table[1], table[2], laid.demands[term], up=up, held=up)

    def _grouped(self, laid: Plan, merged: Series) -> Series:
        """Series of devices as series of the groups they are in."""
        group = np.repeat(np.arange(len(laid.subjects)), [len(s.parts) for s in laid.subjects])
        need = np.array([s.need for s in laid.subjects])
        return merge([replace(merged, subject=group[merged.subject])], _counts(laid, parts=False), need, self.end)

    def _first_value(self, laid: Plan) -> Callable[[int, int], float | None]:
        if laid.rule.over.value != "device":
            return lambda subject, at: None
        if laid.rule.when[0].condition is Condition.ABSENT:
            return self._silence(laid)
        return _held(self._valued(laid, 0)[2], laid)

    def _silence(self, laid: Plan) -> Callable[[int, int], float | None]:
        """The threshold of silence that was passed last."""
        after, rows = laid.demands[0].after_ms, self._rows.get(laid.rule.when[0].metric, _NOTHING)

        def value_of(subject: int, at: int) -> float:
            heard = rows.at[rows.of(laid.subjects[subject].position)]
            n = int(np.searchsorted(heard, at, side="right"))
            silent = at - (int(heard[n - 1]) if n else self.begin)
            return max((a / 1000 for a in after if a <= silent), default=0.0)

        return value_of


_NOTHING = Rows(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))


def _only(rows: Rows, number: I64) -> Rows:
    """The rows of devices that have a number."""
    present = rows.device[rows.first]
    if (number[present] >= 0).all():
        return rows
    kept = (number >= 0)[rows.device]
    device = rows.device[kept]
    first = np.flatnonzero(np.concatenate((np.ones(min(len(device), 1), bool), device[1:] != device[:-1])))
    return Rows(device, rows.at[kept], rows.value[kept], first)


def _rates(rows: Rows, window: int, grace: I64) -> Rows:
    """Change a minute against what held a window ago, where something did."""
    parts: list[tuple[npt.NDArray[np.int32], I64, F64]] = []
    for device in rows.device[rows.first].tolist():
        of = rows.of(device)
        at, value = rows.at[of], rows.value[of]
        then = np.searchsorted(at, at - window, side="right") - 1
        there = np.flatnonzero((then >= 0) & (at[then] + grace[device] >= at - window))
        change = (value[there] - value[then[there]]) / (window / MINUTE)
        parts.append((np.full(len(there), device, np.int32), at[there], change))
    if not parts:
        return _NOTHING
    device, at, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    first = np.flatnonzero(np.concatenate((np.ones(min(len(at), 1), bool), device[1:] != device[:-1])))
    return Rows(device, at, value, first)


def _held(rows: Rows, laid: Plan) -> Callable[[int, int], float | None]:
    def value_of(subject: int, at: int) -> float | None:
        of = rows.of(laid.subjects[subject].position)
        n = int(np.searchsorted(rows.at[of], at, side="right"))
        return float(rows.value[of][n - 1]) if n else None

    return value_of


def _counts(laid: Plan, *, parts: bool) -> I64:
    """How many inputs each device's part has, or how many devices each subject."""
    if parts:
        return np.full(sum(len(s.parts) for s in laid.subjects), len(laid.demands), np.int64)
    return np.array([len(s.parts) for s in laid.subjects], np.int64)


def merge(inputs: Sequence[Series], count: I64, need: I64 | int, end: int) -> Series:
    """The demand of subjects with `count` inputs each, of which `need` must be so: contiguous from the first word on.

    What is not known has up 0 and held K. So an input adds to the numbers of those that reach, hold and are known when it
    begins to be known, and takes it back when it ends.
    """
    demand = inputs[0].demand
    k = demand.k
    steps: list[npt.NDArray[np.int64]] = []
    for one in inputs:
        assert one.up is not None
        assert one.held is not None
        known = np.ones(len(one.at), bool) if one.known is None else one.known
        adds = [(one.up > i) for i in range(k)]
        adds += [(one.held > i).astype(np.int8) - 1 for i in range(k)]
        change = np.stack([one.subject, one.at, known, *adds]).astype(np.int64)
        back = np.concatenate((change[:1], one.end[None], -change[2:]))
        steps += [change, back]
    table = np.concatenate(steps, axis=1)
    table = table[:, np.lexsort((table[1], table[0]))]
    subject, at = table[0], table[1]
    # All that begins also ends, so that the sums are zero again where a subject begins
    sums = np.cumsum(table[2:], axis=1)
    last = np.ones(len(at), bool)
    last[:-1] = (subject[1:] != subject[:-1]) | (at[1:] != at[:-1])
    rows = np.flatnonzero(last & (at < end))
    subject, at, sums = subject[rows], at[rows], sums[:, rows]
    stop = np.full(len(at), end, np.int64)
    stop[:-1] = np.where(subject[1:] == subject[:-1], at[1:], end)
    wanted = need if isinstance(need, int) else need[subject]
    up = (sums[1 : 1 + k] >= wanted).sum(axis=0).astype(np.int8)
    held = (sums[1 + k :] + count[subject] >= wanted).sum(axis=0).astype(np.int8)
    return Series(subject, at, stop, demand, up=up, held=held, known=sums[0] >= wanted)


def cut(series: Series, windows: Sequence[tuple[int, int]]) -> tuple[Series, I64]:
    """The series within windows, as subjects numbered subject * len(windows) + window; and those of them that begin when
    what was known is not known any more."""
    opens, closes = (np.array(w, np.int64) for w in zip(*windows, strict=True))
    n = len(windows)
    window = np.searchsorted(opens, series.at, side="right") - 1
    inside = np.flatnonzero((window >= 0) & (series.at < closes[window]))
    rows, at, number = [inside], [series.at[inside]], [series.subject[inside] * n + window[inside]]
    subjects, first = np.unique(series.subject, return_index=True)
    bounds = np.append(first, len(series.at))
    blind: list[I64] = []
    for w, opening in enumerate(opens.tolist()):
        # The row that stands when the window opens: what is said just then, else what was said before
        row = np.array(
            [a + int(np.searchsorted(series.at[a:b], opening, side="right")) - 1 for a, b in pairwise(bounds)]
        )
        there = row >= bounds[:-1]
        row = np.maximum(row, 0)
        stands = there & (series.end[row] > opening)
        carried = stands & (series.at[row] < opening)
        rows.append(row[carried])
        at.append(np.full(int(carried.sum()), opening, np.int64))
        number.append(subjects[carried] * n + w)
        blind.append(subjects[there & ~(stands & _known(series, row)) & _ever(series, row, first)] * n + w)
    row, when, vs = (np.concatenate(column) for column in (rows, at, number))
    # Two stretches that are in order already, so that a merge sort is quick
    order = np.argsort(vs * (int(closes[-1]) - int(opens[0])) + (when - int(opens[0])), kind="stable")
    row, when, vs = row[order], when[order], vs[order]
    return series.take(row, subject=vs, at=when, end=np.minimum(series.end[row], closes[vs % n])), np.concatenate(blind)


def _known(series: Series, row: I64) -> Mask:
    return np.ones(len(row), bool) if series.known is None else series.known[row]


def _ever(series: Series, row: I64, first: I64) -> Mask:
    """Whether each subject was known in its row or one before."""
    if series.known is None:
        return np.ones(len(row), bool)
    count = np.append(0, np.cumsum(series.known))
    found: Mask = count[row + 1] > count[first]
    return found


def flips(series: Series, fresh: I64, k: int, on_after: int, off_after: int) -> list[tuple[int, int, int]]:
    """(subject, when, +1 on or -1 off) of latch k. Only runs that last are looked at; settle and observe decide them."""
    up = series.reached(k)
    a, a_end = lasting(up, series, fresh, on_after)
    if not len(a):
        return []
    b, b_end = lasting(series.left(k), series, fresh, off_after)
    row, end = np.concatenate((a, b)), np.concatenate((a_end, b_end))
    asks = np.zeros(len(row), bool)
    asks[: len(a)] = True
    order = np.argsort(row, kind="stable")
    row, end, asks = row[order], end[order], asks[order]
    subject = series.subject[row]
    # A run that asks for what the last one asked, or at first for what is so, changes nothing
    turns = np.concatenate((asks[:1], (asks[1:] != asks[:-1]) | (subject[1:] != subject[:-1])))
    turns[1:] &= asks[1:] | (subject[1:] == subject[:-1])
    row, end, asks, subject = row[turns], end[turns], asks[turns], subject[turns]
    found: list[tuple[int, int, int]] = []
    on, of = False, -1
    for one, at, stop, wants in zip(
        subject.tolist(), series.at[row].tolist(), end.tolist(), asks.tolist(), strict=True
    ):
        if one != of:
            on, of = False, one
        since = observe(wants != on, NEVER, at)
        on, since, when = settle(on, since, stop, on_after, off_after)
        if when != NEVER:
            found.append((one, when, 1 if on else -1))
    return found


def lasting(asks: Mask, series: Series, fresh: I64, wait: int) -> tuple[I64, I64]:
    """First row and end of each unbroken run of `asks` that goes on for longer than `wait`."""
    n = len(asks)
    some = int(np.count_nonzero(asks))
    if not some:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    if some > n // 2:
        # Mostly asking: runs are what lies between the rows that do not ask, and the fresh ones
        other = np.flatnonzero(~asks)
        starts = np.union1d(fresh, other + 1)
        first = starts[starts < n]
        first = first[asks[first]]
        stops = np.union1d(np.append(fresh[1:], n), other)
        last = stops[np.searchsorted(stops, first, side="right")] - 1
    else:
        rows = np.flatnonzero(asks)
        begins = np.ones(len(rows), bool)
        begins[1:] = rows[1:] != rows[:-1] + 1
        begins[np.searchsorted(rows, fresh)[asks[fresh]]] = True
        first = rows[begins]
        last = np.append(rows[np.flatnonzero(begins)[1:] - 1], rows[-1])
    end = series.end[last]
    long = end - series.at[first] > wait
    return first[long], end[long]


class _Story:
    """From flips of latches and times of silence to transitions."""

    def __init__(
        self,
        laid: Plan,
        version: int,
        names: Sequence[str],
        windows: Sequence[tuple[int, int]],
        value_of: Callable[[int, int], float | None],
    ) -> None:
        self.laid, self.version, self.names, self.windows, self.value_of = laid, version, names, windows, value_of
        self.flips: list[tuple[int, int, int]] = []
        self._silent: list[tuple[int, int, Kind]] = []

    def silences(self, series: Series, fresh: I64, blind: I64) -> None:
        """When each subject ceased to be known, and was known again; `blind` began without being known any more."""
        n = len(self.windows) if self.laid.rule.schedule else 1
        lost = set(blind.tolist())
        self._silent += [(vs, self.windows[vs % n][0], Kind.UNKNOWN) for vs in sorted(lost)]
        if series.known is not None:
            self._turns(series, series.known, lost)
            return
        last = np.append(fresh[1:], len(series.at)) - 1 if len(fresh) else fresh
        columns = series.subject[fresh].tolist(), series.at[fresh].tolist(), series.end[last].tolist()
        before = -1
        for vs, at, stop in zip(*columns, strict=True):
            if vs == before or vs in lost:
                self._silent.append((vs, at, Kind.KNOWN))
            if stop < self.windows[vs % n][1]:
                self._silent.append((vs, stop, Kind.UNKNOWN))
            before = vs

    def _turns(self, series: Series, known: Mask, lost: set[int]) -> None:
        turns = np.ones(len(known), bool)
        turns[1:] = (known[1:] != known[:-1]) | (series.subject[1:] != series.subject[:-1])
        columns = series.subject[turns].tolist(), series.at[turns].tolist(), known[turns].tolist()
        of, ever, unknown = -1, False, False
        for vs, at, is_known in zip(*columns, strict=True):
            if vs != of:
                of, ever, unknown = vs, vs in lost, vs in lost
            if is_known and unknown:
                self._silent.append((vs, at, Kind.KNOWN))
            if not is_known and ever and not unknown:
                self._silent.append((vs, at, Kind.UNKNOWN))
            ever, unknown = ever or is_known, ever and not is_known

    def told(self, end: int) -> Iterable[Transition]:
        n = len(self.windows) if self.laid.rule.schedule else 1
        changes: dict[int, dict[int, int]] = {}
        for vs, at, step in self.flips:
            of = changes.setdefault(vs, {})
            of[at] = of.get(at, 0) + step
        silent: dict[int, list[tuple[int, Kind]]] = {}
        for vs, at, kind in self._silent:
            silent.setdefault(vs, []).append((at, kind))
        recent: dict[int, tuple[int, ...]] = {}
        for vs in sorted(changes.keys() | silent.keys()):
            subject = vs // n
            latches, level = 0, Level.NONE
            events: list[tuple[int, int, Kind | int]] = [(at, 1, step) for at, step in changes.get(vs, {}).items()]
            events += [(at, 0 if kind is Kind.KNOWN else 2, kind) for at, kind in silent.get(vs, [])]
            for at, _, what in sorted(events, key=lambda e: e[:2]):
                if isinstance(what, Kind):
                    reason = Reason.HEARD if what is Kind.KNOWN else Reason.SILENCE
                    yield self._transition(subject, at, what, level, level, reason)
                    continue
                latches += what
                was, level = level, self.laid.level(latches)
                kind = kind_of(was, level)
                often = False
                if kind is Kind.RAISED:
                    rule = self.laid.rule
                    recent[subject], often = flapping(
                        recent.get(subject, ()), at, rule.flap_count, self.laid.flap_window
                    )
                yield self._transition(subject, at, kind, level, was, Reason.VALUE, often)
            close = self.windows[vs % n][1]
            if level and close < end:
                yield self._transition(subject, close, Kind.CLEARED, Level.NONE, level, Reason.SCHEDULE)

    def _transition(
        self, subject: int, at: int, kind: Kind, level: Level, was: Level, reason: Reason, often: bool = False
    ) -> Transition:
        value = self.value_of(subject, at)
        return Transition(
            self.laid.rule.id, self.version, self.names[subject], at, kind, level, was, value, reason, often
        )
