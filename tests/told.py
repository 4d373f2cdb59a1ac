"""Notices on a timeline: alarms come and go at their times, and what is said, to whom and why, is written down."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from tests.zone import T0
from twin.cases import Case
from twin.channels import Channel
from twin.clock import SECOND
from twin.notices import NEVER, Decision, Plan, Policy, Reason, Told, plan
from twin.standards import Level

DUTY = Channel("duty")
POLICY = Policy(wait=20 * SECOND, interval=300 * SECOND, escalate=1800 * SECOND)


def alarm(id: int = 1, level: Level = Level.YELLOW, *, at: float = 0, **more: Any) -> Case:
    """An alarm opened `at` seconds after T0, on a device of its own unless told otherwise."""
    given: dict[str, Any] = {
        "rule": "hot",
        "name": "Cold aisle too warm",
        "subject": f"sv-{id}",
        "place": f"柜{id}",
        "district": "d1",
    }
    moment = T0 + round(at * SECOND)
    given |= {"waiting_since": moment} | more
    return Case(alarm=id, level=level, opened=moment, **given)


class Said(NamedTuple):
    """`at` in seconds after T0."""

    at: float
    channel: str
    reason: Reason
    alarms: tuple[int, ...]


class Line:
    """What the engine does with plans, but without a ledger: send, remember, sleep until one is due."""

    def __init__(self, *channels: Channel, policy: Policy = POLICY) -> None:
        self.channels, self.policy = channels or (DUTY,), policy
        self.open: dict[int, Case] = {}
        self.lost: frozenset[str] = frozenset()
        self.told: dict[tuple[str, str], Told] = {}
        self.said: list[Said] = []
        self.sent: list[Decision] = []
        self.now, self.due = T0, NEVER

    def at(self, seconds: float, *changes: Callable[["Line"], None]) -> "Line":
        """Sleep until then, waking whenever a plan asked for it; then let these happen, and plan."""
        moment = T0 + round(seconds * SECOND)
        while self.due < moment:
            self.now = max(self.now, self.due)
            self.turn()
        self.now = moment
        for change in changes:
            change(self)
        self.turn()
        return self

    def turn(self) -> None:
        while (made := self.plan()).sends:
            for decision in made.sends:
                self.told[decision.channel, decision.group] = decision.told
                alarms = tuple(c.alarm for c in decision.cases)
                self.said.append(Said((self.now - T0) / SECOND, decision.channel, decision.reason, alarms))
                self.sent.append(decision)
        self.due = made.due

    def plan(self) -> Plan:
        cases = list(self.open.values())
        return plan(cases, self.channels, self.told, now=self.now, policy=self.policy, lost=self.lost)

    def reasons(self) -> dict[str, Reason]:
        """Why what is said or not said now, by group."""
        return {d.group: d.reason for d in self.plan().decisions}


def opens(*cases: Case) -> Callable[[Line], None]:
    return lambda line: line.open.update({c.alarm: c for c in cases})


def becomes(id: int, **changes: Any) -> Callable[[Line], None]:
    return lambda line: line.open.update({id: msgspec.structs.replace(line.open[id], **changes)})


def closes(*ids: int) -> Callable[[Line], None]:
    return lambda line: [line.open.pop(id) for id in ids] and None


def gateways(*lost: str) -> Callable[[Line], None]:
    return lambda line: setattr(line, "lost", frozenset(lost))


def heard(said: Sequence[Said], channel: str = "duty") -> list[tuple[float, Reason, tuple[int, ...]]]:
    return [(s.at, s.reason, s.alarms) for s in said if s.channel == channel]
