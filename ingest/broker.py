"""A broker for one machine: Mosquitto where it is installed, amqtt otherwise; both on loopback only."""

import asyncio
import logging
import os
import shutil
import socket
from pathlib import Path
from typing import Literal

from twin.errors import BrokerError

log = logging.getLogger("gaoxin.broker")

AMQTT_LIMITS = (
    "embedded broker amqtt: good for about 2,000 messages a second, and it forgets what waits when it stops. "
    "Install Mosquitto (Debian: apt-get install mosquitto) for more."
)


def find(kind: Literal["auto", "mosquitto", "amqtt"]) -> Path | None:
    """Mosquitto's program, or None for amqtt. Raises BrokerError when Mosquitto is asked for and absent."""
    # Debian installs it in /usr/sbin, which is not on every user's PATH
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"])
    program = shutil.which("mosquitto", path=path) if kind != "amqtt" else None
    if kind == "mosquitto" and program is None:
        raise BrokerError("broker.kind is mosquitto, but it is not installed. Debian: apt-get install mosquitto")
    return Path(program) if program else None


def configure(folder: Path, port: int) -> Path:
    """Mosquitto's configuration for one machine, written into `folder`.

    The default of 20 messages in flight throttles a consumer that acknowledges after its database has them: ingest
    takes batches of some thousand, and several of them are under way at once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "mosquitto.conf"
    path.write_text(
        f"listener {port} 127.0.0.1\n"
        "allow_anonymous true\n"
        "persistence true\n"
        f"persistence_location {folder.absolute()}/\n"
        "autosave_interval 60\n"
        "max_inflight_messages 20000\n"
        "max_queued_messages 1000000\n" + ("user root\n" if os.geteuid() == 0 else "") + "log_dest stderr\n"
        # started as root it would drop to an account that may not write this folder
        "log_type error\nlog_type warning\n",
        encoding="utf-8",
    )
    return path


def serve(kind: Literal["auto", "mosquitto", "amqtt"], folder: Path, port: int) -> None:
    """Be the broker until ended. Mosquitto replaces this process, so that signals reach it directly."""
    program = find(kind)
    if program is not None:
        config = configure(folder, port)
        os.execv(program, [str(program), "-c", str(config)])
    log.warning("%s", AMQTT_LIMITS)
    asyncio.run(_amqtt(port))


async def _amqtt(port: int) -> None:
    from amqtt.broker import Broker

    logging.getLogger("amqtt").setLevel(logging.WARNING)
    logging.getLogger("transitions").setLevel(logging.WARNING)
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}", "max_connections": 200}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    await asyncio.Event().wait()


def free_port(wanted: int, host: str = "127.0.0.1") -> int:
    """The first port from `wanted` on (0: any) that nothing listens on."""
    for port in [wanted] if wanted == 0 else range(wanted, min(wanted + 100, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise BrokerError(f"no free port from {wanted} to {wanted + 99} on {host}")
