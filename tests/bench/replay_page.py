"""The replay in a browser: opening it, applying a step, the main thread while it plays, and the heap while it loops.

Chromium draws the map in software here where there is no graphics processor; that work is on other threads, and its
frames are fewer. The main thread's figure is what the page itself costs.
"""

import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import CDPSession, Page, sync_playwright

from dashboards.opening import read_registry
from tests.bench.replay import START, fill, larger
from tests.browser.chromium import FLAGS
from tests.servers import Up
from twin import registry as registries
from twin.clock import HOUR
from twin.settings import load
from twin.store.duckdb import DuckDBStore

PLAYED_S = 30
LOOPED_S = 180
SHOWN = "window.gaoxin?.source?.player.shown"


def main() -> None:
    for size, hours in ((0, 24), (5_000, 4), (10_000, 4)):
        _measure(size, hours, LOOPED_S)


def loop() -> None:
    """Half an hour of looping, to see whether the heap is flat."""
    _measure(0, 24, 1_800)


def _measure(size: int, hours: int, looped_s: float) -> None:
    """`size` 0: the default zone."""
    base = read_registry(load(environ={}))
    registry = larger(base, size or len(base))
    print(f"replay in the browser: {len(registry):,} devices, {hours} h in DuckDB")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        data = Path(folder) / "data"
        data.mkdir()
        registries.write(data / "registry.json", registry)
        store = DuckDBStore(registry, data / "observations.duckdb")
        fill(registry, base, store, hours)
        store.close()
        twin = Up(Path(folder), GAOXIN_SIMULATE__ON="false", GAOXIN_REGISTRY=str(data / "registry.json"))
        twin.start()
        try:
            twin.wait_ready(240)
            browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            page = browser.new_page(viewport={"width": 1920, "height": 1080})
            page.set_default_timeout(240_000)
            end = START + hours * HOUR
            _open(page, f"{twin.url}/replay?from={START}&to={end}&at={end - 2 * HOUR}&speed=60")
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable")
            for speed in (60, 600):
                page.evaluate("at => gaoxin.source.player.seek(at)", end - 2 * HOUR)
                page.wait_for_function(SHOWN)
                _play(page, session, speed)
            _loop(page, session, end - 2 * HOUR, looped_s)
            browser.close()
        finally:
            twin.stop()


def _open(page: Page, url: str) -> None:
    begun = time.monotonic()
    page.goto(url)
    page.wait_for_function(SHOWN)
    print(f"  first picture after {time.monotonic() - begun:.1f} s", end="")
    page.wait_for_function("window.gaoxin.map.ready")
    print(f", with the map {time.monotonic() - begun:.1f} s")


def _metrics(session: CDPSession) -> dict[str, float]:
    return {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}


def _play(page: Page, session: CDPSession, speed: int) -> None:
    page.evaluate(
        "speed => { const s = gaoxin.source; s.player.speed = speed; s.applied.length = 0; s.player.play(); }", speed
    )
    before, at, begun = _metrics(session), page.evaluate("gaoxin.source.player.at"), time.monotonic()
    time.sleep(PLAYED_S)
    after, passed = _metrics(session), time.monotonic() - begun
    reached, applied = page.evaluate("[gaoxin.source.player.at, gaoxin.source.applied]")
    page.evaluate("gaoxin.source.player.pause()")
    busy = {n: (after[n] - before[n]) / passed * 1000 for n in ("TaskDuration", "ScriptDuration")}
    cuts = statistics.quantiles(applied, n=100)
    print(f"  {speed}x for {passed:.0f} s: {(reached - at) / 1000 / passed:.0f} s of the past a second")
    print(f"    main thread {busy['TaskDuration']:.0f} ms/s, of it script {busy['ScriptDuration']:.0f} ms/s")
    print(f"    applying: p50 {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms, {len(applied) / passed:.0f} pictures a second")


def _loop(page: Page, session: CDPSession, begin: int, looped_s: float) -> None:
    """Half an hour of the past in three seconds, again and again."""
    page.evaluate(
        """([from, to]) => { const s = gaoxin.source; s.setRange(from, to, { at: from });
          s.player.loop = true; s.player.speed = 600; s.player.play(); }""",
        [begin, begin + HOUR // 2],
    )
    found = []
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < looped_s:
        session.send("HeapProfiler.collectGarbage")
        found.append((passed / 60, _metrics(session)["JSHeapUsedSize"] / 2**20))
        time.sleep(15)
    warm = found[2:]
    slope, _ = statistics.linear_regression([m for m, _ in warm], [h for _, h in warm])
    print(f"  looping {looped_s / 60:.0f} min at 600x: heap {warm[0][1]:.1f} to {warm[-1][1]:.1f} MiB", end="")
    print(f", slope {slope:+.2f} MiB a minute; chunks {page.evaluate('gaoxin.source.chunks.bytes') / 2**20:.1f} MiB")
