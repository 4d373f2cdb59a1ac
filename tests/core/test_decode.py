import json
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.decode import LARGEST, Decoded, Decoder, Reason
from tests.zone import PREFIX, SMALL, T0, payload, seen, topic

decoder = Decoder(SMALL, prefix=PREFIX)


def test_a_message_is_one_observation() -> None:
    found = decoder.decode(topic("td-1"), payload(intensity=812, averageVehicleSpeed=43.2), T0 + 70)
    assert found.observations == [seen("td-1", T0, T0 + 70, intensity=812.0, averageVehicleSpeed=43.2)]
    assert found.rejections == []


def test_time_may_be_rfc_3339_or_absent() -> None:
    [o] = decoder.decode(topic("td-1"), payload("2026-10-21T08:00:00+08:00", intensity=1), T0).observations
    assert o.at == T0
    [o] = decoder.decode(topic("td-1"), payload("2026-10-21T00:00:00Z", intensity=1), T0).observations
    assert o.at == T0
    [o] = decoder.decode(topic("td-1"), payload(None, intensity=1), T0 + 5).observations
    assert o.at == T0 + 5


def test_a_batch_names_its_devices() -> None:
    body = [{"device": d, "at": T0, "values": {"intensity": i}} for i, d in enumerate(("td-1", "td-2", "nobody"))]
    found = decoder.decode(f"{PREFIX}/traffic/batch", json.dumps(body).encode(), T0)
    assert [o.device for o in found.observations] == ["td-1", "td-2"]
    assert [r.reason for r in found.rejections] == [Reason.DEVICE]


def test_a_sequence_number_goes_with_its_observation() -> None:
    body = [{"device": "td-1", "at": T0, "values": {"intensity": 1}, "seq": s} for s in (17, 18.0, None, "19", True)]
    for one in body:
        text = json.dumps(one).encode()
        assert decoder.decode(topic("td-1"), text, T0).seqs == [one["seq"] if one["seq"] in (17, 18) else None]
    assert decoder.decode(f"{PREFIX}/traffic/batch", json.dumps(body).encode(), T0).seqs == [17, 18, None, None, None]


def test_several_messages_may_share_what_is_found() -> None:
    found = Decoded.nothing()
    for i in range(3):
        assert decoder.decode(topic("td-1"), payload(T0 + i, intensity=i), T0, found) is found
    decoder.decode(topic("td-1"), b"", T0, found)
    assert ([o.at for o in found.observations], len(found.rejections)) == ([T0, T0 + 1, T0 + 2], 1)


def test_a_bad_metric_does_not_cost_its_neighbours() -> None:
    found = decoder.decode(topic("aq-1"), payload(pm25=38, o3=-5, co="high"), T0)
    assert found.observations == [seen("aq-1", pm25=38.0)]
    assert {r.reason for r in found.rejections} == {Reason.RANGE, Reason.TYPE}
    assert "o3 = -5, not in 0…2000 ug/m3" in " ".join(r.detail for r in found.rejections)


@pytest.mark.parametrize(
    ("where", "what", "reason"),
    [
        ("elsewhere/traffic/td-1/obs", payload(intensity=1), Reason.TOPIC),
        (f"{PREFIX}/traffic/td-1", payload(intensity=1), Reason.TOPIC),
        (f"{PREFIX}/weather/td-1/obs", payload(intensity=1), Reason.TOPIC),
        (f"{PREFIX}/parking/td-1/obs", payload(intensity=1), Reason.DOMAIN),
        (f"{PREFIX}/traffic/td-9/obs", payload(intensity=1), Reason.DEVICE),
        (f"{PREFIX}/traffic/batch", b"[]", Reason.EMPTY),
        (topic("td-1"), b'{"values": {"intensity": 1}}' + b" " * LARGEST, Reason.SIZE),
        (f"{PREFIX}/traffic/batch", b"[" + b"0," * 10_000 + b"0]", Reason.SIZE),
        (topic("td-1"), b"", Reason.JSON),
        (topic("td-1"), b"\xff\xfe", Reason.JSON),
        (topic("td-1"), b'{"values": {"intensity": NaN}}', Reason.JSON),
        (topic("td-1"), b"[" * 100_000, Reason.JSON),
        (topic("td-1"), b"[]", Reason.SHAPE),
        (topic("td-1"), b'{"values": 3}', Reason.SHAPE),
        (f"{PREFIX}/traffic/batch", b"{}", Reason.SHAPE),
        (topic("td-1"), payload(), Reason.EMPTY),
        (topic("td-1"), payload(T0 + 301_000, intensity=1), Reason.FUTURE),
        (topic("td-1"), payload(T0 - 401 * 86_400_000, intensity=1), Reason.PAST),
        (topic("td-1"), payload("yesterday", intensity=1), Reason.TIME),
        (topic("td-1"), b'{"at": 1.5, "values": {"intensity": 1}}', Reason.TIME),
        (topic("td-1"), b'{"at": true, "values": {"intensity": 1}}', Reason.TIME),
        (topic("td-1"), payload(pue=1.2), Reason.METRIC),
        (topic("td-1"), payload(intensity=True), Reason.TYPE),
        (topic("td-1"), payload(intensity=10**400), Reason.TYPE),
        (topic("td-1"), b'{"values": {"intensity": 1e999}}', Reason.JSON),
    ],
)
def test_what_cannot_be_taken_says_why(where: str, what: bytes, reason: Reason) -> None:
    found = decoder.decode(where, what, T0)
    assert found.observations == []
    assert [r.reason for r in found.rejections] == [reason]


def test_an_old_message_kept_by_the_broker_needs_a_time_of_its_own() -> None:
    for where, timed, untimed in (
        (topic("td-1"), payload(intensity=1), payload(None, intensity=1)),
        (
            f"{PREFIX}/traffic/batch",
            json.dumps([{"device": "td-1", "at": T0, "values": {"intensity": 1}}]).encode(),
            json.dumps([{"device": "td-1", "values": {"intensity": 1}}]).encode(),
        ),
    ):
        assert len(decoder.decode(where, timed, T0, retained=True).observations) == 1
        assert len(decoder.decode(where, untimed, T0).observations) == 1
        found = decoder.decode(where, untimed, T0, retained=True)
        assert (found.observations, [r.reason for r in found.rejections]) == ([], [Reason.RETAINED])


def test_gateways_come_and_go() -> None:
    status = decoder.gateway(f"{PREFIX}/gateway/gw-a/status", b"offline")
    assert status is not None
    assert (status.gateway, status.online) == ("gw-a", False)
    assert decoder.gateway(f"{PREFIX}/gateway/gw-a/status", b"maybe") is None
    assert decoder.gateway(topic("td-1"), b"online") is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
near = st.integers(T0 - 10, T0 + 400_000) | st.just(float(T0))
# Mostly good, so that both roads are taken
readings = st.fixed_dictionaries(
    {"values": st.dictionaries(st.sampled_from(["intensity", "occupancy", "x"]), st.integers(0, 3) | json_values)},
    optional={
        "at": near | json_values,
        "seq": st.integers() | json_values,
        "device": st.sampled_from(["td-1", "td-2", "aq-1", "nobody"]) | json_values,
        "more": json_values,
    },
)
bodies = (readings | st.lists(readings, max_size=4) | json_values).map(lambda b: json.dumps(b).encode())
topics = st.sampled_from([topic("td-1"), topic("aq-1"), f"{PREFIX}/traffic/batch", f"{PREFIX}/x/y/obs"]) | st.text()


@given(topics, bodies | st.binary(max_size=200))
@settings(max_examples=1_000)
def test_both_roads_lead_to_the_same_place(where: str, what: bytes) -> None:
    fast, slow = decoder.decode(where, what, T0), Decoded.nothing()
    decoder.explain(where, what, T0, slow)
    assert fast == slow
    assert fast.observations or fast.rejections
    assert len(fast.seqs) == len(fast.observations)
    assert all(isinstance(r.reason, Reason) and len(r.detail) <= 260 for r in fast.rejections)


SEEDS = [
    payload(intensity=812, averageVehicleSpeed=43.2, occupancy=0.12),
    payload("2026-10-21T08:00:00+08:00", intensity=1),
    json.dumps([{"device": f"td-{i}", "at": T0, "values": {"intensity": i}, "seq": i} for i in range(5)]).encode(),
]
RUBBISH = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b'{"values":' * 20_000,
    b'{"at": 1e308, "values": {"intensity": 1e308}}',
    b'{"at": ' + b"9" * 5_000 + b', "values": {"intensity": ' + b"9" * 5_000 + b"}}",
    b'{"values": {"intensity": NaN}}',
    b'{"values": {"intensity": -Infinity}}',
    b'{"values": {"\\ud800": 1}}',
    b"[" * 900 + b"]" * 900,
    b'{"values": {"intensity": ' + b"[" * 950 + b"]" * 950 + b"}}",
    b'{"at": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b', "values": {"intensity": 1}}',
    b'{"values": {"intensity": [[' + b"9" * 5_000 + b"]]}}",
    b"[[" + b"9" * 5_000 + b"]]",
    b'{"values": {"intensity": "\xed\xa0\x80"}}',
    b'{"at": "9999-99-99T99:99:99Z", "values": {"intensity": 1}}',
    b'{"at": "0001-01-01T00:00:00+23:59", "values": {"intensity": 1}}',
    b'{"at": "\xd9\xa1", "values": {"intensity": 1}}',
    b"x" * (LARGEST + 1),
    b'{"values": {"intensity": 1}, "x": "' + b"y" * (LARGEST - 40) + b'"}',
    b'{"values": {' + b",".join(b'"m%d": 1' % i for i in range(20_000)) + b"}}",
]
PLACES = [
    topic("td-1"),
    topic("td-1"),
    f"{PREFIX}/traffic/batch",
    f"{PREFIX}/traffic/td-9/obs",
    "",
    "/",
    "$SYS/x",
    PREFIX,
]


def mutated(random: Random, what: bytes) -> bytes:
    raw = bytearray(what)
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(raw) + 1)
        match random.randrange(5):
            case 0 if at < len(raw):
                raw[at] = random.randrange(256)
            case 1:
                raw[at : at + random.randrange(9)] = b""
            case 2:
                raw[at:at] = random.choice([b"[", b"}", b'"', b",", b"1e", b"null", b"\\u", b"\xc3", b"-", b"0" * 30])
            case 3:
                raw[at:at] = raw[: random.randrange(len(raw) + 1)]
            case _:
                raw = raw[:at]
    return bytes(raw[:5_000])


def test_a_hundred_thousand_bad_payloads_are_each_taken_or_refused_with_a_reason() -> None:
    random = Random(20261121)
    outcomes: Counter[str] = Counter()
    for i in range(100_000):
        # The large ones are slow by nature: one in two hundred
        what = random.choice(RUBBISH) if i % 200 == 0 else mutated(random, random.choice(SEEDS))
        found = decoder.decode(random.choice(PLACES), what, T0)
        assert found.observations or found.rejections, what[:200]
        outcomes["taken" if found.observations else "refused"] += 1
        outcomes.update(r.reason.name for r in found.rejections)
    assert outcomes["taken"] > 1_000
    assert outcomes["refused"] > 50_000
    assert set(outcomes) >= {
        "TOPIC",
        "SIZE",
        "JSON",
        "SHAPE",
        "TIME",
        "DEVICE",
        "METRIC",
        "TYPE",
        "RANGE",
        "EMPTY",
        "PAST",
    }
