"""Playing and stopping scenarios as a person may ask for it: allowed, done, and on record."""

import asyncio
from typing import Any

import sqlalchemy as sa

from dashboards import auth
from dashboards.live import DirectionError
from dashboards.node import Node
from twin.access import Right
from twin.ledger import audit


async def direct(node: Node, do: str, scenario: str, at: str = "", speed: float | None = None) -> None:
    """Play one, or stop it. Raises RefusedError when the caller may not, DirectionError when it cannot be done."""
    by = auth.require(Right.DRILLS).who
    if not node.settings.simulate.on:
        raise DirectionError(403, "nothing is simulated here (simulate.on is false)")
    await node.relay.direct(do, scenario, at, speed)
    detail = {"at": at, "speed": speed} if at else {}
    await asyncio.to_thread(_keep, node, do, scenario, detail, by)


def _keep(node: Node, do: str, scenario: str, detail: dict[str, Any], by: str) -> None:
    assert node.ledger is not None
    with node.ledger.transaction() as connection:
        record(connection, do, scenario, detail, by=by, at=node.clock.now())


def record(connection: sa.Connection, do: str, scenario: str, detail: dict[str, Any], *, by: str, at: int) -> None:
    subject = f"scenario {scenario}"
    audit.append(connection, by=by, at=at, action=f"drill.{do}", subject=subject, detail=detail)
