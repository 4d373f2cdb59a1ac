"""Where the zone's sensors stand: about 1,200 devices drawn from the layers, deterministic for a seed.

Detectors on every directed link; the rest spread over the districts by what stands there. Positions are in EPSG:4545 until
the last step. A device lies in the district that it names, and reports through a gateway of that district.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from shapely import Point
from shapely.geometry.base import BaseGeometry

from layers import zone
from twin.observation import KINDS, Domain
from twin.registry import Device, Registry

GATEWAY_SIZE = 50  # devices behind one gateway: one lost gateway is a street's worth, not a district's
DIRECTIONS = {"E": "东向", "W": "西向", "N": "北向", "S": "南向"}
INDUSTRIAL = frozenset({"dist:materials", "dist:biopharma", "dist:equipment", "dist:display"})


class _Site:
    """The districts in EPSG:4545, and how a device comes to be in one of them."""

    def __init__(self, districts: gpd.GeoDataFrame, rng: np.random.Generator) -> None:
        self.rng = rng
        self.rows = list(districts.itertuples())
        # A margin, so that rounding to 7 decimals cannot carry a device over a border
        self.inner: dict[str, BaseGeometry] = {d.id: d.geometry.buffer(-3) for d in self.rows}
        self.names: dict[str, str] = {d.id: d.name for d in self.rows}
        self.noise: dict[str, str] = {d.id: str(d.noise_class_gb3096) for d in self.rows}
        self._whole = shapely.union_all(list(self.inner.values()))
        self._to_degrees = _transformer()

    def inside(self, point: Point) -> Point:
        """The point itself, or the nearest one that lies well within a district."""
        return (
            point
            if self._whole.contains(point)
            else shapely.ops.nearest_points(self._whole, point)[0].buffer(0.5).centroid
        )

    def district(self, point: Point) -> str:
        return min(self.inner, key=lambda d: (self.inner[d].distance(point), d))

    def device(self, id: str, name: str, kind: str, point: Point, **attributes: str | float) -> Device:
        district = self.district(point)
        if not self.inner[district].contains(point):
            point = shapely.ops.nearest_points(self.inner[district].buffer(-1), point)[0]
        lon, lat = self._to_degrees.transform(point.x, point.y)
        metrics = KINDS[kind].metrics
        if kind == "air-station" and district not in INDUSTRIAL:
            metrics = tuple(m for m in metrics if m != "volatileOrganicCompoundsTotal")
        return Device(
            id=id,
            name=name,
            kind=kind,
            district=district,
            lon=round(float(lon), 7),
            lat=round(float(lat), 7),
            metrics=metrics,
            period_s=KINDS[kind].period_s,
            attributes=attributes,
        )


def _transformer() -> Any:
    import pyproj

    return pyproj.Transformer.from_crs(zone.METRIC, zone.STORED, always_xy=True)


def registry(
    districts: gpd.GeoDataFrame,
    nodes: gpd.GeoDataFrame,
    links: gpd.GeoDataFrame,
    blocks: gpd.GeoDataFrame,
    landmarks: gpd.GeoDataFrame,
    rng: np.random.Generator,
) -> Registry:
    """All devices with their gateways, in a fixed order. All frames in EPSG:4545."""
    site = _Site(districts, rng)
    marks = {m.id: m for m in landmarks.itertuples()}
    found = [
        *_detectors(site, links),
        *_environment(site, blocks, links, marks),
        *_car_parks(site, blocks, links, marks),
        *_compute(site, marks["poi:dc-300p"].geometry),
        *_city(site, links),
    ]
    return Registry(_behind_gateways(found))


def _behind_gateways(found: Sequence[Device]) -> Iterator[Device]:
    import msgspec

    seen: Counter[tuple[str, Domain]] = Counter()
    for d in found:
        key = d.district, d.domain
        number = seen[key] // GATEWAY_SIZE + 1
        seen[key] += 1
        name = f"gw-{d.district.removeprefix('dist:')}-{d.domain}-{number}"
        yield msgspec.structs.replace(d, gateway=name)


def _detectors(site: _Site, links: gpd.GeoDataFrame) -> Iterator[Device]:
    crossing = _crossings(links)
    for link in links.itertuples():
        # At the middle, on the right-hand side of the direction of travel
        middle = link.geometry.interpolate(0.5, normalized=True)
        ahead = link.geometry.interpolate(0.51, normalized=True)
        dx, dy = ahead.x - middle.x, ahead.y - middle.y
        length = float(np.hypot(dx, dy))
        side = Point(middle.x + dy / length * 12, middle.y - dx / length * 12)
        ends = "→".join(n for n in (crossing(link.fromNode, link.name), crossing(link.toNode, link.name)) if n)
        name = f"{link.name} {ends}（{DIRECTIONS[link.direction]}）"
        yield site.device(
            f"td-{link.id}",
            name,
            "link-detector",
            site.inside(side),
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


def _crossings(links: gpd.GeoDataFrame) -> Any:
    """(node, road) → the name of another road that meets there, empty at the end of the network."""
    at: dict[str, set[str]] = defaultdict(set)
    for link in links.itertuples():
        at[link.fromNode].add(link.name)
        at[link.toNode].add(link.name)
    return lambda node, road: next(iter(sorted(at[node] - {road})), "")


def _spread(site: _Site, within: BaseGeometry, n: int, apart: float) -> list[Point]:
    """n points inside, as far apart as `apart` metres where there is room for that."""
    x0, y0, x1, y1 = within.bounds
    found: list[Point] = []
    shapely.prepare(within)
    for attempt in range(20_000):
        if len(found) == n:
            break
        p = Point(site.rng.uniform(x0, x1), site.rng.uniform(y0, y1))
        room = apart * 0.97 ** (attempt // 40)
        if within.contains(p) and all(p.distance(q) > room for q in found):
            found.append(p)
    return found


def _shares(site: _Site, total: int, least: int = 1) -> dict[str, int]:
    """`total` devices over the districts by the square root of their areas, at least `least` each."""
    weights = {d: float(np.sqrt(g.area)) for d, g in site.inner.items()}
    rest = total - least * len(weights)
    exact = {d: rest * w / sum(weights.values()) for d, w in weights.items()}
    share = {d: least + int(e) for d, e in exact.items()}
    for d in sorted(exact, key=lambda d: (int(exact[d]) - exact[d], d))[: total - sum(share.values())]:
        share[d] += 1
    return share


def _environment(
    site: _Site, blocks: gpd.GeoDataFrame, links: gpd.GeoDataFrame, marks: dict[str, Any]
) -> Iterator[Device]:
    number = 0
    for district, n in _shares(site, 20).items():
        for p in _spread(site, site.inner[district].buffer(-150), n, 2_500):
            number += 1
            yield site.device(f"aq-{number:02d}", f"{site.names[district]}{number}号空气站", "air-station", p)
    # A line of four across the new-materials park along the prevailing wind, so that a plume can be told from its source
    plant = marks["poi:kelong"].geometry
    for dx, dy in ((-900, 900), (150, -150), (700, -700), (1400, -1400)):
        number += 1
        p = Point(plant.x + dx, plant.y + dy)
        yield site.device(f"aq-{number:02d}", f"新材料园{number}号空气站", "air-station", site.inside(p))
    yield from _noise(site, links)
    for i, (district, n) in enumerate(_shares(site, 12).items()):
        for p in _spread(site, site.inner[district].buffer(-100), n, 1_500):
            yield site.device(
                f"so-{district.removeprefix('dist:')}-{n}{i}{int(p.x) % 97:02d}",
                f"{site.names[district]}土壤站",
                "soil-station",
                p,
            )
    for i, district in enumerate(("river", "mixed", "university", "materials", "equipment", "aihub"), 1):
        p = _spread(site, site.inner[f"dist:{district}"].buffer(-200), 1, 1)[0]
        yield site.device(f"wx-{i:02d}", f"{site.names[f'dist:{district}']}气象站", "weather-station", p)
    yield from _water(site, marks)


def _noise(site: _Site, links: gpd.GeoDataFrame) -> Iterator[Device]:
    """A third beside main roads (class 4a within 35 m of one), the rest amid the districts."""
    main = links[(links.roadClass == "arterial") & (links.direction.isin(["E", "N"]))]
    number = 0
    for link in main.iloc[:: max(1, len(main) // 20)].head(20).itertuples():
        number += 1
        middle = link.geometry.interpolate(0.35, normalized=True)
        p = site.inside(Point(middle.x + 25, middle.y + 25))
        yield site.device(f"ns-{number:02d}", f"{link.name}噪声监测点", "noise-monitor", p, noiseClass="4a")
    for district, n in _shares(site, 40, least=2).items():
        for p in _spread(site, site.inner[district].buffer(-120), n, 1_200):
            number += 1
            name = f"{site.names[district]}噪声监测点"
            yield site.device(f"ns-{number:02d}", name, "noise-monitor", p, noiseClass=site.noise[district])


def _water(site: _Site, marks: dict[str, Any]) -> Iterator[Device]:
    river = site.inner["dist:river"]
    bank = zone.measured("river")
    line = bank[bank.id == "river:wei:centre"].geometry.iloc[0]
    bridge = zone.measured("roads")
    north_end = bridge[bridge.id == "bridge:wei"].geometry.iloc[0].interpolate(0)
    gauge = shapely.ops.nearest_points(river.buffer(-5), north_end)[0]
    yield site.device("ws-wei-gauge", "渭河高新水文站", "water-station", gauge)
    west, east = (river.bounds[0], river.bounds[2])
    along = [line.interpolate(line.project(Point(x, gauge.y))) for x in np.linspace(west + 800, east - 800, 5)]
    for i, p in enumerate(along, 1):
        on_bank = shapely.ops.nearest_points(river.buffer(-5), p)[0]
        yield site.device(f"ws-{i:02d}", f"渭河{i}号水质断面", "water-station", on_bank)
    for i, district in enumerate(("materials", "display"), 6):
        p = _spread(site, site.inner[f"dist:{district}"].buffer(-200), 1, 1)[0]
        yield site.device(f"ws-{i:02d}", f"{site.names[f'dist:{district}']}排口", "water-station", p)


# use, spaces, and which landmarks have one of their own
_LOTS: Sequence[tuple[str, str, str, int]] = (
    ("poi:lsd-park", "两寺渡公园停车场", "park", 1_100),
    ("poi:music", "音乐节场地停车场", "park", 700),
    ("poi:kite", "风筝节场地停车场", "park", 600),
    ("poi:live", "高新Live地下停车场", "mall", 1_260),
    ("poi:ai-hub", "AI创新港停车场", "office", 380),
    ("poi:brain", "运营服务中心停车场", "office", 240),
    ("poi:digital", "数字会客厅停车场", "office", 160),
    ("poi:dc-300p", "算力中心停车场", "office", 120),
    ("poi:g85", "彩虹基板玻璃厂区停车场", "factory_shift", 900),
    ("poi:caihong", "彩虹光电厂区停车场", "factory_shift", 1_200),
    ("poi:incubator", "电子显示孵化器停车场", "office", 420),
    ("poi:shengyi", "生益科技停车场", "factory_shift", 520),
    ("poi:mengtao", "高新梦桃学校停车场", "school_pickup", 90),
    ("poi:first-school", "高新第一学校停车场", "school_pickup", 110),
    ("poi:fangnan", "纺南城小学停车场", "school_pickup", 70),
    ("poi:xinyue", "新悦国际酒店停车场", "mall", 320),
    ("poi:fourpoints", "福朋喜来登酒店停车场", "mall", 280),
    ("poi:qidian", "启点酒店停车场", "mall", 150),
    ("poi:unipark", "国家大学科技园停车场", "office", 650),
    ("poi:xjtu", "西安交大创新港停车场", "office", 540),
    ("poi:biocity", "咸阳生物城停车场", "office", 480),
    ("poi:buchang", "步长制药停车场", "factory_shift", 760),
    ("poi:fukou", "福蔻光学停车场", "factory_shift", 340),
    ("poi:hydrogen", "氢能创新园停车场", "office", 300),
    ("poi:kelong", "科隆新材料停车场", "factory_shift", 420),
    ("poi:xixiang", "西橡院停车场", "office", 260),
    ("poi:taishibang", "泰世邦停车场", "factory_shift", 380),
    ("poi:huatai", "华泰厨具停车场", "factory_shift", 300),
    ("poi:dukepu", "杜克普停车场", "factory_shift", 320),
)
_BLOCK_USE = {
    "residential": ("住区", "residential", (220, 900)),
    "commercial": ("商业", "mall", (260, 700)),
    "education": ("校区", "office", (120, 320)),
    "research": ("园区", "office", (180, 460)),
    "industry": ("厂区", "factory_shift", (160, 520)),
    "park": ("河岸", "park", (120, 300)),
}


def _car_parks(
    site: _Site, blocks: gpd.GeoDataFrame, links: gpd.GeoDataFrame, marks: dict[str, Any]
) -> Iterator[Device]:
    number = 0

    def lot(name: str, use: str, spaces: int, point: Point, on_street: bool = False) -> Device:
        nonlocal number
        number += 1
        return site.device(
            f"pk-{number:02d}",
            name,
            "car-park",
            site.inside(point),
            capacity=float(spaces),
            use=use,
            onStreet=float(on_street),
        )

    for mark, name, use, spaces in _LOTS:
        p = marks[mark].geometry
        yield lot(name, use, spaces, Point(p.x + 70, p.y - 60))
    # Where an event at the park spills to: four lots within 800 m of it
    park = marks["poi:lsd-park"].geometry
    for i, (dx, dy) in enumerate(((-420, 160), (-250, 480), (-560, -120), (-100, 620)), 1):
        yield lot(
            f"两寺渡周边{i}号停车场", "mall" if i % 2 else "residential", 180 + 60 * i, Point(park.x + dx, park.y + dy)
        )
    for use, (label, kind, (low, high)) in _BLOCK_USE.items():
        some = blocks[(blocks.use == use) & (blocks.area > 60_000)]
        for block in some.iloc[:: max(1, len(some) // 5)].head(5).itertuples():
            spaces = int(site.rng.integers(low, high) // 10 * 10)
            yield lot(
                f"{site.names[block.district]}{label}停车场{number + 1}",
                kind,
                spaces,
                block.geometry.representative_point(),
            )
    streets = links[
        (links.roadClass != "expressway") & (links.direction.isin(["E", "N"])) & (links.road != "bridge:wei")
    ]
    for link in streets.iloc[7 :: len(streets) // 20].head(20).itertuples():
        p = link.geometry.interpolate(0.7, normalized=True)
        yield lot(
            f"{link.name}路侧停车{number + 1}", "mall", int(site.rng.integers(24, 80)), Point(p.x - 16, p.y + 16), True
        )


def _compute(site: _Site, hall: Point) -> Iterator[Device]:
    """The 300P hall: 30 racks of four eight-card servers in five rows, chillers and power beside it."""
    yield site.device("cc-300p", "300P先进算力中心", "compute-centre", hall, nameplateP=300.0, cards=960.0)
    for i in range(120):
        rack, slot = divmod(i, 4)
        row, column = divmod(rack, 6)
        p = Point(hall.x - 36 + column * 13 + slot * 2.4, hall.y - 22 + row * 11)
        yield site.device(
            f"sv-{i + 1:03d}",
            f"算力服务器 {row + 1}排{column + 1}柜{slot + 1}",
            "server",
            p,
            rack=f"R{rack + 1:02d}",
            cards=8.0,
        )
    for i in range(4):
        p = Point(hall.x - 45 + i * 28, hall.y + 52)
        yield site.device(
            f"ch-{i + 1}", f"{i + 1}号冷水机组" + ("（备用）" if i == 3 else ""), "chiller", p, standby=float(i == 3)
        )
    for i in range(4):
        yield site.device(f"pu-{i + 1}", f"{i + 1}号供配电单元", "power-unit", Point(hall.x - 45 + i * 28, hall.y - 52))


def _city(site: _Site, links: gpd.GeoDataFrame) -> Iterator[Device]:
    streets = links[
        (links.roadClass != "expressway") & (links.direction.isin(["E", "N"])) & (links.road != "bridge:wei")
    ]
    lengths = streets.length.to_numpy(float)

    def along(n: int, offset: float) -> Iterator[tuple[Any, Point]]:
        """n places at equal steps along all streets laid end to end, `offset` metres to their left."""
        ends = np.cumsum(lengths)
        for s in (np.arange(n) + 0.5) * ends[-1] / n:
            i = int(np.searchsorted(ends, s))
            link = next(streets.iloc[[i]].itertuples())
            p = link.geometry.interpolate(s - (ends[i] - lengths[i]))
            yield link, site.inside(Point(p.x - offset, p.y + offset))

    for i, (link, p) in enumerate(along(160, 14), 1):
        yield site.device(f"sl-{i:03d}", f"{link.name}路灯控制柜{i}", "street-light", p, road=link.road)
    for i, (link, p) in enumerate(along(200, 5), 1):
        yield site.device(f"mh-{i:03d}", f"{link.name}井盖{i}", "manhole", p, road=link.road)
    for i, (link, p) in enumerate(along(14, 40), 1):
        yield site.device(f"ps-{i:02d}", f"{link.name}排水泵站{i}", "pumping-station", p, road=link.road, pumps=4.0)
    yield from _underpasses(site)


def _underpasses(site: _Site) -> Iterator[Device]:
    """Where the north-south roads pass under the expressway, and 星火大道 under the railway spur."""
    roads = zone.measured("roads")
    expressway = roads[roads.id == "road:ew:x1"].geometry.iloc[0]
    number = 0
    for road in roads[(roads.orientation == "NS")].itertuples():
        cut = road.geometry.intersection(expressway)
        if cut.is_empty or number == 7:
            continue
        number += 1
        yield site.device(
            f"up-{number}", f"{road.name}下穿西宝高速", "underpass", site.inside(cut.centroid), road=road.id
        )
    spark = roads[roads.id == "road:ew:04"].itertuples()
    street = next(iter(spark))
    p = street.geometry.interpolate(0.42, normalized=True)
    yield site.device(f"up-{number + 1}", "星火大道下穿铁路", "underpass", site.inside(p), road=street.id)
