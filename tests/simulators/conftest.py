"""A broker of its own for these tests: a real mosquitto on a free loopback port."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest


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
