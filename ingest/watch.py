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
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from twin.alerts import Evaluator, Transition
from twin.clock import SECOND
from twin.episodes import OPEN, Alarm
from twin.errors import LedgerError, StoreError
from twin.ledger import Ledger, alarms, rules, watch
from twin.observation import Observation
from twin.registry import Registry
from twin.rules import Book, default_rules
from twin.store import Store

log = logging.getLogger("gaoxin.alarms")

KEPT_EVERY = 60 * SECOND
ASKED_EVERY = SECOND
SHOWN = 200  # alarms told to the screens; all are counted
PATIENCE = 30 * SECOND
LOOKED_EVERY = SECOND // 2
LATE = 600 * SECOND  # how far before the last state the store is asked again: what was received late is in it


class Ringing(msgspec.Struct, frozen=True):
    """The open alarms that nobody has shelved: `counts` by level (1 blue to 4 red) and by district, the first SHOWN of
    them with the rules' names, unacknowledged first, and since when the ledger does not answer (None: it does)."""

    at: int
    counts: Mapping[int, int]
    districts: Mapping[str, Mapping[int, int]]
    unacknowledged: int
    alarms: Sequence[Alarm]
    names: Mapping[str, str]
    away: int | None = None


class Gateway(NamedTuple):
    """A gateway's word, and when it was heard."""

    name: str
    online: bool
    at: int


class Watch:
    """Not safe for several threads: the engine's own calls everything but `start`."""

    def __init__(self, registry: Registry, ledger: Ledger, now: int, *, wait: int = 2 * SECOND) -> None:
        """Raises LedgerError."""
        self.registry, self.ledger, self.wait = registry, ledger, wait
        with ledger.transaction() as connection:
            book = rules.begin(connection, default_rules(), at=now)
            frozen = watch.state(connection)
        self.evaluator = self._thawed(book, frozen, now)
        self.levels: npt.NDArray[np.uint8] = self.evaluator.levels.copy()
        self._pending: list[Transition] = []
        self._away: int | None = None
        self._kept = self._asked = now
        self._store: Store | None = None  # to catch up from
        self._patient_until = self._look_at = now
        self._held: list[Observation | Gateway] = []
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
        if self._store is not None:
            self._held.append(Gateway(name, online, now))
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
            if isinstance(heard, Gateway):
                self.gateway(*heard)
            else:
                self.step(heard)
        self._held = []
        return True

    def turn(self, now: int) -> Ringing | None:
        """Record what happened up to `now`; the open alarms when they are to be told again."""
        if self._store is not None and not self._catch_up(self._store, now):
            return None
        if self.evaluator.deadline <= now - self.wait:
            self._pending += self.evaluator.tick(now - self.wait)
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
        if self._store is not None:
            return  # still as it was kept
        self._record(now)  # what is in the state is told first, or a start would never tell it
        self._kept = now
        with self.ledger.transaction() as connection:
            watch.keep(connection, self.evaluator.freeze(), at=now)

    def _record(self, now: int) -> None:
        if self._pending:
            with self.ledger.transaction() as connection:
                alarms.record(connection, self._pending, noticed=now)
            for t in self._pending:
                log.info("%s %s: %s %s", t.rule, t.subject, t.kind, t.level.name.lower())
            self._pending = []
        self.levels = self.evaluator.levels.copy()

    def _ask(self, now: int) -> Ringing:
        with self.ledger.reading() as connection:
            book = rules.current(connection)
            found = alarms.find(connection, alarms.Filter(states=OPEN, hidden=False), now=now, limit=None)
        if book.version != self.evaluator.book.version:
            log.info("rules of version %d are in force", book.version)
            self._pending += self.evaluator.adopt(book, now - self.wait)
        self._away = None
        by_district: dict[str, Counter[int]] = {}
        for alarm in found:
            by_district.setdefault(self._district(alarm.subject), Counter())[int(alarm.level)] += 1
        self._ringing = Ringing(
            now,
            Counter(int(alarm.level) for alarm in found),
            by_district,
            sum(alarm.acknowledged_at is None for alarm in found),
            found[:SHOWN],
            {rule.id: rule.name for rule in book.rules},
        )
        return self._ringing

    def _district(self, subject: str) -> str:
        kind, _, name = subject.partition(":")
        if kind == "district" and name:
            return name
        return self.registry[subject].district if subject in self.registry else ""

    def _thawed(self, book: Book, frozen: bytes | None, now: int) -> Evaluator:
        if frozen is not None:
            try:
                return Evaluator.thaw(book, self.registry, frozen)
            except msgspec.DecodeError as error:
                log.warning("the alarms' state is of another version and is begun anew (%s)", error)
        return Evaluator(book, self.registry, begin=now)
