"""Ground truth in the ledger: see `twin.truth`."""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from twin.ledger.tables import TRUTH
from twin.truth import Truth


def record(connection: sa.Connection, run: str, facts: Sequence[Truth]) -> None:
    """These are the facts of the run, whatever was written of it before."""
    connection.execute(sa.delete(TRUTH).where(TRUTH.c.run == run))
    rows = [msgspec.structs.asdict(f) | {"ordinal": i, "devices": list(f.devices)} for i, f in enumerate(facts)]
    if rows:
        connection.execute(sa.insert(TRUTH), rows)


def between(connection: sa.Connection, begin: int, end: int) -> list[Truth]:
    """The facts that were so at some time of [begin, end), UTC ms, the earliest first."""
    fields = [TRUTH.c[name] for name in Truth.__struct_fields__]
    wanted = sa.select(*fields).where(TRUTH.c.began < end, TRUTH.c.ended > begin)
    rows = connection.execute(wanted.order_by(TRUTH.c.began, TRUTH.c.run, TRUTH.c.ordinal))
    return [Truth(**row._asdict() | {"devices": tuple(row.devices)}) for row in rows]
