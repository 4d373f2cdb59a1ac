"""账号: accounts, kiosk links and the audit. What a role may not see is not asked of the ledger."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urljoin

import dash
import dash_ag_grid as dag
from dash import ALL, Input, Output, State, ctx, dcc, html

from dashboards import auth
from dashboards.i18n import Language, Translate, language_of, translator
from dashboards.node import Node
from dashboards.pages import desk
from dashboards.views import access as view
from twin import access
from twin.access import ROLE_LABELS, Right, Role
from twin.errors import LedgerError, RefusedError
from twin.ledger import Ledger, audit, users

PATH = "/access"
REFRESH_MS = 10_000
SHOWN = 500

Row = Mapping[str, Any]


def layout(language: Language) -> html.Div:
    _ = translator(language)
    if not auth.may(Right.AUDIT):
        first = auth.caller() is None
        why = _("Sign in first") if first else _("This page is for rules engineers and system admins")
        return desk.page(language, PATH, _("Accounts and audit"), [html.P(why, className="desk-why", role="alert")])
    audited = html.Section(_audit(_), className="desk-panel desk-main")
    body = [_people(_), audited] if auth.may(Right.USERS) else [audited]
    return desk.page(
        language,
        PATH,
        _("Accounts and audit"),
        [
            html.Div(
                [
                    dcc.Interval(id="access-clock", interval=REFRESH_MS),
                    dcc.Store(id="access-language", data=language),
                    dcc.Store(id="access-done", data=0),
                    html.Div(id="access-said", className="access-said", role="alert"),
                ]
            ),
            html.Div(body, className="access-body" if len(body) > 1 else "access-body access-audit-only"),
        ],
    )


def _people(_: Translate) -> html.Div:
    roles = {role.value: _(label) for role, label in ROLE_LABELS.items()}
    return html.Div(
        [
            html.Section(
                [
                    html.H2(_("Users")),
                    _grid(
                        "access-users",
                        {"name": _("User name"), "roleText": _("Role"), "since": _("Made"), "state": _("State")},
                        "name",
                    ),
                    html.Div(
                        [
                            _roles("access-role", roles),
                            _button("role", _("Set role")),
                            _button("password", _("New password")),
                            _button("disable", _("Disable")),
                            _button("enable", _("Enable")),
                        ],
                        id="access-user",
                        className="access-line",
                    ),
                    html.Div(
                        [
                            _text("access-new-user", _("Name of a new user")),
                            _roles("access-new-role", roles),
                            _button("add", _("Add user")),
                        ],
                        className="access-line access-new",
                    ),
                ],
                className="desk-panel desk-main",
            ),
            html.Section(
                [
                    html.H2(_("Kiosk links")),
                    _grid(
                        "access-links",
                        {"id": _("No."), "name": _("Screen"), "by": _("By"), "state": _("State")},
                        "id",
                    ),
                    html.Div(
                        [
                            _text("access-new-link", _("Screen that the link is for")),
                            _button("link", _("Make link")),
                            _button("revoke", _("Revoke selected")),
                        ],
                        className="access-line access-new",
                    ),
                ],
                className="desk-panel desk-main",
            ),
        ],
        className="access-people",
    )


def _audit(_: Translate) -> list[Any]:
    named = {
        "number": _("No."),
        "at": _("Time"),
        "by": _("Who"),
        "action": _("Did"),
        "subject": _("On what"),
        "detail": _("Details"),
    }
    widths = {"number": 80, "at": 175, "by": 170, "action": 180, "subject": 160}
    return [
        html.Div(
            [
                html.H2(_("Audit")),
                html.Div(
                    [
                        html.Span(id="access-verdict", className="desk-label", role="status"),
                        html.Button(_("Verify"), id="access-verify", className="access-button", n_clicks=0),
                        dcc.Input(
                            id="access-search",
                            type="search",
                            placeholder=_("Search"),
                            debounce=0.3,
                            className="desk-search",
                        ),
                    ],
                    className="access-line",
                ),
            ],
            className="desk-filters",
        ),
        dag.AgGrid(
            id="access-audit",
            className="desk-grid",
            columnDefs=[
                {
                    "field": f,
                    "headerName": n,
                    "tooltipField": f,
                    **({"width": widths[f]} if f in widths else {"flex": 1}),
                }
                for f, n in named.items()
            ],
            rowData=[],
            getRowId="params.data.number",
            dashGridOptions={"theme": desk.GRID_THEME},
        ),
    ]


def _grid(id: str, named: Mapping[str, str], key: str) -> dag.AgGrid:
    return dag.AgGrid(
        id=id,
        className="desk-grid",
        columnDefs=[
            {"field": f, "headerName": n, "tooltipField": f, **({"width": 80} if f == "id" else {"flex": 1})}
            for f, n in named.items()
        ],
        rowData=[],
        getRowId=f"params.data.{key}",
        dashGridOptions={
            "theme": desk.GRID_THEME,
            "rowSelection": {"mode": "singleRow", "checkboxes": False, "enableClickSelection": True},
        },
    )


def _roles(id: str, roles: Mapping[str, str]) -> dcc.RadioItems:
    options = [{"label": label, "value": value} for value, label in roles.items()]
    return dcc.RadioItems(id=id, options=options, value=Role.VIEWER.value, inline=True, className="desk-choices")


def _button(do: str, label: str) -> html.Button:
    return html.Button(label, id={"access": do}, className="access-button", n_clicks=0)


def _text(id: str, placeholder: str) -> dcc.Input:
    return dcc.Input(id=id, placeholder=placeholder, className="desk-search", maxLength=200, autoComplete="off")


def register(app: dash.Dash, node: Node) -> None:
    """The page's callbacks: what is, what was done, and doing it."""
    assert node.ledger is not None
    ledger = node.ledger

    @app.callback(  # type: ignore[untyped-decorator]
        Output("access-users", "rowData"),
        Output("access-links", "rowData"),
        Input("access-clock", "n_intervals"),
        Input("access-done", "data"),
        State("access-language", "data"),
    )
    def people(_n: int | None, _done: int, lang: str) -> tuple[Any, Any]:
        auth.require(Right.USERS)
        with ledger.reading() as connection:
            found = view.page(users.users(connection), users.links(connection), language_of(lang, "zh"))
        return found.users, found.links

    @app.callback(  # type: ignore[untyped-decorator]
        Output("access-audit", "rowData"),
        Input("access-clock", "n_intervals"),
        Input("access-done", "data"),
        Input("access-search", "value"),
        State("access-language", "data"),
    )
    def audited(_n: int | None, _done: int, search: str | None, lang: str) -> list[dict[str, Any]]:
        auth.require(Right.AUDIT)
        with ledger.reading() as connection:
            rows = view.audited(audit.latest(connection, limit=SHOWN), language_of(lang, "zh"))
        wanted = (search or "").lower()
        return [row for row in rows if any(wanted in str(value).lower() for value in row.values())]

    @app.callback(  # type: ignore[untyped-decorator]
        Output("access-verdict", "children"),
        Output("access-verdict", "className"),
        Input("access-verify", "n_clicks"),
        Input("access-done", "data"),
        State("access-language", "data"),
    )
    def verify(_n: int, _done: int, lang: str) -> tuple[str, str]:
        auth.require(Right.AUDIT)
        with ledger.reading() as connection:
            found = audit.verify(connection)
        return view.verdict(found, language_of(lang, "zh")), "tone-good" if found.broken is None else "tone-bad"

    @app.callback(  # type: ignore[untyped-decorator]
        Output("access-role", "value"),
        Input("access-users", "selectedRows"),
        prevent_initial_call=True,
    )
    def selected(rows: list[Row] | None) -> Any:
        return rows[0]["role"] if rows else dash.no_update

    @app.callback(  # type: ignore[untyped-decorator]
        Output("access-said", "children"),
        Output("access-done", "data"),
        Input({"access": ALL}, "n_clicks"),
        State("access-users", "selectedRows"),
        State("access-role", "value"),
        State("access-new-user", "value"),
        State("access-new-role", "value"),
        State("access-links", "selectedRows"),
        State("access-new-link", "value"),
        State("access-done", "data"),
        State("url", "href"),
        State("access-language", "data"),
        prevent_initial_call=True,
    )
    def act(
        clicks: list[int],
        people: list[Row] | None,
        role: str,
        name: str | None,
        new_role: str,
        links: list[Row] | None,
        screen: str | None,
        done: int,
        here: str,
        lang: str,
    ) -> tuple[Any, Any]:
        _ = translator(language_of(lang, node.settings.language))
        if not any(clicks) or not isinstance(ctx.triggered_id, dict):
            return dash.no_update, dash.no_update
        whom = people[0]["name"] if people else ""
        link = int(links[0]["id"]) if links else 0
        asked: Mapping[str, Callable[[_Doing], Any]] = {
            "add": lambda doing: doing.add(name or "", Role(new_role)),
            "role": lambda doing: doing.role(whom, Role(role)),
            "password": lambda doing: doing.password(whom),
            "disable": lambda doing: doing.disable(whom),
            "enable": lambda doing: doing.enable(whom),
            "link": lambda doing: doing.link(screen or "", urljoin(here, "/kiosk/")),
            "revoke": lambda doing: doing.revoke(link),
        }
        do = ctx.triggered_id["access"]
        if (do in ("role", "password", "disable", "enable") and not whom) or (do == "revoke" and not link):
            return _("Select a row first"), dash.no_update
        try:
            doing = _Doing(ledger, auth.require(Right.USERS).who, node.clock.now(), _)
            return asked[do](doing), done + 1
        except RefusedError as error:
            return _(error.reason).format(**error.details), dash.no_update
        except LedgerError as error:
            return str(error), dash.no_update


class _Doing:
    """Each thing that can be done on the page, and what is said of it."""

    def __init__(self, ledger: Ledger, by: str, at: int, _: Translate) -> None:
        self.ledger, self._ = ledger, _
        self.signed: dict[str, Any] = {"by": by, "at": at}

    def add(self, name: str, role: Role) -> Any:
        password = access.made_password()
        with self.ledger.transaction() as connection:
            users.add(connection, name, role, password, **self.signed)
        return self._secret(self._("{name} can sign in with this password").format(name=name), password)

    def role(self, name: str, role: Role) -> Any:
        with self.ledger.transaction() as connection:
            users.set_role(connection, name, role, **self.signed)
        said = self._("{name} has the role {role} from now on and must sign in anew")
        return said.format(name=name, role=self._(ROLE_LABELS[role]))

    def password(self, name: str) -> Any:
        password = access.made_password()
        with self.ledger.transaction() as connection:
            users.set_password(connection, name, password, **self.signed)
        return self._secret(self._("{name} can sign in with this password").format(name=name), password)

    def disable(self, name: str) -> Any:
        with self.ledger.transaction() as connection:
            users.disable(connection, name, **self.signed)
        return self._("{name} is disabled").format(name=name)

    def enable(self, name: str) -> Any:
        with self.ledger.transaction() as connection:
            users.enable(connection, name, **self.signed)
        return self._("{name} is enabled").format(name=name)

    def link(self, screen: str, at: str) -> Any:
        with self.ledger.transaction() as connection:
            token = users.add_link(connection, screen, **self.signed)
        return self._secret(self._("Open this link on the screen {name}").format(name=screen.strip()), at + token)

    def revoke(self, link: int) -> Any:
        with self.ledger.transaction() as connection:
            users.revoke_link(connection, link, **self.signed)
        return self._("Link {link} is revoked").format(link=link)

    def _secret(self, said: str, secret: str) -> list[Any]:
        return [
            html.Span(said),
            html.Code(secret, className="access-secret"),
            html.Span(self._("It is shown only now"), className="desk-label"),
        ]
