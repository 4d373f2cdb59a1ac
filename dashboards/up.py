"""Everything on one machine: starts broker, node and simulators, restarts what dies, ends all of it cleanly."""

import ctypes
import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from dashboards.opening import reachable
from ingest.broker import AMQTT_LIMITS, find, free_port
from twin.errors import BrokerError, OurError
from twin.settings import Broker, Settings, environment

log = logging.getLogger("gaoxin.up")

PATIENCE_S = 10
_PR_SET_PDEATHSIG = 1


class AlreadyRunningError(OurError):
    """Another `gaoxin up` holds this data folder."""


class Child:
    """One program that should be running; after a death it is started again, each time after a longer pause."""

    def __init__(self, name: str, arguments: list[str], env: Mapping[str, str]) -> None:
        self.name, self.arguments, self.env = name, arguments, dict(env)
        self.process: subprocess.Popen[bytes] | None = None
        self.again_at = 0.0
        self.pause = 1.0
        self.started_at = 0.0

    def start(self) -> None:
        # A session of its own: Ctrl-C in the terminal reaches only the supervisor, which then ends all in order
        self.process = subprocess.Popen(
            self.arguments, env=self.env, start_new_session=True, preexec_fn=_die_with_parent, stdin=subprocess.DEVNULL
        )
        self.started_at = time.monotonic()

    def look_after(self) -> None:
        if self.process is None:
            if time.monotonic() >= self.again_at:
                self.start()
            return
        code = self.process.poll()
        if code is None:
            return
        if time.monotonic() - self.started_at > 60:
            self.pause = 1.0
        log.error("%s ended with %s; starting it again in %.0f s", self.name, code, self.pause)
        self.process, self.again_at = None, time.monotonic() + self.pause
        self.pause = min(self.pause * 2, 30)

    def end(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            log.error("%s did not end within %d s of being asked; it is killed", self.name, PATIENCE_S)
            self.process.kill()
            self.process.wait()


def run(settings: Settings) -> None:
    """Until Ctrl-C or SIGTERM. Raises OurError or BrokerError when it cannot start, with the remedy."""
    lock = _lock(settings.data)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    _want_web_port(settings)
    settings, children = _plan(settings)
    try:
        for child in children:
            child.start()
            if child.name == "broker":
                _await_port(settings.broker, child, stop)
        log.info("open http://%s:%d", reachable(settings.web.host), settings.web.port)
        while not stop.wait(0.5):
            for child in children:
                child.look_after()
    finally:
        log.info("ending")
        # Sources first, the broker last, so that what was sent can still be stored
        for child in reversed(children):
            child.end()
        lock.close()
        log.info("ended")


def _plan(settings: Settings) -> tuple[Settings, list[Child]]:
    """The children of these settings, first to start first, and the settings with the broker's port filled in."""
    own = settings.broker.kind != "outside"
    if own:
        kind = settings.broker.kind
        assert kind != "outside"
        program = find(kind)
        port = free_port(settings.broker.port)
        if settings.broker.port and port != settings.broker.port:
            log.warning("port %d is taken by another program; this broker listens on %d", settings.broker.port, port)
        settings = settings.model_copy(
            update={"broker": settings.broker.model_copy(update={"port": port, "host": "127.0.0.1"})}
        )
        log.info("broker %s at mqtt://127.0.0.1:%d", program or "amqtt", port)
        if program is None:
            log.warning("%s", AMQTT_LIMITS)
    env = {k: v for k, v in os.environ.items() if not k.startswith("GAOXIN_")} | environment(settings)
    gaoxin = [sys.executable, "-m", "dashboards"]
    children = [Child("broker", [*gaoxin, "broker"], env)] if own else []
    children.append(Child("node", [*gaoxin, "node", "--fill"], env))
    if settings.simulate.on:
        children.append(Child("simulators", [*gaoxin, "simulate"], env))
    return settings, children


def _lock(folder: Path) -> IO[str]:
    """Hold the data folder until closed. Raises AlreadyRunningError, or OurError when the folder cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "up.lock").open("w")
    except OSError as error:
        raise OurError(
            f"data = {folder}: {error.strerror}. Choose a folder you may write: make up DATA=folder"
        ) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise AlreadyRunningError(
            f"another gaoxin already runs on the data folder {folder}. End it, or choose another: make up DATA=folder"
        ) from None
    return file


def running(folder: Path) -> bool:
    """Whether a `gaoxin up` holds this data folder."""
    if not (folder / "up.lock").exists():
        return False
    try:
        _lock(folder).close()
    except AlreadyRunningError:
        return True
    return False


def _want_web_port(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.web.host, settings.web.port))
        except OSError as error:
            raise OurError(
                f"web.port = {settings.web.port} on {settings.web.host}: {error.strerror}. "
                "Choose another: make up PORT=8123"
            ) from None


def _await_port(broker: Broker, child: Child, stop: threading.Event) -> None:
    for _ in range(200):
        if stop.is_set():
            return
        if child.process is not None and child.process.poll() is not None:
            raise BrokerError(f"the broker ended at once with {child.process.returncode}; its words are above")
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex((broker.host, broker.port)) == 0:
                return
        stop.wait(0.05)
    raise BrokerError(f"the broker does not listen on {broker.host}:{broker.port} after 10 s; its words are above")


def _die_with_parent() -> None:
    """On Linux, a child is ended by the system when the supervisor dies, however it dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
