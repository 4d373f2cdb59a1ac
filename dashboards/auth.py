"""Who asks, and whether they may: the session behind a request, for the HTTP interface and the pages' callbacks alike.

`Gate` finds out once, before anything else looks at a request; from there on `caller`, `may` and `require` answer from
anywhere that the request leads to, thread or coroutine. It decides three things, so that no handler can forget them:

*May they look?* With `access.look = signed-in` only a session or a kiosk link may. What is needed to sign in, to draw
the sign-in page and to watch the process is open: it holds nothing of the zone but counts of messages.

*Does a change come from us?* A browser sends our cookie along with a request that another site had it make. The cookie
is SameSite=Lax, which keeps it at home in every present browser but for other ports and names of the same site; so
each unsafe request must prove more. Either it has the header X-CSRF-Token, an HMAC of the session's token that only
one of our own answers can tell, or the browser vouches for it: Sec-Fetch-Site is same-origin, or, where that is not
sent (plain http), Origin is the host asked. No script can set those two. Dash's callbacks and our forms have the
second, programs the first. What a browser says comes from elsewhere is refused even without a session, or another
site could sign its reader in as somebody else. (OWASP, Cross-Site Request Forgery Prevention: fetch metadata, and
tokens bound to the session.) A WebSocket with a session must come from our pages, too.

*Does it go on?* A WebSocket lasts for weeks. While one is open its session is looked at every few seconds, which is
using it as a page that refreshes itself does; when it has ended, or its link was revoked, the socket is closed with
1008, policy violation.

When the ledger is away nobody can be known: who may look without an account goes on looking, and all else is told 503.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from twin import access
from twin.access import Right
from twin.clock import MINUTE, Clock
from twin.errors import LedgerError, RefusedError
from twin.ledger import Ledger, users
from twin.ledger.users import Session
from twin.refusal import Refusal
from twin.settings import Access

COOKIE, SCREEN_COOKIE = "gaoxin_session", "gaoxin_screen"
CSRF_HEADER = "X-CSRF-Token"
RECHECK_S = 3
POLICY = 1008

# Without anything of the zone
_OPEN = frozenset({"/healthz", "/readyz", "/metrics"})
_DOORS = frozenset({"/sign-in", "/sign-out", "/api/v1/session"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
OURSELVES = "gaoxin.ourselves"  # in the scope of a request that no network brought

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # a kiosk link is not told to others, and our own forms say where they are from
    "Content-Security-Policy": "frame-ancestors 'self'",  # no other page lays ours under its buttons
}


class Caller(msgspec.Struct, frozen=True):
    """`session` None: nobody has signed in; `rights`: what is allowed then, too. `away`: who it is cannot be known."""

    session: Session | None = None
    rights: frozenset[Right] = frozenset()
    token: str = ""
    away: str = ""


_VISITOR = Caller()
_CALLER: ContextVar[Caller] = ContextVar("caller", default=_VISITOR)


def caller() -> Session | None:
    """Who has signed in; None is a visitor."""
    return _CALLER.get().session


def may(right: Right) -> bool:
    return right in _CALLER.get().rights


def require(right: Right) -> Session:
    """The session, if it may. Raises RefusedError: SIGN_IN_FIRST or MAY_NOT; LedgerError when that cannot be known."""
    found = _CALLER.get()
    if found.away:
        raise LedgerError(found.away)
    if found.session is None:
        raise RefusedError(Refusal.SIGN_IN_FIRST)
    if right not in found.rights:
        raise RefusedError(Refusal.MAY_NOT, user=found.session.who)
    return found.session


def whole() -> Caller:
    """All that is known of who asks."""
    return _CALLER.get()


def own_path(text: str) -> str:
    """`text` when it leads to a page of this server whatever a browser makes of it, else `/`."""
    plain = text.startswith("/") and not text.startswith("//") and "\\" not in text
    return text if plain and text.isascii() and all(" " < c < "\x7f" for c in text) else "/"


class Gate:
    """The outermost layer of the application. `refuse` makes an answer of a RefusedError or LedgerError."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        ledger: Ledger,
        settings: Access,
        clock: Clock,
        refuse: Callable[[Request, Exception], Response],
    ) -> None:
        self.app, self.ledger, self.settings, self.clock, self.refuse = app, ledger, settings, clock, refuse
        self.visitor = frozenset({Right.LOOK}) if settings.look == "anyone" else frozenset[Right]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or OURSELVES in scope:
            await self.app(scope, receive, send)
            return
        if scope["type"] == "http":
            send = _with_headers(send)
        path = scope["path"]
        if path in _OPEN or path.startswith("/assets/"):
            await self.app(scope, receive, send)
            return
        cookies = _cookies(scope)
        found = await asyncio.to_thread(self._caller, cookies) if cookies else Caller(rights=self.visitor)
        _CALLER.set(found)
        wrong = self._wrong(scope, found)
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send, cookies, found, wrong)
        elif wrong is None:
            await self.app(scope, receive, send)
        else:
            await self._answer(scope, wrong)(scope, receive, send)

    def _caller(self, cookies: Mapping[str, str]) -> Caller:
        """A person before a screen: who signs in at a kiosk is who signed in."""
        try:
            for name, look in ((COOKIE, self._session), (SCREEN_COOKIE, self._screen)):
                token = cookies.get(name)
                session = look(token) if token else None
                if token and session is not None:
                    return Caller(session, session.rights, token)
        except LedgerError as error:
            return Caller(rights=self.visitor, away=str(error))
        return Caller(rights=self.visitor)

    def _session(self, token: str) -> Session | None:
        now = self.clock.now()
        with self.ledger.reading() as connection:
            found = users.session(connection, token, now=now, idle=round(self.settings.idle_min * MINUTE))
        if found is not None and found.stale(now):
            with self.ledger.transaction() as connection:
                users.touch(connection, token, now=now)
        return found

    def _screen(self, token: str) -> Session | None:
        with self.ledger.reading() as connection:
            return users.kiosk(connection, token)

    def _wrong(self, scope: Scope, found: Caller) -> RefusedError | LedgerError | None:
        headers = Headers(scope=scope)
        unsafe = scope["type"] == "http" and scope["method"] not in _SAFE
        if unsafe and not access.is_csrf_of(found.token, headers.get(CSRF_HEADER, "")):
            ours = _ours(headers)
            # At the door a program's proof is the password that it brings
            if ours is False or (ours is None and found.session is not None and scope["path"] not in _DOORS):
                return RefusedError(Refusal.FORGED)
        if scope["type"] == "websocket" and found.session is not None and _ours(headers) is False:
            return RefusedError(Refusal.FORGED)
        if Right.LOOK in found.rights or scope["path"] in _DOORS or scope["path"].startswith("/kiosk/"):
            return None
        return LedgerError(found.away) if found.away else RefusedError(Refusal.SIGN_IN_FIRST)

    def _answer(self, scope: Scope, wrong: RefusedError | LedgerError) -> Response:
        """A page leads to the sign-in, which also says that the ledger is away; programs get the status."""
        path = scope["path"]
        page = not path.startswith(("/api/", "/_dash")) or path == "/api/docs"
        forged = isinstance(wrong, RefusedError) and wrong.reason is Refusal.FORGED
        if page and scope["method"] in _SAFE and not forged:
            asked = quote(path) + ("?" + scope["query_string"].decode("latin-1") if scope["query_string"] else "")
            lang = Request(scope).query_params.get("lang", "")
            tongue = f"&lang={quote(lang[:8])}" if lang else ""
            return RedirectResponse(f"/sign-in?next={quote(own_path(asked), safe='/')}{tongue}", 303)
        return self.refuse(Request(scope), wrong)

    async def _socket(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        cookies: Mapping[str, str],
        found: Caller,
        wrong: Exception | None,
    ) -> None:
        if wrong is not None:
            # Accepted first: a browser is not told why a handshake failed
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": POLICY, "reason": "sign in first"})
        elif found.session is None:
            await self.app(scope, receive, send)
        else:
            await self._watched(scope, receive, send, cookies, found)

    async def _watched(
        self, scope: Scope, receive: Receive, send: Send, cookies: Mapping[str, str], found: Caller
    ) -> None:
        over = False

        async def say(message: Message) -> None:
            if over and message["type"] == "websocket.close":
                message = {"type": "websocket.close", "code": POLICY, "reason": "the session has ended"}
            await send(message)

        async def served() -> None:
            await self.app(scope, receive, say)

        serving = asyncio.create_task(served())
        try:
            while not (await asyncio.wait({serving}, timeout=RECHECK_S))[0]:
                now = await asyncio.to_thread(self._caller, cookies)
                if now.token != found.token and not now.away:
                    over = True
                    break
        finally:
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving
        if over:
            with contextlib.suppress(RuntimeError):  # what was served has closed it already
                await say({"type": "websocket.close"})


def _cookies(scope: Scope) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in Headers(scope=scope).getlist("cookie"):
        with contextlib.suppress(CookieError):
            found |= {m.key: m.value for m in SimpleCookie(text).values() if m.key in (COOKIE, SCREEN_COOKIE)}
    return found


def _ours(headers: Headers) -> bool | None:
    """Did a page of ours ask, by the browser's word? None: no browser, or none that says."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site == "same-origin"
    return None if origin is None else urlsplit(origin).netloc == headers.get("host", "")


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message.get("headers", ())))
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            message = {**message, "headers": headers.raw}
        await send(message)

    return sent
