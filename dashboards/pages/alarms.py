"""告警: the list of those who are on duty, one alarm with its story, and what can be done about it.

The list is refreshed under the hands of its reader: rows keep their identity, so that what is selected and where it is
scrolled to stay; a refresh that brings nothing new sends nothing. The parts that are written into are never replaced.
"""

import hashlib
from typing import Any

import dash
import dash_ag_grid as dag
import msgspec
from dash import ALL, Input, Output, State, ctx, dcc, html, no_update

from dashboards import auth
from dashboards.i18n import DOMAIN_LABELS, Language, Translate, language_of, translator
from dashboards.node import Node, district_names
from dashboards.pages import alarm_tabs, desk
from dashboards.views import alarms as view
from twin.access import RIGHTS, Right
from twin.clock import DAY, MINUTE, local
from twin.episodes import CAUSE_LABELS, OPEN, Alarm, Cause, bundles, escalation, overdue, subjects
from twin.episodes import State as Standing
from twin.errors import LedgerError, RefusedError, StoreError
from twin.ledger import Ledger, alarms, rules, users
from twin.observation import Domain
from twin.registry import Registry
from twin.standards import Level

REFRESH_MS = 2_000
SHOWN = 500
PAST = 7 * DAY
POINTS = 300
CHART_EVERY = 15  # refreshes: the curve's own values come once a minute or so

WHICH = {
    "work": "To work on",
    "waiting": "Not acknowledged",
    "returned": "Cleared, not acknowledged",
    "hidden": "Shelved or out of service",
    "past": "Past 7 days",
}
SHELVES = {"30": "30 min", "120": "2 h", "480": "8 h", "morning": "Until 08:00", "own": "Hours of my own"}


def layout(language: Language, node: Node, alarm: str | None = None) -> html.Div:
    _ = translator(language)
    chosen = int(alarm) if alarm and alarm.isascii() and alarm.isdigit() else None
    return desk.page(
        language,
        alarm_tabs.PATH,
        _("Alarms"),
        [
            alarm_tabs.bar(language, "list"),
            html.Div(
                [
                    html.Section([_filters(node, language, _), _grid(_)], className="desk-panel desk-main"),
                    html.Aside(
                        [
                            html.Div(id="alarm-detail", className="alarm-detail"),
                            html.Div(id="alarm-chart", className="alarm-chart chart", hidden=True),
                            _work(node.ledger, _),
                            html.Div(id="alarm-story", className="alarm-story"),
                        ],
                        className="desk-panel alarm-side",
                    ),
                ],
                className="desk-body alarm-body",
            ),
            dcc.Interval(id="alarms-clock", interval=REFRESH_MS),
            dcc.Store(id="alarms-language", data=language),
            dcc.Store(id="alarm-chosen", data=chosen),
            dcc.Store(id="alarm-curve"),
            dcc.Store(id="alarms-done", data=0),
            dcc.Store(id="alarms-digest"),
            dcc.Store(id="alarms-bundle"),
            html.Div(id="alarm-drawn", hidden=True),
        ],
        status=[html.Span(id="alarms-at", className="desk-at", role="status")],
    )


def _filters(node: Node, language: Language, _: Translate) -> html.Div:
    def several(id: str, label: str, options: dict[str, str]) -> dcc.Dropdown:
        choices = [{"label": text, "value": value} for value, text in options.items()]
        return dcc.Dropdown(choices, id=id, placeholder=label, multi=True, className="alarm-drop")

    assert node.ledger is not None
    with node.ledger.reading() as connection:
        named = {r.id: _(r.name) for r in rules.current(connection).rules}
    levels = {level.name.lower(): view.said(level, _) for level in reversed(Level) if level}
    return html.Div(
        [
            html.Div(
                [
                    _radio("alarms-which", {k: _(text) for k, text in WHICH.items()}, "work"),
                    html.Div(
                        [
                            html.Span(id="alarms-counts", className="alarm-counts"),
                            html.Button(_("Acknowledge selected"), id="alarms-ack", className="alarm-main", n_clicks=0),
                        ],
                        className="alarm-tools",
                    ),
                ],
                className="desk-filters",
            ),
            html.Div(
                [
                    several("alarms-levels", _("Level"), levels),
                    several("alarms-domains", _("Domain"), {d.value: _(DOMAIN_LABELS[d]) for d in Domain}),
                    several("alarms-districts", _("District"), district_names(node.settings.layers_folder)(language)),
                    several("alarms-rules", _("Rule"), named),
                    dcc.Input(
                        id="alarms-search",
                        type="search",
                        placeholder=_("Search"),
                        debounce=0.3,
                        className="desk-search alarm-search",
                    ),
                ],
                className="alarm-filters",
            ),
            html.Div(
                [
                    _radio(
                        "alarms-cause",
                        {"none": _("Not grouped")} | {c.value: _(CAUSE_LABELS[c]) for c in Cause},
                        "none",
                    ),
                    html.Div(id="alarms-chips", className="alarm-chips"),
                ],
                className="alarm-causes",
            ),
        ]
    )


def _radio(id: str, options: dict[str, str], value: str) -> dcc.RadioItems:
    choices = [{"label": text, "value": key} for key, text in options.items()]
    return dcc.RadioItems(id=id, options=choices, value=value, inline=True, className="desk-choices")


def _grid(_: Translate) -> dag.AgGrid:
    def column(field: str, label: str, width: int, **more: Any) -> dict[str, Any]:
        return {"field": field, "headerName": label, "width": width, **more}

    tones = {f"level-{t}": f"params.data.tone == '{t}'" for t in ("blue", "yellow", "orange", "red")}
    return dag.AgGrid(
        id="alarms-grid",
        className="desk-grid",
        columnDefs=[
            column("levelText", _("Level"), 100, cellClassRules=tones, cellClass="alarm-level"),
            column("rule", _("Alarm"), 190, tooltipField="rule", flex=2, minWidth=150),
            column("place", _("Place"), 180, tooltipField="place", flex=2, minWidth=150),
            column("subject", _("Device"), 92, tooltipField="subject"),
            column("value", _("Value"), 120, type="rightAligned"),
            column("since", _("Since"), 112, tooltipField="lasted"),
            column("lasted", _("Lasts"), 118),
            column(
                "state",
                _("State"),
                170,
                cellClassRules={"alarm-waits": "params.data.waits", "alarm-late": "params.data.late"},
                tooltipField="state",
            ),
            column("assigned", _("Assigned to"), 110),
            column("district", _("District"), 130),
        ],
        defaultColDef={"sortable": True, "resizable": True},
        getRowId="params.data.id",
        rowClassRules={"alarm-row-waits": "params.data.waits"},
        dashGridOptions={
            "theme": desk.GRID_THEME,
            "animateRows": False,
            "rowSelection": {"mode": "multiRow", "headerCheckbox": True, "enableClickSelection": False},
            "localeText": {"noRowsToShow": _("No alarms")},
            "tooltipShowDelay": 300,
        },
    )


def _work(ledger: Ledger | None, _: Translate) -> html.Div:
    """What can be done about the chosen alarm. Of who may not, it says so and does nothing."""
    may = auth.may(Right.ALARMS)
    session = auth.caller()
    people: list[str] = []
    if may and ledger is not None:
        with ledger.reading() as connection:
            people = [u.name for u in users.users(connection) if u.disabled is None and Right.ALARMS in RIGHTS[u.role]]

    def button(do: str, label: str, main: bool = False) -> html.Button:
        return html.Button(
            label,
            id={"alarm-do": do},
            n_clicks=0,
            disabled=True,
            className="alarm-main" if main else "alarm-button",
        )

    def choice(id: str, options: Any, value: Any) -> dcc.Dropdown:
        return dcc.Dropdown(options, value, id=id, clearable=False, searchable=False, className="alarm-drop")

    why = _("Sign in as operator on duty to work on alarms")
    shelves = [{"label": _(text), "value": key} for key, text in SHELVES.items()]
    return html.Div(
        [
            html.P(why, className="alarm-why", hidden=may),
            dcc.Textarea(
                id="alarm-text",
                placeholder=_("Comment, or the reason for shelving and taking out of service"),
                disabled=not may,
                className="alarm-text",
            ),
            html.Div(
                [button("ack", _("Acknowledge"), True), button("comment", _("Add comment"))], className="alarm-actions"
            ),
            html.Div(
                [
                    choice("alarm-assign", people, session.who if session and session.who in people else None),
                    button("assign", _("Assign")),
                    button("unassign", _("Nobody's")),
                ],
                className="alarm-actions",
            ),
            html.Div(
                [
                    choice("alarm-shelf", shelves, "30"),
                    html.Div(
                        dcc.Input(id="alarm-hours", type="number", value=4, min=0.1, max=168),
                        id="alarm-own",
                        hidden=True,
                        className="alarm-hours",
                    ),
                    button("shelve", _("Shelve")),
                    button("unshelve", _("Take off the shelf")),
                ],
                className="alarm-actions",
            ),
            html.Div(
                [button("out", _("Device out of service")), button("in", _("Back in service"))],
                className="alarm-actions",
            ),
            html.Div(id="alarm-said", className="alarm-said", role="alert"),
        ],
        id="alarm-work",
        className="alarm-work",
        hidden=True,
    )


def register(app: dash.Dash, node: Node) -> None:
    """The page's callbacks: the list, the chosen alarm, its curve, and what is done."""
    assert node.ledger is not None
    ledger: Ledger = node.ledger
    names_of = district_names(node.settings.layers_folder)

    @app.callback(  # type: ignore[untyped-decorator]
        Output("alarms-grid", "rowData"),
        Output("alarms-chips", "children"),
        Output("alarms-counts", "children"),
        Output("alarms-at", "children"),
        Output("alarms-digest", "data"),
        Output("alarms-ack", "disabled"),
        Input("alarms-clock", "n_intervals"),
        Input("alarms-done", "data"),
        Input("alarms-which", "value"),
        Input("alarms-levels", "value"),
        Input("alarms-domains", "value"),
        Input("alarms-districts", "value"),
        Input("alarms-rules", "value"),
        Input("alarms-search", "value"),
        Input("alarms-cause", "value"),
        Input("alarms-bundle", "data"),
        Input("alarms-grid", "selectedRows"),
        State("alarms-digest", "data"),
        State("alarms-language", "data"),
    )
    def refresh(
        _n: int | None,
        _done: int,
        which: str,
        levels: list[str] | None,
        domains: list[str] | None,
        districts: list[str] | None,
        named: list[str] | None,
        search: str | None,
        cause: str,
        bundle: str | None,
        selected: list[Any] | None,
        digest: str | None,
        lang: str,
    ) -> tuple[Any, ...]:
        language = language_of(lang, node.settings.language)
        _ = translator(language)
        now = node.clock.now()
        wanted = asked(which, levels, domains, districts, named, node.registry, now)
        try:
            with ledger.reading() as connection:
                with_ = _context(connection, node, names_of(language), now, _)
                found = alarms.find(connection, wanted, now=now, limit=SHOWN)
                total = alarms.count(connection, wanted, now=now)
        except LedgerError:
            return (no_update, no_update, no_update, _("Alarm ledger away"), no_update, True)
        chips: list[Any] = []
        if cause != "none":
            made = bundles(found, Cause(cause), node.registry)
            chips = [_chip(view.chip(b, Cause(cause), with_), b.key == bundle) for b in made]
            if any(b.key == bundle for b in made):
                found = next(list(b.alarms) for b in made if b.key == bundle)
        rows = [r for r in (view.row(a, with_) for a in found) if view.matches(r, search or "")]
        fresh = hashlib.sha256(msgspec.json.encode(rows)).hexdigest()
        said = _("{n} alarms").format(n=total) if total <= SHOWN else _("the first {n} of {total}")
        acks = not auth.may(Right.ALARMS) or not selected
        return (
            no_update if fresh == digest else rows,
            chips,
            said.format(n=SHOWN, total=total),
            "",
            fresh,
            acks,
        )

    @app.callback(  # type: ignore[untyped-decorator]
        Output("alarms-bundle", "data"),
        Input({"alarm-chip": ALL}, "n_clicks"),
        State("alarms-bundle", "data"),
        prevent_initial_call=True,
    )
    def pick(clicks: list[int | None], bundle: str | None) -> Any:
        if not any(clicks) or not isinstance(ctx.triggered_id, dict):
            return no_update
        key = ctx.triggered_id["alarm-chip"]
        return None if key == bundle else key

    @app.callback(  # type: ignore[untyped-decorator]
        Output("alarm-chosen", "data"),
        Input("alarms-grid", "cellClicked"),
        prevent_initial_call=True,
    )
    def choose(cell: dict[str, Any] | None) -> Any:
        return int(cell["rowId"]) if cell and cell.get("rowId") else no_update

    @app.callback(  # type: ignore[untyped-decorator]
        Output("alarm-detail", "children"),
        Output("alarm-story", "children"),
        Output("alarm-work", "hidden"),
        Output({"alarm-do": ALL}, "disabled"),
        Output("alarm-curve", "data"),
        Input("alarms-clock", "n_intervals"),
        Input("alarms-done", "data"),
        Input("alarm-chosen", "data"),
        State("alarms-language", "data"),
    )
    def show(n: int | None, _done: int, chosen: int | None, lang: str) -> tuple[Any, ...]:
        language = language_of(lang, node.settings.language)
        _ = translator(language)
        now = node.clock.now()
        off = [True] * len(ctx.outputs_list[3])
        if chosen is None:
            return html.P(_("Choose an alarm on the left"), className="desk-none"), [], True, off, None
        try:
            with ledger.reading() as connection:
                with_ = _context(connection, node, names_of(language), now, _)
                alarm = alarms.get(connection, chosen)
                said = alarms.transitions(connection, alarm.opened, now + DAY, alarm=chosen)
                notes = alarms.notes(connection, chosen)
        except RefusedError as error:
            return html.P(_(error.reason).format(**error.details), className="desk-none"), [], True, off, None
        except LedgerError:
            return no_update, no_update, no_update, off, no_update
        found = view.detail(alarm, said, notes, with_, language)
        possible = _possible(alarm, now) if auth.may(Right.ALARMS) else frozenset()
        disabled = [output["id"]["alarm-do"] not in possible for output in ctx.outputs_list[3]]
        again = ctx.triggered_id == "alarm-chosen" or not n or n % CHART_EVERY == 0
        curve = _curve(alarm, with_, node) if again else no_update
        return _detail(found), _story(found), False, disabled, curve

    @app.callback(  # type: ignore[untyped-decorator]
        Output("alarm-own", "hidden"), Input("alarm-shelf", "value"), prevent_initial_call=True
    )
    def own(shelf: str) -> bool:
        return shelf != "own"

    app.clientside_callback(
        dash.ClientsideFunction("gaoxin", "draw"),
        Output("alarm-drawn", "children"),
        Input("alarm-curve", "data"),
        State("alarm-chart", "id"),
    )

    @app.callback(  # type: ignore[untyped-decorator]
        Output("alarm-said", "children"),
        Output("alarm-text", "value"),
        Output("alarms-done", "data"),
        Input({"alarm-do": ALL}, "n_clicks"),
        Input("alarms-ack", "n_clicks"),
        State("alarm-chosen", "data"),
        State("alarms-grid", "selectedRows"),
        State("alarm-text", "value"),
        State("alarm-assign", "value"),
        State("alarm-shelf", "value"),
        State("alarm-hours", "value"),
        State("alarms-done", "data"),
        State("alarms-language", "data"),
        prevent_initial_call=True,
    )
    def act(
        clicks: list[int],
        many: int,
        chosen: int | None,
        selected: list[dict[str, Any]] | None,
        text: str | None,
        person: str | None,
        shelf: str,
        hours: float | None,
        done: int,
        lang: str,
    ) -> tuple[Any, ...]:
        _ = translator(language_of(lang, node.settings.language))
        if not any((*clicks, many)):
            return no_update, no_update, no_update
        now, said = node.clock.now(), text or ""
        try:
            who = auth.require(Right.ALARMS).who
            with ledger.transaction() as connection:
                if ctx.triggered_id == "alarms-ack":
                    ids = [int(row["id"]) for row in selected or ()]
                    alarms.acknowledge_all(connection, ids, by=who, at=now, text=said)
                elif chosen is not None and isinstance(ctx.triggered_id, dict):
                    do = ctx.triggered_id["alarm-do"]
                    until = _until(shelf, hours, now)
                    _do(connection, do, chosen, who=who, now=now, text=said, person=person, until=until)
        except RefusedError as error:
            return _("Not done: {reason}").format(reason=_(error.reason).format(**error.details)), no_update, no_update
        except LedgerError:
            return _("Not done: {reason}").format(reason=_("Alarm ledger away")), no_update, no_update
        return "", "", done + 1


def asked(
    which: str,
    levels: list[str] | None,
    domains: list[str] | None,
    districts: list[str] | None,
    named: list[str] | None,
    registry: Registry,
    now: int,
) -> alarms.Filter:
    """What the filters of the page ask of the ledger."""
    states, hidden, begin = {
        "waiting": (frozenset({Standing.UNACKNOWLEDGED}), False, None),
        "returned": (frozenset({Standing.RETURNED}), False, None),
        "hidden": (OPEN, True, None),
        "past": (frozenset({Standing.RETURNED, Standing.CLOSED}), None, now - PAST),
    }.get(which, (OPEN | {Standing.RETURNED}, False, None))
    on: frozenset[str] | None = None
    if domains:
        on = frozenset().union(*(subjects(registry, domain=Domain(d)) for d in domains))
    if districts:
        there: frozenset[str] = frozenset().union(*(subjects(registry, district=d) for d in districts))
        on = there if on is None else on & there
    return alarms.Filter(
        states=states,
        levels=frozenset(Level[name.upper()] for name in levels or ()),
        rules=frozenset(named or ()),
        subjects=on,
        hidden=hidden,
        begin=begin,
    )


def _context(connection: Any, node: Node, districts: dict[str, str], now: int, _: Translate) -> view.Context:
    waiting = alarms.Filter(states=frozenset({Standing.UNACKNOWLEDGED}), hidden=False)
    late = overdue(alarms.find(connection, waiting, now=now, limit=None), escalation(node.settings.alarms), now)
    return view.Context(node.registry, rules.current(connection), districts, frozenset(a.id for a in late), now, _)


def _possible(alarm: Alarm, now: int) -> frozenset[str]:
    """What can be done about it as it stands."""
    found = {"comment", "assign"}
    if alarm.acknowledged_at is None:
        found.add("ack")
    if alarm.assigned_to is not None:
        found.add("unassign")
    found.add("unshelve" if alarm.shelved_until and alarm.shelved_until > now else "shelve")
    found.add("in" if alarm.out_of_service else "out")
    return frozenset(found)


def _do(
    connection: Any, do: str, chosen: int, *, who: str, now: int, text: str, person: str | None, until: int
) -> None:
    match do:
        case "ack":
            alarms.acknowledge(connection, chosen, by=who, at=now, text=text)
        case "comment":
            alarms.comment(connection, chosen, text, by=who, at=now)
        case "assign":
            alarms.assign(connection, chosen, person, by=who, at=now)
        case "unassign":
            alarms.assign(connection, chosen, None, by=who, at=now)
        case "shelve":
            alarms.shelve(connection, chosen, until, by=who, at=now, reason=text)
        case "unshelve":
            alarms.unshelve(connection, chosen, by=who, at=now)
        case "out":
            who = auth.require(Right.SILENCES).who
            alarms.out_of_service(connection, alarms.get(connection, chosen).subject, by=who, at=now, reason=text)
        case "in":
            who = auth.require(Right.SILENCES).who
            alarms.in_service(connection, alarms.get(connection, chosen).subject, by=who, at=now)


def _until(shelf: str, hours: float | None, now: int) -> int:
    if shelf == "morning":
        moment = local(now)
        minutes = (8 * 60 - moment.hour * 60 - moment.minute) % (24 * 60) or 24 * 60
        return now - now % MINUTE + minutes * MINUTE
    return now + round((hours or 0) * 60 if shelf == "own" else int(shelf)) * MINUTE


def _curve(alarm: Alarm, with_: view.Context, node: Node) -> Any:
    wanted = view.curve(alarm, with_)
    if wanted is None:
        return None
    try:
        found = node.store.series(wanted.device, wanted.metric, wanted.begin, wanted.end, points=POINTS)
    except StoreError:
        return None
    return view.chart(alarm, wanted, found, with_)


def _chip(chip: dict[str, Any], here: bool) -> html.Button:
    return html.Button(
        [
            html.Span(chip["level"], className=f"level-{chip['tone']}"),
            html.Span(chip["name"]),
            html.B(chip["count"]),
            html.Span(f"{chip['waiting']}!", className="alarm-waits") if chip["waiting"] else None,
        ],
        id={"alarm-chip": chip["key"]},
        n_clicks=0,
        className="alarm-chip",
        **{"aria-pressed": "true" if here else "false"},
    )


def _detail(found: view.Detail) -> list[Any]:
    return [
        html.Div(
            [
                html.Span(found.level, className=f"alarm-badge level-{found.tone}"),
                html.H2(found.rule),
                html.Span(found.state, className="alarm-late" if found.late else "desk-label"),
            ],
            className="alarm-title",
        ),
        html.Div(found.place, className="alarm-place"),
        html.P(found.message, className="alarm-message") if found.message else None,
        html.P(found.runbook, className="alarm-runbook") if found.runbook else None,
        html.Dl(
            [html.Div([html.Dt(label), html.Dd(text)]) for label, text in found.facts],
            className="alarm-facts",
        ),
        html.Nav([html.A(text, href=href) for text, href in found.links], className="alarm-links"),
    ]


def _story(found: view.Detail) -> list[Any]:
    return [
        html.Div(
            [html.Time(m.when), html.Span(m.what, className=f"story-what level-{m.tone}"), html.Span(m.text)],
            className=f"story-line story-{m.tone}",
        )
        for m in found.story
    ]
