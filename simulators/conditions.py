"""What the domains of the simulated zone share: time, weather, couplings, and where randomness comes from.

Every step a fresh `Conditions` is made from the time alone, scenarios change it, and the domains read it; what one
domain does to another (traffic makes noise and NO2, full car parks make searching traffic) is written back into it.

Three kinds of randomness, none of which depends on when a simulation was started, so that two worlds begun on different
days meet (see `world`):

- `stream`: draws for one step, counter-based (Philox) on (seed, name, step);
- `smooth`: a slow wander, a function of absolute time, for what remembers longer than a day (fronts, the river);
- `traits`: what is fixed about a device, from (seed, id), so that another device's arrival does not change it.
"""

import hashlib
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from twin.clock import HOUR, MINUTE, local
from twin.registry import Device

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STEP = MINUTE
_ORIGIN = (108.6, 34.3)  # WGS-84 degrees, the middle of the zone
_METRES_PER_DEGREE = 111_320.0


@dataclass(slots=True)
class Weather:
    """`temperature`, `wet_bulb` °C; `humidity` 0 to 1; `wind` m/s from `wind_from` degrees; `rain` mm/h; `cloud`
    0 to 1; `pressure` hPa at the station; `mixing_height` m; `solar` W/m² on the ground."""

    temperature: float
    humidity: float
    wind: float
    wind_from: float
    rain: float
    cloud: float
    pressure: float
    mixing_height: float
    solar: float

    @property
    def wet_bulb(self) -> float:
        """°C, from temperature and humidity at sea-level pressure: Stull (2011), eq. 1, good to about 1 K."""
        t, rh = self.temperature, min(max(self.humidity * 100, 5.0), 99.0)
        return float(
            t * math.atan(0.151977 * math.sqrt(rh + 8.313659))
            + math.atan(t + rh)
            - math.atan(rh - 1.676331)
            + 0.00391838 * rh**1.5 * math.atan(0.023101 * rh)
            - 4.686035
        )


class Front(NamedTuple):
    """A wall of dust that travels with its wind. `at` UTC ms: when its edge stands over the middle of the zone; it
    comes from `wind_from` degrees at `speed` m/s. Behind the edge PM10 rises by `peak` µg/m³ over `rise` minutes,
    stays for `plateau` minutes and then falls with the time constant `tau` minutes."""

    at: int
    wind_from: float
    speed: float
    peak: float
    rise: float
    plateau: float
    tau: float


class Leak(NamedTuple):
    """Organic vapour let out at a place (m east and north, see `plane`), `rate` mg/s from `begin` to `end`, UTC ms."""

    east: float
    north: float
    rate: float
    begin: int
    end: int


class Sound(NamedTuple):
    """A source of noise at a place (m east and north): `level` dB(A) at 10 m, spreading as a point."""

    east: float
    north: float
    level: float


class Concern(NamedTuple):
    """What makes people call: `subject` is a metric of the city grid, about `per_hour` calls more in all, spread about
    a place (m east and north) with a standard deviation of `reach` m."""

    subject: str
    east: float
    north: float
    per_hour: float
    reach: float


@dataclass(slots=True)
class Conditions:
    """One step of the zone. `at` UTC ms; `hour` Asia/Shanghai, 0 to 24 with fraction; `weekday` 0 is Monday; `sun` the
    elevation in degrees.

    What a scenario may turn, beside `weather`; links, car parks and chillers are in registry order:

    - traffic: `demand`, a factor on all trips; `capacity`, a factor a link on what passes at its end (0: closed);
      `entering`, veh/h more that begin a trip on a link; `pace`, a factor on free speed
    - parking: `visitors`, arrivals a minute more a car park, for an event that ends in `visit` minutes; `leaving`,
      the share of its parked cars that leave in this minute, beyond those whose time is up; `shut`, 1 where no one is
      let in
    - compute: `chillers`, the share of each that can run; `curtailed`, the share of IT power the grid asks back
    - air, noise: `regional`, a factor on what blows in; `works`, a factor on local sources but traffic; `fronts`,
      `leaks`, `sounds`
    - water, city: `river` m³/s; `concerns`; and for all that draws power, `voltage` of the grid, per unit

    What domains leave for one another: `flow` veh/h and `speed` km/h a link; `searching` veh/h a link, the drivers whom
    full car parks turned away in the same minute.
    """

    at: int
    hour: float
    weekday: int
    day_of_year: float
    sun: float
    weather: Weather
    capacity: Array
    entering: Array
    visitors: Array
    leaving: Array
    shut: Array
    chillers: Array
    flow: Array
    speed: Array
    searching: Array
    demand: float = 1.0
    pace: float = 1.0
    curtailed: float = 0.0
    visit: float = 240.0
    voltage: float = 1.0
    river: float = 60.0
    regional: float = 1.0
    works: float = 1.0
    fronts: list[Front] = field(default_factory=list)
    leaks: list[Leak] = field(default_factory=list)
    sounds: list[Sound] = field(default_factory=list)
    concerns: list[Concern] = field(default_factory=list)

    @property
    def weekend(self) -> bool:
        """Saturday and Sunday. Public holidays are not modelled."""
        return self.weekday >= 5


# ---------------------------------------------------------------- randomness


def stream(seed: int, name: str, step: int) -> np.random.Generator:
    """A generator of its own for (seed, name, step). Its 2**192 draws never reach those of the next step."""
    counter = np.array([0, 0, 0, step & 0xFFFF_FFFF_FFFF_FFFF], np.uint64)
    return np.random.Generator(np.random.Philox(key=_key(seed, name), counter=counter))


@lru_cache(maxsize=256)
def _key(seed: int, name: str) -> npt.NDArray[np.uint64]:
    return np.array([seed & 0xFFFF_FFFF_FFFF_FFFF, zlib.crc32(name.encode())], np.uint64)


@lru_cache(maxsize=8192)
def _knot(seed: int, name: str, index: int) -> float:
    return float(stream(seed, f"smooth/{name}", index).standard_normal())


def smooth(seed: int, name: str, at: int, period: int) -> float:
    """A standard normal that wanders: independent every `period` ms, smooth between, the same at the same `at`."""
    index, rest = divmod(at, period)
    share = rest / period
    w = share * share * (3 - 2 * share)
    a, b = _knot(seed, name, index), _knot(seed, name, index + 1)
    # Without the root the variance would halve between the knots
    return ((1 - w) * a + w * b) / math.sqrt((1 - w) ** 2 + w * w)


def fraction(text: str) -> float:
    """A number in [0, 1) that only depends on the text, spread evenly over texts."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "big") / 2.0**48


def traits(seed: int, what: str, names: Sequence[str]) -> Array:
    """One uniform number in [0, 1) a name (a device id, a road), fixed for its life."""
    return np.array([fraction(f"{seed}/{what}/{name}") for name in names], np.float64)


def spread(seed: int, what: str, names: Sequence[str]) -> Array:
    """One standard normal a name, fixed for its life (Box-Muller over two traits)."""
    u, v = traits(seed, what, names), traits(seed, what + "'", names)
    return np.asarray(np.sqrt(-2 * np.log1p(-u)) * np.cos(2 * np.pi * v), np.float64)


class Wander:
    """An Ornstein-Uhlenbeck process a channel: standard normal, forgetting over `minutes`.

    It forgets a start within a few times `minutes`, which must therefore be well under the spin-up of a day.
    """

    def __init__(self, channels: int, minutes: float) -> None:
        self.now = np.zeros(channels)
        self._keep = math.exp(-STEP / MINUTE / minutes)
        self._take = math.sqrt(1 - self._keep**2)

    def step(self, rng: np.random.Generator) -> Array:
        self.now = self._keep * self.now + self._take * rng.standard_normal(len(self.now))
        return self.now


# ---------------------------------------------------------------- time and place


def calendar(at: int) -> tuple[float, int, float]:
    """Local hour, weekday (0 Monday) and day of the year (0 to 366), hour and day with fraction, Asia/Shanghai."""
    moment = local(at)
    hour = moment.hour + moment.minute / 60 + moment.second / 3600
    return hour, moment.weekday(), moment.timetuple().tm_yday - 1 + hour / 24


def sun_elevation(at: int, lon: float = _ORIGIN[0], lat: float = _ORIGIN[1]) -> float:
    """Degrees above the horizon, without refraction; good to about half a degree (Spencer's first-order terms)."""
    days = at / (24 * HOUR)
    angle = 2 * math.pi * ((days - 10.5) % 365.2422) / 365.2422  # from early January 1970 on; leap days average out
    declination = math.radians(-23.44) * math.cos(angle + 2 * math.pi * 20 / 365.2422)
    equation = 9.87 * math.sin(2 * (angle - 1.223)) - 7.53 * math.cos(angle - 1.223) - 1.5 * math.sin(angle - 1.223)
    solar_minutes = (days % 1) * 1440 + 4 * lon + equation
    turn = math.radians(solar_minutes / 4 - 180)
    phi = math.radians(lat)
    height = math.sin(phi) * math.sin(declination) + math.cos(phi) * math.cos(declination) * math.cos(turn)
    return math.degrees(math.asin(max(-1.0, min(1.0, height))))


def winter(day_of_year: float) -> float:
    """0 in mid-July, 1 in mid-January."""
    return 0.5 * (1 + math.cos(2 * math.pi * (day_of_year - 15) / 365.25))


def bump(hour: float, centre: float, width: float) -> float:
    """A bell over the hours of a day, 1 at `centre`, standard deviation `width` hours, round the clock."""
    away = (hour - centre + 12) % 24 - 12
    return math.exp(-0.5 * (away / width) ** 2)


def plane(devices: Sequence[Device]) -> Array:
    """(n, 2) metres east and north of the middle of the zone; equirectangular, good to 0.1 % here."""
    lon = np.array([d.lon for d in devices], np.float64).reshape(-1)
    lat = np.array([d.lat for d in devices], np.float64).reshape(-1)
    east = (lon - _ORIGIN[0]) * _METRES_PER_DEGREE * math.cos(math.radians(_ORIGIN[1]))
    return np.stack([east, (lat - _ORIGIN[1]) * _METRES_PER_DEGREE], axis=1)


def ids(devices: Sequence[Device]) -> list[str]:
    return [d.id for d in devices]


def numbers(devices: Sequence[Device], attribute: str) -> Array:
    """A numeric attribute of each; raises RegistryError naming the first device that lacks it."""
    return np.array([d.number(attribute) for d in devices], np.float64)
