"""Accounts, kiosk links and the audit over HTTP: for admins, and the audit for rules engineers too."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from dashboards import auth
from dashboards.api import answer
from dashboards.node import Node
from twin import access
from twin.access import Right, Role
from twin.ledger import audit, users

_FRESH = {"Cache-Control": "no-store"}  # a secret may stand in it


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewUser(Body):
    """Without a password one is made, and told in the answer only."""

    name: str = Field(max_length=200)
    role: Role = Role.VIEWER
    password: str | None = Field(None, max_length=1_000)


class NewRole(Body):
    role: Role


class Password(Body):
    """Without one it is made, and told in the answer only."""

    password: str | None = Field(None, max_length=1_000)


class NewLink(Body):
    """`name`: the screen it is for."""

    name: str = Field(max_length=200)


def router(node: Node) -> APIRouter:
    routes = APIRouter(tags=["access"])
    _add_users(routes, node)
    _add_links(routes, node)
    _add_audit(routes, node)
    return routes


def _add_users(routes: APIRouter, node: Node) -> None:
    assert node.ledger is not None
    ledger, clock = node.ledger, node.clock

    @routes.get("/api/v1/users")
    def all_users() -> Response:
        """Every account; `disabled` since when, or null."""
        auth.require(Right.USERS)
        with ledger.reading() as connection:
            return answer({"users": users.users(connection)})

    @routes.post("/api/v1/users")
    def add_user(new: NewUser) -> Response:
        """Make an account."""
        by = auth.require(Right.USERS).who
        password = new.password or access.made_password()
        with ledger.transaction() as connection:
            users.add(connection, new.name, new.role, password, by=by, at=clock.now())
        made = {} if new.password else {"password": password}
        return answer({"name": new.name, "role": new.role, **made}, 201)

    @routes.post("/api/v1/users/{name}/role")
    def set_role(name: str, to: NewRole) -> Response:
        """Give another role. The account's sessions end."""
        by = auth.require(Right.USERS).who
        with ledger.transaction() as connection:
            users.set_role(connection, name, to.role, by=by, at=clock.now())
        return answer({"name": name, "role": to.role})

    @routes.post("/api/v1/users/{name}/password")
    def set_password(name: str, to: Password) -> Response:
        """Give another password. The account's sessions end."""
        by = auth.require(Right.USERS).who
        password = to.password or access.made_password()
        with ledger.transaction() as connection:
            users.set_password(connection, name, password, by=by, at=clock.now())
        return answer({"name": name} | ({} if to.password else {"password": password}))

    @routes.post("/api/v1/users/{name}/disable")
    def disable(name: str) -> Response:
        """End an account and its sessions; its name stays taken."""
        by = auth.require(Right.USERS).who
        with ledger.transaction() as connection:
            users.disable(connection, name, by=by, at=clock.now())
        return answer({"name": name})

    @routes.post("/api/v1/users/{name}/enable")
    def enable(name: str) -> Response:
        """Take a disabled account back."""
        by = auth.require(Right.USERS).who
        with ledger.transaction() as connection:
            users.enable(connection, name, by=by, at=clock.now())
        return answer({"name": name})


def _add_links(routes: APIRouter, node: Node) -> None:
    assert node.ledger is not None
    ledger, clock = node.ledger, node.clock

    @routes.get("/api/v1/kiosk")
    def links() -> Response:
        """Every kiosk link, without its secret."""
        auth.require(Right.USERS)
        with ledger.reading() as connection:
            return answer({"links": users.links(connection)})

    @routes.post("/api/v1/kiosk")
    def add_link(new: NewLink) -> Response:
        """Make a link for a screen: its path is told in this answer only."""
        by = auth.require(Right.USERS).who
        with ledger.transaction() as connection:
            token = users.add_link(connection, new.name, by=by, at=clock.now())
        return answer({"name": new.name, "path": f"/kiosk/{token}"}, 201)

    @routes.post("/api/v1/kiosk/{link}/revoke")
    def revoke(link: int) -> Response:
        """End a link: its screen is shut out within seconds."""
        by = auth.require(Right.USERS).who
        with ledger.transaction() as connection:
            users.revoke_link(connection, link, by=by, at=clock.now())
        return answer({"id": link})


def _add_audit(routes: APIRouter, node: Node) -> None:
    assert node.ledger is not None
    ledger = node.ledger

    @routes.get("/api/v1/audit")
    def entries(
        by: str | None = None,
        action: str | None = None,
        subject: str | None = None,
        before: int | None = None,
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    ) -> Response:
        """The newest entries first; `action` by its beginning (`alarm.`), `before` a number to page on from."""
        auth.require(Right.AUDIT)
        with ledger.reading() as connection:
            found = audit.latest(connection, by=by, action=action, subject=subject, limit=limit, before=before)
        return answer({"entries": found})

    @routes.get("/api/v1/audit/verify")
    def verify(head: Annotated[str | None, Query(pattern=r"^\d{1,18}:[0-9a-f]{64}$")] = None) -> Response:
        """Is every entry as it was written? `head`: what this said earlier, NUMBER:HASH, must still be so."""
        auth.require(Right.AUDIT)
        kept = None if head is None else (int(head.partition(":")[0]), head.partition(":")[2])
        with ledger.reading() as connection:
            verdict = audit.verify(connection, kept)
        number, hash = verdict.head
        whole = {"whole": verdict.broken is None, "entries": verdict.entries, "head": f"{number}:{hash}"}
        return answer(whole | ({} if verdict.broken is None else {"broken": verdict.broken, "why": verdict.why}))
