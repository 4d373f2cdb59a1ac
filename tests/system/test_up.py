"""`gaoxin up` as a person meets it: it starts, shows live data, survives the death of a part, and ends cleanly."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import psutil
import pytest
from websockets.sync.client import connect

from tests.servers import Up, mosquitto, up, wait_until
from twin import snapshot

pytestmark = pytest.mark.server


def stored(url: str) -> float:
    for line in httpx2.get(f"{url}/metrics").text.splitlines():
        if line.startswith("gaoxin_observations_stored_total"):
            return float(line.split()[1])
    raise AssertionError("no such metric")


def test_a_day_of_history_then_live_then_a_clean_end(tmp_path: Path) -> None:
    with up(tmp_path) as twin:
        state = httpx2.get(f"{twin.url}/api/v1/state", timeout=20).json()
        known = [d for d in state["devices"] if d["state"] == "known"]
        assert len(known) > 0.95 * len(state["devices"])
        centre = next(d["device"] for d in state["devices"] if d["device"].startswith("cc-"))
        history = httpx2.get(
            f"{twin.url}/api/v1/history", params={"device": centre, "metric": "facilityPower", "points": 100}
        ).json()
        assert len(history["at"]) > 90
        before = stored(twin.url)
        wait_until(lambda: stored(twin.url) > before + 10, "simulated sensors reach the store")
        for _ in range(3):
            with connect(f"ws://127.0.0.1:{twin.port}/api/v1/live") as screen:
                greeting, first = screen.recv(timeout=5), screen.recv(timeout=5)
                assert json.loads(greeting)["type"] == "beat"
                assert snapshot.decode(first).index is None  # a key frame: the whole zone at once
        parts = twin.children()
        assert set(parts) == {"broker", "node", "simulate"}
        assert twin.stop() == 0
        assert "Traceback" not in twin.words()
        assert not [pid for pid in parts.values() if psutil.pid_exists(pid)]


def test_a_killed_node_comes_back_and_remembers(tmp_path: Path) -> None:
    with up(tmp_path, GAOXIN_SIMULATE__HISTORY_H="1") as twin:
        node = twin.children()["node"]
        os.kill(node, signal.SIGKILL)
        wait_until(lambda: twin.children().get("node", node) != node, "the supervisor starts it again")
        twin.wait_ready()
        state = httpx2.get(f"{twin.url}/api/v1/state", timeout=20).json()
        assert sum(d["state"] == "known" for d in state["devices"]) > 0.95 * len(state["devices"])


def test_an_interrupted_first_fill_leaves_no_hole(tmp_path: Path) -> None:
    twin = Up(tmp_path)
    twin.start()
    try:
        wait_until(lambda: (tmp_path / "data" / "filling.json").exists(), "the fill has begun")
        time.sleep(1.5)
        os.kill(twin.children()["node"], signal.SIGKILL)
        twin.wait_ready()
        assert "interrupted" in twin.words()
        now = time.time_ns() // 1_000_000
        found = httpx2.get(
            f"{twin.url}/api/v1/history",
            params={"device": "cc-300p", "metric": "itPower", "from": now - 23 * 3_600_000, "points": 46},
        ).json()
        assert len(found["at"]) == 46
    finally:
        twin.stop()


def test_a_killed_supervisor_leaves_nothing_behind(tmp_path: Path) -> None:
    with up(tmp_path, GAOXIN_SIMULATE__HISTORY_H="0", GAOXIN_STORE__KIND="memory") as twin:
        parts = twin.children()
        twin.stop(signal.SIGKILL)
        wait_until(lambda: not [p for p in parts.values() if psutil.pid_exists(p)], "the parts end with it")


def test_the_embedded_broker_serves_where_mosquitto_is_not(tmp_path: Path) -> None:
    settings = {"GAOXIN_BROKER__KIND": "amqtt", "GAOXIN_SIMULATE__HISTORY_H": "0", "GAOXIN_STORE__KIND": "memory"}
    with up(tmp_path, **settings) as twin:
        wait_until(lambda: stored(twin.url) > 20, "simulated sensors reach the store through amqtt")
        assert "amqtt" in twin.words()
        assert "2,000 messages a second" in twin.words()


def test_a_broker_of_your_own_is_used_and_left_alone(tmp_path: Path) -> None:
    settings = {"GAOXIN_BROKER__KIND": "outside", "GAOXIN_SIMULATE__HISTORY_H": "0", "GAOXIN_STORE__KIND": "memory"}
    with mosquitto(tmp_path / "broker") as port, up(tmp_path, **settings, GAOXIN_BROKER__PORT=str(port)) as twin:
        wait_until(lambda: stored(twin.url) > 20, "simulated sensors reach the store")
        assert set(twin.children()) == {"node", "simulate"}


def run(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    env = {**Up(folder).env, **settings}
    return subprocess.run(
        [sys.executable, "-m", "dashboards", *arguments], env=env, capture_output=True, text=True, timeout=60
    )


def test_two_on_one_folder_and_a_taken_port_are_refused_in_words(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = run(tmp_path, "up", GAOXIN_WEB__PORT=str(port))
        assert found.returncode == 2
        assert f"web.port = {port}" in found.stderr
        assert "make up PORT=" in found.stderr
    with up(tmp_path, GAOXIN_SIMULATE__HISTORY_H="0") as twin:
        found = run(tmp_path, "up", GAOXIN_DATA=twin.env["GAOXIN_DATA"])
        assert found.returncode == 2
        assert "another gaoxin already runs" in found.stderr
        assert "Traceback" not in found.stderr
        # The doctor leaves a running twin alone, and sends to its own word
        found = run(tmp_path, "doctor", GAOXIN_DATA=twin.env["GAOXIN_DATA"])
        assert found.returncode == 0, found.stderr
        assert "runs on this data folder" in found.stdout
        # and the file's owner is named to whoever else opens it
        found = run(tmp_path, "backfill", GAOXIN_DATA=twin.env["GAOXIN_DATA"])
        assert found.returncode == 1
        assert "observations.duckdb" in found.stderr
        assert "Traceback" not in found.stderr


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"GAOXIN_WEB__PORT": "eighty"}, "web.port"),
        ({"GAOXIN_COLOUR": "red"}, "GAOXIN_COLOUR"),
        ({"GAOXIN_DATA": "/proc/nowhere"}, "/proc/nowhere"),
        ({"GAOXIN_REGISTRY": "/nowhere/devices.json"}, "/nowhere/devices.json"),
    ],
)
def test_a_wrong_setting_stops_the_start_in_words(tmp_path: Path, settings: dict[str, str], words: str) -> None:
    found = run(tmp_path, "up", **settings)
    assert found.returncode == 2
    assert words in found.stderr
    assert "Traceback" not in found.stderr


def test_sigint_ends_it_too(tmp_path: Path) -> None:
    with up(tmp_path, GAOXIN_SIMULATE__HISTORY_H="0", GAOXIN_STORE__KIND="memory") as twin:
        begun = time.monotonic()
        assert twin.stop(signal.SIGINT) == 0
        assert time.monotonic() - begun < 30
