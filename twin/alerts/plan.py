"""A rule laid on a registry: its subjects, what each of them reads, and how a value becomes a demand.

**Demand.** With K levels a term's value says two small numbers: `up`, the number of levels whose threshold it has
reached, and `held`, the number of levels that it has not left by the dead band; up <= held. Latch k (1 to K) asks to
turn on when up >= k and off when held < k. The demand of several is then an order statistic: of n inputs of which m
must be so, the m-th greatest `up` and the m-th greatest `held`: all of them is the least, any of them the greatest. A
subject is known while at least m of its inputs are.

A term that is not known has up 0 and held K: it asks for nothing, and holds what is on. A device of a group that is not
known asks for nothing and holds what it held when it was known last: silence resolves nothing, but a device that was
well when it fell silent, or was never heard, does not keep the alarm of its district for ever. When no device of the
group is known, nothing is asked.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from twin.registry import Registry
from twin.rules import PERIODS, Condition, Match, Over, Rule, Term, Threshold
from twin.standards.scale import Level

INF = float("inf")
F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def filled(term: Term, levels: Sequence[Level]) -> list[Threshold]:
    """The term's threshold at each of these levels, those it leaves out taken from below, else from above."""
    own = term.thresholds
    found: list[Threshold] = []
    for level in levels:
        below = [t for at, t in own.items() if at <= level]
        found.append(below[-1] if below else next(iter(own.values())))
    return found


class Demand:
    """A term's thresholds as edges: reached at value >= high or <= low, left at low_left < value < high_left."""

    def __init__(self, term: Term, levels: Sequence[Level]) -> None:
        self.term, self.k = term, len(levels)
        pairs = [_edges(term.condition, t) for t in filled(term, levels)]
        self.low = [low for low, _ in pairs]
        self.high = [high for _, high in pairs]
        self.low_left = [low + term.band for low in self.low]
        self.high_left = [high - term.band for high in self.high]
        # Lower is worse on the low side: mirrored, both sides ascend
        self._low, self._low_left = [-v for v in self.low], [-v for v in self.low_left]
        self._one_sided = all(low == -INF for low in self.low)
        self.after_ms = [round(high * 1000) for high in self.high] if term.condition is Condition.ABSENT else []

    def of(self, value: float) -> tuple[int, int]:
        """(up, held) of a value."""
        up, held = bisect_right(self.high, value), bisect_right(self.high_left, value)
        if self._one_sided:
            return up, held
        return max(up, bisect_right(self._low, -value)), max(held, bisect_right(self._low_left, -value))

    def reached(self, k: int, value: F64) -> Mask:
        """Where up >= k + 1."""
        found: Mask = value >= self.high[k]
        return found if self.low[k] == -INF else found | (value <= self.low[k])

    def left(self, k: int, value: F64) -> Mask:
        """Where held < k + 1."""
        found: Mask = value < self.high_left[k]
        return found if self.low[k] == -INF else found & (value > self.low_left[k])


def _edges(condition: Condition, threshold: Threshold) -> tuple[float, float]:
    if isinstance(threshold, tuple):
        return float(threshold[0]), float(threshold[1])
    value = float(threshold)
    if condition is Condition.BELOW or (condition is Condition.RATE and value < 0):
        return value, INF
    return -INF, value


class Input(NamedTuple):
    """One term of one device: `device` its position, `id` its name, `grace` ms, `divisor` of the value (1.0: the value
    itself)."""

    device: int
    id: str
    term: int
    grace: int
    divisor: float


class Subject(NamedTuple):
    """`parts`: for each device its inputs, one a term; `position` of the device in the registry, -1 for a group."""

    name: str
    position: int
    parts: tuple[tuple[Input, ...], ...]
    need: int


@dataclass(frozen=True)
class Plan:
    rule: Rule
    levels: tuple[Level, ...]
    demands: tuple[Demand, ...]
    subjects: tuple[Subject, ...]
    part_need: int  # of the terms of one device
    on_after: int
    off_after: int
    flap_window: int

    @property
    def simple(self) -> bool:
        """One term a device: what arrives can be judged at once, on its own."""
        return self.rule.over is Over.DEVICE and len(self.demands) == 1

    def level(self, latches: int) -> Level:
        return self.levels[latches - 1] if latches else Level.NONE


def plan(rule: Rule, registry: Registry) -> Plan:
    """Devices that lack a metric or an attribute the rule reads are not in its scope."""
    covered = [(i, d) for i, d in enumerate(registry) if rule.covers(d)]
    parts: dict[int, tuple[Input, ...]] = {}
    for i, device in covered:
        grace = round(1000 * (rule.grace_s or PERIODS * device.period_s))
        divisors = [device.attributes.get(term.of, 1.0) if term.of else 1.0 for term in rule.when]
        lacks = any(term.of and term.of not in device.attributes for term in rule.when)
        if not lacks and all(isinstance(d, int | float) and d > 0 for d in divisors):
            parts[i] = tuple(Input(i, device.id, n, grace, float(d)) for n, d in enumerate(divisors))
    levels = rule.levels
    return Plan(
        rule,
        levels,
        tuple(Demand(term, levels) for term in rule.when),
        tuple(_subjects(rule, registry, parts)),
        len(rule.when) if rule.match is Match.ALL else 1,
        rule.raise_after_s * 1000,
        rule.clear_after_s * 1000,
        rule.flap_window_s * 1000,
    )


def _subjects(rule: Rule, registry: Registry, parts: Mapping[int, tuple[Input, ...]]) -> list[Subject]:
    if rule.over is Over.DEVICE:
        return [Subject(registry.devices[i].id, i, (inputs,), 1) for i, inputs in parts.items()]
    groups: dict[str, list[tuple[Input, ...]]] = {}
    for i, inputs in parts.items():
        device = registry.devices[i]
        name = device.district if rule.over is Over.DISTRICT else device.gateway
        if name:
            groups.setdefault(name, []).append(inputs)
    # A group with fewer devices than are needed could never raise; all of them then
    return [
        Subject(f"{rule.over}:{name}", -1, tuple(of), min(rule.need or len(of), len(of)))
        for name, of in sorted(groups.items())
    ]
