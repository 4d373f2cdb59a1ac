"""Two simulated weeks, made once for all tests, and a real mosquitto on a free loopback port."""

import shutil
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from simulators.conditions import Array, calendar
from simulators.parking import Parking
from simulators.traffic import Traffic
from simulators.world import World
from tests.simulators.zone import zone
from twin.clock import MINUTE, parse
from twin.observation import KINDS, Domain
from twin.registry import Registry


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def mosquitto(folder: Path, port: int) -> Iterator[int]:
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/sbin")
    assert program, "these tests need mosquitto: apt-get install mosquitto"
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    with (folder / "mosquitto.log").open("w") as log:
        process = subprocess.Popen([program, "-c", str(config)], stdout=log, stderr=log)
        try:
            for _ in range(200):
                if _listening(port):
                    break
                time.sleep(0.02)
            else:
                raise AssertionError(f"mosquitto did not start: {(folder / 'mosquitto.log').read_text()}")
            yield port
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture
def free_port() -> int:
    return _free_port()


@pytest.fixture
def start_broker(tmp_path: Path) -> Iterator[Callable[[int], Callable[[], None]]]:
    """start(port) runs a broker there and gives the function that stops it."""
    with ExitStack() as left:

        def start(port: int) -> Callable[[], None]:
            one = ExitStack()
            one.enter_context(mosquitto(tmp_path, port))
            left.callback(one.close)
            return one.close

        yield start


@dataclass(frozen=True)
class Fortnight:
    """Two weeks of a small zone, from a Monday on: every tenth minute of all, every minute of the car parks.

    `values[domain][metric]`: (times, devices). `hour`, `weekday` local. `density`: veh/km/lane, (times, links).
    `parked`, `entries`, `exits`: (minutes, car parks).
    """

    registry: Registry
    at: npt.NDArray[np.int64]
    hour: Array
    weekday: npt.NDArray[np.int64]
    values: dict[Domain, dict[str, Array]]
    density: Array
    parked: Array
    entries: Array
    exits: Array

    def of(self, kind: str, metric: str) -> Array:
        """(times, devices of the kind)."""
        domain = KINDS[kind].domain
        columns = [i for i, d in enumerate(self.registry.of(domain)) if d.kind == kind]
        return self.values[domain][metric][:, columns]

    def during(self, begin: float, end: float, *, weekend: bool = False) -> npt.NDArray[np.bool_]:
        """Which of `at` are from `begin` to `end` local hours on weekdays (or on weekends)."""
        return (self.hour >= begin) & (self.hour < end) & ((self.weekday >= 5) == weekend)


@pytest.fixture(scope="session")
def fortnight() -> Fortnight:
    start = parse("2026-11-09T00:00:00")
    world = World(zone(), seed=20261120, start=start)
    traffic, parking = world.models[Domain.TRAFFIC], world.models[Domain.PARKING]
    assert isinstance(traffic, Traffic)
    assert isinstance(parking, Parking)
    found: dict[Domain, dict[str, list[Array]]] = {d: defaultdict(list) for d in Domain}
    times, density, cars = [], [], []
    for minute in range(14 * 24 * 60):
        world.advance(start + minute * MINUTE)
        cars.append((parking.occupied, parking.entries, parking.exits))
        if minute % 10 == 0:
            times.append(world.at)
            density.append(traffic.density)
            for domain in Domain:
                for metric, values in world.read(domain).values.items():
                    found[domain][metric].append(values)
    moments = [calendar(t) for t in times]
    parked, entries, exits = (np.array(rows, np.float64) for rows in zip(*cars, strict=True))
    return Fortnight(
        registry=world.registry,
        at=np.array(times),
        hour=np.array([hour for hour, _, _ in moments]),
        weekday=np.array([weekday for _, weekday, _ in moments]),
        values={d: {m: np.array(rows) for m, rows in metrics.items()} for d, metrics in found.items()},
        density=np.array(density),
        parked=parked,
        entries=entries,
        exits=exits,
    )
