"""Layers as the browser gets them."""

import json

import pytest

from layers import publish, zone
from twin import registry as registries

REGISTRY = registries.read(zone.SHIPPED / "devices.json")


def collection(name: publish.Name) -> list[dict[str, object]]:
    body = json.loads(publish.geojson(name, registry=REGISTRY))
    assert (body["type"], body["name"]) == ("FeatureCollection", name)
    return list(body["features"])


@pytest.mark.parametrize("name", publish.NAMES)
def test_every_layer_is_published_with_six_decimals(name: publish.Name) -> None:
    features = collection(name)
    assert features

    def numbers(part: object) -> list[float]:
        return [n for p in part for n in numbers(p)] if isinstance(part, list) else [part]

    for feature in features[:50]:
        for n in numbers(feature["geometry"]["coordinates"]):
            assert n == round(n, 6)


def test_devices_and_links_bear_the_number_that_frames_use() -> None:
    devices = collection("devices")
    assert [f["id"] for f in devices] == list(range(len(REGISTRY)))
    assert devices[0]["properties"] == {
        "device": "td-ew01-01e",
        "name": "珠泉路 西端→高科二路（东向）",
        "domain": "traffic",
        "kind": "link-detector",
        "district": "dist:biopharma",
        "headline": "averageVehicleSpeed",
    }
    for link in collection("links"):
        properties = link["properties"]
        detector = REGISTRY.devices[link["id"]]
        assert detector.id == properties["device"]
        assert detector.attributes["link"] == properties["link"]


def test_buildings_can_be_raised() -> None:
    port = collection("buildings")[0]
    assert port["properties"] == {"kind": "ai_hub", "name": "中国西部AI创新港", "height": 30.0, "base": 0}
    assert len(port["geometry"]["coordinates"]) == 2


def test_a_registry_of_other_devices_has_no_links() -> None:
    some = registries.Registry(d for d in REGISTRY if d.kind != "link-detector")
    assert json.loads(publish.geojson("links", registry=some))["features"] == []
