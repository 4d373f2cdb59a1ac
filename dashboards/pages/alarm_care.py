"""告警 beside the list: silences and maintenance windows, alarm health, and what became of the notices."""

from collections.abc import Sequence
from typing import Any

import dash
from dash import ALL, Input, Output, State, ctx, dcc, html, no_update

from dashboards import auth
from dashboards.i18n import DOMAIN_LABELS, Language, Translate, language_of, translator
from dashboards.node import Node, district_names
from dashboards.pages import alarm_tabs, desk
from dashboards.views import alarm_care as view
from dashboards.views import alarms as alarm_view
from dashboards.views.notices import notices
from twin import channels
from twin.access import Right
from twin.clock import MINUTE, local, parse
from twin.errors import LedgerError, RefusedError
from twin.ledger import Ledger, alarm_health, alarms, outbox, rules, silences
from twin.notices import Reason
from twin.observation import Domain
from twin.silences import PURPOSE_LABELS, Purpose, Scope

REFRESH_MS = 3_000
NEWEST = 100
RANGES = {"day": "24 hours", "week": "7 days", "month": "30 days"}
STATES = {"waiting": "On its way", "sent": "Sent", "dead": "Given up"}


def layout(language: Language, node: Node, tab: str) -> html.Div:
    _ = translator(language)
    body = {"silences": _silences, "health": _health, "notices": _notices}[tab]
    return desk.page(
        language,
        alarm_tabs.PATH,
        _("Alarms"),
        [
            alarm_tabs.bar(language, tab),
            html.Div(
                [
                    body(node, language, _),
                    dcc.Interval(id=f"{tab}-clock", interval=REFRESH_MS if tab != "health" else 60_000),
                    dcc.Store(id=f"{tab}-language", data=language),
                ],
                className="care-frame",
            ),
        ],
    )


def register(app: dash.Dash, node: Node) -> None:
    _register_silences(app, node)
    _register_health(app, node)
    _register_notices(app, node)


def _context(connection: Any, node: Node, language: Language) -> alarm_view.Context:
    districts = district_names(node.settings.layers_folder)(language)
    book = rules.current(connection)
    return alarm_view.Context(node.registry, book, districts, frozenset(), node.clock.now(), translator(language))


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]], none: str) -> Any:
    if not rows:
        return html.P(none, className="desk-none")
    return html.Table(
        [
            html.Thead(html.Tr([html.Th(head) for head in heads])),
            html.Tbody([html.Tr([html.Td(cell) for cell in row]) for row in rows]),
        ]
    )


# --- silences and maintenance windows ---


def _silences(node: Node, language: Language, _: Translate) -> html.Div:
    return html.Div(
        [
            html.Section(html.Div(id="silences-list"), className="desk-panel"),
            html.Section(_new_silence(node, language, _), className="desk-panel care-form"),
            dcc.Store(id="silences-done", data=0),
        ],
        className="care",
    )


def _new_silence(node: Node, language: Language, _: Translate) -> list[Any]:
    assert node.ledger is not None
    with node.ledger.reading() as connection:
        book = rules.current(connection)
    may = auth.may(Right.SILENCES)

    def several(id: str, label: str, options: dict[str, str]) -> html.Label:
        choices = [{"label": text, "value": value} for value, text in options.items()]
        drop = dcc.Dropdown(choices, id=id, multi=True, placeholder=_("All"), disabled=not may, className="alarm-drop")
        return html.Label([label, drop])

    return [
        html.H2(_("Add a silence or a maintenance window")),
        html.P(_("Sign in as operator on duty to add or end one"), className="alarm-why", hidden=may),
        dcc.RadioItems(
            id="silence-purpose",
            options=[{"label": _(text), "value": p.value} for p, text in PURPOSE_LABELS.items()],
            value=Purpose.SILENCE.value,
            inline=True,
            className="desk-choices",
        ),
        html.P(
            _("Alarms are raised and recorded as ever; nobody is told. What is under maintenance does not count."),
            className="desk-label",
        ),
        several("silence-domains", _("Domain"), {d.value: _(DOMAIN_LABELS[d]) for d in Domain}),
        several("silence-districts", _("District"), district_names(node.settings.layers_folder)(language)),
        several("silence-rules", _("Rule"), {r.id: _(r.name) for r in book.rules}),
        several(
            "silence-gateways", _("Gateway"), {g: g for g in sorted({d.gateway for d in node.registry if d.gateway})}
        ),
        several("silence-subjects", _("Device"), {d.id: f"{d.name} · {d.id}" for d in node.registry}),
        html.Label(
            [
                _("Begins (empty: now)"),
                dcc.Input(id="silence-begins", placeholder="2026-11-21 22:00", disabled=not may),
            ]
        ),
        html.Label(
            [_("For so many hours"), dcc.Input(id="silence-hours", type="number", value=2, min=0.1, disabled=not may)]
        ),
        html.Label([_("Reason"), dcc.Input(id="silence-reason", disabled=not may)]),
        html.Button(_("Add"), id="silence-add", className="alarm-main", disabled=not may, n_clicks=0),
        html.Div(id="silence-said", className="alarm-said", role="alert"),
    ]


def _register_silences(app: dash.Dash, node: Node) -> None:
    ledger = _ledger(node)

    @app.callback(  # type: ignore[untyped-decorator]
        Output("silences-list", "children"),
        Input("silences-clock", "n_intervals"),
        Input("silences-done", "data"),
        State("silences-language", "data"),
    )
    def refresh(_n: int | None, _done: int, lang: str) -> Any:
        language = language_of(lang, node.settings.language)
        _ = translator(language)
        try:
            with ledger.reading() as connection:
                with_ = _context(connection, node, language)
                found = [
                    *silences.in_force(connection, with_.now),
                    *silences.coming(connection, with_.now),
                ]
                out = alarms.out(connection)
        except LedgerError:
            return html.P(_("Alarm ledger away"), className="alarm-said")
        rows = [view.silence(s, with_) for s in found]
        may = auth.may(Right.SILENCES)

        def button(kind: str, key: Any, label: str) -> html.Button:
            return html.Button(
                label, id={"care-end": kind, "key": key}, className="alarm-button", disabled=not may, n_clicks=0
            )

        return [
            html.H2(_("Silences and maintenance windows")),
            _table(
                [_("Purpose"), _("What it covers"), _("When"), _("By"), _("Reason"), ""],
                [
                    [
                        r.purpose,
                        r.scope,
                        [r.span, html.Div(_("to come"), className="desk-label") if r.coming else ""],
                        r.by,
                        r.reason,
                        button("silence", r.id, _("End now")),
                    ]
                    for r in rows
                ],
                _("None is in force or to come"),
            ),
            html.H2(_("Out of service")),
            _table(
                [_("Device"), _("Since"), _("By"), _("Reason"), ""],
                [
                    [f"{name} · {subject}", since, by, why, button("service", subject, _("Back in service"))]
                    for subject, name, since, by, why in view.out_rows(out, with_)
                ],
                _("Nothing is out of service"),
            ),
        ]

    @app.callback(  # type: ignore[untyped-decorator]
        Output("silence-said", "children"),
        Output("silences-done", "data"),
        Input("silence-add", "n_clicks"),
        Input({"care-end": ALL, "key": ALL}, "n_clicks"),
        *(State(f"silence-{part}", "value") for part in ("domains", "districts", "rules", "gateways", "subjects")),
        State("silence-purpose", "value"),
        State("silence-begins", "value"),
        State("silence-hours", "value"),
        State("silence-reason", "value"),
        State("silences-done", "data"),
        State("silences-language", "data"),
        prevent_initial_call=True,
    )
    def act(
        add: int,
        ends: list[int | None],
        domains: list[str] | None,
        districts: list[str] | None,
        named: list[str] | None,
        gateways: list[str] | None,
        subjects: list[str] | None,
        purpose: str,
        begins: str | None,
        hours: float | None,
        reason: str | None,
        done: int,
        lang: str,
    ) -> tuple[Any, Any]:
        _ = translator(language_of(lang, node.settings.language))
        if not any((add, *ends)):
            return no_update, no_update
        now = node.clock.now()
        scope = Scope(
            rules=tuple(named or ()),
            subjects=tuple(subjects or ()),
            domains=tuple(Domain(d) for d in domains or ()),
            districts=tuple(districts or ()),
            gateways=tuple(gateways or ()),
        )
        try:
            who = auth.require(Right.SILENCES).who
            begin = _begin(begins, now)
            with ledger.transaction() as connection:
                match ctx.triggered_id:
                    case {"care-end": "silence", "key": int() as id}:
                        silences.end(connection, id, by=who, at=now)
                    case {"care-end": "service", "key": subject}:
                        alarms.in_service(connection, subject, by=who, at=now)
                    case _:
                        end = begin + round((hours or 0) * 60) * MINUTE
                        silences.add(
                            connection, Purpose(purpose), scope, begin, end, by=who, at=now, reason=reason or ""
                        )
        except ValueError:
            return _("Not done: {reason}").format(reason=_("the time is not like 2026-11-21 22:00")), no_update
        except RefusedError as error:
            return _("Not done: {reason}").format(reason=_(error.reason).format(**error.details)), no_update
        except LedgerError:
            return _("Not done: {reason}").format(reason=_("Alarm ledger away")), no_update
        return "", done + 1


def _begin(text: str | None, now: int) -> int:
    """Local time as it is typed. Raises ValueError."""
    return parse(f"{text.strip().replace(' ', 'T')}+08:00") if text and text.strip() else now


# --- health ---


def _health(node: Node, language: Language, _: Translate) -> html.Div:
    return html.Div(
        [
            html.Section(
                [
                    dcc.RadioItems(
                        id="health-range",
                        options=[{"label": _(text), "value": key} for key, text in RANGES.items()],
                        value="day",
                        inline=True,
                        className="desk-choices",
                    ),
                    html.Div(id="health-measures"),
                ],
                className="desk-panel",
            ),
            html.Section(
                [
                    html.H2(_("Alarms within 10 minutes")),
                    html.Div(id="health-chart", className="chart care-chart", hidden=True),
                    html.Div(id="health-tables"),
                    dcc.Store(id="health-columns"),
                    html.Div(id="health-drawn", hidden=True),
                ],
                className="desk-panel",
            ),
        ],
        className="care care-wide",
    )


def _register_health(app: dash.Dash, node: Node) -> None:
    ledger = _ledger(node)

    @app.callback(  # type: ignore[untyped-decorator]
        Output("health-measures", "children"),
        Output("health-tables", "children"),
        Output("health-columns", "data"),
        Input("health-clock", "n_intervals"),
        Input("health-range", "value"),
        State("health-language", "data"),
    )
    def refresh(_n: int | None, which: str, lang: str) -> tuple[Any, Any, Any]:
        language = language_of(lang, node.settings.language)
        _ = translator(language)
        begin, end = view.span_of(which, node.clock.now())
        try:
            with ledger.reading() as connection:
                with_ = _context(connection, node, language)
                made = alarm_health.of(connection, node.registry, begin, end, node.settings.alarms)
        except LedgerError:
            return html.P(_("Alarm ledger away"), className="alarm-said"), no_update, no_update
        measures = _table(
            [_("Measure"), _("Value"), _("Target")],
            [
                [m.name, html.Span(m.value, className="care-ok" if m.within else "care-off"), m.target]
                for m in view.measures(made, _)
            ],
            "",
        )
        levels = [
            html.Div([html.Span(name, className=f"level-{tone}"), html.B(n)], className="desk-line")
            for tone, name, n in view.levels(made, _)
        ]
        actors = [_("Rule"), _("Place"), _("Times"), _("Share")]
        tables = [
            html.H2(_("The most frequent")),
            _table(actors, [view.actor(a, with_) for a in made.bad_actors], _("No alarms")),
            html.H2(_("Chattering")),
            _table(actors, [view.actor(a, with_) for a in made.chattering], _("None")),
            html.H2(_("Floods")),
            _table([_("When"), _("Alarms")], view.floods(made, with_.now), _("None")),
            html.H2(_("Active for too long")),
            _table(
                [_("Rule"), _("Place"), _("Since")],
                [
                    [with_.name(a.rule), with_.place(a.subject), alarm_view.moment(a.opened, with_.now)]
                    for a in made.stale[:NEWEST]
                ],
                _("None"),
            ),
        ]
        return [measures, html.H2(_("By level")), *levels], tables, view.columns(made, _)

    app.clientside_callback(
        dash.ClientsideFunction("gaoxin", "draw"),
        Output("health-drawn", "children"),
        Input("health-columns", "data"),
        State("health-chart", "id"),
    )


# --- notices ---


def _notices(node: Node, language: Language, _: Translate) -> html.Div:
    return html.Div(
        [
            html.Section(html.Div(id="notices-channels"), className="desk-panel"),
            html.Section(html.Div(id="notices-list"), className="desk-panel"),
        ],
        className="care care-wide",
    )


def _register_notices(app: dash.Dash, node: Node) -> None:
    ledger = _ledger(node)
    known, addresses = channels.channels(node.settings.notices), channels.addresses(node.settings.notices)

    @app.callback(  # type: ignore[untyped-decorator]
        Output("notices-channels", "children"),
        Output("notices-list", "children"),
        Input("notices-clock", "n_intervals"),
        State("notices-language", "data"),
    )
    def refresh(_n: int | None, lang: str) -> tuple[Any, Any]:
        _ = translator(language_of(lang, node.settings.language))
        now = node.clock.now()
        try:
            with ledger.reading() as connection:
                counts = outbox.counts(connection)
                newest = outbox.notices(connection, limit=NEWEST)
        except LedgerError:
            return html.P(_("Alarm ledger away"), className="alarm-said"), no_update
        found = notices(known, addresses, counts, _)
        rows = [
            [
                [html.B(r.name), html.Div(r.address, className="desk-label")],
                r.least,
                r.quiet or "—",
                _("yes") if r.escalation else "—",
                r.waiting,
                r.sent,
                html.Span(r.dead, className="care-off" if r.dead else ""),
            ]
            for r in found.rows
        ]
        heads = [_("Channel"), _("From"), _("Quiet"), _("Escalation"), _("On its way"), _("Sent"), _("Given up")]
        said = html.P(found.said, className="alarm-said" if found.trouble else "")
        table = _table(heads, rows, _("Channels are named in the environment: GAOXIN_NOTICES__CHANNELS"))
        listed = _table(
            [_("When"), _("Channel"), _("State"), _("Notice")],
            [
                [
                    alarm_view.moment(n.written, now),
                    n.channel,
                    _fate(n, now, _),
                    [
                        html.B(n.title),
                        html.Div(_(Reason[n.reason.upper()].value), className="desk-label"),
                        html.Div(n.error, className="desk-why") if n.error else "",
                    ],
                ]
                for n in newest
            ],
            _("Nothing was ever to be sent"),
        )
        return [html.H2(_("Channels")), said, table], [html.H2(_("The newest notices")), listed]


def _fate(notice: outbox.Notice, now: int, _: Translate) -> Any:
    text = _(STATES[notice.state.value])
    if notice.state is outbox.State.WAITING and notice.tries:
        again = f"{local(max(notice.due, now)):%H:%M:%S}"
        text = _("tried {n} times, again at {time}").format(n=notice.tries, time=again)
    return html.Span(text, className={"dead": "care-off", "sent": "care-ok"}.get(notice.state.value, ""))


def _ledger(node: Node) -> Ledger:
    assert node.ledger is not None
    return node.ledger
