"""The wall in a real browser on the real twin: seen, touched, cut off and back again."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from paho.mqtt import publish
from playwright.sync_api import Browser, Page

from tests.browser.visit import SHOTS, Visit
from tests.servers import Up, up, wait_until
from twin.clock import SystemClock

pytestmark = [pytest.mark.server, pytest.mark.browser]

LIVE = "window.gaoxin && window.gaoxin.state && window.gaoxin.state.link === 'live' && window.gaoxin.zone.seq > 0"
# The compute centre speaks every 10 s: until it has, the wall rightly shows a dash
SAID = """['traffic.tpi', 'compute.pue'].every(
  path => document.querySelector(`[data-bind="${path}"]`).textContent !== '—')"""
DRAWN = "window.gaoxin.map && window.gaoxin.map.ready"


class Wall(Visit):
    """One open wall, drawn and live."""

    def __init__(self, browser: Browser, url: str, width: int = 1280, height: int = 720, path: str = "/") -> None:
        super().__init__(browser, url + path, width, height)
        self.page.wait_for_function(LIVE)
        self.page.wait_for_function(DRAWN)
        self.page.wait_for_function(SAID)

    def texts(self) -> dict[str, str]:
        found: dict[str, str] = self.page.evaluate(
            "Object.fromEntries([...document.querySelectorAll('[data-bind]')].map(e => [e.dataset.bind, e.innerText]))"
        )
        return found


@pytest.fixture
def wall(browser: Browser, twin: Up) -> Iterator[Wall]:
    made = Wall(browser, twin.url)
    yield made
    made.page.close()


def test_it_shows_the_zone_and_the_values_change(wall: Wall, twin: Up) -> None:
    first = wall.texts()
    assert first["traffic.tpi"] != "—"
    assert first["compute.pue"] != "—"
    assert first["simulated"] == "模拟数据"
    wait_until(lambda: wall.texts() != first, "a value on the wall changes")
    known, total = (int(x) for x in wall.texts()["traffic.coverage"].split("/"))
    assert known > 0.95 * total
    # What the wall says is what the interface says
    state = httpx2.get(f"{twin.url}/api/v1/state").json()
    assert wall.texts()["silent.total"] == f"{len(state['devices']):,}"
    assert float(wall.texts()["compute.pue"]) == pytest.approx(
        state["indicators"]["compute"]["values"]["pue"], abs=0.011
    )
    assert wall.hosts == {f"127.0.0.1:{twin.port}"}
    assert wall.complaints == []


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (3840, 2160)])
def test_nothing_is_cut_off(browser: Browser, twin: Up, width: int, height: int) -> None:
    wall = Wall(browser, twin.url, width, height)
    wall.page.wait_for_timeout(6_000)
    wall.page.screenshot(path=SHOTS / f"wall-{width}.png", timeout=120_000)
    over = wall.page.evaluate(
        """() => [...document.querySelectorAll('.panel, .tile-value, .tile-label, .panel-name, .wall-title h1')]
            .filter(e => e.scrollWidth > e.clientWidth + 2 && getComputedStyle(e).overflow !== 'visible'
                      || e.getBoundingClientRect().bottom > innerHeight + 1)
            .map(e => e.className + ': ' + e.textContent.slice(0, 40))"""
    )
    assert over == []
    assert wall.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    assert wall.complaints == []
    wall.page.close()


def test_what_is_not_known_yet_becomes_known_without_an_error(browser: Browser, tmp_path: Path) -> None:
    """An empty store: every panel goes from a dash to a value while the page watches."""
    with up(tmp_path, GAOXIN_SIMULATE__HISTORY_H="0", GAOXIN_STORE__KIND="memory") as fresh:
        wall = Wall(browser, fresh.url)
        wait_until(lambda: wall.texts()["parking.free"] != "—", "parking is known")
        assert wall.complaints == []
        wall.page.close()


def test_in_english(browser: Browser, twin: Up) -> None:
    wall = Wall(browser, twin.url, path="/?lang=en")
    assert wall.texts()["simulated"] == "Simulated data"
    assert wall.page.locator(".panel-name").first.text_content() == "Traffic"
    wall.page.screenshot(path=SHOTS / "wall-en.png", timeout=120_000)
    wall.page.close()


def test_it_says_so_when_readings_cannot_be_kept(wall: Wall, twin: Up) -> None:
    notice = wall.page.locator(".wall-ingest")
    assert not notice.is_visible()
    topic = "gaoxin/v1/worker/second/status"
    status = {"worker": "second", "at": SystemClock().now(), "state": "holding", "why": "No space left on device"}
    publish.single(topic, json.dumps(status), 1, True, "127.0.0.1", twin.broker_port)
    notice.wait_for(state="visible")
    assert notice.inner_text() == "数据无法保存：请恢复数据库或清理磁盘空间（second）"
    wall.page.screenshot(path=SHOTS / "wall-holding.png", timeout=120_000)
    # It covers no panel, and moves none
    box, head = notice.bounding_box(), wall.page.locator(".wall-head").bounding_box()
    panel = wall.page.locator(".panel").first.bounding_box()
    assert box is not None
    assert head is not None
    assert panel is not None
    assert head["y"] + head["height"] <= box["y"]
    assert panel["y"] < box["y"] + box["height"]
    assert panel["x"] + panel["width"] < box["x"]
    # A worker whose retained word is taken back is gone for good
    publish.single(topic, None, 1, True, "127.0.0.1", twin.broker_port)
    notice.wait_for(state="hidden")
    assert wall.complaints == []


def test_a_layer_can_be_hidden_and_shown(wall: Wall) -> None:
    toggle = wall.page.locator("#wall-layers [data-domain=city]")
    assert toggle.get_attribute("aria-pressed") == "true"
    toggle.click()
    assert toggle.get_attribute("aria-pressed") == "false"
    wait_until(lambda: visible(wall.page, "city") == [False], "the city layers are hidden")
    toggle.click()
    wait_until(lambda: visible(wall.page, "city") == [True], "the city layers are back")
    assert wall.complaints == []


def visible(page: Page, domain: str) -> list[bool]:
    """The distinct visibilities of a domain's layers, as the map itself has them."""
    found: list[bool] = page.evaluate(
        """(domain) => { const map = window.gaoxin.map.map;
          return [...new Set(map.getStyle().layers.filter(l => l.id.includes(domain))
            .map(l => map.getLayoutProperty(l.id, 'visibility') !== 'none'))]; }""",
        domain,
    )
    return found


def test_a_device_shows_its_exact_values_and_its_day(wall: Wall, twin: Up) -> None:
    devices = httpx2.get(f"{twin.url}/api/v1/devices").json()["devices"]
    station = next(d for d in devices if d["kind"] == "air-station")
    x, y = wall.page.evaluate(
        """([lon, lat]) => { const m = window.gaoxin.map.map; m.jumpTo({center: [lon, lat], zoom: 16, pitch: 0});
          const p = m.project([lon, lat]), box = m.getContainer().getBoundingClientRect();
          const scale = box.width / m.getContainer().clientWidth;
          return [box.x + p.x * scale, box.y + p.y * scale]; }""",
        [station["lon"], station["lat"]],
    )
    wall.page.wait_for_timeout(2_500)
    wall.page.mouse.move(x, y)
    card = wall.page.locator("#wall-hover")
    card.wait_for(state="visible", timeout=10_000)
    wait_until(lambda: re.search(r"PM2.5\s+\d+\.\dµg/m³", card.inner_text()) is not None, "its values, exact")
    assert station["name"] in card.inner_text()
    wall.page.screenshot(path=SHOTS / "wall-hover.png", timeout=120_000)
    wall.page.mouse.click(x, y)
    card.wait_for(state="hidden", timeout=5_000)
    panel = wall.page.locator("#wall-detail")
    panel.wait_for(state="visible")
    wall.page.wait_for_function("document.querySelector('#wall-detail canvas')")
    text = panel.inner_text()
    assert station["name"] in text
    observation = httpx2.get(f"{twin.url}/api/v1/devices/{station['id']}").json()["observation"]
    assert f"{observation['values']['pm25']:.1f}" in text
    assert "PM10" in text
    wall.page.screenshot(path=SHOTS / "wall-device.png", timeout=120_000)
    wall.page.keyboard.press("Escape")
    panel.wait_for(state="hidden")
    assert wall.complaints == []


def test_it_says_that_it_is_cut_off_and_recovers_by_itself(wall: Wall, twin: Up) -> None:
    node = twin.children()["node"]
    os.kill(node, signal.SIGKILL)
    wall.page.wait_for_function("window.gaoxin.state.link !== 'live'")
    lost = wall.page.locator("#wall-link").inner_text()
    wall.page.screenshot(path=SHOTS / "wall-lost.png", timeout=120_000)
    assert lost.strip(), "the wall says nothing about the lost link"
    twin.wait_ready()
    wall.page.wait_for_function(LIVE)
    first = wall.texts()
    wait_until(lambda: wall.texts() != first, "values change again")
    # A browser reports each refused connection by itself; nothing else may be wrong
    assert [c for c in wall.complaints if "WebSocket" not in c and "ERR_CONNECTION" not in c] == []


def test_the_interface_page_needs_no_other_host(browser: Browser, twin: Up) -> None:
    visit = Visit(browser, f"{twin.url}/api/docs")
    visit.page.get_by_text("/api/v1/history").first.wait_for()
    visit.page.screenshot(path=SHOTS / "api.png")
    assert visit.hosts == {f"127.0.0.1:{twin.port}"}
    visit.page.close()
