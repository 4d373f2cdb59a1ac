"""History for a new installation: the simulated zone over a range, straight into the store.

The rows are those a live simulator would have published: same world, same periods, same offset of each device in its
period, same rounding.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pyarrow as pa

from simulators.conditions import STEP, Array, Ints, stream
from simulators.timetable import DECIMALS, schedule
from simulators.world import World
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
    progress: Callable[[float], None] | None = None,
) -> int:
    """Simulate [start, end), UTC ms, and load it; returns the number of rows handed to the store.

    A device with a period under a minute is filled in once a minute: the world steps no finer. `progress` is told the
    share done, 0 to 1, after each chunk. Raises what `store.load` raises; running it again is harmless.
    """
    rows = 0
    for until, tables in chunks(registry, seed=seed, start=start, end=end):
        for domain, table in tables.items():
            store.load(domain, table)
            rows += table.num_rows
        if progress is not None:
            progress((until - start) / (end - start))
    return rows


def chunks(registry: Registry, *, seed: int, start: int, end: int) -> Iterator[tuple[int, dict[Domain, pa.Table]]]:
    """The rows of [start, end), some hours at a time: (up to when, a table a domain in (device, time) order)."""
    if end <= start:
        return
    world = World(registry, seed=seed, start=start)
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
            tables[domain] = timetable.table(domain, steps, readings[domain], (start, end), latency)
        yield stop, tables
        at = stop


class _Timetable:
    """When each device of a domain speaks: `offset` + k * `period`, ms since 1970, as the publisher has it."""

    def __init__(self, devices: tuple[Device, ...]) -> None:
        period, self._offset = schedule(devices)
        self._period = np.maximum(period, STEP)
        self._names = pa.array([d.id for d in devices])

    def table(
        self,
        domain: Domain,
        steps: Ints,
        readings: list[Mapping[str, Array]],
        span: tuple[int, int],
        latency: np.random.Generator,
    ) -> pa.Table:
        # The first deadline at or after the beginning of each minute, if it is within that minute and the span
        begin = steps[None, :] - self._offset[:, None]
        deadline = np.ceil(begin / self._period[:, None]) * self._period[:, None] + self._offset[:, None]
        at = np.ceil(deadline).astype(np.int64)
        due = (at < steps[None, :] + STEP) & (at >= span[0]) & (at < span[1])
        device, _ = np.nonzero(due)
        at = at[due]
        received = at + latency.integers(40, 400, len(at))
        data = {
            "device": pa.DictionaryArray.from_arrays(pa.array(device.astype(np.int32)), self._names),
            "at": pa.array(at),
            "received": pa.array(received),
        }
        for metric in columns(domain):
            if metric in readings[0]:
                values = np.stack([r[metric] for r in readings], axis=1)[due].round(DECIMALS[metric])
                data[metric] = pa.array(values, from_pandas=True)
        return pa.table(data)
