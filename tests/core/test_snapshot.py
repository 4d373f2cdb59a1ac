import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.zone import SMALL, T0, seen
from twin import snapshot
from twin.observation import Observation
from twin.snapshot import NEVER_HEARD, NO_BAND, UNKNOWN, Encoder, Snapshot

TD1 = SMALL.index["td-1"]


def fold(*observations: Observation) -> Snapshot:
    return snapshot.of(SMALL, observations)


def test_at_first_nothing_has_been_heard() -> None:
    value, status = Snapshot(SMALL).bytes_at(T0)
    assert set(value) == {NEVER_HEARD}
    assert set(status) == {NO_BAND << 4}


def test_a_reading_shows_on_its_scale_with_its_band() -> None:
    value, status = fold(seen("td-1", averageVehicleSpeed=50.0)).bytes_at(T0)
    assert value[TD1] == 100  # 50 of 125 km/h on 250 steps
    assert status[TD1] >> 4 == 0  # 50 of 60 km/h: free


def test_silence_turns_a_device_unknown_never_normal() -> None:
    zone = fold(seen("td-1", averageVehicleSpeed=50.0))
    assert zone.bytes_at(T0 + 180_000)[0][TD1] == 100
    value, status = zone.bytes_at(T0 + 180_001)
    assert (value[TD1], status[TD1] >> 4) == (UNKNOWN, NO_BAND)


def test_a_lost_gateway_takes_its_devices_with_it_at_once() -> None:
    zone = fold(seen("td-1", averageVehicleSpeed=50.0), seen("pk-1", occupancy=0.5))
    zone.gateway("gw-a", online=False, at=T0 + 10)
    value, _ = zone.bytes_at(T0 + 20)
    assert value[TD1] == UNKNOWN
    assert value[SMALL.index["pk-1"]] == 100
    zone.fold(seen("td-1", T0 + 30, averageVehicleSpeed=40.0))
    assert zone.bytes_at(T0 + 30)[0][TD1] == 80


def test_a_gateway_that_returns_gives_back_what_is_still_fresh() -> None:
    zone = fold(seen("td-1", averageVehicleSpeed=50.0))
    zone.gateway("gw-a", online=False, at=T0 + 10)
    zone.gateway("gw-a", online=True, at=T0 + 20)
    assert zone.bytes_at(T0 + 30)[0][TD1] == 100
    assert zone.bytes_at(T0 + 200_000)[0][TD1] == UNKNOWN


def test_the_same_again_is_no_news_and_a_correction_is() -> None:
    zone = fold(seen("td-1", averageVehicleSpeed=50.0))
    assert not zone.fold(seen("td-1", T0, T0 + 5, averageVehicleSpeed=50.0))
    assert zone.fold(seen("td-1", T0, T0 + 9, averageVehicleSpeed=10.0))
    assert not zone.fold(seen("td-1", T0 - 1, T0 + 20, averageVehicleSpeed=99.0))
    assert zone.bytes_at(T0)[0][TD1] == 20


def test_of_two_received_at_once_the_one_that_came_last_counts() -> None:
    zone = fold(seen("td-1", averageVehicleSpeed=50.0))
    assert zone.fold(seen("td-1", averageVehicleSpeed=10.0))
    assert zone.bytes_at(T0)[0][TD1] == 20


def test_what_was_corrected_is_a_redelivery_when_it_comes_again() -> None:
    """As in every store, where the first receipt stands."""
    zone = fold(seen("td-1", averageVehicleSpeed=50.0), seen("td-1", T0, T0 + 5, averageVehicleSpeed=10.0))
    assert not zone.fold(seen("td-1", T0, T0 + 9, averageVehicleSpeed=50.0))
    assert zone.bytes_at(T0 + 9)[0][TD1] == 20
    assert zone.fold(seen("td-1", T0 + 1, T0 + 10, averageVehicleSpeed=50.0))


def test_an_observation_without_the_headline_is_unknown_on_the_map() -> None:
    assert fold(seen("td-1", intensity=5.0)).bytes_at(T0)[0][TD1] == UNKNOWN


observations = st.builds(
    lambda d, at, late, v: seen(d, T0 + at * 1000, T0 + at * 1000 + late, averageVehicleSpeed=float(v)),
    st.sampled_from(["td-1", "td-2", "td-3"]),
    st.integers(0, 20),
    st.integers(0, 5),
    st.integers(0, 120),
)


@given(st.lists(observations, max_size=12), st.randoms())
def test_the_fold_does_not_care_about_the_order_of_arrival(found: list[Observation], random: object) -> None:
    # One reading for each (device, at, received): two different ones received at the same instant have no order
    distinct = list({(o.device, o.at, o.received): o for o in found}.values())
    shuffled = list(distinct)
    random.shuffle(shuffled)
    a, b = (snapshot.of(SMALL, some).bytes_at(T0 + 30_000) for some in (distinct, shuffled))
    assert np.array_equal(a[0], b[0])
    assert np.array_equal(a[1], b[1])


def test_a_frame_reads_back() -> None:
    zone = fold(seen("td-1", averageVehicleSpeed=50.0))
    frame = snapshot.decode(Encoder(zone, started=7).key(T0))
    assert (frame.digest, frame.seq, frame.at, frame.started, frame.index) == (SMALL.digest, 1, T0, 7, None)
    assert np.array_equal(frame.value, zone.bytes_at(T0)[0])


def test_key_plus_deltas_is_the_snapshot() -> None:
    zone = Snapshot(SMALL)
    encoder = Encoder(zone, started=7)
    shown = snapshot.decode(encoder.key(T0))
    value, status = shown.value.copy(), shown.status.copy()
    for i, d in enumerate(itertools.islice(itertools.cycle(["td-1", "td-2", "td-1"]), 9)):
        now = T0 + i * 60_000
        zone.fold(seen(d, now, averageVehicleSpeed=5.0 * i))
        delta = snapshot.decode(encoder.delta(now))
        assert delta.index is not None
        assert delta.seq == i + 2
        value[delta.index], status[delta.index] = delta.value, delta.status
        assert np.array_equal(value, zone.bytes_at(now)[0])
        assert np.array_equal(status, zone.bytes_at(now)[1])


def test_an_empty_delta_still_carries_the_time() -> None:
    encoder = Encoder(Snapshot(SMALL), started=7)
    encoder.key(T0)
    frame = snapshot.decode(encoder.delta(T0 + 200))
    assert frame.at == T0 + 200
    assert frame.index is not None
    assert len(frame.index) == 0


@pytest.mark.parametrize("wrong", [b"", b"GX", b"XX" + bytes(40), Encoder(Snapshot(SMALL), started=1).key(T0)[:-1]])
def test_what_is_no_frame_is_refused_with_a_word(wrong: bytes) -> None:
    with pytest.raises(ValueError, match="frame"):
        snapshot.decode(wrong)
