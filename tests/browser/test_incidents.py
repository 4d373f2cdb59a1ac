"""An incident from a drill to a report on a disk without a network: the same numbers, and a changed byte is told."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.visit import PATIENCE_MS, SHOTS, Visit, signed_in
from tests.drill import Drill, play
from tests.servers import Up, up
from twin.clock import HOUR, local

pytestmark = [pytest.mark.server, pytest.mark.browser]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Up, Drill]]:
    folder = tmp_path_factory.mktemp("drill")
    (folder / "data").mkdir()
    drill = play(folder / "data")
    with up(folder, GAOXIN_SIMULATE__HISTORY_H="0") as made:
        yield made, drill


@pytest.fixture(scope="module")
def operator(played: tuple[Up, Drill]) -> Iterator[httpx2.Client]:
    client = played[0].client("operator")
    yield client
    client.close()


@pytest.fixture(scope="module")
def incident(played: tuple[Up, Drill], operator: httpx2.Client) -> dict[str, Any]:
    made = operator.post("/api/v1/incidents?lang=zh", json={"run": played[1].run})
    assert made.status_code == 201, made.text
    found: dict[str, Any] = made.json()
    said = operator.post(
        f"/api/v1/incidents/{found['id']}/bookmarks", json={"text": "备用冷机投入", "at": found["end"] - HOUR}
    )
    assert said.status_code == 201, said.text
    return found


@pytest.fixture(scope="module")
def file(incident: dict[str, Any], operator: httpx2.Client, tmp_path_factory: pytest.TempPathFactory) -> Path:
    answer = operator.get(f"/api/v1/incidents/{incident['id']}/bundle?lang=zh")
    assert "attachment" in answer.headers["content-disposition"]
    kept = tmp_path_factory.mktemp("report") / "report.html"
    kept.write_bytes(answer.content)
    return kept


def opened(browser: Browser, file: Path) -> Page:
    context = browser.new_context(viewport={"width": 860, "height": 1200}, offline=True)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.complaints = []  # type: ignore[attr-defined]
    page.on("console", lambda m: page.complaints.append(m.text) if m.type == "error" else None)  # type: ignore[attr-defined]
    page.on("pageerror", lambda e: page.complaints.append(str(e)))  # type: ignore[attr-defined]
    page.goto(file.as_uri())
    return page


def gaoxin(twin: Up, *words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "dashboards", "incident", *words]
    return subprocess.run(program, env=twin.env, capture_output=True, text=True, timeout=120, check=False)


def test_an_exported_report_shows_the_same_numbers_with_no_server_and_no_network(
    browser: Browser, played: tuple[Up, Drill], incident: dict[str, Any], operator: httpx2.Client, file: Path
) -> None:
    asked = operator.get(f"/api/v1/incidents/{incident['id']}").json()
    page = opened(browser, file)
    expect(page.locator("#verdict")).to_have_text("数据与导出时一致。")
    assert page.locator("h1").inner_text() == "300P 算力中心冷机失效"
    rows = page.locator("#alarms tbody tr")
    assert [int(r.get_attribute("data-alarm") or 0) for r in rows.all()] == [a["id"] for a in asked["alarms"]]
    assert len(asked["alarms"]) >= 2
    for row, alarm in zip(rows.all(), asked["alarms"], strict=True):
        assert f"{local(alarm['opened']):%m-%d %H:%M:%S}" in row.inner_text()
    first = next(r for r in rows.all() if r.get_attribute("data-alarm") == str(played[1].acknowledged))
    assert "li，3 分 0 秒后" in first.inner_text()
    # The peaks are those of the store, asked for by another way
    shown = page.locator("#values tbody tr")
    assert shown.count() == len(asked["figures"]) >= 4
    for row, figures in zip(shown.all(), asked["figures"], strict=True):
        span = {"from": incident["begin"], "to": incident["end"]}
        history = operator.get(
            "/api/v1/history", params={"device": figures["device"], "metric": figures["metric"], **span}
        ).json()
        assert figures["high"]["value"] == max(history["high"])
        assert figures["low"]["value"] == min(history["low"])
        peak = history["at"][history["high"].index(max(history["high"]))]
        text = row.inner_text()
        assert figures["device"] in text
        assert f"{local(peak):%m-%d %H:%M:%S}" in text
    hottest = max(f["high"]["value"] for f in asked["figures"] if f["metric"] == "inletTemperature")
    assert f"{hottest:.1f} ℃" in page.locator("#values").inner_text()
    assert page.locator("svg.chart").count() == len(asked["figures"])
    assert page.locator("svg.map").count() == 4  # begin, worst, bookmark, end
    assert "备用冷机投入" in page.locator(".maps").inner_text()
    assert "模拟数据" in page.locator(".notice").inner_text()
    with page.expect_download() as download:
        page.get_by_role("button", name="下载观测数据").click()
    saved = download.value.path().read_text(encoding="utf-8-sig")
    assert saved == operator.get(f"/api/v1/incidents/{incident['id']}/data.csv").text
    page.screenshot(path=SHOTS / "incident-report.png", full_page=True)
    assert page.complaints == []  # type: ignore[attr-defined]
    assert len(file.read_bytes()) < 5_000_000
    page.context.close()


def test_a_changed_byte_is_told_by_the_page_and_by_the_command(
    browser: Browser, played: tuple[Up, Drill], file: Path, tmp_path: Path
) -> None:
    twin = played[0]
    sound = gaoxin(twin, "verify", str(file))
    assert sound.returncode == 0, sound.stderr
    assert "says what the data say" in sound.stdout
    assert "exported by the-operator" in sound.stdout
    text = file.read_text(encoding="utf-8")
    at = text.index("sv-001,2026")
    forged = tmp_path / "forged.html"
    forged.write_text(text[:at] + text[at:].replace("2026", "2025", 1), encoding="utf-8")
    page = opened(browser, forged)
    expect(page.locator("#verdict")).to_have_text("数据与导出时不一致！")
    page.context.close()
    told = gaoxin(twin, "verify", str(forged))
    assert told.returncode == 1
    assert "not as they were exported" in told.stderr
    # Data whole, but what is to be read was changed
    forged.write_text(text.replace("<h1>300P", "<h1>900P", 1), encoding="utf-8")
    told = gaoxin(twin, "verify", str(forged))
    assert told.returncode == 1
    assert "differs from what the data say" in told.stdout


def test_the_data_come_in_other_forms_too(incident: dict[str, Any], operator: httpx2.Client, tmp_path: Path) -> None:
    base = f"/api/v1/incidents/{incident['id']}"
    lines = operator.get(f"{base}/data.csv").text.splitlines()
    (tmp_path / "data.parquet").write_bytes(operator.get(f"{base}/data.parquet").content)
    table = pq.read_table(tmp_path / "data.parquet")
    assert table.num_rows == len(lines) - 1
    assert set(table.column_names) == set(lines[0].split(","))
    features = operator.get(f"{base}/data.geojson").json()["features"]
    assert {f["id"] for f in features} == set(table["device"].to_pylist())
    assert any(f["properties"]["alarms"] for f in features)


def test_a_report_is_taken_in_elsewhere_without_a_reading_entering_the_store(
    played: tuple[Up, Drill], incident: dict[str, Any], operator: httpx2.Client, file: Path
) -> None:
    before = operator.get("/api/v1/devices/sv-001").json()["observation"]
    made = operator.post("/api/v1/incidents/import", content=file.read_bytes())
    assert made.status_code == 201, made.text
    taken = made.json()
    assert (taken["origin"], taken["title"]) == ("import", incident["title"])
    assert taken["source"] in file.read_text(encoding="utf-8")
    again = operator.get(f"/api/v1/incidents/{taken['id']}/report.html?lang=zh").text
    assert again == file.read_text(encoding="utf-8")
    assert operator.get("/api/v1/devices/sv-001").json()["observation"]["at"] >= before["at"]
    assert operator.post("/api/v1/incidents/import", content=file.read_bytes()).status_code == 409
    assert operator.post("/api/v1/incidents/import", content=b"<html>").status_code == 422
    assert operator.post(f"/api/v1/incidents/{taken['id']}/notes", json={"text": "x"}).status_code == 409


def test_who_may_not_is_refused(played: tuple[Up, Drill], incident: dict[str, Any]) -> None:
    for role, status in (("viewer", 403), (None, 401)):
        client = played[0].client(role)
        assert client.get(f"/api/v1/incidents/{incident['id']}").status_code == 200
        assert client.post("/api/v1/incidents", json={"alarms": [1]}).status_code == status
        assert client.patch(f"/api/v1/incidents/{incident['id']}", json={"title": "x"}).status_code == status
        client.close()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"alarms": [999]}, 404),
        ({"alarms": []}, 422),
        ({"run": "S99-0"}, 422),
        ({"begin": "soon"}, 422),
        ({"begin": 2_000, "end": 1_000}, 422),
        ({"level": "pink"}, 422),
        ({"colour": "red"}, 422),
    ],
)
def test_what_is_no_incident_is_told(operator: httpx2.Client, body: dict[str, Any], status: int) -> None:
    answer = operator.post("/api/v1/incidents", json=body)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_the_page_makes_one_from_alarms_and_works_on_it(browser: Browser, played: tuple[Up, Drill]) -> None:
    twin, drill = played
    cookies = signed_in(browser, twin, "operator")
    ids = ",".join(map(str, drill.alarms))
    visit = Visit(browser, f"{twin.url}/incidents?new=alarms:{ids}", cookies=cookies)
    page = visit.page
    page.get_by_role("button", name="由这些告警新建").click()
    expect(page.locator("#incidents-title")).to_have_value("冷通道超温 · 算力中心片区 等，另有 3 项")
    page.locator("#incidents-causes").fill("冷机控制电源掉电")
    page.locator("#incidents-title").fill("冷机停机")
    page.get_by_role("button", name="保存").click()
    expect(page.locator(".incidents-card[aria-current] b")).to_have_text("冷机停机")
    page.locator("#incidents-note").fill("已核对控制回路")
    page.get_by_role("button", name="加记录").click()
    expect(page.locator(".incidents-note .incidents-what")).to_have_text("已核对控制回路")
    page.locator("#incidents-begin").fill("昨天")
    page.get_by_role("button", name="保存").click()
    expect(page.locator("#incidents-said")).to_contain_text("未执行")
    page.get_by_role("button", name="结束事件").click()
    expect(page.locator(".incidents-card[aria-current]")).to_contain_text("关闭")
    page.screenshot(path=SHOTS / "incidents.png")
    page.locator("#incidents-text").fill("控制回路")
    expect(page.locator(".incidents-card")).to_have_count(1)
    assert visit.complaints == []
    page.close()


def test_a_viewer_looks_and_changes_nothing(
    browser: Browser, played: tuple[Up, Drill], incident: dict[str, Any]
) -> None:
    visit = Visit(browser, f"{played[0].url}/incidents?incident={incident['id']}&lang=en")
    expect(visit.page.locator("#incidents-title")).to_be_disabled()
    assert visit.page.get_by_role("button", name="Save").count() == 0
    assert "sign in as an operator" in visit.page.locator(".incidents-side").inner_text()
    visit.page.screenshot(path=SHOTS / "incidents-en.png")
    visit.page.close()
