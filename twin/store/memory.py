"""Observations in a dictionary, gone at the end: the plainest reading of the contract, and the others' yardstick."""

import bisect
from collections.abc import Sequence
from threading import RLock

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from twin.observation import Domain, Observation, columns
from twin.registry import Registry
from twin.store import FOREVER, Columns, Said, Series, Written, buckets, domains_of


class MemoryStore:
    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._rows: dict[str, list[Observation]] = {}  # by device, ordered by (at, received)
        self._lock = RLock()

    def write(self, batch: Sequence[Observation]) -> Written:
        rejected = []
        with self._lock:
            for o in batch:
                if o.device in self.registry:
                    self._insert(o)
                else:
                    rejected.append((o, f"device {o.device!r} is not in the registry"))
        return Written(len(batch) - len(rejected), rejected)

    def _insert(self, o: Observation) -> None:
        rows = self._rows.setdefault(o.device, [])
        first = bisect.bisect_left(rows, o.at, key=lambda r: r.at)
        for i in range(first, len(rows)):
            if rows[i].at != o.at:
                break
            if rows[i].values == o.values:
                return
        bisect.insort_right(rows, o, key=lambda r: (r.at, r.received))

    def load(self, domain: Domain, rows: pa.Table) -> int:
        names = [c for c in columns(domain) if c in rows.column_names]
        for row in rows.to_pylist():
            values = {n: row[n] for n in names if row[n] is not None and row[n] == row[n]}
            self.write([Observation(row["device"], row["at"], values, row["received"])])
        return int(rows.num_rows)

    def zone(
        self, at: int, *, known: int | None = None, since: int | None = None, devices: Sequence[str] | None = None
    ) -> dict[str, Observation]:
        found = {}
        with self._lock:
            for device in self._rows if devices is None else devices:
                rows = self._rows.get(device, [])
                for o in reversed(rows[: bisect.bisect_right(rows, at, key=lambda r: r.at)]):
                    if since is not None and o.at <= since:
                        break
                    if known is None or o.received <= known:
                        found[device] = o
                        break
        return found

    def latest(self) -> dict[str, Observation]:
        return self.zone(FOREVER)

    def rows(self, devices: Sequence[str], start: int, end: int, *, known: int | None = None) -> list[Observation]:
        found: list[Observation] = []
        with self._lock:
            for device in devices:
                rows = self._rows.get(device, [])
                a, b = (bisect.bisect_left(rows, t, key=lambda r: r.at) for t in (start, end))
                found += [o for o in rows[a:b] if known is None or o.received <= known]
        return sorted(found, key=lambda o: (o.at, o.received))

    def said(
        self,
        domain: Domain,
        start: int,
        end: int,
        *,
        after: int = -FOREVER,
        by: int = FOREVER,
        devices: Sequence[str] | None = None,
    ) -> Said:
        wanted = [d.id for d in self.registry.of(domain)] if devices is None else devices
        wanted = domains_of(self.registry, wanted).get(domain, [])
        rows = [o for o in self.rows(wanted, start, end) if after < o.received <= by]
        return Said(
            np.array([self.registry.index[o.device] for o in rows], np.int32),
            np.array([o.at for o in rows], np.int64),
            np.array([o.received for o in rows], np.int64),
            {m: np.array([o.values.get(m, np.nan) for o in rows], np.float64) for m in columns(domain)},
        )

    def series(
        self,
        device: str,
        metric: str,
        start: int,
        end: int,
        *,
        points: int | None = None,
        known: int | None = None,
    ) -> Series:
        with self._lock:
            rows = self._rows.get(device, [])
            a, b = (bisect.bisect_left(rows, t, key=lambda r: r.at) for t in (start, end))
            one_each = {o.at: o for o in rows[a:b] if known is None or o.received <= known}
        pairs = [(o.at, o.values[metric]) for o in one_each.values() if metric in o.values]
        at = np.array([p[0] for p in pairs], np.int64)
        value = np.array([p[1] for p in pairs], np.float64)
        return buckets(at, value, start, end, points)

    def columns(self, devices: Sequence[str], metric: str, start: int, end: int) -> Columns:
        found: dict[tuple[int, int], float] = {}
        for o in self.rows(devices, start, end):
            if not metric or metric in o.values:
                found.setdefault((self.registry.index[o.device], o.at), o.values[metric] if metric else 0.0)
        pairs = sorted(found)
        return Columns(
            np.array([d for d, _ in pairs], np.int32),
            np.array([t for _, t in pairs], np.int64),
            np.array([found[p] for p in pairs], np.float64),
        )

    def begins(self) -> int | None:
        with self._lock:
            return min((rows[0].at for rows in self._rows.values() if rows), default=None)

    def density(self, domain: Domain, start: int, end: int, width: int) -> npt.NDArray[np.int64]:
        at = self.said(domain, start, end).at
        return np.bincount((at - start) // width, minlength=-((start - end) // width))

    def retain(self, before: int) -> int:
        dropped = 0
        with self._lock:
            for device, rows in self._rows.items():
                keep = bisect.bisect_left(rows, before, key=lambda r: r.at)
                dropped += keep
                self._rows[device] = rows[keep:]
        return dropped

    def check(self) -> None:
        pass

    def close(self) -> None:
        pass
