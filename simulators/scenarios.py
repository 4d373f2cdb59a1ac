"""Named events laid over the ordinary day: a scenario changes the conditions of a step before the domains read them.

The seam is one method. A scenario keeps no state of its own, so that it can be entered at any time and repeated.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from simulators.conditions import Conditions
from twin.clock import MINUTE


class Scenario(Protocol):
    def apply(self, now: Conditions) -> None:
        """Change `now`, a step of the world, in place; called every step, before any domain."""
        ...


@dataclass(frozen=True)
class Cloudburst:
    """Rain that rises within ten minutes, holds and ends: slower roads, deep underpasses, washed air.

    `start` UTC ms; `minutes` in all; `mm_per_h` at its height, added to what falls anyway.
    """

    start: int
    minutes: float = 120
    mm_per_h: float = 31.0

    def apply(self, now: Conditions) -> None:
        since = (now.at - self.start) / MINUTE
        if not 0 <= since < self.minutes:
            return
        share = min(since / 10, 1.0, (self.minutes - since) / 10)
        now.weather.rain += self.mm_per_h * share
        now.weather.cloud = 1.0
        now.weather.solar *= 0.15
        now.weather.humidity = max(now.weather.humidity, 0.95)


# name → a scenario that begins at a time (UTC ms)
SCENARIOS: Mapping[str, Callable[[int], Scenario]] = {"cloudburst": Cloudburst}
