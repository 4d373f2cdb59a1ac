"""What sensors do wrong: each fault by itself, on the way to the broker and in a history filled in."""

import json
from collections import defaultdict

import numpy as np
import pytest

from simulators.backfill import chunks
from simulators.faults import BACKLOG, Fault, Faults, Kind
from simulators.timetable import Message, Publisher
from simulators.world import World
from tests.simulators.zone import zone
from twin.clock import HOUR, MINUTE, SECOND, parse
from twin.observation import METRICS, Domain

START = parse("2026-11-20T10:00:00")
ZONE = zone(3, 3, parks=2, servers=2, stations=2, monitors=2, lights=1, covers=1)
AIR = next(d for d in ZONE if d.kind == "air-station")


def on(kind: Kind, size: float = 1.0, end: int = START + HOUR) -> Faults:
    return Faults(ZONE, 3, [Fault(kind, frozenset({AIR.id}), START, end, size)])


def passed(faults: Faults, minutes: int = 60) -> list[tuple[int, float, int]]:
    """(minute as the device says it, PM2.5, ms late) of readings whose PM2.5 is 20 plus the minute."""
    return [
        ((r.at - START) // MINUTE, r.values["pm25"], r.late)
        for m in range(minutes)
        for r in faults.pass_on(AIR, START + m * MINUTE, {"pm25": 20.0 + m})
    ]


def test_without_a_fault_a_reading_passes_as_it_is() -> None:
    assert passed(Faults(ZONE, 3), 3) == [(0, 20, 0), (1, 21, 0), (2, 22, 0)]


def test_a_fault_is_on_its_devices_in_its_time_only() -> None:
    faults = on(Kind.DROP, end=START + 2 * MINUTE)
    assert passed(faults, 4) == [(2, 22, 0), (3, 23, 0)]
    other = next(d for d in ZONE if d.id != AIR.id)
    assert len(faults.pass_on(other, START, {})) == 1


def test_drop_loses_its_share() -> None:
    left = passed(on(Kind.DROP, 0.3, START + 24 * HOUR), 1_000)
    assert 640 < len(left) < 760


def test_freeze_repeats_the_first_value() -> None:
    assert {v for _, v, _ in passed(on(Kind.FREEZE), 30)} == {20.0}


def test_spike_jumps_to_an_end_of_the_range() -> None:
    values = [v for _, v, _ in passed(on(Kind.SPIKE, 0.4), 60)]
    wild = [v for m, v in enumerate(values) if v != 20 + m]
    assert 10 < len(wild) < 40
    assert set(wild) == set(METRICS["pm25"].scale)


def test_drift_grows_with_time_and_stays_valid() -> None:
    values = [v - 20 - m for m, (_, v, _) in enumerate(passed(on(Kind.DRIFT, 0.1)))]
    assert values[0] == 0
    assert values[30] == pytest.approx(0.05 * 500)
    assert all(v <= METRICS["pm25"].high for _, v, _ in passed(on(Kind.DRIFT, 1_000)))


def test_duplicate_arrives_twice() -> None:
    assert [(m, v) for m, v, _ in passed(on(Kind.DUPLICATE), 2)] == [(0, 20), (0, 20), (1, 21), (1, 21)]


def test_reorder_holds_some_back_past_the_next() -> None:
    late = [ms for _, _, ms in passed(on(Kind.REORDER, 0.5))]
    assert set(late) == {0, 72 * SECOND}


def test_skew_moves_the_devices_clock() -> None:
    assert on(Kind.SKEW, 47).pass_on(AIR, START, {})[0].at == START + 47 * SECOND


def test_an_outage_brings_what_it_kept_in_order_or_nothing() -> None:
    end = START + 10 * MINUTE
    arrivals = [m * MINUTE + late for m, _, late in passed(on(Kind.OUTAGE, 0.0, end), 10)]
    assert arrivals == sorted(arrivals)
    assert all(end - START <= a <= end - START + BACKLOG for a in arrivals)
    assert passed(on(Kind.OUTAGE, 1.0, end), 10) == []


def test_draws_repeat() -> None:
    for kind in (Kind.DROP, Kind.SPIKE, Kind.DUPLICATE, Kind.REORDER):
        assert passed(on(kind, 0.5)) == passed(on(kind, 0.5))


FAULTS = (
    Fault(Kind.OUTAGE, frozenset({AIR.id}), START + 5 * MINUTE, START + 20 * MINUTE, 0.0, frozenset({AIR.gateway})),
    Fault(Kind.SKEW, frozenset(d.id for d in ZONE if d.kind == "noise-monitor"), START, START + HOUR, 47.0),
    Fault(Kind.FREEZE, frozenset(d.id for d in ZONE if d.kind == "car-park"), START + MINUTE, START + HOUR),
    Fault(Kind.DUPLICATE, frozenset(d.id for d in ZONE if d.kind == "server"), START, START + HOUR),
)


class Broken:
    faults = FAULTS

    def apply(self, now: object) -> None:
        pass


def live(minutes: int) -> list[tuple[int, Message]]:
    """(when sent, what) of a publisher that is called whenever it asks to be."""
    source = Publisher(World(ZONE, seed=3, start=START, scenarios=[Broken()]), origin=START)
    found, now = [], START
    while (now := source.next()) < START + minutes * MINUTE:
        found += [(now, message) for message in source.due(now)]
    return found


def test_the_gateway_says_that_it_is_gone_and_back_and_then_brings_what_it_kept() -> None:
    words, arrived = [], defaultdict(list)
    for now, message in live(25):
        if "/gateway/" in message.topic:
            assert message.retain
            words.append((message.payload, (now - START) // MINUTE))
        elif f"/{AIR.id}/" in message.topic:
            arrived[(now - START) // MINUTE].append((json.loads(message.payload)["at"] - START) // MINUTE)
    assert words == [(b"offline", 5), (b"online", 20)]
    assert not any(5 <= minute < 20 for minute in arrived)
    assert [m for m in arrived[20] if m < 20] == list(range(5, 20))


def test_a_history_filled_in_is_that_which_would_have_been_published() -> None:
    """Same readings with the same times and values; each known at the time at which it arrived."""
    published = defaultdict(set)
    for now, message in live(40):
        if message.topic.endswith("/obs"):
            body = json.loads(message.payload)
            device = message.topic.split("/")[3]
            published[device, body["at"]].add((frozenset(body["values"].items()), now))
    filled = defaultdict(set)
    for _, tables in chunks(ZONE, seed=3, start=START, end=START + 40 * MINUTE, scenarios=[Broken()]):
        for domain, table in tables.items():
            for row in table.to_pylist():
                values = frozenset(
                    (m, row[m]) for m in ZONE[row["device"]].metrics if row.get(m) is not None and domain in Domain
                )
                filled[row["device"], row["at"]].add((values, row["received"]))
    slow = {key for key in published if ZONE[key[0]].period_s == 60}
    late = {key for key in filled if max(r for _, r in filled[key]) >= START + 40 * MINUTE}
    assert slow - late == {key for key in filled if ZONE[key[0]].period_s == 60} - late
    assert len(slow) > 500
    for key in slow - late:
        assert {v for v, _ in published[key]} == {v for v, _ in filled[key]}
        delay = np.array(sorted(r for _, r in filled[key])) - np.array(sorted(n for _, n in published[key]))
        # A filled-in reading has its network's latency besides
        assert (delay >= 0).all()
        assert (delay <= 400).all()
