"""What of the past was simulated, so that it says so for ever, also where nothing is simulated any more."""

import sqlalchemy as sa

from twin.clock import MINUTE
from twin.ledger.tables import SIMULATED

JOINED = 5 * MINUTE  # spans that lie no farther apart are one: a restart is no pause


def mark(connection: sa.Connection, begin: int, end: int) -> None:
    """Readings of [begin, end), UTC ms, were simulated; with what touches it this becomes one span."""
    c = SIMULATED.c
    near = (c.begins <= end + JOINED) & (c.ends >= begin - JOINED)
    low, high = connection.execute(sa.select(sa.func.min(c.begins), sa.func.max(c.ends)).where(near)).one()
    connection.execute(sa.delete(SIMULATED).where(near))
    row = {"begins": begin if low is None else min(low, begin), "ends": end if high is None else max(high, end)}
    connection.execute(sa.insert(SIMULATED).values(row))


def between(connection: sa.Connection, begin: int, end: int) -> list[tuple[int, int]]:
    """The spans of [begin, end), the earliest first."""
    c = SIMULATED.c
    wanted = sa.select(c.begins, c.ends).where(c.begins < end, c.ends > begin).order_by(c.begins)
    return [(b, e) for b, e in connection.execute(wanted)]
