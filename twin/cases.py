"""An open alarm as those see it who decide whom to tell: the episode, its rule and its place in one flat struct.

Built by `case` from what the ledger and the rulebook have; the Protocols say what is needed of each, and no more.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from twin.registry import Device, Registry
from twin.standards import Level

DISTRICT, GATEWAY = "district:", "gateway:"  # begin a subject that is no device
ABSENT = "absent"  # the condition of a rule that watches for silence

Threshold = float | tuple[float, float]


class Hush(msgspec.Struct, frozen=True):
    """A silence or a maintenance window that covers the alarm, in force in [begins, ends), UTC ms."""

    begins: int
    ends: int
    maintenance: bool = False


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """An open alarm. Times UTC ms; `name`, `place` and `message` as shown; `waiting_since`: since when it wants an
    acknowledgement; `absence`: it says that the device is silent; `unknown`: it is active and its sensor is lost;
    `value`, `threshold` in `unit` (UCUM)."""

    alarm: int
    rule: str
    name: str
    subject: str
    place: str
    level: Level
    opened: int
    waiting_since: int
    district: str = ""
    gateway: str = ""
    group: str = ""
    channels: tuple[str, ...] = ()
    repeat_min: int = 0
    message: str = ""
    value: float | None = None
    threshold: Threshold | None = None
    unit: str = ""
    decimals: int = 1
    absence: bool = False
    unknown: bool = False
    acknowledged: bool = False
    shelved_until: int = 0
    out_of_service: bool = False
    hushes: tuple[Hush, ...] = ()


class Alarm(Protocol):
    """What is needed of an episode in the ledger."""

    @property
    def id(self) -> int: ...
    @property
    def subject(self) -> str: ...
    @property
    def level(self) -> Level: ...
    @property
    def opened(self) -> int: ...
    @property
    def waiting_since(self) -> int: ...
    @property
    def unknown(self) -> bool: ...
    @property
    def acknowledged_by(self) -> str | None: ...
    @property
    def shelved_until(self) -> int | None: ...
    @property
    def out_of_service(self) -> bool: ...


class Term(Protocol):
    """One condition of a rule."""

    @property
    def metric(self) -> str: ...
    @property
    def condition(self) -> str: ...
    @property
    def thresholds(self) -> Mapping[Level, Threshold]: ...


class Rule(Protocol):
    """What is needed of the rule that raised it."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def when(self) -> Sequence[Term]: ...
    @property
    def group(self) -> str: ...
    @property
    def channels(self) -> tuple[str, ...]: ...
    @property
    def repeat_min(self) -> int: ...
    @property
    def message(self) -> str: ...


class Scope(Protocol):
    def covers(self, subject: str, rule: str, group: str, registry: Registry, /) -> bool: ...


class Silence(Protocol):
    """What is needed of a silence or maintenance window."""

    @property
    def purpose(self) -> str: ...
    @property
    def scope(self) -> Scope: ...
    @property
    def begins(self) -> int: ...
    @property
    def ends(self) -> int: ...


def case(
    alarm: Alarm,
    rule: Rule,
    registry: Registry,
    *,
    unit: str = "",
    decimals: int = 1,
    value: float | None = None,
    silences: Iterable[Silence] = (),
    places: Mapping[str, str] | None = None,
) -> Case:
    """`value`: what the rule's first condition held last, in `unit`; `places`: names of districts and gateways by id.

    A subject that the registry no longer has is shown by its id.
    """
    subject = alarm.subject
    device = registry[subject] if subject in registry.index else None
    id = subject.removeprefix(DISTRICT).removeprefix(GATEWAY)
    return Case(
        alarm=alarm.id,
        rule=rule.id,
        name=rule.name,
        subject=subject,
        place=device.name if device else (places or {}).get(id, id),
        level=alarm.level,
        opened=alarm.opened,
        waiting_since=alarm.waiting_since,
        district=_district(subject, device),
        gateway=_gateway(subject, device),
        group=rule.group,
        channels=rule.channels,
        repeat_min=rule.repeat_min,
        message=rule.message,
        value=value,
        threshold=rule.when[0].thresholds.get(alarm.level) if rule.when else None,
        unit=unit,
        decimals=decimals,
        absence=bool(rule.when) and all(term.condition == ABSENT for term in rule.when),
        unknown=alarm.unknown,
        acknowledged=alarm.acknowledged_by is not None,
        shelved_until=alarm.shelved_until or 0,
        out_of_service=alarm.out_of_service,
        hushes=tuple(
            Hush(s.begins, s.ends, s.purpose == "maintenance")
            for s in silences
            if s.scope.covers(subject, rule.id, rule.group, registry)
        ),
    )


def _district(subject: str, device: Device | None) -> str:
    if device is not None:
        return device.district
    return subject.removeprefix(DISTRICT) if subject.startswith(DISTRICT) else ""


def _gateway(subject: str, device: Device | None) -> str:
    if device is not None:
        return device.gateway
    return subject.removeprefix(GATEWAY) if subject.startswith(GATEWAY) else ""
