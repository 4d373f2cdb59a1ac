"""事件: named ranges of the past. The list to the left; the chosen one with what people know of it, its alarms, its
report and its data to the right. `?incident=3` chooses; `?new=alarms:1,2`, `?from=…&to=…` begin a new one.
"""

import base64
from collections.abc import Callable, Sequence
from typing import Any

import dash
from dash import ALL, Input, Output, State, ctx, dcc, html, no_update

from dashboards import auth, incident_api, incident_record
from dashboards.api import RequestError, moment_of
from dashboards.i18n import Language, Translate, language_of, translator
from dashboards.incident_api import Head, New, propose, source_of
from dashboards.node import Node
from dashboards.pages import desk
from dashboards.report import ink
from dashboards.views import incidents as view
from simulators.scenarios import stories
from twin.access import Right
from twin.clock import HOUR
from twin.errors import RefusedError
from twin.incidents import STATE_LABELS, Draft, EntryKind
from twin.incidents import State as IncidentState
from twin.ledger import incidents as kept
from twin.ledger import truth

PATH = "/incidents"
Names = Callable[[Language], dict[str, str]]


def layout(language: Language, node: Node, names: Names, **asked: str) -> html.Div:
    _ = translator(language)
    chosen = int(asked["incident"]) if asked.get("incident", "").isdecimal() else None
    return desk.page(
        language,
        PATH,
        _("Incidents"),
        [
            dcc.Store(id="incidents-language", data=language),
            dcc.Store(id="incidents-chosen", data=chosen),
            dcc.Location(id="incidents-go", refresh="callback-nav"),
            html.Div(id="incidents-said", className="incidents-said", role="alert"),
            html.Div(
                [
                    html.Aside(
                        [_new(node, language, asked), _filters(_), html.Div(id="incidents-list")],
                        className="desk-panel incidents-side",
                    ),
                    html.Main(id="incidents-detail", className="incidents-detail"),
                ],
                className="incidents-body",
            ),
        ],
    )


def _filters(_: Translate) -> html.Div:
    states = {"": _("All"), **{str(s): _(label) for s, label in STATE_LABELS.items()}}
    return html.Div(
        [
            dcc.Input(
                id="incidents-text", type="search", placeholder=_("Search"), debounce=0.3, className="desk-search"
            ),
            _choices("incidents-state", states, ""),
        ],
        className="incidents-filters",
    )


def _choices(id: Any, options: dict[str, str], value: str) -> dcc.RadioItems:
    return dcc.RadioItems(
        id=id,
        options=[{"label": label, "value": v} for v, label in options.items()],
        value=value,
        inline=True,
        className="desk-choices",
    )


def _levels(_: Translate) -> dict[str, str]:
    return {level.name.lower(): _(label) for level, label in ink.LEVEL_LABELS.items()}


def _input(id: str, label: str, value: str, **more: Any) -> html.Label:
    return html.Label([html.Span(label), dcc.Input(id=id, value=value, className="desk-search", **more)])


# --- a new one ---


def _new(node: Node, language: Language, asked: dict[str, str]) -> Any:
    _ = translator(language)
    if not auth.may(Right.ALARMS):
        return html.P(_("To record incidents, sign in as an operator on duty"), className="desk-none")
    now, source = node.clock.now(), source_of(node)
    alarms = _alarms_of(asked.get("new", ""))
    begin = _time_of(asked.get("from", ""), now - HOUR)
    end = _time_of(asked.get("to", ""), now)
    title = ""
    if alarms:
        try:
            title = propose(source, New(alarms=alarms), language, now)[0].title
        except RefusedError as error:
            return html.P(_(error.reason).format(**error.details), className="incidents-said")
    with source.ledger.reading() as connection:
        runs = truth.runs(connection)
    names = {id: story.name for id, story in stories().items()}
    ways = [
        html.Div(
            [
                _input("incidents-new-title", _("Title"), title, placeholder=_("left empty: it is proposed")),
                html.Div(
                    [
                        _input("incidents-new-begin", _("Start"), view.typed(begin)),
                        _input("incidents-new-end", _("To"), view.typed(end)),
                    ],
                    className="incidents-two",
                    hidden=bool(alarms),
                ),
                _button("incidents-make", _("From these alarms") if alarms else _("From this range")),
            ],
            className="incidents-way",
        ),
        html.Div(
            [
                html.Span(_("A drill that was played"), className="desk-label"),
                dcc.RadioItems(
                    id="incidents-run", options=view.runs(runs, names, language), className="incidents-runs"
                ),
                _button("incidents-make-run", _("From this drill")),
            ],
            className="incidents-way",
            hidden=bool(alarms) or not runs,
        ),
        dcc.Upload(
            html.Span(_("Import a report: choose the file or drop it here")),
            id="incidents-import",
            accept=".html,text/html",
            className="incidents-import",
        ),
    ]
    opened = bool(alarms or "from" in asked)
    return html.Details(
        [dcc.Store(id="incidents-alarms", data=alarms), html.Summary(_("New incident")), *ways],
        open=opened,
        className="incidents-new",
    )


def _alarms_of(text: str) -> list[int]:
    kind, _, ids = text.partition(":")
    return [int(id) for id in ids.split(",") if id.isdecimal()][:1_000] if kind == "alarms" else []


def _time_of(text: str, default: int) -> int:
    try:
        return moment_of("time", text or None, default)
    except RequestError:
        return default


def _button(id: Any, label: str, **more: Any) -> html.Button:
    return html.Button(label, id=id, n_clicks=0, className="access-button", **more)


# --- the list and the chosen one ---


def _card(card: view.Card, chosen: int | None, language: Language) -> html.A:
    here = {"aria-current": "true"} if card.id == chosen else {}
    return html.A(
        [
            html.Div(
                [html.B(card.title), html.Span(card.state, className="incidents-open" if card.open else "desk-label")],
                className="desk-line",
            ),
            html.Div(f"#{card.id} · {card.when}", className="desk-label"),
        ],
        href=f"{PATH}?incident={card.id}&lang={language}",
        className=f"incidents-card edge-{card.level}",
        **here,
    )


def _detail(found: view.Detail, language: Language) -> list[Any]:
    _ = translator(language)
    may = auth.may(Right.ALARMS) and not found.fixed
    return [
        html.Section(_head(found, may, language), className=f"desk-panel incidents-panel edge-{found.level}"),
        html.Div(
            [
                html.Section(_entries(found, may, _), className="desk-panel incidents-panel"),
                html.Section(
                    [
                        html.H2(_("Alarms")),
                        *(_line(a) for a in found.alarms),
                        html.P(_("and {n} more").format(n=found.more_alarms), hidden=not found.more_alarms),
                        html.P(_("No alarm in this range and area"), className="desk-none", hidden=bool(found.alarms)),
                        *([html.H2(_("Ground truth")), *(_line(f) for f in found.facts)] if found.facts else []),
                        html.H2(_("Who took part")),
                        *(_line(p) for p in found.people),
                    ],
                    className="desk-panel incidents-panel",
                ),
            ],
            className="incidents-columns",
        ),
    ]


def _head(found: view.Detail, may: bool, language: Language) -> list[Any]:
    _ = translator(language)
    api = f"/api/v1/incidents/{found.id}"
    locked = {} if may else {"disabled": True}
    links = [
        html.A(_("Replay it"), href=found.replay, className="access-button"),
        html.A("报告（中文）", href=f"{api}/report.html?lang=zh", target="_blank", className="access-button"),
        html.A("Report (English)", href=f"{api}/report.html?lang=en", target="_blank", className="access-button"),
        html.A(_("Save the report"), href=f"{api}/bundle?lang={language}", className="access-button"),
        *(
            html.A(form, href=f"{api}/data.{form.lower()}", className="incidents-data")
            for form in ("CSV", "Parquet", "GeoJSON")
        ),
    ]
    why = _("Imported: it stays as it was made elsewhere. SHA-256 {hash}").format(hash=found.source)
    return [
        html.Div(
            [
                html.Span(f"#{found.id} · {found.about}", className="desk-label"),
                html.Span(found.where, className="desk-label"),
            ],
            className="desk-line",
        ),
        html.P(why, className="desk-why", hidden=not found.fixed),
        _input("incidents-title", _("Title"), found.title, maxLength=200, **locked),
        html.Div(
            [
                _input("incidents-begin", _("Start"), found.begin, **locked),
                _input("incidents-end", _("To"), found.end, **locked),
                html.Div(
                    [
                        html.Span(_("Level"), className="incidents-name"),
                        _choices("incidents-level", _levels(_), found.level),
                    ]
                ),
            ],
            className="incidents-two",
        ),
        html.Label(
            [
                html.Span(_("Causes")),
                dcc.Textarea(id="incidents-causes", value=found.causes, className="incidents-text", **locked),
            ]
        ),
        html.Div(
            [
                *(
                    [
                        _button({"do": "save"}, _("Save")),
                        _button({"do": "turn"}, _("Close the incident") if found.open else _("Reopen")),
                    ]
                    if may
                    else []
                ),
                html.Span(className="incidents-gap"),
                *links,
            ],
            className="incidents-actions",
        ),
    ]


def _entries(found: view.Detail, may: bool, _: Translate) -> list[Any]:
    form = html.Div(
        [
            dcc.Textarea(id="incidents-note", placeholder=_("What you found or did"), className="incidents-text"),
            html.Div(
                [
                    _input("incidents-at", _("Moment"), "", placeholder=found.begin),
                    _button({"do": "note"}, _("Add note")),
                    _button({"do": "bookmark"}, _("Add bookmark")),
                ],
                className="incidents-actions",
            ),
            html.P(_("A note without a moment is of now. A bookmark's map is in the report."), className="desk-label"),
        ]
    )
    return [
        html.H2(_("Notes and bookmarks")),
        *(_line(e) for e in found.entries),
        html.P(_("Nothing has been written yet"), className="desk-none", hidden=bool(found.entries)),
        *([form] if may else []),
    ]


def _line(line: view.Line) -> html.Div:
    return html.Div(
        [
            html.Div([html.Span(line.when), html.Span(line.detail)], className="desk-line desk-label"),
            html.Div(line.what, className=f"incidents-what level-{line.level}" if line.level else "incidents-what"),
        ],
        className=f"desk-card incidents-{line.kind}" if line.kind else "desk-card",
    )


# --- callbacks ---


def register(app: dash.Dash, node: Node, names: Names) -> None:
    """The list follows its filters; the chosen one what is done to it; each act goes through the ledger and is said."""
    source, clock = source_of(node), node.clock

    def tongue(lang: str) -> Language:
        return language_of(lang, node.settings.language)

    def shown(chosen: int | None, language: Language) -> Any:
        _ = translator(language)
        if chosen is None:
            return html.P(_("Choose an incident, or make one"), className="desk-none incidents-empty")
        try:
            with source.ledger.reading() as connection:
                incident = kept.get(connection, chosen)
        except RefusedError as error:
            return html.P(_(error.reason).format(**error.details), className="desk-none incidents-empty")
        look = incident_record.look(source.ledger, node.registry, incident, clock.now())
        return _detail(view.detail(incident, look, node.registry, names(language), language), language)

    @app.callback(  # type: ignore[untyped-decorator]
        Output("incidents-list", "children"),
        Input("incidents-text", "value"),
        Input("incidents-state", "value"),
        Input("incidents-detail", "children"),
        State("incidents-chosen", "data"),
        State("incidents-language", "data"),
    )
    def listed(text: str | None, state: str, _detail: Any, chosen: int | None, lang: str) -> Any:
        language = tongue(lang)
        states = frozenset({IncidentState(state)}) if state else frozenset()
        with source.ledger.reading() as connection:
            found = kept.find(connection, kept.Filter(text=text or "", states=states))
        none = html.P(translator(language)("No incident is like this"), className="desk-none")
        return [_card(c, chosen, language) for c in view.cards(found, language)] or none

    @app.callback(  # type: ignore[untyped-decorator]
        Output("incidents-detail", "children"),
        Input("incidents-chosen", "data"),
        State("incidents-language", "data"),
    )
    def show(chosen: int | None, lang: str) -> Any:
        return shown(chosen, tongue(lang))

    @app.callback(  # type: ignore[untyped-decorator]
        Output("incidents-detail", "children", allow_duplicate=True),
        Output("incidents-said", "children"),
        Input({"do": ALL}, "n_clicks"),
        State("incidents-chosen", "data"),
        State("incidents-language", "data"),
        State("incidents-title", "value"),
        State("incidents-level", "value"),
        State("incidents-begin", "value"),
        State("incidents-end", "value"),
        State("incidents-causes", "value"),
        State("incidents-note", "value"),
        State("incidents-at", "value"),
        prevent_initial_call=True,
    )
    def act(clicks: Sequence[int], chosen: int, lang: str, *typed: str | None) -> tuple[Any, Any]:
        if not any(clicks) or not isinstance(ctx.triggered_id, dict):  # the buttons have just come
            return no_update, no_update
        said = _tried(lambda: _done(ctx.triggered_id["do"], chosen, typed), tongue(lang))
        return (no_update if said else shown(chosen, tongue(lang))), said

    def _done(do: str, chosen: int, typed: Sequence[str | None]) -> str:
        by, now = auth.require(Right.ALARMS).who, clock.now()
        title, level, begin, end, causes, note, at = (text or "" for text in typed)
        with source.ledger.transaction() as connection:
            incident = kept.get(connection, chosen)
            match do:
                case "save":
                    given = {"title": title, "level": level, "causes": causes}
                    # As typed they have lost their milliseconds: what was not touched stays
                    times = {"begin": begin, "end": end}
                    given |= {k: v for k, v in times.items() if v != view.typed(getattr(incident, k))}
                    head = Head.model_validate(given)
                    draft = Draft(**{f: getattr(incident, f) for f in Draft.__struct_fields__})
                    kept.change(connection, chosen, incident_api.changed(draft, head), by=by, at=now)
                case "turn":
                    turn = kept.close if incident.state is IncidentState.OPEN else kept.reopen
                    turn(connection, chosen, by=by, at=now)
                case _:
                    moment = moment_of("at", at, now) if at else None
                    kept.write(connection, chosen, EntryKind(do), note, moment=moment, by=by, at=now)
        return ""

    @app.callback(  # type: ignore[untyped-decorator]
        Output("incidents-go", "href"),
        Output("incidents-said", "children", allow_duplicate=True),
        Input("incidents-make", "n_clicks"),
        Input("incidents-make-run", "n_clicks"),
        Input("incidents-import", "contents"),
        State("incidents-new-title", "value"),
        State("incidents-new-begin", "value"),
        State("incidents-new-end", "value"),
        State("incidents-run", "value"),
        State("incidents-alarms", "data"),
        State("incidents-language", "data"),
        prevent_initial_call=True,
    )
    def make(
        _n: int, _m: int, file: str | None, title: str, begin: str, end: str, run: str, alarms: list[int], lang: str
    ) -> tuple[Any, str]:
        language = tongue(lang)
        made = 0

        def done() -> str:
            nonlocal made
            by, now = auth.require(Right.ALARMS).who, clock.now()
            if ctx.triggered_id == "incidents-import":
                text = base64.b64decode((file or "").partition(",")[2]).decode("utf-8", errors="replace")
                made = incident_api.take_in(source.ledger, text, by=by, now=now).id
                return ""
            if ctx.triggered_id == "incidents-make-run":
                new = New(run=run or "")
            elif alarms:
                new = New(alarms=alarms, title=title or None)
            else:
                new = New(begin=begin, end=end, title=title or None)
            draft, origin = propose(source, new, language, now)
            with source.ledger.transaction() as connection:
                made = kept.create(connection, draft, origin, by=by, at=now).id
            return ""

        said = _tried(done, language)
        return (f"{PATH}?incident={made}&lang={language}" if made and not said else no_update), said


def _tried(act: Callable[[], str], language: Language) -> str:
    """What an act says: nothing when it is done, else why not, in the reader's language."""
    _ = translator(language)
    try:
        return act()
    except RefusedError as error:
        return _("Not done: {reason}").format(reason=_(error.reason).format(**error.details))
    except RequestError as error:
        return _("Not done: {reason}").format(reason=error)
