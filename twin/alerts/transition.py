"""What the evaluator of rules says: transitions. (A stand-in for the seam: the evaluator is built beside it.)"""

from enum import StrEnum

import msgspec

from twin.standards import Level


class Kind(StrEnum):
    RAISED = "raised"
    CHANGED = "changed"
    CLEARED = "cleared"
    UNKNOWN = "unknown"
    KNOWN = "known"


class Reason(StrEnum):
    VALUE = "value"
    SILENCE = "silence"
    GATEWAY = "gateway"
    HEARD = "heard"
    SCHEDULE = "schedule"
    RULE = "rule"


class Transition(msgspec.Struct, frozen=True):
    rule: str
    version: int
    subject: str
    at: int
    kind: Kind
    level: Level
    was: Level
    value: float | None = None
    reason: Reason = Reason.VALUE
    flapping: bool = False
