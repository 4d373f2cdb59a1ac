"""Observations on disk while the store is away: first in, first out, safe once `append` returns.

One folder a worker, in it segment files `00000001.spool` … of records. A record is a mark, the length of what follows
and its CRC-32 (little-endian), and a zlib stream of the observations in MessagePack, one write of them. `append`
returns after fsync. What a power cut leaves at the end of a segment, a record that is not whole, was never
acknowledged: it is dropped and counted. Damage elsewhere costs the record it is in: reading goes on at the next mark,
and the segment is set aside as `.damaged` instead of deleted.

How far the draining has come is not written down: after a crash the oldest segment is drained again from its start,
and writing twice is harmless. So a segment is small, SEGMENT bytes.
"""

import fcntl
import logging
import os
import re
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from twin.errors import OurError, TheirError
from twin.observation import Observation

log = logging.getLogger("gaoxin.spool")

SEGMENT = 8 << 20
_MARK = b"GXSP"
_HEADER = struct.Struct("<4sII")


class SpoolFullError(TheirError):
    """The spool may not grow, by its bound or by the disk's: nothing is kept of this batch."""


class SpoolInUseError(OurError):
    """Another worker holds this folder."""


class Spool:
    """Not for several threads. `limit`: bytes of all segments together."""

    def __init__(self, folder: Path, *, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self.torn = 0  # records found unfinished at the end of a segment, since this was opened
        self.damaged = 0  # records found broken elsewhere
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = (folder / "lock").open("w")
        except OSError as error:
            raise OurError(f"spool {folder}: {error.strerror}. Choose a data folder that may be written.") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise SpoolInUseError(
                f"spool {folder} belongs to a worker that runs. Give this one a name of its own: ingest.worker."
            ) from None
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(list[Observation]).decode
        self._segments = sorted(_segments(folder))
        self._file: int | None = None  # the segment that grows; always one begun by this process
        self._end = 0  # its length
        self._position = 0  # where the next record of the oldest segment begins
        self._next: tuple[list[Observation], int] | None = None
        self._harmed = False
        self.bytes = self._on_disk()

    def __bool__(self) -> bool:
        return self.peek() is not None

    def append(self, observations: Sequence[Observation]) -> None:
        """Raises SpoolFullError when they are not safe on disk; what was there before stays whole."""
        body = zlib.compress(self._encode(observations), 1)
        record = _HEADER.pack(_MARK, len(body), zlib.crc32(body)) + body
        if self.bytes + len(record) > self.limit:
            raise SpoolFullError(
                f"spool {self.folder} holds {self.bytes / 2**20:.1f} MiB, its most is {self.limit / 2**20:.1f} MiB. "
                "Bring the store back, or raise ingest.spool_mb."
            )
        try:
            self._write(record)
        except OSError as error:
            self._undo()
            raise SpoolFullError(f"spool {self.folder}: {error.strerror}. Make room on this disk.") from None

    def peek(self) -> list[Observation] | None:
        """The oldest record, None when there is none."""
        while self._next is None and self._segments:
            try:
                self._next = self._read(self._segments[0])
            except OSError as error:
                self.damaged += 1
                self._harmed = True
                log.error("%s cannot be read and is left out: %s", self._path(self._segments[0]), error)
            if self._next is None:
                self._finish_oldest()
        return None if self._next is None else self._next[0]

    def drop(self) -> None:
        """The record that `peek` gave is in the store."""
        if self._next is not None:
            self._position = self._next[1]
            self._next = None

    def adopt(self, other: Path) -> int:
        """Take over the segments of a worker that is no more; returns their bytes, 0 when it runs or has none."""
        found = sorted(_segments(other))
        if not found:
            return 0
        with (other / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return 0
            before = self.bytes
            for number in found:
                mine = self._free_number()
                (other / f"{number:08}.spool").replace(self._path(mine))
                self._segments.append(mine)
        self.bytes = self._on_disk()
        return self.bytes - before

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._lock.close()

    # ------------------------------------------------------------ writing

    def _write(self, record: bytes) -> None:
        if self._file is None or self._end >= SEGMENT or not os.fstat(self._file).st_nlink:
            self._begin()
        assert self._file is not None
        rest = memoryview(record)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        os.fsync(self._file)
        self._end += len(record)
        self.bytes += len(record)

    def _begin(self) -> None:
        """A new segment, its name safe in the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)  # somebody may have tidied it away
        number = self._free_number()
        file = os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
        if self._file is not None:
            os.close(self._file)
        self._file, self._end = file, 0
        self._segments.append(number)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _undo(self) -> None:
        """Take back a record that was not written whole; where even that fails, never write to this segment again."""
        if self._file is None:
            return
        try:
            os.ftruncate(self._file, self._end)
        except OSError:
            os.close(self._file)
            self._file = None

    # ------------------------------------------------------------ reading

    def _read(self, number: int) -> tuple[list[Observation], int] | None:
        """The record at the position and where it ends; None at the end of the segment."""
        with self._path(number).open("rb") as file:
            while True:
                file.seek(self._position)
                header = file.read(_HEADER.size)
                if not header:
                    return None
                observations = self._open(header, file)
                if observations is not None:
                    return observations, file.tell()
                file.seek(self._position + 1)
                rest = file.read()
                found = rest.find(_MARK)
                if found < 0 and _unfinished(header, len(rest) + 1):
                    self.torn += 1
                    log.warning("%s: dropped an unfinished record of %d bytes", file.name, len(rest) + 1)
                    return None
                self.damaged += 1
                self._harmed = True
                log.error("%s: the record at byte %d is damaged and was left out", file.name, self._position)
                if found < 0:
                    return None
                self._position += 1 + found

    def _open(self, header: bytes, file: BinaryIO) -> list[Observation] | None:
        if len(header) < _HEADER.size:
            return None
        mark, size, crc = _HEADER.unpack(header)
        # Never more than is there: a damaged length can say four gigabytes
        there = os.fstat(file.fileno()).st_size - file.tell()
        body = file.read(size) if mark == _MARK and size <= there else b""
        if len(body) < size or zlib.crc32(body) != crc:
            return None
        try:
            return self._decode(zlib.decompress(body))
        except (zlib.error, msgspec.MsgspecError):
            return None

    def _finish_oldest(self) -> None:
        number = self._segments.pop(0)
        path = self._path(number)
        if self._file is not None and not self._segments:
            os.close(self._file)
            self._file = None
        self._position = 0
        try:
            if self._harmed:
                path.replace(_free(path.with_suffix(".damaged")))
            else:
                path.unlink()
        except OSError as error:
            log.error("%s cannot be put away: %s", path, error)
        self._harmed = False
        self.bytes = self._on_disk()

    def _free_number(self) -> int:
        """Past every file that is there, whatever it is."""
        there = [int(p.stem) for p in self.folder.glob("*.spool") if p.stem.isdecimal()]
        return max([*there, *self._segments], default=0) + 1

    def _on_disk(self) -> int:
        return sum(p.stat().st_size for p in map(self._path, self._segments) if p.exists())

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08}.spool"


def _segments(folder: Path) -> list[int]:
    return [int(p.stem) for p in folder.glob("*.spool") if re.fullmatch("[0-9]{8}", p.stem) and p.is_file()]


def _unfinished(header: bytes, length: int) -> bool:
    """Whether a record of so many bytes is one that a power cut left: whole as far as it goes, but too short."""
    if len(header) < _HEADER.size:
        return _MARK.startswith(header[:4])
    mark, size, _ = _HEADER.unpack(header)
    return bool(mark == _MARK) and length < _HEADER.size + int(size)


def _free(path: Path) -> Path:
    """This path, or the first with a number that nothing has."""
    return next(p for p in (path, *(path.with_suffix(f".{i}.damaged") for i in range(1, 1_000))) if not p.exists())
