"""A day of the past with incidents in it, backfilled as a person would, for what tests and measures the replay."""

import subprocess
import sys
from datetime import timedelta

from tests.servers import Up
from twin.clock import HOUR, SystemClock, local, parse

PLAYED = {"S01": "07:50", "S03": "15:20", "S05": "17:20"}


def backfill(twin: Up) -> tuple[int, int]:
    """Fill 07:00 to 21:00, local, of the last working day, with S01, S03 and S05; returns the range, UTC ms.

    On a Saturday nobody drives to work, and the crash of S01 holds up few.
    """
    day = local(SystemClock().now()).date() - timedelta(days=1)
    while day.weekday() > 4:
        day -= timedelta(days=1)
    begin, end = f"{day}T07:00", f"{day}T21:00"
    played = [word for scenario, at in PLAYED.items() for word in ("--scenario", f"{scenario}@{day}T{at}")]
    program = [sys.executable, "-m", "dashboards", "backfill", "--from", begin, "--to", end, *played]
    done = subprocess.run(program, env=twin.env, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return parse(begin), parse(begin) + 14 * HOUR
