"""Silences: from when to when alarms of a scope are raised and recorded as ever, and nobody is told.

A silence is for what is known and disturbs; maintenance is for work on devices, whose alarms then are not counted
against the zone either. Both end by themselves. An empty list in a scope is all of that kind, so that a scope without
any list is everything.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from twin.episodes import district_of, gateway_of
from twin.observation import Domain
from twin.registry import Registry


class Purpose(StrEnum):
    SILENCE = "silence"
    MAINTENANCE = "maintenance"


# Message ids
PURPOSE_LABELS: Mapping[Purpose, str] = {Purpose.SILENCE: "Silence", Purpose.MAINTENANCE: "Maintenance window"}


class Scope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is in every list that is not empty. `subjects` are devices, `district:<id>` or `gateway:<id>`."""

    rules: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    domains: tuple[Domain, ...] = ()
    districts: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()

    def covers(self, subject: str, rule: str, group: str, registry: Registry) -> bool:
        domain = registry[subject].domain if subject in registry else None
        return (
            (not self.rules or rule in self.rules)
            and (not self.groups or group in self.groups)
            and (not self.subjects or subject in self.subjects)
            and (not self.domains or domain in self.domains)
            and (not self.districts or district_of(subject, registry) in self.districts)
            and (not self.gateways or gateway_of(subject, registry) in self.gateways)
        )


class Silence(msgspec.Struct, frozen=True):
    """In force in [begins, ends), UTC ms."""

    id: int
    purpose: Purpose
    scope: Scope
    begins: int
    ends: int
    by: str
    at: int
    reason: str


def silent(
    silences: Iterable[Silence], subject: str, rule: str, group: str, registry: Registry, now: int
) -> Silence | None:
    """The one that covers it now and ends last."""
    found = (s for s in silences if s.begins <= now < s.ends and s.scope.covers(subject, rule, group, registry))
    return max(found, key=lambda s: s.ends, default=None)
