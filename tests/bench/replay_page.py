"""The replay in a browser: opening it, applying a step, the main thread while it plays, and the heap while it loops.

Chromium draws the map in software here where there is no graphics processor; that work is on other threads, and its
frames are fewer. The main thread's figure is what the page itself costs.
"""

import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import CDPSession, Page, sync_playwright

from tests.browser.chromium import FLAGS
from tests.past import backfill
from tests.servers import Up
from twin.clock import HOUR

PLAYED_S = 30
LOOPED_S = 180
SHOWN = "window.gaoxin?.source?.player.shown"


def main() -> None:
    print("replay in the browser: 14 h backfilled, DuckDB")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        twin = Up(Path(folder), GAOXIN_SIMULATE__ON="false")
        begin, end = backfill(twin)
        twin.start()
        try:
            twin.wait_ready(240)
            browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            page = browser.new_page(viewport={"width": 1920, "height": 1080})
            page.set_default_timeout(240_000)
            _open(page, f"{twin.url}/replay?from={begin}&to={end}&at={begin + 9 * HOUR}&speed=60")
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable")
            for speed in (60, 600):
                _play(page, session, speed)
            _loop(page, session, begin)
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


def _loop(page: Page, session: CDPSession, begin: int) -> None:
    """Half an hour of the past in three seconds, again and again."""
    page.evaluate(
        """([from, to]) => { const s = gaoxin.source; s.setRange(from, to, { at: from });
          s.player.loop = true; s.player.speed = 600; s.player.play(); }""",
        [begin + 9 * HOUR, begin + 9 * HOUR + HOUR // 2],
    )
    found = []
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < LOOPED_S:
        session.send("HeapProfiler.collectGarbage")
        found.append((passed / 60, _metrics(session)["JSHeapUsedSize"] / 2**20))
        time.sleep(15)
    warm = found[2:]
    slope, _ = statistics.linear_regression([m for m, _ in warm], [h for _, h in warm])
    print(f"  looping {LOOPED_S / 60:.0f} min at 600x: heap {warm[0][1]:.1f} to {warm[-1][1]:.1f} MiB", end="")
    print(f", slope {slope:+.2f} MiB a minute; chunks {page.evaluate('gaoxin.source.chunks.bytes') / 2**20:.1f} MiB")
