"""One process's worth of the twin: the parts it was asked to run, wired together.

With DuckDB (one process owns the file) ingest, engine and web share a process; with InfluxDB each can have its own.
"""

import logging
import threading
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path

import msgspec

from dashboards.i18n import Language, translator
from dashboards.live import Relay
from dashboards.opening import make_decoder, open_ledger
from dashboards.views.wall import Trend
from ingest.announcer import Told
from ingest.engine import Shell
from ingest.senders import Senders
from ingest.worker import Worker
from twin import channels
from twin.clock import DAY, HOUR, SECOND, Clock, SystemClock
from twin.errors import LedgerError, StoreError
from twin.ledger import outbox, simulated
from twin.notices import Policy
from twin.registry import Registry
from twin.settings import Settings
from twin.store import Store

log = logging.getLogger("gaoxin.node")

TREND_POINTS = 144
TREND_EVERY_S = 60
FORGET_MOST = 2 * DAY
NOTICES_KEPT = 90 * DAY  # after they were sent or given up


def district_names(layers_folder: Path) -> Callable[[Language], dict[str, str]]:
    """The districts' names by id, in a language."""

    @cache
    def names(language: Language) -> dict[str, str]:
        from layers import zone  # geopandas: not for a process that only takes in

        frame = zone.layer("districts", layers_folder)
        found = frame["name_en"] if language == "en" and "name_en" in frame else frame["name"]
        return dict(zip(frame["id"], found, strict=True))

    return names


def how_told(settings: Settings) -> Told | None:
    """How notices are put; None where no channel is named. Raises SettingsError."""
    known = channels.channels(settings.notices)
    if not known:
        return None
    language = settings.language
    places = district_names(settings.layers_folder)(language)
    return Told(known, Policy.of(settings.notices), settings.notices.link, translator(language), places)


class Node:
    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        store: Store,
        clock: Clock | None = None,
        *,
        ingest: bool = True,
        engine: bool = True,
        web: bool = True,
    ) -> None:
        self.settings, self.registry, self.store = settings, registry, store
        self.clock = clock or SystemClock()
        broker = settings.broker
        decoder = make_decoder(settings, registry)
        self.worker = Worker(store, decoder, settings.data, self.clock, settings.ingest, broker) if ingest else None
        self.ledger = open_ledger(settings) if engine or web else None
        self.engine: Shell | None = None
        self.senders: Senders | None = None
        if self.ledger and engine:
            told = how_told(settings)
            self.engine = Shell(registry, decoder, self.clock, settings.engine, broker, store, self.ledger, told)
            if told:
                owner = f"engine-{uuid.uuid4().hex[:12]}"
                self.senders = Senders(self.ledger, settings.notices, self.clock, owner)
        self.web = web
        names = {d.id: d.name for d in registry}
        self.relay = Relay(
            broker,
            self.clock,
            simulated=settings.simulate.on,
            trend=lambda: self._trend,
            names=names,
            districts=district_names(settings.layers_folder),
        )
        self._trend: Trend | None = None
        self._stop = threading.Event()
        self._chores = threading.Thread(target=self._run_chores, name="chores", daemon=True)

    def start(self) -> None:
        if self.worker:
            self.worker.start()
        if self.engine:
            self.engine.start()
        if self.senders:
            self.senders.start()
        self._chores.start()

    def stop(self) -> None:
        """Stop in the order of the data, so that what was taken is written; then close the store."""
        self._stop.set()
        if self.worker:
            self.worker.stop()
        if self.engine:
            self.engine.stop()
        if self.senders:
            self.senders.stop()
        self.relay.close()
        self._chores.join(timeout=self.settings.store.timeout_s)
        self.store.close()
        if self.ledger:
            self.ledger.close()

    def troubles(self, late_s: float) -> list[str]:
        """What keeps this process from its work, each as a sentence."""
        found = []
        try:
            self.store.check()
        except StoreError as error:
            found.append(f"store: {error}")
        if self.worker:
            found += self.worker.troubles()
        if self.engine and not self.engine.connected.is_set():
            found.append("engine: not connected to the broker")
        if self.web and not self.relay.connected:
            found.append("web: not connected to the broker")
        elif self.web and self.relay.late > late_s:
            since = f"for {self.relay.late:.0f} s" if self.relay.frame_at else "yet"
            found.append(f"web: no frame from the engine {since}")
        return found

    def _run_chores(self) -> None:
        """What is due now and then: the day's trend for the wall, and forgetting what is past its retention."""
        hour = noticed = -1
        while not self._stop.is_set():
            try:
                if self.web:
                    self._trend = self._read_trend()
                if self.worker and self.clock.now() // HOUR != hour:
                    hour = self.clock.now() // HOUR
                    self._forget()
                if self.engine and self.ledger and self.settings.simulate.on:
                    now = self.clock.now()
                    with self.ledger.transaction() as connection:
                        simulated.mark(connection, now - round(TREND_EVERY_S * SECOND), now)
                if self.senders and self.clock.now() // HOUR != noticed:
                    with self.senders.ledger.transaction() as connection:
                        outbox.forget(connection, self.clock.now() - NOTICES_KEPT)
                    noticed = self.clock.now() // HOUR
            except StoreError as error:
                log.warning("a chore must wait for the store: %s", error)
            except LedgerError as error:
                log.warning("a chore must wait for the ledger: %s", error)
            except Exception:  # chores must go on for weeks whatever one of them met
                log.exception("a chore failed; it will be tried again")
            self._stop.wait(TREND_EVERY_S)

    def _forget(self) -> None:
        """Forget what is past its retention, but never much more than the last time: a clock that has jumped a year
        ahead must not cost the store within the hour.
        """
        note = self.settings.data / f"forgotten-{self.settings.ingest.worker}.json"
        retention = self.settings.store.retention_days * DAY
        before = self.clock.now() - retention
        if note.exists():
            last = msgspec.json.decode(note.read_bytes(), type=int)
        else:
            newest = max((o.received for o in self.store.latest().values()), default=self.clock.now())
            last = newest - retention
        if before > last + FORGET_MOST:
            log.warning(
                "retention: %d days at once; two are forgotten an hour. Is the clock right?", (before - last) // DAY
            )
            before = last + FORGET_MOST
        self.store.retain(before)
        note.write_bytes(msgspec.json.encode(before))

    def _read_trend(self) -> Trend | None:
        centre = next((d for d in self.registry if d.kind == "compute-centre"), None)
        if centre is None:
            return None
        now = self.clock.now()
        return Trend(
            {
                metric: self.store.series(centre.id, metric, now - DAY, now, points=TREND_POINTS)
                for metric in ("facilityPower", "itPower")
                if metric in centre.metrics
            }
        )
