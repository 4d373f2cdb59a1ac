"""A zone of any size for the simulators' tests: a grid of roads with everything that stands beside them."""

from itertools import count, pairwise

import msgspec

from twin.observation import KINDS
from twin.registry import Device, Registry

_LON, _LAT = 108.53, 34.27
_STEP_LON, _STEP_LAT = 0.0105, 0.0085

_CLASS = {
    "arterial": {"lanes": 3, "freeSpeed": 60, "capacity": 2700},
    "collector": {"lanes": 2, "freeSpeed": 50, "capacity": 1600},
    "local": {"lanes": 1, "freeSpeed": 40, "capacity": 700},
    "expressway": {"lanes": 4, "freeSpeed": 100, "capacity": 7200},
}
_USES = ("office", "mall", "factory_shift", "hospital", "park", "school_pickup")


def zone(
    columns: int = 4,
    rows: int = 4,
    *,
    parks: int = 8,
    servers: int = 12,
    stations: int = 3,
    monitors: int = 4,
    lights: int = 4,
    covers: int = 6,
    cells: int = 4,
) -> Registry:
    devices: list[Device] = []
    number = count()

    def add(kind: str, x: float, y: float, district: str = "dist:mixed", **attributes: str | float) -> None:
        i = next(number)
        devices.append(
            Device(
                id=f"{kind}-{i:04d}",
                name=f"{kind} {i}",
                kind=kind,
                district=district,
                lon=_LON + x * _STEP_LON,
                lat=_LAT + y * _STEP_LAT,
                metrics=KINDS[kind].metrics,
                period_s=KINDS[kind].period_s,
                gateway=f"gw-{district.removeprefix('dist:')}",
                attributes=attributes,
            )
        )

    def road(name: str, road_class: str, nodes: list[tuple[int, int]]) -> None:
        for a, b in pairwise(nodes):
            for start, end in ((a, b), (b, a)):
                x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
                add(
                    "link-detector",
                    x,
                    y,
                    link=f"link:{start}-{end}",
                    road=name,
                    roadName=name,
                    roadClass=road_class,
                    fromNode=f"n{start}",
                    toNode=f"n{end}",
                    length=960.0,
                    **_CLASS[road_class],
                )

    kinds = ("arterial", "collector", "local")
    for y in range(rows):
        road(f"road:ew:{y}", "expressway" if y == 2 else kinds[y % 3], [(x, y) for x in range(columns)])
    for x in range(columns):
        road(f"road:ns:{x}", kinds[(x + 1) % 3], [(x, y) for y in range(rows)])
    for i in range(parks):
        use = _USES[i % len(_USES)]
        district = "dist:equipment" if use == "factory_shift" else "dist:mixed"
        x, y = (0.7, 0.6) if use in ("office", "factory_shift") else (columns * 0.6, rows * 0.7)
        on_street = use == "mall" and i > len(_USES)
        add("car-park", x, y, district, capacity=60 + 40 * (i % 9), use=use, onStreet=float(on_street))
    for i in range(stations):
        add("air-station", 0.8 + i * 0.7 % columns, 0.3 + i * 0.9 % rows)
        add("weather-station", 0.4 + i * 0.9 % columns, 0.2 + i * 0.7 % rows)
        add("water-station", i, 0, "dist:river")
        add("soil-station", 0.5 + i, 0.5, "dist:river")
    for i in range(monitors):
        noise_class = ("4a", "2", "1", "3")[i % 4]
        add("noise-monitor", 0.5 + i % max(columns - 1, 1), 0.02 if i % 4 == 0 else 0.25, noiseClass=noise_class)
    add("compute-centre", 1, 1, "dist:compute", nameplateP=300.5 * servers / 120, cards=servers * 8)
    for i in range(servers):
        add("server", 1, 1, "dist:compute", rack=f"R{i // 4:02d}", cards=8)
    for kind in ("chiller", "power-unit"):
        for _ in range(3):
            add(kind, 1, 1, "dist:compute")
    for i in range(lights):
        add("street-light", i % columns, i % rows)
    for i in range(covers):
        add("manhole", i % columns, i % rows)
    for _ in range(2):
        add("pumping-station", 1, 1)
    add("underpass", 1.5, 2, link="link:(1, 1)-(2, 1)", under="rail")
    add("underpass", 2.5, 2, link="link:(2, 1)-(3, 1)", under="road:ew:2")
    for i in range(cells):
        add("city-grid", 0.5 + 2 * (i % 2), 0.5 + 2 * (i // 2), area=2.5, homes=45.0)
    add("compute-pool", 1, 1, "dist:compute", nameplateP=1000.0, planned=1.0)
    unlined = tuple(m for m in devices[-1].metrics if not m.startswith("link"))
    devices[-1] = msgspec.structs.replace(devices[-1], metrics=unlined)
    for latency in (9.0, 27.0):
        add("compute-pool", 1, 1, "dist:compute", nameplateP=200.0, latencyMs=latency)
    add("dispatch", 1, 1, "dist:compute")
    return Registry(devices)
