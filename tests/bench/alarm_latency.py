"""From a reading that calls for an alarm, published to the broker, to the alarm on a wall in Chromium.

Two ends are measured: the level in a frame, which draws the halo on the map, and the row in the alarm panel. The map is
drawn in software, on the cores of everything else: an empty page shows what is the twin's own.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import Page, sync_playwright

from tests.browser.chromium import FLAGS
from tests.servers import Up, up
from twin.clock import SystemClock
from twin.ledger import Ledger, rules, sqlite_url
from twin.observation import Domain
from twin.registry import Device
from twin.rules import Condition, Rule, Scope, Term

SAMPLES = 100
FULL = Rule(
    id="bench",
    name="Car park full",
    scope=Scope(domains=(Domain.PARKING,)),
    when=(Term(metric="occupancy", condition=Condition.ABOVE, red=0.9, band=0.05),),
    flap_count=10_000,
)

LISTEN = """(url) => {
  window.levels = {};
  window.rows = {};
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  socket.onmessage = (event) => {
    const now = Date.now();
    if (typeof event.data === "string") {
      const view = JSON.parse(event.data);
      for (const row of view.alarms?.rows ?? []) if (row.device) window.rows[row.device] ??= now;
      return;
    }
    const view = new DataView(event.data), n = view.getUint32(12, true);
    if (view.getUint8(3) === 0) return;
    for (let k = 0; k < n; k++) {
      const level = view.getUint8(28 + 5 * n + k) & 15;
      if (level) window.levels[view.getUint32(28 + 4 * k, true)] ??= now;
    }
  };
  const panel = document.querySelector(".wall-alarms");
  if (!panel) return;
  window.drawn = {};
  const look = () => {
    for (const row of panel.querySelectorAll("[data-device]")) {
      window.drawn[row.getAttribute("data-device")] ??= Date.now();
    }
  };
  new MutationObserver(look).observe(panel, {childList: true, subtree: true, characterData: true, attributes: true});
}"""


def main() -> None:
    print(f"observation to alarm on screen, {SAMPLES} alarms one after another")
    for what, path in (("an empty page", "/healthz"), ("a page that draws the wall (in software)", "/")):
        print(f"  {what}:")
        with tempfile.TemporaryDirectory() as folder:
            _measure(Path(folder), path)


def _measure(folder: Path, path: str) -> None:
    with up(folder, GAOXIN_SIMULATE__ON="false") as twin, sync_playwright() as play:
        from dashboards.opening import read_registry
        from twin.settings import load

        registry = read_registry(load(environ={}))
        _only(twin)
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = browser.new_page(viewport={"width": 1920, "height": 1080})
        page.goto(twin.url + path)
        if path == "/":
            page.wait_for_function("window.gaoxin && window.gaoxin.zone && window.gaoxin.zone.seq > 0", timeout=60_000)
        page.evaluate(LISTEN, f"ws://127.0.0.1:{twin.port}/api/v1/live")
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench")
        client.connect("127.0.0.1", twin.broker_port)
        client.loop_start()
        parks = [d for d in registry if d.domain is Domain.PARKING]
        found: dict[str, list[float]] = {"level in a frame": [], "row sent": [], "row drawn": []}
        for n in range(SAMPLES):
            device = parks[n % len(parks)]
            page.evaluate(f"""() => {{ delete window.rows["{device.id}"]; delete window.drawn?.["{device.id}"];
                             delete window.levels[{registry.index[device.id]}]; }}""")
            begun = time.time() * 1000
            _say(client, device, 0.97)
            for what, at in _seen(page, device.id, registry.index[device.id], path == "/").items():
                found[what].append(at - begun)
            _say(client, device, 0.2)
            time.sleep(0.13 * (n % 7))  # at any phase of what runs once a second
        client.loop_stop()
        browser.close()
    for what, delays in found.items():
        if delays:
            cuts = statistics.quantiles(delays, n=100)
            print(f"    {what:16}  p50 {cuts[49]:5.0f} ms   p99 {cuts[98]:5.0f} ms   max {max(delays):5.0f} ms")


def _only(twin: Up) -> None:
    """Put this one rule in force, and wait until the engine has it."""
    ledger = Ledger(sqlite_url(twin.folder / "data" / "ledger.sqlite"))
    with ledger.transaction() as connection:
        base = rules.latest(connection)
        rules.commit(connection, (FULL,), author="bench", reason="a bench", base=base, at=SystemClock().now())
    ledger.close()
    time.sleep(3)


def _say(client: paho.Client, device: Device, occupancy: float) -> None:
    body: dict[str, Any] = {"at": SystemClock().now(), "values": {"occupancy": occupancy}}
    client.publish(f"gaoxin/v1/parking/{device.id}/obs", json.dumps(msgspec.to_builtins(body)), qos=1)


def _seen(page: Page, device: str, index: int, drawn: bool) -> dict[str, float]:
    ends = {"level in a frame": f"window.levels[{index}]", "row sent": f'window.rows["{device}"]'}
    if drawn:
        ends["row drawn"] = f'window.drawn["{device}"]'
    page.wait_for_function(" && ".join(ends.values()), timeout=30_000, polling=20)
    return {what: page.evaluate(script) for what, script in ends.items()}
