"""The page of scenarios in a real browser on the real twin: what is begun there is played, told and recorded."""

import subprocess
import sys
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Request, Route

from tests.browser.visit import SHOTS, Visit, signed_in
from tests.servers import Up, wait_until

pytestmark = [pytest.mark.server, pytest.mark.browser]

JSON = {"Content-Type": "application/json"}


def ask(twin: Up, scenario: str, do: str, **how: Any) -> httpx2.Response:
    return twin.client("operator").post(f"/api/v1/scenarios/{scenario}/{do}", json=how)


def facts(twin: Up) -> list[dict[str, Any]]:
    found = httpx2.get(f"{twin.url}/api/v1/truth", timeout=20).json()["facts"]
    assert isinstance(found, list)
    return found


def gaoxin(twin: Up, *words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "dashboards", "scenario", *words]
    return subprocess.run(program, env=twin.env, capture_output=True, text=True, timeout=60, check=False)


def test_a_scenario_is_begun_seen_and_stopped(browser: Browser, twin: Up) -> None:
    visit = Visit(browser, f"{twin.url}/scenarios", cookies=signed_in(browser, twin, "operator"))
    card = visit.page.locator(".scenarios-card", has_text="S12")
    card.get_by_role("button", name="现在开始").click()
    wait_until(lambda: "scenarios-playing" in str(card.get_attribute("class")), "S12 is played")
    wait_until(lambda: "路侧车道被占" in visit.page.locator("#scenarios-facts").inner_text(), "its facts are told")
    visit.page.screenshot(path=SHOTS / "scenarios.png")
    wall = Visit(browser, twin.url)
    wait_until(lambda: "演练：电竞赛散场" in wall.page.locator(".wall-simulated").inner_text(), "the wall says so")
    assert "E-sports final lets out" in gaoxin(twin, "status").stdout
    assert ask(twin, "S12", "play").status_code == 409
    card.get_by_role("button", name="停止").click()
    wait_until(lambda: "scenarios-playing" not in str(card.get_attribute("class")), "it is stopped")
    assert visit.complaints == []
    audit = [line.split()[3:] for line in twin.gaoxin("audit", "show", "--action", "drill.").splitlines()]
    assert audit == [
        ["the-operator", "drill.play", "scenario", "S12"],
        ["the-operator", "drill.stop", "scenario", "S12"],
    ]


@pytest.mark.parametrize(("role", "words"), [(None, "登录"), ("viewer", "角色")])
def test_who_may_only_look_is_not_offered_to_play(browser: Browser, twin: Up, role: str | None, words: str) -> None:
    visit = Visit(browser, f"{twin.url}/scenarios", cookies=signed_in(browser, twin, role) if role else None)
    button = visit.page.locator(".scenarios-card", has_text="S12").get_by_role("button", name="现在开始")
    button.wait_for()
    assert button.is_disabled()
    assert words in visit.page.locator("#scenarios-said").inner_text()
    assert visit.complaints == []


def test_the_callback_refuses_what_the_page_does_not_offer(browser: Browser, twin: Up) -> None:
    """An operator's click, held back on its way, is sent by others in their own name."""
    visit = Visit(browser, f"{twin.url}/scenarios", cookies=signed_in(browser, twin, "operator"))

    def is_click(request: Request) -> bool:
        return '"output":"scenarios-said.children"' in (request.post_data or "")

    def hold(route: Route) -> None:
        if is_click(route.request):
            route.abort()
        else:
            route.continue_()

    visit.page.route("**/_dash-update-component*", hold)
    button = visit.page.locator(".scenarios-card", has_text="S12").get_by_role("button", name="现在开始")
    with visit.page.expect_request(is_click) as sent:
        button.click()
    held = sent.value.post_data
    assert held
    visit.page.close()
    for role, words in ((None, "请先登录"), ("viewer", "the-viewer 无权")):
        said = twin.client(role).post("/_dash-update-component", content=held, headers=JSON)
        assert words in said.json()["response"]["scenarios-said"]["children"]
    assert "S12" not in gaoxin(twin, "status").stdout


def test_the_ground_truth_is_in_the_ledger(twin: Up) -> None:
    done = gaoxin(twin, "play", "S12")
    assert done.returncode == 0, done.stderr
    wait_until(lambda: any(f["scenario"] == "S12" for f in facts(twin)), "the facts are recorded")
    told = [f for f in facts(twin) if f["scenario"] == "S12"]
    newest = max(told, key=lambda f: f["began"])
    assert gaoxin(twin, "stop").returncode == 0

    def cut() -> bool:
        """What had not begun never was; what had begun ended early."""
        left = [f for f in facts(twin) if (f["run"], f["what"]) == (newest["run"], newest["what"])]
        return all(f["ended"] < newest["ended"] for f in left)

    wait_until(cut, "what was stopped is over in the ledger too")


@pytest.mark.parametrize(
    ("scenario", "do", "how", "status", "words"),
    [
        ("S99", "play", {}, 409, "Known: S01"),
        ("S03", "play", {"at": "noon", "speed": 60}, 409, "15:20"),
        ("S03", "play", {"speed": 60}, 409, "time of day"),
        ("S03", "play", {"at": "15:20", "speed": 0}, 422, "speed"),
        ("S03", "play", {"when": "now"}, 422, "when"),
        ("S03", "stop", {}, 409, "not played"),
        ("S03", "explode", {}, 422, "do"),
    ],
)
def test_what_cannot_be_played_is_told(
    twin: Up, scenario: str, do: str, how: dict[str, Any], status: int, words: str
) -> None:
    answer = ask(twin, scenario, do, **how)
    assert answer.status_code == status
    assert words in answer.json()["error"]


def test_without_a_simulator_the_command_says_so(twin: Up) -> None:
    env = twin.env | {"GAOXIN_BROKER__PREFIX": "elsewhere/v1"}
    program = [sys.executable, "-m", "dashboards", "scenario", "status"]
    done = subprocess.run(program, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "no simulator answers" in done.stderr
    assert "Traceback" not in done.stderr
