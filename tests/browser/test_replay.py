"""The replay in a real browser on a real past: three incidents played and scrubbed, and held against the interface.

What the map shows is compared byte by byte with the chunk of that instant, the tiles with the view, the alarms with the
re-run, and all with the ground truth of the scenario.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx2
import pytest
from playwright.sync_api import Browser

from tests.browser.visit import SHOTS, Visit
from tests.past import backfill
from tests.servers import Up, wait_until
from twin import replay
from twin.clock import MINUTE, SECOND

pytestmark = [pytest.mark.server, pytest.mark.browser]

READY = "window.gaoxin?.source?.player.shown && window.gaoxin.map?.ready"
CUT_OFF = """() => [...document.querySelectorAll(`.panel, .tile-value, .panel-name, .replay-controls, .replay-banner,
    .replay-button, .map-when, .wall-hover`)]
  .filter(e => e.scrollWidth > e.clientWidth + 2 || e.getBoundingClientRect().bottom > innerHeight + 1)
  .map(e => e.className)"""
SLOW_MS = 240_000  # a map drawn in software on a busy machine


class Past(NamedTuple):
    twin: Up
    begin: int
    end: int

    def ask(self, what: str, **query: Any) -> Any:
        found = httpx2.get(f"{self.twin.url}/api/v1/{what}", params=query, timeout=60)
        assert found.status_code == 200, found.text
        return found

    def facts(self, scenario: str) -> list[dict[str, Any]]:
        found = self.ask("truth", **{"from": self.begin, "to": self.end}).json()["facts"]
        return [f | {"ended": min(f["ended"], self.end)} for f in found if f["scenario"] == scenario]


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    twin = Up(tmp_path_factory.mktemp("past"), GAOXIN_SIMULATE__ON="false")
    begin, end = backfill(twin)
    twin.start()
    try:
        twin.wait_ready(240)
        yield Past(twin, begin, end)
    finally:
        twin.stop()


class Replay(Visit):
    """One open replay, drawn and standing still."""

    def __init__(self, browser: Browser, past: Past, at: int, more: str = "", width: int = 1280, height: int = 720):
        url = f"{past.twin.url}/replay?from={past.begin}&to={past.end}&at={at}{more}"
        super().__init__(browser, url, width, height)
        self.past = past
        self.page.set_default_timeout(SLOW_MS)
        self.page.wait_for_function(READY)

    @property
    def at(self) -> int:
        return int(self.page.evaluate("Math.floor(gaoxin.source.player.at)"))

    def scrub(self, at: int) -> None:
        """Drag the playhead there with the mouse."""
        box = self.page.locator(".replay-line").bounding_box()
        assert box is not None
        x = box["x"] + (at - self.past.begin) / (self.past.end - self.past.begin) * box["width"]
        y = box["y"] + box["height"] / 2
        away = 120 if x < box["width"] / 2 else -120
        self.page.mouse.move(x + away, y)
        self.page.mouse.down()
        self.page.mouse.move(x + away / 3, y, steps=3)
        self.page.mouse.move(x, y)
        self.page.mouse.up()
        # 14 h over the width: a pixel is half a minute
        assert abs(self.at - at) < MINUTE

    def settle(self) -> None:
        """Until the exact view of the instant is there."""
        self.page.wait_for_function("gaoxin.source.player.shown && gaoxin.source.differences")
        self.page.wait_for_function("gaoxin.view.at === Math.floor(gaoxin.source.player.at)")

    def check(self) -> None:
        """The map's bytes and the tiles are those of the instant, as the interface has them."""
        at = self.at
        step = at // SECOND * SECOND
        answer = self.past.ask("replay/frames", **{"from": step, "to": step + SECOND, "step": 1})
        value, status = replay.decode(answer.content).frame(0)
        shown = self.page.evaluate("[[...gaoxin.zone.values], [...gaoxin.zone.status]]")
        assert shown == [value.tolist(), status.tolist()]
        view = self.past.ask("replay/views", **{"from": at, "to": at + 1, "step": 1, "lang": "zh"}).json()[0]["view"]
        for path in ("traffic.tpi", "traffic.speed", "compute.pue", "parking.free", "air.aqi", "city.covers"):
            part, name = path.split(".")
            wanted = view[part][name]
            wait_until(lambda p=path, w=wanted: self.text(p) == w, f"{path} reads {wanted}")  # type: ignore[misc]

    def text(self, path: str) -> str:
        return self.page.locator(f'[data-bind="{path}"]').first.inner_text()

    def band(self, device: str) -> int:
        return int(
            self.page.evaluate(
                "id => gaoxin.zone.band(gaoxin.directory.devices.findIndex(d => d.id === id))",
                device,
            )
        )


# What the map must show of each: the ground truth's own devices, worse while it is so than before
SEEN = {"S01": "lane", "S03": "aisle", "S05": "Car parks"}


@pytest.mark.parametrize("scenario", SEEN)
def test_an_incident_is_played_and_scrubbed(browser: Browser, past: Past, scenario: str) -> None:
    facts = past.facts(scenario)
    began = min(f["began"] for f in facts)
    truth = next(f for f in facts if SEEN[scenario] in f["what"])
    within = (truth["began"] + truth["ended"]) // 2
    visit = Replay(browser, past, began - 2 * MINUTE, "&speed=60")
    page = visit.page
    for speed, further in ((60, MINUTE), (600, 10 * MINUTE)):
        page.locator("#replay-speed").select_option(str(speed))
        page.keyboard.press("Space")
        page.wait_for_function("at => gaoxin.source.player.at > at", arg=visit.at + further)
        assert page.locator("#replay-speed-said").inner_text().endswith(f"{speed}×")
        page.keyboard.press("Space")
        visit.settle()
        visit.check()
    worst = {}
    for name, at in (("before", began - 10 * MINUTE), ("within", within), ("late", truth["ended"] - MINUTE)):
        visit.scrub(at)
        visit.settle()
        visit.check()
        worst[name] = max(visit.band(d) for d in truth["devices"])
        page.screenshot(path=SHOTS / f"replay-{scenario}-{name}.png", timeout=SLOW_MS)
    assert worst["within"] == 4 > max(worst["before"], 1), "the incident is on the map where and when it was"
    assert visit.complaints == []
    assert visit.hosts == {f"127.0.0.1:{past.twin.port}"}
    page.close()


def test_alarms_re_run_are_those_of_the_incident_and_marked(browser: Browser, past: Past) -> None:
    """Backfilled history has no recorded alarms: the rules in force make them, and they are marked as such."""
    facts = past.facts("S05")
    full = {device for f in facts for device in f["devices"]}
    at = max(f["ended"] for f in facts) - 5 * MINUTE
    past = past._replace(begin=at - 150 * MINUTE, end=at + 10 * MINUTE)
    visit = Replay(browser, past, at)
    page = visit.page
    visit.settle()
    assert "无告警" in page.locator(".wall-alarms").inner_text()
    page.click("[data-do=rerun]")
    page.click("[data-rerun=now]")
    page.wait_for_function("gaoxin.source.rerun && gaoxin.source.rerun.open.size > 0")
    wait_until(lambda: "重算" in page.locator(".wall-alarms").inner_text(), "the list says what it is")
    assert "告警按现行第 1 版规则重算" in page.locator(".replay-banner").inner_text()
    open_: list[list[str]] = page.evaluate("[...gaoxin.source.rerun.open.values()].map(a => [a.rule, a.subject])")
    assert {subject for rule, subject in open_ if rule == "parking-full"} & full
    answer = httpx2.post(
        f"{past.twin.url}/api/v1/replay/rerun", json={"from": str(past.begin), "to": str(past.end)}, timeout=120
    ).json()
    levels: dict[tuple[str, str], int] = {}
    for t in answer["transitions"]:
        if t["at"] <= visit.at:
            levels[(t["rule"], t["subject"])] = t["level"]
    assert {tuple(a) for a in open_} == {name for name, level in levels.items() if level}
    # From change to change with the keys
    page.keyboard.press(",")
    assert visit.at in {t["at"] for t in answer["transitions"]}
    visit.settle()
    page.screenshot(path=SHOTS / "replay-rerun.png", timeout=SLOW_MS)
    page.close()


def said(visit: Replay, text: str) -> None:
    place = visit.page.locator("#replay-rerun-said")
    wait_until(lambda: text in place.inner_text(), f"the banner says {text}")


def test_alarms_are_re_run_under_an_old_version_and_under_a_draft(browser: Browser, past: Past) -> None:
    """The draft has one rule switched off and is not saved; version 2 is without it."""
    full = "gaoxin.source.rerun.transitions.filter(t => t.rule === 'parking-full').length"
    thresholds = Visit(browser, f"{past.twin.url}/rules?rule=parking-full&lang=zh")
    editor = thresholds.page
    editor.locator(".rules-totals").wait_for(timeout=60_000)
    editor.locator(".rules-enabled input").uncheck()
    with editor.expect_popup() as opened:
        editor.click("[data-do=replay]")
    page = opened.value
    page.wait_for_function("window.gaoxin?.source?.rerun", timeout=SLOW_MS)
    assert page.locator("#replay-rerun-said").inner_text() == "告警按草稿重算：停车场已满"
    assert page.evaluate("gaoxin.source.rerun.transitions.length") > page.evaluate(full) == 0
    assert "parking" not in page.url, "a draft is in no address"
    page.close()
    assert "未保存" in editor.locator(".rules-state").inner_text(), "and nothing of it is lost"
    editor.close()

    book = past.ask("rules").json()
    fewer = [rule for rule in book["rules"] if rule["id"] != "parking-full"]
    reason = "车位告警另行处理"
    change = {"rules": fewer, "base": book["version"], "reason": reason}
    saved = past.twin.client("engineer").put("/api/v1/rules", json=change)
    assert saved.status_code == 200, saved.text
    visit = Replay(browser, past, max(f["ended"] for f in past.facts("S05")) - 5 * MINUTE, "&rerun=99")
    page = visit.page
    said(visit, "没有第 99 版规则")
    page.click("[data-do=rerun]")
    assert page.locator("[data-rerun=draft]").count() == 0, "a draft is only in the tab of its author"
    page.locator("[data-rerun='2']", has_text=reason).click()
    said(visit, "告警按第 2 版规则重算")
    assert page.evaluate(full) == 0
    page.wait_for_function("location.search.includes('rerun=2')")
    page.keyboard.press("r")
    page.click("[data-rerun='1']")
    said(visit, "告警按第 1 版规则重算 · gaoxin")
    assert page.evaluate(full) > 0
    page.close()


def test_nobody_takes_it_for_the_present_and_the_address_can_be_sent_on(browser: Browser, past: Past) -> None:
    visit = Replay(browser, past, past.begin + 60 * MINUTE, "&lang=en")
    page = visit.page
    visit.settle()
    banner = page.locator(".replay-banner").inner_text()
    assert "As known then" in banner
    # Nothing is simulated here any more, but that past was
    assert page.locator(".wall-simulated").inner_text() == "Simulated data"
    assert page.locator(".clock-time").inner_text() == "08:00:00"
    assert "08:00:00" in banner
    page.screenshot(path=SHOTS / "replay-en.png", timeout=SLOW_MS)
    assert page.evaluate(CUT_OFF) == []
    page.keyboard.press("t")
    page.keyboard.press("]")
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_function("location.search.includes('08%3A01%3A00')")
    sent = page.url
    assert "view=now" in sent
    assert "speed=120" in sent
    page.keyboard.press("?")
    assert page.locator("#replay-keys").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#replay-keys").is_visible()
    page.goto(sent)
    page.wait_for_function(READY)
    assert page.locator(".clock-time").inner_text() == "08:01:00"
    assert page.evaluate("gaoxin.source.player.view") == "now"
    page.keyboard.press("Escape")
    page.wait_for_url(lambda url: "/replay" not in url)
    assert visit.complaints == []
    page.close()


def test_two_times_of_a_day_are_compared(browser: Browser, past: Past) -> None:
    """An hour and a half before the incident and within it: the map shows the difference, the tiles both."""
    fact = next(f for f in past.facts("S05") if f["devices"][0].startswith("pk-"))
    at = (fact["began"] + fact["ended"]) // 2
    visit = Replay(browser, past, at, f"&against={90 * 60}")
    page = visit.page
    visit.settle()
    device = fact["devices"][0]
    now, before, shown = page.evaluate(
        """id => { const s = gaoxin.source, i = gaoxin.directory.devices.findIndex(d => d.id === id);
          const { kind } = gaoxin.directory.devices[i];
          return [s.zone.values[i], s.other.values[i], gaoxin.map.kinds[kind].bands.length]; }""",
        device,
    )
    assert now - before > 24, "the car park has filled"
    assert shown == 7
    free = page.locator('[data-bind="parking.free"]').first
    other = past.ask("replay/views", **{"from": at - 90 * MINUTE, "to": at - 90 * MINUTE + 1, "step": 1}).json()[0]
    wait_until(lambda: free.get_attribute("data-other") == other["view"]["parking"]["free"], "the other value")
    assert "对比" in page.locator("#replay-against-said").inner_text()
    page.screenshot(path=SHOTS / "replay-against.png", timeout=SLOW_MS)
    side_by_side(visit, device)
    assert visit.complaints == []
    page.close()


def side_by_side(visit: Replay, device: str) -> None:
    """The same two times on two maps: one camera, the same layers and device; and gone again."""
    page, at = visit.page, visit.at
    page.click("[data-do=compare-side]")
    page.wait_for_function("gaoxin.beside?.ready && gaoxin.source.player.shown")
    page.wait_for_function("location.search.includes('compare=side')")
    labels = page.locator(".map-when")
    assert labels.count() == 2
    assert labels.nth(0).inner_text() != labels.nth(1).inner_text()
    bands = page.evaluate(
        """id => { const s = gaoxin.source, i = gaoxin.directory.devices.findIndex(d => d.id === id);
          const shown = m => m.map.getFeatureState({source: 'devices', id: i}).band;
          return [shown(gaoxin.map), s.zone.band(i), shown(gaoxin.beside), s.other.band(i)]; }""",
        device,
    )
    assert bands[0] == bands[1] == 4 > bands[2] == bands[3], "each map shows its own time"
    # Who moves either moves the other; a device and a layer are the same in both
    x, y = page.evaluate(
        """id => { const { lon, lat } = gaoxin.directory.devices.find(d => d.id === id), { map } = gaoxin.beside;
          map.jumpTo({center: [lon, lat], zoom: 16, pitch: 0});
          const box = map.getContainer().getBoundingClientRect(), p = map.project([lon, lat]);
          const scale = box.width / map.getContainer().clientWidth;
          return [box.x + p.x * scale, box.y + p.y * scale]; }""",
        device,
    )
    assert page.evaluate("JSON.stringify(gaoxin.map.camera) === JSON.stringify(gaoxin.beside.camera)")
    page.wait_for_function("gaoxin.beside.map.loaded() && gaoxin.map.map.loaded()")
    page.mouse.move(x, y)
    card = page.locator("#wall-hover")
    known = visit.past.ask("replay/values", at=at - 90 * MINUTE, devices=device).json()["devices"][0]["observation"]
    exact = page.evaluate(
        """([id, values]) => gaoxin.directory.devices.find(d => d.id === id).metrics
          .map(m => values[m.name].toFixed(m.decimals))""",
        [device, known["values"]],
    )
    wait_until(lambda: all(value in card.inner_text() for value in exact), f"the card shows {exact}")
    page.screenshot(path=SHOTS / "replay-side.png", timeout=SLOW_MS)
    assert page.evaluate(CUT_OFF) == []
    page.mouse.click(x, y)
    page.locator("#wall-detail").wait_for(state="visible")
    page.click("#wall-layers [data-domain=city]")
    hidden, selected = page.evaluate(
        """() => { const maps = [gaoxin.map.map, gaoxin.beside.map], layers = maps[0].getStyle().layers.map(l => l.id);
          const city = layers.find(id => id.includes('city')), chosen = layers.find(id => id.startsWith('selected'));
          return [maps.map(m => m.getLayoutProperty(city, 'visibility')), maps.map(m => m.getFilter(chosen)[2])]; }"""
    )
    assert hidden == ["none", "none"]
    assert selected[0] == selected[1] >= 0
    page.evaluate("window.gone = gaoxin.beside.map.getCanvas()")
    page.locator("#replay-against").select_option("0")
    page.wait_for_function("!gaoxin.beside && document.querySelectorAll('.maplibregl-canvas').length === 1")
    assert page.evaluate("gone.getContext('webgl2').isContextLost()"), "its graphics context is free again"


def test_on_a_screen_of_four_million_points_nothing_is_cut_off(browser: Browser, past: Past) -> None:
    visit = Replay(browser, past, past.begin + 60 * MINUTE, width=3840, height=2160)
    visit.settle()
    visit.page.screenshot(path=SHOTS / "replay-3840.png", timeout=SLOW_MS)
    assert visit.page.evaluate(CUT_OFF) == []
    visit.page.close()
