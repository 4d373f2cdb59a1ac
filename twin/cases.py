"""An open alarm as those see it who decide whom to tell, and the spans in which nobody is told."""

from typing import Protocol

import msgspec

from twin.registry import Registry
from twin.standards import Level

DISTRICT = "district:"  # begins a subject that is no device


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """An open alarm. Times UTC ms; `name`, `place` and `message` as shown;
    `absence`: it says that the device is silent; `unknown`: it is active and its sensor is lost."""

    alarm: int
    rule: str
    name: str
    subject: str
    place: str
    level: Level
    opened: int
    district: str = ""
    gateway: str = ""
    domain: str = ""
    group: str = ""
    channels: tuple[str, ...] = ()
    repeat_min: int = 0
    message: str = ""
    value: float | None = None
    metric: str = ""
    absence: bool = False
    unknown: bool = False
    acknowledged: bool = False
    shelved_until: int = 0
    out_of_service: bool = False


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A silence or a maintenance window over [begin, end), UTC ms. An empty scope is no limit; those given must all
    hold."""

    begin: int
    end: int
    maintenance: bool = False
    rules: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset()
    districts: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    gateways: frozenset[str] = frozenset()

    def covers(self, case: Case, now: int) -> bool:
        scope = (
            (self.rules, case.rule),
            (self.subjects, case.subject),
            (self.districts, case.district),
            (self.domains, case.domain),
            (self.gateways, case.gateway),
        )
        return self.begin <= now < self.end and all(not wanted or has in wanted for wanted, has in scope)


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
    def unknown(self) -> bool: ...
    @property
    def acknowledged_by(self) -> str | None: ...
    @property
    def shelved_until(self) -> int | None: ...
    @property
    def out_of_service(self) -> bool: ...


class Rule(Protocol):
    """What is needed of the rule that raised it."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def channels(self) -> tuple[str, ...]: ...
    @property
    def repeat_min(self) -> int: ...
    @property
    def message(self) -> str: ...


def case(
    alarm: Alarm,
    rule: Rule,
    registry: Registry,
    *,
    absence: bool,
    value: float | None = None,
    metric: str = "",
    districts: dict[str, str] | None = None,
) -> Case:
    """`absence`: the rule's condition is silence; `value`, `metric`: what was measured last; `districts`: names by id.

    A subject that the registry no longer has is shown by its id.
    """
    known = alarm.subject in registry.index
    device = registry[alarm.subject] if known else None
    district = device.district if device else alarm.subject.removeprefix(DISTRICT)
    return Case(
        alarm=alarm.id,
        rule=rule.id,
        name=rule.name,
        subject=alarm.subject,
        place=device.name if device else (districts or {}).get(district, district),
        level=alarm.level,
        opened=alarm.opened,
        district=district,
        gateway=device.gateway if device else "",
        domain=device.domain.value if device else "",
        group=rule.group,
        channels=rule.channels,
        repeat_min=rule.repeat_min,
        message=rule.message,
        value=value,
        metric=metric,
        absence=absence,
        unknown=alarm.unknown,
        acknowledged=bool(alarm.acknowledged_by),
        shelved_until=alarm.shelved_until or 0,
        out_of_service=alarm.out_of_service,
    )
