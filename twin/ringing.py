"""What rings: the open alarms as the wall tells of them, live and in replay alike.

A lost gateway takes the word of all that is behind it. Its devices' absences say nothing that the gateway does not say:
it stands for them, is counted once, and they are not listed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence, Set

import msgspec

from twin.episodes import GATEWAY, Alarm, State, district_of, gateway_of
from twin.registry import Registry
from twin.rules import Book, Condition
from twin.standards import Level

SHOWN = 200  # alarms told to the screens; all are counted


class Lost(msgspec.Struct, frozen=True):
    """A lost gateway: so many of its devices have an alarm of their absence, for which it stands."""

    gateway: str
    devices: int
    level: Level
    opened: int
    unacknowledged: bool


class Ringing(msgspec.Struct, frozen=True):
    """The open alarms that nobody has shelved: `counts` by level (1 blue to 4 red) and by district, the first SHOWN of
    them with the rules' names, unacknowledged first, and since when the ledger does not answer (None: it does). What
    stands behind a gateway in `lost` is counted once, by the gateway, and is not in `alarms`."""

    at: int
    counts: Mapping[int, int]
    districts: Mapping[str, Mapping[int, int]]
    unacknowledged: int
    alarms: Sequence[Alarm]
    names: Mapping[str, str]
    away: int | None = None
    lost: Sequence[Lost] = ()


def ringing(alarms: Sequence[Alarm], book: Book, away: Set[str], registry: Registry, now: int) -> Ringing:
    """`alarms`: those that ring, in the order of `urgency`; `away`: gateways that are offline."""
    behind = _behind(alarms, book, away, registry)
    stood_for = {alarm.id for of in behind.values() for alarm in of}
    speaking = [alarm for alarm in alarms if alarm.id not in stood_for]
    known = {alarm.subject for alarm in speaking}
    lost = [
        Lost(
            gateway,
            len({a.subject for a in of}),
            max(a.level for a in of),
            min(a.opened for a in of),
            any(a.acknowledged_at is None for a in of),
        )
        for gateway, of in sorted(behind.items())
    ]
    # One that has an alarm of its own speaks for itself
    counted_lost = [g for g in lost if GATEWAY + g.gateway not in known]
    counted = [(district_of(a.subject, registry), a.level) for a in speaking]
    counted += [(district_of(behind[g.gateway][0].subject, registry), g.level) for g in counted_lost]
    by_district: dict[str, Counter[int]] = {}
    for district, level in counted:
        by_district.setdefault(district, Counter())[int(level)] += 1
    return Ringing(
        now,
        Counter(int(level) for _, level in counted),
        by_district,
        sum(a.state is State.UNACKNOWLEDGED for a in speaking) + sum(g.unacknowledged for g in counted_lost),
        speaking[:SHOWN],
        {rule.id: rule.name for rule in book.rules},
        lost=lost,
    )


def _behind(alarms: Sequence[Alarm], book: Book, away: Set[str], registry: Registry) -> dict[str, list[Alarm]]:
    """The absences for which a lost gateway stands, by gateway."""
    silence = {r.id for r in book.rules if r.when and all(t.condition is Condition.ABSENT for t in r.when)}
    absent = [a for a in alarms if a.rule in silence]
    lost = away | {a.subject.removeprefix(GATEWAY) for a in absent if a.subject.startswith(GATEWAY)}
    found: dict[str, list[Alarm]] = {}
    for alarm in absent:
        gateway = gateway_of(alarm.subject, registry) if alarm.subject in registry else ""
        if gateway in lost:
            found.setdefault(gateway, []).append(alarm)
    return found
