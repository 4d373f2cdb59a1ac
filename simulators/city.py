"""Street lights, manhole covers, pumping stations, underpasses and what people report of the zone.

- Lamps follow the sun's elevation; after midnight some are dimmed; a cabinet has a few dead lamps.
- A cover opens rarely, mostly for work by day; the water under it follows the day's sewage and the rain.
- A pumping station's wet well fills and is pumped down between two levels, by a small river of sewage that follows the
  day and the rain. Once a night each is drawn down fully, as operators do against sediment.
- Underpasses: see `underpass`. Reports of citizens by grid cell: see `citizens`.
- In a dip of the grid's voltage below 0.75 per unit lamps go out and contactors let go of the pumps, for as long.

Water moves by simple balances, V dh/dt = in - out. Sizes are assumptions.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from simulators.citizens import SUBJECTS, Citizens, Nuisances
from simulators.conditions import STEP, Array, Conditions, Ints, Wander, bump, spread, stream, traits
from simulators.underpass import Underpasses
from twin.clock import DAY, HOUR, MINUTE
from twin.registry import Device, Registry

DARK = -3.0  # degrees of the sun when lamps are switched
OPENINGS = 0.012  # a cover and a day
BATTERY_LIFE = 700 * DAY

_BOTTOM, _START, _SECOND, _TOP = 0.8, 2.6, 3.1, 6.0  # m in the wet well
_PUMPS = 3  # where a station does not say
_PUMP = 620.0  # m³/h each
_WELL = 190.0  # m²
DROPOUT = 0.75  # per unit: drivers of lamps and contactors of pumps let go below it


class City:
    def __init__(self, registry: Registry, devices: Sequence[Device], seed: int) -> None:
        self._seed, self._size = seed, len(devices)
        of = {k: [i for i, d in enumerate(devices) if d.kind == k] for k in {d.kind for d in devices}}
        self._lights, self._covers, self._stations, self._underpasses, self._cells = (
            np.array(of.get(k, []), np.int64)
            for k in ("street-light", "manhole", "pumping-station", "underpass", "city-grid")
        )
        lights, covers, stations = (
            [devices[i].id for i in index] for index in (self._lights, self._covers, self._stations)
        )
        self._rated = 6 + 16 * traits(seed, "rated", lights)
        self._dead = 0.04 * traits(seed, "dead", lights) ** 2
        self._eye = 1.2 * spread(seed, "eye", lights)
        self._mains = 1.8 * spread(seed, "mains", lights)
        self._mains_noise = Wander(len(lights), 15)
        self._sewer = 0.06 + 0.16 * traits(seed, "sewer", covers)
        self._age = traits(seed, "battery", covers)
        self.runoff = 0.0  # mm/h, the rain as it reaches the sewers
        self._most = np.array([int(devices[i].attributes.get("pumps", _PUMPS)) for i in self._stations], np.int64)
        self._catchment = np.exp(0.35 * spread(seed, "catchment", stations))
        self._clean = 1.5 + 3 * traits(seed, "clean", stations)  # local hour
        self.level = np.full(len(stations), 1.6)
        self.pumps: Ints = np.zeros(len(stations), np.int64)
        self.underpasses = Underpasses(registry, [devices[i] for i in self._underpasses], seed)
        self.citizens = Citizens(
            [devices[i] for i in self._cells],
            [d for d in registry if d.kind == "link-detector"],
            *([devices[i] for i in index] for index in (self._underpasses, self._covers, self._lights)),
        )

    @property
    def depth(self) -> Array:
        """m of water in each underpass, in registry order."""
        return self.underpasses.depth

    @property
    def closed_links(self) -> tuple[str, ...]:
        """Ids of the links, both ways, that water has closed."""
        return self.underpasses.closed_links

    def step(self, now: Conditions, rng: np.random.Generator) -> None:
        hours = STEP / HOUR
        self.runoff += (now.weather.rain - self.runoff) * (1 - math.exp(-hours / 0.6))
        self._mains_noise.step(rng)
        self._pump(now, hours)
        self.underpasses.step(now.weather.rain, powered=now.voltage >= DROPOUT)
        due, lit = self._due(now), self._lit(now)
        dark = np.where(due > 0, 1 - lit / np.maximum(due, 1e-9), 0.0)
        nuisances = Nuisances(self.depth, self._wells(now), self._open(now.at), dark)
        self.citizens.step(now, nuisances, rng)

    def read(self, now: Conditions, rng: np.random.Generator) -> dict[str, Array]:
        values: dict[str, Array] = {}

        def put(metric: str, index: Ints, what: Array) -> None:
            values.setdefault(metric, np.full(self._size, np.nan))[index] = what

        lit = self._lit(now)
        put("illuminanceOn", self._lights, lit)
        put("powerConsumption", self._lights, 0.04 + self._rated * lit)
        sagged = np.where(lit > 0, 228.0, 231.0)
        put("voltage", self._lights, now.voltage * (sagged + self._mains + 0.9 * self._mains_noise.now))

        put("coverOpen", self._covers, self._open(now.at))
        ripple = np.abs(rng.normal(0, 0.004, len(self._covers)))
        put("waterDepth", self._covers, np.minimum(self._wells(now) + ripple, 3.0))
        put("batteryLevel", self._covers, 1 - 0.7 * ((now.at / BATTERY_LIFE + self._age) % 1))

        put("waterLevel", self._stations, self.level + rng.normal(0, 0.004, len(self.level)))
        put("pumpsRunning", self._stations, self.pumps.astype(np.float64))
        put("flow", self._stations, self.pumps * _PUMP * (0.92 + 0.03 * self.level))
        put("powerConsumption", self._stations, 0.8 + 42.0 * self.pumps.astype(np.float64))
        put("waterDepth", self._underpasses, self.depth)
        for subject, calls in zip(SUBJECTS, self.citizens.calls, strict=True):
            put(subject, self._cells, calls.astype(np.float64))
        put("reports", self._cells, self.citizens.calls.sum(axis=0).astype(np.float64))
        return values

    def _due(self, now: Conditions) -> Array:
        """Share of a cabinet's lamps to burn: all in the evening, 0.6 from half past midnight to half past five."""
        share = 0.6 if 0.5 <= now.hour < 5.5 else 1.0
        return np.where(now.sun < DARK + self._eye, share, 0.0)

    def _lit(self, now: Conditions) -> Array:
        return self._due(now) * (1 - self._dead) * (now.voltage >= DROPOUT)

    def _wells(self, now: Conditions) -> Array:
        """m of water under each cover."""
        return self._sewer * (self._sewage(now.hour) + 0.22 * self.runoff)

    @staticmethod
    def _sewage(hour: float) -> float:
        """Flow over its daily mean: low before dawn, humps after breakfast and in the evening."""
        return 0.55 + 0.6 * bump(hour, 8.5, 1.8) + 0.3 * bump(hour, 13.0, 2.0) + 0.7 * bump(hour, 20.5, 2.6)

    def _pump(self, now: Conditions, hours: float) -> None:
        inflow = 330 * self._catchment * (self._sewage(now.hour) + 0.45 * self.runoff)
        cleaning = (self._clean <= now.hour) & (now.hour < self._clean + 0.5)
        wanted = np.where(self.level > _SECOND, 2, np.where(self.level > _START, 1, self.pumps))
        wanted = np.where(self.level > _SECOND + 0.5, self._most, np.maximum(wanted, self.pumps))
        wanted = np.where(cleaning, self._most, wanted)
        runs = (self.level > _BOTTOM) & (now.voltage >= DROPOUT)
        self.pumps = np.where(runs, np.minimum(wanted, self._most), 0).astype(np.int64)
        rise = (inflow - self.pumps * _PUMP) / _WELL * hours
        self.level = np.clip(self.level + rise, _BOTTOM, _TOP)

    def _open(self, at: int) -> Array:
        """1 where a cover stands open: at most one opening a cover and a day, a quarter of an hour to two hours."""
        found = np.zeros(len(self._covers))
        day = (at + 8 * HOUR) // DAY  # Asia/Shanghai has had no summer time since 1991
        starts, ends = _openings(self._seed, day, len(found))
        found[(starts <= at) & (at < ends)] = 1.0
        return found


@lru_cache(maxsize=8)
def _openings(seed: int, day: int, covers: int) -> tuple[Ints, Ints]:
    """When each cover opens and closes on a local day, UTC ms; an empty span for those that do not."""
    rng = stream(seed, "covers", day)
    midnight = day * DAY - 8 * HOUR
    opens = rng.random(covers) < OPENINGS
    start = midnight + (rng.triangular(7, 10.5, 21, covers) * HOUR).astype(np.int64)
    lasts = (rng.triangular(15, 30, 120, covers) * MINUTE).astype(np.int64)
    return start, np.where(opens, start + lasts, start)
