"""A layer as GeoJSON for the browser: EPSG:4326, 6 decimals, and what the map needs to tie a feature to a device."""

import json
from pathlib import Path
from typing import Any, Literal, get_args

import shapely

from layers import zone
from twin.registry import Registry

Name = Literal[
    "boundary", "districts", "roads", "links", "river", "bridges", "landmarks", "buildings", "landuse", "devices"
]
NAMES: tuple[Name, ...] = get_args(Name)


def geojson(name: Name, folder: Path | None = None, *, registry: Registry) -> bytes:
    """`devices` and `links` have the device's position in the registry as feature id; `links` those that have a detector."""
    match name:
        case "devices":
            features = _devices(registry)
        case "links":
            features = _links(registry, folder)
        case "bridges":
            roads = zone.layer("roads", folder)
            features = _features(roads[roads["id"].str.startswith("bridge:")])
        case "roads":
            roads = zone.layer("roads", folder)
            features = _features(roads[~roads["id"].str.startswith("bridge:")])
        case _:
            features = _features(zone.layer(name, folder))
    return json.dumps(
        {"type": "FeatureCollection", "name": name, "features": features}, ensure_ascii=False, separators=(",", ":")
    ).encode()


def _features(frame: Any) -> list[dict[str, Any]]:
    columns = [c for c in frame.columns if c != "geometry"]
    return [
        {
            "type": "Feature",
            "properties": {k: v for k, v in row.items() if v is not None and v == v},
            "geometry": _geometry(geometry),
        }
        for row, geometry in zip(json.loads(frame[columns].to_json(orient="records")), frame.geometry, strict=True)
    ]


def _geometry(geometry: shapely.Geometry) -> Any:
    return json.loads(shapely.to_geojson(geometry), parse_float=lambda text: round(float(text), 6))


def _devices(registry: Registry) -> list[dict[str, Any]]:
    return [
        {
            "type": "Feature",
            "id": i,
            "properties": {
                "device": d.id,
                "name": d.name,
                "domain": d.domain,
                "kind": d.kind,
                "district": d.district,
                "headline": d.headline,
            },
            "geometry": {"type": "Point", "coordinates": [round(d.lon, 6), round(d.lat, 6)]},
        }
        for i, d in enumerate(registry)
    ]


def _links(registry: Registry, folder: Path | None) -> list[dict[str, Any]]:
    detector = {str(d.attributes["link"]): i for i, d in enumerate(registry) if "link" in d.attributes}
    return [
        {
            "type": "Feature",
            "id": detector[link.id],
            "properties": {
                "link": link.id,
                "road": link.road,
                "name": link.name,
                "roadClass": link.roadClass,
                "lanes": link.lanes,
                "device": registry.devices[detector[link.id]].id,
            },
            "geometry": _geometry(link.geometry),
        }
        for link in zone.layer("links", folder).itertuples()
        if link.id in detector
    ]
