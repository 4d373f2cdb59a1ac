"""The devices page in a real browser on the real twin: what goes wrong with a sensor is seen there."""

import json

import pytest
from paho.mqtt import publish
from playwright.sync_api import Browser

from tests.browser.visit import SHOTS, Visit
from tests.servers import Up, wait_until
from twin.clock import SystemClock

pytestmark = [pytest.mark.server, pytest.mark.browser]

PREFIX = "gaoxin/v1"


def total(visit: Visit, label: str) -> str:
    return visit.page.locator(".desk-total", has_text=label).locator(".desk-value").inner_text()


def reads(visit: Visit, device: str, column: str, wanted: str) -> None:
    cell = visit.page.locator(f'.ag-row[row-id="{device}"] [col-id="{column}"]').first
    wait_until(lambda: cell.inner_text() == wanted, f"{column} of {device} reads {wanted}")


def send(twin: Up, topic: str, body: object) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    publish.single(f"{PREFIX}/{topic}", text, qos=1, hostname="127.0.0.1", port=twin.broker_port)


def test_what_goes_wrong_with_a_device_is_seen(browser: Browser, twin: Up) -> None:
    visit = Visit(browser, f"{twin.url}/devices")
    wait_until(lambda: visit.page.locator(".ag-row").count() > 10, "the devices are listed")
    assert "正常入库" in visit.page.locator("#devices-workers").inner_text()
    # A clock 47 s fast with two of three messages lost, a value out of range, and rubbish. A clock is judged by the
    # newest 16 messages, and the station itself has sent some with the right time
    for i in range(20):
        now = SystemClock().now() + i
        send(twin, "environment/wx-01/obs", {"at": now + 47_000, "values": {"temperature": 12.5}, "seq": i * 3})
    send(twin, "environment/aq-07/obs", {"values": {"pm25": -3}})
    send(twin, "environment/aq-07/obs", "{no json")
    page = visit.page
    page.get_by_text("有异常").click()
    wait_until(lambda: page.locator('.ag-row[row-id="wx-01"]').count() > 0, "the device is with trouble")
    reads(visit, "wx-01", "clock", "快 47 s")
    reads(visit, "wx-01", "missing", "38")
    reads(visit, "aq-07", "refused", "1")
    wait_until(lambda: total(visit, "时钟异常") == "1", "it is counted")
    wait_until(lambda: total(visit, "拒收待处理（项）") == "2", "both are in quarantine")
    quarantine = page.locator("#devices-quarantine")
    assert "数值超出有效范围" in quarantine.inner_text()
    quarantine.locator("summary", has_text="pm25 = -3").click()
    assert '{"values": {"pm25": -3}}' in quarantine.inner_text()
    page.wait_for_timeout(500)
    page.screenshot(path=SHOTS / "devices.png")
    page.get_by_text("时钟异常").last.click()
    wait_until(lambda: page.locator(".ag-center-cols-container .ag-row").count() == 1, "only that one is listed")
    assert visit.hosts == {f"127.0.0.1:{twin.port}"}
    assert visit.complaints == []
    page.close()


def test_in_english_with_a_search(browser: Browser, twin: Up) -> None:
    visit = Visit(browser, f"{twin.url}/devices?lang=en")
    rows = visit.page.locator(".ag-center-cols-container .ag-row")
    wait_until(lambda: rows.count() > 10, "the devices are listed")
    assert total(visit, "Reporting").endswith("/ 1,266")
    visit.page.locator(".desk-search input").fill("wx-01")
    wait_until(lambda: rows.count() == 1, "only that one is listed")
    visit.page.locator(".desk-search input").fill("nothing is like this")
    visit.page.get_by_role("grid").get_by_text("No device is like this").wait_for()
    visit.page.screenshot(path=SHOTS / "devices-en.png")
    assert visit.complaints == []
    visit.page.close()
