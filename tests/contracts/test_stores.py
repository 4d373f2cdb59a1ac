"""Every store against the one contract, and the two that keep against the one that does not."""

import contextlib
import inspect
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb
import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts.influx_server import InfluxServer, influx_behind_nginx
from tests.contracts.suite import MINUTE, NAMES, KeepingContract, StoreContract
from tests.servers import free_port
from tests.zone import T0, seen
from twin.errors import StoreAwayError, StoreError
from twin.observation import Observation
from twin.store import Store
from twin.store.duckdb import DuckDBStore
from twin.store.influx import InfluxStore
from twin.store.memory import MemoryStore

TIMEOUT_S = 20.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    with influx_behind_nginx(tmp_path_factory.mktemp("influx")) as made:
        yield made


def influx(server: InfluxServer, database: str, timeout_s: float = TIMEOUT_S) -> InfluxStore:
    address = server.address._replace(bucket=f"{database}/autogen")
    return InfluxStore(NAMES, **address._asdict(), timeout_s=timeout_s)


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore(NAMES)


class TestDuckDB(KeepingContract):
    @pytest.fixture
    def opened(self) -> list[DuckDBStore]:
        return []

    @pytest.fixture
    def store(self, tmp_path: Path, opened: list[DuckDBStore]) -> Iterator[Store]:
        opened.append(DuckDBStore(NAMES, tmp_path / "o.duckdb"))
        yield opened[0]
        opened[-1].close()

    @pytest.fixture
    def reopen(self, tmp_path: Path, opened: list[DuckDBStore]) -> Callable[[], Store]:
        def again() -> Store:
            opened[-1].close()
            opened.append(DuckDBStore(NAMES, tmp_path / "o.duckdb"))
            return opened[-1]

        return again

    def test_a_file_in_use_is_named_with_the_remedy(self, tmp_path: Path) -> None:
        path = tmp_path / "held.duckdb"
        code = f"import duckdb, time; held = duckdb.connect({str(path)!r}); print('held', flush=True); time.sleep(60)"
        holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        try:
            assert holder.stdout is not None
            holder.stdout.readline()
            with pytest.raises(StoreError, match=r"held\.duckdb is in use by another process. End it"):
                DuckDBStore(NAMES, path)
        finally:
            holder.kill()
            holder.wait()

    def test_a_metric_that_came_later_is_not_taken_for_another(self, tmp_path: Path) -> None:
        """Its column is the table's last, wherever the metric stands in the domain."""
        given = seen("aq-1", T0, T0 + 1, pm25=1.0, pm10=2.0, so2=3.0, o3=4.0)
        DuckDBStore(NAMES, tmp_path / "o.duckdb").close()
        with duckdb.connect(str(tmp_path / "o.duckdb")) as file:
            file.execute("ALTER TABLE environment DROP COLUMN pm25")
        store = DuckDBStore(NAMES, tmp_path / "o.duckdb")
        store.write([given])
        assert store.latest() == store.zone(T0) == {"aq-1": given}
        assert store.rows(["aq-1"], T0, T0 + 1) == [given]
        store.close()

    def test_a_file_that_is_none_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "text.duckdb"
        path.write_text("not a database " * 1000, encoding="utf-8")
        with pytest.raises(StoreError, match=r"text\.duckdb"):
            DuckDBStore(NAMES, path)

    def test_what_was_written_survives_kill_9(self, tmp_path: Path) -> None:
        path = tmp_path / "killed.duckdb"
        code = f"""
from pathlib import Path
from tests.contracts.suite import NAMES
from tests.zone import T0, seen
from twin.store.duckdb import DuckDBStore
store = DuckDBStore(NAMES, Path({str(path)!r}))
for i in range(10**6):
    store.write([seen("td-1", T0 + i, intensity=float(i))])
    print(i, flush=True)
"""
        writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
        assert writer.stdout is not None
        said = -1
        while said < 50:
            said = int(writer.stdout.readline())
        writer.kill()
        said = max([said, *(int(line) for line in writer.stdout.read().split())])
        store = DuckDBStore(NAMES, path)
        kept = store.series("td-1", "intensity", T0, T0 + 10**6).mean.tolist()
        store.close()
        assert kept[: said + 1] == [float(i) for i in range(said + 1)]

    @pytest.mark.parametrize("when", ["before_truncate", "before_header", "after_free_list_write"])
    def test_a_fatal_error_is_survived_without_loss_or_doubling(self, tmp_path: Path, when: str) -> None:
        store = DuckDBStore(NAMES, tmp_path / "o.duckdb")
        store.write([seen("td-1", T0 + i, intensity=float(i)) for i in range(100)])
        store._db.execute(f"SET debug_checkpoint_abort='{when}'")
        batch = [seen("td-1", T0 + 100 + i, intensity=float(i)) for i in range(100)]
        store.write(batch)
        with pytest.raises(StoreAwayError, match="opened again at the next use"), store._cursor() as cursor:
            cursor.execute("CHECKPOINT")
        # The writer cannot know what became of its batch, and writes it again
        store.write(batch)
        assert len(store.series("td-1", "intensity", T0, T0 + 1_000).at) == 200
        assert store.latest()["td-1"].at == T0 + 199
        with store._cursor() as cursor:
            assert cursor.execute("SELECT count(*) FROM traffic").fetchone() == (200,)
        store.close()

    def test_what_fails_after_the_commit_doubles_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = DuckDBStore(NAMES, tmp_path / "o.duckdb")
        batch = [seen("td-1", intensity=1.0), seen("aq-1", pm25=2.0)]
        with monkeypatch.context() as patched:
            patched.setattr(store, "_zone", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                store.write(batch)
        store.write(batch)
        with store._cursor() as cursor:
            rows = [cursor.execute(f"SELECT count(*) FROM {t}").fetchone() for t in ("traffic", "environment")]
        assert rows == [(1,), (1,)]
        store.close()

    def test_a_file_deleted_under_it_is_told(self, tmp_path: Path) -> None:
        store = DuckDBStore(NAMES, tmp_path / "o.duckdb")
        store.write([seen("td-1", intensity=1.0)])
        (tmp_path / "o.duckdb").unlink()
        for call in (store.check, lambda: store.write([seen("td-1", T0 + 1, intensity=1.0)])):
            with pytest.raises(StoreAwayError, match="deleted or replaced while in use"):
                call()
        store.close()

    def test_a_full_disk_keeps_the_batch_and_recovers(self, tmp_path: Path) -> None:
        """A small file system of its own; where it cannot be mounted, a limit on the file's size stands in."""
        disk = tmp_path / "disk"
        disk.mkdir()
        code = f"""
import resource, signal
from pathlib import Path
from tests.contracts.suite import NAMES
from tests.zone import T0, seen
from twin.errors import StoreAwayError
from twin.store.duckdb import DuckDBStore
import random
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = DuckDBStore(NAMES, Path({str(disk / "o.duckdb")!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, resource.RLIM_INFINITY))
i, batch = 0, []
try:
    while i < 400:
        batch = [seen("td-1", T0 + i * 5000 + k, intensity=random.random() * 9000) for k in range(5000)]
        store.write(batch)
        i += 1
    print("never full")
except StoreAwayError as error:
    assert "o.duckdb" in str(error) and "room" in str(error), error
    print("away after", i)
"""
        found = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=100
        )
        assert found.stdout.startswith("away after"), found.stdout + found.stderr
        written = int(found.stdout.split()[2])
        store = DuckDBStore(NAMES, disk / "o.duckdb")
        there = len(store.series("td-1", "intensity", T0, T0 + 10**9).at)
        store.close()
        assert there == written * 5000


@pytest.mark.server
class TestInflux(KeepingContract):
    @pytest.fixture
    def database(self, request: pytest.FixtureRequest) -> str:
        return f"twin{abs(hash(request.node.name)) % 10**9}"

    @pytest.fixture
    def store(self, server: InfluxServer, database: str) -> Store:
        return influx(server, database)

    @pytest.fixture
    def reopen(self, server: InfluxServer, database: str) -> Callable[[], Store]:
        return lambda: influx(server, database)

    def test_the_later_versions_say_422_to_a_poison_line(self, server: InfluxServer, database: str) -> None:
        """A stand-in before the real server that turns its 400 into their 422."""
        front = server.address.url

        def answer(path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
            found = httpx2.request("POST" if body else "GET", front + path, content=body, headers=headers)
            return 422 if found.status_code == 400 else found.status_code, found.content

        with answering(answer) as url:
            address = server.address._replace(url=url, bucket=f"{database}/autogen")
            store = InfluxStore(NAMES, **address._asdict(), timeout_s=10)
            good = [seen("td-2", T0 + i * MINUTE, intensity=float(i)) for i in range(50)]
            poison = [Observation("td-1", T0 + i, {"intensity": "oops"}, T0) for i in range(3)]
            written = store.write([*good[:20], *poison, *good[20:]])
            assert (written.accepted, [o for o, _ in written.rejected]) == (50, poison)
            assert store.write(poison).accepted == 0

    def test_one_poison_line_blocks_no_other(self, store: Store) -> None:
        # The field is a float since the first write; the server refuses text there for ever
        store.write(list(by_minute_of("td-1", 3)))
        poison = Observation("td-1", T0 + 7 * MINUTE, {"intensity": "oops"}, T0)
        good = [seen("td-2", T0 + i * MINUTE, intensity=float(i)) for i in range(50)]
        written = store.write([*good[:20], poison, *good[20:]])
        assert written.accepted == 50
        [(o, why)] = written.rejected
        assert o is poison
        assert "invalid" in why or "unable to parse" in why or "type conflict" in why
        assert len(store.series("td-2", "intensity", T0, T0 + 99 * MINUTE).at) == 50


def by_minute_of(device: str, n: int) -> Iterator[Observation]:
    return (seen(device, T0 + i * MINUTE, intensity=float(i)) for i in range(n))


@contextlib.contextmanager
def answering(answer: Callable[..., tuple[int, bytes]]) -> Iterator[str]:
    """A stand-in for a server: `answer(path)` or `answer(path, body, headers)` gives status and body."""
    whole = len(inspect.signature(answer).parameters) > 1

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            passed = {k: v for k, v in self.headers.items() if k in ("Authorization", "Content-Type")}
            status, said = answer(self.path, body, passed) if whole else answer(self.path)
            self.send_response(status)
            if status != 204:
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            if status != 204:
                self.wfile.write(said)

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.server
class TestAway:
    """A store that is away says so within its time-out, whatever is asked of it, and returns."""

    def every_call(self, store: Store) -> dict[str, Callable[[], object]]:
        return {
            "write": lambda: store.write([seen("td-1", intensity=1.0)]),
            "latest": store.latest,
            "zone": lambda: store.zone(T0),
            "series": lambda: store.series("td-1", "intensity", T0, T0 + 9, points=3),
            "rows": lambda: store.rows(["td-1"], T0, T0 + 9),
            "retain": lambda: store.retain(T0),
            "check": store.check,
        }

    def test_influx_stopped_behind_its_proxy_and_back(self, tmp_path: Path) -> None:
        with influx_behind_nginx(tmp_path) as server:
            store = influx(server, "away", 3)
            store.write([seen("td-1", intensity=1.0)])
            server.stop()
            for name, call in self.every_call(store).items():
                with pytest.raises(StoreAwayError, match="502"):
                    call()
                assert name
            server.start()
            store.write([seen("td-1", intensity=1.0), seen("td-2", intensity=2.0)])
            assert set(store.latest()) == {"td-1", "td-2"}

    def test_a_server_that_comes_later_is_opened_then(self, tmp_path: Path) -> None:
        with influx_behind_nginx(tmp_path) as server:
            server.stop()
            store = influx(server, "later", 3)
            for call in self.every_call(store).values():
                with pytest.raises(StoreAwayError, match="502"):
                    call()
            server.start()
            store.write([seen("td-1", intensity=1.0)])
            assert set(store.latest()) == {"td-1"}

    def test_something_that_says_yes_to_everything_has_stored_nothing(self) -> None:
        """A portal or a proxy that answers 200 is no InfluxDB, whose answer to a write is 204."""
        with answering(lambda _: (200, b'{"results":[{}]}')) as url:
            store = InfluxStore(NAMES, url=url, org="x", bucket="x/y", timeout_s=2)
            with pytest.raises(StoreAwayError, match=r"answers a write with 200.*store\.url"):
                store.write([seen("td-1", intensity=1.0)])

    def test_a_refusal_of_everything_is_no_refusal_of_each_line(self) -> None:
        def answer(path: str) -> tuple[int, bytes]:
            return (200, b'{"results":[{}]}') if "query" in path else (400, b'{"error": "no tenant in this request"}')

        with answering(answer) as url:
            store = InfluxStore(NAMES, url=url, org="x", bucket="x/y", timeout_s=2)
            with pytest.raises(StoreAwayError, match="400"):
                store.write([seen("td-1", T0 + i, intensity=1.0) for i in range(100)])

    def test_nothing_listens(self) -> None:
        with pytest.raises(StoreAwayError, match=r"does not answer.*store\.url"):
            InfluxStore(NAMES, url=f"http://127.0.0.1:{free_port()}", org="x", bucket="x/y", timeout_s=2).check()

    def test_something_accepts_and_never_answers(self) -> None:
        with socket.socket() as hole:
            hole.bind(("127.0.0.1", 0))
            hole.listen(16)
            url = f"http://127.0.0.1:{hole.getsockname()[1]}"
            store = InfluxStore(NAMES, url=url, org="x", bucket="x/y", timeout_s=1)
            begun = time.monotonic()
            with pytest.raises(StoreAwayError, match="does not answer within 1 s"):
                store.check()
            assert time.monotonic() - begun < 30

    def test_a_server_that_is_no_influxdb(self) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen(4)

            def greet() -> None:
                client, _ = other.accept()
                client.recv(4096)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
                client.close()

            threading.Thread(target=greet, daemon=True).start()
            with pytest.raises(StoreAwayError, match=r"not InfluxDB's.*store\.url"):
                InfluxStore(
                    NAMES, url=f"http://127.0.0.1:{other.getsockname()[1]}", org="x", bucket="x/y", timeout_s=2
                ).check()


readings = st.builds(
    lambda d, at, v: (d, T0 + at * 1000, {"intensity": float(v)}),
    st.sampled_from(["td-1", "td-2"]),
    st.integers(0, 6),
    st.integers(0, 2),
)
# Batches arrive one after another: what comes later was received later
histories = st.lists(st.lists(readings, max_size=5), max_size=5)


def compare(store: Store, history: list[list[tuple[str, int, dict[str, float]]]]) -> None:
    plain = MemoryStore(NAMES)
    received = T0 + 100_000
    for batch in history:
        arrived = []
        for device_id, at, values in batch:
            received += 7
            arrived.append(Observation(device_id, at, values, received))
        assert store.write(arrived) == plain.write(arrived)
    assert store.latest() == plain.latest()
    for known in (None, T0 + 100_020, T0 + 100_060):
        for at in range(T0, T0 + 8_000, 1_500):
            assert store.zone(at, known=known) == plain.zone(at, known=known)
        both = ["td-1", "td-2"]
        assert {d: store.rows([d], T0, T0 + 5_000, known=known) for d in both} == {
            d: plain.rows([d], T0, T0 + 5_000, known=known) for d in both
        }
        for name in both:
            for points in (None, 3):
                a, b = (s.series(name, "intensity", T0, T0 + 7_000, points=points, known=known) for s in (store, plain))
                assert (a.at.tolist(), a.mean.tolist(), a.low.tolist(), a.high.tolist(), a.count.tolist()) == (
                    b.at.tolist(),
                    b.mean.tolist(),
                    b.low.tolist(),
                    b.high.tolist(),
                    b.count.tolist(),
                )


@given(histories)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_duckdb_agrees_with_memory_on_any_history(
    tmp_path: Path, history: list[list[tuple[str, int, dict[str, float]]]]
) -> None:
    path = tmp_path / f"{os.urandom(6).hex()}.duckdb"
    store = DuckDBStore(NAMES, path)
    try:
        compare(store, history)
    finally:
        store.close()
        path.unlink()


@pytest.mark.server
@given(histories)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_influx_agrees_with_memory_on_any_history(
    server: InfluxServer, history: list[list[tuple[str, int, dict[str, float]]]]
) -> None:
    compare(influx(server, f"history{os.urandom(6).hex()}"), history)
