"""The ways in and out: signing in and out, one's own password, kiosk links; as pages and for programs.

The pages are plain HTML made here, not Dash: they work before anything else is loaded, and without JavaScript.
A session's token is new at each sign-in and the one that was brought is ended, so that nobody can be made to use a
session that another knows. Where one is led on to is a path of this server or the wall.
"""

from collections.abc import Mapping
from html import escape
from typing import Annotated, Any
from urllib.parse import parse_qs, quote

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from dashboards import api, auth
from dashboards.i18n import Language, Translate, language_of, translator
from dashboards.node import Node
from twin import access
from twin.access import ROLE_LABELS, Right
from twin.clock import DAY, HOUR, SECOND
from twin.errors import LedgerError, RefusedError
from twin.ledger import users
from twin.refusal import Refusal

MOST_FORM = 8_192  # bytes
SCREEN_LASTS = 400 * DAY  # a browser keeps no cookie for longer
_FRESH = {"Cache-Control": "no-store"}


class Credentials(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user: str = Field(max_length=200)
    password: str = Field(max_length=1_000)


class NewPassword(BaseModel):
    """One's own: the present one and the new one."""

    model_config = ConfigDict(extra="forbid")

    password: str = Field(max_length=1_000)
    new: str = Field(max_length=1_000)


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_FORM:
            raise api.RequestError(413, f"a form of more than {MOST_FORM} bytes")
    return {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


_Fields = Annotated[dict[str, str], Depends(_form)]


def router(node: Node) -> APIRouter:
    routes = APIRouter()
    _add_pages(routes, node)
    _add_session(routes, node)
    return routes


def _add_pages(routes: APIRouter, node: Node) -> None:
    assert node.ledger is not None
    ledger = node.ledger

    def tongue(lang: str | None) -> Language:
        return language_of(lang, node.settings.language)

    @routes.get("/sign-in", include_in_schema=False)
    def door(next: str = "/", lang: str | None = None) -> Response:
        away = LedgerError(auth.whole().away) if auth.whole().away else None
        return _sign_in_page(tongue(lang), next, wrong=away)

    @routes.post("/sign-in", include_in_schema=False)
    def enter(request: Request, form: _Fields, lang: str | None = None) -> Response:
        to, user = auth.own_path(form.get("next", "/")), form.get("user", "")
        try:
            token = _opened(node, request, user, form.get("password", ""))
        except (RefusedError, LedgerError) as error:
            return _sign_in_page(tongue(lang), to, user=user, wrong=error)
        return _with_session(RedirectResponse(to, 303), node, request, token)

    @routes.post("/sign-out", include_in_schema=False)
    def leave(lang: str | None = None) -> Response:
        _closed(node)
        return _without_session(RedirectResponse(f"/sign-in?lang={tongue(lang)}", 303))

    @routes.get("/password", include_in_schema=False)
    def own_password(lang: str | None = None) -> Response:
        session = auth.caller()
        if session is None or session.role is None:
            return RedirectResponse(f"/sign-in?next=/password&lang={tongue(lang)}", 303)
        return _password_page(tongue(lang), session)

    @routes.post("/password", include_in_schema=False)
    def change(request: Request, form: _Fields, lang: str | None = None) -> Response:
        session = _person()
        try:
            if form.get("new") != form.get("again"):
                raise RefusedError(Refusal.DIFFER)
            _change(node, request, form.get("password", ""), form.get("new", ""))
        except (RefusedError, LedgerError) as error:
            return _password_page(tongue(lang), session, wrong=error)
        return _password_page(tongue(lang), session, done=True)

    @routes.get("/kiosk/{token}", include_in_schema=False)
    def screen(request: Request, token: str, lang: str | None = None) -> Response:
        try:
            with ledger.reading() as connection:
                found = users.kiosk(connection, token)
        except LedgerError as error:
            return _sign_in_page(tongue(lang), "/", wrong=error)
        if found is None:
            return _no_link_page(tongue(lang))
        answer = RedirectResponse(f"/?lang={tongue(lang)}" if lang else "/", 303, headers=_FRESH)
        _put(answer, request, auth.SCREEN_COOKIE, token, SCREEN_LASTS)
        return answer


def _add_session(routes: APIRouter, node: Node) -> None:
    @routes.get("/api/v1/session", tags=["access"])
    def session() -> Response:
        """Who this request comes from, what that may do, and the token that each change has to bring."""
        return _told(auth.whole())

    @routes.post("/api/v1/session", tags=["access"])
    def open_session(request: Request, who: Credentials) -> Response:
        """Sign in: sets the cookie, and tells the token for X-CSRF-Token."""
        token = _opened(node, request, who.user, who.password)
        assert node.ledger is not None
        with node.ledger.reading() as connection:
            found = users.session(connection, token, now=node.clock.now(), idle=HOUR)
        if found is None:
            raise RefusedError(Refusal.SIGN_IN)
        return _with_session(_told(auth.Caller(found, found.rights, token)), node, request, token)

    @routes.delete("/api/v1/session", tags=["access"])
    def close_session() -> Response:
        """Sign out."""
        _closed(node)
        return _without_session(Response(status_code=204))

    @routes.post("/api/v1/session/password", tags=["access"])
    def own(request: Request, how: NewPassword) -> Response:
        """Change one's own password. Every other session of the account ends."""
        _person()
        _change(node, request, how.password, how.new)
        return Response(status_code=204)


def _person() -> users.Session:
    """A screen has no password."""
    found = auth.require(Right.LOOK)
    if found.role is None:
        raise RefusedError(Refusal.MAY_NOT, user=found.who)
    return found


def _opened(node: Node, request: Request, user: str, password: str) -> str:
    assert node.ledger is not None
    lasts = round(node.settings.access.session_h * HOUR)
    token = users.sign_in(node.ledger, user, password, address=_address(request), now=node.clock.now(), lasts=lasts)
    _closed(node)
    return token


def _closed(node: Node) -> None:
    assert node.ledger is not None
    if auth.whole().token:
        with node.ledger.transaction() as connection:
            users.sign_out(connection, auth.whole().token)


def _change(node: Node, request: Request, password: str, new: str) -> None:
    assert node.ledger is not None
    found = auth.whole()
    assert found.session is not None
    users.change_password(
        node.ledger,
        found.session.who,
        password,
        new,
        address=_address(request),
        now=node.clock.now(),
        spare=found.token,
    )


def _address(request: Request) -> str:
    """Of the client, as uvicorn has it: behind a proxy that is believed (web.proxies) what that one says."""
    return request.client.host if request.client else ""


def _told(found: auth.Caller) -> Response:
    session = found.session
    body = {
        "who": session and session.who,
        "role": session and session.role,
        "ends": session and session.ends,
        "rights": sorted(found.rights),
        "csrf": access.csrf_of(found.token) if found.token else None,
    }
    return Response(msgspec.json.encode(body), media_type="application/json", headers=_FRESH)


def _with_session(answer: Response, node: Node, request: Request, token: str) -> Response:
    _put(answer, request, auth.COOKIE, token, round(node.settings.access.session_h * HOUR))
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _without_session(answer: Response) -> Response:
    answer.delete_cookie(auth.COOKIE, path="/", httponly=True, samesite="lax")
    return answer


def _put(answer: Response, request: Request, name: str, token: str, lasts: int) -> None:
    """Lax and not Strict: who comes by the link in a notice is to be known, too."""
    answer.set_cookie(
        name,
        token,
        max_age=lasts // SECOND,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


# --- the pages ---


def _sign_in_page(language: Language, next: str, *, user: str = "", wrong: Exception | None = None) -> Response:
    _ = translator(language)
    to = auth.own_path(next)
    fields = (
        _field("user", _("User name"), "text", "username", value=user, focus=not user)
        + _field("password", _("Password"), "password", "current-password", focus=bool(user))
        + f'<input type="hidden" name="next" value="{escape(to)}">'
    )
    body = _form_of(f"/sign-in?lang={language}", fields, _("Sign in"), _said(wrong, _))
    return _page(language, _("Sign in"), body, f"/sign-in?next={quote(to, safe='/')}", _status(wrong))


def _password_page(
    language: Language, session: users.Session, *, wrong: Exception | None = None, done: bool = False
) -> Response:
    _ = translator(language)
    assert session.role is not None
    fields = (
        f'<input type="hidden" name="user" value="{escape(session.who)}" autocomplete="username">'
        + _field("password", _("Present password"), "password", "current-password", focus=True)
        + _field(
            "new", _("New password, at least {least} characters").format(least=access.LEAST), "password", "new-password"
        )
        + _field("again", _("New password once more"), "password", "new-password")
    )
    said = f'<p class="door-done" role="status">{escape(_("The password is changed; other sessions have ended"))}</p>'
    who = f'<p class="door-who">{escape(session.who)} · {escape(_(ROLE_LABELS[session.role]))}</p>'
    body = who + _form_of(f"/password?lang={language}", fields, _("Change password"), said if done else _said(wrong, _))
    back = f'<p class="door-back"><a href="/?lang={language}">{escape(_("To the wall"))}</a></p>'
    return _page(language, _("Change password"), body + back, "/password?", _status(wrong))


def _no_link_page(language: Language) -> Response:
    _ = translator(language)
    said = _("This kiosk link is not valid, or was revoked: ask for a new one")
    body = f'<p class="door-wrong" role="alert">{escape(said)}</p>'
    link = f'<p class="door-back"><a href="/sign-in?lang={language}">{escape(_("Sign in"))}</a></p>'
    return _page(language, _("Kiosk link"), body + link, "?", 404)


def _status(wrong: Exception | None) -> int:
    if isinstance(wrong, RefusedError):
        return api.status_of(wrong)
    return 200 if wrong is None else 503


def _said(wrong: Exception | None, _: Translate) -> str:
    if wrong is None:
        return ""
    if isinstance(wrong, RefusedError):
        text = _(wrong.reason).format(**wrong.details)
    else:
        text = _("The ledger is away: nobody can sign in now")
    return f'<p class="door-wrong" role="alert">{escape(text)}</p>'


def _field(name: str, label: str, type: str, fill: str, *, value: str = "", focus: bool = False) -> str:
    more: Mapping[str, Any] = {"name": name, "id": name, "type": type, "autocomplete": fill, "value": value}
    attributes = " ".join(f'{key}="{escape(str(v))}"' for key, v in more.items())
    plain = ' autocapitalize="none" spellcheck="false"'
    return f'<label for="{name}">{escape(label)}</label><input {attributes} required{plain}{" autofocus" * focus}>'


def _form_of(action: str, fields: str, button: str, said: str) -> str:
    return f'<form method="post" action="{escape(action)}">{fields}{said}<button>{escape(button)}</button></form>'


def _page(language: Language, title: str, body: str, here: str, status: int) -> Response:
    _ = translator(language)
    place, centre = escape(_("Digital High-tech Zone")), escape(_("Digital High-tech Zone Operations Centre"))
    other, name = ("en", "EN") if language == "zh" else ("zh", "中文")
    return HTMLResponse(
        f"""<!DOCTYPE html>
<html lang="{"zh-CN" if language == "zh" else "en"}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>{place} · {escape(title)}</title>
<link rel="icon" href="/assets/favicon.svg"><link rel="stylesheet" href="/assets/css/palette.css">
<link rel="stylesheet" href="/assets/css/door.css"></head><body class="door">
<a class="door-language" href="{escape(here + ("&" if "=" in here else ""))}lang={other}">{name}</a>
<main><header><img src="/assets/favicon.svg" alt=""><p>{centre}</p></header>
<h1>{escape(title)}</h1>{body}</main></body></html>""",
        status,
        headers=_FRESH,
    )
