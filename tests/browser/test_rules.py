"""The thresholds page as an engineer uses it, on the real twin: drag, see, save, get the alarm, go back.

The voltage of the supply is judged at once and is never exactly 400 V, so that a low end dragged above it must raise.
"""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page

from dashboards.opening import open_ledger
from tests.browser.visit import SHOTS, Visit, signed_in
from tests.servers import Up, wait_until
from twin.clock import SystemClock
from twin.episodes import Alarm, State
from twin.ledger import Ledger, alarms, rules
from twin.settings import load

pytestmark = [pytest.mark.server, pytest.mark.browser]


@pytest.fixture(scope="module")
def ledger(twin: Up) -> Iterator[Ledger]:
    made = open_ledger(load(environ=twin.env))
    yield made
    made.close()


def visit_as(browser: Browser, twin: Up, role: str | None, path: str) -> Visit:
    visit = Visit(browser, twin.url + path, 1920, 1080, cookies=signed_in(browser, twin, role) if role else None)
    visit.page.locator(".rules-totals").wait_for()
    return visit


def visit_on_duty(browser: Browser, twin: Up, alarm: int) -> Visit:
    visit = Visit(browser, f"{twin.url}/alarms?alarm={alarm}", cookies=signed_in(browser, twin, "operator"))
    visit.page.locator("#alarm-story").wait_for()
    return visit


def drag(page: Page, handle: str, pixels: float) -> None:
    """Take a level's line by its label, and let it go further down."""
    box = page.locator(f'.levels-line[data-handle="{handle}"] .levels-label').bounding_box()
    assert box is not None
    x, y = box["x"] + 12, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for part in range(1, 9):
        page.mouse.move(x, y + pixels * part / 8)
    page.mouse.up()


def field(page: Page, path: str) -> Locator:
    return page.locator(f'[data-path="{path}"]')


def totals(page: Page) -> tuple[int, int]:
    """Alarms with the rule in force, and with the changed one."""
    text = page.locator(".rules-total b").first.inner_text().replace(",", "")
    old, new = re.findall(r"\d+", text)
    return int(old), int(new)


def save(page: Page, reason: str) -> None:
    page.locator('[data-do="save"]').click()
    page.locator(".rules-reason").fill(reason)
    page.locator(".rules-dialog .rules-primary").click()


def in_force(ledger: Ledger) -> int:
    with ledger.reading() as connection:
        return rules.latest(connection)


def threshold(ledger: Ledger, rule: str, level: str) -> object:
    with ledger.reading() as connection:
        return getattr(rules.current(connection)[rule].when[0], level)


def of_rule(ledger: Ledger, rule: str) -> list[Alarm]:
    with ledger.reading() as connection:
        return [a for a in alarms.find(connection, now=SystemClock().now()) if a.rule == rule]


def test_from_a_dragged_line_to_an_alarm_and_back(browser: Browser, twin: Up, ledger: Ledger) -> None:
    visit = visit_as(browser, twin, "engineer", "/rules?rule=voltage")
    page = visit.page
    wait_until(lambda: page.locator(".levels-line").count() == 4, "two levels with two ends each are drawn")
    assert page.locator('[data-do="save"]').is_disabled(), "nothing is changed yet"
    field(page, "when.1.yellow.0").fill("396")
    drag(page, "yellow0", -60)
    low = float(field(page, "when.1.yellow.0").input_value())
    assert low > 396, "the field follows the line"
    field(page, "when.1.yellow.0").fill("410")
    label = page.locator('.levels-line[data-handle="yellow0"] .levels-label')
    wait_until(lambda: "410" in label.inner_text(), "the line follows the field")
    wait_until(lambda: totals(page)[1] > totals(page)[0], "the changed rule would have raised more")
    wait_until(lambda: page.locator(".stories-new").count() > 0, "and it is seen where and when")
    assert page.locator(".rules-pair[data-change=new]").count() > 0
    page.screenshot(path=SHOTS / "rules.png")
    before = in_force(ledger)
    save(page, "供电质量专项核查")
    wait_until(lambda: in_force(ledger) == before + 1, "it is saved as the next version")
    wait_until(lambda: f"第 {before + 1} 版已生效" in page.locator(".rules-note").inner_text(), "the page says so")
    assert threshold(ledger, "voltage", "yellow") == (410, 428)
    assert page.locator('[data-do="save"]').is_disabled()

    def raised() -> list[Alarm]:
        return [a for a in of_rule(ledger, "voltage") if a.version == before + 1 and a.closed is None]

    wait_until(lambda: bool(raised()), "the engine raises by the saved rule", 100)
    alarm = raised()[0]
    on_duty = visit_on_duty(browser, twin, alarm.id)
    on_duty.page.locator("#alarm-text").fill("核查中")
    on_duty.page.get_by_role("button", name="确认", exact=True).click()
    on_duty.page.locator("#alarm-story").get_by_text("核查中").wait_for()
    on_duty.page.screenshot(path=SHOTS / "rules_alarm.png")
    on_duty.page.context.close()
    assert [a.state for a in raised() if a.id == alarm.id] == [State.ACKNOWLEDGED]

    page.locator('[data-do="history"]').click()
    page.locator(".rules-versions").wait_for()
    page.locator(f'tr[data-version="{before}"] button', has_text="与现行版的差异").click()
    wait_until(lambda: "电压" in page.locator(".rules-diff").inner_text(), "the difference is shown")
    page.screenshot(path=SHOTS / "rules_history.png")
    page.locator(f'tr[data-version="{before}"] button', has_text="恢复此版本").click()
    page.locator(".rules-reason").fill("核查完毕")
    page.locator(".rules-dialog .rules-primary").click()
    wait_until(lambda: in_force(ledger) == before + 2, "the old version is in force again, as a new one")
    assert threshold(ledger, "voltage", "yellow") == (372, 428)
    wait_until(lambda: not raised(), "what the old rule would not raise is over")
    assert visit.complaints == []
    page.context.close()


def test_a_second_editor_gets_the_difference_and_decides(browser: Browser, twin: Up, ledger: Ledger) -> None:
    mine = visit_as(browser, twin, "engineer", "/rules?rule=air-pm25")
    other = visit_as(browser, twin, "admin", "/rules?rule=air-pm25")
    for page, path, value in ((mine.page, "when.1.red", "260"), (other.page, "clear_after_s", "1800")):
        field(page, path).fill(value)
    before = in_force(ledger)
    save(other.page, "晚间扩散快")
    wait_until(lambda: in_force(ledger) == before + 1, "the other one saves")
    save(mine.page, "按预案调整红色")
    dialog = mine.page.locator(".rules-dialog", has_text="其间他人已保存新版本")
    dialog.wait_for()
    assert "解除延时" in dialog.inner_text()
    assert in_force(ledger) == before + 1, "nothing is overwritten unseen"
    mine.page.screenshot(path=SHOTS / "rules_conflict.png")
    dialog.locator(".rules-primary").click()
    wait_until(lambda: in_force(ledger) == before + 2, "mine is put on top")
    assert threshold(ledger, "air-pm25", "red") == 260
    with ledger.reading() as connection:
        assert rules.current(connection)["air-pm25"].clear_after_s == 1800, "the other one's change stands"
    # A conflict is an answer, and the browser notes it as one
    assert [c for c in mine.complaints if "409" not in c] == []
    mine.page.context.close()
    other.page.context.close()


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), (None, 401)])
def test_who_may_only_look_may_try_but_not_save(
    browser: Browser, twin: Up, ledger: Ledger, role: str | None, status: int
) -> None:
    page = visit_as(browser, twin, role, "/rules?rule=air-pm25").page
    assert "管理" in page.locator(".rules-why").inner_text()
    field(page, "when.1.blue").fill("20")
    wait_until(lambda: totals(page)[1] != totals(page)[0], "the change is tried")
    assert page.locator('[data-do="save"]').is_disabled()
    assert page.locator('[data-do="remove"]').is_disabled()
    before = in_force(ledger)
    client = twin.client(role)
    book = client.get("/api/v1/rules").json()
    refused = client.put("/api/v1/rules", json={"rules": book["rules"][1:], "base": before, "reason": "x"})
    assert refused.status_code == status
    assert in_force(ledger) == before
    page.screenshot(path=SHOTS / f"rules_{role or 'visitor'}.png")
    page.context.close()


def test_what_is_wrong_is_said_at_its_field_and_unsaved_changes_are_kept(browser: Browser, twin: Up) -> None:
    visit = visit_as(browser, twin, "engineer", "/rules?rule=air-pm25&lang=zh")
    page = visit.page
    field(page, "when.1.blue").fill("400")
    wrong = page.locator(".rules-thresholds > .rules-wrong")
    wait_until(lambda: "顺序" in wrong.inner_text(), "the order is wrong, and it is said in Chinese")
    assert page.locator('[data-do="save"]').is_disabled()
    page.locator('[data-rule="rain"]').click()
    page.locator(".rules-dialog", has_text="未保存").get_by_role("button", name="留在此处").click()
    assert field(page, "when.1.blue").input_value() == "400"
    field(page, "when.1.blue").fill("100")
    wait_until(lambda: wrong.inner_text() == "", "it is mended")
    line = page.locator('.levels-line[data-handle="blue"]')
    line.focus()
    page.keyboard.press("ArrowUp")
    wait_until(lambda: float(field(page, "when.1.blue").input_value()) > 100, "the arrow keys move a line, too")
    page.locator('[data-do="undo"]').click()
    wait_until(lambda: field(page, "when.1.blue").input_value() == "115", "as it was")
    page.context.close()


def test_in_english(browser: Browser, twin: Up) -> None:
    visit = visit_as(browser, twin, None, "/rules?rule=traffic-district&lang=en")
    wait_until(lambda: visit.page.locator(".levels-line").count() == 2, "its levels are drawn")
    text = visit.page.locator(".rules").inner_text()
    assert "Raise delay" in text
    assert not re.search(r"阈值|告警|回测", text)
    visit.page.screenshot(path=SHOTS / "rules_en.png")
    assert visit.complaints == []
    visit.page.context.close()
