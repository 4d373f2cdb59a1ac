"""When a rule looks: windows of the week in Asia/Shanghai, with China's public holidays and make-up working days.

A day is named by its weekday (mon to sun), or by what it is to those who work: `workday` or `restday`. Which days are
exchanged is decided each year by the State Council; the days are data (`twin/data/holidays.csv`), and an installation
may name a file of its own. A day that is not in the file is what its weekday says.

A window is half open, [start, end). One that ends at or before its start runs past midnight and belongs to the day on
which it starts. Windows that touch are one window. No windows at all: always.

Asia/Shanghai has been UTC+8 without summer time since 1991: local days are counted, not looked up.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path

import msgspec

from twin.clock import DAY, HOUR, MINUTE
from twin.errors import SettingsError
from twin.standards.scale import table

EAST = 8 * HOUR
FAR = 1 << 62  # an edge that never comes
_AHEAD = (8, 60, 800)  # days looked ahead for the next edge: a week, the longest holiday, more than two years
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")
_EPOCH = date(1970, 1, 1)


class Day(StrEnum):
    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"
    WORKDAY = "workday"
    RESTDAY = "restday"


_WEEK = tuple(Day)[:7]

Calendar = Mapping[date, bool]  # True: a day off


class Span(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A window of each of these days (none named: every day); local hh:mm, `end` up to 24:00."""

    days: tuple[Day, ...] = ()
    start: str = "00:00"
    end: str = "24:00"

    @property
    def minutes(self) -> tuple[int, int]:
        """Start and end in minutes of the day; an end past midnight is over 1,440."""
        start, end = _minute(self.start), _minute(self.end)
        return start, end if end > start else end + 1_440


def is_time(text: str) -> bool:
    return _TIME.fullmatch(text) is not None


def _minute(text: str) -> int:
    hour, minute = text.split(":")
    return 60 * int(hour) + int(minute)


@cache
def calendar(file: Path | None = None) -> Calendar:
    """The exchanged days in a file (columns date, day: rest or work), by default those that ship.

    Raises SettingsError naming file, line and remedy.
    """
    if file is None:
        return {date.fromisoformat(row["date"]): row["day"] == "rest" for row in table("holidays")}
    found: dict[date, bool] = {}
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            for number, row in enumerate(csv.DictReader(lines), start=2):
                day = row.get("day")
                if day not in ("rest", "work"):
                    raise SettingsError(f"{file}, line {number}: day is {day!r}. Write rest or work.")
                found[date.fromisoformat(row.get("date") or "")] = day == "rest"
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise SettingsError(f"{file}: {error}. It needs the columns date (2026-10-01) and day (rest, work).") from None
    return found


def rests(day: date, known: Calendar) -> bool:
    """Whether people have this day off."""
    return known.get(day, day.weekday() >= 5)


def windows(spans: Sequence[Span], known: Calendar, begin: int, end: int) -> list[tuple[int, int]]:
    """The windows (UTC ms, half open) of [begin, end), in order, cut to it, none touching another."""
    if not spans:
        return [(begin, end)] if begin < end else []
    first, last = (begin + EAST) // DAY - 1, (end + EAST) // DAY
    found: list[tuple[int, int]] = []
    for start, stop in sorted(w for n in range(first, last + 1) for w in _of_day(spans, known, n)):
        start, stop = max(start, begin), min(stop, end)
        if start >= stop:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(stop, found[-1][1]))
        else:
            found.append((start, stop))
    return found


def _of_day(spans: Sequence[Span], known: Calendar, number: int) -> Iterator[tuple[int, int]]:
    """Windows that start on the local day with this number since 1970."""
    day = _EPOCH + timedelta(number)
    names = (_WEEK[day.weekday()], Day.RESTDAY if rests(day, known) else Day.WORKDAY)
    for span in spans:
        if not span.days or any(name in span.days for name in names):
            start, end = span.minutes
            yield number * DAY - EAST + start * MINUTE, number * DAY - EAST + end * MINUTE


def state(spans: Sequence[Span], known: Calendar, at: int) -> tuple[bool, int]:
    """Whether it is open at `at`, and the time (UTC ms, > at) at which that changes; FAR where it does not."""
    if not spans:
        return True, FAR
    for days in _AHEAD:
        horizon = at + days * DAY
        found = windows(spans, known, at, horizon)
        if found and found[0][0] > at:
            return False, found[0][0]
        if found and found[0][1] < horizon:
            return True, found[0][1]
    return bool(found), FAR
