"""The only reader of the wall clock. Everything else is a function of the time it is given.

Times are UTC milliseconds since 1970 (int). Aware datetimes exist only at the edges: `local` and `parse` make and
read them.
"""

import time
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
LAST = 253_402_300_799_999  # the end of the year 9999


class Clock(Protocol):
    def now(self) -> int:
        """UTC milliseconds."""
        ...


class SystemClock:
    """The wall clock."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000


class ManualClock:
    """Stands still until told otherwise: for tests and for running a whole park in process."""

    def __init__(self, start: int) -> None:
        self._now = start

    def now(self) -> int:
        return self._now

    def advance(self, milliseconds: int) -> int:
        if milliseconds < 0:
            raise ValueError(f"time does not run backwards: {milliseconds} ms")
        self._now += milliseconds
        return self._now


def local(at: int) -> datetime:
    """The aware Asia/Shanghai datetime of UTC milliseconds."""
    return datetime.fromtimestamp(at / 1000, SHANGHAI)


def parse(text: str) -> int:
    """UTC milliseconds of an RFC 3339 time, or of plain digits (already milliseconds).

    A time without an offset is read as Asia/Shanghai. Raises ValueError with the text and an example.
    """
    if text.isdecimal():
        moment_ms = int(text)
        if moment_ms > LAST:
            raise ValueError(f"{text} is past the year 9999; UTC milliseconds are expected")
        return moment_ms
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time: use RFC 3339 such as 2026-11-20T08:00:00+08:00, or UTC milliseconds"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=SHANGHAI)
    return round(moment.timestamp() * 1000)
