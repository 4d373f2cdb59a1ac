"""Where the zone's sensors stand: about 1,200 devices from the layers, deterministic for a seed.

A detector on every directed link; the rest by what stands where. Positions are in EPSG:4545 until the last step.
A device lies in the district that it names, and reports through a gateway of that district.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import shapely
from shapely import Point
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from layers import cells
from layers.place import INDUSTRIAL, Place, longest
from twin.registry import Device, Registry

GATEWAY_SIZE = 60  # most devices behind one gateway: losing it silences a quarter, not a district
HEADINGS = {"E": "东向", "W": "西向", "N": "北向", "S": "南向"}


def registry(folder: Path | None, rng: np.random.Generator) -> Registry:
    """All devices with their gateways, kind by kind in a fixed order."""
    place = Place(folder, rng)
    found = [
        *_detectors(place),
        *_air(place),
        *_noise(place),
        *_weather(place),
        *_water(place),
        *_soil(place),
        *_car_parks(place),
        *_compute(place),
        *_lights_and_covers(place),
        *_drainage(place),
    ]
    # Cells of the city grid are counted at the hotline: they have no gateway in the field
    return Registry([*_behind_gateways(found), *cells.devices(place)])


def _behind_gateways(found: Sequence[Device]) -> list[Device]:
    """Neighbours from west to east share a gateway."""
    groups: dict[str, list[Device]] = defaultdict(list)
    for d in sorted(found, key=lambda d: (round(d.lon, 3), d.lat, d.id)):
        groups[d.district].append(d)
    gateway: dict[str, str] = {}
    for district, members in groups.items():
        size = -(-len(members) // -(-len(members) // GATEWAY_SIZE))
        stem = district.removeprefix("dist:")
        gateway |= {d.id: f"gw-{stem}-{i // size + 1}" for i, d in enumerate(members)}
    return [msgspec.structs.replace(d, gateway=gateway[d.id]) for d in found]


# ---------------------------------------------------------------- traffic


def _detectors(place: Place) -> Iterator[Device]:
    crossing: dict[str, list[str]] = defaultdict(list)
    for link in place.links.itertuples():
        for node in (link.fromNode, link.toNode):
            if link.name not in crossing[node]:
                crossing[node].append(link.name)

    def end(node: str, road: str) -> str:
        return next((n for n in crossing[node] if n != road), str(place.nodes[node].name).removeprefix(road))

    for link in place.links.itertuples():
        ends = f"{end(link.fromNode, link.name)}→{end(link.toNode, link.name)}"
        yield place.device(
            f"td-{link.id}",
            f"{link.name} {ends}（{HEADINGS[link.direction]}）",
            "link-detector",
            place.beside(link, 0.5, 12.0),
            link=link.id,
            road=link.road,
            roadName=link.name,
            roadClass=link.roadClass,
            fromNode=link.fromNode,
            toNode=link.toNode,
            length=float(link.length),
            lanes=float(link.lanes),
            freeSpeed=float(link.freeSpeed),
            capacity=float(link.capacity),
        )


# ---------------------------------------------------------------- environment

# A plant from which a plume drifts south-east: stations upwind of it and at these metres downwind, so that readings
# tell the source. At 1.2 m/s the front takes 12 minutes from the first to the second.
PLANT = "poi:kelong"
PLUME_M = (-900.0, 150.0, 1_014.0, 1_900.0)


def _air(place: Place) -> Iterator[Device]:
    for district, n in place.shares(24 - len(PLUME_M)).items():
        for k, at in enumerate(place.scatter(place.ground(district), n, 2_500), 1):
            yield place.device(place.next("aq"), f"{place.name(district)}{k}号空气站", "air-station", at)
    if PLANT in place.marks:
        plant = place.marks[PLANT]
        for metres in PLUME_M:
            at = translate(plant.geometry, metres * np.sqrt(0.5), -metres * np.sqrt(0.5))
            side = "上风向" if metres < 0 else f"下风向{metres:.0f}米"
            yield place.device(
                place.next("aq"), f"{plant.name}{side}空气站", "air-station", at, poi=PLANT, downwind=metres
            )


# Open-air stage, and how far from it its own monitor listens
STAGE, STAGE_M = "poi:music", 150.0


def _noise(place: Place) -> Iterator[Device]:
    """A third beside main roads (class 4a reaches some 35 m from the kerb, GB/T 15190), the rest amid the districts."""
    main = [s for s in place.streets if s.roadClass == "arterial"]
    for i in np.linspace(0, len(main) - 1, 20).round().astype(int):
        link = main[i]
        yield place.device(
            place.next("ns"),
            f"{link.name}道路交通噪声监测点",
            "noise-monitor",
            place.beside(link, 0.35, 30.0),
            noiseClass="4a",
            road=link.road,
        )
    for district, n in place.shares(40, least=2).items():
        usual = getattr(place.districts[district], "noise_class_gb3096", 2)
        for k, at in enumerate(place.scatter(place.ground(district), n, 1_500), 1):
            name = f"{place.name(district)}{k}号噪声监测点"
            yield place.device(place.next("ns"), name, "noise-monitor", at, noiseClass=str(usual))
    if STAGE in place.marks:
        yield _by_the_stage(place)


def _by_the_stage(place: Place) -> Device:
    """STAGE_M from the stage, on the side where no street is heard."""
    mark = place.marks[STAGE]
    roads = shapely.union_all([s.geometry for s in place.streets])
    turns = np.arange(16) * np.pi / 8
    away = [(STAGE_M * np.sin(a), STAGE_M * np.cos(a)) for a in turns]
    east, north = max(away, key=lambda d: translate(mark.geometry, *d).distance(roads))
    at = translate(mark.geometry, east, north)
    name = f"{mark.name}{STAGE_M:.0f}米噪声监测点"
    more = {"stageEast": round(float(-east), 1), "stageNorth": round(float(-north), 1)}
    return place.device(place.next("ns"), name, "noise-monitor", at, noiseClass="2", poi=STAGE, **more)


def _weather(place: Place) -> Iterator[Device]:
    largest = sorted(place.inner, key=lambda d: (-place.inner[d].area, d))[:6]
    for district in largest:
        at = place.ground(district).representative_point()
        yield place.device(place.next("wx"), f"{place.name(district)}气象站", "weather-station", at)


def _water(place: Place) -> Iterator[Device]:
    """The gauge and five sections along the bank, and the outfalls of two districts, where these are nearest to it."""
    belt = next((d for d in place.inner if place.type(d) == "ecology"), None)
    lines = [g for g in place.river.geometry if g.geom_type == "LineString"]
    if belt is None or not lines:
        return
    bank = place.inner[belt].buffer(-2)
    west, _, east, _ = bank.bounds
    river = longest(lines[-1].intersection(shapely.box(west, -1e8, east, 1e8)))
    if river is None:
        return

    def by_river(p: BaseGeometry, within: BaseGeometry) -> Point:
        return shapely.ops.nearest_points(within, p)[0]

    if len(place.bridges):
        crossing = place.bridges.geometry.iloc[0].intersection(river)
        yield place.device(
            "ws-wei-gauge", "渭河高新水文站（大桥断面）", "water-station", by_river(crossing.centroid, bank)
        )
    for share in np.linspace(0.06, 0.94, 5):
        at = by_river(river.interpolate(share, normalized=True), bank)
        id = place.next("ws")
        yield place.device(id, f"渭河{int(id[3:])}号水质断面", "water-station", at)
    works = sorted(
        (d for d in place.inner if place.type(d) in INDUSTRIAL), key=lambda d: place.inner[d].distance(river)
    )
    for district in works[:2]:
        at = by_river(river, place.inner[district].buffer(-30))
        yield place.device(place.next("ws"), f"{place.name(district)}雨污排口", "water-station", at)


def _soil(place: Place) -> Iterator[Device]:
    for district, n in place.shares(12).items():
        soft = place.ground(district, ("farmland", "park", "green"))
        for k, at in enumerate(place.scatter(soft, n, 1_500), 1):
            yield place.device(place.next("so"), f"{place.name(district)}{k}号土壤站", "soil-station", at)


# ---------------------------------------------------------------- parking

# landmark, use, spaces. The two event grounds have 1,800 between them
_LOTS: Sequence[tuple[str, str, int]] = (
    ("poi:lsd-park", "park", 1_100),
    ("poi:music", "park", 700),
    ("poi:kite", "park", 600),
    ("poi:monet", "park", 240),
    ("poi:live", "mall", 1_260),
    ("poi:ai-hub", "office", 380),
    ("poi:brain", "office", 240),
    ("poi:digital", "office", 160),
    ("poi:dc-300p", "office", 120),
    ("poi:g85", "factory_shift", 900),
    ("poi:caihong", "factory_shift", 1_200),
    ("poi:incubator", "office", 420),
    ("poi:shengyi", "factory_shift", 520),
    ("poi:mengtao", "school_pickup", 90),
    ("poi:first-school", "school_pickup", 110),
    ("poi:fangnan", "school_pickup", 70),
    ("poi:xinyue", "mall", 320),
    ("poi:fourpoints", "mall", 280),
    ("poi:qidian", "mall", 150),
    ("poi:unipark", "office", 650),
    ("poi:xjtu", "office", 540),
    ("poi:poc", "office", 180),
    ("poi:biocity", "office", 480),
    ("poi:buchang", "factory_shift", 760),
    ("poi:fukou", "factory_shift", 340),
    ("poi:hydrogen", "office", 300),
    ("poi:kelong", "factory_shift", 420),
    ("poi:xixiang", "office", 260),
    ("poi:taishibang", "factory_shift", 380),
    ("poi:huatai", "factory_shift", 300),
    ("poi:dukepu", "factory_shift", 320),
)
# What the lots of ordinary parcels are: use of land → how many, what they are called, use, range of spaces
_ORDINARY: dict[str, tuple[int, str, str, tuple[int, int]]] = {
    "residential": (7, "居住区", "residential", (220, 900)),
    "commercial": (6, "商业街区", "mall", (260, 700)),
    "education": (3, "学校", "school_pickup", (60, 140)),
    "research": (5, "科研园", "office", (180, 460)),
    "industry": (5, "厂区", "factory_shift", (160, 520)),
    "park": (3, "滨河公园", "park", (120, 300)),
}
EVENT, EVENT_SPILL_M = "poi:lsd-park", 800.0
# Where the crowd of an event goes on foot from: not a works' yard nor a school's
_SPILL = {"commercial": "mall", "research": "office", "residential": "residential"}


def _car_parks(place: Place) -> Iterator[Device]:
    for mark, use, spaces in _LOTS:
        if mark in place.marks:
            m = place.marks[mark]
            corner = translate(place.grid.flat(m.geometry), 0.4 * m.width_m, -0.42 * m.depth_m)
            yield _lot(place, f"{m.name}停车场", use, spaces, place.grid.turned(corner), poi=mark)
    ordinary = place.parcels[place.parcels.landmark.isna() & (place.parcels.area > 25_000)]
    near = _around_the_event(place, ordinary)
    for k, parcel in enumerate(near, 1):
        yield _lot(place, f"两寺渡周边{k}号停车场", _SPILL[parcel.use], 180 + 60 * k, _middle(parcel))
    yield from _ordinary_lots(place, ordinary[~ordinary.id.isin([p.id for p in near])])
    kerbs = [s for s in place.streets if s.roadClass in ("collector", "local")]
    for k, i in enumerate(_evenly(len(kerbs), 20), 1):
        spaces, at = int(place.rng.integers(24, 80)), place.beside(kerbs[i], 0.7, 14.0)
        yield _lot(place, f"{kerbs[i].name}路侧停车{k}段", "mall", spaces, at, street=kerbs[i].road)


def _around_the_event(place: Place, parcels: Any) -> list[Any]:
    if EVENT not in place.marks:
        return []
    away = parcels.geometry.representative_point().distance(place.marks[EVENT].geometry)
    near = parcels[parcels.use.isin(list(_SPILL)) & (away < EVENT_SPILL_M - 50)]
    return list(near.loc[away[near.index].sort_values(kind="stable").index].head(6).itertuples())


def _ordinary_lots(place: Place, parcels: Any) -> Iterator[Device]:
    for land, (n, label, use, spaces) in _ORDINARY.items():
        some = list(parcels[parcels.use == land].itertuples())
        for k, i in enumerate(_evenly(len(some), n), 1):
            size = int(place.rng.integers(*spaces) // 10 * 10)
            yield _lot(place, f"{place.name(some[i].district)}{label}{k}号停车场", use, size, _middle(some[i]))
    # No hospital is named in the sources: two, as any town of this size has
    homes = list(parcels[parcels.use == "residential"].itertuples())
    for k, i in enumerate(_evenly(len(homes), 2), 1):
        yield _lot(place, f"综合医院{k}（示意）停车场", "hospital", 420 - 60 * k, translate(_middle(homes[i]), 40, 40))


def _evenly(total: int, n: int) -> list[int]:
    return [int((i + 0.5) * total / n) for i in range(min(n, total))]


def _middle(parcel: Any) -> Point:
    return parcel.geometry.representative_point()


def _lot(place: Place, name: str, use: str, spaces: int, at: Point, *, poi: str = "", street: str = "") -> Device:
    more: dict[str, str | float] = {k: v for k, v in {"poi": poi, "road": street}.items() if v}
    on_street = float(bool(street))
    return place.device(
        place.next("pk"), name, "car-park", at, capacity=float(spaces), use=use, onStreet=on_street, **more
    )


# ---------------------------------------------------------------- compute

HALL = "poi:dc-300p"
CARDS, SERVERS, PER_RACK, RACKS_A_ROW = 8, 120, 4, 6


def _compute(place: Place) -> Iterator[Device]:
    """The 300P hall: 30 racks of four eight-card servers in five rows; chillers to its north, power to its south."""
    if HALL not in place.marks:
        return
    mark = place.marks[HALL]
    centre = place.grid.flat(mark.geometry)

    def at(dx: float, dy: float) -> Point:
        return place.grid.turned(translate(centre, dx, dy))

    cards = float(CARDS * SERVERS)
    yield place.device("cc-300p", mark.name, "compute-centre", at(0, 0), nameplateP=300.0, cards=cards, poi=HALL)
    for i in range(SERVERS):
        rack, slot = divmod(i, PER_RACK)
        row, column = divmod(rack, RACKS_A_ROW)
        yield place.device(
            place.next("sv", 3),
            f"算力服务器 {row + 1}排{column + 1}柜{slot + 1}",
            "server",
            at(-46 + column * 16 + slot * 3.2, -24 + row * 12),
            rack=f"R{rack + 1:02d}",
            cards=float(CARDS),
        )
    for i in range(4):
        spare = "（备用）" if i == 3 else ""
        yield place.device(
            f"ch-{i + 1}", f"{i + 1}号冷水机组{spare}", "chiller", at(-42 + i * 28, 52), standby=float(i == 3)
        )
    for i in range(4):
        yield place.device(f"pu-{i + 1}", f"{i + 1}号供配电单元", "power-unit", at(-42 + i * 28, -52))
    yield from _pools(place)


PLANNED = "poi:dc-1000p"
TERMINAL, DISPATCH = "poi:ai-hub", "poi:brain"  # where the lines to other cities end, and where jobs are sent from
_LINE = ("linkLatency", "linkUtilization")
# id, city, PFLOPS, cards, milliseconds there and back: the cities are known, the sizes are assumed
_LINKED = (("cp-zhengzhou", "郑州", 200.0, 640.0, 9.0), ("cp-hangzhou", "杭州", 500.0, 1_600.0, 27.0))


def _pools(place: Place) -> Iterator[Device]:
    """The planned centre, the pools of other cities at the terminal of their lines, and the dispatch."""
    if PLANNED in place.marks:
        mark = place.marks[PLANNED]
        centre = place.device(
            "cp-1000p", mark.name, "compute-pool", mark.geometry, nameplateP=1_000.0, planned=1.0, poi=PLANNED
        )
        yield msgspec.structs.replace(centre, metrics=tuple(m for m in centre.metrics if m not in _LINE))
    if TERMINAL in place.marks:
        flat = place.grid.flat(place.marks[TERMINAL].geometry)
        for i, (id, city, nameplate, cards, latency) in enumerate(_LINKED):
            at = place.grid.turned(translate(flat, -20 + 40 * i, 0))
            more: dict[str, str | float] = {"nameplateP": nameplate, "cards": cards, "latencyMs": latency}
            yield place.device(id, f"{city}算力池（专线接入，示意）", "compute-pool", at, city=city, gbps=100.0, **more)
    if DISPATCH in place.marks:
        yield place.device("cd-1", "算力调度中心", "dispatch", place.marks[DISPATCH].geometry, poi=DISPATCH)


# ---------------------------------------------------------------- city facilities


def _along(place: Place, n: int, offset: float) -> Iterator[tuple[Any, Point]]:
    """n places at equal steps along all streets laid end to end, by turns to the right and the left of them."""
    ends = np.cumsum([s.geometry.length for s in place.streets])
    for i, s in enumerate((np.arange(n) + 0.5) * ends[-1] / n):
        link = place.streets[k := int(np.searchsorted(ends, s))]
        share = 1 - (ends[k] - s) / link.geometry.length
        yield link, place.beside(link, float(share), offset if i % 2 else -offset)


def _lights_and_covers(place: Place) -> Iterator[Device]:
    for link, at in _along(place, 160, 16.0):
        id = place.next("sl", 3)
        yield place.device(id, f"{link.name}路灯控制柜{int(id[3:])}", "street-light", at, road=link.road)
    for link, at in _along(place, 200, 6.0):
        id = place.next("mh", 3)
        yield place.device(id, f"{link.name}井盖{int(id[3:])}", "manhole", at, road=link.road)


UNDERPASSES = 8
RAIL = "road:ew:04"  # 星火大道 dips under a railway spur


def _drainage(place: Place) -> Iterator[Device]:
    for link, at in _along(place, 14, 36.0):
        id = place.next("ps")
        name = f"{link.name}排水泵站{int(id[3:])}"
        yield place.device(id, name, "pumping-station", at, road=link.road, pumps=4.0)
    rail = [s for s in place.streets if s.road == RAIL]
    if rail:
        middle = rail[len(rail) // 2]
        at = place.beside(middle, 0.4, 0.5)
        yield place.device(
            place.next("up"), f"{middle.name}下穿铁路专用线", "underpass", at, road=RAIL, link=middle.id, under="rail"
        )
    for link, at, over in _under_expressways(place)[: UNDERPASSES - bool(rail)]:
        yield place.device(
            place.next("up"),
            f"{link.name}下穿{over.name}",
            "underpass",
            at,
            road=link.road,
            link=link.id,
            under=over.id,
        )


def _under_expressways(place: Place) -> list[tuple[Any, Point, Any]]:
    """(link, point, expressway) where a street passes below one, main streets first; a bridge passes above."""
    found = []
    for over in place.roads[place.roads.road_class == "expressway"].itertuples():
        for road in place.roads[place.roads.road_class != "expressway"].itertuples():
            cut = road.geometry.intersection(over.geometry)
            near = [s for s in place.streets if s.road == road.id and not cut.is_empty and s.geometry.distance(cut) < 5]
            if near and not isinstance(near[0].bridge, str):
                found.append((near[0], cut.centroid, over))
    return sorted(found, key=lambda f: (-f[0].lanes, f[0].id))
