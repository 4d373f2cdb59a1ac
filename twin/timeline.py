"""What happened over a range, in the counts that a time line draws."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from twin.alerts import Transition
from twin.clock import DAY, HOUR, MINUTE
from twin.incidents import Incident
from twin.ledger import gateways, incidents, recalled, rules, truth
from twin.ledger.rules import Version
from twin.observation import Domain
from twin.past import Past
from twin.replay import Span, View, Word
from twin.snapshot import UNKNOWN
from twin.truth import Truth

MOST_BUCKETS = 120
TOLD = 500  # transitions told; all are counted
WIDTHS = (*(m * MINUTE for m in (1, 2, 5, 10, 15, 30)), *(h * HOUR for h in (1, 2, 3, 6, 12)), DAY)


class Dark(msgspec.Struct, frozen=True):
    """A gateway that was away; `end` None: still at the range's end."""

    gateway: str
    begin: int
    end: int | None


class Timeline(msgspec.Struct, frozen=True):
    """Times UTC ms. By bucket: `alarms` open by level (blue to red) as a bucket begins; `density`: readings by
    domain; `unknown`: devices by domain, as a bucket begins. `transitions`: the first TOLD of `told`, each with when
    it became known."""

    begin: int
    end: int
    view: View
    width: int
    at: Sequence[int]
    alarms: Sequence[Sequence[int]]
    density: Mapping[Domain, Sequence[int]]
    unknown: Mapping[Domain, Sequence[int]]
    gateways: Sequence[Dark]
    told: int
    transitions: Sequence[tuple[int, Transition]]
    versions: Sequence[Version]
    facts: Sequence[Truth]
    incidents: Sequence[Incident]


def timeline(past: Past, view: View, begin: int, end: int) -> Timeline:
    """Raises what the store and the ledger raise."""
    width = next((w for w in WIDTHS if (end - begin) / w <= MOST_BUCKETS), WIDTHS[-1])
    span = Span(begin, end, width)
    with past.ledger.reading() as connection:
        told = recalled.transitions(connection, begin, end, noticed=view is View.THEN)
        before, words = gateways.at(connection, begin), gateways.between(connection, begin, end)
        versions = [v for v in rules.versions(connection) if v.at < end]
        facts = truth.between(connection, begin, end)
        named = incidents.find(connection, incidents.Filter(begin=begin, end=end))
    # The version in force as the range begins, and those since
    versions = [*(v for v in versions if v.at > begin), *[v for v in versions if v.at <= begin][:1]][::-1]
    within = [(s.at, s.transition) for s in told if s.at > begin]
    domains = sorted({d.domain for d in past.registry})
    return Timeline(
        begin,
        end,
        view,
        width,
        [begin + k * width for k in range(span.steps)],
        _open(told, span),
        {d: past.store.density(d, begin, end, width).tolist() for d in domains},
        _unknown(past, view, span, domains),
        _dark([*before.values(), *words], begin),
        len(within),
        within[:TOLD],
        versions,
        facts,
        named,
    )


def _open(told: Sequence[recalled.Said], span: Span) -> list[list[int]]:
    """How many alarms of each level are open at each step."""
    level: dict[int, int] = {}
    found, counts, following = [], [0] * 5, 0
    for k in range(span.steps):
        while following < len(told) and told[following].at <= span.begin + k * span.step:
            said = told[following]
            counts[level.get(said.alarm, 0)] -= 1
            level[said.alarm] = int(said.transition.level)
            counts[level[said.alarm]] += 1
            following += 1
        found.append(counts[1:])
    return found


def _unknown(past: Past, view: View, span: Span, domains: Sequence[Domain]) -> dict[Domain, list[int]]:
    chunk = past.chunk(view, span)
    of_domain = {d: np.array([device.domain is d for device in past.registry]) for d in domains}
    found: dict[Domain, list[int]] = {d: [] for d in domains}
    for k in range(span.steps):
        unknown = chunk.frame(k)[0] >= UNKNOWN
        for domain, mask in of_domain.items():
            found[domain].append(int((unknown & mask).sum()))
    return found


def _dark(words: Sequence[Word], begin: int) -> list[Dark]:
    away: dict[str, int] = {}
    found = []
    for word in words:
        if not word.online:
            away.setdefault(word.gateway, max(word.at, begin))
        elif word.gateway in away:
            found.append(Dark(word.gateway, away.pop(word.gateway), word.at))
    return found + [Dark(gateway, at, None) for gateway, at in away.items()]
