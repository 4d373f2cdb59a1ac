"""History for a new installation: the simulated zone over a range, straight into the store.

The rows are those a live simulator would have published: same world, same periods, same offset of each device in its
period, same rounding.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from simulators.conditions import STEP, Array, Ints, stream
from simulators.faults import Faults
from simulators.timetable import DECIMALS, schedule
from simulators.world import Scenario, World
from twin.clock import HOUR
from twin.observation import Domain, columns
from twin.registry import Device, Registry
from twin.store import Store

CHUNK = 4 * HOUR


def fill(
    store: Store,
    registry: Registry,
    *,
    seed: int,
    start: int,
    end: int,
    scenarios: Sequence[Scenario] = (),
    progress: Callable[[float], None] | None = None,
) -> int:
    """Simulate [start, end), UTC ms, with scenarios laid over it, and load it; returns the number of rows handed to the
    store.

    A device with a period under a minute says the same for that minute: the world steps no finer. `progress` is told
    the share done, 0 to 1, after each chunk. Raises what `store.load` raises; running it again is harmless.
    """
    rows = 0
    for until, tables in chunks(registry, seed=seed, start=start, end=end, scenarios=scenarios):
        for domain, table in tables.items():
            store.load(domain, table)
            rows += table.num_rows
        if progress is not None:
            progress((until - start) / (end - start))
    return rows


def chunks(
    registry: Registry, *, seed: int, start: int, end: int, scenarios: Sequence[Scenario] = ()
) -> Iterator[tuple[int, dict[Domain, pa.Table]]]:
    """The rows of [start, end), some hours at a time: (up to when, a table a domain in (device, time) order).

    What a sensor fault holds back is in the chunk in which it was read, with the time at which it arrives.
    """
    if end <= start:
        return
    world = World(registry, seed=seed, start=start, scenarios=scenarios)
    timetables = {domain: _Timetable(world.devices[domain]) for domain in Domain if world.devices[domain]}
    at = world.at
    while at < end:
        stop = min(at + CHUNK, end)
        readings: dict[Domain, list[Mapping[str, Array]]] = {domain: [] for domain in timetables}
        steps = np.arange(at, stop, STEP, dtype=np.int64)
        for step in steps.tolist():
            world.advance(step)
            for domain in timetables:
                readings[domain].append(world.read(domain).values)
        tables = {}
        for domain, timetable in timetables.items():
            latency = stream(seed, f"{domain}/latency", at // STEP)
            rows = timetable.rows(domain, steps, readings[domain], (start, end), latency)
            tables[domain] = _table(domain, timetable.devices, _disturbed(rows, timetable.devices, world.faults))
        yield stop, tables
        at = stop


class _Rows(NamedTuple):
    """`device` is a position in the domain; `values[metric]` is NaN where a device has none."""

    device: Ints
    at: Ints
    received: Ints
    values: dict[str, Array]


class _Timetable:
    """When each device of a domain speaks: `offset` + k * `period`, ms since 1970, as the publisher has it."""

    def __init__(self, devices: tuple[Device, ...]) -> None:
        self.devices = devices
        self._period, self._offset = schedule(devices)

    def rows(
        self,
        domain: Domain,
        steps: Ints,
        readings: list[Mapping[str, Array]],
        span: tuple[int, int],
        latency: np.random.Generator,
    ) -> _Rows:
        # The first deadline at or after the beginning of each minute, if it is within that minute and the span; and
        # those that follow within the minute, for a device with a shorter period
        begin = steps[None, :] - self._offset[:, None]
        deadline = np.ceil(begin / self._period[:, None]) * self._period[:, None] + self._offset[:, None]
        found = []
        for k in range(round(np.ceil(STEP / self._period.min()))):
            at = np.ceil(deadline + k * self._period[:, None]).astype(np.int64)
            due = (at < steps[None, :] + STEP) & (at >= span[0]) & (at < span[1])
            found.append((*np.nonzero(due), at[due]))
        device, minute, at = (np.concatenate(part) for part in zip(*found, strict=True))
        if len(found) > 1:
            order = np.lexsort((at, device))
            device, minute, at = device[order], minute[order], at[order]
        received = at + latency.integers(40, 400, len(at))
        values = {
            metric: np.stack([r[metric] for r in readings], axis=1)[device, minute].round(DECIMALS[metric])
            for metric in columns(domain)
            if metric in readings[0]
        }
        return _Rows(device, at, received, values)


def _table(domain: Domain, devices: Sequence[Device], rows: _Rows) -> pa.Table:
    names = pa.array([d.id for d in devices])
    data = {
        "device": pa.DictionaryArray.from_arrays(pa.array(rows.device.astype(np.int32)), names),
        "at": pa.array(rows.at),
        "received": pa.array(rows.received),
    }
    return pa.table(data | {m: pa.array(values, from_pandas=True) for m, values in rows.values.items()})


def _disturbed(rows: _Rows, devices: Sequence[Device], faults: Faults) -> _Rows:
    """What arrives of the rows when sensors and networks are at fault, in (device, time) order."""
    wrong = faults.devices
    touched = np.array([d.id in wrong for d in devices], bool)[rows.device]
    begin, end = min((f.begin for f in faults.all), default=0), max((f.end for f in faults.all), default=0)
    touched &= (rows.at >= begin) & (rows.at < end)
    if not touched.any():
        return rows
    fields = list(rows.values)
    found: list[tuple[int, int, int, list[float]]] = []
    for i in np.flatnonzero(touched).tolist():
        k, at = int(rows.device[i]), int(rows.at[i])
        values = {m: v for m in fields if (v := float(rows.values[m][i])) == v}
        for reading in faults.pass_on(devices[k], at, values):
            received = int(rows.received[i]) + reading.late
            found.append((k, reading.at, received, [reading.values.get(m, np.nan) for m in fields]))
    times = np.array([f[:3] for f in found], np.int64).reshape(-1, 3).T
    values_of = np.array([f[3] for f in found], np.float64).reshape(-1, len(fields)).T
    left = ~touched
    joined = [np.concatenate([old[left], new]) for old, new in zip(rows[:3], times, strict=True)]
    order = np.lexsort((joined[2], joined[1], joined[0]))
    joined_values = {m: np.concatenate([rows.values[m][left], values_of[j]])[order] for j, m in enumerate(fields)}
    return _Rows(joined[0][order], joined[1][order], joined[2][order], joined_values)
