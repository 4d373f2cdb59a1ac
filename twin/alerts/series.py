"""History laid out for numpy, and what numpy may do with it.

A *series* is stretches of time over each of which a subject's demand is the same. Numpy lays it out, cuts it to the
windows of a schedule, adds up those of several inputs, and discards the runs of a latch's asking that are too short to
matter. What a run that is left does to its latch is decided by `observe` and `settle`, as it is live.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from twin.alerts.plan import Demand
from twin.alerts.transition import NEVER, observe, settle
from twin.clock import MINUTE
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

    def take(self, rows: I64) -> "Series":
        return Series(
            self.subject[rows],
            self.at[rows],
            self.end[rows],
            self.demand,
            None if self.value is None else self.value[rows],
            None if self.up is None else self.up[rows],
            None if self.held is None else self.held[rows],
            None if self.known is None else self.known[rows],
        )

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
    """Rows in [begin, end) in the order of their arrival for each device; what was late, or is no number, is left
    out."""
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


NOTHING = Rows(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))


def only(rows: Rows, number: I64) -> Rows:
    """The rows of devices that have a number."""
    present = rows.device[rows.first]
    if (number[present] >= 0).all():
        return rows
    kept = (number >= 0)[rows.device]
    device = rows.device[kept]
    first = np.flatnonzero(np.concatenate((np.ones(min(len(device), 1), bool), device[1:] != device[:-1])))
    return Rows(device, rows.at[kept], rows.value[kept], first)


def rates(rows: Rows, window: int, grace: I64) -> Rows:
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
        return NOTHING
    device, at, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    first = np.flatnonzero(np.concatenate((np.ones(min(len(at), 1), bool), device[1:] != device[:-1])))
    return Rows(device, at, value, first)


def remembered(series: Series, end: int) -> Series:
    """Devices of a group, from their first word on: while one is not known it holds what it held when it was last."""
    assert series.up is not None
    assert series.held is not None
    n = len(series.at)
    known = np.ones(n, bool) if series.known is None else series.known
    until = np.full(n, end, np.int64)
    until[:-1] = np.where(series.subject[1:] == series.subject[:-1], series.at[1:], end)
    # The last row of the same device in which it was known; -1: it never was
    first = np.searchsorted(series.subject, series.subject)
    row = np.maximum.accumulate(np.where(known, np.arange(n), -1))
    held = np.where(row >= first, series.held[row], 0).astype(np.int8)
    whole = replace(series, end=np.minimum(series.end, until), held=held, known=known)
    holes = np.flatnonzero(series.end < until)
    if not len(holes):
        return whole
    order = np.argsort(np.concatenate((np.arange(n), holes + 0.5)), kind="stable")
    lost = np.concatenate((np.zeros(n, bool), np.ones(len(holes), bool)))[order]
    both = whole.take(np.concatenate((np.arange(n), holes))[order])
    assert both.up is not None
    assert both.known is not None
    return replace(
        both,
        at=np.where(lost, both.end, both.at),
        end=np.concatenate((whole.end, until[holes]))[order],
        up=np.where(lost, 0, both.up).astype(np.int8),
        known=both.known & ~lost,
    )


def merge(inputs: Sequence[Series], count: I64 | None, need: I64 | int, end: int) -> Series:
    """The demand of subjects of whose inputs `need` must be so: contiguous from the first word on.

    An input adds to the numbers of those that reach, hold and are known where it begins, and takes it back where it
    ends. With a `count` of inputs a subject, what is not known holds all levels (terms); without, only what its row
    says (devices of a group, `remembered`), but all where none is known.
    """
    base = 0 if count is None else 1
    demand = inputs[0].demand
    k = demand.k
    steps: list[npt.NDArray[np.int64]] = []
    for one in inputs:
        assert one.up is not None
        assert one.held is not None
        known = np.ones(len(one.at), bool) if one.known is None else one.known
        adds = [(one.up > i).astype(np.int8) for i in range(k)]
        adds += [(one.held > i).astype(np.int8) - base for i in range(k)]
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
    there = 0 if count is None else count[subject]
    held = (sums[1 + k :] + there >= wanted).sum(axis=0).astype(np.int8)
    if count is None:
        held[sums[0] == 0] = k
    return Series(subject, at, stop, demand, up=up, held=held, known=sums[0] >= wanted)


def cut(series: Series, windows: Sequence[tuple[int, int]]) -> tuple[Series, I64]:
    """The series within windows, as subjects numbered subject * len(windows) + window; and those of them that begin
    when what was known is not known any more."""
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
    end = np.minimum(series.end[row], closes[vs % n])
    return replace(series.take(row), subject=vs, at=when, end=end), np.concatenate(blind)


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
    """(subject, when, +1 on or -1 off) of latch k. Only runs that last are looked at; settle and observe decide
    them."""
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
