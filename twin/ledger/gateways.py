"""What gateways said of themselves, as the engine heard it: with it, any past moment knows which were away.

A gateway that says again that it is there changes nothing and is not written; one that says again that it is away is:
what its devices said before is not knowledge any more (`Snapshot.gateway`).
"""

from collections.abc import Sequence

import sqlalchemy as sa

from twin.ledger.tables import GATEWAY
from twin.replay import Word


def record(connection: sa.Connection, words: Sequence[Word]) -> None:
    top = connection.execute(sa.select(sa.func.max(GATEWAY.c.id))).scalar() or 0
    if words:
        rows = [word._asdict() | {"id": top + i} for i, word in enumerate(words, 1)]
        connection.execute(sa.insert(GATEWAY), rows)


def at(connection: sa.Connection, moment: int) -> dict[str, Word]:
    """The last word of each gateway by then, UTC ms."""
    last = sa.select(sa.func.max(GATEWAY.c.id)).where(GATEWAY.c.at <= moment).group_by(GATEWAY.c.gateway)
    rows = connection.execute(_WORDS.where(GATEWAY.c.id.in_(last)))
    return {row.gateway: Word(*row) for row in rows}


def between(connection: sa.Connection, begin: int, end: int) -> list[Word]:
    """What was said in (begin, end], UTC ms, in the order of saying."""
    found = _WORDS.where(GATEWAY.c.at > begin, GATEWAY.c.at <= end).order_by(GATEWAY.c.id)
    return [Word(*row) for row in connection.execute(found)]


_WORDS = sa.select(GATEWAY.c.gateway, GATEWAY.c.online, GATEWAY.c.at)
