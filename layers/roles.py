"""What a user's own file must hold to take the place of a layer: the role it plays, its columns and their values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from layers.land import USES
from layers.network import CLASSES
from twin.observation import KINDS

Role = Literal["boundary", "districts", "roads", "bridges", "river", "landmarks", "buildings", "landuse", "devices"]

POINT = ("Point",)
LINE = ("LineString",)
AREA = ("Polygon", "MultiPolygon")


@dataclass(frozen=True)
class Column:
    """`aliases` are headings it may have instead; Shapefile cuts them to ten letters, which counts as one.

    `choices` maps what may be written to what is meant; `low` and `high` bound a number. `otherwise` stands where there
    is no value; a `needed` column has none.
    """

    name: str
    aliases: tuple[str, ...] = ()
    needed: bool = False
    number: bool = False
    low: float = float("-inf")
    high: float = float("inf")
    choices: Mapping[str, str] | None = None
    otherwise: str | float | None = None


@dataclass(frozen=True)
class Spec:
    """`geometries` allowed; `one`: exactly one feature. `district`: each feature says, or is given, where it lies."""

    geometries: tuple[str, ...]
    columns: tuple[Column, ...]
    one: bool = False
    district: bool = False


_ID = Column("id", ("编号", "ID", "Id", "code", "标识"), needed=True)
_OWN_ID = Column("id", _ID.aliases)
_NAME = Column("name", ("名称", "NAME", "Name", "名字", "路名", "title"), needed=True)
_SOME_NAME = Column("name", _NAME.aliases)

_ROAD_CLASSES = {c: c for c in CLASSES} | {
    "高速公路": "expressway",
    "高速": "expressway",
    "快速路": "expressway",
    "主干路": "arterial",
    "主干道": "arterial",
    "次干路": "collector",
    "次干道": "collector",
    "支路": "local",
}
_USES = (
    {use: use for use in USES}
    | {label: use for use, label in USES.items()}
    | {
        "工业": "industry",
        "物流": "logistics",
        "科研": "research",
        "教育": "education",
        "居住": "residential",
        "商业": "commercial",
        "村庄": "village",
        "绿地": "green",
        "水面": "water",
        "预留": "reserved",
    }
)

_ROADS = Spec(
    LINE,
    (
        _ID,
        _NAME,
        Column("road_class", ("class", "等级", "道路等级"), needed=True, choices=_ROAD_CLASSES),
        Column("lanes_total", ("lanes", "车道数"), number=True, low=1, high=20),
        Column("free_speed_kmh", ("speed", "限速", "设计速度"), number=True, low=5, high=140),
        Column("capacity_vph_per_dir", ("capacity", "通行能力"), number=True, low=50, high=20_000),
        Column("interchanges", ("互通",), otherwise=""),
    ),
)

ROLES: Mapping[Role, Spec] = {
    "boundary": Spec(AREA, (_OWN_ID, _SOME_NAME), one=True),
    "districts": Spec(
        AREA,
        (
            _ID,
            _NAME,
            Column("district_type", ("type", "类型"), otherwise="commercial_residential"),
            Column("noise_class_gb3096", ("noise", "声功能区"), number=True, low=0, high=4, otherwise=2),
        ),
    ),
    "roads": _ROADS,
    "bridges": _ROADS,
    "river": Spec((*LINE, "MultiLineString", *AREA), (_OWN_ID, _SOME_NAME)),
    "landmarks": Spec(
        POINT,
        (
            _ID,
            _NAME,
            Column("kind", ("类型", "类别"), needed=True),
            Column("width_m", ("宽度",), number=True, low=0, high=3_000, otherwise=0),
            Column("depth_m", ("进深",), number=True, low=0, high=3_000, otherwise=0),
            Column("height_m", ("高度",), number=True, low=0, high=700, otherwise=0),
            Column("floors", ("层数",), number=True, low=0, high=150, otherwise=0),
        ),
        district=True,
    ),
    "buildings": Spec(
        AREA,
        (
            _OWN_ID,
            Column("kind", ("类型", "类别", "用途"), otherwise="building"),
            _SOME_NAME,
            Column("height", ("高度", "建筑高度", "height_m"), needed=True, number=True, low=1, high=700),
            Column("floors", ("层数",), number=True, low=1, high=150),
        ),
    ),
    "landuse": Spec(
        AREA,
        (_OWN_ID, Column("use", ("用地类型", "类型", "land_use"), needed=True, choices=_USES), _SOME_NAME),
        district=True,
    ),
    "devices": Spec(
        POINT,
        (
            _ID,
            _NAME,
            Column("kind", ("类型", "设备类型"), needed=True, choices={k: k for k in KINDS}),
            Column("period_s", ("period", "周期", "上报周期"), number=True, low=1, high=86_400),
            Column("metrics", ("指标",)),
            Column("gateway", ("网关",), otherwise=""),
        ),
        district=True,
    ),
}

# What the simulators and the indicators cannot do without
DEVICE_NUMBERS: Mapping[str, tuple[str, ...]] = {
    "link-detector": ("length", "lanes", "freeSpeed", "capacity"),
    "car-park": ("capacity",),
}
# Attributes that stay text even where a file holds a number: GB 3096 has a class 2 and a class 4a
DEVICE_TEXTS = frozenset({"noiseClass", "rack", "road", "roadName", "link", "fromNode", "toNode", "use", "poi"})
