import json
import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import ingest
from dashboards.cli import app
from dashboards.opening import DEFAULT_REGISTRY
from docs import tables
from ingest.check import describe, try_samples
from ingest.decode import Decoder
from ingest.mapping import FeedKeys, GatewayKeys, Mapping, MappingFault, Reading, ValueKeys, read
from tests.zone import PREFIX, SMALL, T0
from twin import registry as registries
from twin.clock import parse
from twin.errors import SettingsError

EXAMPLES = Path(ingest.__file__).parent / "examples"
DEFAULT = registries.read(DEFAULT_REGISTRY)

FEED = """
[[feed]]
name = "f"
topic = "their/{id}/up"
device = "{id}"
"""
VALUES = '[feed.values]\nwaterDepth = "$.depth"\n'


def on(topic: str) -> str:
    return FEED.replace("their/{id}/up", topic)


def of(device: str) -> str:
    return FEED.replace('"{id}"', device)


@pytest.fixture
def mapped(tmp_path: Path) -> Any:
    """Compiles the text of a mapping file for the small zone."""

    def compiled(text: str) -> Mapping:
        file = tmp_path / "mapping.toml"
        file.write_text(text, encoding="utf-8")
        return read(file, SMALL, prefix=PREFIX)

    return compiled


def one(mapping: Mapping, body: Any, topic: str = "their/mh-1/up") -> Reading | MappingFault:
    found = mapping.readings(topic, body)
    assert found is not None
    [only] = found
    return only


# The examples


def at(text: str) -> int:
    return parse(f"2026-11-20T{text}+08:00")


EXPECTED: dict[str, list[tuple[str, int, dict[str, float], int | None]]] = {
    "chirpstack": [
        ("ns-01", at("08:30:15.775"), {"LAeq": 63.4, "LAmax": 71.2}, 4711),
        ("ns-02", at("08:30:15.981"), {"LAeq": 58.4, "LAmax": 64.9}, 388),
        ("mh-001", at("08:30:14.311"), {"coverOpen": 0, "waterDepth": 0.414, "batteryLevel": 0.87}, 92),
        ("mh-002", at("08:30:15.004"), {"coverOpen": 1}, 1204),
    ],
    "zigbee2mqtt": [
        (
            "wx-03",
            at("08:30:09"),
            {"temperature": 6.34, "relativeHumidity": 0.4472, "atmosphericPressure": 1012.4},
            None,
        ),
        ("mh-003", at("08:30:11.310"), {"coverOpen": 1, "batteryLevel": 0.91}, None),
        ("sl-001", at("08:30:12"), {"powerConsumption": 1.24, "voltage": 229}, None),
    ],
    "ngsi-ld": [
        ("td-ew01-01e", at("08:30:00"), {"intensity": 816, "averageVehicleSpeed": 43.2, "occupancy": 0.112}, None),
        ("td-ew01-01w", at("08:30:00"), {"intensity": 612, "averageVehicleSpeed": 46.8, "occupancy": 0.087}, None),
        ("td-ew01-02e", at("08:30:00"), {"intensity": 864, "averageVehicleSpeed": 38.5, "occupancy": 0.143}, None),
        ("pk-01", at("08:29:51"), {"availableSpotNumber": 412, "occupiedSpotNumber": 688}, None),
        ("pk-03", at("08:29:47"), {"availableSpotNumber": 233, "occupiedSpotNumber": 67}, None),
    ],
}
GATEWAYS = {
    "chirpstack": [("gw-materials-1", True)],
    "zigbee2mqtt": [("gw-mixed-1", True), ("gw-biopharma-2", True)],
    "ngsi-ld": [],
}


def samples(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (EXAMPLES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def raw(payload: Any) -> bytes:
    return payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()


def test_each_example_is_tested() -> None:
    assert {p.stem for p in EXAMPLES.glob("*.toml")} == set(EXPECTED) == {p.stem for p in EXAMPLES.glob("*.jsonl")}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_examples_become_exactly_these_readings(name: str) -> None:
    mapping = read(EXAMPLES / f"{name}.toml", DEFAULT, prefix=PREFIX)
    readings: list[Reading | MappingFault] = []
    gateways = []
    for sample in samples(name):
        gateway = mapping.gateway(sample["topic"], raw(sample["payload"]))
        if gateway is not None:
            gateways.append(gateway)
        else:
            readings += mapping.readings(sample["topic"], sample["payload"]) or []
    assert [tuple(r) for r in readings if isinstance(r, Reading)] == EXPECTED[name]
    assert len(readings) == len(EXPECTED[name])
    assert gateways == GATEWAYS[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_the_decoder_takes_the_examples_as_they_are(name: str) -> None:
    mapping = read(EXAMPLES / f"{name}.toml", DEFAULT, prefix=PREFIX)
    decoder = Decoder(DEFAULT, prefix=PREFIX, mapping=mapping)
    lines = (EXAMPLES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    said, whole = try_samples(lines, decoder, 0)
    assert whole, said
    for device, _, values, _ in EXPECTED[name]:
        assert DEFAULT[device].name in said
        assert all(metric in said for metric in values)


def test_topics_are_filters() -> None:
    assert read(EXAMPLES / "zigbee2mqtt.toml", DEFAULT).topics == (
        "zigbee2mqtt/weather/+",
        "zigbee2mqtt/cover/+",
        "tele/+/SENSOR",
        "zigbee2mqtt/bridge/state",
        "tele/+/LWT",
    )


# What a message may be


def test_a_topic_of_no_feed_is_none(mapped: Any) -> None:
    mapping = mapped(FEED + VALUES)
    for topic in ("their/mh-1", "their/mh-1/up/more", "our/mh-1/up", "", "their/mh-1/down"):
        assert mapping.readings(topic, {"depth": 1}) is None
        assert mapping.gateway(topic, b"online") is None


def test_a_hash_takes_what_is_below(mapped: Any) -> None:
    mapping = mapped(on("their/{id}/#") + VALUES)
    assert mapping.topics == ("their/+/#",)
    for topic in ("their/mh-1", "their/mh-1/a", "their/mh-1/a/b"):
        assert one(mapping, {"depth": 1}, topic) == Reading("mh-1", None, {"waterDepth": 1.0})
    assert mapping.readings("their", {"depth": 1}) is None


def test_what_is_missing_or_null_was_not_measured(mapped: Any) -> None:
    mapping = mapped(FEED + VALUES + 'coverOpen = "$.cover"\n')
    assert one(mapping, {"depth": 0.3}) == Reading("mh-1", None, {"waterDepth": 0.3})
    assert one(mapping, {"depth": 0.3, "cover": None}) == Reading("mh-1", None, {"waterDepth": 0.3})
    for nothing in ({}, {"depth": None}, [], 3, "text", None, True):
        assert str(one(mapping, nothing)) == "feed 'f': nothing at $.depth, $.cover"


@pytest.mark.parametrize(
    ("keys", "found", "value"),
    [
        ("", 3, 3.0),
        ("", 3.5, 3.5),
        ("", "13.25", 13.25),
        ("", " -2e1 ", -20.0),
        (", factor = -0.001, offset = 3.2", 1234, 1.966),
        (", factor = 0.01", 7, 0.07),
        (", factor = 0.01", "7", 0.07),
        (", words = { true = 0, false = 1 }", True, 0.0),
        (", words = { true = 0, false = 1 }", False, 1.0),
        (", words = { open = 1, closed = 0 }", "open", 1.0),
        (", words = { 2 = 1, 1 = 0 }", 2, 1.0),
        (", words = { 2 = 1, 1 = 0 }", 2.0, 1.0),
        (", words = { dry = 0 }, factor = 0.01", "dry", 0.0),
        (", words = { dry = 0 }, factor = 0.01", 12, 0.12),
    ],
)
def test_a_value_becomes_a_number_in_our_unit(mapped: Any, keys: str, found: Any, value: float) -> None:
    mapping = mapped(FEED + f'[feed.values]\nwaterDepth = {{ path = "$.v"{keys} }}\n')
    assert one(mapping, {"v": found}) == Reading("mh-1", None, {"waterDepth": value})


@pytest.mark.parametrize(
    ("keys", "found", "why"),
    [
        ("", "high", "'high' at $.v is not a number; give it `words`"),
        ("", True, "true at $.v is not a number; give it `words`"),
        ("", "1_000", "'1_000' at $.v is not a number; give it `words`"),
        ("", "12,5", "'12,5' at $.v is not a number; give it `words`"),
        ("", "nan", "'nan' at $.v is not a number; give it `words`"),
        ("", [1, 2], "a list of 2 at $.v is not a number"),
        ("", {"value": 1}, "an object of 1 at $.v is not a number"),
        ("", float("nan"), "nan at $.v is not a finite number"),
        ("", 10**400, "a huge number at $.v is not a finite number"),
        ("", "9e999", "'9e999' at $.v is not a finite number"),
        (", factor = 1e10", 1e305, "is not a finite number"),
        (", words = { open = 1 }", "ajar", "'ajar' at $.v is neither a number nor one of open"),
        (", words = { true = 1 }", False, "false at $.v is neither a number nor one of true"),
    ],
)
def test_a_value_that_is_none_says_why(mapped: Any, keys: str, found: Any, why: str) -> None:
    mapping = mapped(FEED + f'[feed.values]\nwaterDepth = {{ path = "$.v"{keys} }}\n')
    fault = one(mapping, {"v": found})
    assert isinstance(fault, MappingFault)
    assert str(fault).startswith("feed 'f': waterDepth: ")
    assert why in str(fault)


def test_a_bad_value_does_not_cost_its_neighbours(mapped: Any) -> None:
    mapping = mapped(FEED + VALUES + 'coverOpen = "$.cover"\n')
    reading, fault = mapping.readings("their/mh-1/up", {"depth": 0.3, "cover": "ajar"})
    assert reading == Reading("mh-1", None, {"waterDepth": 0.3})
    assert str(fault) == "feed 'f': coverOpen: 'ajar' at $.cover is not a number; give it `words`"


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ("", "2026-10-21T00:00:00Z"),
        ("", "2026-10-21T08:00:00+08:00"),
        ("", "2026-10-21T08:00:00.000000000+08:00"),
        ("", "2026-10-21T08:00:00"),
        ("", "2026-10-21T07:55:00+08:00/2026-10-21T08:00:00+08:00"),
        ("", "PT5M/2026-10-21T08:00:00+08:00"),
        ('zone = "UTC"', "2026-10-21T00:00:00"),
        ('zone = "UTC"', "2026-10-21T08:00:00+08:00"),
        ('time = "s"', T0 / 1000),
        ('time = "s"', T0 // 1000),
        ('time = "s"', str(T0 // 1000)),
        ('time = "ms"', T0),
        ('time = "us"', T0 * 1000),
        ('time = "%d.%m.%Y %H:%M"', "21.10.2026 08:00"),
        ('time = "%d.%m.%Y %H:%M"\nzone = "Europe/Berlin"', "21.10.2026 02:00"),
        ('time = "%Y-%m-%dT%H:%M:%S%z"', "2026-10-21T00:00:00+0000"),
    ],
)
def test_every_way_to_write_a_time(mapped: Any, keys: str, found: Any) -> None:
    mapping = mapped(FEED + f'at = "$.t"\n{keys}\n' + VALUES)
    assert one(mapping, {"t": found, "depth": 1}) == Reading("mh-1", T0, {"waterDepth": 1.0})


@pytest.mark.parametrize(
    ("keys", "found", "why"),
    [
        ("", None, "nothing at $.t"),
        ("", T0, "not text"),
        ("", "yesterday", "the time 'yesterday' at $.t: not a time such as"),
        ("", "2026-10-21T07:55:00Z/PT5M", "of an interval the end is wanted"),
        ('time = "ms"', "yesterday", "not a number"),
        ('time = "ms"', True, "not a number"),
        ('time = "ms"', float("nan"), "nan at $.t"),
        ('time = "ms"', float("inf"), "inf at $.t"),
        ('time = "ms"', 10**400, "a huge number at $.t"),
        ('time = "s"', T0 * 1000, "is `time` right?"),
        ('time = "%d.%m.%Y %H:%M"', "2026-10-21", "does not match format"),
        ('time = "%d.%m.%Y %H:%M"', 3, "not text"),
    ],
)
def test_a_time_that_is_none_says_why(mapped: Any, keys: str, found: Any, why: str) -> None:
    fault = one(mapped(FEED + f'at = "$.t"\n{keys}\n' + VALUES), {"t": found, "depth": 1})
    assert isinstance(fault, MappingFault)
    assert why in str(fault)


def test_a_device_from_the_message_through_the_table(mapped: Any) -> None:
    text = of('"$.info.id"') + VALUES + '[feed.devices]\n17 = "mh-1"\nx = "up-1"\n'
    mapping = mapped(text)
    assert one(mapping, {"info": {"id": "x"}, "depth": 1}) == Reading("up-1", None, {"waterDepth": 1.0})
    assert one(mapping, {"info": {"id": 17}, "depth": 1}) == Reading("mh-1", None, {"waterDepth": 1.0})
    for body, why in (
        ({}, "feed 'f': nothing at $.info.id"),
        ({"info": {"id": "y"}}, "feed 'f': 'y' is not in its table `devices`"),
        ({"info": {"id": {}}}, "feed 'f': an object of 0 at $.info.id is no id"),
        ({"info": {"id": True}}, "feed 'f': true at $.info.id is no id"),
        ({"info": {"id": 10**5000}}, "feed 'f': a huge number at $.info.id is no id"),
    ):
        assert str(one(mapping, body)) == why


def test_a_device_of_several_parts(mapped: Any) -> None:
    mapping = mapped(on("their/{kind}/{n}/up").replace('"{id}"', '"{kind}-{n}"') + VALUES)
    assert one(mapping, {"depth": 1}, "their/mh/1/up") == Reading("mh-1", None, {"waterDepth": 1.0})


EACH = """
[[feed]]
name = "many"
topic = "many"
each = "$.items[?@.kind == 'a']"
device = "@.id"
at = "$.at"
time = "ms"
seq = "@.n"
[feed.values]
waterDepth = "@.depth"
"""


def test_one_message_of_many_readings(mapped: Any) -> None:
    items = [
        {"kind": "a", "id": "mh-1", "depth": 1, "n": 7},
        {"kind": "b", "id": "mh-1", "depth": 2},
        {"kind": "a", "id": "up-1", "depth": "deep"},
        {"kind": "a", "depth": 3},
        "a",
        {"kind": "a", "id": "up-1", "depth": 4},
    ]
    found = mapped(EACH).readings("many", {"at": T0, "items": items})
    assert [f for f in found if isinstance(f, Reading)] == [
        Reading("mh-1", T0, {"waterDepth": 1.0}, 7),
        Reading("up-1", T0, {"waterDepth": 4.0}),
    ]
    assert [str(f) for f in found if isinstance(f, MappingFault)] == [
        "feed 'many', item 2: waterDepth: 'deep' at @.depth is not a number; give it `words`",
        "feed 'many', item 3: nothing at @.id",
    ]


def test_a_message_that_cannot_be_split_raises(mapped: Any) -> None:
    mapping = mapped(EACH)
    for body in ({}, {"items": []}, {"items": [{"kind": "b"}]}, [], "[1]", None, 3):
        with pytest.raises(MappingFault, match="feed 'many': nothing at"):
            mapping.readings("many", body)


def test_two_values_where_one_is_wanted(mapped: Any) -> None:
    mapping = mapped(FEED + "[feed.values]\nwaterDepth = \"$.m[?@.name == 'depth'].v\"\n")
    assert one(mapping, {"m": [{"name": "depth", "v": 1}, {"name": "ph", "v": 7}]}) == Reading(
        "mh-1", None, {"waterDepth": 1.0}
    )
    fault = one(mapping, {"m": [{"name": "depth", "v": 1}] * 2})
    assert "waterDepth: 2 values at $.m[?" in str(fault)


def test_a_place_in_a_list_may_count_from_the_end(mapped: Any) -> None:
    mapping = mapped(FEED + "[feed.values]\nwaterDepth = \"$.m[-1]['water depth']\"\n")
    assert one(mapping, {"m": [{}, {"water depth": 1}]}) == Reading("mh-1", None, {"waterDepth": 1.0})
    assert isinstance(one(mapping, {"m": []}), MappingFault)
    assert isinstance(one(mapping, {"m": {"-1": 1}}), MappingFault)


GATEWAY = """
[[gateway]]
topic = "tele/{name}/LWT"
gateway = "{name}"
[gateway.gateways]
east = "gw-a"
[[gateway]]
topic = "bridge/state"
path = "$.state"
gateway = "gw-b"
[[gateway]]
topic = "conn"
path = "$.state"
online = "up"
gateway = "$.id"
"""


@pytest.mark.parametrize(
    ("topic", "payload", "state"),
    [
        ("tele/east/LWT", b"Online", ("gw-a", True)),
        ("tele/east/LWT", b" online\n", ("gw-a", True)),
        ("tele/east/LWT", b"Offline", ("gw-a", False)),
        ("tele/east/LWT", b"", None),
        ("tele/east/LWT", b"\xff", None),
        ("tele/west/LWT", b"Online", None),
        ("bridge/state", b'{"state": "online"}', ("gw-b", True)),
        ("bridge/state", b'{"state": "offline"}', ("gw-b", False)),
        ("bridge/state", b"{}", ("gw-b", False)),
        ("bridge/state", b"online", None),
        ("bridge/state", b"[" * 100_000, None),
        ("conn", b'{"id": "gw-a", "state": "UP"}', ("gw-a", True)),
        ("conn", b'{"id": "gw-a"}', ("gw-a", False)),
        ("conn", b'{"state": "up"}', None),
        ("elsewhere", b"online", None),
    ],
)
def test_gateways_come_and_go(mapped: Any, topic: str, payload: bytes, state: tuple[str, bool] | None) -> None:
    assert mapped(GATEWAY).gateway(topic, payload) == state


# Whatever a network can send

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**400), 2**63, -(2**1000), float("nan"), float("inf")])
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["2026-10-21T08:00:00Z", "a", "mh-1", "x/y", "P1D", "9e999", "[1", '{"a": 1}', "0001-01-01"])
)
KEYS = st.sampled_from(["items", "kind", "id", "at", "n", "depth", "m", "v", "t", "info", "deep"]) | st.text(max_size=4)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=30
)
LIKELY = st.fixed_dictionaries(
    {},
    optional={
        "items": st.lists(
            st.fixed_dictionaries({"kind": st.just("a")}, optional={"id": JSON, "depth": JSON, "n": JSON})
        ),
        **dict.fromkeys(("at", "depth", "id", "m", "v", "t", "info"), JSON),
    },
)
HOSTILE = """
[[feed]]
name = "plain"
topic = "plain/{id}"
device = "$.id"
at = "$.at"
seq = "$..n"
[feed.values]
waterDepth = { path = "$.depth", factor = 1e300, words = { true = 1 } }
coverOpen = "$..v"
batteryLevel = "$.m[?search(@.id, @.t) || @.v > 3 && length(@.info) != 2].v"
[[feed]]
name = "pattern"
topic = "pattern/{id}/#"
device = "{id}"
at = "$.t"
time = "%Y-%m-%d %H:%M"
[feed.values]
coverOpen = "$[1:-1:2]"
waterDepth = { path = "$['items',-1]", offset = 1 }
[[feed]]
name = "seconds"
topic = "seconds"
each = "$..*"
device = "@.id"
at = "@.at"
time = "s"
[feed.values]
waterDepth = "@"
coverOpen = "@.depth"
[feed.devices]
a = "mh-1"
"""


@settings(max_examples=400)
@given(body=LIKELY | JSON, topic=st.sampled_from(["many", "plain/mh-1", "pattern/x/y", "seconds"]) | st.text())
def test_no_body_raises_anything_but_a_fault(tmp_path_factory: Any, body: Any, topic: str) -> None:
    mapping = hostile(tmp_path_factory)
    found: list[Reading | MappingFault] | None
    try:
        found = mapping.readings(topic, body)
    except MappingFault as fault:
        found = [fault]
    for item in found or []:
        if isinstance(item, MappingFault):
            assert len(str(item)) < 500
        else:
            assert isinstance(item.device, str)
            assert item.at is None or abs(item.at) < 2**53
            msgspec.json.encode(item.values)  # numbers, and finite ones
            assert item.values
            assert all(isinstance(v, float) for v in item.values.values())


def hostile(tmp_path_factory: Any, made: list[Mapping] = []) -> Mapping:  # noqa: B006 - once for all examples
    if not made:
        file = tmp_path_factory.mktemp("mapping") / "hostile.toml"
        file.write_text(EACH + HOSTILE, encoding="utf-8")
        made.append(read(file, SMALL, prefix=PREFIX))
    return made[0]


@pytest.mark.parametrize("topic", ["many", "plain/mh-1", "pattern/x", "seconds"])
def test_a_body_deeper_than_the_stack_raises_nothing_but_a_fault(tmp_path_factory: Any, topic: str) -> None:
    body: Any = {"items": [], "depth": 1}
    for i in range(100_000):
        body = [body] if i % 2 else {"deep": body, "v": 1, "n": 2, "id": body, "at": body}
    try:
        found = hostile(tmp_path_factory).readings(topic, body)
    except MappingFault:
        return
    assert found
    assert all(isinstance(f, MappingFault) for f in found)


@settings(max_examples=200)
@given(payload=st.binary(max_size=50) | JSON.map(lambda b: json.dumps(b).encode()), topic=st.sampled_from(["c", "t/x"]))
def test_no_payload_of_a_gateway_raises(tmp_path_factory: Any, payload: bytes, topic: str) -> None:
    file = tmp_path_factory.getbasetemp() / "gateways.toml"
    if not file.exists():
        text = (
            '[[gateway]]\ntopic = "c"\npath = "$..v"\ngateway = "$.id"\n[[gateway]]\ntopic = "t/{n}"\ngateway = "{n}"\n'
        )
        file.write_text(text, encoding="utf-8")
    found = read(file, SMALL).gateway(topic, payload)
    assert found is None or isinstance(found[1], bool)


# What a file may say

WRONG = [
    ("", ["it maps nothing", "[[feed]]"]),
    ("feed = [", ["not valid TOML"]),
    ("[feed]\nname = 'f'\n", ["write [[feed]] with two brackets"]),
    ("[[feeds]]\nname = 'f'\n", ["file: feeds", "not a key", "Did you mean 'feed'"]),
    ("feed = [3]", ["feed 1"]),
    (
        "[[feed]]\nname = 'f'\n",
        ["feed 'f': topic is missing: the MQTT topic", "device is missing", "values is missing"],
    ),
    ("[[feed]]\ntopic = 'x'\n", ["feed 1: name is missing"]),
    (FEED + "[feed.values]\n", ["feed 'f': values", "at least 1"]),
    (FEED + 'divice = "x"\n' + VALUES, ["feed 'f': divice = 'x': not a key", "Did you mean 'device'"]),
    (FEED + "at = 3\n" + VALUES, ["feed 'f': at = 3", "string", "path of the time"]),
    (FEED + "[feed.values]\nwaterDepth = 3\n", ["values.waterDepth = 3: a path, or a table such as { path = … }"]),
    (
        FEED + '[feed.values]\nwaterDepth = { path = "$.x", factr = 2 }\n',
        ["values.waterDepth.factr", "Did you mean 'factor'"],
    ),
    (FEED + "[feed.values]\nwaterDepth = { factor = 2 }\n", ["values.waterDepth.path is missing"]),
    (
        FEED + '[feed.values]\nwaterDepth = { path = "$.x", factor = "2" }\n',
        ["values.waterDepth.factor = '2'", "number"],
    ),
    (FEED + '[feed.values]\nwaterDepth = { path = "$.x", factor = nan }\n', ["factor = nan", "finite"]),
    (FEED + '[feed.values]\nwaterDepth = { path = "$.x", words = { a = "b" } }\n', ["values.waterDepth.words.a = 'b'"]),
    (FEED + '[feed.values]\nWaterdepth = "$.x"\n', ["values = 'Waterdepth': not a metric. Did you mean 'waterDepth'?"]),
    (FEED + '[feed.values]\nzzz = "$.x"\n', ["'zzz': not a metric", "docs/integrators.md"]),
    (FEED + '[feed.values]\nwaterDepth = "depth"\n', ["values.waterDepth = 'depth': a path begins with '$'"]),
    (
        FEED + '[feed.values]\nwaterDepth = "$.a b"\n',
        ["values.waterDepth = '$.a b': not a JSON path (RFC 9535): unexpected"],
    ),
    (FEED + '[feed.values]\nwaterDepth = "$[?nope(@.x)]"\n', ["not a JSON path", "nope"]),
    (FEED + '[feed.values]\nwaterDepth = "$.x | $.y"\n', ["not a JSON path"]),
    (FEED + '[feed.values]\nwaterDepth = "@.x"\n', ["values.waterDepth = '@.x': '@' is an item of `each`"]),
    (FEED + '[feed.values]\nflow = "$.x"\n', ["feed 'f': values = 'flow': none of its devices measures this"]),
    (of('"$."') + VALUES, ["device = '$.': not a JSON path"]),
    (of('"{ID}"') + VALUES, ["device = 'ID': not a part of the topic. Did you mean 'id'?"]),
    (of('"{zzz}"') + VALUES, ["not a part of the topic. The topic's parts are {id}."]),
    (of('"{i-d}"') + VALUES, ["device = '{i-d}': write an id"]),
    (of('""') + VALUES, ["device = '': write an id"]),
    (of('"mh-2"') + VALUES, ["device = 'mh-2': not in the registry. Did you mean"]),
    (of('"zzzzz"') + VALUES, ["device = 'zzzzz': not in the registry. Add it there"]),
    (of('"aq-1"') + VALUES, ["device = 'aq-1'", "this air-station measures pm25", "none of that is in `values`"]),
    (FEED + VALUES + '[feed.devices]\nx = "mh-l"\n', ["feed 'f': devices.'x' = 'mh-l'", "Did you mean 'mh-1'?"]),
    (FEED + VALUES + '[feed.devices]\nx = "aq-1"\n', ["devices.'x' = 'aq-1'", "none of that is in `values`"]),
    (
        FEED + VALUES + 'pm25 = "$.p"\n[feed.devices]\nx = "mh-1"\n',
        ["values = 'pm25': none of its devices measures this"],
    ),
    (on("their/+/{id}") + VALUES, ["topic = 'their/+/{id}': a level is text, or {part}"]),
    (on("their/#/{id}") + VALUES, ["topic", "'#' may only be the last"]),
    (on("their/x{id}") + VALUES, ["topic", "a level is text, or {part}"]),
    (on("their/{id}/{id}") + VALUES, ["topic", "{id} is there twice"]),
    (on("") + VALUES, ["topic = '': it is empty"]),
    (on("{id}/v1/traffic/#") + VALUES, ["topic", "our own topics (gaoxin/v1/#)"]),
    (FEED + VALUES + FEED + VALUES, ["name = 'f': two feeds have this name"]),
    (
        FEED + VALUES + FEED.replace('"f"', '"g"').replace("their/{id}/up", "their/{id}/{x}") + VALUES,
        ["feed 'g': topic", "feed 'f' (their/{id}/up) can have the same topic"],
    ),
    (FEED + VALUES + '[[gateway]]\ntopic = "their/#"\ngateway = "gw-a"\n', ["gateway 1: topic", "feed 'f'"]),
    (FEED + 'time = "s"\n' + VALUES, ["time = 's': there is no time to read", "`at`"]),
    (FEED + 'zone = "UTC"\n' + VALUES, ["zone = 'UTC': there is no time to read"]),
    (FEED + 'at = "$.t"\ntime = "iso"\n' + VALUES, ["time = 'iso': write rfc3339, s, ms, us, or a pattern"]),
    (FEED + 'at = "$.t"\ntime = "%H:%M"\n' + VALUES, ["time = '%H:%M': this pattern loses the day"]),
    (FEED + 'at = "$.t"\ntime = "%Q"\n' + VALUES, ["time = '%Q'"]),
    (FEED + 'at = "$.t"\nzone = "Xian"\n' + VALUES, ["zone = 'Xian': not a time zone", "Asia/Shanghai"]),
    (FEED + 'at = "$.t"\nzone = "../x"\n' + VALUES, ["not a time zone"]),
    (FEED + 'at = "$.t"\ntime = "ms"\nzone = "UTC"\n' + VALUES, ["zone = 'UTC'", "no time zone"]),
    (EACH.replace("$.items[", "@.items["), ["each = ", "begin it with '$'"]),
    (EACH.replace('"@.depth"', '"$.depth"'), ["values = '$.depth': each item would say the same", "'@'"]),
    (
        '[[gateway]]\ntopic = "x"\ngateway = "gw-z"\n',
        ["gateway 1: gateway = 'gw-z': not the `gateway` of any device of the registry. Did you"],
    ),
    ('[[gateway]]\ntopic = "{n}"\ngateway = "{n}"\n[gateway.gateways]\nx = "gw-z"\n', ["gateways.'x' = 'gw-z'"]),
    ('[[gateway]]\ntopic = "x"\npath = "@.s"\ngateway = "gw-a"\n', ["gateway 1: path = '@.s'", "begin it with '$'"]),
    (
        '[[gateway]]\ntopic = "x"\ngatway = "gw-a"\n',
        ["gateway 1: gateway is missing", "gatway", "Did you mean 'gateway'"],
    ),
]


@pytest.mark.parametrize(("text", "words"), WRONG)
def test_a_wrong_file_is_told_what_is_wrong(mapped: Any, text: str, words: list[str]) -> None:
    with pytest.raises(SettingsError) as error:
        mapped(text)
    assert "mapping.toml: " in str(error.value)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read(tmp_path / "mapping.toml", SMALL)


def test_feeds_that_only_look_alike_stand_apart(mapped: Any) -> None:
    more = FEED.replace('"f"', '"g"') + VALUES
    assert len(mapped(FEED + VALUES + more.replace("/up", "/down")).topics) == 2
    assert len(mapped(FEED + VALUES + more.replace("/up", "/up/#").replace("their", "our")).topics) == 2


# The command


def command(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["ingest", *map(str, arguments)], catch_exceptions=False)
    return result.exit_code, result.output


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings but the defaults, and a folder where anything written would be seen."""
    for name in [n for n in os.environ if n.startswith("GAOXIN_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", EXPECTED)
def test_check_says_what_the_examples_are(name: str, tmp_path: Path) -> None:
    code, said = command("--check", EXAMPLES / f"{name}.toml")
    assert code == 0
    mapping = read(EXAMPLES / f"{name}.toml", DEFAULT)
    assert said == describe(Decoder(DEFAULT, prefix=PREFIX, mapping=mapping)) + "\n"
    assert all(f"subscribes to  {topic}" in said for topic in mapping.topics)
    assert all(device in said for device, *_ in EXPECTED[name])
    code, said = command("--check", EXAMPLES / f"{name}.toml", "--sample", EXAMPLES / f"{name}.jsonl")
    assert code == 0
    n = len(samples(name))
    assert f"{n} of {n} samples taken: observations {len(EXPECTED[name])}" in said
    assert list(tmp_path.iterdir()) == [], "it opens no store"


def test_check_of_samples_says_why_one_would_not_be_taken(tmp_path: Path) -> None:
    bad = [
        {"topic": "zigbee2mqtt/cover/ew01-3", "payload": {"last_seen": "2026-11-20T08:30:00Z", "contact": "ajar"}},
        {"topic": "zigbee2mqtt/weather/roof-3", "payload": {"last_seen": "2026-11-20T08:30:00Z", "temperature": 99}},
        {"topic": "zigbee2mqtt/weather/roof-9", "payload": {"last_seen": "2026-11-20T08:30:00Z", "temperature": 9}},
        {"topic": "zigbee2mqtt/weather/roof-3", "payload": {"last_seen": "2026-12-20T08:30:00Z", "temperature": 9}},
        {"topic": "zigbee2mqtt/weather/roof-3", "payload": "warm"},
        {"topic": "zigbee2mqtt/lamp", "payload": {}},
    ]
    now = parse("2026-11-20T08:30:05Z")
    file = tmp_path / "bad.jsonl"
    lines = [json.dumps(b | {"received": now}) for b in bad] + ["", "no sample", "[]", '{"topic": 3, "payload": 1}']
    file.write_text("\n".join(lines), encoding="utf-8")
    code, said = command("--check", EXAMPLES / "zigbee2mqtt.toml", "--sample", file)
    assert code == 1
    for why in (
        "neither a number nor one of true, false",
        "value is outside its valid range: wx-03: temperature = 99.0, not in -40…60 Cel",
        "'roof-9' is not in its table `devices`",
        "time is too far ahead of ours",
        "payload is not JSON",
        "topic is not one of ours",
        "line 8\n    not taken: not a sample",
        "line 9\n    not taken: not a sample",
        "line 10\n    not taken: not a sample",
        "0 of 9 samples taken: observations 0, gateway states 0, faults 6",
    ):
        assert why in said, said


def test_check_of_a_wrong_file_ends_with_two(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(FEED, encoding="utf-8")
    code, said = command("--check", tmp_path / "m.toml")
    assert code == 2
    assert "values is missing" in said
    code, said = command("--sample", tmp_path / "m.jsonl")
    assert code == 2
    assert "--check" in said
    code, said = command("--check", EXAMPLES / "ngsi-ld.toml", "--sample", tmp_path / "m.jsonl")
    assert code == 2
    assert "cannot be read" in said


def test_the_example_in_the_docs_says_what_the_docs_say(tmp_path: Path) -> None:
    page = (Path(tables.__file__).parent / "integrators.md").read_text(encoding="utf-8")
    blocks = {kind: re.search(rf"```{kind}\n(.*?)```", page, flags=re.S) for kind in ("toml", "jsonl", "text")}
    text = {kind: found[1] for kind, found in blocks.items() if found}
    (tmp_path / "mapping.toml").write_text(text["toml"], encoding="utf-8")
    (tmp_path / "caught.jsonl").write_text(text["jsonl"], encoding="utf-8")
    [asked] = re.findall(r"^    gaoxin ingest (--check .*)$", page, flags=re.M)
    assert command(*asked.split()) == (1, text["text"])


def test_every_key_has_a_description() -> None:
    for model in (FeedKeys, ValueKeys, GatewayKeys):
        assert all(field.description for field in model.model_fields.values())


def test_a_list_named_for_its_items_is_told(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(
        '[[feed]]\nname = "v"\ntopic = "v"\neach = "$.m"\ndevice = "@.id"\n[feed.values]\nintensity = "@.n"\n',
        encoding="utf-8",
    )
    mapping = read(tmp_path / "m.toml", SMALL, prefix=PREFIX)
    with pytest.raises(MappingFault, match=r"\$\.m is a list, not its items: write \$\.m\[\*\]"):
        mapping.readings("v", {"m": [{"id": "td-1", "n": 3}]})
