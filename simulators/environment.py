"""Weather, air, noise, water and soil.

- Weather is a function of absolute time (season, hour, and `smooth` fronts), for 34.3° N on the Guanzhong plain.
- Air is one well-mixed box over the zone, dC/dt = E/H + u/L (Cb - C) - (vd/H + Λ R^0.8) C - k C, solved exactly over a
  step; stations see it with a factor of their own and the increment of the roads beside them. O3 follows the sun and
  gives way to NO2.
- Noise is CRTN from the links near a monitor, over a background by day and night.
- The river is a slow function of time with a synthetic rating; local rain barely moves it.

First form: puffs, dust fronts and a gridded box come later through the same `step` and `read`.

Sources: box and deposition as in urban box-model practice with Xi'an mixing heights (Du et al. 2013); CRTN 1988 (UK
Department of Transport); sun and humidity by textbook formulas. Emissions and regional levels are assumptions, tuned so
that a November day has PM2.5 of 40 to 110 µg/m³.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from simulators.conditions import (
    STEP,
    Array,
    Conditions,
    Ints,
    Wander,
    Weather,
    bump,
    calendar,
    ids,
    plane,
    smooth,
    spread,
    sun_elevation,
    traits,
    winter,
)
from simulators.traffic import CLASSES, ends
from twin.clock import DAY, HOUR, MINUTE, SECOND
from twin.registry import Device, Registry

AREA = 123.39e6  # m², the zone
BOX = 12_000.0  # m, the box along the wind
RIVER = "dist:river"  # the district whose water stations stand in the Wei; those elsewhere are outfalls

# ---------------------------------------------------------------- weather

# Share of the time it rains, and mm/h scale of the rain, January to December; sums to 6 mm in December, 20 in November,
# 100 in September
_WET = (0.03, 0.04, 0.05, 0.06, 0.07, 0.06, 0.08, 0.08, 0.12, 0.09, 0.05, 0.03)
_POUR = (0.35, 0.4, 0.6, 0.75, 1.0, 1.15, 1.4, 1.1, 0.85, 0.7, 0.45, 0.3)
# m3/s of the Wei, January to December
_RIVER = (35.0, 35, 40, 50, 60, 65, 90, 95, 120, 110, 70, 45)
_NORMAL = NormalDist()


def weather(seed: int, at: int) -> Weather:
    """The zone's weather at UTC ms `at`. November: 2 to 12 °C, dry, north-easterly, often nearly calm."""
    hour, _, day = calendar(at)
    cold = winter(day)
    front = smooth(seed, "front", at, 40 * HOUR)
    rain = _rain(seed, at, day)
    cloud = _NORMAL.cdf(0.9 * smooth(seed, "cloud", at, 14 * HOUR) - 0.1)
    cloud = max(cloud, min(1.0, 0.8 + rain))
    mean = 13.6 - 13.6 * math.cos(2 * math.pi * (day - 18) / 365.25) + 2.2 * front
    swing = (5.6 - 0.8 * cold) * (1 - 0.65 * cloud)
    # The warmest at 15 h, the coldest at dawn: a sine with its second harmonic
    turn = 2 * math.pi * (hour - 15.0) / 24
    temperature = mean + swing * (0.88 * math.cos(turn) + 0.18 * math.cos(2 * turn - 0.6)) - 0.5 * min(rain, 2)
    dew = mean - 3.6 - 3.4 * (1 - cloud) + 1.6 * smooth(seed, "dew", at, 20 * HOUR) + 2.5 * min(rain, 1.0)
    humidity = min(max(_vapour(dew) / _vapour(temperature), 0.12), 0.99)
    day_breeze = bump(hour, 15.0, 3.5)
    wind = 1.35 * (0.8 + 0.55 * day_breeze) * math.exp(0.48 * smooth(seed, "wind", at, 7 * HOUR)) * (1.25 - 0.25 * cold)
    wind *= math.exp(0.12 * smooth(seed, "gust", at, 11 * MINUTE))
    wind_from = 60 + 65 * smooth(seed, "veer", at, 11 * HOUR) + 14 * smooth(seed, "swing", at, 25 * MINUTE)
    sun = sun_elevation(at)
    return Weather(
        temperature=temperature,
        humidity=humidity,
        wind=max(wind, 0.1),
        wind_from=wind_from % 360,
        rain=rain,
        cloud=cloud,
        pressure=968 + 9 * (2 * cold - 1) - 3.5 * front + 0.8 * math.cos(4 * math.pi * (hour - 10) / 24),
        mixing_height=_mixing_height(hour, cold, cloud, wind),
        solar=_clear_sky(sun) * (1 - 0.72 * cloud**2.5),
    )


def river(seed: int, at: int) -> float:
    """Discharge of the Wei at the zone, m³/s; the season's, wandering over days."""
    _, _, day = calendar(at)
    base = float(np.interp(day / 30.44 - 0.5, np.arange(-1, 13), (_RIVER[-1], *_RIVER, _RIVER[0])))
    return base * math.exp(0.22 * smooth(seed, "river", at, 5 * DAY) + 0.02 * smooth(seed, "river'", at, 5 * HOUR))


def stage(discharge: float) -> float:
    """m over the gauge's zero at a discharge in m³/s: a synthetic rating, 4.0 m at 3,000 and 6.1 m at 6,050 m³/s."""
    return float((discharge / 296) ** 0.6)


def _rain(seed: int, at: int, day: float) -> float:
    month = min(int(day / 30.44), 11)
    excess = smooth(seed, "rain", at, 9 * HOUR) - _NORMAL.inv_cdf(1 - _WET[month])
    if excess <= 0:
        return 0.0
    return min(_POUR[month] * 2.2 * excess * math.exp(0.7 * smooth(seed, "shower", at, 35 * MINUTE)), 90.0)


def _vapour(temperature: float) -> float:
    """Saturation vapour pressure, hPa (Magnus)."""
    return 6.112 * math.exp(17.62 * temperature / (243.12 + temperature))


def _clear_sky(sun: float) -> float:
    """Global radiation of a clear sky, W/m² (Haurwitz 1945)."""
    s = math.sin(math.radians(sun))
    return 1098 * s * math.exp(-0.057 / s) if s > 0.01 else 0.0


def _mixing_height(hour: float, cold: float, cloud: float, wind: float) -> float:
    """m; in winter 150 to 700, in summer 300 to 2,000, highest about 15 h; cloud damps it, wind lifts it."""
    low, high = 300 - 150 * cold, 2_000 - 1_300 * cold
    rise = max(0.0, math.sin(math.pi * (hour - 8) / 13.5)) ** 1.3 if 8 <= hour <= 21.5 else 0.0
    return low + (high - low) * rise * (1 - 0.55 * cloud) + 45 * max(wind - 1.0, 0.0)


# ---------------------------------------------------------------- noise


def crtn(flow: Array | float, speed: Array | float, heavy: Array | float) -> Array:
    """L10 over an hour, dB(A), 10 m from the kerb: `flow` veh/h (valid from 50), `speed` km/h, `heavy` percent.

    CRTN 1988: basic level, and the correction for mean speed and heavy vehicles.
    """
    v = np.maximum(speed, 10.0)
    return np.asarray(
        42.2
        + 10 * np.log10(np.maximum(flow, 1.0))
        + 33 * np.log10(v + 40 + 500 / v)
        + 10 * np.log10(1 + 5 * np.asarray(heavy) / v)
        - 68.8,
        np.float64,
    )


L10_TO_LEQ = -3.0  # dB, for free-flowing traffic
_SURFACE = -1.0  # dB, CRTN's correction for impervious bituminous roads in towns
_HEARD = 5  # links a monitor hears
_BACKGROUND = {"0": (44.0, 36.0), "1": (46.0, 38.0), "2": (49.0, 41.0), "3": (51.0, 43.0), "4a": (50.0, 42.0)}

# ---------------------------------------------------------------- air


class Pollutant(NamedTuple):
    """`regional` µg/m³ blown in, winter and summer; `area` µg/m²/s from chimneys and heating, winter and summer;
    `traffic` g/vehicle km; `deposit` m/s; `washed` s⁻¹ at 1 mm/h; `decay` s⁻¹ in full sun. CO is in µg too."""

    name: str
    regional: tuple[float, float]
    area: tuple[float, float]
    traffic: float
    deposit: float
    washed: float
    decay: float


POLLUTANTS = (
    Pollutant("pm25", (58, 18), (0.55, 0.20), 0.05, 0.001, 1.0e-4, 0),
    Pollutant("pm10", (86, 40), (0.90, 0.50), 0.40, 0.010, 2.0e-4, 0),
    Pollutant("so2", (9, 5), (0.10, 0.05), 0.002, 0.004, 1.0e-4, 1e-5),
    Pollutant("no2", (27, 12), (0.22, 0.12), 0.42, 0.002, 2.0e-5, 8e-5),
    Pollutant("co", (620, 330), (4.0, 2.0), 3.0, 0.0, 0.0, 0),
)
_NAMES = [p.name for p in POLLUTANTS]
_NO2 = _NAMES.index("no2")
_DUTY_HOURS = 10.0  # chimneys and heating work more by day

# ---------------------------------------------------------------- the model


class Environment:
    def __init__(self, registry: Registry, devices: Sequence[Device], seed: int) -> None:
        self._seed = seed
        self._size = len(devices)
        of = {k: [i for i, d in enumerate(devices) if d.kind == k] for k in {d.kind for d in devices}}
        self._air, self._noise, self._sky, self._water, self._soil = (
            np.array(of.get(k, []), np.int64)
            for k in ("air-station", "noise-monitor", "weather-station", "water-station", "soil-station")
        )
        self._links = [d for d in registry if d.kind == "link-detector"]
        here = [devices[i] for i in self._air]
        self._near_air, away = _nearest(here, self._links, 3)
        self._kerb = np.exp(-away / 120) + 0.25 * np.exp(-away / 600)
        self._site = np.exp(0.09 * np.stack([spread(seed, f"site {p}", ids(here)) for p in [*_NAMES, "o3"]]))
        self._solvents = 0.08 + 0.25 * traits(seed, "tvoc", ids(here)) ** 2
        self._hear(devices)
        self._outfall = np.array([devices[i].district != RIVER for i in self._water], bool)
        self._kilometres = np.array([d.number("length") for d in self._links]) / 1000
        self._at_sky, self._at_water, self._at_soil = (
            spread(seed, what, [devices[i].id for i in index])
            for what, index in (("sky", self._sky), ("water", self._water), ("soil", self._soil))
        )
        self.box = np.array([(p.regional[0] + p.regional[1]) / 2 for p in POLLUTANTS])
        self.wet = 0.0  # mm of rain, as the ground remembers it over five hours
        self._air_noise = Wander(7 * len(self._air), 20)
        self._noise_noise = Wander(len(self._noise), 6)
        table = np.array([(*p.regional, *p.area, p.traffic, p.deposit, p.washed, p.decay) for p in POLLUTANTS])
        self._table = table.T

    def _hear(self, devices: Sequence[Device]) -> None:
        monitors = [devices[i] for i in self._noise]
        self._near_noise, away = _nearest(monitors, self._links, _HEARD)
        # CRTN's distance to the source line, 3.5 m inside the kerb; what stands between takes 6 dB in 100 m
        self._loss = -10 * np.log10((np.maximum(away, 10.0) + 3.5) / 13.5) - np.clip(0.06 * (away - 30), 0, 15)
        self._heavy = np.array(
            [CLASSES.get(str(d.attributes.get("roadClass")), CLASSES["collector"]).heavy for d in self._links]
        )
        quiet = [_BACKGROUND.get(str(d.attributes.get("noiseClass")), _BACKGROUND["2"]) for d in monitors]
        self._background = np.array(quiet, np.float64).reshape(-1, 2)
        self._background += 1.2 * spread(self._seed, "background", ids(monitors))[:, None]
        self._peaky = 9 + 5 * traits(self._seed, "peaks", ids(monitors))

    def step(self, now: Conditions, rng: np.random.Generator) -> None:
        sky, seconds = now.weather, STEP / SECOND
        cold = winter(now.day_of_year)
        rw, rs, aw, as_, traffic, deposit, washed, decay = self._table
        blown = (rw * cold + rs * (1 - cold)) * now.regional
        blown = blown * math.exp(0.28 * smooth(self._seed, "regional", now.at, 44 * HOUR) - 0.04)
        duty = 0.75 + 0.5 * bump(now.hour, 11.0, _DUTY_HOURS / 2) + 0.25 * cold * bump(now.hour, 20.0, 2.5)
        vehicle_km = float(self._kilometres @ now.flow) if len(self._links) else 0.0
        emitted = (aw * cold + as_ * (1 - cold)) * duty + traffic * vehicle_km * 1e6 / 3600 / AREA
        change = max(sky.wind, 0.5) / BOX
        loss = deposit / sky.mixing_height + washed * sky.rain**0.8 + decay * sky.solar / 800
        rate = change + loss
        settled = (emitted / sky.mixing_height + change * blown) / rate
        self.box = settled + (self.box - settled) * np.exp(-rate * seconds)
        self.wet += sky.rain * STEP / HOUR - self.wet * (1 - math.exp(-seconds / 18_000))
        self._air_noise.step(rng)
        self._noise_noise.step(rng)

    def read(self, now: Conditions, rng: np.random.Generator) -> dict[str, Array]:
        values: dict[str, Array] = {}

        def put(metric: str, index: Ints, what: Array) -> None:
            values.setdefault(metric, np.full(self._size, np.nan))[index] = what

        for metric, what in self._air_reading(now).items():
            put(metric, self._air, what)
        level, peak = self._noise_reading(now)
        put("LAeq", self._noise, level)
        put("LAmax", self._noise, peak + rng.gumbel(0, 1.3, len(level)).clip(-2, 9))
        for metric, what in self._sky_reading(now, rng).items():
            put(metric, self._sky, what)
        for metric, what in self._water_reading(now, rng).items():
            put(metric, self._water, what)
        for metric, what in self._soil_reading(now, rng).items():
            put(metric, self._soil, what)
        return values

    def _air_reading(self, now: Conditions) -> dict[str, Array]:
        wander = np.exp(0.025 * self._air_noise.now.reshape(7, -1))
        found = self.box[:, None] * self._site[:-1] * wander[:5]
        # Street increment 0.2 E / (u W), E = 0.4 g NOx/veh/km, W = 12 m, summed over the links beside the station
        if len(self._links):
            line = now.flow[self._near_air] * 0.4 / 3.6  # µg/m/s
            found[_NO2] += (0.2 * line / (max(now.weather.wind, 0.7) * 12) * self._kerb).sum(axis=1)
        found[1] = np.maximum(found[1], 1.12 * found[0])  # PM2.5 is part of PM10
        values = dict(zip(_NAMES, found, strict=True))
        values["co"] = values["co"] / 1000
        values["o3"] = np.maximum(_ozone(now) * self._site[-1] * wander[5] - 0.22 * (found[_NO2] - 30), 3.0)
        stagnant = (400 / now.weather.mixing_height) ** 0.4
        values["volatileOrganicCompoundsTotal"] = self._solvents * stagnant * wander[6] ** 3
        return values

    def _noise_reading(self, now: Conditions) -> tuple[Array, Array]:
        """LAeq and LAmax, dB(A): energies of the links heard and of the background, summed."""
        day = 1 / (1 + math.exp(-2.2 * min(now.hour - 6.2, 22.3 - now.hour)))
        background = self._background[:, 1] + day * (self._background[:, 0] - self._background[:, 1])
        background = background + 1.1 * self._noise_noise.now
        energy = 10 ** (background / 10)
        if len(self._links):
            night_heavy = self._heavy * (1 + 0.8 * (1 - day))
            source = crtn(now.flow, now.speed, night_heavy) + L10_TO_LEQ + _SURFACE
            heard = source[self._near_noise] + self._loss + 0.5 * self._noise_noise.now[:, None]
            # Below 1 vehicle an hour there is no source
            energy = energy + ((now.flow[self._near_noise] >= 1) * 10 ** (heard / 10)).sum(axis=1)
        if now.weather.rain > 0:
            energy = energy + 10 ** ((42 + 9 * math.log10(1 + now.weather.rain)) / 10)
        level = 10 * np.log10(energy)
        return level, level + self._peaky

    def _sky_reading(self, now: Conditions, rng: np.random.Generator) -> dict[str, Array]:
        sky, own = now.weather, self._at_sky
        n = len(own)
        # A moist haze scatters more: extinction from PM2.5 and humidity, then Koschmieder
        growth = 1 + 2.2 * max(sky.humidity - 0.4, 0) ** 2 / (1.02 - sky.humidity) ** 0.4
        extinction = 0.012 + 0.0036 * self.box[0] * growth + 0.12 * sky.rain**0.63
        turned = sky.wind_from + 8 * own + rng.normal(0, 4, n)
        return {
            "temperature": sky.temperature + 0.3 * own + rng.normal(0, 0.05, n),
            "relativeHumidity": np.clip(sky.humidity - 0.01 * own + rng.normal(0, 0.004, n), 0.05, 1.0),
            "windSpeed": np.maximum(sky.wind * np.exp(0.1 * own + rng.normal(0, 0.08, n)), 0.0),
            "windDirection": turned % 360,
            "precipitation": sky.rain * np.exp(0.08 * own) * np.ones(n),
            "atmosphericPressure": sky.pressure + 0.3 * own,
            "visibility": np.clip(3912 / extinction * np.exp(0.03 * own), 50, 30_000),
            "solarRadiation": np.maximum(sky.solar * np.exp(0.02 * own + rng.normal(0, 0.01, n)), 0.0),
        }

    def _water_reading(self, now: Conditions, rng: np.random.Generator) -> dict[str, Array]:
        own, n = self._at_water, len(self._at_water)
        # What stands away from the river measures what runs into it
        discharge = np.where(self._outfall, 0.35 * (0.75 + 0.5 * bump(now.hour, 13, 5.0)) + 0.02 * self.wet, now.river)
        surge = math.log(max(now.river, 1.0) / 60)
        day = math.cos(2 * math.pi * (now.hour - 16) / 24)
        warmth = 24 - 20 * winter((now.day_of_year - 12) % 366)
        saturated = 14.6 - 0.39 * warmth + 0.0055 * warmth**2  # mg/L of oxygen at `warmth` °C
        slow = smooth(self._seed, "water", now.at, 30 * HOUR)
        trend = 0.12 * slow + 0.15 * own + 0.35 * self._outfall
        depth = np.where(self._outfall, 0.45 * np.sqrt(discharge), stage(now.river))
        return {
            "waterLevel": depth + 0.15 * np.abs(own) + rng.normal(0, 0.004, n),
            "waterDischarge": discharge * np.exp(0.03 * own + rng.normal(0, 0.004, n)),
            "pH": 7.9 + 0.08 * day + 0.1 * own + rng.normal(0, 0.01, n),
            "O2": saturated * 0.84 + 0.35 * day - 0.3 * np.abs(own) - 0.3 * max(surge, 0) + rng.normal(0, 0.04, n),
            "NH4": 0.48 * np.exp(trend + 0.05 * day) + np.abs(rng.normal(0, 0.004, n)),
            "P-TOT": 0.105 * np.exp(0.7 * trend + 0.18 * max(surge, 0)) + np.abs(rng.normal(0, 0.001, n)),
            "cod": 14.5 * np.exp(0.6 * trend) + rng.normal(0, 0.15, n),
            "turbidity": 28 * np.exp(0.55 * surge + 0.2 * own + 0.03 * min(self.wet, 40)) * rng.lognormal(0, 0.02, n),
        }

    def _soil_reading(self, now: Conditions, rng: np.random.Generator) -> dict[str, Array]:
        own, n = self._at_soil, len(self._at_soil)
        season = 14.5 - 12.5 * math.cos(2 * math.pi * (now.day_of_year - 30) / 365.25)
        lag = math.cos(2 * math.pi * (now.hour - 18) / 24)
        return {
            "soilMoistureVwc": np.clip(
                0.235
                + 0.03 * own
                + 0.02 * smooth(self._seed, "soil", now.at, 4 * DAY)
                + 0.0035 * min(self.wet, 40)
                + rng.normal(0, 0.0006, n),
                0.05,
                0.48,
            ),
            "soilTemperature": season + 1.3 * lag + 0.5 * own + 0.8 * smooth(self._seed, "ground", now.at, 60 * HOUR),
        }


def _ozone(now: Conditions) -> float:
    """µg/m³ before NO2 takes its share: C0 + A max(0, sin(π(h-8)/14))^1.5 · solar/800 · temperature factor."""
    cold = winter(now.day_of_year)
    rise = max(0.0, math.sin(math.pi * (now.hour - 8) / 14)) ** 1.5 if 8 <= now.hour <= 22 else 0.0
    warm = min(max(0.8 + 0.015 * (now.weather.temperature - 10), 0.6), 1.3)
    # The sun of the hours before counts: its height now would end ozone with the sunset
    light = (1 - 0.65 * now.weather.cloud**2) * (0.6 + 0.4 * (1 - cold))
    return 26 + 22 * (1 - cold) + (45 + 105 * (1 - cold)) * rise * light * warm


def _nearest(places: Sequence[Device], links: Sequence[Device], most: int) -> tuple[Ints, Array]:
    """(n, most) the links nearest to each place, and the metres to them; a link is taken as straight."""
    most = min(most, len(links))
    if not places or not links:
        return np.zeros((len(places), 0), np.int64), np.zeros((len(places), 0))
    start, end = ends(links)
    run = end - start
    point = plane(places)[:, None, :] - start[None, :, :]
    along = np.clip((point * run).sum(axis=2) / np.maximum((run * run).sum(axis=1), 1e-9), 0, 1)
    away = np.linalg.norm(point - along[:, :, None] * run[None, :, :], axis=2)
    index = np.argsort(away, axis=1, kind="stable")[:, :most]
    return index, np.take_along_axis(away, index, axis=1)
