"""A layer as GeoJSON for the browser: EPSG:4326, 6 decimals, and what the map needs to tie a feature to a device."""

import json
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from layers import zone
from twin.registry import Registry

Name = Literal[zone.Name, "devices"]
NAMES: tuple[Name, ...] = get_args(Name)

DECIMALS = 6  # a decimetre: finer than any screen shows


def geojson(name: Name, folder: Path | None = None, *, registry: Registry) -> bytes:
    """A FeatureCollection, UTF-8. `folder` holds the user's own layers, if any.

    `devices` and `links` have for their numeric feature id the device's position in the registry, as frames do; `links`
    are those that have a detector. Buildings have `height` and `base` in metres, `kind` and, some, a `name`. The
    others have all their properties.
    """
    match name:
        case "devices":
            features = _devices(registry)
        case "links":
            features = _links(registry, folder)
        case "buildings":
            features = _buildings(folder)
        case _:
            frame = zone.layer(name, folder)
            features = zone.features(frame.drop(columns="geometry"), frame.geometry, DECIMALS)
    collection = {"type": "FeatureCollection", "name": name, "features": features}
    return json.dumps(collection, ensure_ascii=False, separators=(",", ":")).encode()


def _buildings(folder: Path | None) -> list[dict[str, Any]]:
    frame = zone.layer("buildings", folder)
    frame["base"] = 0
    return zone.features(frame[["kind", "name", "height", "base"]], frame.geometry, DECIMALS)


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
            "geometry": {"type": "Point", "coordinates": np.round([d.lon, d.lat], DECIMALS).tolist()},
        }
        for i, d in enumerate(registry)
    ]


def _links(registry: Registry, folder: Path | None) -> list[dict[str, Any]]:
    detector = {str(d.attributes.get("link")): i for i, d in enumerate(registry) if d.kind == "link-detector"}
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
            "geometry": zone.coordinates(link.geometry, DECIMALS),
        }
        for link in zone.layer("links", folder).itertuples()
        if link.id in detector
    ]
