"""The alarm side of the engine: applies the rules in force to the stream and keeps the ledger.

What the evaluator says is in the ledger before anything acts on it: while the ledger is away the transitions wait here,
in order, and the screens go on showing the levels of before. The evaluator's state is kept in the ledger once a minute;
a start thaws it and goes through what the store has received since, so that a death in the middle of a delay changes
nothing: transitions happen at the time of the event, and recording one twice is harmless.
"""

import logging

import msgspec
import numpy as np
import numpy.typing as npt

from twin.alerts import Evaluator, Transition
from twin.clock import SECOND
from twin.episodes import OPEN, Ringing, ringing
from twin.errors import LedgerError, StoreError
from twin.ledger import Ledger, alarms, gateways, rules, watch
from twin.observation import Observation
from twin.registry import Registry
from twin.replay import Word
from twin.rules import Book, default_rules
from twin.store import FOREVER, Store

log = logging.getLogger("gaoxin.alarms")

KEPT_EVERY = 60 * SECOND
ASKED_EVERY = SECOND
LATE = 600 * SECOND  # how far before the last state the store is asked again: what was received late is in it


class Watch:
    """Not safe for several threads: the engine's own calls everything but `start`."""

    def __init__(self, registry: Registry, ledger: Ledger, now: int) -> None:
        """Raises LedgerError."""
        self.registry, self.ledger = registry, ledger
        with ledger.transaction() as connection:
            book = rules.begin(connection, default_rules(), at=now)
            frozen = watch.state(connection)
        self.evaluator = self._thawed(book, frozen, now)
        self.levels: npt.NDArray[np.uint8] = self.evaluator.levels.copy()
        self._pending: list[Transition] = []
        self._words: list[Word] = []
        with ledger.reading() as connection:
            self.gateways = gateways.at(connection, FOREVER)
        self._away: int | None = None
        self._kept = self._asked = now
        self._ringing: Ringing | None = None
        if frozen is None:
            # A death in the first minute must find where it began
            self.keep(now)

    def start(self, store: Store, now: int) -> None:
        """Go through what was received since the state was kept."""
        since = self.evaluator.watermark
        try:
            rows = store.rows([d.id for d in self.registry], since - LATE, now)
        except StoreError as error:
            log.error("alarms start without what came while they were away: %s", error)
            return
        for observation in sorted((o for o in rows if o.received >= since), key=lambda o: o.received):
            self._pending += self.evaluator.tick(observation.received)
            self.step(observation)

    def step(self, observation: Observation) -> None:
        self._pending += self.evaluator.step(observation)

    def gateway(self, name: str, online: bool, now: int) -> None:
        word, before = Word(name, online, now), self.gateways.get(name)
        self.gateways[name] = word
        if not (online and (before is None or before.online)):
            self._words.append(word)
        self._pending += self.evaluator.gateway(name, online, now)

    def turn(self, now: int) -> Ringing | None:
        """Record what happened up to `now`; the open alarms when they are to be told again."""
        if self.evaluator.deadline <= now:
            self._pending += self.evaluator.tick(now)
        try:
            self._record(now)
            if now >= self._kept + KEPT_EVERY:
                self.keep(now)
            if now >= self._asked + ASKED_EVERY:
                self._asked = now
                return self._ask(now)
        except LedgerError as error:
            if self._away is None:
                log.error("alarms wait for the ledger: %s", error)
                self._away = now
            if self._ringing is not None and now >= self._asked + ASKED_EVERY:
                self._asked = now
                return msgspec.structs.replace(self._ringing, at=now, away=self._away)
        return None

    def keep(self, now: int) -> None:
        """Keep the evaluator's state, so that a start goes on from here. Raises LedgerError."""
        self._kept = now
        with self.ledger.transaction() as connection:
            watch.keep(connection, self.evaluator.freeze(), at=now)

    def _record(self, now: int) -> None:
        if self._pending or self._words:
            with self.ledger.transaction() as connection:
                gateways.record(connection, self._words)
                alarms.record(connection, self._pending, noticed=now)
            for t in self._pending:
                log.info("%s %s: %s %s", t.rule, t.subject, t.kind, t.level.name.lower())
            self._pending, self._words = [], []
        self.levels = self.evaluator.levels.copy()

    def _ask(self, now: int) -> Ringing:
        with self.ledger.reading() as connection:
            book = rules.current(connection)
            found = alarms.find(connection, alarms.Filter(states=OPEN, hidden=False), now=now, limit=None)
        if book.version != self.evaluator.book.version:
            log.info("rules of version %d are in force", book.version)
            self._pending += self.evaluator.adopt(book, now)
        self._away = None
        names = {rule.id: rule.name for rule in book.rules}
        self._ringing = ringing(found, names, self.registry, now)
        return self._ringing

    def _thawed(self, book: Book, frozen: bytes | None, now: int) -> Evaluator:
        if frozen is not None:
            try:
                return Evaluator.thaw(book, self.registry, frozen)
            except msgspec.DecodeError as error:
                log.warning("the alarms' state is of another version and is begun anew (%s)", error)
        return Evaluator(book, self.registry, begin=now)
