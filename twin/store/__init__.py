"""Where observations are kept: one Protocol, one file a backend, one contract suite that each passes.

Rows carry two times: `at` (when it was so) and `received` (when we were told), so that any past moment can be asked
for as known then (`known=t`) or as known now (`known=None`).

Identity is (device, at). Writing the same values again changes nothing and the first `received` stands, so a
redelivery after a crash is harmless. Other values for the same (device, at) are a correction: both rows are kept; of
those known at the time asked about, the one received last counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from twin.observation import Domain, Observation
from twin.registry import Registry

FOREVER = (1 << 63) - 1


class Written(NamedTuple):
    """What became of a batch: how many are in the store now (duplicates included), which it will never take, and why.

    A batch that could not be written at all is not reported here: `write` raises StoreAwayError, the caller keeps it.
    """

    accepted: int
    rejected: list[tuple[Observation, str]]


@dataclass(frozen=True)
class Series:
    """One metric of one device over time, oldest first. All arrays have the same length.

    `at` int64 UTC ms. Raw: `mean` == `low` == `high`, `count` 1. Downsampled: one entry a non-empty bucket, `at` its
    start. A range with no data is a series of length 0.
    """

    at: npt.NDArray[np.int64]
    mean: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    count: npt.NDArray[np.int64]


class Columns(NamedTuple):
    """One metric of many devices as arrays of one length: `device` int32, position in the registry; `at` int64, UTC ms;
    `value` float64. Where a metric was not measured there is no row."""

    device: npt.NDArray[np.int32]
    at: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]

    def take(self, rows: npt.NDArray[np.bool_]) -> "Columns":
        return Columns(self.device[rows], self.at[rows], self.value[rows])


class Said(NamedTuple):
    """What devices of one domain said, as arrays of one length: `device` int32, position in the registry; `at` and
    `received` int64, UTC ms; each metric of the domain float64, NaN where it was not measured."""

    device: npt.NDArray[np.int32]
    at: npt.NDArray[np.int64]
    received: npt.NDArray[np.int64]
    values: Mapping[str, npt.NDArray[np.float64]]

    def take(self, rows: npt.NDArray[np.bool_ | np.intp]) -> "Said":
        return Said(self.device[rows], self.at[rows], self.received[rows], {m: v[rows] for m, v in self.values.items()})

    def dicts(self, rows: npt.NDArray[np.intp]) -> list[dict[str, float]]:
        """The values of these rows as an observation has them."""
        names = list(self.values)
        columns = [self.values[name][rows].tolist() for name in names]
        return [{n: v for n, v in zip(names, row, strict=True) if v == v} for row in zip(*columns, strict=True)]


class Store(Protocol):
    """Every method may raise StoreAwayError within the time-out; none hangs. Safe to call from several threads."""

    def write(self, batch: Sequence[Observation]) -> Written: ...

    def load(self, domain: Domain, rows: pa.Table) -> int:
        """Bulk form of `write` for backfill and tests: columns device (string or dictionary), at, received (int64)
        and any of the domain's metrics (float); null or NaN = not measured. Same identity rules. Returns the rows now
        in the store."""
        ...

    def zone(
        self, at: int, *, known: int | None = None, since: int | None = None, devices: Sequence[str] | None = None
    ) -> dict[str, Observation]:
        """Each device's last observation with since < at' <= `at` (and received <= `known` if given), by device id.
        `devices`: only of these."""
        ...

    def latest(self) -> dict[str, Observation]:
        """zone(FOREVER)."""
        ...

    def rows(self, devices: Sequence[str], start: int, end: int, *, known: int | None = None) -> list[Observation]:
        """All that these devices said with start <= at < end (and received <= `known` if given), by (at, received).

        Corrections come after what they correct.
        """
        ...

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
        """All rows of a domain (of `devices` only, if given) with start <= at < end and after < received <= by.
        Of rows with one device, `at` and `received` that written last comes last; else the order is the store's."""
        ...

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
        """start <= at < end. With `points`, at most that many equal buckets, each with mean, low and high."""
        ...

    def columns(self, devices: Sequence[str], metric: str, start: int, end: int) -> Columns:
        """What these devices measured of one metric with start <= at < end, by device (in the order of the registry)
        and time. Of rows with one device and time the first that was received counts: alarms are not rewritten by
        corrections. "" for the metric: a row for whatever was said, its value 0."""
        ...

    def begins(self) -> int | None:
        """The time of the earliest row, UTC ms; None of an empty store."""
        ...

    def density(self, domain: Domain, start: int, end: int, width: int) -> npt.NDArray[np.int64]:
        """How many rows a domain has in each `width` ms of start <= at < end; the last may be cut short."""
        ...

    def retain(self, before: int) -> int:
        """Forget what is older than `before`; returns the number of rows dropped (-1 where the store does not say)."""
        ...

    def check(self) -> None:
        """Return if the store answers; raise StoreAwayError with address and remedy if not."""
        ...

    def close(self) -> None: ...


def domains_of(registry: Registry, devices: Iterable[str]) -> dict[Domain, list[str]]:
    """The registered ones of these devices, by the domain whose table holds them."""
    found: dict[Domain, list[str]] = {}
    for device in devices:
        if device in registry:
            found.setdefault(registry[device].domain, []).append(device)
    return found


def buckets(
    at: npt.NDArray[np.int64], value: npt.NDArray[np.float64], start: int, end: int, points: int | None
) -> Series:
    """Raw values (ordered by time) as a Series of at most `points` equal buckets of [start, end)."""
    if points is None:
        return Series(at, value, value, value, np.ones(len(at), np.int64))
    width = -(-(end - start) // points)
    bucket = (at - start) // width
    first = np.flatnonzero(np.diff(bucket, prepend=-1))
    n = np.diff(np.append(first, len(at)))
    if not len(at):
        return Series(at, value, value, value, np.zeros(0, np.int64))
    return Series(
        start + bucket[first] * width,
        np.add.reduceat(value, first) / n,
        np.minimum.reduceat(value, first),
        np.maximum.reduceat(value, first),
        n,
    )


def in_order(parts: Sequence[Columns]) -> Columns:
    """These parts as one, by device and time; of rows equal in both, that given first comes first."""
    if not parts:
        return Columns(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0))
    device, at, value = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
    if not len(at):
        return Columns(device, at, value)
    order: npt.NDArray[np.intp] | None = None
    if (device[1:] < device[:-1]).any():
        # Sorting 16 bits is a radix sort, ten times as fast
        order = np.argsort(device.astype(np.uint16) if device.max() < 1 << 16 else device, kind="stable")
        each = np.bincount(device)
        device, at = np.repeat(np.arange(len(each), dtype=np.int32), each), at[order]
    if ((at[1:] < at[:-1]) & (device[1:] == device[:-1])).any():
        # Mostly in order by now, which a merge sort makes use of; it stays within a device
        first = int(at.min())
        again = np.argsort(device * np.int64(int(at.max()) - first + 1) + (at - first), kind="stable")
        at, order = at[again], again if order is None else order[again]
    return Columns(device, at, value if order is None else value[order])


def open_store(
    kind: Literal["duckdb", "influx", "memory"],
    registry: Registry,
    *,
    path: Path,
    memory_mb: int,
    url: str,
    org: str,
    bucket: str,
    token: str,
    timeout_s: float,
) -> Store:
    """The store of this kind; `path` and `memory_mb` are for duckdb, the rest for influx.

    Raises StoreError with the remedy.
    """
    # Each backend brings a large library: only the one in use is imported
    match kind:
        case "memory":
            from twin.store.memory import MemoryStore

            return MemoryStore(registry)
        case "duckdb":
            from twin.store.duckdb import DuckDBStore

            return DuckDBStore(registry, path, memory_mb=memory_mb)
        case "influx":
            from twin.store.influx import InfluxStore

            return InfluxStore(registry, url=url, org=org, bucket=bucket, token=token, timeout_s=timeout_s)
