"""The zone's indicators, computed from a snapshot: what the tiles say.

Only known devices count; each block says how many of how many were known and when the newest of them spoke, so that a
number made from half the sensors cannot pass for one made from all. With none known an indicator is None, never 0.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from twin import air, standards
from twin.air import Hours
from twin.observation import Domain, Observation
from twin.registry import Device, Registry
from twin.snapshot import Snapshot

STALE_LISTED = 200


class Coverage(msgspec.Struct, frozen=True):
    """`at`: UTC ms of the newest reading that counts, None when there is none."""

    known: int
    total: int
    at: int | None


class Road(msgspec.Struct, frozen=True):
    """One road, both directions, weighted by length and lanes. `speed` km/h."""

    road: str
    name: str
    tpi: float
    state: int
    speed: float


class Traffic(msgspec.Struct, frozen=True):
    """`congested_km`: directed kilometres at TPI 4 and over."""

    coverage: Coverage
    tpi: float | None
    state: int | None
    speed: float | None
    congested_km: float | None
    roads: Sequence[Road]


class Air(msgspec.Struct, frozen=True):
    """The hourly report of the latest complete clock hour (HJ 633): AQI of the mean over the stations.

    `hour`: when it began (UTC ms), None when no station has measured enough of it. `stations`: how many have.
    `concentrations` are as reported (whole µg/m³, CO 0.1 mg/m³), `parts` their IAQI. `aqi` and those of the districts
    are None where the standard forbids one (NA). `coverage` is of the present readings.
    """

    coverage: Coverage
    hour: int | None
    stations: int
    aqi: int | None
    level: int | None
    primary: Sequence[str]
    concentrations: Mapping[str, float]
    parts: Mapping[str, int]
    districts: Mapping[str, int | None]


class Weather(msgspec.Struct, frozen=True):
    """Means over the weather stations by metric name; wind direction is the direction of the mean vector."""

    coverage: Coverage
    values: Mapping[str, float]


class Noise(msgspec.Struct, frozen=True):
    """`within`: share of known monitors within their GB 3096 limit."""

    coverage: Coverage
    within: float | None


class Water(msgspec.Struct, frozen=True):
    """Level (m) and discharge (m³/s) of the river gauge, the worst surface-water class over the stations (0 = I)."""

    coverage: Coverage
    level: float | None
    discharge: float | None
    worst: int | None


class Lot(msgspec.Struct, frozen=True):
    device: str
    name: str
    occupancy: float
    free: int


class Parking(msgspec.Struct, frozen=True):
    """`lots`: the known car parks, fullest first."""

    coverage: Coverage
    occupancy: float | None
    free: int | None
    capacity: int
    lots: Sequence[Lot]


class Compute(msgspec.Struct, frozen=True):
    """Figures of the compute centre's own meter (by metric name), and the hottest cold aisle (°C) over its servers."""

    coverage: Coverage
    values: Mapping[str, float]
    hottest: float | None
    hot: int


class City(msgspec.Struct, frozen=True):
    """`lit`: share of lamps lit; `open_covers`, `closed_underpasses`: counts; `deepest`: m of water in an underpass."""

    coverage: Coverage
    lit: float | None
    open_covers: int
    closed_underpasses: int
    deepest: float | None
    pumps: int


class Silent(msgspec.Struct, frozen=True):
    """A device that is unknown: `last` is when it last spoke (UTC ms), None if never."""

    device: str
    name: str
    domain: Domain
    last: int | None


class Indicators(msgspec.Struct, frozen=True):
    """All of it at one instant. `silent` lists at most STALE_LISTED, the latest lost first; `unknown` counts all."""

    at: int
    traffic: Traffic
    air: Air
    weather: Weather
    noise: Noise
    water: Water
    parking: Parking
    compute: Compute
    city: City
    domains: Mapping[Domain, Coverage]
    unknown: int
    silent: Sequence[Silent]


class Grouping:
    """The registry's devices by kind, by position: made once, used at every instant."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        by_kind: dict[str, list[int]] = defaultdict(list)
        by_domain: dict[Domain, list[int]] = {d: [] for d in Domain}
        for i, device in enumerate(registry):
            by_kind[device.kind].append(i)
            by_domain[device.domain].append(i)
        self.kinds: Mapping[str, list[int]] = by_kind
        self.domains: Mapping[Domain, list[int]] = by_domain
        self.air: Mapping[str, list[str]] = defaultdict(list)  # the air stations of each district
        for i in by_kind["air-station"]:
            self.air[registry.devices[i].district].append(registry.devices[i].id)


class _Known:
    """The known devices of one kind with their last observations."""

    def __init__(self, group: Sequence[int], snapshot: Snapshot, known: npt.NDArray[np.bool_]) -> None:
        self.pairs: list[tuple[Device, Observation]] = [
            (snapshot.registry.devices[i], o) for i in group if known[i] and (o := snapshot.last[i]) is not None
        ]
        self.coverage = Coverage(len(self.pairs), len(group), max((o.at for _, o in self.pairs), default=None))

    def of(self, metric: str) -> list[float]:
        return [o.values[metric] for _, o in self.pairs if metric in o.values]


def indicators(grouping: Grouping, snapshot: Snapshot, hours: Hours, now: int) -> Indicators:
    """`snapshot` and `hours` hold what is known at `now`, UTC ms."""
    known = snapshot.known(now)

    def these(kind: str) -> _Known:
        return _Known(grouping.kinds.get(kind, ()), snapshot, known)

    domains = {d: _Known(group, snapshot, known).coverage for d, group in grouping.domains.items()}
    silent = _silent(snapshot, np.flatnonzero(~known))
    return Indicators(
        now,
        _traffic(these("link-detector")),
        _air(these("air-station").coverage, grouping.air, hours, now),
        _weather(these("weather-station")),
        _noise(these("noise-monitor"), snapshot),
        _water(these("water-station")),
        _parking(these("car-park"), [snapshot.registry.devices[i] for i in grouping.kinds.get("car-park", ())]),
        _compute(these("compute-centre"), these("server")),
        _city(
            these("street-light"), these("manhole"), these("underpass"), these("pumping-station"), domains[Domain.CITY]
        ),
        domains,
        int((~known).sum()),
        silent,
    )


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    # An exact sum: the mean does not depend on the order
    return math.fsum(found) / len(found) if found else None


def _traffic(links: _Known) -> Traffic:
    roads: dict[str, list[tuple[Device, float, float, float]]] = defaultdict(list)
    for device, o in links.pairs:
        if "averageVehicleSpeed" not in o.values:
            continue
        speed = o.values["averageVehicleSpeed"]
        weight = device.number("length") * device.number("lanes")
        index = standards.tpi(speed, device.number("freeSpeed"))
        roads[str(device.attributes.get("road", ""))].append((device, weight, index, speed))
    rows = [row for group in roads.values() for row in group]
    total = sum(w for _, w, _, _ in rows)
    if not total:
        return Traffic(links.coverage, None, None, None, None, ())
    index = sum(w * i for _, w, i, _ in rows) / total
    found = []
    for road, group in roads.items():
        weight = sum(w for _, w, _, _ in group)
        road_index = sum(w * i for _, w, i, _ in group) / weight
        name = str(group[0][0].attributes.get("roadName", road))
        speed = sum(w * v for _, w, _, v in group) / weight
        found.append(Road(road, name, round(road_index, 2), standards.traffic_state(road_index), round(speed, 1)))
    found.sort(key=lambda r: (-r.tpi, r.road))
    return Traffic(
        links.coverage,
        round(index, 2),
        standards.traffic_state(index),
        round(sum(w * v for _, w, _, v in rows) / total, 1),
        round(sum(d.number("length") for d, _, i, _ in rows if i >= 4) / 1000, 1),
        found,
    )


def _air(coverage: Coverage, districts: Mapping[str, Sequence[str]], hours: Hours, now: int) -> Air:
    hour = air.complete(now)
    means = hours.means(hour)
    concentrations = _reported(means, list(means))
    index = standards.aqi(concentrations)
    return Air(
        coverage,
        hour if means else None,
        len(means),
        index.value,
        None if index.value is None else standards.aqi_level(index.value),
        index.primary,
        concentrations,
        index.parts,
        {district: standards.aqi(_reported(means, of)).value for district, of in districts.items()},
    )


def _reported(means: air.Means, stations: Sequence[str]) -> dict[str, float]:
    """Mean over those of these stations that have one, by pollutant, as a report has it."""
    found = {p: [means[s][p] for s in stations if p in means.get(s, ())] for p in standards.POLLUTANTS}
    return {p: standards.reported(p, m) for p, of in found.items() if (m := _mean(of)) is not None}


def _weather(stations: _Known) -> Weather:
    metrics = {m for _, o in stations.pairs for m in o.values} - {"windDirection"}
    values = {m: v for m in sorted(metrics) if (v := _mean(stations.of(m))) is not None}
    towards = [
        (o.values.get("windSpeed", 1.0), np.deg2rad(o.values["windDirection"]))
        for _, o in stations.pairs
        if "windDirection" in o.values
    ]
    if towards:
        x, y = sum(s * np.sin(a) for s, a in towards), sum(s * np.cos(a) for s, a in towards)
        values["windDirection"] = float(np.rad2deg(np.arctan2(x, y)) % 360)
    return Weather(stations.coverage, values)


def _noise(monitors: _Known, snapshot: Snapshot) -> Noise:
    bands = [snapshot.band_of(d.id) for d, o in monitors.pairs if "LAeq" in o.values]
    return Noise(monitors.coverage, _mean(b == 0 for b in bands))


def _water(stations: _Known) -> Water:
    gauge = next((o.values for _, o in stations.pairs if "waterDischarge" in o.values), {})
    classes = [c for _, o in stations.pairs if (c := standards.water_class(o.values)) is not None]
    return Water(stations.coverage, gauge.get("waterLevel"), gauge.get("waterDischarge"), max(classes, default=None))


def _parking(lots: _Known, every: Sequence[Device]) -> Parking:
    found = [
        Lot(d.id, d.name, o.values["occupancy"], round(o.values["availableSpotNumber"]))
        for d, o in lots.pairs
        if "occupancy" in o.values and "availableSpotNumber" in o.values
    ]
    found.sort(key=lambda lot: (-lot.occupancy, lot.device))
    capacity = sum(d.number("capacity") for d, _ in lots.pairs)
    occupied = sum(lots.of("occupiedSpotNumber"))
    return Parking(
        lots.coverage,
        occupied / capacity if capacity else None,
        sum(lot.free for lot in found) if found else None,
        round(sum(d.number("capacity") for d in every)),
        found,
    )


def _compute(centres: _Known, servers: _Known) -> Compute:
    values = dict(centres.pairs[0][1].values) if centres.pairs else {}
    inlets = servers.of("inletTemperature")
    return Compute(
        centres.coverage, values, max(inlets, default=None), sum(standards.COLD_AISLE.band(t) > 0 for t in inlets)
    )


def _city(lights: _Known, covers: _Known, underpasses: _Known, pumps: _Known, coverage: Coverage) -> City:
    depths = underpasses.of("waterDepth")
    return City(
        coverage,
        _mean(lights.of("illuminanceOn")),
        sum(standards.COVER.band(v) for v in covers.of("coverOpen")),
        sum(standards.UNDERPASS.band(d) == 2 for d in depths),
        max(depths, default=None),
        round(sum(pumps.of("pumpsRunning"))),
    )


def _silent(snapshot: Snapshot, unknown: npt.NDArray[np.signedinteger[Any]]) -> list[Silent]:
    found = []
    for i in unknown.tolist():
        device, last = snapshot.registry.devices[i], snapshot.last[i]
        found.append(Silent(device.id, device.name, device.domain, None if last is None else last.at))
    # A loss of a minute ago is news; one of last week is known
    found.sort(key=lambda s: (-(s.last or 0), s.device))
    return found[:STALE_LISTED]
