"""Replay over HTTP on a real application, and a sensor network that fails for an hour and a half (S07) seen again."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fastapi.testclient import TestClient

from dashboards import node as nodes
from dashboards.app import build
from ingest.decode import Decoder
from ingest.engine import Engine
from ingest.watch import Watch
from tests.scenarios.played import REGISTRY, arrivals, play
from tests.zone import PREFIX
from twin import kpi, replay
from twin.alerts import Kind
from twin.clock import DAY, HOUR, MINUTE, SECOND, ManualClock
from twin.ledger import Ledger, alarms, rules, sqlite_url
from twin.past import Past
from twin.replay import Span, View
from twin.settings import Engine as EngineSettings
from twin.settings import load
from twin.snapshot import U8, UNKNOWN
from twin.store.duckdb import DuckDBStore

LOOKS = 5 * MINUTE


class Lost:
    """S07 as the engine lived it: `shown` by the time of each look."""

    def __init__(self, folder: Path) -> None:
        played = play("S07")
        self.begin = played.scenario.start - 10 * MINUTE
        self.end = played.scenario.over
        self.devices = next(f for f in played.facts if f.devices).devices
        self.gateways = {REGISTRY[d].gateway for d in self.devices} - {""}
        self.store = DuckDBStore(REGISTRY, folder / "observations.duckdb")
        self.ledger = Ledger(sqlite_url(folder / "ledger.sqlite"))
        self.shown: dict[int, tuple[U8, U8, kpi.Indicators]] = {}
        self._live(played.scenario.start, played.scenario.start + 95 * MINUTE)

    def _live(self, lost: int, back: int) -> None:
        found = [o for o in arrivals("S07") if self.begin - 5 * MINUTE <= o.received <= self.end]
        self.store.write(found)
        decoder = Decoder(REGISTRY, prefix=PREFIX, past=DAY)
        watch = Watch(REGISTRY, self.ledger, self.begin - 5 * MINUTE)
        engine = Engine(REGISTRY, decoder, EngineSettings(), prefix=PREFIX, now=self.begin - 5 * MINUTE, watch=watch)
        words = {lost: b"offline", back: b"online"}
        heard = iter(found)
        one = next(heard, None)
        for now in range(self.begin, self.end, LOOKS):
            for at in [at for at in words if at <= now]:
                for gateway in self.gateways:
                    engine.feed(f"{PREFIX}/gateway/{gateway}/status", words[at], at)
                del words[at]
            while one is not None and one.received <= now:
                engine.snapshot.fold(one)
                watch.step(one)
                engine.hours.fold(one)
                one = next(heard, None)
            told = {p.topic.rsplit("/", 1)[1]: p.payload for p in engine.tick(now)}
            value, status = engine.snapshot.bytes_at(now)
            self.shown[now] = value, status, msgspec.json.decode(told["indicators"], type=kpi.Indicators)


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lost]:
    made = Lost(tmp_path_factory.mktemp("lost"))
    yield made
    made.ledger.close()
    made.store.close()


@pytest.fixture(scope="module")
def client(lost: Lost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("data")
    url = f"sqlite:///{lost.ledger.engine.url.database}"
    settings = load(environ={"GAOXIN_DATA": str(folder), "GAOXIN_BROKER__PORT": "1", "GAOXIN_LEDGER__URL": url})
    node = nodes.Node(settings, REGISTRY, lost.store, ManualClock(lost.end + DAY), ingest=False, engine=False)
    node.store.close = lambda: None  # type: ignore[method-assign]  # the history is the module's
    with TestClient(build(node)) as made:
        yield made


def span(lost: Lost, **more: Any) -> dict[str, Any]:
    return {"from": lost.begin, "to": lost.begin + HOUR, **more}


def test_a_lost_sensor_network_is_seen_again_as_it_was(lost: Lost) -> None:
    past = Past(REGISTRY, lost.store, lost.ledger, grace=3.0, ahead=300 * SECOND)
    chunk = past.chunk(View.THEN, Span(lost.begin, lost.end, SECOND))
    dark = [REGISTRY.index[d] for d in lost.devices if REGISTRY[d].gateway]
    for at, (value, status, _) in lost.shown.items():
        found = chunk.frame((at - lost.begin) // SECOND)
        assert (found[0].tolist(), found[1].tolist()) == (value.tolist(), status.tolist())
    halfway = chunk.frame(3_600)[0]
    assert (halfway[dark] == UNKNOWN).all()
    grouping = kpi.Grouping(REGISTRY)
    for moment in past.moments(View.THEN, Span(lost.begin, lost.end, LOOKS)):
        indicators = kpi.indicators(grouping, moment.zone, moment.hours, moment.at)
        assert msgspec.json.decode(msgspec.json.encode(indicators), type=kpi.Indicators) == lost.shown[moment.at][2]


def test_what_the_gateways_had_kept_is_known_now(lost: Lost) -> None:
    past = Past(REGISTRY, lost.store, lost.ledger, grace=3.0, ahead=300 * SECOND)
    at = lost.begin + 40 * MINUTE
    late = [d.device for d in past.differences(at) if "late" in d.why and d.shown]
    assert set(late) >= {d for d in lost.devices if REGISTRY[d].gateway}


def test_frames_over_http_are_the_chunk(lost: Lost, client: TestClient) -> None:
    answer = client.get("/api/v1/replay/frames", params=span(lost, step=10))
    assert answer.status_code == 200
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    chunk = replay.decode(answer.content)
    assert (chunk.digest, chunk.span) == (REGISTRY.digest, Span(lost.begin, lost.begin + HOUR, 10 * SECOND))
    value, status, _ = lost.shown[lost.begin + 10 * MINUTE]
    assert [p.tolist() for p in chunk.frame(60)] == [value.tolist(), status.tolist()]
    again = client.get(
        "/api/v1/replay/frames", params=span(lost, step=10), headers={"If-None-Match": answer.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


def test_the_wall_over_http(lost: Lost, client: TestClient) -> None:
    found = client.get("/api/v1/replay/views", params=span(lost, step=300, lang="en")).json()
    assert [v["at"] for v in found] == list(range(lost.begin, lost.begin + HOUR, LOOKS))
    assert found[0]["view"]["at"] == lost.begin
    assert int(found[9]["view"]["silent"]["count"]) == lost.shown[lost.begin + 45 * MINUTE][2].unknown
    assert found[9]["view"]["alarms"]["rows"][0]["cells"][0] != "No alarms"


def test_the_time_line_tells_what_happened(lost: Lost, client: TestClient) -> None:
    line = client.get("/api/v1/replay/timeline", params={"from": lost.begin, "to": lost.end}).json()
    buckets = len(line["at"])
    assert {len(counts) for part in ("density", "unknown") for counts in line[part].values()} == {buckets}
    assert {g["gateway"] for g in line["gateways"]} == lost.gateways
    assert all(g["end"] - g["begin"] >= 90 * MINUTE for g in line["gateways"])
    with lost.ledger.reading() as connection:
        raised = [t for t in alarms.transitions(connection, 0, lost.end) if t.kind is Kind.RAISED]
        version = rules.latest(connection)
    assert line["told"] == len(line["transitions"])
    assert sum(t["kind"] == "raised" for _, t in line["transitions"]) == len(raised) > 0
    assert [v["version"] for v in line["versions"]] == [version]
    assert max(sum(counts) for counts in line["alarms"]) > 0


def test_exact_values_and_differences_over_http(lost: Lost, client: TestClient) -> None:
    device = next(d for d in lost.devices if REGISTRY[d].gateway)
    at = lost.begin + 40 * MINUTE
    asked = {"at": at, "devices": device}
    then, now = (
        client.get("/api/v1/replay/values", params={**asked, "view": v}).json()["devices"][0] for v in ("then", "now")
    )
    assert (then["state"], now["state"]) == ("unknown", "known")
    assert then["observation"]["at"] < now["observation"]["at"] <= at
    found = client.get("/api/v1/replay/differences", params={"at": at}).json()["devices"]
    assert "late" in next(d["why"] for d in found if d["device"] == device)


def test_how_far_the_past_goes(lost: Lost, client: TestClient) -> None:
    found = client.get("/api/v1/replay/extent").json()
    assert lost.begin - HOUR < found["from"] <= lost.begin
    assert found["to"] == lost.end + DAY


def test_rules_run_again_on_the_past(lost: Lost, client: TestClient) -> None:
    rule = {
        "id": "any-speed",
        "name": "Any speed",
        "when": [{"metric": "averageVehicleSpeed", "condition": "above", "blue": 0.5}],
        "scope": {"kinds": ["link-detector"]},
    }
    asked = {"from": str(lost.begin), "to": str(lost.begin + HOUR)}
    drafted = client.post("/api/v1/replay/rerun", json={**asked, "rules": [rule]}).json()
    raised = {t["subject"] for t in drafted["transitions"] if t["kind"] == "raised"}
    assert raised == {d.id for d in REGISTRY if d.kind == "link-detector"}
    of_version = client.post("/api/v1/replay/rerun", json={**asked, "version": 1}).json()
    assert of_version["version"] == 1


@pytest.mark.parametrize(
    ("path", "wrong", "says"),
    [
        ("frames", {"to": "1792540800000"}, "must be before"),
        ("frames", {"step": "0.5"}, "1 to 86400"),
        ("frames", {"view": "later"}, "view"),
        ("frames", {"from": "yesterday"}, "RFC 3339"),
        ("frames", {"from": "253402300000000", "to": "253402300001000"}, "future"),
        ("frames", {"from": "0", "step": "1"}, "at most 3600"),
        ("frames", {"from": "1600000000000", "step": "60000"}, "too much for one answer"),
        ("views", {"step": "1"}, "at most 240"),
        ("timeline", {"from": "0"}, "31 days"),
        ("values", {"at": "253402300000000"}, "future"),
        ("values", {"devices": "nobody"}, "nobody"),
    ],
)
def test_what_is_wrong_is_said(lost: Lost, client: TestClient, path: str, wrong: dict[str, str], says: str) -> None:
    good = {"at": str(lost.begin)} if path == "values" else {"from": str(lost.begin), "to": str(lost.begin + HOUR)}
    answer = client.get(f"/api/v1/replay/{path}", params=good | wrong)
    assert answer.status_code in (404, 422)
    assert says in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"version": 1, "rules": []}, "either version or rules"),
        ({"version": 999}, "999"),
        ({"rules": [{"id": "x"}]}, "rules"),
    ],
)
def test_a_wrong_rerun_is_refused(lost: Lost, client: TestClient, body: dict[str, Any], says: str) -> None:
    asked = {"from": str(lost.begin), "to": str(lost.begin + HOUR)}
    answer = client.post("/api/v1/replay/rerun", json={**asked, **body})
    assert answer.status_code in (404, 422)
    assert says in answer.json()["error"]


def test_a_chunk_is_smaller_on_the_way(lost: Lost, client: TestClient) -> None:
    plain = client.get("/api/v1/replay/frames", params=span(lost), headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert len(gzip.compress(plain.content, 6)) < len(plain.content) / 2
