"""What each scenario of scenarios.toml does to the conditions, minute by minute, and what is then true.

A function a scenario: given the places of a zone and a start (UTC ms) it looks up once whom it concerns and returns the
plot. Effects are pure functions of the conditions and the minutes since the start. Parameters follow the sources that
each names, else they are assumptions.
"""

import math

import numpy as np
import numpy.typing as npt

from simulators.conditions import Concern, Conditions, Front, Leak, Sound, plane, sun_elevation
from simulators.faults import Fault, Kind
from simulators.scenarios import Fact, Places, Plot
from simulators.water import hydrograph
from twin.clock import DAY, MINUTE, local
from twin.errors import RegistryError
from twin.standards import Level

Mask = npt.NDArray[np.bool_]

ONE_OF_THREE_BLOCKED = 0.49  # of capacity: HCM 2010, exhibit 10-17


def s01(places: Places, start: int) -> Plot:
    """One of three lanes blocked for 35 minutes on 西环路, southbound, towards the works."""
    southbound = places.road("road:ns:02", "s")
    link = southbound[1] if len(southbound) > 1 else places.middle("road:ns:02")
    site = places.mask(len(places.links), [link])

    def effect(now: Conditions, t: float) -> None:
        if t < 35:
            now.capacity[site] *= ONE_OF_THREE_BLOCKED

    id = places.links[link].id
    return Plot(effect, [Fact("One of three lanes blocked", [id], 0, 35, Level.YELLOW)])


def s02(places: Places, start: int) -> Plot:
    """Dust as in April 2018 (咸阳 PM10 552, 渭南 1,150 µg/m³): a front from the north-west at 10 m/s."""
    front = Front(start, wind_from=290.0, speed=10.0, peak=760.0, rise=150.0, plateau=480.0, tau=480.0)
    kites = [i for i, d in enumerate(places.lots) if d.attributes.get("poi") == "poi:kite"]

    def effect(now: Conditions, t: float) -> None:
        share = _trapezium(t, 30, 720, 1_200)
        sky = now.weather
        sky.wind += (10.0 - sky.wind) * share
        sky.wind_from = _turned(sky.wind_from, 290.0, share)
        sky.humidity += (0.18 - sky.humidity) * share
        now.fronts.append(front)
        now.pace *= 1 - 0.12 * _trapezium(t, 150, 630, 1_200)
        if t > 60:
            # The kite festival is called off: who is there drives home within the hour, and no one comes
            now.shut[kites] = 1.0
            now.leaving[kites] = 0.05

    air = [d.id for d in places.of("air-station")]
    return Plot(effect, [Fact("Dust storm", air, 0, 1_200, Level.RED)])


def s03(places: Places, start: int) -> Plot:
    regular = [i for i, d in enumerate(places.chillers) if not d.attributes.get("standby")]
    first, second = regular[0], regular[1 % len(regular)]

    def effect(now: Conditions, t: float) -> None:
        if t < 75:
            now.chillers[first] = 0.0
        if t < 18:
            now.chillers[second] = 0.0

    names = [places.chillers[i].id for i in (first, second)]
    servers = [d.id for d in places.of("server")]
    return Plot(
        effect,
        [
            Fact("Chiller tripped", names[:1], 0, 75, Level.ORANGE),
            Fact("Chiller tripped", names[1:], 0, 18, Level.ORANGE),
            Fact("Cold aisle too warm", servers, 2, 35, Level.ORANGE),
        ],
    )


# Fits the four gaugings of 咸阳站 within 10 %; the river had risen for RISEN hours when it was first gauged
FLOOD = {"base": 1_750.0, "peak": 6_050.0, "hours_to_peak": 30.0, "m": 5.0, "recession": 0.03}
RISEN = 14.1


def flood(t: float) -> float:
    """m³/s of the Wei, t minutes after 14:00 of 26 September 2021."""
    return hydrograph(RISEN + t / 60, **FLOOD)


def s04(places: Places, start: int) -> Plot:
    """The flood of 26 September 2021 at 咸阳站: 3,150 m³/s at 14:00, 6,050 at 05:54 of the next day."""
    embankment = places.mask(len(places.links), places.road("road:ew:15"))
    bridge = places.mask(len(places.links), places.road("bridge:wei"))
    banks = [i for i, d in enumerate(places.lots) if d.attributes.get("use") == "park"]

    def effect(now: Conditions, t: float) -> None:
        # It has risen for a day, and after three more it goes over into what it would be anyway
        now.river += (flood(t) - now.river) * _trapezium(t + 1_440, 1_200, 5_760, 7_200)
        if now.river > 3_000:
            now.capacity[embankment] = 0.0
            now.shut[banks] = 1.0
            now.leaving[banks] = 0.04
        if now.river > 4_500:
            now.capacity[bridge] *= 0.33

    def while_above(discharge: float) -> tuple[float, float]:
        above = [t for t in range(0, 4_320, 5) if flood(t) > discharge]
        return (above[0], above[-1] + 5) if above else (0, 0)

    river = [d.id for d in places.of("water-station", district="dist:river")]
    return Plot(
        effect,
        [
            Fact("Wei above 3,000 m³/s", river, *while_above(3_000), Level.BLUE),
            Fact("Wei above 4,500 m³/s", river, *while_above(4_500), Level.YELLOW),
            Fact("Embankment road closed", _ids(places, embankment), *while_above(3_000), Level.YELLOW),
        ],
        before=1_440,
    )


CAR_SHARE, IN_A_CAR = 0.35, 2.4
FESTIVAL = 25_000


def s05(places: Places, start: int) -> Plot:
    """25,000 people arrive about 18:30, hear music from 19:00 to 22:00, and most have left by 22:50."""
    lots = [places.lot("poi:lsd-park"), places.lot("poi:music")]
    monitors = places.of("noise-monitor")
    own = [d for d in monitors if "stageEast" in d.attributes]
    stage = plane([places.lots[lots[1]]])[0]
    if own:
        stage = plane(own)[0] + (own[0].number("stageEast"), own[0].number("stageNorth"))
    spaces = np.array([places.lots[i].number("capacity") for i in lots])
    cars = FESTIVAL * CAR_SHARE / IN_A_CAR * spaces / spaces.sum()
    beside = places.near(places.links, stage, most=6)

    def effect(now: Conditions, t: float) -> None:
        arriving = _gamma(t, 5.0, 17.5)
        now.visitors[lots] += cars * arriving
        now.visit = 270.0 - t
        # They come by the streets around; parking itself brings no one there
        now.entering[beside] += 60 * cars.sum() * arriving / len(beside) * 0.5
        if 90 <= t < 270:
            now.sounds.append(Sound(float(stage[0]), float(stage[1]), 98.2))

    near = [monitors[i].id for i in places.near(monitors, stage, within=600.0)]
    streets = [places.links[i].id for i in beside]
    return Plot(
        effect,
        [
            Fact("Car parks of the festival full", [places.lots[i].id for i in lots], 70, 270, Level.YELLOW),
            Fact("Streets around the festival jammed", streets, 60, 120, Level.YELLOW),
            Fact("Festival loud", near, 90, 270, Level.YELLOW),
            Fact("Streets around the festival jammed", streets, 270, 330, Level.YELLOW),
        ],
    )


def s06(places: Places, start: int) -> Plot:
    stations = [d for d in places.of("air-station") if "downwind" in d.attributes]
    if not stations:
        raise RegistryError("scenario S06 needs air stations with the attribute downwind (metres from the plant)")
    downwind = sorted((d for d in stations if d.number("downwind") > 0), key=lambda d: d.number("downwind"))
    points = plane(downwind)
    south_east = np.array([math.sqrt(0.5), -math.sqrt(0.5)])
    source = points[0] - downwind[0].number("downwind") * south_east
    leak = Leak(float(source[0]), float(source[1]), 10_500.0, start, start + 55 * MINUTE)

    def effect(now: Conditions, t: float) -> None:
        now.weather.wind, now.weather.wind_from, now.weather.rain = 1.2, 315.0, 0.0
        now.leaks.append(leak)
        if 8 <= t < 150:
            # People along the plume notice it as it reaches them, and call less when it has gone by
            for metres in (150.0, 900.0, 1_600.0):
                since = t - max(8.0, 6.0 + metres / 1.2 / 60)
                if since > 0:
                    at = source + metres * south_east
                    calls = 22.0 * min(since / 5, 1.0) * (1.0 if t < 75 else math.exp(-(t - 75) / 30))
                    now.concerns.append(Concern("odourReports", float(at[0]), float(at[1]), calls, 350.0))

    return Plot(
        effect,
        [
            Fact("Solvent leak", [downwind[0].id], 2, 75, Level.ORANGE),
            *(Fact("Vapour cloud", [d.id], d.number("downwind") / 1.2 / 60, 90, Level.YELLOW) for d in downwind[1:]),
        ],
    )


def s07(places: Places, start: int) -> Plot:
    """The gateways of the equipment park that its air stations hang on are lost; eight sensors elsewhere in it freeze
    and three clocks run 47 s ahead. The gateways keep what they hear and send it when they are back."""
    end = start + 95 * MINUTE
    here = places.of(*{d.kind for d in places.registry}, district="dist:equipment")
    lost = sorted({d.gateway for d in here if d.kind == "air-station" and d.gateway})
    silent = [d.id for d in here if d.gateway in lost]
    left = [d.id for d in here if d.gateway not in lost]
    frozen, skewed = left[:8], left[8:11]
    faults = [
        Fault(Kind.OUTAGE, frozenset(silent), start, end, 0.0, frozenset(lost)),
        Fault(Kind.FREEZE, frozenset(frozen), start, end),
        Fault(Kind.SKEW, frozenset(skewed), start, end, 47.0),
    ]
    return Plot(
        lambda now, t: None,
        [
            Fact("Gateways lost", silent, 0, 95, Level.BLUE),
            Fact("Sensors repeat one value", frozen, 0, 95, Level.BLUE),
            Fact("Clocks 47 s ahead", skewed, 0, 95, Level.BLUE),
        ],
        faults,
    )


DIP = 0.7  # per unit, for 180 ms; the minute it falls in shows it


def s08(places: Places, start: int) -> Plot:
    centre = plane(places.of("link-detector", district="dist:display") or list(places.links)).mean(axis=0)
    dark = places.mask(len(places.links), places.into_junctions(centre, 14))
    street = [d.id for d in places.of("link-detector", "street-light", "noise-monitor", district="dist:display")]

    def effect(now: Conditions, t: float) -> None:
        if t < 1:
            now.voltage = DIP
            now.chillers[:] = 0.0
        if t < 10:
            now.capacity[dark] *= 0.5

    return Plot(
        effect,
        [
            Fact("Voltage dip", [d.id for d in places.of("power-unit")], 0, 1, Level.YELLOW),
            Fact("Chillers restart", [d.id for d in places.chillers], 0, 5, Level.YELLOW),
            Fact("Signals dark", _ids(places, dark), 0, 10, Level.YELLOW),
            Fact("Street sensors without power", street, 0, 4, Level.BLUE),
        ],
        [Fault(Kind.OUTAGE, frozenset(street), start, start + 4 * MINUTE, 1.0)],
    )


RESPONSE = 60.0 * 60  # minutes: the orange response begins once a day's mean was over 150


def s09(places: Places, start: int) -> Plot:
    """Two and a half days under a sinking lid, a day of it at its lowest, then a cold front."""
    front = 84.0 * 60

    def effect(now: Conditions, t: float) -> None:
        sky = now.weather
        if t < front:
            lid = 600 - 420 * min(t / 3_600, 1.0)
            sky.mixing_height = min(sky.mixing_height, lid)
            sky.wind = min(sky.wind, 0.6)
            now.regional *= 1 + 1.5 * min(t / 3_600, 1.0)
            sky.humidity = max(sky.humidity, 0.70 + 0.2 * min(t / 1_800, 1.0))
            sky.rain = 0.0
            if t > RESPONSE:
                now.demand *= 0.85
                now.works *= 0.85
        else:
            share = min((t - front) / 60, 1.0)
            sky.wind += (6.0 - sky.wind) * share
            sky.wind_from = _turned(sky.wind_from, 310.0, share)
            sky.mixing_height += (1_500 - sky.mixing_height) * share
            sky.humidity += (0.35 - sky.humidity) * share
            now.regional *= 1 - 0.65 * share

    air = [d.id for d in places.of("air-station")]
    return Plot(effect, [Fact("Heavy pollution", air, 48 * 60, front, Level.ORANGE)])


MAXIMA = (36.0, 38.0, 40.5)  # °C of the three days
JULY = 200  # day of the year: the 20th


def s10(places: Places, start: int) -> Plot:
    """High summer, whatever the date: three days with a wet bulb of 25 to 27 °C in the afternoon."""

    def effect(now: Conditions, t: float) -> None:
        share = _trapezium(t, 0.1, 4_320, 4_680)
        sky = now.weather
        top = float(np.interp(t, (210, 1_650, 3_090), MAXIMA))
        temperature = top - 5.5 * (1 - math.cos(2 * math.pi * (now.hour - 15.5) / 24))
        # The vapour in the air hardly changes over a day: a dew point of 21.3 to 22.1 °C
        humidity = min(_vapour(np.interp(t, (210, 3_090), (21.3, 22.1))) / _vapour(temperature), 0.95)
        now.day_of_year = JULY + now.hour / 24
        now.sun = sun_elevation(now.at + (JULY - _day_of_year(now.at)) * DAY)
        solar = 950 * max(math.sin(math.radians(now.sun)), 0.0)
        sky.temperature += (temperature - sky.temperature) * share
        sky.humidity += (humidity - sky.humidity) * share
        sky.solar += (solar - sky.solar) * share
        sky.rain, sky.cloud, sky.wind = 0.0, 0.1, min(sky.wind, 2.0)
        sky.mixing_height = 350 + 1_500 * max(math.sin(math.pi * (now.hour - 8) / 13.5), 0.0)
        if t >= 4_320:
            return
        if 15 <= now.hour < 18:
            now.curtailed = 0.15

    centre = [d.id for d in places.of("compute-centre")]
    sky = [d.id for d in places.of("weather-station")]
    return Plot(
        effect,
        [
            Fact("Heat above 37 °C", sky, 25 * 60, 30 * 60, Level.ORANGE),
            Fact("Heat above 40 °C", sky, 50 * 60, 53 * 60, Level.RED),
            Fact("PUE over target", centre, 60, 4_320, Level.YELLOW),
            *(Fact("Grid asks power back", centre, 180 + 1_440 * d, 360 + 1_440 * d, Level.YELLOW) for d in range(3)),
        ],
    )


def s11(places: Places, start: int) -> Plot:
    """62 mm in two hours, most of it in the first (3 h of 50 mm: orange)."""
    rail = [d for d in places.of("underpass") if d.attributes.get("under") == "rail"] or places.of("underpass")
    road = str(rail[0].attributes.get("road", ""))
    over = [d.id for d in places.of("weather-station")]

    def effect(now: Conditions, t: float) -> None:
        now.weather.rain += pour(t)
        share = min(pour(t) / 5, 1.0)
        now.weather.cloud = max(now.weather.cloud, share)
        now.weather.solar *= 1 - 0.85 * share
        now.weather.humidity = max(now.weather.humidity, 0.95 * share)

    return Plot(
        effect,
        [
            Fact("Cloudburst", over, 0, 120, Level.ORANGE),
            Fact("Underpass flooded", [rail[0].id], 25, 180, Level.ORANGE),
            Fact(
                "Road closed",
                _ids(places, places.mask(len(places.links), places.under(rail[0]))),
                25,
                180,
                Level.ORANGE,
            ),
        ]
        if road
        else [Fact("Cloudburst", over, 0, 120, Level.ORANGE)],
    )


def pour(t: float) -> float:
    """mm/h at t minutes: rises within 10, 45 until the first hour, then less; 62 mm in all."""
    return float(np.interp(t, (0, 10, 60, 70, 110, 120), (0, 47, 47, 19, 17, 0), left=0, right=0))


def s12(places: Places, start: int) -> Plot:
    """At poi:live: a full house of the arena goes home, most of it at once."""
    lot = places.lot("poi:live")
    there = plane([places.lots[lot]])[0]
    kerb = places.mask(len(places.links), places.near(places.links, there, most=2))

    def effect(now: Conditions, t: float) -> None:
        if t < 0:
            now.visitors[lot] += 2.2
            now.visit = 40.0 - t
        elif t < 40:
            now.leaving[lot] = 0.07 * math.exp(-t / 7) + 0.006
        if 0 <= t < 60:
            now.capacity[kerb] *= 0.65
            now.entering[kerb] += 150.0

    return Plot(
        effect,
        [
            Fact("Queue at the exits of the car park", [places.lots[lot].id], 5, 45, Level.BLUE),
            Fact("Kerb lane blocked", _ids(places, kerb), 0, 60, Level.BLUE),
        ],
        before=120,
    )


# ---------------------------------------------------------------- shapes


def _ids(places: Places, mask: Mask) -> list[str]:
    return [places.links[int(i)].id for i in np.flatnonzero(mask)]


def _day_of_year(at: int) -> int:
    return local(at).timetuple().tm_yday - 1


def _trapezium(t: float, rise: float, hold: float, end: float) -> float:
    """0 to 1 within `rise` minutes, 1 until `hold`, back to 0 at `end`."""
    return min(max(min(t / rise, (end - t) / (end - hold)), 0.0), 1.0)


def _gamma(t: float, shape: float, scale: float) -> float:
    """Density a minute of a gamma distribution."""
    return float(t ** (shape - 1) * math.exp(-t / scale) / (math.gamma(shape) * scale**shape)) if t > 0 else 0.0


def _turned(here: float, there: float, share: float) -> float:
    """A wind direction on its way to another, degrees, the short way round."""
    return (here + share * ((there - here + 180) % 360 - 180)) % 360


def _vapour(temperature: float) -> float:
    """Saturation vapour pressure, hPa (Magnus)."""
    return 6.112 * math.exp(17.62 * temperature / (243.12 + temperature))
