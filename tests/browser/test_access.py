"""The page of accounts in a real browser: an admin makes a user and a screen, and takes both away again."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.visit import SHOTS, Visit, signed_in
from tests.servers import Up, wait_until, web

pytestmark = [pytest.mark.server, pytest.mark.browser]


def test_an_admin_makes_a_user_who_signs_in_and_is_shut_out(browser: Browser, twin: Up) -> None:
    admin = Visit(browser, f"{twin.url}/access", cookies=signed_in(browser, twin, "admin"))
    page, said = admin.page, admin.page.locator("#access-said")
    page.fill("#access-new-user", "李明")
    page.locator("#access-new-role label", has_text="值班").click()
    page.get_by_role("button", name="新增用户").click()
    password = page.locator(".access-secret").inner_text()
    page.screenshot(path=SHOTS / "access.png")

    person = Visit(browser, f"{twin.url}/sign-in?next=/scenarios")
    person.page.screenshot(path=SHOTS / "sign-in.png")
    person.page.fill("[name=user]", "李明")
    person.page.fill("[name=password]", password)
    person.page.locator("form button").click()
    person.page.locator(".desk-who", has_text="李明 · 值班").wait_for()

    page.locator("#access-users .ag-row", has_text="李明").click()
    page.get_by_role("button", name="停用").click()
    wait_until(lambda: "李明 已停用" in said.inner_text(), "it is said")
    person.page.reload()
    person.page.get_by_role("link", name="登录").wait_for()
    wait_until(lambda: "停用账号" in page.locator("#access-audit").inner_text(), "the audit tells")
    wait_until(lambda: "均与写入时一致" in page.locator("#access-verdict").inner_text(), "the audit is whole")

    page.fill("#access-new-link", "hall")
    page.get_by_role("button", name="生成链接").click()
    wait_until(lambda: "/kiosk/" in said.inner_text(), "the link is shown")
    link = page.locator(".access-secret").inner_text()
    assert re.fullmatch(rf"{re.escape(twin.url)}/kiosk/[\w-]{{43}}", link)
    screen = Visit(browser, link)
    assert screen.page.url == f"{twin.url}/"
    screen.page.goto(f"{twin.url}/devices")
    screen.page.locator(".desk-who", has_text="hall").wait_for()
    page.locator("#access-links .ag-row", has_text="hall").click()
    page.get_by_role("button", name="撤销所选").click()
    wait_until(lambda: "已撤销" in said.inner_text(), "it is said")
    screen.page.reload()
    screen.page.get_by_role("link", name="登录").wait_for()
    for visit in (admin, person, screen):
        assert visit.complaints == []
        visit.page.close()


@pytest.mark.parametrize(("role", "words"), [("operator", "供管理与系统角色使用"), (None, "请先登录")])
def test_others_see_nothing_of_it(browser: Browser, twin: Up, role: str | None, words: str) -> None:
    visit = Visit(browser, f"{twin.url}/access", cookies=signed_in(browser, twin, role) if role else None)
    visit.page.get_by_text(words).wait_for()
    assert visit.page.locator(".desk-places", has_text="账号").count() == 0
    assert visit.page.locator("#access-users, #access-audit").count() == 0
    assert visit.complaints == []
    visit.page.close()


def test_a_rules_engineer_reads_the_audit_only(browser: Browser, twin: Up) -> None:
    visit = Visit(browser, f"{twin.url}/access", cookies=signed_in(browser, twin, "engineer"))
    wait_until(lambda: "登录" in visit.page.locator("#access-audit").inner_text(), "the audit is read")
    assert visit.page.locator("#access-users").count() == 0
    assert visit.complaints == []
    visit.page.close()


def test_an_open_page_is_led_to_the_sign_in_when_it_is_over(browser: Browser, tmp_path: Path) -> None:
    door = re.compile(r"/sign-in\?next=")
    with web(tmp_path, GAOXIN_ACCESS__LOOK="signed-in") as closed:
        token = closed.gaoxin("kiosk", "add", "hall").strip().rpartition("/")[2]
        wall = Visit(browser, f"{closed.url}/kiosk/{token}").page
        wall.wait_for_function("window.gaoxin && window.gaoxin.state && window.gaoxin.state.link === 'late'")
        closed.gaoxin("kiosk", "revoke", "1")
        wall.wait_for_url(door)
        wall.close()
        devices = Visit(browser, f"{closed.url}/devices?lang=en", cookies=signed_in(browser, closed, "viewer")).page
        devices.locator(".desk-who", has_text="the-viewer").wait_for()
        closed.gaoxin("user", "disable", "the-viewer")
        devices.wait_for_url(door)
        assert devices.get_by_role("button", name="Sign in").is_visible()
        devices.close()
