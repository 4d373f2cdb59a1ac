"""A user's own map file, checked and taken to EPSG:4326: `check` says all that is wrong with it, `read` raises the
first problem, `use` puts it in the place of the layer that ships.

    open → reference system → degrees → rows → the datum it looks to be in

A problem names file, layer, row (from 1) and what to do; a warning is what a person should look at. Nothing is mended
silently: what is not plainly right is said.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import shapely

from layers import datum, zone
from layers.roles import DEVICE_NUMBERS, DEVICE_TEXTS, ROLES, Column, Role, Spec
from layers.sources import Source, load, suggested
from twin import registry as registries
from twin.errors import LayerError, RegistryError
from twin.observation import KINDS
from twin.registry import Device, Registry

OUTSIDE_KM = 5.0  # beyond the boundary: a place this far off belongs to another town, or another datum
_CHINA = (73.0, 3.0, 136.0, 54.0)
# What `gaoxin layers build` draws from a kept layer, and so has to draw again
_DRAWN_FROM = frozenset({"boundary", "districts", "roads", "bridges", "landmarks"})

CRS_NAMES = {
    "wgs84": "EPSG:4326",
    "wgs-84": "EPSG:4326",
    "cgcs2000": "EPSG:4490",
    "gk108": "EPSG:4545",
    "gcj02": "gcj02",
    "gcj-02": "gcj02",
    "bd09": "bd09",
    "bd-09": "bd09",
} | {f"{prefix}{code}": f"EPSG:{code}" for prefix in ("", "epsg:") for code in (4326, 4490, 4524, 4545)}


@dataclass(frozen=True)
class Report:
    """What was found in a file. `extent` is west, south, east, north in degrees; `crs` as what it was read;
    `frame` in EPSG:4326 with the role's columns, complete only when there is no problem."""

    file: str
    role: Role
    layer: str | None
    crs: str
    features: int
    extent: tuple[float, float, float, float] | None
    problems: tuple[LayerError, ...]
    warnings: tuple[str, ...]
    frame: gpd.GeoDataFrame

    @property
    def ok(self) -> bool:
        return not self.problems

    def lines(self) -> Iterator[str]:
        """What the command line prints."""
        extent = ", ".join(f"{v:.6f}" for v in self.extent) if self.extent else "none"
        yield f"{self.file}: {self.features} features as {self.role}, read as {self.crs}; extent {extent}"
        yield from (f"problem: {p}" for p in self.problems)
        yield from (f"warning: {w}" for w in self.warnings)
        yield "fit for use" if self.ok else f"not fit for use: {len(self.problems)} problems"


def check(
    path: Path, *, role: Role, crs: str | None = None, layer: str | None = None, folder: Path | None = None
) -> Report:
    """All that is wrong with a file as a layer. `crs` one of CRS_NAMES, else what the file says; `layer` in a file of
    several; `folder` holds the layers in use. Raises LayerError only when the file cannot be opened at all."""
    source = load(path, layer)
    frame, named, warnings = _in_degrees(source, crs)
    problems = [*source.problems]
    frame = frame if frame.empty else _with_columns(source, frame, ROLES[role], problems)
    frame, sound = _shapes(source, frame, role, problems)
    frame = _of_role(source, frame, sound, role, problems, warnings, folder)
    read_as = datum.Datum(named) if named in ("gcj02", "bd09") else datum.Datum.WGS84
    if guess := datum.guess_datum(sound, folder, read_as=read_as):
        warnings.append(str(guess))
    if role in _DRAWN_FROM:
        redraw = f"gaoxin layers build {folder or 'FOLDER'}"
        warnings.append(f"links, land use, buildings and devices are drawn from it: after use, run `{redraw}`")
    problems.sort(key=lambda p: (p.row is not None, p.row or 0))
    return Report(
        file=source.file,
        role=role,
        layer=source.layer,
        crs=named,
        features=len(frame),
        extent=_extent(frame),
        problems=tuple(problems),
        warnings=tuple(warnings),
        frame=frame,
    )


def _extent(frame: gpd.GeoDataFrame) -> tuple[float, float, float, float] | None:
    west, south, east, north = (float(v) for v in frame.total_bounds)
    return None if west != west else (west, south, east, north)


def read(
    path: Path, *, role: Role, crs: str | None = None, layer: str | None = None, folder: Path | None = None
) -> Any:
    """The file as a GeoDataFrame of the role's columns in EPSG:4326. Raises LayerError: the first problem."""
    report = check(path, role=role, crs=crs, layer=layer, folder=folder)
    if report.problems:
        raise report.problems[0]
    return report.frame


def use(path: Path, *, role: Role, folder: Path, crs: str | None = None, layer: str | None = None) -> Path:
    """Check the file and put it into `folder`, from where layers are read before those that ship. Returns what was
    written: `devices.json` for devices, else GeoJSON. Raises LayerError and writes nothing if there is a problem."""
    frame = read(path, role=role, crs=crs, layer=layer, folder=folder)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / ("devices.json" if role == "devices" else f"{role}.geojson")
    partial = target.with_suffix(".partial")
    if role == "devices":
        registries.write(partial, Registry(_device(row) for row in frame.to_dict("records")))
    else:
        zone.write(partial, frame, name=role)
    partial.replace(target)
    return target


# ---------------------------------------------------------------- reference system


def _in_degrees(source: Source, crs: str | None) -> tuple[gpd.GeoDataFrame, str, list[str]]:
    """(frame in EPSG:4326, what it was read as, warnings)."""
    warnings: list[str] = []
    named = _named(source, crs)
    if named is None and source.crs is not None:
        named = source.crs.to_string()
    if named is None:
        named, why = suggested(source)
        warnings.append(f"the file names no reference system; taken for {named} because {why}. Else name it with --crs")
    frame = source.frame
    frame.geometry = shapely.force_2d(frame.geometry.values)
    if frame.geometry.notna().sum() == 0:
        return frame.set_crs(zone.STORED), named, warnings
    if named in ("gcj02", "bd09"):
        return _unshifted(source, frame, datum.Datum(named)), named, warnings
    if source.crs is not None and source.crs.is_projected and not pyproj.CRS(named).is_projected:
        raise source.wrong(
            f"in {source.crs.to_string()}, which is metres, but to be read as {named}", "Leave out --crs, or mend it."
        )
    return _projected(source, frame, pyproj.CRS(named), warnings), named, warnings


def _named(source: Source, crs: str | None) -> str | None:
    if crs is None:
        return None
    if crs.lower() not in CRS_NAMES:
        raise source.wrong(f"unknown reference system {crs!r}", "Use one of: wgs84, cgcs2000, 4545, 4524, gcj02, bd09.")
    return CRS_NAMES[crs.lower()]


def _unshifted(source: Source, frame: gpd.GeoDataFrame, of: datum.Datum) -> gpd.GeoDataFrame:
    if source.crs is not None and source.crs.is_projected:
        raise source.wrong(
            f"in {source.crs.to_string()}, which is metres; {of.upper()} is degrees", "Save it in degrees first."
        )
    frame.geometry = datum.geometries(lambda lon, lat: datum.unshift(of, lon, lat), frame.geometry)
    return frame.set_crs(zone.STORED, allow_override=True)


def _projected(source: Source, frame: gpd.GeoDataFrame, crs: pyproj.CRS, warnings: list[str]) -> gpd.GeoDataFrame:
    if crs.is_projected:
        x, y = (np.nanmedian(v) for v in (frame.geometry.bounds[["minx", "miny"]].to_numpy().T))
        if max(abs(x), abs(y)) <= 180:
            raise source.wrong(f"degrees, but read as {crs.to_string()}, which is metres", "Give --crs wgs84.")
        if 2e6 < x < 6e6 and not 2e6 < y < 6e6:
            # Survey plans call north X
            warnings.append("X is the northing and Y the easting, as surveyors write them: they were exchanged")
            frame.geometry = shapely.transform(frame.geometry.values, lambda xy: xy[:, ::-1])
            x, y = y, x
        if x > 1e6 and crs.to_epsg() == 4545:
            raise source.wrong(f"eastings of {x:.0f} begin with a zone number", "Give --crs 4524.")
    # CGCS2000 and WGS-84 differ by decimetres, and pyproj by nothing
    return frame.set_crs(crs, allow_override=True).to_crs(zone.STORED)


# ---------------------------------------------------------------- columns


def _with_columns(source: Source, frame: gpd.GeoDataFrame, spec: Spec, problems: list[LayerError]) -> gpd.GeoDataFrame:
    """The frame with the role's columns under their own names, each value checked; other columns stay as they are."""
    for column in spec.columns:
        heading = _heading(frame, column)
        if heading is None and column.needed:
            names = ", ".join((column.name, *column.aliases))
            problems.append(source.wrong(f"no column {column.name!r}", f"Add it, or rename one: {names}."))
        if heading is None:
            frame[column.name] = column.otherwise
        else:
            frame = frame.rename(columns={heading: column.name})
            values = [_value(source, column, v, row, problems) for row, v in enumerate(frame[column.name], 1)]
            frame[column.name] = pd.Series(values, index=frame.index, dtype=None if column.number else object)
    return frame


def _heading(frame: gpd.GeoDataFrame, column: Column) -> str | None:
    names = (column.name, column.name[:10], *column.aliases)
    return next((n for n in names if n in frame.columns), None)


def _value(source: Source, column: Column, value: Any, row: int, problems: list[LayerError]) -> Any:
    if value is None or value != value or value == "":
        if column.needed:
            problems.append(source.wrong(f"{column.name} is empty", "Fill it in.", row))
        return column.otherwise
    if column.number:
        return _number(source, column, value, row, problems)
    text = f"{value:g}" if isinstance(value, float) else str(value).strip()
    if column.choices is None:
        return text
    if text not in column.choices:
        allowed = ", ".join(dict.fromkeys(column.choices))
        problems.append(source.wrong(f"{column.name} {text!r} is not known", f"Use one of: {allowed}.", row))
    return column.choices.get(text)


def _number(source: Source, column: Column, value: Any, row: int, problems: list[LayerError]) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        problems.append(source.wrong(f"{column.name} {value!r} is not a number", "Write a number.", row))
        return None
    if not column.low <= number <= column.high:
        remedy = f"It is between {column.low:g} and {column.high:g}."
        problems.append(source.wrong(f"{column.name} is {number:g}", remedy, row))
    return number


# ---------------------------------------------------------------- rows


def _shapes(
    source: Source, frame: gpd.GeoDataFrame, role: Role, problems: list[LayerError]
) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """(the frame, those of its rows whose geometry is sound); the others are problems."""
    spec = ROLES[role]
    if "LineString" in spec.geometries:
        frame.geometry = [_one_line(g) for g in frame.geometry]
    said = {p.row for p in source.problems}
    sound = []
    for row, geometry in enumerate(frame.geometry, 1):
        found = _shape_problem(spec, geometry)
        sound.append(found is None)
        if found and row not in said:
            problems.append(source.wrong(*found, row))
    if spec.one and len(frame) != 1:
        problems.append(source.wrong(f"{len(frame)} features", f"A {role} layer has exactly one."))
    elif frame.empty:
        problems.append(source.wrong("no features", f"A {role} layer has some."))
    return frame, frame[sound]


def _of_role(
    source: Source,
    frame: gpd.GeoDataFrame,
    sound: gpd.GeoDataFrame,
    role: Role,
    problems: list[LayerError],
    warnings: list[str],
    folder: Path | None,
) -> gpd.GeoDataFrame:
    """The frame with what each feature of a layer has; what contradicts the zone or other rows is a problem."""
    if role != "boundary":
        _far_off(source, sound, problems, folder)
    _twice(source, frame, problems)
    if ROLES[role].district:
        frame["district"] = _districts(source, sound, role, problems, warnings, folder)
    if role == "districts":
        warnings += _gaps(sound, folder)
    if role == "devices" and not problems:
        problems += _device_problems(source, frame)
    if "id" in frame:
        frame["id"] = [f"{role}:{row:05d}" if v is None or v != v else v for row, v in enumerate(frame["id"], 1)]
    frame["schematic"] = False
    if "source" not in frame:
        frame["source"] = source.file
    return frame


def _one_line(geometry: Any) -> Any:
    """A road in several pieces that meet is one line."""
    return (
        shapely.line_merge(geometry) if geometry is not None and geometry.geom_type == "MultiLineString" else geometry
    )


def _shape_problem(spec: Spec, geometry: Any) -> tuple[str, str] | None:
    if geometry is None or geometry.is_empty:
        return "no geometry, or one that cannot be built", "Draw it, or delete the row."
    if geometry.geom_type not in spec.geometries:
        return f"a {geometry.geom_type} where a {' or '.join(spec.geometries)} belongs", "Split, join or redraw it."
    west, south, east, north = geometry.bounds
    if not _in_china(west, south, east, north):
        if _in_china(south, west, north, east):
            return f"longitude {west:.4f} and latitude {south:.4f} are exchanged", "Exchange the two columns."
        return f"({west:.4f}, {south:.4f}) is no longitude and latitude in China", "Check the file's --crs."
    if not geometry.is_valid:
        return (
            f"invalid geometry: {shapely.is_valid_reason(geometry)}",
            "Repair it, for example with QGIS's Fix geometries.",
        )
    return None


def _in_china(west: float, south: float, east: float, north: float) -> bool:
    return bool(_CHINA[0] <= west and east <= _CHINA[2] and _CHINA[1] <= south and north <= _CHINA[3])


def _far_off(source: Source, frame: gpd.GeoDataFrame, problems: list[LayerError], folder: Path | None) -> None:
    boundary = zone.measured("boundary", folder).union_all()
    away = frame.to_crs(zone.METRIC).distance(boundary) / 1000
    for index, km in away[away > OUTSIDE_KM].items():
        problems.append(
            source.wrong(f"{km:.0f} km outside the zone", "Check the file's --crs, or delete the row.", _row(index))
        )


def _row(index: Any) -> int:
    # Frames keep the index they were read with, 0 upwards
    return int(index) + 1


def _twice(source: Source, frame: gpd.GeoDataFrame, problems: list[LayerError]) -> None:
    first: dict[str, int] = {}
    for row, id in enumerate(frame.get("id", ()), 1):
        if isinstance(id, str) and first.setdefault(id, row) != row:
            problems.append(source.wrong(f"id {id!r} is also that of row {first[id]}", "Rename one.", row))


def _districts(
    source: Source,
    frame: gpd.GeoDataFrame,
    role: Role,
    problems: list[LayerError],
    warnings: list[str],
    folder: Path | None,
) -> pd.Series:
    """The district that each feature lies in, or else the nearest one; a problem where it says another."""
    districts = zone.measured("districts", folder).set_index("id").geometry
    points = frame.to_crs(zone.METRIC).representative_point()
    away = pd.DataFrame({id: points.distance(district) for id, district in districts.items()}, index=frame.index)
    nearest = away.idxmin(axis=1) if len(away) else pd.Series(None, index=frame.index, dtype=object)
    said = frame["district"] if "district" in frame else pd.Series(None, index=frame.index, dtype=object)
    for index, district in nearest.items():
        outside = away[district][index]
        if isinstance(said[index], str) and said[index] not in ("", district):
            what = f"says district {said[index]}, lies in {district}"
            problems.append(source.wrong(what, "Mend one of them.", _row(index)))
        elif role == "devices" and outside > 0:
            warnings.append(f"row {_row(index)} is {outside:.0f} m outside every district; counted to {district}")
    return nearest


def _gaps(frame: gpd.GeoDataFrame, folder: Path | None) -> Iterator[str]:
    shapes = frame.to_crs(zone.METRIC).geometry
    whole, boundary = shapes.union_all(), zone.measured("boundary", folder).union_all()
    for what, area in (
        ("of the zone lie in no district", boundary.difference(whole).area),
        ("lie outside the boundary", whole.difference(boundary).area),
        ("lie in more than one district", shapes.area.sum() - whole.area),
    ):
        if area > 100:
            yield f"{area / 1e4:.2f} ha {what}"


# ---------------------------------------------------------------- devices

_FIELDS = frozenset(
    {"id", "name", "kind", "district", "period_s", "metrics", "gateway", "geometry", "schematic", "source"}
)


def _device(row: dict[str, Any]) -> Device:
    kind = KINDS[row["kind"]]
    metrics = row["metrics"]
    period = row["period_s"]
    return Device(
        id=row["id"],
        name=row["name"],
        kind=row["kind"],
        district=row["district"],
        lon=round(row["geometry"].x, zone.DECIMALS),
        lat=round(row["geometry"].y, zone.DECIMALS),
        metrics=tuple(metrics.replace(",", " ").replace(";", " ").split()) if metrics else kind.metrics,
        period_s=int(period) if period and period == period else kind.period_s,
        gateway=row["gateway"] or "",
        schematic=False,
        attributes={k: _attribute(k, v) for k, v in row.items() if k not in _FIELDS and v is not None and v == v},
    )


def _attribute(name: str, value: Any) -> str | float:
    if name not in DEVICE_TEXTS:
        try:
            return float(value)
        except (TypeError, ValueError):
            pass
    return f"{value:g}" if isinstance(value, float) else str(value)


def _device_problems(source: Source, frame: gpd.GeoDataFrame) -> Iterator[LayerError]:
    for row, record in enumerate(frame.to_dict("records"), 1):
        device = _device(record)
        try:
            Registry([device])
            for attribute in DEVICE_NUMBERS.get(device.kind, ()):
                device.number(attribute)
        except RegistryError as error:
            yield source.wrong(str(error).removeprefix("row 0, "), "Mend the row.", row)
