"""Messages into the store, each acknowledged only when it is safe.

Three threads, so that the broker, this process and the store work at the same time: the network's appends what the tap
cuts out of the stream, the decoder's makes batches of it, the writer's keeps them safe and acknowledges.

    received → decoded → refused ones into quarantine → written to the store → acknowledged
                                                      ↘ store away: spooled ↗

While anything is spooled, what comes goes behind it, so that the store gets all of it in order. When neither the store
nor the disk takes a batch, nothing is acknowledged, the batch is held, and the broker keeps what comes after it: at
most its own number of messages in flight is held here. A killed worker loses nothing: what it had not acknowledged is
sent again to the same client id, and writing twice is harmless.
"""

import contextlib
import logging
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec
import numpy as np
import paho.mqtt.client as paho

from ingest.decode import Decoded, Decoder, Reason, Rejection
from ingest.quarantine import Brief, Quarantine, Refused
from ingest.spool import Spool, SpoolFullError
from ingest.tap import Message, Reader, Tap
from twin import meters, mqtt
from twin.clock import Clock
from twin.errors import StoreAwayError
from twin.observation import Observation
from twin.settings import Broker, Ingest
from twin.store import Store

log = logging.getLogger("gaoxin.ingest")

T = TypeVar("T")

STATUS_S = 5
STUCK_S = 60
PAUSE_S = (0.5, 15.0)  # the first and the longest wait before the store is tried again
ENOUGH = 20  # so many observations refused one by one, and not one taken: it is the store, not they
LARGE = 4 << 20  # bytes of messages that make a batch, however few they are: some 40,000 readings
AHEAD = 2  # batches decoded while one is written
GROUNDS = 50  # rejections kept of one message; a batch of a thousand bad readings is as clear with fifty
_MESSAGE = 200  # bytes a message takes here beside its payload


class Bulk(NamedTuple):
    """What one reading of the socket brought, through which connection, at UTC ms."""

    tap: Tap
    received: int
    messages: list[Message]
    bytes: int


class Batch(NamedTuple):
    """Decoded, and on its way into the store; `refused` into quarantine."""

    bulks: list[Bulk]
    observations: list[Observation]
    refused: list[Refused]


class Status(msgspec.Struct, frozen=True):
    """What a worker says of itself on `worker/{worker}/status`, retained; the broker says `offline` for a dead one.

    `storing`: all is well. `spooling`: the store is away, the disk takes it. `holding`: neither does; `why` says what
    to mend. Counts are since its start, `spool_…` in bytes, `at` in UTC ms. `quarantine`: what waits there, by reason;
    `newest`: the last of it. `reads`: the digest of the registry and mapping by which it decodes.
    """

    worker: str
    at: int
    state: Literal["storing", "spooling", "holding", "offline"]
    why: str = ""
    received: int = 0
    stored: int = 0
    refused: int = 0
    spooled: int = 0
    buffered: int = 0
    spool_bytes: int = 0
    spool_limit: int = 0
    reads: str = ""
    quarantine: dict[str, int] = {}
    newest: list[Brief] = []


class Worker:
    """`folder` holds the spool and the quarantine of all workers of an installation.

    Raises SpoolInUseError when another worker of this name runs on it.
    """

    def __init__(
        self, store: Store, decoder: Decoder, folder: Path, clock: Clock, settings: Ingest, broker: Broker
    ) -> None:
        self.store, self.decoder, self.clock = store, decoder, clock
        self.settings, self.broker = settings, broker
        self.quarantine = Quarantine(folder / "quarantine", settings.worker)
        self.spool = Spool(folder / "spool" / settings.worker, limit=settings.spool_mb << 20)
        for other in sorted(p for p in (folder / "spool").iterdir() if p.is_dir() and p.name != settings.worker):
            adopted = self.spool.adopt(other)
            if adopted:
                log.warning("took over %.1f MiB that the worker %s had spooled", adopted / 2**20, other.name)
        self.connected = threading.Event()
        self.away = ""  # why the store cannot be written, while it cannot
        self.holding = ""  # why nothing can be kept at all, while it cannot
        self._bulks: deque[Bulk] = deque()
        self._lock = threading.Lock()
        self._waiting = self._bytes = 0  # messages and bytes not settled yet
        self._news, self._room, self._stop = threading.Event(), threading.Event(), threading.Event()
        self._pause, self._again = PAUSE_S[0], 0.0
        self._counts = {"received": 0, "stored": 0, "refused": 0, "spooled": 0}
        self._settled_at = time.monotonic()
        self._connected_at, self._short_lived = 0.0, 0
        self._said: tuple[str, str] = ("", "")
        self._say_at = 0.0
        self._client = mqtt.client(Reader, broker, f"gaoxin-{settings.worker}", persistent=True, manual_ack=True)
        self._client.on_connect, self._client.on_subscribe = self._on_connect, self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_bulk, self._client.ready = self._on_bulk, self._ready
        self._topic = f"{broker.prefix}/worker/{settings.worker}/status"
        self._client.will_set(self._topic, self._status("offline"), qos=1, retain=True)
        self._batches: queue.Queue[Batch] = queue.Queue(AHEAD)
        self._threads = [
            threading.Thread(target=self._decode_on, name="ingest-decoder", daemon=True),
            threading.Thread(target=self._write_on, name="ingest-writer", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()
        mqtt.connect(self._client, self.broker)

    def stop(self) -> None:
        """What is buffered and not written stays with the broker."""
        self._stop.set()
        self._news.set()
        for thread in self._threads:
            thread.join(timeout=30)
        if self.connected.is_set():
            self._client.publish(self._topic, self._status("offline"), qos=1, retain=True).wait_for_publish(2)
        self._client.disconnect()
        self._client.loop_stop()
        self.spool.close()

    # ------------------------------------------------------------ the network thread

    def _on_connect(self, client: paho.Client, *_: Any) -> None:
        share = "$share/gaoxin/" if self.settings.shared else ""
        client.subscribe([(share + topic, 1) for topic in self.decoder.topics])

    def _on_subscribe(self, _c: paho.Client, _u: Any, _m: int, answers: Any, _p: Any) -> None:
        for topic, answer in zip(self.decoder.topics, answers, strict=False):
            if answer.is_failure:
                log.error(
                    "the broker does not let ingest read %s (%s). Give the account %r this right.",
                    *(topic, answer, self.broker.user or "anonymous"),
                )
        self.connected.set()
        self._connected_at = time.monotonic()
        self._said = ("", "")
        log.info("ingest %s connected to broker %s:%s", self.settings.worker, self.broker.host, self.broker.port)

    def _on_disconnect(self, _c: paho.Client, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        self.connected.clear()
        if self._stop.is_set():
            return
        log.warning("ingest lost the broker (%s); trying again", reason)
        self._short_lived = self._short_lived + 1 if time.monotonic() - self._connected_at < 5 else 0
        if self._short_lived == 3:
            log.error(
                "the broker ends this connection again and again: another client uses the name gaoxin-%s. "
                "Give each worker a name of its own: ingest.worker.",
                self.settings.worker,
            )

    def _on_bulk(self, tap: Tap, messages: list[Message]) -> None:
        size = sum(len(m[1]) + len(m[2]) for m in messages) + _MESSAGE * len(messages)
        meters.RECEIVED.inc(len(messages))
        self._counts["received"] += len(messages)
        with self._lock:
            if not self._waiting:
                self._settled_at = time.monotonic()
            self._bulks.append(Bulk(tap, self.clock.now(), messages, size))
            self._waiting += len(messages)
            self._bytes += size
        self._news.set()

    def _ready(self) -> bool:
        """Whether there is room for more; waits a little for it, but never so long that the connection would die."""
        limit = self.settings.buffer_mb << 20
        if self._bytes < limit:
            return True
        self._room.clear()
        self._room.wait(0.2)
        # A new connection must be able to say that it is one; twice the bound is the end all the same
        return self._bytes < limit or (not self.connected.is_set() and self._bytes < 2 * limit)

    # ------------------------------------------------------------ the decoder's thread

    def _decode_on(self) -> None:
        while not self._stop.is_set():
            bulks = self._take()
            if not bulks:
                continue
            batch = self._until_done(lambda bulks=bulks: self._decode(bulks))  # type: ignore[misc]
            while batch is not None and not self._stop.is_set():
                with contextlib.suppress(queue.Full):
                    self._batches.put(batch, timeout=0.5)
                    break

    def _take(self) -> list[Bulk]:
        """A batch: `batch` messages, or LARGE bytes, or what has come within `age_ms` of the first."""
        self._news.wait(0.5)
        self._news.clear()
        if len(self._bulks) > 0 and self._waiting < self.settings.batch and self._bytes < LARGE:
            self._stop.wait(self.settings.age_ms / 1000)
        taken: list[Bulk] = []
        count = size = 0
        while self._bulks and count < self.settings.batch and size < LARGE:
            taken.append(self._bulks.popleft())
            count += len(taken[-1].messages)
            size += taken[-1].bytes
        if self._bulks:
            self._news.set()
        return taken

    def _decode(self, bulks: list[Bulk]) -> Batch:
        begun = time.perf_counter()
        found, refused, counts = Decoded.nothing(), list[Refused](), Counter[Reason]()
        decode = self.decoder.decode
        for bulk in bulks:
            received, first = bulk.received, len(found.observations)
            for _, name, payload, retained in bulk.messages:
                topic = name.decode("utf-8", "backslashreplace")
                decode(topic, payload, received, found, retained=retained)
                if found.rejections:
                    for rejection in found.rejections:
                        counts[rejection.reason] += 1
                    refused.append(Refused(topic, payload, received, found.rejections[:GROUNDS]))
                    found.rejections.clear()
            at = np.array([o.at for o in found.observations[first:]], np.float64)
            meters.LAG_SECONDS.observe(np.maximum(received - at, 0) / 1000)
        for reason, count in counts.items():
            meters.REJECTED.labels(reason.name.lower()).inc(count)
        meters.DECODED.inc(len(found.observations))
        meters.DECODE_SECONDS.observe(time.perf_counter() - begun)
        return Batch(bulks, found.observations, refused)

    # ------------------------------------------------------------ the writer's thread

    def _write_on(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Empty):
                batch = self._batches.get(timeout=0.5)
                # A batch in hand is never let go unsettled: the broker would not send it again on this connection
                self._until_done(lambda batch=batch: self._settle(batch))  # type: ignore[misc]
            try:
                self._drain()
                self._say()
            except Exception:  # neither the spool's nor the quarantine's trouble may keep new messages from the store
                log.exception("ingest failed beside its work; going on")
                self._stop.wait(1)

    def _until_done(self, step: Callable[[], T]) -> T | None:
        """The step's result; None when stopped before it succeeded."""
        while not self._stop.is_set():
            try:
                return step()
            except Exception:  # the threads must outlive any fault
                log.exception("ingest failed on a step; trying it again")
                self._stop.wait(1)
        return None

    def _settle(self, batch: Batch) -> None:
        """Keep what is refused, store or spool the rest, acknowledge; returns early only when stopped."""
        if batch.refused:
            if not self._keep(lambda: self.quarantine.keep(batch.refused), "quarantine"):
                return
            self._counts["refused"] += len(batch.refused)
            batch.refused.clear()  # kept once, however often the rest is tried
        if batch.observations and not self._keep(lambda: self._store_or_spool(batch.observations), "observations"):
            return
        self._acknowledge(batch.bulks)

    def _keep(self, step: Callable[[], None], what: str) -> bool:
        """Do it, again and again while the disk has no room; False when stopped before it was done."""
        pause = PAUSE_S[0]
        while True:
            try:
                step()
                break
            except (SpoolFullError, OSError) as error:
                if not self.holding:
                    log.error("nothing is acknowledged any more, %s cannot be kept: %s", what, error)
                self.holding = str(error)
            meters.HOLDING.set(1)
            self._say()
            if self._stop.wait(pause):
                return False
            pause = min(pause * 2, PAUSE_S[1])
            # All of it: the disk gets room only when a whole segment goes
            self._drain(at_most=None)
        if self.holding:
            log.info("%s can be kept again", what)
        self.holding = ""
        meters.HOLDING.set(0)
        return True

    def _store_or_spool(self, observations: list[Observation]) -> None:
        if not self.spool:
            try:
                return self._write(observations)
            except StoreAwayError as error:
                self._postpone(error)
        begun = time.perf_counter()
        self.spool.append(observations)
        meters.SPOOL_SECONDS.observe(time.perf_counter() - begun)
        meters.SPOOLED.inc(len(observations))
        self._counts["spooled"] += len(observations)

    def _drain(self, at_most: int | None = 2) -> None:
        """Write what is spooled, oldest first, until it is empty or the store is away.

        While another batch waits, `at_most` records: two drained for one appended, so that the spool shrinks also
        under full load.
        """
        written = 0
        while not self._stop.is_set() and time.monotonic() >= self._again:
            observations = self.spool.peek()
            if observations is None:
                break
            try:
                self._write(observations)
            except StoreAwayError as error:
                self._postpone(error)
                break
            self.spool.drop()
            written += 1
            if at_most is not None and written >= at_most and not self._batches.empty():
                break
        meters.SPOOL_BYTES.set(self.spool.bytes)
        meters.SPOOL_TORN.set(self.spool.torn)
        meters.SPOOL_DAMAGED.set(self.spool.damaged)

    def _postpone(self, error: StoreAwayError) -> None:
        meters.STORE_AWAY.inc()
        if not self.away:
            log.error("store is away, what comes is spooled: %s", error)
        self.away = str(error)
        self._again = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, PAUSE_S[1])

    def _write(self, observations: list[Observation]) -> None:
        """Raises StoreAwayError when the store takes none of it."""
        if time.monotonic() < self._again:
            raise StoreAwayError(self.away)
        begun = time.perf_counter()
        accepted, rejected = self._taken(observations)
        meters.WRITE_SECONDS.observe(time.perf_counter() - begun)
        if rejected:
            self._refuse(rejected)
        meters.STORED.inc(accepted)
        self._counts["stored"] += accepted
        self._pause = PAUSE_S[0]
        if self.away:
            log.info("store is back")
            self.away = ""

    def _taken(self, observations: list[Observation]) -> tuple[int, list[tuple[Observation, str]]]:
        """How many the store has now, and which it will never take.

        A store says itself which those are. Where it fails on a batch instead, it is first asked to take again what it
        has already: if it cannot, the fault is its own and it counts as away; if it can, those at fault are found by
        halving. An empty store has nothing to take again: there, one that takes nothing counts as away.
        """
        try:
            return self.store.write(observations)
        except StoreAwayError:
            raise
        except Exception as error:
            log.exception("the store failed on a batch of %d; looking for the cause", len(observations))
            works = self._works()
            if works is not False:
                accepted, rejected = self._halved(observations, most=None if works else ENOUGH)
                if accepted or works:
                    return accepted, rejected
            raise StoreAwayError(f"the store takes nothing: {type(error).__name__}: {error}") from None

    def _works(self) -> bool | None:
        """Whether the store takes again what it has already; None when it has nothing."""
        try:
            known = next(iter(self.store.latest().values()), None)
            return None if known is None else self.store.write([known]).accepted == 1
        except Exception:
            return False

    def _halved(
        self, observations: list[Observation], *, most: int | None
    ) -> tuple[int, list[tuple[Observation, str]]]:
        """As `_taken`; with `most`, gives up when so many were refused and none taken."""
        accepted, rejected, parts = 0, list[tuple[Observation, str]](), [observations]
        while parts and (most is None or accepted or len(rejected) < most):
            part = parts.pop()
            try:
                written = self.store.write(part)
                accepted += written.accepted
                rejected += written.rejected
            except StoreAwayError:
                raise
            except Exception as error:
                middle = len(part) // 2
                if middle:
                    parts += [part[middle:], part[:middle]]
                else:
                    rejected.append((part[0], f"{type(error).__name__}: {error}"))
        return accepted, rejected

    def _refuse(self, rejected: Sequence[tuple[Observation, str]]) -> None:
        refused = []
        for o, why in rejected:
            log.error("the store refused a reading of %s: %s", o.device, why)
            body = msgspec.json.encode({"at": o.at, "values": o.values})
            refused.append(
                Refused(self.decoder.topic_of(o), body, o.received, [Rejection(Reason.STORE, why, o.device)])
            )
        self.quarantine.keep(refused)
        self._counts["refused"] += len(refused)
        meters.REJECTED.labels(Reason.STORE.name.lower()).inc(len(refused))

    def _acknowledge(self, bulks: list[Bulk]) -> None:
        for bulk in bulks:
            done = self._client.acknowledge(bulk.tap, [m[0] for m in bulk.messages])
            meters.ACKNOWLEDGED.inc(done)
        meters.SETTLE_SECONDS.observe(max(0, self.clock.now() - bulks[0].received) / 1000)
        self._settled_at = time.monotonic()
        with self._lock:
            self._waiting -= sum(len(bulk.messages) for bulk in bulks)
            self._bytes -= sum(bulk.bytes for bulk in bulks)
        meters.BUFFERED.set(self._waiting)
        self._room.set()

    # ------------------------------------------------------------ what it says of itself

    def troubles(self) -> list[str]:
        """What keeps it from its work, each as a sentence."""
        found = []
        if not self.connected.is_set():
            found.append("ingest: not connected to the broker")
        dead = [t.name for t in self._threads if t.ident is not None and not t.is_alive()]
        if dead and not self._stop.is_set():
            found.append(f"ingest: {', '.join(dead)} has ended; start this process again")
        if self.holding:
            found.append(f"ingest: nothing is acknowledged: {self.holding}")
        elif self.away:
            found.append(f"ingest: the store is away, what comes is spooled: {self.away}")
        elif self._waiting and time.monotonic() - self._settled_at > STUCK_S:
            found.append(f"ingest: {self._waiting:,} messages wait, none was settled for {STUCK_S} s; see the log")
        return found

    @property
    def state(self) -> Literal["storing", "spooling", "holding"]:
        return "holding" if self.holding else "spooling" if self.away or self.spool.bytes else "storing"

    def _status(self, state: Literal["storing", "spooling", "holding", "offline"]) -> bytes:
        return msgspec.json.encode(
            Status(
                self.settings.worker,
                self.clock.now(),
                state,
                self.holding or self.away,
                buffered=self._waiting,
                spool_bytes=self.spool.bytes,
                spool_limit=self.spool.limit,
                reads=self.decoder.digest,
                quarantine=dict(self.quarantine.waiting),
                newest=list(self.quarantine.newest),
                **self._counts,
            )
        )

    def _say(self) -> None:
        """Every STATUS_S seconds, and at once when the state has changed."""
        now = time.monotonic()
        state = self.state
        if not self.connected.is_set() or ((state, self.holding) == self._said and now < self._say_at):
            return
        self._said, self._say_at = (state, self.holding), now + STATUS_S
        self.quarantine.recount()
        self._client.publish(self._topic, self._status(state), qos=0, retain=True)
