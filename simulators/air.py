"""Air over the zone: one well-mixed box, what stations see of it, ozone, dust fronts and leaks.

The box, for each pollutant, solved exactly over a step:

    dC/dt = E/H + (u/L + w) (Cb - C) - (vd/H + Λ R^0.8 + k sun + s) C + S

E emission of chimneys, heating and traffic a square metre; H mixing height, which the air follows within an hour; u
wind, L length of the box, Cb what blows in; w = (dH/dt)/H while the layer grows and takes in the air above, which is
taken as clean as what blows in; vd deposition, Λ washout, k loss in sunlight. S is PM2.5 formed from SO2 and NO2, which
lose s: slowly in dry air, ten times as fast in moist haze. PM10 is PM2.5 and a coarse species of its own.

Stations see the box with a factor of their own; NO2 with the increment of the roads beside them, 0.2 E/(u W), where
crawling vehicles give off more a kilometre and stir the air less; particles with what a dust front has brought; organic
vapour with the plumes of leaks. O3 follows the sun, rises steeply with heat (the vegetation's isoprene does), and gives
way to NO2.

Sources: urban box models with Xi'an mixing heights (Du et al. 2013); the street increment and deposition as there; that
traffic's own turbulence airs a street in calms as in OSPM (Berkowicz 2000).
Emissions, regional levels and reaction rates are assumptions, tuned so that a November day has PM2.5 of 40 to
110 µg/m³.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from simulators.conditions import (
    STEP,
    Array,
    Conditions,
    Wander,
    Weather,
    bump,
    ids,
    numbers,
    plane,
    smooth,
    spread,
    traits,
    winter,
)
from simulators.dust import FINE, brought
from simulators.plume import Plume
from simulators.roadside import effort, nearest
from twin.clock import HOUR, SECOND
from twin.registry import Device

AREA = 123.39e6  # m², the zone
BOX = 12_000.0  # m, the box along the wind


class Pollutant(NamedTuple):
    """`regional` µg/m³ blown in, winter and summer; `area` µg/m²/s from chimneys and heating, winter and summer;
    `traffic` g/vehicle km at 50 km/h; `deposit` m/s; `washed` s⁻¹ at 1 mm/h; `decay` s⁻¹ in full sun. CO is in µg
    too."""

    name: str
    regional: tuple[float, float]
    area: tuple[float, float]
    traffic: float
    deposit: float
    washed: float
    decay: float


POLLUTANTS = (
    Pollutant("pm25", (58, 18), (0.55, 0.20), 0.05, 0.001, 1.7e-5, 0),
    Pollutant("coarse", (28, 22), (0.40, 0.32), 0.35, 0.010, 2.0e-4, 0),
    Pollutant("so2", (9, 5), (0.10, 0.05), 0.002, 0.004, 1.0e-4, 1e-5),
    Pollutant("no2", (27, 12), (0.22, 0.12), 0.42, 0.002, 2.0e-5, 8e-5),
    Pollutant("co", (620, 330), (4.0, 2.0), 3.0, 0.0, 0.0, 0),
)
_FINE, _COARSE = 0, 1
_REGIONAL, _CHIMNEYS = (np.array([p[column] for p in POLLUTANTS], np.float64) for column in (1, 2))
_TRAFFIC, _DEPOSIT, _WASHED, _DECAY = np.array([p[3:] for p in POLLUTANTS], np.float64).T
_SITES = (*(p.name for p in POLLUTANTS), "o3")  # what stations see each in their own way
# Mass of ammonium sulphate or nitrate made of a mass of SO2 or NO2
_SALT = np.array([0, 0, 132 / 64, 80 / 46, 0])
_FOLLOW = 2_700.0  # s, in which the air follows a mixing height that changes
_RURAL, _HAZE = 0.005 / 3600, 0.05 / 3600  # s⁻¹, of SO2 and NO2 turned into salts in dry and in moist air
_ROADS = 3  # links a station stands beside
_STREET, _NOX = 12.0, 0.5  # m, width of a street; g NOx/vehicle km at 50 km/h
_STIRRED = 0.9  # m/s of wind that traffic at 50 km/h is worth; a standing queue stirs nothing
_WANDERS = 7  # the box's five, ozone, organic vapour


class Box:
    """`level`: µg/m³ of each of POLLUTANTS; `depth`: m, the layer that it fills. It begins in balance."""

    def __init__(self, links: Sequence[Device], seed: int) -> None:
        self._seed = seed
        self._kilometres = numbers(links, "length") / 1000
        self.level = np.zeros(len(POLLUTANTS))
        self.depth = 0.0

    def step(self, now: Conditions) -> None:
        sky, cold = now.weather, winter(now.day_of_year)
        slow = math.exp(0.28 * smooth(self._seed, "regional", now.at, 44 * HOUR) - 0.04)
        blown = _season(_REGIONAL, cold) * now.regional * slow
        begins = not self.depth
        if begins:
            self.depth, self.level = sky.mixing_height, blown
        change = max(sky.wind, 0.5) / BOX + self._deepen(sky.mixing_height)
        salts = _salts(sky.humidity)
        loss = _DEPOSIT / self.depth + _WASHED * sky.rain**0.8 + _DECAY * sky.solar / 800 + salts * (_SALT > 0)
        source = self._emitted(now, cold) / self.depth + change * blown
        source[_FINE] += salts * float(_SALT @ self.level)
        rate = change + loss
        settled = source / rate
        self.level = settled if begins else settled + (self.level - settled) * np.exp(-rate * STEP / SECOND)

    def _deepen(self, height: float) -> float:
        """Let the layer follow; s⁻¹, the share of it that the air above makes up while it grows."""
        before = self.depth
        self.depth += (height - before) * (1 - math.exp(-STEP / SECOND / _FOLLOW))
        return max(math.log(self.depth / before), 0.0) * SECOND / STEP

    def _emitted(self, now: Conditions, cold: float) -> Array:
        """µg/m²/s. Chimneys work more by day, stoves and boilers in the evening, in the cold."""
        duty = 0.62 + 0.5 * bump(now.hour, 11.5, 4.0) + 1.0 * cold * bump(now.hour, 22.5, 2.2)
        vehicle_km = float(self._kilometres @ (now.flow * effort(now.speed))) if len(self._kilometres) else 0.0
        roads = _TRAFFIC * vehicle_km * 1e6 / 3600 / AREA
        return np.asarray(_season(_CHIMNEYS, cold) * duty * now.works + roads, np.float64)


def _season(of: Array, cold: float) -> Array:
    """(n,) between winter's and summer's, the columns of `of`."""
    return np.asarray(of[:, 0] * cold + of[:, 1] * (1 - cold), np.float64)


def _salts(humidity: float) -> float:
    """s⁻¹, of SO2 and NO2 turned into particles: from 0.5 % an hour in dry air to 5 % in air near saturation."""
    moist = min(max((humidity - 0.55) / 0.35, 0.0), 1.0)
    return _RURAL + (_HAZE - _RURAL) * moist**2


class Air:
    def __init__(self, devices: Sequence[Device], links: Sequence[Device], seed: int) -> None:
        self._places = plane(devices)
        self._near, away = nearest(devices, links, _ROADS)
        self._kerb = np.exp(-away / 120) + 0.25 * np.exp(-away / 600)
        self._site = np.exp(0.09 * np.stack([spread(seed, f"site {p}", ids(devices)) for p in _SITES]))
        self._solvents = 0.08 + 0.25 * traits(seed, "tvoc", ids(devices)) ** 2
        self.box = Box(links, seed)
        self.plume = Plume(np.column_stack([self._places, np.full(len(devices), 3.0)]))
        self._wander = Wander(_WANDERS * len(devices), 20)

    def step(self, now: Conditions, rng: np.random.Generator) -> None:
        self.box.step(now)
        self.plume.step(now)
        self._wander.step(rng)

    def read(self, now: Conditions) -> dict[str, Array]:
        own = self._site * np.exp(0.025 * self._wander.now.reshape(_WANDERS, -1)[:6])
        fine, coarse, so2, no2, co = self.box.level[:, None] * own[:5]
        dust = brought(now.fronts, now.at, self._places) * own[_COARSE]
        fine = fine + FINE * dust
        no2 = no2 + self._street(now)
        ozone = np.maximum(formed(now) * own[5] - 0.22 * (no2 - 30), 3.0)
        stagnant = (400 / now.weather.mixing_height) ** 0.4
        solvents = self._solvents * stagnant * np.exp(0.075 * self._wander.now.reshape(_WANDERS, -1)[6])
        return {
            "pm25": fine,
            "pm10": fine + coarse + (1 - FINE) * dust,
            "so2": so2,
            "no2": no2,
            "co": co / 1000,
            "o3": ozone,
            "volatileOrganicCompoundsTotal": solvents + self.plume.level,
        }

    def around(self, now: Conditions, places: Array) -> tuple[Array, Array]:
        """What dims the view at places (n, 2): PM2.5 without what is of dust, and dust as PM10, µg/m³."""
        dust = self.box.level[_COARSE] + brought(now.fronts, now.at, places)
        return np.full(len(places), self.box.level[_FINE]), dust

    def _street(self, now: Conditions) -> Array:
        """µg/m³ of NO2 that the links beside each station add."""
        if not self._near.size:
            return np.zeros(len(self._near))
        line = now.flow * effort(now.speed) * _NOX / 3.6  # µg/m/s
        air = np.hypot(now.weather.wind, _STIRRED * np.sqrt(np.minimum(now.speed, 50) / 50))
        return np.asarray(((0.2 * line / (air * _STREET))[self._near] * self._kerb).sum(axis=1), np.float64)


def formed(now: Conditions) -> float:
    """µg/m³ of ozone before NO2 takes its share: C0 + A max(0, sin(π(h-8)/14))^1.5 · light · heat."""
    cold = winter(now.day_of_year)
    rise = max(0.0, math.sin(math.pi * (now.hour - 8) / 14)) ** 1.5 if 8 <= now.hour <= 22 else 0.0
    most = (50 + 46 * math.sqrt(1 - cold)) * _light(now.weather, cold) * _heat(now.weather)
    return 26 + 22 * (1 - cold) + most * rise


def _light(sky: Weather, cold: float) -> float:
    # The sun of the hours before counts: its height now would end ozone with the sunset
    return (1 - 0.65 * sky.cloud**2) * (0.6 + 0.4 * (1 - cold))


def _heat(sky: Weather) -> float:
    """1 at 30 °C; above, 9 % a kelvin (isoprene, less ozone held as PAN), until leaves close at 41 °C."""
    warm = min(sky.temperature, 41.0) - 30
    return math.exp(0.085 * warm) if warm > 0 else max(1 + 0.0136 * warm, 0.55)
