"""The alarm side of the engine: applies the rules in force to the stream and keeps the ledger.

What the evaluator says is in the ledger before anything acts on it: while the ledger is away the transitions wait here,
in order, and the screens go on showing the levels of before. The evaluator's state is kept in the ledger once a minute;
a start thaws it and goes through what the store has received since, so that a death in the middle of a delay changes
nothing: transitions happen at the time of the event, and recording one twice is harmless.

What is published while no engine listens is in the store only once ingest has had it from the broker. So after a start
what is heard is held until the store has the first reading of it: one worker writes in the order of coming, so then it
has all before it, too. (Of several workers on a shared subscription another may be behind; and a store that is away is
not waited for longer than PATIENCE.)

Time is told to the evaluator `wait` ms late. A reading that was on its way for less than that counts at its own time,
whoever looked when: else the times of alarms would hang on how often the engine looks.
"""

import logging
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from ingest.announcer import Announcer, Told
from twin.alerts import Evaluator, Transition
from twin.clock import SECOND
from twin.episodes import OPEN, Alarm
from twin.errors import LedgerError, StoreError
from twin.ledger import Ledger, alarms, gateways, rules, watch
from twin.observation import Observation
from twin.registry import Registry
from twin.replay import Word
from twin.ringing import Ringing, ringing
from twin.rules import Book, default_rules
from twin.store import FOREVER, Store

log = logging.getLogger("gaoxin.alarms")

KEPT_EVERY = 60 * SECOND
ASKED_EVERY = SECOND
AT_ONCE = SECOND // 5  # least time between two looks when there is news
PATIENCE = 30 * SECOND
LOOKED_EVERY = SECOND // 2
LATE = 600 * SECOND  # how far before the last state the store is asked again: what was received late is in it


class Watch:
    """Not safe for several threads: the engine's own calls everything but `start`."""

    def __init__(
        self, registry: Registry, ledger: Ledger, now: int, *, told: Told | None = None, wait: int = 2 * SECOND
    ) -> None:
        """`told`: how notices are put; None sends none and costs nothing. Raises LedgerError."""
        self.registry, self.ledger, self.wait = registry, ledger, wait
        self.announcer = Announcer(registry, told, now) if told else None
        self.open: Sequence[Alarm] = ()  # every open alarm at the last look, hidden ones as well
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
        self._kept = self._asked = self._told = now
        self._store: Store | None = None  # to catch up from
        self._patient_until = self._look_at = now
        self._held: list[Observation | Word] = []
        self._news = False  # recorded, and not yet told to the screens
        self._ringing: Ringing | None = None
        if frozen is None:
            # A death in the first minute must find where it began
            self.keep(now)

    def start(self, store: Store, now: int) -> None:
        """Begin by catching up with what the store received since the state was kept."""
        self._store, self._patient_until = store, now + PATIENCE

    def step(self, observation: Observation) -> None:
        if self._store is not None:
            self._held.append(observation)
        else:
            self._pending += self.evaluator.step(observation)

    def gateway(self, name: str, online: bool, now: int) -> None:
        word, before = Word(name, online, now), self.gateways.get(name)
        self.gateways[name] = word
        if not (online and (before is None or before.online)):
            self._words.append(word)
        if self._store is not None:
            self._held.append(word)
        else:
            self._pending += self.evaluator.gateway(name, online, now)

    def _catch_up(self, store: Store, now: int) -> bool:
        """Whether it has caught up: not while what was said before the first reading heard is still on its way."""
        if now < self._look_at:
            return False
        self._look_at = now + LOOKED_EVERY
        first = next((o for o in self._held if isinstance(o, Observation)), None)
        try:
            there = first is not None and bool(store.rows([first.device], first.at, first.at + 1))
            if not there and now < self._patient_until:
                return False
            since = self.evaluator.watermark
            rows = store.rows([d.id for d in self.registry], since - LATE, now)
        except StoreError as error:
            if now < self._patient_until:
                return False
            log.error("alarms start without what came while they were away: %s", error)
            since, rows = now, []
        self._store = None
        for observation in sorted((o for o in rows if o.received >= since), key=lambda o: o.received):
            self._pending += self.evaluator.tick(observation.received - self.wait)
            self.step(observation)
        for heard in self._held:
            if isinstance(heard, Word):
                self._pending += self.evaluator.gateway(*heard)
            else:
                self.step(heard)
        self._held = []
        return True

    @property
    def names(self) -> dict[str, str]:
        return {rule.id: rule.name for rule in self.evaluator.book.rules}

    @property
    def lost(self) -> frozenset[str]:
        """The gateways that are away."""
        return frozenset(name for name, word in self.gateways.items() if not word.online)

    def turn(self, now: int) -> Ringing | None:
        """Record what happened up to `now`; the open alarms when they are to be told again."""
        if self._store is not None and not self._catch_up(self._store, now):
            return None
        if self.evaluator.deadline <= now - self.wait:
            self._pending += self.evaluator.tick(now - self.wait)
        try:
            self._news |= bool(self._pending)
            self._record(now)
            if now >= self._kept + KEPT_EVERY:
                self.keep(now)
            if now >= self._asked + ASKED_EVERY or (self._news and now >= self._told + AT_ONCE):
                if now >= self._asked + ASKED_EVERY:
                    self._asked = now
                self._told, self._news = now, False
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
        if self._store is not None:
            return  # still as it was kept
        self._record(now)  # what is in the state is told first, or a start would never tell it
        self._kept = now
        with self.ledger.transaction() as connection:
            watch.keep(connection, self.evaluator.freeze(), at=now)

    def _record(self, now: int) -> None:
        if self._pending or self._words:
            try:
                with self.ledger.transaction() as connection:
                    gateways.record(connection, self._words)
                    alarms.record(connection, self._pending, noticed=now)
                    if self.announcer:
                        self.announcer.announce(connection, self.evaluator.book, self.lost, now)
            except LedgerError:
                if self.announcer:
                    self.announcer.forget()
                raise
            for t in self._pending:
                log.info("%s %s: %s %s", t.rule, t.subject, t.kind, t.level.name.lower())
            self._pending, self._words = [], []
        self.levels = self.evaluator.levels.copy()

    def _ask(self, now: int) -> Ringing:
        book = self.evaluator.book
        with self.ledger.reading() as connection:
            newest = rules.current(connection)
            self.open = alarms.find(connection, alarms.Filter(states=OPEN), now=now, limit=None)
            wanted = self.announcer is not None and self.announcer.wants(connection, book, self.lost, now)
        if newest.version != book.version:
            log.info("rules of version %d are in force", newest.version)
            self._pending += self.evaluator.adopt(newest, now - self.wait)
        if wanted and self.announcer:
            with self.ledger.transaction() as connection:
                self.announcer.announce(connection, self.evaluator.book, self.lost, now)
        self._away = None
        shown = [alarm for alarm in self.open if not alarm.hidden(now)]
        self._ringing = ringing(shown, newest, self.lost, self.registry, now)
        return self._ringing

    def _thawed(self, book: Book, frozen: bytes | None, now: int) -> Evaluator:
        if frozen is not None:
            try:
                return Evaluator.thaw(book, self.registry, frozen)
            except msgspec.DecodeError as error:
                log.warning("the alarms' state is of another version and is begun anew (%s)", error)
        return Evaluator(book, self.registry, begin=now)
