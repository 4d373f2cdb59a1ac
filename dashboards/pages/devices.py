"""设备: every device and how it reports, the ingest workers, and the quarantine. Refreshed every few seconds."""

from typing import Any

import dash
import dash_ag_grid as dag
from dash import Input, Output, State, dcc, html

from dashboards.i18n import Language, Translate, language_of, translator
from dashboards.node import Node
from dashboards.pages import desk
from dashboards.views import devices as view

PATH = "/devices"
REFRESH_MS = 5_000
SEARCHED = ("id", "name", "kind", "domain", "district", "gateway", "state")


def layout(language: Language) -> html.Div:
    _ = translator(language)
    return desk.page(
        language,
        PATH,
        _("Devices and data intake"),
        [
            dcc.Interval(id="devices-clock", interval=REFRESH_MS),
            dcc.Store(id="devices-language", data=language),
            html.Div(id="devices-totals", className="desk-totals"),
            html.Div(
                [
                    html.Section([_filters(_), _grid(_)], className="desk-panel desk-main"),
                    html.Aside(
                        [
                            _panel(_("Intake"), "devices-workers"),
                            _panel(_("Quarantine"), "devices-quarantine"),
                            _panel(_("Gateways"), "devices-gateways"),
                        ],
                        className="desk-side",
                    ),
                ],
                className="desk-body",
            ),
        ],
        status=[html.Span(id="devices-at", className="desk-at", role="status")],
    )


def register(app: dash.Dash, node: Node, districts: Any) -> None:
    """The page's one callback. `districts(language)` gives the names of the districts by id."""

    @app.callback(  # type: ignore[untyped-decorator]
        Output("devices-grid", "rowData"),
        Output("devices-totals", "children"),
        Output("devices-workers", "children"),
        Output("devices-gateways", "children"),
        Output("devices-quarantine", "children"),
        Output("devices-at", "children"),
        Input("devices-clock", "n_intervals"),
        Input("devices-which", "value"),
        Input("devices-search", "value"),
        State("devices-language", "data"),
    )
    def refresh(_n: int | None, which: str, search: str | None, lang: str) -> tuple[Any, ...]:
        language = language_of(lang, node.settings.language)
        _ = translator(language)
        now = node.clock.now()
        workers = list(node.relay.workers.values())
        found = view.page(node.registry, node.relay.health, workers, now, language, districts(language))
        rows = [r for r in found.rows if _wanted(r, which, search or "")]
        return (
            rows,
            [_total(*t) for t in found.totals],
            [_worker(w, _) for w in found.workers] or html.P(_("No ingest worker has spoken"), className="desk-none"),
            [_gateway(*g) for g in found.gateways] or html.P(_("No device names a gateway"), className="desk-none"),
            _quarantine(found, _),
            _("No report from the engine") if found.at is None else "",
        )


def _wanted(row: dict[str, Any], which: str, search: str) -> bool:
    if search and not any(search.lower() in str(row[k]).lower() for k in SEARCHED):
        return False
    if which == "all":
        return True
    if which == "silent":
        return bool(row["tone"] != "good")
    if which == "clock":
        return bool(row.get("clock"))
    return bool(row["trouble"])


def _filters(_: Translate) -> html.Div:
    choices = {
        "all": _("All devices"),
        "trouble": _("With trouble"),
        "silent": _("Not reporting"),
        "clock": _("Clock off"),
    }
    return html.Div(
        [
            dcc.RadioItems(
                id="devices-which",
                options=[{"label": label, "value": value} for value, label in choices.items()],
                value="all",
                inline=True,
                className="desk-choices",
            ),
            dcc.Input(
                id="devices-search", type="search", placeholder=_("Search"), debounce=0.3, className="desk-search"
            ),
        ],
        className="desk-filters",
    )


def _grid(_: Translate) -> dag.AgGrid:
    def column(field: str, label: str, width: int, **more: Any) -> dict[str, Any]:
        return {"field": field, "headerName": label, "width": width, **more}

    def count(field: str, label: str, width: int = 92, **more: Any) -> dict[str, Any]:
        return column(
            field, label, width, type="rightAligned", cellClassRules={"desk-warn": "params.value > 0"}, **more
        )

    return dag.AgGrid(
        id="devices-grid",
        className="desk-grid",
        columnDefs=[
            column("id", _("Device"), 115, pinned="left"),
            column("name", _("Name"), 180, tooltipField="name"),
            column(
                "state",
                _("State"),
                105,
                cellClassRules={f"tone-{t}": f"params.data.tone == '{t}'" for t in ("good", "bad", "none")},
            ),
            column("age", _("Data age"), 112, valueFormatter={"function": "params.data.ageText"}, type="rightAligned"),
            column(
                "kept",
                _("On time, %"),
                105,
                type="rightAligned",
                valueFormatter={"function": "params.data.keptText"},
                cellClassRules={"desk-warn": f"params.value != null && params.value < {view.KEPT_WELL * 100}"},
            ),
            column(
                "clock",
                _("Clock"),
                98,
                type="rightAligned",
                valueFormatter={"function": "params.data.clockText"},
                cellClassRules={"desk-warn": "params.value"},
            ),
            count("missing", _("Missing")),
            count("refused", _("Refused")),
            count("repeated", _("Repeats")),
            count("past", _("Late")),
            column("seen", _("Last reading"), 145),
            column("period", _("Period, s"), 104, type="rightAligned"),
            column("count", _("Readings"), 105, type="rightAligned"),
            column("kind", _("Kind"), 130),
            column("domain", _("Domain"), 110),
            column("district", _("District"), 150),
            column("gateway", _("Gateway"), 150),
        ],
        defaultColDef={"sortable": True, "resizable": True},
        getRowId="params.data.id",
        dashGridOptions={
            "theme": desk.GRID_THEME,
            "animateRows": False,
            "localeText": {"noRowsToShow": _("No device is like this")},
        },
    )


def _panel(title: str, id: str) -> html.Section:
    return html.Section([html.H2(title), html.Div(id=id, className="desk-content")], className="desk-panel")


def _total(label: str, value: str, tone: str) -> html.Div:
    return html.Div(
        [html.Span(label, className="desk-label"), html.Span(value, className=f"desk-value tone-{tone}")],
        className="desk-total",
    )


def _worker(worker: dict[str, Any], _: Translate) -> html.Div:
    return html.Div(
        [
            html.Div(
                [
                    html.Strong(worker["name"]),
                    html.Span(worker["state"], className=f"desk-badge tone-{worker['tone']}"),
                ],
                className="desk-line",
            ),
            html.P(worker["why"], className="desk-why") if worker["why"] else None,
            html.Div([html.Span([label, " ", html.B(n)]) for label, n in worker["counts"]], className="desk-counts"),
            html.Div(
                [
                    html.Span(_("Spool"), className="desk-label"),
                    html.Progress(value=str(worker["fill"]), max="100"),
                    html.Span(worker["spool"], className="desk-label"),
                ],
                className="desk-line",
            ),
        ],
        className="desk-card",
    )


def _gateway(name: str, text: str, tone: str) -> html.Div:
    return html.Div([html.Span(name), html.Span(text, className=f"tone-{tone}")], className="desk-line")


def _quarantine(found: view.Page, _: Translate) -> Any:
    if not found.reasons:
        return html.P(_("Nothing waits in quarantine"), className="desk-none")
    counts = [
        html.Div([html.Span(meaning), html.B(f"{n:,}")], className="desk-line", title=reason)
        for reason, meaning, n in found.reasons
    ]
    newest = [
        html.Details(
            [
                html.Summary(
                    [html.Span(r["when"], className="desk-label"), html.Span(f"{r['reason']}: {r['detail']}")]
                ),
                html.P(html.Code(r["topic"])),
                html.Pre(r["payload"]),
                html.P(html.Code(f"gaoxin quarantine show {r['id']}")),
            ]
        )
        for r in found.refused
    ]
    mend = _("Mend the cause, start the intake again, then:")
    hint = html.P([mend, " ", html.Code("gaoxin quarantine retry")], className="desk-label")
    return [html.Div(counts), hint, html.Div(newest, className="desk-newest")]
