"""Who asks, and whether they may: the session behind a request, for the HTTP interface and the pages' callbacks alike.

`Gate` finds out once, before anything else looks at a request; from there on `caller`, `may` and `require` answer from
anywhere that the request leads to, thread or coroutine.
"""

import asyncio
from contextvars import ContextVar
from http.cookies import CookieError, SimpleCookie

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from twin import access
from twin.access import Right
from twin.clock import MINUTE, Clock
from twin.errors import RefusedError
from twin.ledger import Ledger, users
from twin.ledger.users import Session
from twin.refusal import Refusal
from twin.settings import Access

COOKIE = "gaoxin_session"


class Caller(msgspec.Struct, frozen=True):
    """`session` None: nobody has signed in; `rights`: what is allowed then, too."""

    session: Session | None = None
    rights: frozenset[Right] = frozenset()


_VISITOR = Caller()
_CALLER: ContextVar[Caller] = ContextVar("caller", default=_VISITOR)


def caller() -> Session | None:
    """Who has signed in; None is a visitor."""
    return _CALLER.get().session


def may(right: Right) -> bool:
    found = _CALLER.get()
    return right in found.rights


def require(right: Right) -> Session:
    """The session, if it may. Raises RefusedError: SIGN_IN_FIRST or MAY_NOT."""
    found = _CALLER.get()
    if found.session is None:
        raise RefusedError(Refusal.SIGN_IN_FIRST)
    if right not in found.rights:
        raise RefusedError(Refusal.MAY_NOT, user=found.session.who)
    return found.session


class Gate:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, *, ledger: Ledger, settings: Access, clock: Clock) -> None:
        self.app, self.ledger, self.settings, self.clock = app, ledger, settings, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            token = _cookie(scope, COOKIE)
            session = await asyncio.to_thread(self._session, token) if token else None
            _CALLER.set(Caller(session, self._rights(session)))
        await self.app(scope, receive, send)

    def _session(self, token: str) -> Session | None:
        now = self.clock.now()
        with self.ledger.reading() as connection:
            found = users.session(connection, token, now=now, idle=round(self.settings.idle_min * MINUTE))
        if found is not None and found.stale(now):
            with self.ledger.transaction() as connection:
                users.touch(connection, token, now=now)
        return found

    def _rights(self, session: Session | None) -> frozenset[Right]:
        if session is None:
            return frozenset({Right.LOOK})
        return access.KIOSK_RIGHTS if session.role is None else access.RIGHTS[session.role]


def _cookie(scope: Scope, name: str) -> str:
    for key, value in scope["headers"]:
        if key == b"cookie":
            try:
                found = SimpleCookie(value.decode("latin-1")).get(name)
            except CookieError:
                continue
            if found is not None:
                return found.value
    return ""
