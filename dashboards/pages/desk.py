"""What the desk pages share: the head with the way around and who is signed in, and the look of their tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from dash import html

from dashboards import auth
from dashboards.i18n import Language, Translate, translator
from twin.access import ROLE_LABELS, Right

PLACES: Mapping[str, str] = {
    "/": "The wall",
    "/alarms": "Alarms",
    "/rules": "Thresholds",
    "/replay": "Replay",
    "/incidents": "Incidents",
    "/scenarios": "Drills",
    "/devices": "Devices",
    "/access": "Accounts",
}
RIGHTS_OF = {"/access": Right.AUDIT}  # who may not is not led there

# dash-ag-grid makes a theme of this expression in the browser
GRID_THEME = {
    "function": "themeQuartz.withParams({browserColorScheme: 'dark', backgroundColor: '#0b1728', "
    "foregroundColor: '#e8f2fb', headerBackgroundColor: '#10233c', oddRowBackgroundColor: '#0d1c31', "
    "borderColor: 'rgba(110,170,220,0.16)', fontFamily: 'inherit', fontSize: 15, headerFontSize: 14, rowHeight: 36, "
    "headerHeight: 40, spacing: 6, wrapperBorder: false, accentColor: '#35c6f4'})"
}


def page(
    language: Language, path: str, title: str, body: Sequence[Any], *, status: Sequence[Any] = (), **more: Any
) -> html.Div:
    """A desk page: its head, then `body`, whose last part takes the room that is left. `status`: in the head."""
    _ = translator(language)
    head = html.Header(
        [
            html.Nav(
                [
                    _place(at, text, at == path, language, _)
                    for at, text in PLACES.items()
                    if auth.may(RIGHTS_OF.get(at, Right.LOOK))
                ],
                className="desk-places",
            ),
            html.H1(title),
            html.Div([*status, _who(language, path, _), _other(language)], className="desk-status"),
        ],
        className="desk-head",
    )
    return html.Div([head, *body], className="desk", lang="zh-CN" if language == "zh" else "en", **more)


def _place(path: str, text: str, here: bool, language: Language, _: Translate) -> Any:
    return html.A(
        _(text), href=f"{path}?lang={language}", className="desk-place", **({"aria-current": "page"} if here else {})
    )


def _who(language: Language, path: str, _: Translate) -> Any:
    session = auth.caller()
    if session is None:
        return html.A(_("Sign in"), href=f"/sign-in?lang={language}&next={path}", className="desk-language")
    if session.role is None:
        return html.Span(_("Screen {name}").format(name=session.who), className="desk-who")
    role = _(ROLE_LABELS[session.role])
    return html.Div(
        [
            html.A(f"{session.who} · {role}", href=f"/password?lang={language}", title=_("Change password")),
            # A form of its own, as the browser sends it: it works whatever has become of the page's scripts
            html.Form(html.Button(_("Sign out")), action=f"/sign-out?lang={language}", method="POST"),
        ],
        className="desk-who",
    )


def _other(language: Language) -> html.A:
    other = "en" if language == "zh" else "zh"
    return html.A("EN" if other == "en" else "中文", href=f"?lang={other}", className="desk-language")
