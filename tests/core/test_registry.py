from pathlib import Path

import pytest

from tests.zone import SMALL, device, link
from twin.errors import RegistryError
from twin.registry import Device, Registry, read, write


def test_a_registry_reads_back_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path / "devices.json", SMALL)
    again = read(tmp_path / "devices.json")
    assert again.devices == SMALL.devices
    assert again.digest == SMALL.digest


def test_the_digest_sees_any_change_and_the_order() -> None:
    assert Registry(reversed(SMALL.devices)).digest != SMALL.digest
    assert Registry(SMALL.devices[:-1]).digest != SMALL.digest


def changed(**more: object) -> Device:
    import msgspec

    return msgspec.structs.replace(device("aq-9", "air-station"), **more)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (changed(id="a/b"), "part of a topic"),
        (changed(id=""), "1 to 64 characters"),
        (changed(kind="toaster"), "unknown kind 'toaster'"),
        (changed(metrics=()), "measures nothing"),
        (changed(metrics=("pm26",)), "unknown metric 'pm26'"),
        (changed(metrics=("pue",)), "has no metric 'pue'"),
        (changed(period_s=0), "period_s must be at least 1"),
        (changed(lon=34.3, lat=108.6), "longitude and latitude"),
        (device("pk-9", "car-park"), "needs the attribute 'capacity'"),
        (device("pk-9", "car-park", capacity=0), "a number above 0"),
        (device("ns-9", "noise-monitor", noiseClass="9"), "GB 3096 has 0, 1, 2, 3, 4a, 4b"),
        (link("td-9", freeSpeed="fast"), "needs the attribute 'freeSpeed'"),
    ],
)
def test_a_wrong_device_is_named_with_its_row(wrong: Device, words: str) -> None:
    with pytest.raises(RegistryError) as error:
        Registry([device("ok", "soil-station"), wrong])
    assert "row 1" in str(error.value)
    assert words in str(error.value)


def test_a_device_listed_twice_is_named() -> None:
    with pytest.raises(RegistryError, match="'td-1' is listed twice"):
        Registry([link("td-1"), link("td-1")])


@pytest.mark.parametrize("text", ["", "{}", "[{}]", '[{"id": 3}]'])
def test_a_file_that_is_no_registry_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "own.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(RegistryError, match=r"own\.json"):
        read(file)


def test_a_file_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="gaoxin layers build"):
        read(tmp_path / "none.json")
