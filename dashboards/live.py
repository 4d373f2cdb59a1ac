"""The live feed: what the engine publishes, relayed to every open screen over `/api/v1/live`.

Binary messages are frames as the engine made them; text messages are JSON: the view in the screen's language once a
second, and a beat every two seconds, so that a screen can tell "the link is cut" from "the link is fine but no data
comes". The relay keeps only what a newcomer needs: the last key frame, the deltas since, the last indicators.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
import orjson
import paho.mqtt.client as paho
from fastapi import WebSocket, WebSocketDisconnect

from dashboards.i18n import Language
from dashboards.views.wall import Trend, wall
from ingest.worker import Status
from simulators import stage as stages
from simulators.scenarios import ScenarioError
from twin import meters, mqtt, snapshot
from twin.clock import SECOND, Clock
from twin.errors import TheirError
from twin.health import ZoneHealth
from twin.kpi import Indicators
from twin.ringing import Ringing
from twin.settings import Broker
from twin.truth import Answer, Stage

log = logging.getLogger("gaoxin.live")

T = TypeVar("T")


class DirectionError(TheirError):
    """The simulator did not do what it was asked; `status` is what HTTP says to that."""

    def __init__(self, status: int, what: str) -> None:
        self.status = status
        super().__init__(what)


BEAT_S = 2
ANSWER_S = 30  # a rehearsal first makes the zone of its time
# About 30 s of frames: a screen that far behind is better served by a new connection and a key frame
BACKLOG = 400


class Screen:
    """One open connection: what is still to be sent to it."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self.outbox: asyncio.Queue[bytes | str | None] = asyncio.Queue(BACKLOG)

    def put(self, message: bytes | str) -> None:
        try:
            self.outbox.put_nowait(message)
        except asyncio.QueueFull:
            meters.SCREEN_RESETS.inc()
            while not self.outbox.empty():
                self.outbox.get_nowait()
            self.outbox.put_nowait(None)


class Relay:
    """All methods but the MQTT callbacks run on the event loop given to `attach`."""

    def __init__(
        self,
        broker: Broker,
        clock: Clock,
        *,
        simulated: bool,
        trend: Callable[[], Trend | None],
        names: Mapping[str, str] | None = None,
        districts: Callable[[Language], Mapping[str, str]] | None = None,
    ) -> None:
        self.broker, self.clock, self.simulated, self._trend = broker, clock, simulated, trend
        self._names = names or {}
        self._districts = districts or (lambda _: {})
        self.screens: set[Screen] = set()
        self.connected = False
        self.frame_at = 0  # `at` of the newest frame, UTC ms
        self._key: bytes | None = None
        self._deltas: list[bytes] = []
        self._indicators: Indicators | None = None
        self._views: dict[Language, str] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self.health: ZoneHealth | None = None
        self.workers: dict[str, Status] = {}
        self.ringing: Ringing | None = None
        self.stage: Stage | None = None  # what the simulator plays; None where none has spoken
        self._asked: dict[str, asyncio.Future[Answer]] = {}
        self._client = mqtt.client(paho.Client, broker, f"gaoxin-web-{clock.now():x}-{id(self):x}")
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        mqtt.connect(self._client, self.broker)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: paho.Client, *_: Any) -> None:
        self.connected = True
        topics = ("frame/+", "worker/+/status", "simulator/state")
        client.subscribe([(f"{self.broker.prefix}/{topic}", 0) for topic in topics])

    def _on_disconnect(self, *_: Any) -> None:
        self.connected = False

    def _on_message(self, _c: paho.Client, _u: Any, message: paho.MQTTMessage) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._hand_over, message.topic, bytes(message.payload))

    def _hand_over(self, topic: str, payload: bytes) -> None:
        *_, name, kind = topic.split("/")
        if kind == "status" and not payload:
            # A worker whose retained word was taken back is gone for good
            self.workers.pop(name, None)
        else:
            self.take(kind, payload)

    def take(self, kind: str, payload: bytes) -> None:
        """One publication: the engine's `key`, `delta`, `indicators`, `alarms` or `health`, a worker's `status`, or the
        simulator's `state`.
        """
        match kind:
            case "key":
                self._key, self._deltas = payload, []
            case "delta" if self._key is not None:
                self._deltas.append(payload)
            case "indicators":
                self._take_indicators(payload)
                return
            case "health":
                self.health = self._read(payload, ZoneHealth) or self.health
                return
            case "alarms":
                before, self.ringing = self.ringing, self._read(payload, Ringing) or self.ringing
                if before is None or self.ringing is None or before.alarms != self.ringing.alarms:
                    self._show()  # an alarm does not wait for the next second
                return
            case "status":
                status = self._read(payload, Status)
                if status is not None:
                    self.workers[status.worker] = status
                return
            case "state":
                self._take_stage(payload)
                return
            case _:
                return
        try:
            self.frame_at = snapshot.decode(payload).at
        except ValueError as error:
            log.error("not a frame on %s/frame/%s: %s", self.broker.prefix, kind, error)
            return
        for screen in self.screens:
            screen.put(payload)

    def _take_indicators(self, payload: bytes) -> None:
        self._indicators = self._read(payload, Indicators) or self._indicators
        self._show()

    def _show(self) -> None:
        self._views = {}
        for screen in self.screens:
            view = self._view(screen.language)
            if view is not None:
                screen.put(view)

    def _take_stage(self, payload: bytes) -> None:
        self.stage = self._read(payload, Stage) or self.stage
        answer = self.stage.answer if self.stage else None
        if answer is not None and (asked := self._asked.pop(answer.id, None)) and not asked.done():
            asked.set_result(answer)

    async def direct(self, do: str, scenario: str, at: str = "", speed: float | None = None) -> None:
        """Have the simulator play a scenario or stop it. Raises DirectionError with the reason when it does not."""
        assert self._loop is not None
        try:
            command = stages.command(do, scenario, at, speed)
        except ScenarioError as error:
            raise DirectionError(422, str(error)) from None
        asked = self._asked[command.id] = self._loop.create_future()
        self._client.publish(f"{self.broker.prefix}/simulator/command", msgspec.json.encode(command), qos=1)
        try:
            answer = await asyncio.wait_for(asked, ANSWER_S)
        except TimeoutError:
            raise DirectionError(504, f"no simulator has answered within {ANSWER_S} s. Is one running?") from None
        finally:
            self._asked.pop(command.id, None)
        if answer.wrong:
            raise DirectionError(409, answer.wrong)

    def _read(self, payload: bytes, kind: type[T]) -> T | None:
        try:
            return msgspec.json.decode(payload, type=kind)
        except msgspec.DecodeError as error:
            log.error("%s of another version on the broker: %s", kind.__name__, error)
            return None

    def _view(self, language: Language) -> str | None:
        """Made once for each language on screen, whatever the number of screens."""
        if self._indicators is None:
            return None
        if language not in self._views:
            workers = list(self.workers.values())
            view = wall(
                self._indicators,
                language,
                names=self._names,
                districts=self._districts(language),
                simulated=self.simulated,
                trend=self._trend(),
                workers=workers,
                stage=self.stage,
                ringing=self.ringing,
            )
            self._views[language] = orjson.dumps(view | {"now": self.clock.now()}).decode()
        return self._views[language]

    def _beat(self) -> str:
        return orjson.dumps({"type": "beat", "now": self.clock.now(), "frameAt": self.frame_at}).decode()

    def _catch_up(self, screen: Screen) -> None:
        """The zone as it is now: the last key frame and what changed since, then the view."""
        for frame in [self._key, *self._deltas] if self._key is not None else []:
            if frame is not None:
                screen.put(frame)
        view = self._view(screen.language)
        if view is not None:
            screen.put(view)

    async def serve(self, socket: WebSocket, language: Language) -> None:
        """Relay to one browser until it goes, or reads so slowly that a fresh start serves it better."""
        await socket.accept()
        screen = Screen(language)
        screen.put(self._beat())
        self._catch_up(screen)
        self.screens.add(screen)
        meters.SCREENS.set(len(self.screens))
        tasks = [asyncio.create_task(self._send(socket, screen)), asyncio.create_task(self._listen(socket, screen))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.screens.discard(screen)
            meters.SCREENS.set(len(self.screens))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await socket.close(1013)  # "try again later": the screen reconnects

    async def _send(self, socket: WebSocket, screen: Screen) -> None:
        while True:
            try:
                message = await asyncio.wait_for(screen.outbox.get(), BEAT_S)
            except TimeoutError:
                message = self._beat()
            if message is None:
                return
            if isinstance(message, bytes):
                await socket.send_bytes(message)
            else:
                await socket.send_text(message)

    async def _listen(self, socket: WebSocket, screen: Screen) -> None:
        """A screen says `key` when it has missed a delta."""
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                if await socket.receive_text() == "key":
                    self._catch_up(screen)

    @property
    def late(self) -> float:
        """Seconds since the newest frame."""
        return (self.clock.now() - self.frame_at) / SECOND
