"""`alert/{rule}/{subject}`: the present state of every open alarm, retained at the broker for other systems.

What is there is made equal to the ledger, by difference: an alarm that changed is published, one that closed is taken
back with an empty payload. What an engine before us has left there is heard when we connect (it is retained), and
taken back when the ledger does not have it; after a broker that forgot, everything is published anew.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from twin.episodes import Alarm


class Standing(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Times UTC ms; `level`: blue, yellow, orange or red; `value` is what the rule looked at when the level changed."""

    alarm: int
    rule: str
    name: str
    subject: str
    level: str
    state: str
    opened: int
    changed: int
    value: float | None = None
    unknown: bool = False
    acknowledged_by: str | None = None
    assigned_to: str | None = None
    shelved_until: int | None = None
    out_of_service: bool = False


class AlertTopics:
    """`prefix` without the rule: `gaoxin/v1/alert/`."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._there: dict[str, bytes] = {}

    def connected(self) -> None:
        """Nothing is known of what the broker has."""
        self._there = {}

    def heard(self, topic: str, payload: bytes) -> None:
        """What the broker had retained. One that was published since then is newer."""
        self._there.setdefault(topic, payload)

    def differences(self, alarms: Iterable[Alarm], names: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
        """What to publish, retained, so that the broker has these open alarms and no others."""
        wanted = {f"{self.prefix}{a.rule}/{a.subject}": _standing(a, names) for a in alarms}
        for topic in self._there.keys() - wanted.keys():
            yield topic, b""
        for topic, payload in wanted.items():
            if self._there.get(topic) != payload:
                yield topic, payload
        self._there = wanted


def _standing(alarm: Alarm, names: Mapping[str, str]) -> bytes:
    return msgspec.json.encode(
        Standing(
            alarm.id,
            alarm.rule,
            names.get(alarm.rule, alarm.rule),
            alarm.subject,
            alarm.level.name.lower(),
            alarm.state.value,
            alarm.opened,
            alarm.changed,
            alarm.value,
            alarm.unknown,
            alarm.acknowledged_by,
            alarm.assigned_to,
            alarm.shelved_until,
            alarm.out_of_service,
        )
    )
