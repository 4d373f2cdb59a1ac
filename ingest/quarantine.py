"""What could not be taken in, with the evidence: one JSON line a message, in one file that never outgrows its bound."""

import os
from pathlib import Path
from threading import Lock

import msgspec

from ingest.decode import Rejection


class Quarantine:
    """Keeps the newest: past `limit` bytes the file is renamed to `.old`, over the one before."""

    def __init__(self, path: Path, *, limit: int = 32 << 20) -> None:
        self.path, self.limit = path, limit
        self._lock = Lock()
        path.parent.mkdir(parents=True, exist_ok=True)

    def keep(self, topic: str, payload: bytes, received: int, rejections: list[Rejection]) -> None:
        """Raises OSError when the disk does not take it."""
        line = msgspec.json.encode(
            {
                "received": received,
                "topic": topic,
                "payload": payload[:65_536].decode("utf-8", "backslashreplace"),
                "bytes": len(payload),
                "reasons": [{"reason": r.reason.name.lower(), "detail": r.detail} for r in rejections],
            }
        )
        with self._lock:
            if self.path.exists() and self.path.stat().st_size + len(line) > self.limit:
                os.replace(self.path, self.path.with_suffix(".old"))
            with self.path.open("ab") as file:
                file.write(line + b"\n")
