"""The zone over a stretch of time: what every screen showed, step by step, and the chunk that carries it.

**Theory.** A frame (`twin.snapshot`) is a function of three things that change at known instants: the last observation
of a device, the last word of its gateway, the level of its alarms. So a stretch of time is the frame at its beginning
and, for each device, the steps at which one of the three changed or its silence outlasted its grace. Which observation
counts is the rule of `Snapshot.fold`, said for all of them at once: of a device, in the order in which it became known,
one that is older than any before it is no news.

*When* something became known is what parts the two views of the past:

- `then`: an observation counts from when it was received, a level from when it was noticed. The frame at t is the one
  that the engine published at t, byte for byte;
- `now`: an observation counts from its own time, whenever it came, as last corrected; a level from the event's time.

Chunk v1, little-endian; each part is aligned to the size of its items:
    0  'GR'   2  u8 version 1   3  u8 view (0 then, 1 now)   4  u32 registry digest   8  u32 n devices
    12 u32 s steps   16 u32 c changes   20 u32 step (ms)   24 f64 begin (UTC ms)
    32 u32 x (s + 1) offsets: the changes from offset[k] to offset[k + 1] make frame k out of frame k - 1
       u32 x c       device positions in the registry, ascending within a step
       u8 x n value, u8 x n status: the key, which is frame 0 (so offset[0] = offset[1] = 0)
       u8 x c value, u8 x c status: the changes
Frame k is the zone at begin + k * step. Bytes mean what they mean in a frame.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from twin.registry import Registry
from twin.snapshot import NEVER, NEVER_HEARD, NO_BAND, U8, UNKNOWN, Shown
from twin.store import Said

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U32 = npt.NDArray[np.uint32]

_HEADER = struct.Struct("<2sBBIIIIId")


class View(StrEnum):
    THEN = "then"
    NOW = "now"


class Span(NamedTuple):
    """Instants begin, begin + step, … before `end`; UTC ms."""

    begin: int
    end: int
    step: int

    @property
    def steps(self) -> int:
        return -(-(self.end - self.begin) // self.step)

    @property
    def last(self) -> int:
        return self.begin + (self.steps - 1) * self.step

    def first_at(self, at: I64) -> I64:
        """The number of the first step at or after each time."""
        return -((self.begin - at) // self.step)


class Known(NamedTuple):
    """What is known of each device at an instant: its last observation (`at` NEVER for none) and what it shows."""

    at: I64
    received: I64
    value: U8
    band: U8


class Word(NamedTuple):
    """What a gateway said of itself, and when the engine heard it."""

    gateway: str
    online: bool
    at: int


class Rise(NamedTuple):
    """A device's alarm level from an instant on."""

    device: int
    at: int
    level: int


class Chunk(NamedTuple):
    view: View
    digest: int
    span: Span
    value: U8
    status: U8
    offsets: U32
    device: U32
    values: U8
    statuses: U8

    def frame(self, k: int) -> tuple[U8, U8]:
        """(value, status) of every device at step k."""
        value, status = self.value.copy(), self.status.copy()
        # In the order of time, so that of two changes of a device the later stands
        upto = int(self.offsets[k + 1])
        value[self.device[:upto]] = self.values[:upto]
        status[self.device[:upto]] = self.statuses[:upto]
        return value, status


def encode(chunk: Chunk) -> bytes:
    head = _HEADER.pack(
        b"GR",
        1,
        list(View).index(chunk.view),
        chunk.digest,
        len(chunk.value),
        chunk.span.steps,
        len(chunk.device),
        chunk.span.step,
        float(chunk.span.begin),
    )
    parts = (chunk.offsets.astype("<u4"), chunk.device.astype("<u4"))
    return b"".join([head, *(p.tobytes() for p in (*parts, chunk.value, chunk.status, chunk.values, chunk.statuses))])


def decode(data: bytes) -> Chunk:
    """Raises ValueError saying what is wrong with a chunk that is none."""
    if len(data) < _HEADER.size:
        raise ValueError(f"a chunk has at least {_HEADER.size} bytes, this has {len(data)}")
    magic, version, view, digest, n, steps, changes, step, begin = _HEADER.unpack_from(data)
    if magic != b"GR" or version != 1 or view > 1:
        raise ValueError(f"not a chunk of version 1: {data[:4]!r}")
    wanted = _HEADER.size + 4 * (steps + 1) + 2 * n + 6 * changes
    if len(data) != wanted:
        raise ValueError(
            f"a chunk of {n} devices, {steps} steps and {changes} changes has {wanted} bytes, not {len(data)}"
        )
    parts: list[npt.NDArray[np.generic]] = []
    at = _HEADER.size
    for kind, count in (("<u4", steps + 1), ("<u4", changes), *((("u1"), c) for c in (n, n, changes, changes))):
        parts.append(np.frombuffer(data, kind, count, at))
        at += parts[-1].nbytes
    offsets, device, value, status, values, statuses = parts
    span = Span(int(begin), int(begin) + steps * step, step)
    return Chunk(list(View)[view], digest, span, value, status, offsets, device, values, statuses)  # type: ignore[arg-type]


def news(view: View, said: Said, known: I64) -> npt.NDArray[np.intp]:
    """The rows that were news when they became known, by device and then in that order. `known`: by device, the time
    of the last observation known before."""
    when = said.received if view is View.THEN else said.at
    order = np.lexsort((said.received, when, said.device))
    device, at = said.device[order].astype(np.int64), said.at[order]
    if view is View.NOW:
        # Of an instant the row that was received last counts
        last = np.ones(len(order), bool)
        last[:-1] = (device[1:] != device[:-1]) | (at[1:] != at[:-1])
        return order[last]
    if not len(order):
        return order
    # The newest time known so far, device by device: devices are laid one after another on one line of time
    low = min(int(at.min()), int(known[known != NEVER].min(initial=at.min())))
    width = max(int(at.max()), int(known.max())) - low + 2
    line = device * width + (at - low + 1)
    first = np.flatnonzero(np.diff(device, prepend=-1))
    begin = np.where(known == NEVER, 0, known - low + 1) + np.arange(len(known)) * width
    before = line.copy()
    before[first] = np.maximum(line[first], begin[device[first]])
    newest = np.maximum.accumulate(before)
    return order[line >= newest]


def thinned(device: npt.NDArray[np.integer], step: I64) -> npt.NDArray[np.bool_]:
    """Of rows sorted by device and step, the last of each step."""
    last = np.ones(len(device), bool)
    last[:-1] = (device[1:] != device[:-1]) | (step[1:] != step[:-1])
    return last


def fold(
    registry: Registry,
    view: View,
    span: Span,
    *,
    grace: I64,
    known: Known,
    said: Iterable[Said],
    gone: I64,
    words: Sequence[Word],
    levels: U8,
    rises: Sequence[Rise],
    shown: Shown,
) -> Chunk:
    """The frames of a span. `known`, `gone` (when a device's gateway was last lost, NEVER when it is there) and
    `levels` are as of its begin; `said`, `words` and `rises` what came after, in the order of time."""
    n = len(registry)
    rows = [_rows(view, span, part, known.at, shown) for part in said]
    row_device = np.concatenate([np.arange(n), *(r.device for r in rows)])
    row_step = np.concatenate([np.zeros(n, np.int64), *(r.step for r in rows)])
    row_heard = np.concatenate([np.minimum(known.at, known.received), *(r.heard for r in rows)])
    row_received = np.concatenate([known.received, *(r.received for r in rows)])
    row_value = np.concatenate([known.value, *(r.value for r in rows)])
    row_band = np.concatenate([known.band, *(r.band for r in rows)])
    word = _words(registry, span, gone, words)
    level = _levels(span, levels, rises)

    # Every step of a device at which one of the three changed, and which of each then stands
    width = span.steps
    row_line, word_line, level_line = row_device * width + row_step, word.line(width), level.line(width)
    order = np.argsort(row_line, kind="stable")
    line = np.unique(np.concatenate([row_line, word_line, level_line]))
    row = order[np.searchsorted(row_line[order], line, side="right") - 1]
    lost = word.what[np.searchsorted(word_line, line, side="right") - 1]
    height = level.what[np.searchsorted(level_line, line, side="right") - 1].astype(np.uint8)
    device, step = line // width, line % width

    heard, patience = row_heard[row], grace[device]
    ever = row_received[row] != NEVER
    # The step at which the silence has outlasted the grace
    over = np.where(ever, (heard + patience - span.begin) // span.step + 1, 0)
    fresh = ever & (row_received[row] > lost) & (step < over)
    value = np.where(fresh, row_value[row], np.where(ever, UNKNOWN, NEVER_HEARD)).astype(np.uint8)
    status = (np.where(fresh, row_band[row], NO_BAND) << 4).astype(np.uint8) | height
    following = np.full(len(line), width)
    following[:-1] = np.where(device[1:] == device[:-1], step[1:], width)
    silent = np.flatnonzero(fresh & (over < following))
    line = np.concatenate([line, device[silent] * width + over[silent]])
    value = np.concatenate([value, np.full(len(silent), UNKNOWN, np.uint8)])
    status = np.concatenate([status, np.uint8(NO_BAND << 4) | height[silent]])
    return _chunk(registry, view, span, line, value, status)


class _Rows(NamedTuple):
    device: I64
    step: I64
    heard: I64
    received: I64
    value: U8
    band: U8


def _rows(view: View, span: Span, said: Said, known: I64, shown: Shown) -> _Rows:
    """The observations of one domain that count at some step, with what they show."""
    when = said.received if view is View.THEN else said.at
    said = said.take((when > span.begin) & (when <= span.last))
    said = said.take(news(view, said, known))
    step = span.first_at(said.received if view is View.THEN else said.at)
    last = thinned(said.device, step)
    said, step = said.take(last), step[last]
    value, band = shown.of(said)
    return _Rows(said.device.astype(np.int64), step, np.minimum(said.at, said.received), said.received, value, band)


class _Track(NamedTuple):
    """What stands of a device from a step on; sorted by both."""

    device: I64
    step: I64
    what: I64

    def line(self, width: int) -> I64:
        return self.device * width + self.step


def _track(begin: npt.NDArray[np.integer], span: Span, events: Sequence[tuple[int, int, int]]) -> _Track:
    """`events`: (device, time, what), those of a device in the order of saying; the last of a step stands."""
    n = len(begin)
    found = np.array(events, np.int64).reshape(-1, 3)
    step = np.maximum(span.first_at(found[:, 1]), 0)
    within = step < span.steps
    device = np.concatenate([np.arange(n), found[within, 0]])
    step = np.concatenate([np.zeros(n, np.int64), step[within]])
    what = np.concatenate([begin.astype(np.int64), found[within, 2]])
    order = np.lexsort((step, device))
    device, step, what = device[order], step[order], what[order]
    last = thinned(device, step)
    return _Track(device[last], step[last], what[last])


def behind(registry: Registry) -> Mapping[str, Sequence[int]]:
    """The devices of each gateway, by position."""
    found: dict[str, list[int]] = {}
    for i, device in enumerate(registry):
        if device.gateway:
            found.setdefault(device.gateway, []).append(i)
    return found


def _words(registry: Registry, span: Span, gone: I64, words: Sequence[Word]) -> _Track:
    devices = behind(registry) if words else {}
    return _track(
        gone, span, [(i, w.at, NEVER if w.online else w.at) for w in words for i in devices.get(w.gateway, ())]
    )


def _levels(span: Span, levels: U8, rises: Sequence[Rise]) -> _Track:
    return _track(levels, span, [(r.device, r.at, r.level) for r in rises])


def _chunk(registry: Registry, view: View, span: Span, line: I64, value: U8, status: U8) -> Chunk:
    """From what each device shows from each step on, with repetitions, to its changes in the order of time."""
    n, width = len(registry), span.steps
    order = np.argsort(line, kind="stable")
    device, step = np.divmod(line[order], width)
    value, status = value[order], status[order]
    change = np.ones(len(order), bool)
    change[1:] = (device[1:] != device[:-1]) | (value[1:] != value[:-1]) | (status[1:] != status[:-1])
    device, step, value, status = device[change], step[change], value[change], status[change]
    key = step == 0
    assert int(key.sum()) == n
    by_step = np.flatnonzero(~key)[np.argsort(step[~key], kind="stable")]
    offsets = np.searchsorted(step[by_step], np.arange(width + 1), side="left").astype(np.uint32)
    return Chunk(
        view,
        registry.digest,
        span,
        value[key],
        status[key],
        offsets,
        device[by_step].astype(np.uint32),
        value[by_step],
        status[by_step],
    )
