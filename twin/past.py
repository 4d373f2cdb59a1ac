"""Reads what a span of the past is made of, from the store and the ledger, for the fold of `twin.replay`.

What is read is bounded by the span and not by what is stored: of most devices the last word lies within the hour before
it begins. Only those that were silent for longer are asked for one by one, and what came late for one that is unknown
lies after its last word. Where a step is longer than any silence that a device may keep, the time between is not read.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec
import numpy as np
import sqlalchemy as sa

from twin import air, snapshot
from twin.air import Hours
from twin.clock import HOUR
from twin.episodes import Episodes
from twin.ledger import Ledger, gateways, recalled, rules
from twin.observation import Domain, Observation
from twin.registry import Registry
from twin.replay import I64, Chunk, Known, Rise, Span, View, Word, behind, fold, news, thinned
from twin.ringing import Ringing, ringing
from twin.rules import Book
from twin.snapshot import NEVER, NEVER_HEARD, NO_BAND, U8, Shown, Snapshot
from twin.store import FOREVER, Said, Store

_Event = tuple[int, int, recalled.Said | recalled.Done | Word]
EMPTY = Book(0, ())
LOOK = HOUR  # before a span, in which the last word of most devices lies


class Moment(NamedTuple):
    """The zone at a time, as the wall is made from it. `zone` and `hours` are used again for the next moment."""

    at: int
    zone: Snapshot
    hours: Hours
    ringing: Ringing


class Why(StrEnum):
    LATE = "late"  # a later reading had not come yet
    CORRECTED = "corrected"  # another value was received since
    AHEAD = "ahead"  # what was shown bears a time that was not yet
    ALARM = "alarm"  # the alarm was noticed after it had happened


class Difference(msgspec.Struct, frozen=True):
    """A device of which something else was known then than is known now; `shown`: the map shows it."""

    device: str
    why: Sequence[Why]
    shown: bool
    then: Observation | None
    now: Observation | None
    level_then: int
    level_now: int


def _why(then: Observation | None, now: Observation | None, levels: tuple[int, int]) -> list[Why]:
    found = [Why.ALARM] if levels[0] != levels[1] else []
    if then == now:
        return found
    if then is not None and (now is None or now.at < then.at):
        return [*found, Why.AHEAD]
    if then is not None and now is not None and now.at == then.at:
        return [*found, Why.CORRECTED]
    return [*found, Why.LATE]


class Past:
    """`grace` in periods of each device; `ahead`: how far ahead of ours a device's clock may be, ms.

    Every method raises what the store and the ledger raise.
    """

    def __init__(self, registry: Registry, store: Store, ledger: Ledger, *, grace: float, ahead: int) -> None:
        self.registry, self.store, self.ledger = registry, store, ledger
        self.grace, self.ahead = grace, ahead
        self._graces = snapshot.graces(registry, grace)
        self._shown = Shown(registry)
        self._behind = behind(registry)

    @property
    def patience(self) -> int:
        """The longest silence that a device may keep, ms."""
        return int(self._graces.max(initial=0))

    def chunk(self, view: View, span: Span) -> Chunk:
        """The frames of a span."""
        zone = self.zone(view, span.begin)
        with self.ledger.reading() as connection:
            before, words = gateways.at(connection, span.begin), gateways.between(connection, span.begin, span.last)
            told = recalled.transitions(connection, span.begin, span.last, noticed=view is View.THEN)
        levels, rises = self._levels(span, told)
        return fold(
            self.registry,
            view,
            span,
            grace=self._graces,
            known=self._known(zone),
            said=self.said(view, span, zone),
            gone=self._gone(before),
            words=words,
            levels=levels,
            rises=rises,
            shown=self._shown,
        )

    def moments(self, view: View, span: Span) -> Iterator[Moment]:
        """The zone at each step."""
        then = view is View.THEN
        zone = self.zone(view, span.begin)
        folded = snapshot.of(self.registry, zone.values(), grace=self.grace)
        with self.ledger.reading() as connection:
            words = [*gateways.at(connection, span.begin).values()]
            words += gateways.between(connection, span.begin, span.last)
            told = recalled.transitions(connection, span.begin, span.last, noticed=then)
            panels = self._panels(span, told, words, connection)
        levels, rises = self._levels(span, told)
        folded.level[:] = levels
        hours = Hours(self.registry, span.begin)
        # An hour more: a clock may run ahead
        first, known = air.complete(span.begin), span.last if then else None
        reported = self.store.rows(hours.stations, first, span.last + HOUR, known=known)
        reported.sort(key=lambda o: o.received if then else o.at)
        parts = [self._steps(view, span, zone, part) for part in self.said(view, span, zone)]
        next_word = next_reported = next_rise = 0
        for k in range(span.steps):
            at = span.begin + k * span.step
            for part in parts:
                part.put(folded, k)
            while next_word < len(words) and words[next_word].at <= at:
                folded.gateway(*words[next_word])
                next_word += 1
            while next_rise < len(rises) and rises[next_rise].at <= at:
                folded.level[rises[next_rise].device] = rises[next_rise].level
                next_rise += 1
            while next_reported < len(reported):
                one = reported[next_reported]
                if (one.received if then else one.at) > at:
                    break
                hours.fold(one)
                next_reported += 1
            hours.forget(at)
            yield Moment(at, folded, hours, next(panels))

    def moment(self, view: View, at: int) -> Moment:
        return next(self.moments(view, Span(at, at + 1, 1)))

    def differences(self, at: int) -> list["Difference"]:
        """What is known now of the zone at `at`, and was not then."""
        then, now = (self.moment(view, at).zone for view in View)
        shown = [zone.bytes_at(at) for zone in (then, now)]
        found = []
        for i, device in enumerate(self.registry):
            before, after = then.last[i], now.last[i]
            levels = int(then.level[i]), int(now.level[i])
            if before == after and levels[0] == levels[1]:
                continue
            seen = any(shown[0][part][i] != shown[1][part][i] for part in (0, 1))
            found.append(Difference(device.id, _why(before, after, levels), seen, before, after, *levels))
        return found

    def _panels(
        self, span: Span, told: Sequence[recalled.Said], words: Sequence[Word], connection: sa.Connection
    ) -> Iterator[Ringing]:
        """The alarm panel at each step."""
        events: list[_Event] = [(s.at, 0, s) for s in told]
        events += [(w.at, 2, w) for w in words]
        events += [(d.at, 1, d) for d in recalled.done(connection, {s.alarm for s in told}, span.last)]
        events.sort(key=lambda e: e[:2])
        since = [(v.at, v.version) for v in reversed(rules.versions(connection)) if v.at <= span.last]
        needed = {s.transition.version for s in told} | set(_in_force(since, span))
        books = {v: rules.at_version(connection, v) for _, v in since if v in needed}
        return self._folded(span, events, since, books)

    def _folded(
        self,
        span: Span,
        events: Sequence[_Event],
        since: Sequence[tuple[int, int]],
        books: Mapping[int, Book],
    ) -> Iterator[Ringing]:
        groups = {(v, rule.id): rule.group for v, book in books.items() for rule in book.rules}
        episodes, away, following = Episodes(), set[str](), 0
        for k in range(span.steps):
            now = span.begin + k * span.step
            while following < len(events) and events[following][0] <= now:
                match events[following][2]:
                    case recalled.Said(transition=t, alarm=alarm):
                        episodes.say(t, id=alarm, group=groups.get((t.version, t.rule), ""))
                    case recalled.Done() as done:
                        episodes.do(**msgspec.structs.asdict(done))
                    case Word(gateway, online):
                        (away.discard if online else away.add)(gateway)
                following += 1
            version = max((v for at, v in since if at <= now), default=0)
            yield ringing(episodes.ringing(now), books.get(version, EMPTY), away, self.registry, now)

    def zone(self, view: View, at: int) -> dict[str, Observation]:
        """The last observation of each device at `at`."""
        upto, known = (at + self.ahead, at) if view is View.THEN else (at, None)
        found = self.store.zone(upto, known=known, since=at - LOOK)
        silent = [d.id for d in self.registry if d.id not in found]
        return found | self.store.zone(upto, known=known, devices=silent) if silent else found

    def said(self, view: View, span: Span, zone: Mapping[str, Observation]) -> list[Said]:
        """What may be news after `zone` within the span, by domain. A row may be there twice."""
        domains = {d.domain for d in self.registry}
        found: dict[Domain, list[Said]] = {domain: [] for domain in domains}
        for after, start, upto in self._stretches(view, span):
            for domain, parts in found.items():
                if view is View.NOW:
                    parts.append(self.store.said(domain, start + 1, upto + 1))
                else:
                    parts.append(self.store.said(domain, start + 1, upto + self.ahead + 1, after=after, by=upto))
        for domain, part in self._first(view, span, zone) if self._sparse(span) else ():
            found[domain].append(part)
        for domain, part in self._late(span, zone) if view is View.THEN else ():
            found[domain].append(part)
        return [together(parts) for parts in found.values() if parts]

    def rows(self, span: Span) -> int:
        """About how many rows `said` would read, to be refused when they are too many."""
        read = (self.patience * span.steps) if self._sparse(span) else span.end - span.begin
        return round(sum(read / 1000 / d.period_s for d in self.registry))

    def _sparse(self, span: Span) -> bool:
        """Whether what was said right after a step is forgotten by the next."""
        return span.step > 2 * self.patience

    def _stretches(self, view: View, span: Span) -> Iterator[tuple[int, int, int]]:
        """What is to be read: (received after, at after, both up to)."""
        if not self._sparse(span):
            yield span.begin, span.begin if view is View.NOW else span.begin - self.patience, span.last
            return
        for k in range(1, span.steps):
            moment = span.begin + k * span.step
            yield moment - span.step, moment - self.patience - 1, moment

    def _late(self, span: Span, zone: Mapping[str, Observation]) -> Iterator[tuple[Domain, Said]]:
        """What was received within the span from devices that were silent for long: all of it after their last word."""
        until = span.begin - self.patience
        silent: dict[tuple[Domain, int], list[str]] = {}
        for device in self.registry:
            last = zone[device.id].at if device.id in zone else None
            if last is None or last <= until:
                # By the hour, so that one that was lost a year ago does not have a year read for the others
                start = -FOREVER if last is None else last // HOUR * HOUR
                silent.setdefault((device.domain, start), []).append(device.id)
        for (domain, start), devices in silent.items():
            yield (
                domain,
                self.store.said(domain, start, until + 1, after=span.begin, by=span.last, devices=devices),
            )

    def _first(self, view: View, span: Span, zone: Mapping[str, Observation]) -> Iterator[tuple[Domain, Said]]:
        """The first words within the span of devices that were never heard before it."""
        never = {d.id for d in self.registry if d.id not in zone}
        for start in range(span.begin + 1, span.last + 1, HOUR):
            end = min(start + HOUR, span.last + 1)
            by = span.last if view is View.THEN else FOREVER
            for domain in {self.registry[device].domain for device in never}:
                found = self.store.said(domain, start, end, by=by, devices=sorted(never))
                yield domain, found.take(np.unique(found.device, return_index=True)[1])
                never -= {self.registry.devices[i].id for i in np.unique(found.device)}

    def _known(self, zone: Mapping[str, Observation]) -> Known:
        n = len(self.registry)
        at, received = np.full(n, NEVER), np.full(n, NEVER)
        value, band = np.full(n, NEVER_HEARD, np.uint8), np.full(n, NO_BAND, np.uint8)
        for i, device in enumerate(self.registry):
            last = zone.get(device.id)
            if last is not None:
                at[i], received[i] = last.at, last.received
                value[i] = snapshot.display_byte(device, last.values)
                band[i] = snapshot.band(device, last.values, last.at)
        return Known(at, received, value, band)

    def _gone(self, words: Mapping[str, Word]) -> I64:
        gone = np.full(len(self.registry), NEVER)
        for word in words.values():
            gone[list(self._behind.get(word.gateway, ()))] = NEVER if word.online else word.at
        return gone

    def _levels(self, span: Span, told: Sequence[recalled.Said]) -> tuple[U8, list[Rise]]:
        """The devices' alarm levels at the span's begin, and how they change."""
        by_rule: dict[int, dict[str, int]] = {}
        levels, rises = np.zeros(len(self.registry), np.uint8), []
        for said in told:
            i = self.registry.index.get(said.transition.subject)
            if i is None:
                continue
            of_device = by_rule.setdefault(i, {})
            of_device[said.transition.rule] = int(said.transition.level)
            highest = max(of_device.values())
            if said.at <= span.begin:
                levels[i] = highest
            else:
                rises.append(Rise(i, said.at, highest))
        return levels, rises

    def _steps(self, view: View, span: Span, zone: Mapping[str, Observation], said: Said) -> "_Steps":
        """What each device last said before each step, as observations."""
        then = view is View.THEN
        when = said.received if then else said.at
        said = said.take((when > span.begin) & (when <= span.last))
        known = np.full(len(self.registry), NEVER)
        for device, last in zone.items():
            known[self.registry.index[device]] = last.at
        said = said.take(news(view, said, known))
        step = span.first_at(said.received if then else said.at)
        last_of_step = thinned(said.device, step)
        said, step = said.take(last_of_step), step[last_of_step]
        order = np.argsort(step, kind="stable")
        said, step = said.take(order), step[order]
        return _Steps(self.registry, said, step, self._shown)


def _in_force(since: Sequence[tuple[int, int]], span: Span) -> list[int]:
    """The versions in force at some time of the span, of all (since, version) up to its end."""
    before = [version for at, version in since if at <= span.begin]
    return before[-1:] + [version for at, version in since if at > span.begin]


class _Steps:
    """The rows of one domain in the order of the steps at which they are news."""

    def __init__(self, registry: Registry, said: Said, step: I64, shown: Shown) -> None:
        self._registry, self._said, self._shown = registry, said, shown
        value, band = shown.of(said)
        self._value, self._band = value.tolist(), band.tolist()
        self._device = said.device.tolist()
        self._at, self._received = said.at.tolist(), said.received.tolist()
        self._values = said.dicts(np.arange(len(said.at)))
        self._step = step

    def put(self, zone: Snapshot, k: int) -> None:
        devices = self._registry.devices
        first, last = np.searchsorted(self._step, [k, k + 1])
        for row in range(int(first), int(last)):
            i = self._device[row]
            observation = Observation(devices[i].id, self._at[row], self._values[row], self._received[row])
            zone.put(i, observation, self._value[row], self._band[row])


def together(parts: Sequence[Said]) -> Said:
    if len(parts) == 1:
        return parts[0]
    return Said(
        np.concatenate([p.device for p in parts]),
        np.concatenate([p.at for p in parts]),
        np.concatenate([p.received for p in parts]),
        {m: np.concatenate([p.values[m] for p in parts]) for m in parts[0].values},
    )
