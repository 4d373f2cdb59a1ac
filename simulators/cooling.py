"""The hall of the accelerator centre: heat in two bodies, and the chillers that carry it off.

The hall is air over everything solid in it, both per kW of the servers' full power:

    Ca dTa/dt = P_it + P_fans - Q - G (Ta - Tm)      Cm dTm/dt = G (Ta - Tm)

in explicit steps of 6 s, which air and control allow. What goes in is kept to rounding: over any span the integral of
P_it + P_fans - Q is Ca dTa + Cm dTm.

The plant is N regular chillers and what stands by, each with its pump and the cold water of its loop (a first-order
store), so that what it delivers lags what it makes:

- One that fails takes its pump with it: what it delivers is gone in half a minute.
- One that a dip of the grid throws off leaves the pump on the UPS: the water goes on cooling for minutes.
- None starts again within RESTART of its stop (anti-recycle). One that starts cools its own water first, at full load.
- A standby starts once the regular ones have been unable to carry the heat for STANDBY_AFTER, and stops when they can
  and the hall has been cold again for STANDBY_KEEP.

Sources: two nodes and their range of parameters after Khankari (ASHRAE 2011), the plant's COP over the wet bulb and all
sizes are assumptions.
"""

import math
from collections.abc import Sequence

from simulators.conditions import STEP
from twin.clock import MINUTE, SECOND

DISTRIBUTION, FANS = 0.06, 0.05  # share of IT power
# kJ/K of air and of mass, kW/K between them, a kW of full IT power: 3, 20 and 0.15 a kW of the usual load
USUAL = 0.62
AIR, MASS, EXCHANGE = USUAL * 3.0, USUAL * 20.0, USUAL * 0.15
GAIN = 0.15  # kW/K a kW: how hard the plant works against a warm aisle
COLD_AISLE = 22.5  # °C, set point
CAPACITY = 0.96  # what all chillers carry over the servers' full power: three of four carry 0.72, more than is usual
WATER = 240.0  # s in which the cold of a loop runs out when it is not made
RUNDOWN = 15.0  # s in which a stopped pump's flow dies
LOADING = 360.0  # s in which a chiller that starts takes its load
RESTART = 180.0  # s from a stop to the next start, 120 to 300 in practice
STANDBY_AFTER, STANDBY_KEEP = 360.0, 900.0  # s
DROPOUT = 0.8  # per unit of the grid's voltage; below it contactors let go
STARTED = 0.97  # of what it can carry: a chiller with this level is no longer starting
MECHANICAL = 8.5  # the best COP of compressors; free cooling does not pull a warm hall down
TURN = 25 * MINUTE  # in which the plant changes over between free cooling and compressors

_DT = 6.0
_NEVER = math.inf
_WITH_PUMP, _WITHOUT = math.exp(-_DT / WATER), math.exp(-_DT / RUNDOWN)


def plant_cop(wet_bulb: float) -> float:
    """Coefficient of performance of the cooling plant: 14 by free cooling below 8 °C, else falling from 8.5 to 3."""
    return 14.0 if wet_bulb < 8 else min(max(8.5 - 0.22 * (wet_bulb - 8), 3.0), 8.5)


def pue(cop: float) -> float:
    """Power usage effectiveness at a usual load: distribution and UPS, fans, and cooling at a plant's `cop`."""
    return 1 + DISTRIBUTION + FANS + 1 / cop


def part_load(ratio: float) -> float:
    """A chiller's COP over the plant's at its load over its capacity: best at three quarters, about 1 + FANS at the
    usual loads, so that the plant's COP counts the servers' heat alone."""
    return 1 + FANS - 2.4 * (ratio - 0.78) ** 2


class Chiller:
    """One chiller of `size` kW of cooling. `level`: what it can deliver over its size; `able`: the share of it that may
    run; `cooled`, `drawn`: kJ of cooling and of electricity since `begin`."""

    __slots__ = ("_pumping", "_stopped", "able", "cooled", "drawn", "level", "size", "standby")

    def __init__(self, size: float, standby: bool) -> None:
        self.size, self.standby = size, standby
        self.level = 0.0 if standby else 1.0
        self.able = 1.0
        self.cooled = self.drawn = 0.0
        self._stopped = _NEVER  # s it must still stand; _NEVER when it may run
        self._pumping = True

    def begin(self, share: float, dip: bool) -> None:
        """A step's start: what share of it can run, and whether the grid is too low."""
        self.cooled = self.drawn = 0.0
        self.able = 0.0 if dip else min(max(share, 0.0), 1.0)
        if self.able == 0 and self._stopped == _NEVER and self.level > 0:
            self._stopped, self._pumping = RESTART, dip

    @property
    def ready(self) -> bool:
        return self.able > 0 and self._stopped == _NEVER

    def move(self, called: bool) -> None:
        """The next _DT; `called`: it is wanted."""
        if self._stopped < _NEVER:
            self._stopped = max(self._stopped - _DT, 0.0)
            if self.able > 0 and self._stopped == 0:
                self._stopped = _NEVER
        aim = self.able if called and self.ready else 0.0
        if aim > self.level:
            self.level = min(self.level + _DT / LOADING, aim)
        elif aim < self.level:
            self.level = aim + (self.level - aim) * (_WITH_PUMP if self._pumping else _WITHOUT)

    def deliver(self, cooling: float, called: bool, cop: float) -> None:
        """`cooling` kW for _DT. While it starts it works at full, on its own water first."""
        self.cooled += cooling * _DT
        if called and self.ready:
            made = self.able * self.size if self.starting else cooling
            self.drawn += made / (cop * part_load(made / self.size)) * _DT

    @property
    def starting(self) -> bool:
        return self.level < STARTED * self.able


class Plant:
    """Chillers of `sizes` kW; `standby` says which of them stand by. `called`: these are wanted too."""

    def __init__(self, sizes: Sequence[float], standby: Sequence[bool]) -> None:
        self.chillers = [Chiller(size, spare) for size, spare in zip(sizes, standby, strict=True)]
        self.called = False
        self._short = self._eased = 0.0  # s

    def begin(self, shares: Sequence[float], voltage: float) -> None:
        for chiller, share in zip(self.chillers, shares, strict=True):
            chiller.begin(share, voltage < DROPOUT)

    def carry(self, wanted: float, warm: bool, cop: float) -> float:
        """kW of cooling delivered over the next _DT when `wanted` kW are asked for; `warm`: the aisle is."""
        self._call(wanted, warm)
        most = 0.0
        for chiller in self.chillers:
            chiller.move(self.called or not chiller.standby)
            most += chiller.level * chiller.size
        loading = min(max(wanted, 0.0) / most, 1.0) if most > 0 else 0.0
        for chiller in self.chillers:
            chiller.deliver(loading * chiller.level * chiller.size, self.called or not chiller.standby, cop)
        return loading * most

    @property
    def starting(self) -> bool:
        return any(c.ready and c.starting and (self.called or not c.standby) for c in self.chillers)

    def _call(self, wanted: float, warm: bool) -> None:
        """Call the standby or send it home."""
        regular = sum(c.able * c.size for c in self.chillers if c.ready and not c.standby)
        self._short = self._short + _DT if regular < wanted else 0.0
        self._eased = 0.0 if warm or regular < wanted else self._eased + _DT
        if self._short >= STANDBY_AFTER:
            self.called = True
        elif self._eased >= STANDBY_KEEP:
            self.called = False


class Hall:
    """`full` kW: the servers' full power; `sizes` of the chillers, relative to one another.

    `air`, `mass` °C; `cooling`, `chilling` kW: the last step's mean of the heat carried off and of the chillers'
    electricity; `cop` of the plant, before part load.
    """

    def __init__(self, full: float, sizes: Sequence[float], standby: Sequence[bool]) -> None:
        self._full = full
        self.plant = Plant([CAPACITY * full * size / sum(sizes) for size in sizes], standby)
        self.air = self.mass = COLD_AISLE
        self.cop = MECHANICAL
        self.cooling = self.chilling = 0.0

    def step(self, heat: float, shares: Sequence[float], voltage: float, wet_bulb: float) -> None:
        """A minute under `heat` kW, all that servers and fans give off; `shares` as `Conditions.chillers`."""
        self.cop += (plant_cop(wet_bulb) - self.cop) * (1 - math.exp(-STEP / TURN))
        self.plant.begin(shares, voltage)
        if self.plant.starting:
            self.cop = min(self.cop, MECHANICAL)
        for _ in range(round(STEP / SECOND / _DT)):
            self._exchange(heat)
        seconds = STEP / SECOND
        self.cooling = sum(c.cooled for c in self.plant.chillers) / seconds
        self.chilling = sum(c.drawn for c in self.plant.chillers) / seconds

    def _exchange(self, heat: float) -> None:
        above = self.air - COLD_AISLE
        carried = self.plant.carry(heat + GAIN * self._full * above, above > 1, self.cop)
        across = EXCHANGE * self._full * (self.air - self.mass)
        self.air += (heat - carried - across) * _DT / (AIR * self._full)
        self.mass += across * _DT / (MASS * self._full)
