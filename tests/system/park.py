"""The whole park in one process on a manual clock: sensors, decoding, store, engine and relay."""

from typing import Any

import msgspec

from dashboards.live import Relay, Screen
from ingest.decode import Decoder
from ingest.engine import Engine
from ingest.mapping import Mapping
from tests.zone import PREFIX, payload, topic
from twin import snapshot
from twin.clock import ManualClock
from twin.registry import Registry
from twin.settings import Broker
from twin.settings import Engine as EngineSettings
from twin.snapshot import UNKNOWN
from twin.store import Store


class Park:
    STEP = 50  # ms

    def __init__(self, registry: Registry, store: Store, start: int, *, mapping: Mapping | None = None) -> None:
        self.registry, self.store = registry, store
        self.clock = ManualClock(start)
        self.decoder = Decoder(registry, prefix=PREFIX, mapping=mapping)
        self.engine = self._engine()
        self.relay = Relay(Broker(), self.clock, simulated=True, trend=lambda: None)
        self.screen = Screen("zh")
        self.relay.screens.add(self.screen)
        self.frames: list[snapshot.Frame] = []
        self.views: list[dict[str, Any]] = []

    def _engine(self) -> Engine:
        return Engine(self.registry, self.decoder, EngineSettings(), prefix=PREFIX, now=self.clock.now())

    def restart_engine(self) -> None:
        self.engine = self._engine()
        self.engine.remember(self.store, self.clock.now())

    def publish(self, device: str, at: int | None = None, **values: float) -> None:
        self.send(topic(device, self.registry), payload(self.clock.now() if at is None else at, **values))

    def send(self, where: str, what: bytes) -> None:
        """What the broker would hand to ingest and to the engine."""
        received = self.clock.now()
        found = self.decoder.decode(where, what, received)
        if found.observations:
            self.store.write(found.observations)
        self.engine.feed(where, what, received)

    def run(self, milliseconds: int) -> None:
        end = self.clock.now() + milliseconds
        while self.clock.now() < end:
            self.clock.advance(self.STEP)
            for publication in self.engine.tick(self.clock.now()):
                self.relay.take(publication.topic.rsplit("/", 1)[1], publication.payload)
            self._read_screen()

    def _read_screen(self) -> None:
        while not self.screen.outbox.empty():
            message = self.screen.outbox.get_nowait()
            assert message is not None, "the screen fell behind"
            if isinstance(message, bytes):
                self.frames.append(snapshot.decode(message))
            else:
                self.views.append(msgspec.json.decode(message))

    def shown(self, device: str) -> tuple[int, int]:
        """(value byte, band) that a screen which followed every frame shows now."""
        i = self.registry.index[device]
        value, status = UNKNOWN, 0
        expected = None
        for frame in self.frames:
            if frame.index is None:
                value, status = int(frame.value[i]), int(frame.status[i])
            else:
                assert frame.seq == expected, "a delta was missed"
                for j in (frame.index == i).nonzero()[0]:
                    value, status = int(frame.value[j]), int(frame.status[j])
            expected = frame.seq + 1
        return value, status >> 4
