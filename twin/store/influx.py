"""Observations in InfluxDB, by the interfaces that 1.8, 2.x and 3 share: `/api/v2/write` in, InfluxQL on `/query` out.

One measurement a domain, one series a device (tag `device`), fields `received` and the metrics. A point's time is
`at` in nanoseconds plus a revision: 0 for what was first said of that millisecond, 1 for the first correction, and so
on; readers go back to milliseconds, and the last point of a millisecond is the one that counts. What is already there
is asked for only where a reading is not newer than its device's high-water mark, which is read back before the first
write. The server need not be there when this is made: the first use that finds it opens it.

Two workers that write the same device may both take its first word for a millisecond as revision 0; the later one then
stands, with the same values and its own `received`. Corrections are numbered as they are written.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import urllib3
from influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException

from twin.clock import HOUR
from twin.errors import StoreAwayError, StoreError
from twin.observation import Domain, Observation, columns
from twin.registry import Registry
from twin.store import FOREVER, Columns, Said, Series, Written, buckets, domains_of, in_order

LINES = 10_000  # a write; 5,000 to 10,000 is where InfluxDB is fastest
WRITERS = 2  # writes at a time; a single one leaves InfluxDB idle while it waits for its disk
FORMS = 100_000  # kept at most
_NS = 1_000_000  # nanoseconds in a millisecond
_NEVER = -(1 << 62)
# What InfluxQL can name: its times are int64 nanoseconds
_FIRST_MS, _LAST_MS = -9_223_372_036_854, 9_223_372_036_853


class InfluxStore:
    """`bucket` is `database/retention-policy`; on 1.x the token is `user:password`."""

    def __init__(
        self, registry: Registry, *, url: str, org: str, bucket: str, token: str = "", timeout_s: float = 10
    ) -> None:
        self.registry, self.url, self.org, self.bucket = registry, url, org, bucket
        self.database, _, self.policy = bucket.partition("/")
        self.timeout_s = timeout_s
        self._token = token
        self._client = InfluxDBClient(
            url=url, token=token or "none", org=org, timeout=round(timeout_s * 1000), retries=urllib3.Retry(False)
        )
        self._heads = {d.id: f"{d.domain},device={_tag(d.id)} received=".replace("%", "%%") for d in registry}
        self._forms: dict[tuple[str, ...], str] = {}
        self._lock = threading.Lock()
        self._writers = ThreadPoolExecutor(WRITERS, "influx-writer")
        self._opened = False
        self._mark: dict[str, int] = {}

    # ------------------------------------------------------------ writing

    def write(self, batch: Sequence[Observation]) -> Written:
        there = self.registry.index
        known = [o for o in batch if o.device in there]
        rejected = [(o, f"device {o.device!r} is not in the registry") for o in batch if o.device not in there]
        self._open()
        with self._lock:
            numbered = self._numbered(known)
            parts = [numbered[begin : begin + LINES] for begin in range(0, len(numbered), LINES)]
            try:
                # A time-out for all of it: one that trickles its answer never meets that of a single reading
                for found in self._writers.map(self._write, parts, timeout=self.timeout_s * (len(parts) + 1)):
                    rejected += found
            except TimeoutError:
                raise self._explained(urllib3.exceptions.TimeoutError()) from None
            mark = self._mark
            for o in known:
                if o.at > mark.get(o.device, _NEVER):
                    mark[o.device] = o.at
        return Written(len(batch) - len(rejected), rejected)

    def load(self, domain: Domain, rows: pa.Table) -> int:
        names = [m for m in columns(domain) if m in rows.column_names]
        for part in rows.to_batches(max_chunksize=LINES):
            devices = pc.cast(part["device"], pa.string()).to_pylist()
            values = [pc.cast(part[m], pa.float64()).to_numpy(zero_copy_only=False).tolist() for m in names]
            at, received = part["at"].to_pylist(), part["received"].to_pylist()
            self.write(
                [
                    Observation(d, t, {n: v for n, v in zip(names, row, strict=True) if v == v}, r)
                    for d, t, r, row in zip(devices, at, received, zip(*values, strict=True), strict=True)
                ]
            )
        return int(rows.num_rows)

    def _numbered(self, batch: Sequence[Observation]) -> list[tuple[Observation, int]]:
        """Each observation that is not there yet, with its revision."""
        mark = self._mark
        late = [o for o in batch if o.at <= mark.get(o.device, _NEVER)]
        if not late and len({(o.device, o.at) for o in batch}) == len(batch):
            return [(o, 0) for o in batch]
        there = self._there(late) if late else {}
        found = []
        for o in batch:
            said = there.setdefault((o.device, o.at), [])
            if o.values not in said:
                found.append((o, len(said)))
                said.append(o.values)
        return found

    def _there(self, late: Sequence[Observation]) -> dict[tuple[str, int], list[dict[str, float]]]:
        """What is stored for the instants of these observations: values by revision."""
        found: dict[tuple[str, int], list[dict[str, float]]] = {}
        wanted = {(o.device, o.at) for o in late}
        # An hour at a time: one reading far back must not have the whole time since read for a hundred devices
        hours: dict[tuple[Domain, int], dict[str, list[int]]] = {}
        for device, at in wanted:
            hours.setdefault((self.registry[device].domain, at // HOUR), {}).setdefault(device, []).append(at)
        for (domain, _), devices in hours.items():
            names = sorted(devices)
            for some in (names[i : i + 100] for i in range(0, len(names), 100)):
                moments = [at for d in some for at in devices[d]]
                where = " OR ".join(f'"device" = {_text(d)}' for d in some)
                condition = f"time >= {min(moments) * _NS} AND time < {(max(moments) + 1) * _NS} AND ({where})"
                for o in self._select(domain, condition, "GROUP BY device"):
                    if (o.device, o.at) in wanted:
                        found.setdefault((o.device, o.at), []).append(o.values)
        return found

    def _write(self, numbered: Sequence[tuple[Observation, int]]) -> list[tuple[Observation, str]]:
        """Write, and find the lines that the server will never take by halving; returns those."""
        if not numbered:
            return []
        lines = self._lines(numbered)
        try:
            self._post(lines)
        except ApiException as error:
            if not _names_lines(error):
                raise self._explained(error) from None
            if len(numbered) == 1:
                return [(numbered[0][0], _reason(error))]
            half = len(numbered) // 2
            return self._write(numbered[:half]) + self._write(numbered[half:])
        except urllib3.exceptions.HTTPError as error:
            raise self._explained(error) from None
        return []

    def _post(self, lines: bytes) -> None:
        _, status, _ = self._client.api_client.call_api(
            "/api/v2/write",
            "POST",
            query_params=[("org", self.org), ("bucket", self.bucket), ("precision", "ns")],
            header_params={"Content-Type": "text/plain; charset=utf-8"},
            body=lines,
            _return_http_data_only=False,
        )
        # A portal or proxy in between answers 200 to anything
        if status != 204:
            raise StoreAwayError(
                f"{self.url} answers a write with {status}, InfluxDB with 204: it is something else. Check store.url."
            )

    def _lines(self, numbered: Sequence[tuple[Observation, int]]) -> bytes:
        """Line protocol. A form for each device and set of metrics, filled in one go: twice as fast as joining."""
        forms, lines = self._forms, []
        for o, revision in numbered:
            values = o.values
            form = forms.get((o.device, *values))
            if form is None:
                fields = "".join(f",{name}=%r" for name in values)
                form = forms[(o.device, *values)] = f"{self._heads[o.device]}%di{fields} %d"
            lines.append(form % (o.received, *values.values(), o.at * _NS + revision))
        if len(forms) > FORMS:
            forms.clear()
        return "\n".join(lines).encode()

    # ------------------------------------------------------------ reading

    def zone(
        self, at: int, *, known: int | None = None, since: int | None = None, devices: Sequence[str] | None = None
    ) -> dict[str, Observation]:
        self._open()
        return self._zone(at, known, since, devices)

    def _zone(
        self, at: int, known: int | None, since: int | None, devices: Sequence[str] | None = None
    ) -> dict[str, Observation]:
        conditions = []
        if at < _LAST_MS:
            conditions.append(f"time < {(at + 1) * _NS}")
        if since is not None:
            conditions.append(f"time >= {(max(since, _FIRST_MS) + 1) * _NS}")
        if known is not None and known < FOREVER:
            conditions.append(f'"received" <= {known}')
        wanted = dict.fromkeys(Domain) if devices is None else domains_of(self.registry, devices)
        found = {}
        for domain, names in wanted.items():
            for these in _these(names):
                condition = " AND ".join([*conditions, *these])
                for o in self._select(domain, condition, "GROUP BY device ORDER BY time DESC LIMIT 1"):
                    found[o.device] = o
        return found

    def latest(self) -> dict[str, Observation]:
        return self.zone(FOREVER)

    def rows(self, devices: Sequence[str], start: int, end: int, *, known: int | None = None) -> list[Observation]:
        self._open()
        low, high = max(start, _FIRST_MS), min(end, _LAST_MS)
        then = f' AND "received" <= {known}' if known is not None and known < FOREVER else ""
        found: list[Observation] = []
        for domain, names in domains_of(self.registry, devices).items():
            for some in (names[i : i + 100] for i in range(0, len(names), 100)):
                where = " OR ".join(f'"device" = {_text(d)}' for d in some)
                condition = f"time >= {low * _NS} AND time < {high * _NS} AND ({where}){then}"
                found += self._select(domain, condition, "GROUP BY device")
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
        self._open()
        low, high = max(start, _FIRST_MS), min(end, _LAST_MS)
        conditions = [f"time >= {low * _NS}", f"time < {high * _NS}"]
        conditions += [f'"received" > {after}'] if after > -FOREVER else []
        conditions += [f'"received" <= {by}'] if by < FOREVER else []
        names = None if devices is None else domains_of(self.registry, devices).get(domain, [])
        metrics = columns(domain)
        wanted = ", ".join(f'"{name}"' for name in ("received", *metrics))
        found = []
        for these in _these(names):
            condition = " AND ".join([*conditions, *these])
            query = f"SELECT {wanted} FROM {self._from(domain)} WHERE {condition} GROUP BY device"
            for series in self._ask(query):
                position = self.registry.index.get(series["tags"]["device"])
                if position is not None:
                    found.append((position, np.array(series["values"], object)))
        return _said(metrics, found)

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
        self._open()
        low, high = max(start, _FIRST_MS), min(end, _LAST_MS)
        then = f' AND "received" <= {known}' if known is not None and known < FOREVER else ""
        domain = self.registry[device].domain
        found = self._ask(
            f'SELECT "{metric}", "received" FROM {self._from(domain)} WHERE "device" = {_text(device)} '
            f"AND time >= {low * _NS} AND time < {high * _NS}{then}"
        )
        one_each = {row[0] // _NS: row[1] for series in found for row in series["values"]}
        pairs = [(t, v) for t, v in one_each.items() if v is not None]
        at = np.array([p[0] for p in pairs], np.int64)
        value = np.array([p[1] for p in pairs], np.float64)
        return buckets(at, value, start, end, points)

    def columns(self, devices: Sequence[str], metric: str, start: int, end: int) -> Columns:
        self._open()
        low, high = max(start, _FIRST_MS), min(end, _LAST_MS)
        found = []
        for domain, names in domains_of(self.registry, devices).items():
            if metric and metric not in columns(domain):
                continue
            for some in (names[i : i + 25] for i in range(0, len(names), 25)):
                where = " OR ".join(f'"device" = {_text(d)}' for d in some)
                condition = f"time >= {low * _NS} AND time < {high * _NS} AND ({where})"
                field = metric or "received"
                answer = self._ask(f'SELECT "{field}" FROM {self._from(domain)} WHERE {condition} GROUP BY "device"')
                found += [self._column(series, metric) for series in answer]
        return in_order(found)

    def _column(self, series: Mapping[str, Any], metric: str) -> Columns:
        """Corrections of one time stand some nanoseconds after what they correct: the first counts."""
        position = self.registry.index[series["tags"]["device"]]
        pairs = [(t, v) for t, v in series["values"] if isinstance(v, int | float)]
        at = np.array([t for t, _ in pairs], np.int64) // _NS
        value = np.array([v for _, v in pairs], np.float64) if metric else np.zeros(len(pairs))
        first = np.ones(len(at), bool)
        first[1:] = np.diff(at) != 0
        return Columns(np.full(int(first.sum()), position, np.int32), at[first], value[first])

    def begins(self) -> int | None:
        self._open()
        first = [
            series["values"][0][0] // _NS
            for domain in Domain
            for series in self._ask(f'SELECT "received" FROM {self._from(domain)} ORDER BY time LIMIT 1')
        ]
        return min(first, default=None)

    def density(self, domain: Domain, start: int, end: int, width: int) -> npt.NDArray[np.int64]:
        self._open()
        found = np.zeros(-((start - end) // width), np.int64)
        low, high = max(start, _FIRST_MS), min(end, _LAST_MS)
        for series in self._ask(
            f'SELECT count("received") FROM {self._from(domain)} WHERE time >= {low * _NS} AND time < {high * _NS} '
            f"GROUP BY time({width}ms, {start % width}ms) fill(none)"
        ):
            for at, count in series["values"]:
                found[(at // _NS - start) // width] = count
        return found

    def retain(self, before: int) -> int:
        self._open()
        for domain in Domain:
            self._ask(f'DELETE FROM "{domain}" WHERE time < {max(before, _FIRST_MS) * _NS}', method="POST")
        return -1

    def check(self) -> None:
        self._open()
        self._answer()

    def _answer(self) -> None:
        self._ask(f"SHOW MEASUREMENTS ON {_name(self.database)} LIMIT 1")

    def close(self) -> None:
        self._writers.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _select(self, domain: Domain, condition: str, tail: str) -> Iterator[Observation]:
        """Whole points as observations, oldest first unless the tail says otherwise."""
        where = f"WHERE {condition} " if condition else ""
        for series in self._ask(f"SELECT * FROM {self._from(domain)} {where}{tail}"):
            device, names = series["tags"]["device"], series["columns"]
            received = names.index("received")
            metrics = [(i, n) for i, n in enumerate(names) if n not in ("time", "received")]
            for row in series["values"]:
                # What others have written into the measurement may be text, or lack our `received`
                values = {n: float(row[i]) for i, n in metrics if isinstance(row[i], int | float)}
                if not values or row[received] is None:
                    continue
                yield Observation(device, row[0] // _NS, values, row[received])

    def _from(self, domain: Domain) -> str:
        return f'{_name(self.policy)}."{domain}"' if self.policy else f'"{domain}"'

    def _ask(self, query: str, method: str = "GET") -> list[Mapping[str, Any]]:
        """The series of one InfluxQL statement."""
        parameters = [("db", self.database), ("q", query), ("epoch", "ns")]
        headers = {"Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Token {self._token}"
        try:
            answer = self._client.api_client.call_api(
                "/query",
                method,
                query_params=parameters,
                header_params=headers,
                auth_settings=[],
                _preload_content=False,
                _return_http_data_only=True,
                async_req=False,
            )
            body = orjson.loads(answer.data)
        except (ApiException, urllib3.exceptions.HTTPError) as error:
            raise self._explained(error) from None
        except orjson.JSONDecodeError:
            raise StoreAwayError(f"{self.url}: the answer to a query is not InfluxDB's. Check store.url.") from None
        result = body.get("results", [{}])[0]
        if "error" in result or "error" in body:
            raise StoreError(f"{self.url}, {self.bucket}: {result.get('error') or body.get('error')}")
        series: list[Mapping[str, Any]] = result.get("series", [])
        return series

    # ------------------------------------------------------------ being there

    def _open(self) -> None:
        """Once: adopt the database and learn how far each device has come."""
        if self._opened:
            return
        with self._lock:
            if not self._opened:
                self._adopt()
                self._mark = {device: o.at for device, o in self._zone(FOREVER, None, None).items()}
                self._opened = True

    def _adopt(self) -> None:
        """See that the database can be queried: made on 1.x, mapped to the bucket (DBRP) on 2.x."""
        try:
            self._answer()
            if self._ask(f"SHOW RETENTION POLICIES ON {_name(self.database)}"):
                return
        except StoreAwayError:
            raise
        except StoreError:
            pass
        try:
            self._ask(f"CREATE DATABASE {_name(self.database)}", method="POST")
        except StoreAwayError:
            raise
        except StoreError:
            self._map_bucket()

    def _map_bucket(self) -> None:
        """2.x answers InfluxQL only for a database and retention policy that are mapped to a bucket."""
        try:
            found = self._client.buckets_api().find_bucket_by_name(self.bucket)
            if found is None:
                raise StoreError(f"{self.url} has no bucket {self.bucket!r}. Create it, or set store.bucket to one.")
            body = {
                "bucketID": found.id,
                "database": self.database,
                "retention_policy": self.policy or "autogen",
                "default": True,
                "orgID": found.org_id,
            }
            self._client.api_client.call_api(
                "/api/v2/dbrps", "POST", body=body, header_params={"Content-Type": "application/json"}
            )
        except (ApiException, urllib3.exceptions.HTTPError) as error:
            raise self._explained(error) from None

    def _explained(self, error: Exception) -> StoreError:
        if isinstance(error, ApiException) and error.status:
            if error.status in (401, 403):
                return StoreAwayError(f"{self.url} refuses the token ({error.status}). Set GAOXIN_STORE__TOKEN.")
            if error.status == 404:
                return StoreAwayError(f"{self.url} has no {self.bucket!r} ({_reason(error)}). Check store.bucket.")
            if error.status < 500 and error.status not in (400, 408, 413, 422, 429):
                return StoreError(f"{self.url}: {error.status} {_reason(error)}")
            return StoreAwayError(f"{self.url} answers {error.status} {error.reason}. It is tried again.")
        return StoreAwayError(
            f"{self.url} does not answer within {self.timeout_s:g} s ({type(error).__name__}). "
            "Check store.url and that InfluxDB runs."
        )


# What InfluxDB 1, 2 and 3 say when they have stored the valid lines and mean the others
_LINES = ("partial write", "unable to parse", "type conflict", "beyond retention", "max-values", "invalid")


def _names_lines(error: ApiException) -> bool:
    """Whether the server took what it could and refuses the rest; any other refusal is of the whole, and passes."""
    return error.status == 413 or (error.status in (400, 422) and any(word in _reason(error) for word in _LINES))


def _these(names: Sequence[str] | None) -> list[list[str]]:
    """The condition for these devices, a hundred at a time; for all, one without a condition."""
    if names is None:
        return [[]]
    found = []
    for some in (names[i : i + 100] for i in range(0, len(names), 100)):
        found.append([f"({' OR '.join(_is(device) for device in some)})"])
    return found


def _is(device: str) -> str:
    return f'"device" = {_text(device)}'


def _said(metrics: Sequence[str], found: Sequence[tuple[int, npt.NDArray[np.object_]]]) -> Said:
    """From the rows of each device: time (ns), received, metrics. What others have written may lack our `received`."""
    device = np.repeat(np.array([d for d, _ in found], np.int32), [len(rows) for _, rows in found])
    rows = np.concatenate([rows for _, rows in found]) if found else np.zeros((0, 2 + len(metrics)), object)
    received = rows[:, 1].astype(np.float64)
    ours = ~np.isnan(received)
    said = Said(
        device,
        rows[:, 0].astype(np.int64) // _NS,
        np.where(ours, received, 0).astype(np.int64),
        {m: rows[:, 2 + i].astype(np.float64) for i, m in enumerate(metrics)},
    )
    return said if ours.all() else said.take(ours)


def _tag(text: str) -> str:
    return text.replace(",", "\\,").replace("=", "\\=").replace(" ", "\\ ")


def _text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _name(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _reason(error: ApiException) -> str:
    body = error.body.decode(errors="replace") if isinstance(error.body, bytes) else str(error.body or error.reason)
    try:
        found = orjson.loads(body)
        return str(found.get("message") or found.get("error") or body)[:300]
    except orjson.JSONDecodeError:
        return body.strip()[:300]
