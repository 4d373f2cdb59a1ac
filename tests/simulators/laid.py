"""Small scenarios for tests of one domain."""

from collections.abc import Callable
from dataclasses import dataclass

from simulators.conditions import Conditions
from simulators.faults import Fault
from twin.clock import MINUTE


@dataclass(frozen=True)
class Laid:
    """Whatever `change` does to the conditions, from `start` (UTC ms) for `minutes`."""

    start: int
    minutes: float
    change: Callable[[Conditions], object]
    faults: tuple[Fault, ...] = ()

    def apply(self, now: Conditions) -> None:
        if self.start <= now.at < self.start + self.minutes * MINUTE:
            self.change(now)


def cloudburst(start: int, mm_per_h: float = 31.0) -> Laid:
    """Two hours of rain, steady but for its first and last ten minutes."""

    def rain(now: Conditions) -> None:
        since = (now.at - start) / MINUTE
        now.weather.rain += mm_per_h * min(since / 10, 1.0, (120 - since) / 10)
        now.weather.cloud = 1.0
        now.weather.solar *= 0.15
        now.weather.humidity = max(now.weather.humidity, 0.95)

    return Laid(start, 120, rain)
