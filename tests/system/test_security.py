"""The shipped Mosquitto configuration on a real Mosquitto: who gets in, and who may say and hear what."""

import contextlib
import json
import logging
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
import yaml

from ingest import retry
from ingest.broker import find
from ingest.decode import Decoder
from ingest.worker import Worker
from tests.keys import Keys
from tests.servers import free_port, listens, mosquitto, wait_until
from tests.zone import PREFIX, SMALL, seen, topic
from twin import mqtt
from twin.clock import SystemClock
from twin.errors import BrokerError
from twin.settings import Broker, Ingest, Settings, environment
from twin.settings import Store as StoreSettings
from twin.store.memory import MemoryStore

pytestmark = pytest.mark.server

SHIPPED = Path(__file__).parents[2] / "ingest" / "mosquitto"
PASSWORD = "p@ss-"
ACCOUNTS = ("aq-1", "aq-2", "gw-east", "ingest", "engine", "web", "node", "simulators", "observer")
OBS, OTHER = "gaoxin/v1/environment/aq-1/obs", "gaoxin/v1/environment/aq-2/obs"
BATCH, PARKING, TRAFFIC = (f"gaoxin/v1/{domain}/batch" for domain in ("environment", "parking", "traffic"))
EAST, WEST = "gaoxin/v1/gateway/gw-east/status", "gaoxin/v1/gateway/gw-west/status"
WORKER, FRAME, ALERT = "gaoxin/v1/worker/ingest-1/status", "gaoxin/v1/frame/key", "gaoxin/v1/alert/a/b"
TOPICS = (OBS, OTHER, BATCH, PARKING, TRAFFIC, EAST, WEST, WORKER, FRAME, ALERT, "gaoxin/v1/else", "else")

WRITES = {
    "aq-1": {OBS},
    "gw-east": {EAST, BATCH, PARKING},
    "ingest": {WORKER, BATCH, PARKING, TRAFFIC},
    "engine": {FRAME, ALERT},
    "web": set(),
    "node": {WORKER, BATCH, PARKING, TRAFFIC, FRAME, ALERT},
    "simulators": {OBS, OTHER, EAST, WEST},
}
FEED = {OBS, OTHER, BATCH, PARKING, TRAFFIC, EAST, WEST}
READS = {
    "aq-1": set(),
    "gw-east": set(),
    "ingest": FEED | {WORKER},
    "engine": FEED | {ALERT},
    "node": FEED | {WORKER, FRAME, ALERT},
    "web": {WORKER, FRAME, ALERT},
    "simulators": set(),
}


class Server:
    """Mosquitto with the shipped files, its paths moved into `folder`; `observer` may say and hear all."""

    def __init__(self, folder: Path, keys: Path, *, ask_certificate: bool = False) -> None:
        self.port, self.ca = free_port(), keys / "ca.pem"
        paths = {"/mosquitto/keys/": f"{keys}/", "/mosquitto/config/": f"{folder}/", "/mosquitto/data/": f"{folder}/"}
        text = (SHIPPED / "mosquitto.conf").read_text(encoding="utf-8")
        if ask_certificate:
            text = re.sub(r"^#(cafile|require_certificate)", r"\1", text, flags=re.M)
        for shipped, here in paths.items():
            assert shipped in text
            text = text.replace(shipped, str(here))
        text = text.replace("listener 8883\n", f"listener {self.port} 127.0.0.1\n").replace("log_dest stdout\n", "")
        # started as root it would drop to an account that may not read this folder
        text += f"log_dest file {folder}/log\n" + ("user root\n" if os.geteuid() == 0 else "")
        acl = (SHIPPED / "acl").read_text(encoding="utf-8")
        acl = re.sub(r"^#(user gw-east|topic write .*)", r"\1", acl, flags=re.M)  # the gateway it shows
        (folder / "acl").write_text(f"{acl}\nuser observer\ntopic readwrite #\n", encoding="utf-8")
        (folder / "mosquitto.conf").write_text(text, encoding="utf-8")
        self.process = subprocess.Popen([str(find("mosquitto")), "-c", str(folder / "mosquitto.conf")])
        try:
            wait_until(lambda: listens(self.port), "mosquitto listens")
        except AssertionError:
            self.stop()
            raise

    def settings(self, user: str, **more: Any) -> Broker:
        given = {"host": "localhost", "port": self.port, "tls": True, "ca": self.ca, "password": PASSWORD + user}
        return Broker(user=user, **(given | more))

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def keys_of(folder: Path) -> Keys:
    """What the broker's folder of keys holds."""
    made = Keys(folder)
    certificate, key = made.issue("localhost")
    certificate.rename(folder / "server.pem")
    key.rename(folder / "server.key")
    (folder / "passwords").touch(0o600)
    for name in ACCOUNTS:
        command = ["mosquitto_passwd", "-b", str(folder / "passwords"), name, PASSWORD + name]
        subprocess.run(command, check=True)
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("broker"), keys_of(tmp_path_factory.mktemp("keys")).folder)
    yield made
    made.stop()


class Account:
    """A client as the twin makes it, and what it heard."""

    def __init__(self, settings: Broker) -> None:
        self.heard: list[str] = []
        self.last: dict[str, bytes] = {}
        self.connected, self.subscribed, self.tries = False, 0, 0
        self.name = f"test-{id(self):x}"
        self.client = mqtt.client(paho.Client, settings, self.name)
        self.client.on_pre_connect = self._on_try
        self.client.on_connect = self._on_connect
        self.client.on_message = self._on_message
        self.client.on_subscribe = self._on_subscribe
        mqtt.connect(self.client, settings)

    def _on_message(self, _c: Any, _u: Any, message: paho.MQTTMessage) -> None:
        self.heard.append(message.topic)
        self.last[message.topic] = message.payload

    def _on_try(self, *_: Any) -> None:
        self.tries += 1

    def _on_connect(self, *_: Any) -> None:
        self.connected = True

    def _on_subscribe(self, *_: Any) -> None:
        self.subscribed += 1

    def subscribe(self, *topics: str) -> None:
        wanted = self.subscribed + 1
        self.client.subscribe([(topic, 1) for topic in topics])
        wait_until(lambda: self.subscribed >= wanted, "subscribed")

    def publish(self, topic: str, payload: str = "{}") -> None:
        """Returns when the broker has dealt with it: whatever it sent here before has then been read."""
        self.client.publish(topic, payload, qos=1).wait_for_publish(10)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextlib.contextmanager
def account(settings: Broker) -> Iterator[Account]:
    made = Account(settings)
    try:
        wait_until(lambda: made.connected, f"{settings.user} connected")
        yield made
    finally:
        made.close()


def test_a_flood_through_tls_is_taken_in_at_once(server: Server, tmp_path: Path) -> None:
    """Ingest's own reader on TLS: more than it reads at once, and nothing after it that would wake it."""
    many, store = 12_000, MemoryStore(SMALL)
    settings = Ingest(worker="flood", shared=True)
    clock = SystemClock()
    worker = Worker(store, Decoder(SMALL, prefix=PREFIX), tmp_path, clock, settings, server.settings("ingest"))
    worker.start()
    try:
        wait_until(worker.connected.is_set, "ingest connected")
        with account(server.settings("simulators")) as sensors, account(server.settings("web")) as web:
            web.subscribe("gaoxin/v1/worker/+/status")
            start = clock.now() - many
            for i in range(many):
                body = {"at": start + i, "values": {"intensity": i % 1000}}
                sensors.client.publish(topic("td-1"), json.dumps(body), qos=1)
            stored = lambda: len(store.series("td-1", "intensity", start, start + many).at)  # noqa: E731
            wait_until(lambda: stored() == many, "all are stored")
            wait_until(lambda: "gaoxin/v1/worker/flood/status" in web.heard, "ingest says how it is")
    finally:
        worker.stop()


def test_each_process_does_its_work_with_its_account(server: Server, tmp_path: Path) -> None:
    """Simulators to engine to web: `gaoxin simulate` and `gaoxin engine` as processes, each with its own account."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GAOXIN_")}
    running = []
    with account(server.settings("web")) as web:
        web.subscribe("gaoxin/v1/frame/+")
        try:
            for user, command in (("simulators", "simulate"), ("engine", "engine")):
                settings = Settings(
                    data=tmp_path / command, store=StoreSettings(kind="memory"), broker=server.settings(user)
                )
                started = [sys.executable, "-m", "dashboards", command]
                running.append(subprocess.Popen(started, env=clean | environment(settings)))
            wait_until(lambda: any("/frame/" in topic for topic in web.heard), "a frame reaches the web")
            wait_until(lambda: heard_of_devices(web), "with devices in it")
        finally:
            for process in running:
                process.terminate()
            assert [process.wait(15) for process in running] == [0, 0]
            with account(server.settings("engine")) as engine:
                for kind in ("key", "indicators", "health", "alarms"):
                    # Retained for the screens, but not for the tests that follow
                    engine.client.publish(f"gaoxin/v1/frame/{kind}", b"", 1, retain=True).wait_for_publish(10)


def heard_of_devices(web: "Account") -> bool:
    newest = web.last.get("gaoxin/v1/frame/indicators")
    return newest is not None and any(d["known"] for d in json.loads(newest)["domains"].values())


def refusals(caplog: pytest.LogCaptureFixture, *settings: Broker) -> list[str]:
    """What the log says of each, tried at once, after a second try of each has failed, too: one line."""
    caplog.clear()
    caplog.set_level(logging.DEBUG, "gaoxin.mqtt")
    made = [Account(s) for s in settings]
    try:
        wait_until(lambda: all(len(said(caplog, a, logging.DEBUG)) > 1 for a in made), "two refusals each")
    finally:
        for one in made:
            one.client.disconnect()  # all of them before any of them is waited for
        for one in made:
            one.close()
    assert not any(a.connected for a in made)
    assert all(a.tries > 1 for a in made)
    lines = [said(caplog, a, logging.ERROR) for a in made]
    assert all(len(one) == 1 for one in lines), lines
    return [one[0] for one in lines]


def said(caplog: pytest.LogCaptureFixture, account: Account, level: int) -> list[str]:
    found = [r for r in caplog.records if r.name == "gaoxin.mqtt" and r.levelno >= level]
    return [r.message for r in found if r.message.startswith(account.name + ":")]


def test_an_observation_reaches_ingest_also_through_a_shared_subscription(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        alone, shared, sensor = (stack.enter_context(account(server.settings(u))) for u in ("ingest", "ingest", "aq-1"))
        alone.subscribe("gaoxin/v1/+/+/obs")
        shared.subscribe("$share/ingest/gaoxin/v1/+/+/obs")
        sensor.publish(OBS)
        for heard in (alone.heard, shared.heard):
            wait_until(lambda heard=heard: heard == [OBS], "the observation arrives")


def test_a_refusal_is_said_once_and_tried_again(
    server: Server, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    other = Keys(tmp_path / "other").ca
    with mosquitto(tmp_path / "plain") as port:
        cases = [
            (server.settings("web", ca=other), f"not signed by broker.ca = {other}"),
            (server.settings("web", ca=None), "this system knows, and broker.ca is not set"),
            (server.settings("web", host="127.0.0.1"), "not for broker.host = 127.0.0.1"),
            (server.settings("web", password="wrong"), "broker.user = 'web' or its password (GAOXIN_BROKER__PASSWORD)"),
            (server.settings("nobody"), "broker.user = 'nobody'"),
            (server.settings(""), "without an account: set broker.user"),
            (server.settings("web", tls=False, ca=None), "closed the connection before answering; if this port wants"),
            (server.settings("web", port=free_port()), "cannot be reached (Connection refused)"),
            (server.settings("web", port=port), "does not speak TLS on this port: set broker.port (often 8883)"),
        ]
        lines = refusals(caplog, *(settings for settings, _ in cases))
    for line, (_, words) in zip(lines, cases, strict=True):
        assert words in line
        assert PASSWORD not in line


def test_a_server_that_says_nothing_does_not_hold_the_client(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        settings = server.settings("web", host="127.0.0.1", port=mute.getsockname()[1])
        made = mqtt.client(paho.Client, settings, "test-mute")
        made.connect_timeout = 0.3  # seconds; 5 by itself
        mqtt.connect(made, settings)
        try:
            wait_until(lambda: "it does not answer in time" in caplog.text, "the time-out is said")
        finally:
            begun = time.monotonic()
            made.disconnect()
            made.loop_stop()
        assert time.monotonic() - begun < 3


def test_a_client_outlives_a_refusal(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Refused with a wrong password, let in as soon as it is right."""
    made = Account(server.settings("web", password="wrong"))
    try:
        wait_until(lambda: bool(said(caplog, made, logging.ERROR)), "refused")
        made.client.username_pw_set("web", PASSWORD + "web")
        wait_until(lambda: made.connected, "connected")
    finally:
        made.close()


def test_a_client_certificate_where_one_is_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keys = keys_of(tmp_path / "keys")
    server = Server(tmp_path, keys.folder, ask_certificate=True)
    try:
        certificate, key = keys.issue("web")
        with account(server.settings("web", certificate=certificate, key=key)):
            pass
        foreign, its_key = Keys(tmp_path / "other").issue("web")
        with_foreign = server.settings("web", certificate=foreign, key=its_key)
        without, other = refusals(caplog, server.settings("web"), with_foreign)
        assert "client certificate" in without
        assert "set broker.certificate and broker.key" in without
        assert f"not accept broker.certificate = {foreign}" in other
    finally:
        server.stop()


@pytest.mark.parametrize("user", WRITES)
def test_an_account_says_what_it_may_and_no_more(server: Server, user: str) -> None:
    with account(server.settings("observer")) as observer, account(server.settings(user)) as made:
        observer.subscribe("#")
        for topic in TOPICS:
            made.publish(topic)
        observer.publish("the end")
        wait_until(lambda: "the end" in observer.heard, "the broker is up")
        assert set(observer.heard) & set(TOPICS) == WRITES[user]


@pytest.mark.parametrize("user", READS)
def test_an_account_hears_what_it_may_and_no_more(server: Server, user: str) -> None:
    with account(server.settings("observer")) as observer, account(server.settings(user)) as made:
        # asking for what is not granted must not cost the rest
        made.subscribe("#")
        observer.subscribe("#")
        for topic in TOPICS:
            observer.publish(topic)
        wait_until(lambda: set(observer.heard) >= set(TOPICS), "the broker is up")
        made.publish("nowhere")
        assert set(made.heard) & set(TOPICS) == READS[user]


def test_a_retry_that_may_not_be_sent_says_so_and_settles_nothing(server: Server) -> None:
    decoder = Decoder(SMALL, prefix="gaoxin/v1")
    readings = [seen("aq-1", pm25=3.0)]
    with pytest.raises(BrokerError, match=r"does not let the account engine write gaoxin/v1/environment/batch"):
        retry.publish(readings, decoder, server.settings("engine"))
    assert retry.publish(readings, decoder, server.settings("ingest")) == 1


def test_retained_and_shared_do_not_get_round_it(server: Server) -> None:
    """A sensor does not hear another one through a shared subscription, nor what is retained."""
    with account(server.settings("observer")) as observer, account(server.settings("aq-2")) as sensor:
        observer.client.publish(FRAME, "x", qos=1, retain=True).wait_for_publish(10)
        sensor.subscribe("$share/ingest/gaoxin/v1/+/+/obs", FRAME, "$SYS/#")
        observer.publish(OBS)
        sensor.publish(OTHER)
        assert sensor.heard == []
        observer.client.publish(FRAME, "", qos=1, retain=True).wait_for_publish(10)


def test_the_guide_makes_what_broker_and_clients_take(tmp_path: Path) -> None:
    guide = (SHIPPED.parents[1] / "docs" / "integrators.md").read_text(encoding="utf-8")
    found = re.search(r"```sh\n(mkdir -p keys\n.*?)```", guide, flags=re.S)
    assert found is not None
    script = re.sub(r"mosquitto_passwd (\S+) (\S+)", rf"mosquitto_passwd -b \1 \2 {PASSWORD}\2", found[1])
    subprocess.run(
        ["sh", "-e"], input=script.replace("DNS:mqtt.example", "DNS:localhost"), text=True, cwd=tmp_path, check=True
    )
    made = tmp_path / "keys"
    # What Python 3.13 asks of every certificate
    strict = ["openssl", "verify", "-x509_strict", "-verify_hostname", "mosquitto", "-CAfile", "ca.pem", "server.pem"]
    subprocess.run(strict, cwd=made, check=True, capture_output=True)
    server = Server(tmp_path, made)
    try:
        with account(server.settings("aq-east-1")) as sensor, account(server.settings("ingest")) as ingest:
            ingest.subscribe("gaoxin/v1/+/+/obs")
            sensor.publish("gaoxin/v1/environment/aq-east-1/obs")
            wait_until(lambda: bool(ingest.heard), "the observation arrives")
        for password, code in ((PASSWORD + "web", 0), ("wrong", 5)):
            asked = subprocess.run(["sh", "-c", health(server)], env=os.environ | {"HEALTH_PASSWORD": password})
            assert asked.returncode == code
    finally:
        server.stop()


def health(server: Server) -> str:
    """The broker's health check of compose.yaml, for a broker here."""
    text = (SHIPPED.parents[1] / "compose.yaml").read_text(encoding="utf-8")
    command: str = yaml.safe_load(text)["services"]["mosquitto"]["healthcheck"]["test"][1]
    here = {
        "-h mosquitto": "-h localhost",
        "-p 8883": f"-p {server.port}",
        "/mosquitto/keys/ca.pem": str(server.ca),
        "$$": "$",
    }
    for shipped, instead in here.items():
        assert shipped in command
        command = command.replace(shipped, instead)
    return command
