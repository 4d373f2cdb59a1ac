"""Ground truth: what was made to go wrong in the simulated zone, where, and from when to when.

Alarms are scored against it: an alarm on a named device within the time was right, a fact without one was missed.
"""

import msgspec

from twin.standards import Level


class Truth(msgspec.Struct, frozen=True):
    """One fact of one run of a scenario. `began`, `ended`: UTC ms, half open, in the time of the observations;
    `level`: what it deserves; `devices`: those that can see it."""

    run: str
    scenario: str
    what: str
    devices: tuple[str, ...]
    began: int
    ended: int
    level: Level


class Run(msgspec.Struct, frozen=True):
    """A scenario laid over the zone; `began` and `ends` UTC ms as in Truth. A run that was stopped ends early."""

    id: str
    scenario: str
    began: int
    ends: int
    facts: tuple[Truth, ...]

    def stopped(self, now: int) -> "Run":
        """The run cut off at `now`: what had not begun never was, what had begun ends."""
        facts = tuple(msgspec.structs.replace(f, ended=min(f.ended, now)) for f in self.facts if f.began < now)
        return msgspec.structs.replace(self, ends=min(self.ends, now), facts=facts)


class Answer(msgspec.Struct, frozen=True):
    """To the command of this id; `wrong` is empty when it was obeyed."""

    id: str
    wrong: str = ""


class Stage(msgspec.Struct, frozen=True):
    """What the simulator plays. `clock`: what the zone's clock read (UTC ms) at the real time `at`; it runs `speed`
    times as fast. `runs`: those now played, then the last that are over."""

    at: int
    clock: int
    speed: float
    runs: tuple[Run, ...] = ()
    answer: Answer | None = None
