"""Ground truth in the ledger: see `twin.truth`."""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from twin.ledger.tables import TRUTH
from twin.standards import Level
from twin.truth import Truth


def record(connection: sa.Connection, run: str, facts: Sequence[Truth]) -> None:
    """These are the facts of the run, whatever was written of it before."""
    connection.execute(sa.delete(TRUTH).where(TRUTH.c.run == run))
    rows = [msgspec.structs.asdict(f) | {"ordinal": i, "devices": list(f.devices)} for i, f in enumerate(facts)]
    if rows:
        connection.execute(sa.insert(TRUTH), rows)


def between(connection: sa.Connection, begin: int, end: int) -> list[Truth]:
    """The facts that were so at some time of [begin, end), UTC ms, the earliest first."""
    return _facts(connection, TRUTH.c.began < end, TRUTH.c.ended > begin)


def of_run(connection: sa.Connection, run: str) -> list[Truth]:
    """The facts of one run, the earliest first."""
    return _facts(connection, TRUTH.c.run == run)


def runs(connection: sa.Connection, limit: int = 20) -> list[tuple[str, str, int]]:
    """(run, scenario, began) of the last runs, the latest first."""
    c, began = TRUTH.c, sa.func.min(TRUTH.c.began)
    wanted = sa.select(c.run, c.scenario, began).group_by(c.run, c.scenario).order_by(began.desc()).limit(limit)
    return [(run, scenario, at) for run, scenario, at in connection.execute(wanted)]


def _facts(connection: sa.Connection, *terms: sa.ColumnElement[bool]) -> list[Truth]:
    fields = [TRUTH.c[name] for name in Truth.__struct_fields__]
    rows = connection.execute(sa.select(*fields).where(*terms).order_by(TRUTH.c.began, TRUTH.c.run, TRUTH.c.ordinal))
    return [Truth(**row._asdict() | {"devices": tuple(row.devices), "level": Level(row.level)}) for row in rows]
