"""The measurements: `make bench`, or `make bench BENCH="start latency …"` for some of them; `endurance` (ten
minutes), `soak` (half an hour) and `replay_loop` (half an hour for each of three zones) run only when they are named.

Each prints what it measured with the machine's cores; nothing here passes or fails.
"""

import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import paho.mqtt.client as paho
import psutil
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import Page, sync_playwright

from dashboards.opening import read_registry
from tests.browser.chromium import FLAGS
from tests.servers import Up, up
from twin.observation import METRICS
from twin.settings import load


def page_of(play: object, url: str) -> Page:
    browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
    page: Page = browser.new_page(viewport={"width": 1920, "height": 1080})
    page.goto(url)
    return page


def first_frame(twin: Up, play: object) -> float:
    """Seconds from starting `gaoxin up` to the first live frame applied in a browser that was waiting for it."""
    begun = time.monotonic()
    twin.start()
    while True:
        try:
            httpx2.get(f"{twin.url}/healthz", timeout=1)
            break
        except httpx2.HTTPError:
            time.sleep(0.02)
    served = time.monotonic() - begun
    page = page_of(play, twin.url)
    page.wait_for_function("window.gaoxin && window.gaoxin.zone && window.gaoxin.zone.seq > 0", timeout=120_000)
    shown = time.monotonic() - begun
    page.context.browser.close()
    print(f"    HTTP answers after {served:.1f} s, first live frame in the browser after {shown:.1f} s")
    return shown


def start() -> None:
    print("start to first live frame")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        twin = Up(Path(folder))
        print("  cold (empty data folder, a day of history is filled in):")
        first_frame(twin, play)
        twin.stop()
        print("  warm (the folder is there), three times:")
        for _ in range(3):
            first_frame(twin, play)
            twin.stop()


LISTEN = """(url) => {
  window.seen = [];
  let shown = null;
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  socket.onmessage = (event) => {
    if (typeof event.data === "string") return;
    const now = Date.now(), view = new DataView(event.data), n = view.getUint32(12, true);
    if (view.getUint8(3) === 0) {
      const value = new Uint8Array(event.data, 28, n);
      for (let i = 0; shown && i < n; i++) if (value[i] !== shown[i]) window.seen.push([i, now]);
      shown = value.slice();
      return;
    }
    for (let k = 0; k < n; k++) {
      const i = view.getUint32(28 + 4 * k, true);
      shown[i] = view.getUint8(28 + 4 * n + k);
      window.seen.push([i, now]);
    }
  };
}"""


def latency() -> None:
    """From publishing to the broker to the frame's arrival in a Chromium page: an empty one, then one with the wall.

    Without a graphics processor Chromium draws the map in software, on the cores of everything else: the first figure
    is the twin's own, the second that of a machine which is server, sensors and screen without a graphics processor.
    """
    print("broker to browser at 1,000 observations a second, 20 s")
    for what, path in (("an empty page", "/healthz"), ("a page that draws the wall (in software)", "/")):
        print(f"  {what}:")
        _latency(path, rate=1_000, seconds=20)


def _latency(path: str, rate: int, seconds: int) -> None:
    registry = read_registry(load(environ={}))
    settings = {"GAOXIN_SIMULATE__ON": "false"}
    with tempfile.TemporaryDirectory() as folder, up(Path(folder), **settings) as twin, sync_playwright() as play:
        page = page_of(play, twin.url + path)
        if path == "/":
            page.wait_for_function("window.gaoxin && window.gaoxin.zone && window.gaoxin.zone.seq > 0", timeout=60_000)
        page.evaluate(LISTEN, f"ws://127.0.0.1:{twin.port}/api/v1/live")
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench")
        client.connect("127.0.0.1", twin.broker_port)
        client.loop_start()
        sent: dict[int, list[float]] = {i: [] for i in range(len(registry))}
        order = random.Random(1)
        end, due, high = time.time() + seconds, time.time(), False
        queue: list[int] = []
        while time.time() < end:
            if not queue:
                queue, high = order.sample(range(len(registry)), len(registry)), not high
            i = queue.pop()
            device = registry.devices[i]
            low, top = METRICS[device.headline].scale
            value = low + (top - low) * (0.75 if high else 0.25)
            now = time.time()
            sent[i].append(now * 1000)
            body = {"at": int(now * 1000), "values": {device.headline: value}}
            client.publish(f"gaoxin/v1/{device.domain}/{device.id}/obs", json.dumps(body), qos=1)
            due += 1 / rate
            time.sleep(max(0, due - time.time()))
        time.sleep(2)
        client.loop_stop()
        arrived: dict[int, list[float]] = {i: [] for i in range(len(registry))}
        for i, at in page.evaluate("window.seen"):
            arrived[i].append(at)
        delays: list[float] = []
        for i, times in sent.items():
            # each reading flips the byte, so the k-th change is the k-th reading, unless two fell into one delta
            if len(arrived[i]) == len(times):
                delays += [a - s for s, a in zip(times, arrived[i], strict=True)]
        total = sum(map(len, sent.values()))
        cuts = statistics.quantiles(delays, n=100)
        print(f"    {total:,} published, {len(delays):,} matched ({len(delays) / total:.1%})")
        print(f"    p50 {cuts[49]:.0f} ms   p90 {cuts[89]:.0f} ms   p99 {cuts[98]:.0f} ms   max {max(delays):.0f} ms")


def memory(minutes: float = 5) -> None:
    print(f"memory after {minutes:g} minutes at real time, one browser watching")
    with tempfile.TemporaryDirectory() as folder, up(Path(folder)) as twin, sync_playwright() as play:
        page = page_of(play, twin.url)
        page.wait_for_function("window.gaoxin && window.gaoxin.zone && window.gaoxin.zone.seq > 0", timeout=60_000)
        assert twin.process is not None
        parts = {"supervisor": twin.process.pid, **twin.children()}
        first = {name: _resident(pid) for name, pid in parts.items()}
        used = {name: sum(psutil.Process(pid).cpu_times()[:2]) for name, pid in parts.items()}
        time.sleep(minutes * 60)
        for name, pid in parts.items():
            cpu = (sum(psutil.Process(pid).cpu_times()[:2]) - used[name]) / (minutes * 60)
            print(f"  {name:11} {_resident(pid):6.0f} MiB (at the start {first[name]:.0f}), {cpu:.1%} of a core")
        heap = page.evaluate("performance.memory ? performance.memory.usedJSHeapSize / 1048576 : 0")
        print(f"  {'page':11} {heap:6.0f} MiB of JavaScript heap")


def _resident(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / 2**20


def stores() -> None:
    from tests.bench import store

    store.main()


def replay() -> None:
    from tests.bench import replay

    replay.main()


def replay_page() -> None:
    from tests.bench import replay_page

    replay_page.main()


def replay_loop() -> None:
    from tests.bench import replay_page

    replay_page.loop()


def alerts() -> None:
    from tests.bench import alerts

    alerts.main()


def alarms() -> None:
    from tests.bench import alarm_latency

    alarm_latency.main()


def simulate() -> None:
    from tests.bench import simulate

    simulate.main()


def ingest() -> None:
    from tests.bench import ingest

    ingest.main()


def endurance() -> None:
    from tests.bench import endurance

    endurance.main()


def soak() -> None:
    from tests.bench import soak

    soak.main()


PARTS: dict[str, Callable[[], None]] = {
    "start": start,
    "latency": latency,
    "stores": stores,
    "replay": replay,
    "replay_page": replay_page,
    "alerts": alerts,
    "alarms": alarms,
    "simulate": simulate,
    "ingest": ingest,
    "memory": memory,
    "endurance": endurance,
    "soak": soak,
    "replay_loop": replay_loop,
}
LONG = ("endurance", "soak", "replay_loop")  # only when named


def main() -> None:
    wrong = [a for a in sys.argv[1:] if a not in PARTS]
    if wrong:
        sys.exit(f"no measurement {', '.join(wrong)}; there are: {', '.join(PARTS)}")
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {platform.system()}")
    for name in sys.argv[1:] or [part for part in PARTS if part not in LONG]:
        print()
        PARTS[name]()


if __name__ == "__main__":
    main()
