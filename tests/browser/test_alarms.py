"""The alarms page in a real browser on the real twin, as those on duty use it, and as somebody who may only look."""

import json

import httpx2
import pytest
from paho.mqtt import publish
from playwright.sync_api import Browser, Page

from tests.browser.visit import PATIENCE_MS, SHOTS
from tests.people import COOKIE, commit, sign_in
from tests.servers import Up, wait_until
from twin.access import Role
from twin.clock import SystemClock
from twin.rules import Condition, Rule, Scope, Term

pytestmark = [pytest.mark.server, pytest.mark.browser]

RULE = Rule(
    id="t-page",
    name="页面试验大风",
    when=(Term(metric="windSpeed", condition=Condition.ABOVE, red=60.0, band=1.0),),
    scope=Scope(kinds=("weather-station",)),
    message="{name} 风速 {value} {unit}，阈值 {threshold}",
    runbook="撤离高处作业人员",
    clear_after_s=3_600,  # the station itself goes on saying once a minute that it is calm
    grace_s=86_400,
)


def opened(browser: Browser, twin: Up, token: str, path: str) -> Page:
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    context.add_cookies([{"name": COOKIE, "value": token, "url": twin.url}])
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(f"{twin.url}{path}")
    return page


def storm(twin: Up) -> str:
    """A reading that raises the alarm, of the station whose id is returned."""
    devices = httpx2.get(f"{twin.url}/api/v1/devices").json()["devices"]
    station = next(d for d in reversed(devices) if d["kind"] == "weather-station")
    payload = json.dumps({"at": SystemClock().now(), "values": {"windSpeed": 61.5}})
    publish.single(f"gaoxin/v1/environment/{station['id']}/obs", payload, 1, False, "127.0.0.1", twin.broker_port)
    return str(station["id"])


def test_an_alarm_is_seen_and_worked_on(browser: Browser, twin: Up) -> None:
    operator, viewer = sign_in(twin, "赵值班", Role.OPERATOR), sign_in(twin, "钱浏览", Role.VIEWER)
    commit(twin, RULE)

    def found() -> list[dict[str, object]]:
        listed: list[dict[str, object]] = httpx2.get(f"{twin.url}/api/v1/alarms", params={"rule": RULE.id}).json()[
            "alarms"
        ]
        return listed

    def raised() -> bool:
        storm(twin)
        return bool(found())

    wait_until(raised, "the alarm is raised")
    alarm = found()[0]

    # The wall says it, and leads to the device
    wall = opened(browser, twin, operator, "/")
    row = wall.locator(".alarm-rows .row", has_text=RULE.name)
    row.first.wait_for()
    wall.screenshot(path=SHOTS / "wall-alarm.png", timeout=120_000)
    row.first.click()
    wall.locator("#wall-detail").wait_for(state="visible")
    wall.context.close()

    # The list, then the alarm with what is to be done
    page = opened(browser, twin, operator, "/alarms")
    line = page.locator(".ag-row", has_text=RULE.name).first
    line.wait_for()
    line.locator("[col-id=rule]").click()
    detail = page.locator("#alarm-detail")
    detail.get_by_text(RULE.runbook).wait_for()
    page.locator("#alarm-chart canvas").wait_for()

    # A refresh keeps what is being written and what is selected
    line.locator("input[type=checkbox]").first.click()
    page.locator("#alarm-text").fill("已通知现场")
    page.wait_for_timeout(5_000)
    assert page.locator(".ag-row-selected").count() == 1
    assert page.locator("#alarm-text").input_value() == "已通知现场"

    story = page.locator("#alarm-story")
    page.get_by_role("button", name="确认", exact=True).click()
    story.get_by_text("赵值班 确认").wait_for()
    story.get_by_text("已通知现场").wait_for()
    page.get_by_role("button", name="指派", exact=True).click()
    story.get_by_text("赵值班 指派给").wait_for()
    page.screenshot(path=SHOTS / "alarms.png", timeout=120_000)

    # No shelf without a reason
    page.get_by_role("button", name="搁置", exact=True).click()
    wait_until(lambda: "请说明原因" in said(page) or "原因" in said(page), "it is refused, with the reason")
    page.locator("#alarm-text").fill("试验")
    page.get_by_role("button", name="搁置", exact=True).click()
    story.get_by_text("赵值班 搁置").wait_for()
    page.locator(".desk-choices label", has_text="已搁置").click()
    page.locator(".ag-row", has_text=RULE.name).first.wait_for()
    now = httpx2.get(f"{twin.url}/api/v1/alarms/{alarm['id']}").json()
    assert [n["action"] for n in now["notes"]] == ["acknowledge", "assign", "shelve"]
    assert now["alarm"]["hidden"] is True
    page.context.close()

    # Who may only look sees all of it and can press nothing
    page = opened(browser, twin, viewer, f"/alarms?alarm={alarm['id']}")
    page.locator("#alarm-story").get_by_text("赵值班 确认").wait_for()
    buttons = page.locator("#alarm-work button.alarm-button, #alarm-work button.alarm-main")
    assert buttons.count() == 8
    assert all(buttons.nth(i).is_disabled() for i in range(buttons.count()))
    assert page.locator("#alarms-ack").is_disabled()
    assert page.get_by_text("以值班身份登录后才能处理告警").is_visible()
    page.context.close()


def said(page: Page) -> str:
    return page.locator("#alarm-said").inner_text()


@pytest.mark.parametrize(
    ("view", "words"), [("silences", "静默与检修窗口"), ("health", "每日告警数"), ("notices", "通知渠道")]
)
def test_the_other_parts_have_addresses_of_their_own(browser: Browser, twin: Up, view: str, words: str) -> None:
    page = opened(browser, twin, "", f"/alarms?view={view}")
    page.get_by_text(words).first.wait_for()
    page.screenshot(path=SHOTS / f"alarms-{view}.png", timeout=120_000)
    page.context.close()


def test_a_silence_is_added_and_ended(browser: Browser, twin: Up) -> None:
    page = opened(browser, twin, sign_in(twin, "孙值班", Role.OPERATOR), "/alarms?view=silences")
    page.locator("#silence-reason").fill("试验静默")
    page.get_by_role("button", name="添加").click()
    row = page.locator("#silences-list tr", has_text="试验静默")
    row.wait_for()
    row.get_by_role("button", name="立即结束").click()
    row.wait_for(state="detached")
    page.context.close()
