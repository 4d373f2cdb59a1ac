import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.decode import Decoder, Reason
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
bodies = st.fixed_dictionaries(
    {}, optional={"at": json_values, "values": st.dictionaries(st.sampled_from(["intensity", "pue", "x"]), json_values)}
).map(lambda b: json.dumps(b).encode())
topics = st.sampled_from([topic("td-1"), topic("aq-1"), f"{PREFIX}/traffic/batch", f"{PREFIX}/x/y/obs"]) | st.text()


@given(topics, bodies | st.binary(max_size=200) | json_values.map(lambda b: json.dumps(b).encode()))
@settings(max_examples=500, deadline=None)
def test_nothing_a_network_can_send_raises_and_all_of_it_is_accounted_for(where: str, what: bytes) -> None:
    found = decoder.decode(where, what, T0)
    assert all(isinstance(r.reason, Reason) and len(r.detail) <= 260 for r in found.rejections)
    if where.endswith("/obs"):
        assert found.observations or found.rejections
