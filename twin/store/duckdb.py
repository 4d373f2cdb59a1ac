"""Observations in one DuckDB file: the store of a machine with nothing installed.

One wide table a domain: device, time (`at` is a keyword of SQL), received, a column a metric. There is no primary key:
a per-device high-water mark, rebuilt at open, tells at once that a row is new; only a batch with rows at or below it is
compared with the table. One process owns the file; each call takes a cursor of its own, writes follow one another.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from twin.errors import StoreAwayError, StoreError
from twin.observation import Domain, Observation, columns
from twin.registry import Registry
from twin.store import FOREVER, Columns, Said, Series, Written, buckets, domains_of, in_order

_NEVER = -(1 << 62)


class DuckDBStore:
    """`memory_mb`: MiB for DuckDB's cache and its work; by itself it would take most of the machine, over the weeks."""

    def __init__(self, registry: Registry, path: Path, *, memory_mb: int = 128) -> None:
        self.registry, self.path, self.memory_mb = registry, path, memory_mb
        self._names = count()
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._invalid = False  # after a fatal error DuckDB refuses everything until it is opened again
        try:
            self._open()
        except duckdb.Error as error:
            raise _explained(path, error) from None

    def _open(self) -> None:
        """Open the file and learn from it what was written, whatever this process believes."""
        self._db = duckdb.connect(str(self.path), config={"memory_limit": f"{self.memory_mb}MiB"})
        self._inode = os.stat(self.path).st_ino
        self._mark: dict[str, int] = {}
        self._latest: dict[str, Observation] = {}
        for domain in Domain:
            self._adopt(domain)
            rows = self._db.execute(f"SELECT device, max(time) FROM {domain} GROUP BY device").fetchall()
            self._mark |= dict(rows)
            self._latest |= self._zone(self._db, domain, FOREVER, None, None)

    def _adopt(self, domain: Domain) -> None:
        """Make the table, or add the columns that metrics since have brought."""
        metrics = ", ".join(f'"{m}" DOUBLE' for m in columns(domain))
        self._db.execute(
            f"CREATE TABLE IF NOT EXISTS {domain} (device VARCHAR, time BIGINT, received BIGINT, {metrics})"
        )
        there = {row[0] for row in self._db.execute(f"DESCRIBE {domain}").fetchall()}
        for metric in columns(domain):
            if metric not in there:
                self._db.execute(f'ALTER TABLE {domain} ADD COLUMN "{metric}" DOUBLE')

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            with self._opening:
                if self._invalid:
                    self._db.close()
                    self._open()
                    self._invalid = False
            cursor = self._db.cursor()
        except duckdb.Error as error:
            raise _explained(self.path, error) from None
        try:
            yield cursor
        except duckdb.Error as error:
            if isinstance(error, duckdb.FatalException):
                self._invalid = True
            raise _explained(self.path, error) from None
        finally:
            cursor.close()

    def write(self, batch: Sequence[Observation]) -> Written:
        by_domain: dict[Domain, list[Observation]] = {}
        rejected = []
        for o in batch:
            if o.device in self.registry:
                by_domain.setdefault(self.registry[o.device].domain, []).append(o)
            else:
                rejected.append((o, f"device {o.device!r} is not in the registry"))
        self._store({d: _table(d, rows) for d, rows in by_domain.items()})
        return Written(len(batch) - len(rejected), rejected)

    def load(self, domain: Domain, rows: pa.Table) -> int:
        arrays = [pc.cast(rows["device"], pa.string()), rows["at"], rows["received"]]
        names = ["device", "time", "received"]
        for metric in columns(domain):
            if metric in rows.column_names:
                names.append(metric)
                values = pc.cast(rows[metric], pa.float64())
                arrays.append(pc.if_else(pc.is_nan(values), None, values))
        self._store({domain: pa.table(arrays, names)})
        return int(rows.num_rows)

    def _store(self, tables: dict[Domain, pa.Table]) -> None:
        """All of it or, when it fails, none of it."""
        tables = {domain: table for domain, table in tables.items() if table.num_rows}
        self._still_there()
        with self._lock, self._cursor() as cursor:
            cursor.begin()
            try:
                for domain, table in tables.items():
                    self._insert(cursor, domain, table)
                cursor.commit()
            except BaseException:
                # After a failed commit there is nothing left to roll back
                with suppress(duckdb.Error):
                    cursor.rollback()
                raise
            # It is there now: the marks must say so whatever fails after this
            for table in tables.values():
                self._mark_up(table)
            for domain, table in tables.items():
                self._latest |= self._zone(cursor, domain, FOREVER, None, pc.min(table["time"]).as_py() - 1)

    def _insert(self, cursor: duckdb.DuckDBPyConnection, domain: Domain, table: pa.Table) -> None:
        metrics = [f'"{m}"' for m in columns(domain) if m in table.column_names]
        names = ", ".join(["device", "time", "received", *metrics])
        # Distinct names: DuckDB would also find a Python variable of the same name, in any case
        view = f"incoming_{next(self._names)}"
        cursor.register(view, table)
        same = " AND ".join(f"t.{m} IS NOT DISTINCT FROM r.{m}" for m in metrics) or "true"
        absent = [f't."{m}" IS NULL' for m in columns(domain) if m not in table.column_names]
        same = " AND ".join([same, *absent])
        source = view
        if not self._all_new(table):
            # In the order of the batch: of corrections received in the same millisecond the last one counts
            table = table.append_column("ordinal", pa.array(range(table.num_rows), pa.int64()))
            cursor.register(view, table)
            once = ", ".join(["device", "time", *metrics])
            source = f"(SELECT {once}, min(received) AS received, min(ordinal) AS ordinal FROM {view} GROUP BY {once})"
            source = (
                f"(SELECT r.* FROM {source} r WHERE NOT EXISTS "
                f"(SELECT 1 FROM {domain} t WHERE t.device = r.device AND t.time = r.time AND {same}) ORDER BY ordinal)"
            )
        cursor.execute(f"INSERT INTO {domain} ({names}) SELECT {names} FROM {source}")
        cursor.unregister(view)

    def _all_new(self, table: pa.Table) -> bool:
        """Every row is above its device's mark, and no (device, time) comes twice."""
        first = table.group_by("device").aggregate([("time", "min"), ("time", "count"), ("time", "count_distinct")])
        return all(
            low > self._mark.get(d, _NEVER) and n == different
            for d, low, n, different in zip(
                *(first[c].to_pylist() for c in ("device", "time_min", "time_count", "time_count_distinct")),
                strict=True,
            )
        )

    def _mark_up(self, table: pa.Table) -> None:
        tops = table.group_by("device").aggregate([("time", "max")])
        for device, top in zip(tops["device"].to_pylist(), tops["time_max"].to_pylist(), strict=True):
            self._mark[device] = max(top, self._mark.get(device, _NEVER))

    def zone(
        self, at: int, *, known: int | None = None, since: int | None = None, devices: Sequence[str] | None = None
    ) -> dict[str, Observation]:
        wanted = dict.fromkeys(Domain) if devices is None else domains_of(self.registry, devices)
        with self._cursor() as cursor:
            found: dict[str, Observation] = {}
            for domain, names in wanted.items():
                found |= self._zone(cursor, domain, at, known, since, names)
            return found

    def _zone(
        self,
        cursor: duckdb.DuckDBPyConnection,
        domain: Domain,
        at: int,
        known: int | None,
        since: int | None,
        names: Sequence[str] | None = None,
    ) -> dict[str, Observation]:
        these = "" if names is None else "AND list_contains(?, device) "
        cursor.execute(
            f"SELECT unnest(max_by(t, (time, received, rowid))) FROM {domain} t "
            f"WHERE time <= ? AND time > ? AND received <= ? {these}GROUP BY device",
            [
                at,
                _NEVER if since is None else since,
                FOREVER if known is None else known,
                *([] if names is None else [names]),
            ],
        )
        return {o.device: o for o in _observations(domain, cursor)}

    def latest(self) -> dict[str, Observation]:
        with self._lock:
            return dict(self._latest)

    def rows(self, devices: Sequence[str], start: int, end: int, *, known: int | None = None) -> list[Observation]:
        found: list[Observation] = []
        with self._cursor() as cursor:
            for domain, names in domains_of(self.registry, devices).items():
                cursor.execute(
                    f"SELECT * FROM {domain} WHERE list_contains(?, device) "
                    "AND time >= ? AND time < ? AND received <= ? ORDER BY time, received, rowid",
                    [names, start, end, FOREVER if known is None else known],
                )
                found += _observations(domain, cursor)
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
        names = [d.id for d in self.registry.of(domain)] if devices is None else devices
        names = domains_of(self.registry, names).get(domain, [])
        metrics = columns(domain)
        view = f"asked_{next(self._names)}"
        positions = [self.registry.index[name] for name in names]
        with self._cursor() as cursor:
            cursor.register(
                view, pa.table({"device": pa.array(names, pa.string()), "position": pa.array(positions, pa.int32())})
            )
            wanted = ", ".join(f't."{m}"' for m in metrics)
            # In the order of the rows, which is that of writing: it decides between equal times
            found = cursor.sql(
                f"SELECT n.position, t.time, t.received, t.rowid, {wanted} "
                f"FROM {domain} t JOIN {view} n ON t.device = n.device "
                f"WHERE t.time >= {int(start)} AND t.time < {int(end)} "
                f"AND t.received > {int(after)} AND t.received <= {int(by)}"
            ).to_arrow_table()
            cursor.unregister(view)
        row = found["rowid"].to_numpy()
        said = Said(
            found["position"].to_numpy(),
            found["time"].to_numpy(),
            found["received"].to_numpy(),
            {m: pc.fill_null(found[m], np.nan).to_numpy() for m in metrics},
        )
        return said if (row[1:] > row[:-1]).all() else said.take(np.argsort(row, kind="stable"))

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
        domain = self.registry[device].domain
        with self._cursor() as cursor:
            found = cursor.execute(
                f"SELECT time, max_by(COALESCE(\"{metric}\", 'nan'::DOUBLE), (received, rowid)) AS v FROM {domain} "
                "WHERE device = ? AND time >= ? AND time < ? AND received <= ? GROUP BY time ORDER BY time",
                [device, start, end, FOREVER if known is None else known],
            ).fetchnumpy()
        at, value = np.asarray(found["time"], np.int64), np.asarray(found["v"], np.float64)
        there = ~np.isnan(value)
        return buckets(at[there], value[there], start, end, points)

    def columns(self, devices: Sequence[str], metric: str, start: int, end: int) -> Columns:
        found = []
        with self._cursor() as cursor:
            for domain, names in domains_of(self.registry, devices).items():
                if not metric or metric in columns(domain):
                    found.append(self._column(cursor, domain, names, metric, (start, end)))
        return found[0] if len(found) == 1 else in_order(found)

    def _column(
        self,
        cursor: duckdb.DuckDBPyConnection,
        domain: Domain,
        names: Sequence[str],
        metric: str,
        span: tuple[int, int],
    ) -> Columns:
        found = in_order([self._scan(cursor, domain, names, metric, span, "")])
        same = (found.at[1:] == found.at[:-1]) & (found.device[1:] == found.device[:-1])
        corrected = np.unique(found.device[1:][same])
        if not len(corrected):
            return found
        # Which of two was received first is asked only where there are two
        again = [self.registry.devices[i].id for i in corrected.tolist()]
        other = self._scan(cursor, domain, again, metric, span, "ORDER BY n.position, t.time, t.received, t.rowid")
        first = np.ones(len(other.at), bool)
        first[1:] = (np.diff(other.at) != 0) | (np.diff(other.device) != 0)
        return in_order([found.take(~np.isin(found.device, corrected)), other.take(first)])

    def _scan(
        self,
        cursor: duckdb.DuckDBPyConnection,
        domain: Domain,
        names: Sequence[str],
        metric: str,
        span: tuple[int, int],
        order: str,
    ) -> Columns:
        view = f"asked_{next(self._names)}"
        positions = [self.registry.index[name] for name in names]
        cursor.register(view, pa.table({"device": pa.array(names), "position": pa.array(positions, pa.int32())}))
        value = f't."{metric}"' if metric else "0.0::DOUBLE"
        try:
            # A stream of batches: the result of weeks is larger than the memory that DuckDB may take
            batches = list(
                cursor.sql(
                    f"SELECT n.position, t.time, {value} AS value FROM {domain} t JOIN {view} n ON t.device = n.device "
                    f"WHERE t.time >= {int(span[0])} AND t.time < {int(span[1])} AND {value} IS NOT NULL {order}"
                ).to_arrow_reader(1 << 17)
            )
        finally:
            cursor.unregister(view)
        if not batches:
            return Columns(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0))
        return Columns(*(np.concatenate([b.column(i).to_numpy() for b in batches]) for i in range(3)))

    def begins(self) -> int | None:
        with self._cursor() as cursor:
            first = [cursor.execute(f"SELECT min(time) FROM {domain}").fetchone() for domain in Domain]
        return min((int(row[0]) for row in first if row and row[0] is not None), default=None)

    def density(self, domain: Domain, start: int, end: int, width: int) -> npt.NDArray[np.int64]:
        found = np.zeros(-((start - end) // width), np.int64)
        with self._cursor() as cursor:
            rows = cursor.execute(
                f"SELECT (time - ?) // ? AS bucket, count(*) FROM {domain} "
                "WHERE time >= ? AND time < ? GROUP BY bucket",
                [start, width, start, end],
            ).fetchall()
        for bucket, rows_there in rows:
            found[bucket] = rows_there
        return found

    def retain(self, before: int) -> int:
        dropped = 0
        with self._lock, self._cursor() as cursor:
            for domain in Domain:
                row = cursor.execute(f"DELETE FROM {domain} WHERE time < ?", [before]).fetchone()
                dropped += int(row[0]) if row else 0
            self._latest = {d: o for d, o in self._latest.items() if o.at >= before}
        return dropped

    def check(self) -> None:
        with self._cursor() as cursor:
            cursor.execute("SELECT 1")
        self._still_there()

    def _still_there(self) -> None:
        """A file deleted under a running process goes on taking data, all of it lost when the process ends."""
        try:
            number = os.stat(self.path).st_ino
        except OSError:
            number = -1
        if number != self._inode:
            raise StoreAwayError(f"{self.path} was deleted or replaced while in use. Put it back, or start again.")

    def close(self) -> None:
        with self._lock:
            self._db.close()


def _observations(domain: Domain, cursor: duckdb.DuckDBPyConnection) -> Iterator[Observation]:
    """The rows of a result: device, time, received, then metrics in the order in which the table came to have them."""
    wanted = set(columns(domain))
    metrics = [(i, column[0]) for i, column in enumerate(cursor.description or ()) if column[0] in wanted]
    for row in cursor.fetchall():
        yield Observation(row[0], row[1], {n: row[i] for i, n in metrics if row[i] is not None}, row[2])


def _table(domain: Domain, rows: Sequence[Observation]) -> pa.Table:
    arrays = {
        "device": pa.array([o.device for o in rows], pa.string()),
        "time": pa.array([o.at for o in rows], pa.int64()),
        "received": pa.array([o.received for o in rows], pa.int64()),
    }
    used = {name for o in rows for name in o.values}
    for metric in columns(domain):
        if metric in used:
            arrays[metric] = pa.array([o.values.get(metric) for o in rows], pa.float64())
    return pa.table(arrays)


# What passes when the disk, the memory or the process that holds the file has room again
_PASSING = (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.ConnectionException, duckdb.TransactionException)


def _explained(path: Path, error: duckdb.Error) -> StoreError:
    text = str(error).splitlines()[0]
    if "Could not set lock" in text or "Conflicting lock" in text:
        return StoreError(f"{path} is in use by another process. End it, or choose another data folder. ({text})")
    if isinstance(error, duckdb.FatalException):
        return StoreAwayError(f"{path}: {text}. The file is opened again at the next use.")
    if isinstance(error, _PASSING):
        return StoreAwayError(f"{path}: {text}. Check that the disk is there and has room.")
    return StoreError(f"{path}: {text}")
