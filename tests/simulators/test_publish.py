"""The publisher: its schedule on a manual clock without a network, and the whole of it against a real broker."""

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import paho.mqtt.client as paho
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion

from simulators import publish
from simulators.publish import client_of, run
from simulators.timetable import SIMULATOR, Publisher, schedule
from simulators.world import World
from tests.servers import wait_until
from tests.simulators.zone import zone
from twin.clock import HOUR, MINUTE, SECOND, ManualClock, SystemClock, parse
from twin.observation import METRICS, Domain
from twin.registry import Registry
from twin.settings import Broker

START = parse("2026-11-20T00:30:00")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return zone(parks=6)


@pytest.fixture(scope="module")
def world(registry: Registry) -> World:
    """For those to whom what the world says does not matter: it may already be further than they are."""
    return World(registry, seed=3, start=START)


def publisher(world: World, speed: float = 1.0) -> Publisher:
    return Publisher(world, origin=START, speed=speed)


def sent(source: Publisher, clock: ManualClock, for_ms: int) -> list[tuple[int, str, dict[str, object]]]:
    """What it sends in so much time, called exactly when it asks to be."""
    end, found = clock.now() + for_ms, []
    while source.next() <= end:
        clock.advance(source.next() - clock.now())
        found += [(clock.now(), topic, json.loads(payload)) for topic, payload, _ in source.due(clock.now())]
    clock.advance(end - clock.now())
    return found


def test_each_device_speaks_once_a_period(registry: Registry, world: World) -> None:
    clock = ManualClock(START)
    messages = sent(publisher(world), clock, 10 * MINUTE)
    times: dict[str, list[int]] = defaultdict(list)
    for at, topic, body in messages:
        assert body["at"] == at
        times[topic].append(at)
    for device in registry:
        heard = times[f"gaoxin/v1/{device.domain}/{device.id}/obs"]
        assert len(heard) == 600 // device.period_s
        assert set(np.diff(heard)) <= {device.period_s * SECOND}


def test_the_load_is_even(world: World) -> None:
    clock = ManualClock(START)
    messages = sent(publisher(world), clock, MINUTE)
    slow = [at for at, topic, _ in messages if "compute-centre" not in topic]
    per_tenth = Counter((at - START) * 10 // MINUTE for at in slow)
    mean = len(slow) / 10
    assert max(per_tenth.values()) < mean + 4 * mean**0.5


def test_seq_counts_from_zero_and_values_are_the_devices(registry: Registry, world: World) -> None:
    clock = ManualClock(START)
    seq: dict[str, list[object]] = defaultdict(list)
    for _, topic, body in sent(publisher(world), clock, 3 * MINUTE):
        seq[topic].append(body["seq"])
        device = registry[topic.split("/")[3]]
        values = body["values"]
        assert isinstance(values, dict)
        assert set(values) == set(device.metrics)
        for metric, value in values.items():
            assert METRICS[metric].low <= value <= METRICS[metric].high
            assert value == round(value, METRICS[metric].decimals + 2)
    assert all(counts == list(range(len(counts))) for counts in seq.values())


def test_speed_makes_the_world_and_the_devices_faster_and_leaves_at_real(registry: Registry) -> None:
    clock, source = ManualClock(START), publisher(World(registry, seed=3, start=START), speed=60)
    messages = sent(source, clock, 30 * SECOND)
    spoken = Counter(topic for _, topic, _ in messages)
    for device in registry:
        heard = spoken[f"gaoxin/v1/{device.domain}/{device.id}/obs"]
        assert abs(heard - 30 * 60 / device.period_s) <= 1
    assert all(body["at"] == at and START < at <= START + 30 * SECOND for at, _, body in messages)
    assert START + 29 * MINUTE <= source.world.at <= START + 30 * MINUTE


def test_what_was_missed_is_left_out(registry: Registry, world: World) -> None:
    source = publisher(world)
    source.due(START + MINUTE)
    late = source.due(START + 6 * HOUR)
    assert len(late) == len(registry)
    assert source.due(START + 6 * HOUR) == []
    # and it goes on at the old deadlines, not a period from now
    clock = ManualClock(START + 6 * HOUR)
    assert len(sent(source, clock, MINUTE)) == sum(60 // d.period_s for d in registry)


def test_a_clock_set_back_sends_nothing_twice(world: World) -> None:
    source = publisher(world)
    source.due(START + 10 * MINUTE)
    assert source.due(START + 5 * MINUTE) == []
    assert source.next() > START + 10 * MINUTE


# Its values do not matter here, so that every example may use the same world
FEW = World(zone(2, 2, parks=0, servers=1, stations=0, monitors=0, lights=1, covers=0), seed=3, start=START)


@given(st.lists(st.integers(0, 90 * SECOND), max_size=30))
def test_whenever_it_is_asked_no_deadline_is_told_twice_or_early(steps: list[int]) -> None:
    few = FEW.registry
    clock, source = ManualClock(START), Publisher(FEW, origin=START)
    last: dict[str, int] = {}
    _, offset = schedule(few.devices)
    for step in steps:
        now = clock.advance(step)
        coming = source.next()
        messages = source.due(now)
        assert bool(messages) == (now >= coming)
        for topic, *_ in messages:
            period = few[topic.split("/")[3]].period_s * SECOND
            # Two answers about one device lie in two of its periods
            turn = int((now - offset[few.index[topic.split("/")[3]]]) // period)
            assert turn > last.get(topic, -1)
            last[topic] = turn


# ---------------------------------------------------------------- a real broker


class Listener:
    """Everything under the prefix, as another client of the broker hears it."""

    def __init__(self, port: int) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe("gaoxin/v1/#", 1)
        self._client.on_message = lambda _c, _u, m: self.messages.append((m.topic, bytes(m.payload), m.retain))
        self._client.reconnect_delay_set(1, 1)
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def statuses(self) -> dict[str, bytes]:
        return {topic.split("/")[3]: payload for topic, payload, _ in self.messages if "/gateway/" in topic}

    def wait(self, enough: Callable[[], bool], seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while not enough():
            assert time.monotonic() < end, f"heard {len(self.messages)} messages, statuses {self.statuses()}"
            time.sleep(0.02)


@contextmanager
def listening(port: int) -> Iterator[Listener]:
    one = Listener(port)
    try:
        yield one
    finally:
        one.close()


@contextmanager
def running(registry: Registry, port: int, speed: float) -> Iterator[threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(
        target=run,
        args=(registry, Broker(host="127.0.0.1", port=port), SystemClock()),
        kwargs={"seed": 3, "speed": speed, "stop": stop},
    )
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(90)
        assert not thread.is_alive()


@pytest.mark.server
def test_all_domains_and_gateways_are_heard(
    registry: Registry, start_broker: Callable[[int], Callable[[], None]], free_port: int
) -> None:
    start_broker(free_port)
    gateways = {d.gateway for d in registry} | {SIMULATOR}
    with listening(free_port) as heard:
        with running(registry, free_port, speed=30):
            heard.wait(
                lambda: {t.split("/")[2] for t, _, _ in heard.messages} >= {str(d) for d in Domain} | {"gateway"}
            )
            heard.wait(lambda: heard.statuses() == dict.fromkeys(gateways, b"online"))
        heard.wait(lambda: heard.statuses() == dict.fromkeys(gateways, b"offline"))
    with listening(free_port) as later:
        later.wait(lambda: len(later.messages) >= len(gateways))
        assert all(retained for _, _, retained in later.messages)
        assert later.statuses() == dict.fromkeys(gateways, b"offline")


@pytest.mark.server
def test_it_waits_for_a_broker_that_comes_late_and_outlives_one_that_goes(
    registry: Registry, start_broker: Callable[[int], Callable[[], None]], free_port: int
) -> None:
    with listening(free_port) as heard, running(registry, free_port, speed=30):
        time.sleep(0.5)
        stop_broker = start_broker(free_port)
        heard.wait(lambda: len(heard.messages) > 50)
        stop_broker()
        before = len(heard.messages)
        used = time.process_time()
        time.sleep(1.5)
        assert time.process_time() - used < 1.2, "it is busy while the broker is away"
        start_broker(free_port)
        heard.wait(lambda: len(heard.messages) > before + 50, seconds=20)


def test_what_waits_for_an_absent_broker_is_bounded(
    registry: Registry, free_port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(publish, "OUTBOX", 50)
    stop, dropped = threading.Event(), []
    broker = Broker(host="127.0.0.1", port=free_port)
    few = Registry([d for d in registry if d.kind == "server"])

    def go() -> None:
        dropped.append(run(few, broker, SystemClock(), seed=3, speed=600, stop=stop))

    thread = threading.Thread(target=go)
    thread.start()
    wait_until(lambda: "readings dropped" in caplog.text, "the outbox is full")
    stop.set()
    thread.join(90)
    assert dropped
    assert dropped[0] > 0


@pytest.mark.server
def test_the_last_will_says_the_simulator_is_gone(
    start_broker: Callable[[int], Callable[[], None]], free_port: int
) -> None:
    start_broker(free_port)
    with listening(free_port) as heard:
        client = client_of(Broker(host="127.0.0.1", port=free_port))
        client.connect("127.0.0.1", free_port)
        client.loop_start()
        heard.wait(lambda: client.is_connected() and heard._client.is_connected())
        time.sleep(0.2)
        sock = client.socket()
        assert sock is not None
        client.loop_stop()
        sock.close()  # as a killed process leaves it: no DISCONNECT packet
        heard.wait(lambda: heard.statuses() == {SIMULATOR: b"offline"})
