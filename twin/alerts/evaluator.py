"""The rules on the stream: `step` for what is observed, `tick` for what time alone brings.

`tick(now)` is a promise: everything observed before `now` has been stepped. So it decides what happened before `now`,
and nothing at it. A rule that reads one value of one device is decided as soon as that arrives; one that reads several
waits for the tick, so that they are taken in the order of their times whatever the order of their arrival.

Of two observations of a device at one time the first counts, and one that is not newer than the last is ignored: alarms
are not rewritten by corrections. One that is newer, but from before what a tick has already decided, counts from there;
if its grace was over by then it tells nothing of the present and is ignored.
"""

from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import count

import msgspec
import numpy as np
import numpy.typing as npt

from twin import schedule
from twin.alerts.plan import plan
from twin.alerts.subject import Leaf, Subject, SubjectState
from twin.alerts.transition import FOREVER, Reason, Transition, ordered
from twin.observation import Observation
from twin.registry import Registry
from twin.rules import Book, Rule

_LOST = float("nan")  # what a lost gateway says in the place of a value


class Frozen(msgspec.Struct, frozen=True):
    """`waiting`: (time, subject number, leaf number, at, value)."""

    book: Book
    watermark: int
    subjects: list[tuple[str, str, SubjectState]]
    waiting: list[tuple[int, int, int, int, float | None]]


class Evaluator:
    """`begin`, UTC ms: from when on silence counts for a device that was never heard, and the earliest a change can be.

    `levels`: by position in the registry, the highest level of any rule on that device now (0 none to 4 red).
    """

    def __init__(
        self, book: Book, registry: Registry, *, begin: int, calendar: schedule.Calendar | None = None
    ) -> None:
        self.book, self.registry = book, registry
        self.calendar = schedule.calendar() if calendar is None else calendar
        self.levels: npt.NDArray[np.uint8] = np.zeros(len(registry), np.uint8)
        self.watermark = begin
        self._order = count()
        self._waiting: list[tuple[int, int, Subject, Leaf, int, float]] = []
        self._due: list[tuple[int, int, Subject]] = []
        self._made: list[Transition] = []  # by a thaw; the next tick hands them over
        self.subjects: list[Subject] = [s for rule in book.rules for s in self._of(rule, begin)]
        self._index()

    def step(self, observation: Observation) -> list[Transition]:
        """What follows at once from one observation; of an unknown device, nothing."""
        by_metric = self._readers.get(observation.device)
        if by_metric is None:
            return []
        out: list[Transition] = []
        at = observation.at
        for metric, value in observation.values.items():
            for subject, leaf in by_metric.get(metric, ()):
                if value == value:
                    self._take(subject, leaf, at, value, out)
        for subject, leaf in by_metric.get("", ()):
            self._take(subject, leaf, at, 0.0, out)
        return ordered(out) if len(out) > 1 else out

    def _take(self, subject: Subject, leaf: Leaf, at: int, value: float, out: list[Transition]) -> None:
        if leaf.late(at, self.watermark):
            return
        if not subject.plan.simple:
            heappush(self._waiting, (max(at, self.watermark), next(self._order), subject, leaf, at, value))
            return
        was = subject.level
        moment = max(at, subject.settled)
        if subject.quiet(moment):
            subject.take(leaf, at, value)
            if subject.content:
                return
        else:
            subject.advance(moment, self.calendar, out)
            subject.take(leaf, at, value)
        subject.decide(moment, self.calendar, out)
        self._after(subject, was)

    def tick(self, now: int) -> list[Transition]:
        """All that happened before `now` and was not told yet. A time before that of the last tick changes nothing."""
        out, self._made = self._made, []
        self.watermark = max(self.watermark, now)
        while self._waiting and self._waiting[0][0] < now:
            self._take_waiting(out)
        while self._due and self._due[0][0] < now:
            at, _, subject = heappop(self._due)
            if subject.queued == at:
                subject.queued = FOREVER
                was = subject.level
                subject.advance(now, self.calendar, out)
                self._after(subject, was)
        return ordered(out)

    def _take_waiting(self, out: list[Transition]) -> None:
        """All that was observed at the earliest time, subject by subject."""
        at = self._waiting[0][0]
        touched: dict[int, tuple[Subject, int]] = {}
        lost: set[int] = set()
        while self._waiting and self._waiting[0][0] == at:
            _, _, subject, leaf, own, value = heappop(self._waiting)
            if id(subject) not in touched:
                touched[id(subject)] = subject, subject.level
                subject.advance(at, self.calendar, out)
            if value != value:
                subject.cut(leaf, own)
                lost.add(id(subject))
            elif own > leaf.last:
                subject.take(leaf, own, value)
        for subject, was in touched.values():
            subject.decide(at, self.calendar, out, Reason.GATEWAY if id(subject) in lost else Reason.SILENCE)
            self._after(subject, was)

    @property
    def deadline(self) -> int:
        """The earliest `now` at which `tick` may have something to tell."""
        if self._made:
            return self.watermark
        return 1 + min(self._due[0][0] if self._due else FOREVER, self._waiting[0][0] if self._waiting else FOREVER)

    def gateway(self, name: str, online: bool, now: int) -> list[Transition]:
        """A gateway came or went at `now`. While it is away its devices are unknown; they are known again when
        heard."""
        out: list[Transition] = []
        for subject, leaf in () if online else self._behind.get(name, ()):
            if not subject.plan.simple:
                heappush(self._waiting, (max(now, self.watermark), next(self._order), subject, leaf, now, _LOST))
                continue
            was, moment = subject.level, max(now, subject.settled)
            subject.advance(moment, self.calendar, out)
            subject.cut(leaf, now)
            subject.decide(moment, self.calendar, out, Reason.GATEWAY)
            self._after(subject, was)
        return ordered(out)

    def adopt(self, book: Book, now: int) -> list[Transition]:
        """Go over to another book. Rules that decide as before go on; the others begin anew with what was last said,
        and what they had raised is cleared."""
        out = self.tick(now)
        same = {rule.id for rule in book.rules if _means(rule) == _means(_find(self.book, rule.id))}
        kept = {(s.plan.rule.id, s.name): s for s in self.subjects if s.plan.rule.id in same}
        gone = [s for s in self.subjects if s.plan.rule.id not in same]
        said = {leaf.key: leaf for s in self.subjects for leaf in s.leaves}
        for subject in gone:
            subject.end(now, Reason.RULE, out)
        self.book, self.subjects = book, []
        for rule in book.rules:
            for fresh in self._of(rule, now + 1):
                subject = kept.get((rule.id, fresh.name), fresh)
                if subject is fresh:
                    fresh.remember(said)
                    fresh.decide(now + 1, self.calendar, out)
                subject.plan, subject.version = fresh.plan, book.version
                self.subjects.append(subject)
        # What still waits for a rule that is gone waits for nothing
        there = {id(s) for s in self.subjects}
        self._waiting = [w for w in self._waiting if id(w[2]) in there]
        self._waiting.sort(key=lambda w: w[:2])
        self._index()
        return ordered(out)

    # ------------------------------------------------------------ over a restart

    def freeze(self) -> bytes:
        """All of the state, so that `thaw` goes on as if nothing had been."""
        number = {id(s): i for i, s in enumerate(self.subjects)}
        waiting = [
            (t, number[id(s)], s.leaves.index(leaf), at, None if value != value else value)
            for t, _, s, leaf, at, value in sorted(self._waiting, key=lambda w: w[:2])
        ]
        subjects = [(s.plan.rule.id, s.name, s.state) for s in self.subjects]
        return msgspec.msgpack.encode(Frozen(self.book, self.watermark, subjects, waiting))

    @classmethod
    def thaw(
        cls, book: Book, registry: Registry, frozen: bytes, *, calendar: schedule.Calendar | None = None
    ) -> "Evaluator":
        """The evaluator of `freeze`, gone over to `book` if that is another one. What this clears (also for a device
        that is no longer in the registry, or a group that is another) is told by the next tick.

        Raises msgspec.DecodeError when the bytes are not from this version: begin anew, from what the store knows.
        """
        state = msgspec.msgpack.decode(frozen, type=Frozen)
        found = cls(state.book, registry, begin=state.watermark, calendar=calendar)
        there = {(s.plan.rule.id, s.name): s for s in found.subjects}
        lost: list[Transition] = []
        restored: list[Subject | None] = []
        for rule, name, one in state.subjects:
            subject = there.get((rule, name))
            if subject is not None and subject.restore(one):
                restored.append(subject)
                continue
            restored.append(None)
            if one.level:
                lost.append(one.cleared(rule, state.book.version, name, state.watermark))
        for t, s, leaf, at, value in state.waiting:
            subject = restored[s]
            if subject is not None:
                made = _LOST if value is None else value
                found._waiting.append((t, next(found._order), subject, subject.leaves[leaf], at, made))
        found._index()
        found._made = lost + (found.adopt(book, state.watermark) if book != state.book else [])
        return found

    # ------------------------------------------------------------ who reads what

    def _of(self, rule: Rule, begin: int) -> Iterable[Subject]:
        if not rule.enabled:
            return
        laid = plan(rule, self.registry)
        for place in laid.subjects:
            yield Subject(laid, place, self.book.version, begin, self.calendar)

    def _index(self) -> None:
        self._readers: dict[str, dict[str, list[tuple[Subject, Leaf]]]] = {}
        self._behind: dict[str, list[tuple[Subject, Leaf]]] = {}
        self._on: dict[int, list[Subject]] = {}
        self._due = []
        for subject in self.subjects:
            subject.queued = FOREVER
            self._queue(subject)
            if subject.position >= 0:
                self._on.setdefault(subject.position, []).append(subject)
            for leaf in subject.leaves:
                device = self.registry.devices[leaf.device]
                by_metric = self._readers.setdefault(device.id, {})
                by_metric.setdefault(leaf.demand.term.metric, []).append((subject, leaf))
                if device.gateway:
                    self._behind.setdefault(device.gateway, []).append((subject, leaf))
        self.levels[:] = 0
        for position, subjects in self._on.items():
            self.levels[position] = max(s.level for s in subjects)

    def _after(self, subject: Subject, was: int) -> None:
        if subject.level != was and subject.position >= 0:
            self.levels[subject.position] = max(s.level for s in self._on[subject.position])
        self._queue(subject)

    def _queue(self, subject: Subject) -> None:
        """Wake the subject when something is due; one that wakes too early is queued again."""
        at = subject.next()
        if at < subject.queued:
            subject.queued = at
            heappush(self._due, (at, next(self._order), subject))


def _find(book: Book, rule: str) -> Rule | None:
    return next((r for r in book.rules if r.id == rule), None)


def _means(rule: Rule | None) -> bytes | None:
    return rule.meaning if rule is not None and rule.enabled else None


def run(
    book: Book,
    registry: Registry,
    observations: Iterable[Observation],
    *,
    begin: int,
    end: int,
    calendar: schedule.Calendar | None = None,
) -> list[Transition]:
    """Every transition of [begin, end) that these observations, in the order of their times, make."""
    evaluator = Evaluator(book, registry, begin=begin, calendar=calendar)
    found = [t for o in observations if begin <= o.at < end for t in evaluator.step(o)]
    return ordered(found + evaluator.tick(end))
