"""What a rule would have raised over the stored weeks: equal to the evaluator, to the last bit, and fast.

A rule of one term reads its column as it is. Absence, several terms and groups of devices are first made into series
of demands: each input's runs, added up as the order statistic that `plan` describes. Windows of a schedule are cut
out, and each (subject, window) is a subject of its own that begins with the value then held.

Equal on any history in order; what a gateway's last word did live is not in the store, nor what was late.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import msgspec
import numpy as np

from twin import schedule
from twin.alerts.plan import Plan, plan
from twin.alerts.series import F64, I64, NOTHING, Mask, Rows, Series, clean, cut, flips, merge, only, rates, remembered
from twin.alerts.transition import Kind, Reason, Transition, flapping, kind_of, ordered
from twin.registry import Registry
from twin.rules import Condition, Over, Rule, Scope
from twin.standards.scale import Level
from twin.store import Columns


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
        self._cut: dict[tuple[object, ...], tuple[Series, I64, I64]] = {}

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
            series, fresh, blind = self._within(laid, series, windows)
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

    def seen(self, rule: Rule, term: int, device: str) -> tuple[I64, F64]:
        """What a term of the rule compares of one device: times (UTC ms) and values, in the unit of its thresholds.

        Silence is a saw: it grows from each word until just before the next.
        """
        position = self.registry.index[device]
        alone = msgspec.structs.replace(rule, over=Over.DEVICE, need=1, scope=Scope(devices=(device,)))
        laid = plan(alone, self.registry)
        if not laid.subjects:
            return NOTHING.at, NOTHING.value
        if rule.when[term].condition is Condition.ABSENT:
            rows = self._rows.get(rule.when[term].metric, NOTHING)
            heard = rows.at[rows.of(position)]
            at = np.repeat(np.concatenate(([self.begin], heard)), 2)
            value = np.zeros(len(at))
            until = np.append(heard, self.end)
            value[1::2] = (until - at[1::2]) / 1000
            at[1::2] = until - 1
            return at, value
        _, _, rows = self._lay(laid, term)
        return rows.at, rows.value

    @property
    def bytes(self) -> int:
        """Of all arrays that are kept, each counted once; may be asked from another thread."""
        laid = [
            array for series, fresh, rows in list(self._laid.values()) for array in (*_arrays(series), fresh, *rows)
        ]
        cuts = [
            array for series, fresh, blind in list(self._cut.values()) for array in (*_arrays(series), fresh, blind)
        ]
        arrays = [*(array for rows in self._rows.values() for array in rows), *laid, *cuts]
        return sum({id(array): array.nbytes for array in arrays}.values())

    def _series(self, laid: Plan) -> tuple[Series, I64, Callable[[int, int], float | None]]:
        """The subjects' series, their fresh rows, and what the first term held at a time."""
        if laid.simple and laid.rule.when[0].condition is not Condition.ABSENT:
            series, fresh, rows = self._valued(laid, 0)
            return replace(series, demand=laid.demands[0]), fresh, _held(rows, laid)
        inputs = [self._input(laid, n) for n in range(len(laid.demands))]
        terms = np.full(sum(len(s.parts) for s in laid.subjects), len(laid.demands), np.int64)
        merged = merge(inputs, terms, laid.part_need, self.end)
        value_of = self._first_value(laid)
        if laid.rule.over.value != "device":
            merged = self._grouped(laid, merged)
        return merged, merged.fresh, value_of

    def _within(self, laid: Plan, series: Series, windows: Sequence[tuple[int, int]]) -> tuple[Series, I64, I64]:
        """The series in the rule's hours, its fresh rows, and the subjects that begin unknown."""
        if series.value is None:
            found, blind = cut(series, windows)
            return found, found.fresh, blind
        key = (*self._key(laid, 0), laid.rule.schedule)
        if key not in self._cut:
            self._cut.clear()  # it is as large as what it was cut from
            found, blind = cut(series, windows)
            self._cut[key] = found, found.fresh, blind
        found, fresh, blind = self._cut[key]
        return replace(found, demand=laid.demands[0]), fresh, blind

    def _key(self, laid: Plan, term: int) -> tuple[object, ...]:
        """What a term's series hangs on beside its thresholds."""
        of = laid.rule.when[term]
        parts = [part[term] for s in laid.subjects for part in s.parts]
        return of.metric, of.of, of.window_s, tuple((i.device, i.grace) for i in parts)

    def _valued(self, laid: Plan, term: int) -> tuple[Series, I64, Rows]:
        """The series of a term that compares values; subject = number of the device's part."""
        key = self._key(laid, term)
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
        rows = only(self._rows[of.metric], number) if of.metric in self._rows else NOTHING
        if of.of:
            rows = rows._replace(value=rows.value / divisor[rows.device])
        if of.condition is Condition.RATE:
            rows = rates(rows, of.window_s * 1000, grace)
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
        rows = self._rows.get(laid.rule.when[term].metric, NOTHING)
        found: list[tuple[int, int, int, int]] = []
        for n, one in enumerate(parts):
            heard = rows.at[rows.of(one.device)]
            heard = np.concatenate(([self.begin], heard[heard > self.begin]))
            until = np.append(heard[1:], self.end)
            start = self.begin
            for i in np.flatnonzero(until - heard > after[0]).tolist():
                at, stop = int(heard[i]), int(until[i])
                edges = [start, *(at + a for a in after if at + a < stop), stop]
                found += [(n, a, b, up) for up, (a, b) in enumerate(pairwise(edges))]
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
        devices = remembered(merged, self.end)
        return merge([replace(devices, subject=group[devices.subject])], None, need, self.end)

    def _first_value(self, laid: Plan) -> Callable[[int, int], float | None]:
        if laid.rule.over.value != "device":
            return lambda subject, at: None
        if laid.rule.when[0].condition is Condition.ABSENT:
            return self._silence(laid)
        return _held(self._valued(laid, 0)[2], laid)

    def _silence(self, laid: Plan) -> Callable[[int, int], float | None]:
        """The threshold of silence that was passed last."""
        after, rows = laid.demands[0].after_ms, self._rows.get(laid.rule.when[0].metric, NOTHING)

        def value_of(subject: int, at: int) -> float:
            heard = rows.at[rows.of(laid.subjects[subject].position)]
            n = int(np.searchsorted(heard, at, side="right"))
            silent = at - (int(heard[n - 1]) if n else self.begin)
            return max((a / 1000 for a in after if a <= silent), default=0.0)

        return value_of


def _arrays(series: Series) -> list[np.ndarray]:
    return [v for v in vars(series).values() if isinstance(v, np.ndarray)]


def _held(rows: Rows, laid: Plan) -> Callable[[int, int], float | None]:
    def value_of(subject: int, at: int) -> float | None:
        of = rows.of(laid.subjects[subject].position)
        n = int(np.searchsorted(rows.at[of], at, side="right"))
        return float(rows.value[of][n - 1]) if n else None

    return value_of


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
