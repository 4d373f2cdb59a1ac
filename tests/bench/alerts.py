"""How fast a rule is tried on the stored weeks, and what one observation costs the evaluator.

A detector's speed: a wave a day, noise, and a jam in some peaks. "Hostile" is a value that crosses the threshold at
every reading, so that nothing can be discarded.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
import pyarrow as pa

from dashboards.backtests import Backtests, Period, Range
from dashboards.opening import read_registry
from tests.zone import link
from twin.alerts import Evaluator
from twin.alerts.history import History
from twin.backtest import Comparison, compare
from twin.clock import DAY, MINUTE, ManualClock
from twin.observation import Domain, Observation
from twin.registry import Registry
from twin.rules import Book, Condition, Match, Over, Rule, Term, default_rules
from twin.schedule import Span
from twin.settings import load
from twin.store import Columns
from twin.store.duckdb import DuckDBStore

T = TypeVar("T")
START = 1_792_540_800_000
SPEED = Term(metric="averageVehicleSpeed", condition=Condition.BELOW, yellow=20.0, orange=12.0, band=3.0)
CONGESTED = Rule(id="congested", name="Congested", when=(SPEED,), raise_after_s=300, clear_after_s=600)


def zone(devices: int) -> Registry:
    return Registry([link(f"td-{i:03d}") for i in range(devices)])


def speeds(devices: int, days: int, *, hostile: bool = False) -> np.ndarray:
    """One reading a minute: an array of (minute, device), km/h with one decimal."""
    random = np.random.default_rng(7)
    minute = np.arange(days * 1440)
    if hostile:
        return np.where((minute[:, None] + np.arange(devices)) % 2, 50.0, 15.0)
    daily = 45 - 12 * np.exp(-(((minute % 1440) - 1080) ** 2) / 7_200)
    found = daily[:, None] + random.normal(0, 3, (len(minute), devices))
    for device, day in zip(*np.nonzero(random.random((devices, days)) < 0.1), strict=True):
        found[day * 1440 + 1060 : day * 1440 + 1060 + random.integers(5, 60), device] -= 25
    return found.clip(0).round(1)


def main() -> None:
    print("alarms: a rule on the stored weeks")
    print("    days x devices       rows     read   lay out  evaluate   dragged   alarms")
    for days, devices in ((1, 275), (7, 275), (30, 50), (30, 275)):
        _backtest(days, devices)
    _service()
    _kinds()
    _steps()


def _backtest(days: int, devices: int) -> None:
    registry, end = zone(devices), START + days * DAY
    with tempfile.TemporaryDirectory() as folder:
        store = DuckDBStore(registry, Path(folder) / "o.duckdb")
        _fill(store, registry, speeds(devices, days))
        names = [d.id for d in registry]
        read, column = _timed(lambda: store.columns(names, SPEED.metric, START, end))
        store.close()
    lay, history = _timed(lambda: History(registry, {SPEED.metric: column}, begin=START, end=end))
    first, told = _timed(lambda: history.transitions(CONGESTED))
    dragged = msgspec.structs.replace(CONGESTED, when=(msgspec.structs.replace(SPEED, yellow=22.0),))
    drag = min(_timed(lambda: history.transitions(dragged))[0] for _ in range(3))
    raised = sum(t.kind == "raised" for t in told)
    print(
        f"    {days:4} x {devices:3} {len(column.at):14,} "
        f"{read:7.2f} s {lay:6.2f} s {first:7.2f} s {drag:7.2f} s {raised:8,}"
    )


def _service() -> None:
    """What the thresholds page waits for: the question until the comparison, and what is kept for the next one."""
    print("    as the thresholds page asks: read, two stories, compared")
    print("    days x devices      first answer   dragged    kept")
    for days, devices in ((7, 275), (30, 275)):
        _served(days, devices)


def _served(days: int, devices: int) -> None:
    registry, end = zone(devices), START + days * DAY
    with tempfile.TemporaryDirectory() as folder:
        store = DuckDBStore(registry, Path(folder) / "o.duckdb")
        _fill(store, registry, speeds(devices, days))
        backtests = Backtests(registry, store, ManualClock(end), most_bytes=4 << 30)
        spent = []
        for limit in (21.0, 21.5, 22.0, 22.5):
            begun = time.perf_counter()
            _compared(backtests, days, limit)
            spent.append(time.perf_counter() - begun)
        print(f"    {days:4} x {devices:3} {spent[0]:16.2f} s {max(spent[1:]):8.2f} s {backtests.bytes / 1e6:6.0f} MB")
        backtests.close()
        store.close()


def _compared(backtests: Backtests, days: int, limit: float) -> Comparison:
    rule = msgspec.structs.replace(CONGESTED, when=(msgspec.structs.replace(SPEED, yellow=limit),))
    found = backtests.ask(Period(days), [CONGESTED, rule], wait=120)
    assert isinstance(found, Range)
    old, new = found.story(CONGESTED), found.story(rule)
    return compare(old, new, found.begin, found.end, registry=backtests.registry)


def _fill(store: DuckDBStore, registry: Registry, values: np.ndarray) -> None:
    """In the order of arrival, a day at a time."""
    devices = len(registry)
    names = pa.array([d.id for d in registry])
    for first in range(0, len(values), 1440):
        day = values[first : first + 1440]
        at = START + (first + np.arange(len(day)))[:, None] * MINUTE + np.arange(devices) * 200
        device = pa.DictionaryArray.from_arrays(pa.array(np.tile(np.arange(devices, dtype=np.int32), len(day))), names)
        rows = {"device": device, "at": at.ravel(), "received": at.ravel() + 90, SPEED.metric: day.ravel()}
        store.load(Domain.TRAFFIC, pa.table(rows))


def _kinds() -> None:
    """30 days x 275 devices, the column in memory."""
    days, devices = 30, 275
    registry, end = zone(devices), START + days * DAY
    minute = np.arange(days * 1440)
    at = (START + minute[None, :] * MINUTE + np.arange(devices)[:, None] * 200).ravel()
    device = np.repeat(np.arange(devices, dtype=np.int32), len(minute))
    calm = Columns(device, at, np.ascontiguousarray(speeds(devices, days).T).ravel())
    history = History(registry, {SPEED.metric: calm, "": calm}, begin=START, end=end)
    night = (Span(start="22:00", end="06:00"),)
    rate = msgspec.structs.replace(SPEED, condition=Condition.RATE, window_s=300, yellow=-4.0, orange=-6.0, band=1.0)
    guard = Term(metric=SPEED.metric, condition=Condition.ABOVE, yellow=1.0)
    absent = Term(condition=Condition.ABSENT, yellow=600.0)
    kinds: dict[str, dict[str, object]] = {
        "one condition": {},
        "by night": {"schedule": night},
        "rate over 5 min": {"when": (rate,)},
        "absent": {"when": (absent,)},
        "two conditions": {"when": (SPEED, guard), "match": Match.ALL},
        "10 of a district": {"over": Over.DISTRICT, "need": 10},
    }
    print("    12 M rows in memory, the first time and with a threshold dragged")
    for name, more in kinds.items():
        _try(name, history, msgspec.structs.replace(CONGESTED, **more))
    rough = Columns(device, at, np.ascontiguousarray(speeds(devices, days, hostile=True).T).ravel())
    hostile = History(registry, {SPEED.metric: rough}, begin=START, end=end)
    _try("hostile", hostile, CONGESTED)


def _try(name: str, history: History, rule: Rule) -> None:
    first, told = _timed(lambda: history.transitions(rule))
    again, _ = _timed(lambda: history.transitions(rule))
    print(f"      {name:26} {first:6.2f} s {again:6.2f} s {len(told):10,} transitions")


def _steps() -> None:
    registry = zone(275)
    values = speeds(275, 1).ravel().tolist()
    names = [d.id for d in registry]
    given = [
        Observation(names[i % 275], START + i // 275 * MINUTE + i % 275, {SPEED.metric: v}, 0)
        for i, v in enumerate(values)
    ]
    evaluator = Evaluator(Book(1, (CONGESTED,)), registry, begin=START)
    spent, _ = _timed(lambda: [evaluator.step(o) for o in given])
    print(f"    one rule: {spent / len(given) * 1e6:.1f} us a step ({len(given):,} observations)")
    whole = read_registry(load(environ={}))
    book = Book(1, default_rules())
    evaluator = Evaluator(book, whole, begin=START)
    every = [
        Observation(d.id, START + k * MINUTE + i, dict.fromkeys(d.metrics, 1.0 + k % 3), 0)
        for k in range(60)
        for i, d in enumerate(whole)
    ]
    spent, _ = _timed(lambda: [evaluator.step(o) for o in every])
    tick, _ = _timed(lambda: evaluator.tick(START + 60 * MINUTE))
    print(
        f"    the default book ({len(book.rules)} rules, {len(evaluator.subjects):,} subjects): "
        f"{spent / len(every) * 1e6:.1f} us a step, {tick * 1e3:.0f} ms for the tick of an hour"
    )
    frozen = evaluator.freeze()
    spent, _ = _timed(lambda: Evaluator.thaw(book, whole, frozen))
    print(f"    its state: {len(frozen) / 1024:,.0f} KiB, thawed in {spent * 1e3:.0f} ms")


def _timed(what: Callable[[], T]) -> tuple[float, T]:
    begun = time.perf_counter()
    found = what()
    return time.perf_counter() - begun, found


if __name__ == "__main__":
    main()
