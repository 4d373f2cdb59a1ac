"""The replay in a browser: opening it, applying a step, the main thread while it plays, and the heap while it loops.

Where there is no graphics processor Chromium draws the map in software, on all cores: pictures are few then, and the
page's own thread waits for a core now and then. So applying is measured twice: in the pictures that were made while it
played, and by itself, for each picture that a screen of 60 Hz would have shown of an hour.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import CDPSession, Page, sync_playwright

from dashboards.opening import read_registry
from tests.bench.replay import HOURS, SIZES, START, fill, larger
from tests.browser.chromium import FLAGS
from tests.servers import Up
from twin import registry as registries
from twin.clock import HOUR
from twin.settings import load
from twin.store.duckdb import DuckDBStore

PLAYED_S = 30
LOOPED_S = 1_800
END = START + HOURS * HOUR
BEGIN = END - 6 * HOUR
WARM_S = 5  # before it is measured: what is used for the first time is compiled then
SHOWN = "window.gaoxin?.source?.player.shown"


def main() -> None:
    for size in SIZES:
        with _opened(size) as (page, session):
            for speed in (60, 600):
                _seek(page)
                _play(page, session, speed)
                _seek(page)
                _apply(page, speed)


def loop() -> None:
    """Half an hour of looping for each zone, to see whether the heap is flat."""
    for size in SIZES:
        with _opened(size) as (page, session):
            _loop(page, session)


@contextmanager
def _opened(size: int) -> Iterator[tuple[Page, CDPSession]]:
    """A day of a zone of `size` devices, opened in a browser six hours before its end."""
    base = read_registry(load(environ={}))
    registry = larger(base, size)
    print(f"replay in the browser: {len(registry):,} devices, {HOURS} h in DuckDB", flush=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        data = Path(folder) / "data"
        data.mkdir()
        registries.write(data / "registry.json", registry)
        store = DuckDBStore(registry, data / "observations.duckdb")
        fill(registry, base, store)
        store.close()
        twin = Up(Path(folder), GAOXIN_SIMULATE__ON="false", GAOXIN_REGISTRY=str(data / "registry.json"))
        twin.start()
        try:
            twin.wait_ready(240)
            browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            page = browser.new_page(viewport={"width": 1920, "height": 1080})
            page.set_default_timeout(240_000)
            _open(page, f"{twin.url}/replay?from={START}&to={END}&at={BEGIN}&speed=60")
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable")
            yield page, session
            browser.close()
        finally:
            twin.stop()


def _open(page: Page, url: str) -> None:
    begun = time.monotonic()
    page.goto(url)
    page.wait_for_function(SHOWN)
    passed = time.monotonic() - begun
    asked, had = page.evaluate(
        """() => {
          const frames = performance.getEntriesByType("resource").filter((e) => e.name.includes("/replay/frames"));
          return ["startTime", "responseEnd"].map((what) => Math.min(...frames.map((e) => e[what])) / 1000);
        }"""
    )
    print(f"  first picture after {passed:.1f} s: {asked:.1f} s until the page asks for what it shows, ", end="")
    print(f"{had - asked:.1f} s until it has it", end="")
    page.wait_for_function("window.gaoxin.map.ready")
    print(f", with the map {time.monotonic() - begun:.1f} s")


def _seek(page: Page) -> None:
    page.evaluate("at => { gaoxin.source.player.pause(); gaoxin.source.player.seek(at); }", BEGIN)
    page.wait_for_function(SHOWN)


def _metrics(session: CDPSession) -> dict[str, float]:
    return {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}


def _play(page: Page, session: CDPSession, speed: int) -> None:
    page.evaluate("speed => { const { player } = gaoxin.source; player.speed = speed; player.play(); }", speed)
    time.sleep(WARM_S)
    page.evaluate("gaoxin.source.applied.length = 0")
    before, at, begun = _metrics(session), page.evaluate("gaoxin.source.player.at"), time.monotonic()
    time.sleep(PLAYED_S)
    after, passed = _metrics(session), time.monotonic() - begun
    reached, applied = page.evaluate("[gaoxin.source.player.at, gaoxin.source.applied]")
    busy = {n: (after[n] - before[n]) / passed * 1000 for n in ("TaskDuration", "ScriptDuration")}
    print(f"  {speed}x for {passed:.0f} s: {(reached - at) / 1000 / passed:.0f} s of the past a second")
    print(f"    main thread {busy['TaskDuration']:.0f} ms/s, of it script {busy['ScriptDuration']:.0f} ms/s")
    print(
        f"    {len(applied) / passed:.0f} pictures a second; applying one while it is drawn: {_spread(applied)}",
        flush=True,
    )


def _apply(page: Page, speed: int) -> None:
    times = page.evaluate(
        """([begin, past]) => {
          const { player, zone, wall } = gaoxin.source, own = player.frame, times = [];
          let changed = [];
          player.frame = (indexes) => changed.push(...indexes);
          for (let at = begin; at < begin + 3_600_000; at += past) {
            changed = [];
            const began = performance.now();
            player.at = at;
            player.tick(began);
            wall.map.update(changed, zone);
            times.push(performance.now() - began);
          }
          player.frame = own;
          return times;
        }""",
        [BEGIN, speed * 1000 / 60],
    )
    print(f"    applying by itself, {len(times):,} pictures of an hour: {_spread(times)}", flush=True)


def _spread(times: list[float]) -> str:
    cuts = statistics.quantiles(times, n=100)
    return f"p50 {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms, worst {max(times):.2f} ms"


def _loop(page: Page, session: CDPSession) -> None:
    """Half an hour of the past in three seconds, again and again."""
    page.evaluate(
        """([from, to]) => {
          const source = gaoxin.source, { player } = source, seek = player.seek.bind(player);
          source.setRange(from, to, { at: from });
          gaoxin.rounds = 0;
          player.seek = (at) => { gaoxin.rounds++; seek(at); };
          Object.assign(player, { loop: true, speed: 600 }).play();
        }""",
        [BEGIN, BEGIN + HOUR // 2],
    )
    found = []
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < LOOPED_S:
        session.send("HeapProfiler.collectGarbage")
        found.append((passed / 60, _metrics(session)["JSHeapUsedSize"] / 2**20))
        time.sleep(15)
    warm = found[2:]
    slope, _ = statistics.linear_regression([m for m, _ in warm], [h for _, h in warm])
    course = ", ".join(f"{h:.1f} at {m:.0f} min" for m, h in [*warm[:: max(len(warm) // 3, 1)][:3], warm[-1]])
    rounds, held = page.evaluate("[gaoxin.rounds, gaoxin.source.chunks.bytes]")
    print(f"  looping at 600x, {rounds} rounds: heap in MiB {course}; slope {slope:+.3f} a minute", end="")
    print(f"; {held / 2**20:.1f} MiB of chunks beside it", flush=True)
