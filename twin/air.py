"""The air stations' clock hours: the means that the hourly AQI is made from.

A fold of observations, pure but for its memory: whatever order they arrive in, an hour's mean is the same. Identity is
the store's: of several observations for one (device, at) the one received last counts, and one that is repeated counts
once, from when it was first received. Two hours are kept, the present one and the one before, which is the latest that
is complete; a late observation of either still counts.

An hour is valid when what was measured covers 45 of its minutes (GB 3095); each reading stands for the time to the
next, at most the device's period.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from twin import standards
from twin.clock import HOUR, MINUTE
from twin.observation import Observation
from twin.registry import Registry
from twin.store import Store

# device → pollutant → mean of the hour (µg/m³; CO mg/m³)
Means = Mapping[str, Mapping[str, float]]


def complete(now: int) -> int:
    """When the latest complete clock hour began; both UTC ms."""
    return (now // HOUR - 1) * HOUR


class Hours:
    def __init__(self, registry: Registry, now: int) -> None:
        self._periods = {d.id: d.period_s * 1000 for d in registry if d.kind == "air-station"}
        # hour's start → device → at → what was said of that instant, in order of arrival
        self._said: dict[int, dict[str, dict[int, list[Observation]]]] = {}
        self._means: dict[int, Means] = {}  # of the hours to which nothing was added since
        self._first = complete(now)

    @property
    def stations(self) -> Sequence[str]:
        return tuple(self._periods)

    def fold(self, observation: Observation) -> None:
        """Take one observation in; those of other devices, and of hours no longer kept, are ignored."""
        hour = observation.at // HOUR * HOUR
        if observation.device not in self._periods or hour < self._first:
            return
        of_device = self._said.setdefault(hour, {}).setdefault(observation.device, {})
        said = of_device.setdefault(observation.at, [])
        same = next((i for i, known in enumerate(said) if known.values == observation.values), None)
        if same is None:
            said.append(observation)
        elif observation.received < said[same].received:
            said[same] = observation
        else:
            return
        self._means.pop(hour, None)

    def forget(self, now: int) -> None:
        """Drop the hours before the latest complete one."""
        self._first = complete(now)
        for hour in [h for h in self._said if h < self._first]:
            del self._said[hour]
            self._means.pop(hour, None)

    def means(self, hour: int) -> Means:
        """The valid means of the hour that began at `hour`; a station with none is not in it."""
        if hour not in self._means:
            found = {d: _means(of_device, self._periods[d]) for d, of_device in self._said.get(hour, {}).items()}
            self._means[hour] = {d: means for d, means in found.items() if means}
        return self._means[hour]


def recall(registry: Registry, store: Store, now: int, *, known: int | None = None) -> Hours:
    """The hours at `now` from the store, as known at `known` (default: today). Raises what the store raises."""
    hours = Hours(registry, now)
    # An hour more: a clock may run ahead
    for observation in store.rows(hours.stations, complete(now), now + HOUR, known=known):
        hours.fold(observation)
    return hours


def _means(said: Mapping[int, Sequence[Observation]], period: int) -> dict[str, float]:
    # Of two received at once the one that came last counts, as in every store
    counting = [max(enumerate(said[at]), key=lambda n: (n[1].received, n[0]))[1] for at in sorted(said)]
    found = {}
    for pollutant in standards.POLLUTANTS:
        measured = [o for o in counting if pollutant in o.values]
        minutes = round(_covered([o.at for o in measured], period) / MINUTE)
        mean = standards.hour_mean([o.values[pollutant] for o in measured], minutes)
        if mean is not None:
            found[pollutant] = mean
    return found


def _covered(at: Sequence[int], period: int) -> int:
    """Milliseconds for which readings at these ascending times stand."""
    return sum(min(after - before, period) for before, after in pairwise(at)) + (period if at else 0)
