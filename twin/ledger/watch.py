"""The evaluator's state over a restart: one row, the last one kept."""

import sqlalchemy as sa

from twin.ledger.tables import WATCH


def keep(connection: sa.Connection, state: bytes, *, at: int) -> None:
    connection.execute(sa.delete(WATCH))
    connection.execute(sa.insert(WATCH).values(id=1, at=at, state=state))


def state(connection: sa.Connection) -> bytes | None:
    """None when none was ever kept."""
    return connection.execute(sa.select(WATCH.c.state)).scalar()
