"""What every store must do. Subclassed once for each; nothing here knows which store it drives."""

import threading
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from tests.zone import T0, device, link, seen
from twin.observation import Domain, Observation
from twin.registry import Registry
from twin.store import FOREVER, Store

MINUTE = 60_000
NAMES = Registry(
    [
        link("td-1"),
        link("td-2"),
        device("aq-1", "air-station"),
        link("世纪大道,检测器=1号"),
        device('o\'brien"quoted"', "air-station"),
        device("pk-1", "car-park", capacity=100.0),
        *(device(f"sv-{i:03d}", "server") for i in range(100)),
    ]
)

Open = Callable[[], Store]


def by_minute(values: list[float], name: str = "td-1") -> list[Observation]:
    return [seen(name, T0 + i * MINUTE, T0 + i * MINUTE + 80, intensity=v) for i, v in enumerate(values)]


class StoreContract:
    """`store` is open and empty; `reopen` closes it and opens what it kept."""

    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError

    def test_what_is_written_is_read_back_exactly(self, store: Store) -> None:
        given = seen("aq-1", T0, T0 + 70, pm25=38.123456789, co=1e-7, o3=0.1 + 0.2)
        assert store.write([given]) == (1, [])
        assert store.latest() == {"aq-1": given}

    def test_an_unknown_device_is_rejected_with_its_reason_and_blocks_no_other(self, store: Store) -> None:
        stranger = seen("nobody", pm25=1.0)
        written = store.write([stranger, seen("aq-1", pm25=2.0)])
        assert written.accepted == 1
        [(o, why)] = written.rejected
        assert o == stranger
        assert "nobody" in why

    def test_writing_again_changes_nothing_and_the_first_receipt_stands(self, store: Store) -> None:
        first = by_minute([1.0, 2.0, 3.0])
        store.write(first)
        again = [Observation(o.device, o.at, o.values, o.received + 5_000) for o in first]
        for batch in (first, again, again + first):
            assert store.write(batch).accepted == len(batch)
        assert store.zone(FOREVER)["td-1"] == first[-1]
        assert store.series("td-1", "intensity", T0, T0 + 10 * MINUTE).count.sum() == 3

    def test_a_batch_may_repeat_itself(self, store: Store) -> None:
        [one] = by_minute([1.0])
        store.write([one, one, Observation(one.device, one.at, one.values, one.received + 1)])
        assert store.latest()["td-1"] == one
        assert len(store.series("td-1", "intensity", T0, T0 + 1).at) == 1

    def test_a_correction_counts_from_when_it_was_received(self, store: Store) -> None:
        store.write(by_minute([1.0, 2.0]))
        store.write([seen("td-1", T0, T0 + 10 * MINUTE, intensity=9.0)])
        known_then = store.zone(T0 + 1, known=T0 + MINUTE)["td-1"]
        known_now = store.zone(T0 + 1)["td-1"]
        assert (known_then.values, known_now.values) == ({"intensity": 1.0}, {"intensity": 9.0})
        assert known_now.received == T0 + 10 * MINUTE
        assert store.series("td-1", "intensity", T0, T0 + 1).mean.tolist() == [9.0]
        assert store.series("td-1", "intensity", T0, T0 + 1, known=T0 + MINUTE).mean.tolist() == [1.0]

    def test_of_corrections_received_at_once_the_last_counts(self, store: Store) -> None:
        """A bulk of messages has one time of receipt: their order decides."""
        store.write([seen("td-1", T0, T0 + 5, intensity=v) for v in (1.0, 9.0, 5.0, 2.0)])
        assert store.latest()["td-1"].values == {"intensity": 2.0}
        assert store.series("td-1", "intensity", T0, T0 + 1).mean.tolist() == [2.0]
        store.write([seen("td-1", T0, T0 + 5, intensity=7.0)])
        store.write([seen("td-1", T0, T0 + 5, intensity=3.0)])
        assert store.latest()["td-1"].values == {"intensity": 3.0}
        assert store.zone(T0, known=T0 + 5)["td-1"].values == {"intensity": 3.0}

    def test_rows_of_a_domain_come_as_columns(self, store: Store) -> None:
        late = seen("aq-1", T0, T0 + MINUTE, pm25=2.0, o3=7.5)
        store.write([seen("aq-1", T0, T0 + 5, pm25=1.0), seen("td-1", T0, T0 + 5, intensity=3.0)])
        store.write([late, seen("aq-1", T0 + 1, T0 + 6, LAeq=50.0)])
        said = store.said(Domain.ENVIRONMENT, T0, T0 + 1)
        assert (said.device.tolist(), said.at.tolist()) == ([NAMES.index["aq-1"]] * 2, [T0] * 2)
        assert said.received.tolist() == [T0 + 5, T0 + MINUTE]
        assert said.dicts(np.arange(2)) == [{"pm25": 1.0}, late.values]
        assert len(store.said(Domain.ENVIRONMENT, T0, T0 + 2).at) == 3
        assert store.said(Domain.ENVIRONMENT, T0, T0 + 2, after=T0 + 5, by=T0 + 6).at.tolist() == [T0 + 1]
        assert len(store.said(Domain.ENVIRONMENT, T0, T0 + 2, devices=["td-1"]).at) == 0
        assert len(store.said(Domain.ENVIRONMENT, T0, T0 + 2, devices=["td-1", "aq-1"]).at) == 3
        assert len(store.said(Domain.PARKING, T0, T0 + 2).at) == 0

    def test_of_rows_equal_in_both_times_the_last_written_comes_last(self, store: Store) -> None:
        store.write([seen("td-1", T0, T0 + 5, intensity=v) for v in (4.0, 9.0, 5.0)])
        store.write([seen("td-1", T0, T0 + 5, intensity=1.0)])
        said = store.said(Domain.TRAFFIC, T0, T0 + 1)
        assert said.values["intensity"].tolist() == [4.0, 9.0, 5.0, 1.0]

    def test_the_zone_of_some_devices_only(self, store: Store) -> None:
        store.write([*by_minute([1.0]), *by_minute([2.0], "td-2"), seen("aq-1", pm25=1.0)])
        assert store.zone(T0, devices=["td-2", "aq-1", "pk-1"]).keys() == {"td-2", "aq-1"}
        assert store.zone(T0, devices=[]) == {}

    def test_how_much_there_is_and_since_when(self, store: Store) -> None:
        assert store.begins() is None
        store.write([*by_minute([1.0] * 7), seen("aq-1", T0 + 90_000, pm25=1.0)])
        assert store.begins() == T0
        assert store.density(Domain.TRAFFIC, T0 - MINUTE, T0 + 6 * MINUTE, 3 * MINUTE).tolist() == [2, 3, 1]
        assert store.density(Domain.ENVIRONMENT, T0, T0 + 3 * MINUTE, MINUTE).tolist() == [0, 1, 0]
        assert store.density(Domain.CITY, T0, T0 + 1, 1).tolist() == [0]

    def test_a_correction_in_the_same_batch_counts(self, store: Store) -> None:
        store.write([seen("td-1", T0, T0 + 1, intensity=1.0), seen("td-1", T0, T0 + 2, intensity=2.0)])
        assert store.latest()["td-1"].values == {"intensity": 2.0}
        assert store.zone(T0, known=T0 + 1)["td-1"].values == {"intensity": 1.0}

    def test_order_of_arrival_does_not_matter(self, store: Store) -> None:
        rows = by_minute([float(i) for i in range(20)])
        for batch in (rows[15:], rows[5:10], rows[:5], rows[10:15]):
            store.write(list(reversed(batch)))
        assert store.latest()["td-1"] == rows[-1]
        assert store.series("td-1", "intensity", T0, T0 + 20 * MINUTE).mean.tolist() == [float(i) for i in range(20)]

    def test_the_latest_of_all(self, store: Store) -> None:
        store.write([*by_minute([1.0, 2.0]), *by_minute([5.0], "td-2"), seen("pk-1", T0 - 9, occupancy=0.5)])
        latest = store.latest()
        assert {d: o.values for d, o in latest.items()} == {
            "td-1": {"intensity": 2.0},
            "td-2": {"intensity": 5.0},
            "pk-1": {"occupancy": 0.5},
        }

    def test_the_zone_at_a_time_as_known_then_and_now(self, store: Store) -> None:
        late = seen("td-1", T0 + 90_000, T0 + 30 * MINUTE, intensity=99.0)
        store.write([*by_minute([1.0, 2.0, 3.0]), late])
        moment = T0 + 100_000
        assert store.zone(moment, known=moment)["td-1"].values == {"intensity": 2.0}
        assert store.zone(moment)["td-1"] == late
        assert store.zone(T0 - 1) == {}
        assert store.zone(T0 + 79, known=T0 + 79) == {}
        assert store.zone(T0 + 80, known=T0 + 80)["td-1"].at == T0

    def test_the_zone_looks_no_further_back_than_asked(self, store: Store) -> None:
        store.write([*by_minute([1.0]), seen("td-2", T0 - 10 * MINUTE, intensity=7.0)])
        assert set(store.zone(T0, since=T0 - 5 * MINUTE)) == {"td-1"}
        assert set(store.zone(T0, since=T0 - 10 * MINUTE)) == {"td-1"}
        assert set(store.zone(T0, since=T0 - 10 * MINUTE - 1)) == {"td-1", "td-2"}

    def test_all_that_some_devices_said_in_a_range(self, store: Store) -> None:
        rows = by_minute([1.0, 2.0, 3.0])
        air = seen("aq-1", T0 + MINUTE, T0 + MINUTE + 90, pm25=5.0, co=0.5)
        correction = seen("td-1", T0 + MINUTE, T0 + 9 * MINUTE, intensity=7.0)
        store.write([*rows, *by_minute([8.0], "td-2"), air])
        store.write([correction, seen("td-1", T0, T0 + 10 * MINUTE, intensity=1.0)])
        asked = ["td-1", "aq-1", "nobody"]
        assert store.rows(asked, T0, T0 + 2 * MINUTE) == [rows[0], rows[1], air, correction]
        assert store.rows(asked, T0, T0 + 2 * MINUTE, known=T0 + MINUTE + 80) == [rows[0], rows[1]]
        assert store.rows(["td-1"], T0 + 2 * MINUTE, FOREVER) == [rows[2]]
        assert store.rows(["td-1"], T0 + 1, T0 + MINUTE) == store.rows([], T0, FOREVER) == []

    def test_of_rows_received_at_once_the_last_comes_last(self, store: Store) -> None:
        store.write([seen("td-1", T0, T0 + 5, intensity=v) for v in (4.0, 9.0, 2.0)])
        assert [o.values["intensity"] for o in store.rows(["td-1"], T0, T0 + 1)] == [4.0, 9.0, 2.0]

    def test_a_metric_of_many_devices_as_columns(self, store: Store) -> None:
        """By device and time whatever the order of arrival; of a correction and what it corrects the first."""
        store.write([*by_minute([1.0, 2.0, 3.0]), *by_minute([8.0, 9.0], "td-2"), seen("aq-1", T0, pm25=5.0)])
        store.write([seen("td-1", T0 + MINUTE, T0 + 9 * MINUTE, intensity=7.0)])
        store.write([seen("td-1", T0 - MINUTE, T0 + 9 * MINUTE, intensity=0.5)])
        store.write([seen("td-1", T0 + 2 * MINUTE + 1, T0 + 9 * MINUTE, occupancy=0.25)])
        asked = ["td-2", "td-1", "aq-1", "nobody"]
        device, at, value = store.columns(asked, "intensity", T0 - MINUTE, T0 + 3 * MINUTE)
        assert (device.dtype, at.dtype, value.dtype) == (np.int32, np.int64, np.float64)
        assert device.tolist() == [0, 0, 0, 0, 1, 1]
        assert at.tolist() == [T0 - MINUTE, T0, T0 + MINUTE, T0 + 2 * MINUTE, T0, T0 + MINUTE]
        assert value.tolist() == [0.5, 1.0, 2.0, 3.0, 8.0, 9.0]
        device, at, value = store.columns(["aq-1", "td-1"], "", T0 + 1, T0 + 3 * MINUTE)
        assert (device.tolist(), value.tolist()) == ([0, 0, 0], [0.0] * 3)
        assert at.tolist() == [T0 + MINUTE, T0 + 2 * MINUTE, T0 + 2 * MINUTE + 1]
        assert len(store.columns(["td-1"], "pm25", T0, FOREVER).at) == 0
        assert len(store.columns([], "intensity", T0, FOREVER).at) == 0

    def test_a_series_raw_and_in_buckets(self, store: Store) -> None:
        store.write(by_minute([float(i) for i in range(60)]))
        raw = store.series("td-1", "intensity", T0 + 10 * MINUTE, T0 + 20 * MINUTE)
        assert raw.mean.tolist() == [float(i) for i in range(10, 20)]
        assert raw.low.tolist() == raw.high.tolist() == raw.mean.tolist()
        few = store.series("td-1", "intensity", T0, T0 + 60 * MINUTE, points=6)
        assert few.at.tolist() == [T0 + i * 10 * MINUTE for i in range(6)]
        assert few.low.tolist() == [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]
        assert few.high.tolist() == [9.0, 19.0, 29.0, 39.0, 49.0, 59.0]
        assert few.mean.tolist() == [4.5, 14.5, 24.5, 34.5, 44.5, 54.5]
        assert few.count.tolist() == [10] * 6

    def test_never_more_buckets_than_asked_for(self, store: Store) -> None:
        store.write(by_minute([float(i) for i in range(59)]))
        for points in (1, 2, 7, 13, 58, 1000):
            found = store.series("td-1", "intensity", T0, T0 + 59 * MINUTE, points=points)
            assert len(found.at) <= points
            assert found.count.sum() == 59
            assert found.high.max() == 58.0

    def test_a_gap_stays_a_gap(self, store: Store) -> None:
        store.write([seen("td-1", T0 + i * MINUTE, intensity=1.0) for i in (0, 1, 2, 50, 51)])
        found = store.series("td-1", "intensity", T0, T0 + 60 * MINUTE, points=6)
        assert found.at.tolist() == [T0, T0 + 50 * MINUTE]

    def test_a_range_with_no_data_is_empty(self, store: Store) -> None:
        store.write(by_minute([1.0]))
        for start, end in ((T0 - 99, T0), (T0 + 1, T0 + 99)):
            for points in (None, 5):
                found = store.series("td-1", "intensity", start, end, points=points)
                assert [len(column) for column in (found.at, found.mean, found.low, found.high, found.count)] == [0] * 5
        assert len(store.series("td-1", "occupancy", T0 - 99, T0 + 99).at) == 0
        assert len(store.series("td-2", "intensity", T0 - 99, T0 + 99).at) == 0

    def test_names_with_chinese_and_awkward_characters(self, store: Store) -> None:
        given = [seen(d.id, T0, T0 + 1, **{d.metrics[0]: 5.0}) for d in NAMES.devices[3:5]]
        store.write(given)
        assert store.latest() == {o.device: o for o in given}
        for o in given:
            [metric] = o.values
            assert store.series(o.device, metric, T0, T0 + 1).mean.tolist() == [5.0]
            assert store.write([o]).accepted == 1
        assert store.latest() == {o.device: o for o in given}

    def test_a_hundred_thousand_rows(self, store: Store) -> None:
        rows = [
            seen(f"sv-{d:03d}", T0 + t * MINUTE, T0 + t * MINUTE + d, itPower=float(d), inletTemperature=20 + t / 1000)
            for t in range(1000)
            for d in range(100)
        ]
        assert store.write(rows).accepted == 100_000
        assert store.write(rows[50_000:50_500]).accepted == 500
        latest = store.latest()
        assert len(latest) == 100
        assert latest["sv-042"].values == {"itPower": 42.0, "inletTemperature": 20.999}
        assert store.series("sv-007", "itPower", T0, T0 + 1000 * MINUTE, points=10).count.tolist() == [100] * 10
        assert store.zone(T0 + 500 * MINUTE)["sv-099"].at == T0 + 500 * MINUTE

    def test_a_table_is_loaded_like_writes(self, store: Store) -> None:
        store.write([seen("pk-1", T0 + MINUTE, T0 + MINUTE + 3, occupancy=0.2)])
        at = [T0, T0 + MINUTE, T0 + 2 * MINUTE]
        table = pa.table(
            {
                "device": pa.array(["pk-1"] * 3).dictionary_encode(),
                "at": pa.array(at, pa.int64()),
                "received": pa.array([t + 9 for t in at], pa.int64()),
                "occupancy": pa.array([0.1, 0.2, 0.3]),
                "availableSpotNumber": pa.array([90.0, None, np.nan]),
            }
        )
        for _ in range(2):
            assert store.load(Domain.PARKING, table) == 3
        assert store.series("pk-1", "occupancy", T0, T0 + 9 * MINUTE).mean.tolist() == [0.1, 0.2, 0.3]
        assert store.series("pk-1", "availableSpotNumber", T0, T0 + 9 * MINUTE).mean.tolist() == [90.0]
        assert store.zone(T0 + MINUTE)["pk-1"].received == T0 + MINUTE + 3
        assert store.latest()["pk-1"].values == {"occupancy": 0.3}
        # A domain whose devices had nothing to say in the last seconds of a range
        assert store.load(Domain.PARKING, table.slice(0, 0)) == 0

    def test_an_empty_batch_is_nothing(self, store: Store) -> None:
        assert store.write([]) == (0, [])
        assert store.latest() == {}

    def test_what_is_past_its_retention_is_forgotten(self, store: Store) -> None:
        store.write([*by_minute([float(i) for i in range(10)]), seen("td-2", T0 - 9, intensity=3.0)])
        store.retain(T0 + 5 * MINUTE)
        assert store.series("td-1", "intensity", T0, T0 + 10 * MINUTE).mean.tolist() == [5.0, 6.0, 7.0, 8.0, 9.0]
        assert set(store.latest()) == {"td-1"}

    def test_several_threads_write_and_read(self, store: Store) -> None:
        wrong: list[BaseException] = []

        def work(k: int) -> None:
            try:
                for t in range(20):
                    store.write([seen(f"sv-{k * 10 + i:03d}", T0 + t * MINUTE, itPower=float(t)) for i in range(10)])
                    store.zone(T0 + t * MINUTE)
                    store.series(f"sv-{k * 10:03d}", "itPower", T0, T0 + 99 * MINUTE, points=5)
            except BaseException as error:
                wrong.append(error)

        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not wrong
        assert {o.values["itPower"] for o in store.latest().values()} == {19.0}
        assert len(store.latest()) == 40


class KeepingContract(StoreContract):
    """A store that is still there after its process has gone."""

    def test_what_was_written_survives_a_reopening_and_so_does_its_identity(self, store: Store, reopen: Open) -> None:
        rows = by_minute([1.0, 2.0, 3.0])
        store.write(rows)
        again = reopen()
        assert again.latest()["td-1"] == rows[-1]
        again.write([Observation(o.device, o.at, o.values, o.received + 9_999) for o in rows])
        assert again.latest()["td-1"] == rows[-1]
        assert again.series("td-1", "intensity", T0, T0 + 9 * MINUTE).count.sum() == 3
        again.write([seen("td-1", T0, T0 + 99 * MINUTE, intensity=8.0)])
        assert again.series("td-1", "intensity", T0, T0 + 9 * MINUTE).mean.tolist() == [8.0, 2.0, 3.0]
