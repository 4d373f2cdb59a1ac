"""What could not be taken in, with the evidence, to be looked at and tried again once the cause is mended.

One JSON line a message in `{worker}.jsonl` of the folder, so that several workers can share it; at its bound the file
becomes `{worker}.old.jsonl`, over the one before, and the oldest evidence goes. What was tried again with success is
listed in `retried`, and no longer shown.
"""

import base64
import logging
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from ingest.decode import LARGEST, Rejection

log = logging.getLogger("gaoxin.ingest")

LIMIT = 64 << 20  # bytes of one file
NEWEST = 20  # entries shown on a screen
SHOWN = 300  # characters of a payload shown there
_RETRIED = "retried"


class Ground(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why: the name of a `Reason` in small letters, what exactly, and the device where one is known."""

    reason: str
    detail: str
    device: str = ""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message. `payload` is its text, or `base64` its bytes where they are no UTF-8; cut short past 1 MiB.

    `received`: UTC ms. `size`: the full length of the payload in bytes.
    """

    id: str
    received: int
    topic: str
    size: int
    grounds: list[Ground]
    payload: str = ""
    base64: str = ""

    @property
    def content(self) -> bytes:
        """Raises ValueError when somebody has edited the file."""
        return base64.b64decode(self.base64) if self.base64 else self.payload.encode()

    @property
    def device(self) -> str:
        return next((g.device for g in self.grounds if g.device), "")


class Brief(msgspec.Struct, frozen=True):
    """An entry for a screen: its first reason, and the beginning of its payload."""

    id: str
    received: int
    topic: str
    device: str
    reason: str
    detail: str
    payload: str


class Refused(msgspec.Struct, frozen=True):
    """A message on its way into quarantine."""

    topic: str
    payload: bytes
    received: int
    rejections: Sequence[Rejection]


class Quarantine:
    """The writing side, one a worker. `waiting` counts by reason what was kept and not yet settled; `newest` are the
    last NEWEST of it, newest first.
    """

    def __init__(self, folder: Path, worker: str, *, limit: int = LIMIT) -> None:
        self.folder, self.worker, self.limit = folder, worker, limit
        self.path = folder / f"{worker}.jsonl"
        self._count = 0
        self._settled_at = -1
        self.waiting: Counter[str] = Counter()
        self.newest: deque[Brief] = deque(maxlen=NEWEST)
        folder.mkdir(parents=True, exist_ok=True)
        self.recount()

    def keep(self, refused: Iterable[Refused]) -> None:
        """Safe on disk when it returns. Raises OSError when the disk does not take it."""
        entries = [self._entry(r) for r in refused]
        lines = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
        self.folder.mkdir(parents=True, exist_ok=True)  # somebody may have tidied it away
        if self.path.exists() and self.path.stat().st_size + len(lines) > self.limit:
            os.replace(self.path, self.path.with_suffix(".old.jsonl"))
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
        try:
            end = os.fstat(file).st_size
            # A line that a power cut left unfinished must not swallow the next one
            torn = end and os.pread(file, 1, end - 1) != b"\n"
            try:
                rest = memoryview(b"\n" + lines if torn else lines)
                while rest:
                    rest = rest[os.write(file, rest) :]
                os.fsync(file)
            except OSError:
                os.ftruncate(file, end)
                raise
        finally:
            os.close(file)
        for entry in entries:
            self._note(entry)

    def recount(self) -> None:
        """Count again what waits, if some of it was settled since by somebody at the shell."""
        settled_at = _changed(self.folder / _RETRIED)
        if settled_at == self._settled_at:
            return
        self._settled_at = settled_at
        self.waiting.clear()
        self.newest.clear()
        for entry in read(self.folder, self.worker):
            self._note(entry)

    def _note(self, entry: Entry) -> None:
        self.waiting.update(g.reason for g in entry.grounds)
        text = entry.content[:SHOWN].decode("utf-8", "backslashreplace")
        why = entry.grounds[0]
        self.newest.appendleft(
            Brief(entry.id, entry.received, entry.topic[:SHOWN], entry.device, why.reason, why.detail, text)
        )

    def _entry(self, refused: Refused) -> Entry:
        self._count += 1
        kept = refused.payload[:LARGEST]
        text, raw = "", ""
        try:
            text = kept.decode()
        except UnicodeDecodeError:
            raw = base64.b64encode(kept).decode()
        grounds = [Ground(r.reason.name.lower(), r.detail, r.device) for r in refused.rejections]
        name = f"{self.worker}-{refused.received:x}-{self._count:x}"
        return Entry(name, refused.received, refused.topic, len(refused.payload), grounds, text, raw)


def read(folder: Path, worker: str = "*") -> Iterator[Entry]:
    """What waits in the quarantine of this worker, or of all, oldest first within each."""
    done = _retried(folder)
    return (entry for entry in _kept(folder, worker) if entry.id not in done)


def settled(folder: Path, entries: Iterable[Entry]) -> None:
    """These were tried again with success and wait no longer."""
    done = _retried(folder) | {e.id for e in entries}
    there = [entry.id for entry in _kept(folder) if entry.id in done]
    made = folder / f"{_RETRIED}.new"
    made.write_text("".join(f"{name}\n" for name in there), encoding="utf-8")
    os.replace(made, folder / _RETRIED)


def _kept(folder: Path, worker: str = "*") -> Iterator[Entry]:
    decode = msgspec.json.Decoder(Entry).decode
    paths = [*folder.glob(f"{worker}.old.jsonl"), *folder.glob(f"{worker}.jsonl")]
    for path in sorted(set(paths), key=lambda p: (p.name.split(".")[0], ".old." not in p.name)):
        with path.open("rb") as file:
            for line in file:
                try:
                    entry = decode(line)
                    if entry.grounds and entry.content is not None:
                        yield entry
                except (msgspec.MsgspecError, ValueError):
                    continue  # the last line while a worker is writing it, or one that the disk has damaged


def by_reason(entries: Iterable[Entry]) -> Counter[str]:
    return Counter(g.reason for e in entries for g in e.grounds)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _retried(folder: Path) -> set[str]:
    try:
        return set((folder / _RETRIED).read_text(encoding="utf-8", errors="replace").split())
    except FileNotFoundError:
        return set()
    except OSError as error:
        # Written by another account: what was settled is shown once more, which harms nobody
        log.warning("%s cannot be read: %s", folder / _RETRIED, error.strerror)
        return set()
