"""History: the rows a live simulator would have published, in chunks the store takes."""

import json
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest

from simulators.backfill import chunks, fill
from simulators.timetable import Publisher
from simulators.world import World
from tests.simulators.zone import zone
from twin.clock import HOUR, MINUTE, parse
from twin.observation import METRICS, Domain, columns
from twin.registry import Registry
from twin.store.memory import MemoryStore

START = parse("2026-11-20T07:10:20")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return zone(parks=6)


def tables(registry: Registry, start: int, end: int) -> list[tuple[Domain, pa.Table]]:
    return [pair for _, found in chunks(registry, seed=3, start=start, end=end) for pair in found.items()]


def rows(table: pa.Table) -> dict[tuple[str, int], dict[str, float]]:
    return {
        (r.pop("device"), r.pop("at")): {m: v for m, v in r.items() if v is not None and m != "received"}
        for r in table.to_pylist()
    }


def test_columns_and_times(registry: Registry) -> None:
    end = START + 9 * HOUR
    per_device: dict[str, list[int]] = defaultdict(list)
    for domain, table in tables(registry, START, end):
        assert table.column_names == ["device", "at", "received", *columns(domain)]
        assert pa.types.is_dictionary(table.schema.field("device").type)
        at, received = table["at"].to_numpy(), table["received"].to_numpy()
        assert ((received > at) & (received < at + 1_000)).all()
        assert at.min() >= START
        assert at.max() < end
        for device, moment in zip(table["device"].to_pylist(), at.tolist(), strict=True):
            per_device[device].append(moment)
        for metric in columns(domain):
            found = table[metric].drop_null().to_numpy()
            assert np.isfinite(found).all()
            assert ((found >= METRICS[metric].low) & (found <= METRICS[metric].high)).all()
    for device in registry:
        period = device.period_s * 1000
        assert len(per_device[device.id]) == 9 * HOUR // period
        assert set(np.diff(per_device[device.id])) == {period}


def test_history_is_what_the_live_simulator_would_have_said(registry: Registry) -> None:
    """Half an hour, published by a manual clock and filled in by another world: the same rows, to the last digit."""
    start = parse("2026-11-20T07:00:00")
    end = start + 30 * MINUTE
    source = Publisher(World(registry, seed=3, start=start), origin=start)
    live: dict[tuple[str, int], dict[str, float]] = {}
    while (now := source.next()) < end:
        for topic, payload, _ in source.due(now):
            body = json.loads(payload)
            live[topic.split("/")[3], body["at"]] = body["values"]
    history: dict[tuple[str, int], dict[str, float]] = {}
    for _, table in tables(registry, start, end):
        history |= rows(table)
    assert history.keys() == live.keys()
    for key, values in history.items():
        assert values == pytest.approx(live[key], rel=0, abs=1e-9), key


def test_the_store_gets_every_row_and_progress_is_told(registry: Registry) -> None:
    store, told = MemoryStore(registry), []
    end = START + 5 * HOUR
    count = fill(store, registry, seed=3, start=START, end=end, progress=told.append)
    assert count == sum(5 * HOUR // (device.period_s * 1000) for device in registry)
    assert told == sorted(told)
    assert told[-1] == 1.0
    latest = store.latest()
    assert set(latest) == {d.id for d in registry}
    for device in registry:
        assert set(latest[device.id].values) == set(device.metrics)
    series = store.series(registry.of(Domain.TRAFFIC)[0].id, "intensity", START, end)
    assert len(series.at) == 300
    store.close()


def test_filling_again_changes_nothing(registry: Registry) -> None:
    store = MemoryStore(registry)
    span = {"seed": 3, "start": START, "end": START + HOUR}
    first = fill(store, registry, **span)
    before = store.latest()
    assert fill(store, registry, **span) == first
    assert store.latest() == before
    store.close()


def test_an_empty_span_is_nothing(registry: Registry) -> None:
    assert list(chunks(registry, seed=3, start=START, end=START)) == []
