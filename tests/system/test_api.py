"""The HTTP interface on a real application with a store in memory; no broker is there, and it says so."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from dashboards import node as nodes
from dashboards import opening
from dashboards.app import build
from tests.zone import T0
from twin.clock import ManualClock
from twin.observation import Observation
from twin.settings import load
from twin.store.memory import MemoryStore

NOW = T0 + 3_600_000
REGISTRY = opening.read_registry(load(environ={}))
TD = next(d for d in REGISTRY if d.kind == "link-detector")
AQ = next(d for d in REGISTRY if d.kind == "air-station")
AIR = {"pm25": 80.0, "pm10": 20.0, "so2": 5.0, "no2": 20.0, "co": 0.5, "o3": 60.0}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    settings = load(environ={"GAOXIN_DATA": str(tmp_path_factory.mktemp("data")), "GAOXIN_BROKER__PORT": "1"})
    store = MemoryStore(REGISTRY)
    store.write(
        [
            Observation(TD.id, T0 + i * 60_000, {"averageVehicleSpeed": 30.0 + i}, T0 + i * 60_000 + 80)
            for i in range(60)
        ]
        + [Observation(TD.id, T0 + 30_000, {"averageVehicleSpeed": 7.0}, NOW - 10)]
        + [Observation(AQ.id, T0 + i * 60_000, AIR, T0 + i * 60_000 + 80) for i in range(60)]
    )
    node = nodes.Node(settings, REGISTRY, store, ManualClock(NOW), ingest=False, engine=False)
    with TestClient(build(node)) as made:
        yield made


def test_it_lives_and_says_what_keeps_it_from_work(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["troubles"] == ["web: not connected to the broker"]


def test_metrics_are_prometheus_text(client: TestClient) -> None:
    text = client.get("/metrics").text
    assert "# TYPE gaoxin_messages_received_total counter" in text


def test_devices_in_both_languages(client: TestClient) -> None:
    zh, en = (client.get("/api/v1/devices", params={"lang": lang}).json() for lang in ("zh", "en"))
    assert len(zh["devices"]) == len(REGISTRY)
    assert zh["digest"] == REGISTRY.digest
    assert [d["index"] for d in zh["devices"]] == list(range(len(REGISTRY)))
    assert zh["kinds"]["link-detector"]["bands"][0] == {"label": "畅通", "colour": "#16c784"}
    assert en["kinds"]["link-detector"]["bands"][0]["label"] == "Free-flowing"
    assert zh["simulated"] is True


def test_one_device_with_exact_values(client: TestClient) -> None:
    body = client.get(f"/api/v1/devices/{TD.id}").json()
    assert body["observation"]["values"] == {"averageVehicleSpeed": 89.0}
    assert body["state"] == "known"
    assert body["device"]["districtName"]


def test_the_state_now_and_then(client: TestClient) -> None:
    def speed(**params: str) -> float:
        [one] = [d for d in client.get("/api/v1/state", params=params).json()["devices"] if d["device"] == TD.id]
        return float(one["observation"]["values"]["averageVehicleSpeed"])

    assert speed() == 89.0
    moment = str(T0 + 45_000)
    assert speed(at=moment, view="then") == 30.0
    assert speed(at=moment, view="now") == 7.0
    assert speed(at="2026-10-21T08:00:45+08:00", view="now") == 7.0


def test_the_state_has_the_air_of_the_last_complete_hour(client: TestClient) -> None:
    def air(at: int) -> dict[str, Any]:
        found: dict[str, Any] = client.get("/api/v1/state", params={"at": str(at), "view": "then"}).json()
        return found["indicators"]["air"]

    now = air(NOW)
    assert (now["hour"], now["aqi"], now["primary"], now["stations"]) == (T0, 119, ["pm25"], 1)
    assert {district for district, aqi in now["districts"].items() if aqi == 119} == {AQ.district}
    assert set(now["districts"].values()) == {119, None}
    assert (air(NOW - 1)["hour"], air(NOW - 1)["aqi"]) == (None, None)


def test_history_raw_and_in_buckets(client: TestClient) -> None:
    where = {"device": TD.id, "metric": "averageVehicleSpeed", "from": str(T0), "to": str(NOW)}
    raw = client.get("/api/v1/history", params=where).json()
    assert len(raw["at"]) == 61
    assert raw["unit"] == "km/h"
    few = client.get("/api/v1/history", params=where | {"points": "6"}).json()
    assert len(few["at"]) == 6
    assert sum(few["count"]) == 61
    assert few["low"][0] == 7.0
    empty = client.get("/api/v1/history", params=where | {"from": str(T0 - 9_000), "to": str(T0 - 1_000)}).json()
    assert empty["at"] == []


@pytest.mark.parametrize(
    "name", ["boundary", "districts", "roads", "links", "river", "buildings", "landuse", "devices"]
)
def test_layers_are_geojson(client: TestClient, name: str) -> None:
    answer = client.get(f"/api/v1/layers/{name}")
    assert answer.headers["content-type"] == "application/geo+json"
    body = answer.json()
    assert body["type"] == "FeatureCollection"
    assert body["features"]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/api/v1/devices/td-nowhere", 404, "td-nowhere"),
        (f"/api/v1/history?device={TD.id}&metric=pue", 422, "averageVehicleSpeed"),
        (f"/api/v1/history?device={TD.id}&metric=intensity&from=yesterday", 422, "RFC 3339"),
        (f"/api/v1/history?device={TD.id}&metric=intensity&from=20&to=10", 422, "before"),
        (f"/api/v1/history?device={TD.id}&metric=intensity&points=0", 422, "1 to"),
        (f"/api/v1/history?device={TD.id}&metric=intensity&points=many", 422, "integer"),
        ("/api/v1/history", 422, "device"),
        ("/api/v1/state?view=later", 422, "then and now"),
        (f"/api/v1/state?at={NOW + 1000}", 422, "future"),
        ("/api/v1/state?at=99999999999999999999", 422, "at"),
        ("/api/v1/layers/rivers", 404, "allowed"),
        ("/api/v1/nothing", 404, "nothing"),
    ],
)
def test_a_wrong_request_is_told_what_was_wrong(client: TestClient, path: str, status: int, words: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
    assert "error" in answer.json()
    assert "Traceback" not in answer.text


def test_the_interface_describes_itself_without_the_internet(client: TestClient) -> None:
    paths = client.get("/api/openapi.json").json()["paths"]
    assert {"/api/v1/devices", "/api/v1/state", "/api/v1/history", "/api/v1/layers/{name}", "/healthz"} <= set(paths)
    page = client.get("/api/docs").text
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    for asset in ("swagger-ui.js", "swagger-ui.css"):
        assert client.get(f"/assets/vendor/{asset}").status_code == 200


def test_the_docs_list_every_path(client: TestClient) -> None:
    text = (Path(__file__).parents[2] / "docs" / "integrators.md").read_text(encoding="utf-8")
    for path, methods in client.get("/api/openapi.json").json()["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}`" in text, path
