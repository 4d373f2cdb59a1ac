"""Who is told of the open alarms: `twin.notices`' plan, made again whenever something could change it.

A plan is a function of the open alarms, of what people did about them, of silences, gateways and time. So it is made
in the transaction that records transitions (a crash leaves both or neither), when the watch's look at the ledger finds
an acknowledgement, a shelf or a silence, when a gateway comes or goes, and at the time that the last plan has named.
What is planned twice is written once.

After a start it waits `SETTLE` first: which gateways are lost is retained at the broker, and a plan made before that is
heard would call them back.
"""

from collections.abc import Iterable, Mapping

import msgspec
import sqlalchemy as sa

from twin import cases
from twin.cases import Case
from twin.channels import Channel
from twin.clock import MINUTE, SECOND
from twin.episodes import OPEN, Alarm
from twin.ledger import alarms, outbox, silences
from twin.notices import NEVER, Policy
from twin.observation import METRICS
from twin.registry import Registry
from twin.rules import Book, Condition, Rule, Term
from twin.silences import Silence
from twin.wording import PERCENT, Translate

SETTLE = 10 * SECOND
AHEAD = 60 * MINUTE  # silences that begin within it are known to a plan; at its end it is made again


class Told(msgspec.Struct, frozen=True):
    """How notices are put: to whom, when, with which link to the web and in whose language."""

    channels: tuple[Channel, ...]
    policy: Policy
    link: str
    translate: Translate
    places: Mapping[str, str]


class Announcer:
    """`lost` is the watch's own set of gateways that are offline, looked at when a plan is made."""

    def __init__(self, registry: Registry, told: Told, now: int) -> None:
        self.registry, self.told = registry, told
        self._from = self._due = now + SETTLE
        self._known: tuple[list[Case], frozenset[str]] | None = None

    def wants(self, connection: sa.Connection, book: Book, lost: frozenset[str], now: int) -> bool:
        """Would a plan of now differ from the last one?"""
        if now < self._from:
            return False
        return now >= self._due or self._known != (self._cases(connection, book, now), lost)

    def announce(self, connection: sa.Connection, book: Book, lost: frozenset[str], now: int) -> int:
        """Plan, in the caller's transaction. Returns how many notices are new."""
        if now < self._from:
            return 0
        told, found = self.told, self._cases(connection, book, now)
        plan = outbox.announce(
            connection,
            found,
            told.channels,
            now=now,
            policy=told.policy,
            link=told.link,
            translate=told.translate,
            lost=lost,
        )
        self._known = (found, lost)
        # What was sent may be due again at once: a repeat, or the end of quiet hours
        self._due = min(now + SECOND if plan.sends else NEVER, max(plan.due, now + SECOND), now + AHEAD)
        return len(plan.sends)

    def forget(self) -> None:
        """What was planned last is not known to be in the ledger: the next look plans again."""
        self._known = None

    def _cases(self, connection: sa.Connection, book: Book, now: int) -> list[Case]:
        by_id = {rule.id: rule for rule in book.rules}
        found = alarms.find(connection, alarms.Filter(states=OPEN), now=now, limit=None)
        spans = silences.between(connection, now, now + AHEAD) if found else []
        return [self._case(alarm, by_id[alarm.rule], spans) for alarm in found if alarm.rule in by_id]

    def _case(self, alarm: Alarm, rule: Rule, spans: Iterable[Silence]) -> Case:
        unit, decimals = scale(rule)
        return cases.case(
            alarm,
            rule,
            self.registry,
            unit=unit,
            decimals=decimals,
            value=alarm.value,
            silences=spans,
            places=self.told.places,
        )


def scale(rule: Rule) -> tuple[str, int]:
    """The unit (UCUM; PERCENT for a share) and the decimals of what the rule's first condition looks at."""
    term: Term = rule.when[0]
    metric = METRICS.get(term.metric)
    if term.condition is Condition.ABSENT or metric is None:
        return "s", 0
    rate = "/min" if term.condition is Condition.RATE else ""
    share = term.of or (metric.unit == "1" and metric.low == 0 and metric.decimals)
    if share:
        return ("1/min" if rate else PERCENT), max(metric.decimals, 2)
    return metric.unit + rate, metric.decimals
