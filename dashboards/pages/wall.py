"""全景高新: the wall. The page is drawn once; from then on the browser fills the marked places from its source: the
live feed, or on the page of replay (`pages/replay.py`) the player.

`data-bind`, `data-tone`, `data-colour`, `data-chart`, `data-list` and `data-age` name a path in the view
(`views/wall.py`).
"""

from collections.abc import Sequence
from typing import Any, Literal

from dash import html

from dashboards.api import DOMAIN_COLOURS
from dashboards.i18n import DOMAIN_LABELS, Language, Translate, translator
from dashboards.pages.desk import PLACES
from twin.observation import Domain

PATH = "/"


def layout(
    language: Language,
    source: Literal["live", "replay"] = "live",
    *,
    above: Sequence[Any] = (),
    below: Sequence[Any] = (),
) -> html.Div:
    """`above`, `below`: what the page of another source has over the wall's head and under its body."""
    _ = translator(language)
    other: Language = "en" if language == "zh" else "zh"
    return html.Div(
        [
            *above,
            _head(_, language, other),
            html.Div(_bound("ingest.text", "wall-ingest", tone="ingest.tone"), role="alert", className="wall-alert"),
            html.Div([_left(_), _centre(_, language), _right(_)], className="wall-body"),
            *below,
            html.Div(id="wall-hover", className="wall-hover", hidden=True),
        ],
        id="wall",
        className="wall",
        **{"data-lang": language, "data-source": source},
    )


def _head(_: Translate, language: Language, other: Language) -> html.Header:
    return html.Header(
        [
            html.Div(
                [_bound("weather.text", "wall-weather-text"), _age("weather.at", 300)],
                className="wall-weather",
            ),
            html.Div(
                [
                    html.H1(_("Digital High-tech Zone Operations Centre")),
                    html.P([_("Xianyang High-tech Zone · 123.39 km²"), _bound("simulated", "wall-simulated")]),
                ],
                className="wall-title",
            ),
            html.Div(
                [
                    html.Div(id="wall-link", className="wall-link", role="status"),
                    html.Div(id="wall-clock", className="wall-clock"),
                    *(
                        html.A(_(text), href=f"{path}?lang={language}", className="wall-language")
                        for path, text in PLACES.items()
                        if path != PATH
                    ),
                    html.A(
                        "EN" if other == "en" else "中文",
                        href=f"?lang={other}",
                        className="wall-language",
                        title="English" if other == "en" else "中文",
                    ),
                ],
                className="wall-status",
            ),
        ],
        className="wall-head",
    )


def _left(_: Translate) -> html.Aside:
    return html.Aside(
        [
            _panel(
                "traffic",
                _("Traffic"),
                [
                    html.Div(
                        [
                            _tile(
                                _("Traffic index"), "traffic.tpi", tone="traffic.tone", note="traffic.state", big=True
                            ),
                            _tile(_("Average speed"), "traffic.speed", unit="km/h"),
                            _tile(_("Congested"), "traffic.congested", unit="km"),
                        ],
                        className="tiles",
                    ),
                    _chart("traffic.roads", "chart-bars chart-roads"),
                ],
            ),
            _panel(
                "air",
                _("Air quality"),
                [
                    html.Div(
                        [
                            _tile(
                                ["AQI ", _bound("air.hour", "tile-when")],
                                "air.aqi",
                                tone="air.tone",
                                colour="air.colour",
                                note="air.level",
                                big=True,
                            ),
                            _tile(_("Primary pollutant"), "air.primary"),
                        ],
                        className="tiles",
                    ),
                    _chart("air.parts", "chart-bars chart-air"),
                ],
            ),
            _panel(
                "surroundings",
                _("River and noise"),
                html.Div(
                    [
                        _tile(_("Wei river level"), "surroundings.water.level", unit="m"),
                        _tile(_("Discharge"), "surroundings.water.discharge", unit="m³/s"),
                        _tile(_("Water quality"), "surroundings.water.worst", tone="surroundings.water.tone"),
                        _tile(
                            _("Noise within limit"),
                            "surroundings.noise.within",
                            unit="%",
                            tone="surroundings.noise.tone",
                        ),
                    ],
                    className="tiles tiles-4",
                ),
            ),
        ],
        className="wall-left",
    )


def _right(_: Translate) -> html.Aside:
    return html.Aside(
        [
            _panel(
                "parking",
                _("Parking"),
                html.Div(
                    [
                        html.Div(
                            [
                                _chart("parking.ring", "chart-ring"),
                                _tile(
                                    _("Free spaces"),
                                    "parking.free",
                                    tone="parking.tone",
                                    note="parking.state",
                                    big=True,
                                ),
                            ],
                            className="ring-and-tile",
                        ),
                        _chart("parking.lots", "chart-bars chart-lots"),
                    ],
                ),
            ),
            _panel(
                "compute",
                _("300P compute centre"),
                [
                    html.Div(
                        [
                            _chart("compute.ring", "chart-ring"),
                            html.Div(
                                [
                                    _tile("PUE", "compute.pue", tone="compute.pueTone", big=True),
                                    _tile(_("Facility power"), "compute.power", unit="kW"),
                                    _tile(_("In use"), "compute.pflops", unit="PFLOPS"),
                                    _tile(_("Hottest aisle"), "compute.hottest", unit="℃", tone="compute.heatTone"),
                                ],
                                className="tiles tiles-2",
                            ),
                        ],
                        className="ring-and-tile",
                    ),
                    _chart("compute.trend", "chart-line chart-trend"),
                ],
            ),
            _panel(
                "city",
                _("City facilities"),
                html.Div(
                    [
                        _tile(_("Lamps lit"), "city.lit", unit="%"),
                        _tile(_("Covers open"), "city.covers", tone="city.coversTone"),
                        _tile(_("Underpass water"), "city.depth", unit="cm", tone="city.depthTone"),
                        _tile(_("Pumps running"), "city.pumps"),
                    ],
                    className="tiles tiles-4",
                ),
            ),
            html.Section(
                [
                    html.Header(
                        [
                            html.H2(_("Silent devices"), className="panel-name"),
                            html.Span(
                                [_bound("silent.count"), " / ", _bound("silent.total")],
                                className="panel-coverage",
                                **{"data-tone": "silent.tone"},
                            ),
                        ],
                        className="panel-title",
                    ),
                    html.Div(className="rows silent-rows", **{"data-list": "silent.rows"}),
                ],
                className="panel panel-silent",
            ),
        ],
        className="wall-right",
    )


def _centre(_: Translate, language: Language) -> html.Main:
    alarms = f"/alarms?lang={language}"
    return html.Main(
        [
            html.Div(id="wall-map", className="wall-map"),
            html.Div(id="wall-detail", className="wall-detail", hidden=True),
            html.Div(_("Schematic map: positions are not surveyed"), className="map-note"),
            html.Section(
                [
                    html.Header(
                        [
                            html.H2(html.A(_("Alarms"), href=alarms), className="panel-name"),
                            *(
                                html.Span(**{"data-bind": f"alarms.{c}", "className": f"alarm-count alarm-{c}"})
                                for c in ("red", "orange", "yellow", "blue")
                            ),
                            _bound("alarms.state", "alarm-state", tone="alarms.tone"),
                        ],
                        className="alarm-head",
                    ),
                    html.Div(className="rows alarm-rows", **{"data-list": "alarms.rows"}),
                    _bound("alarms.more", "alarm-more"),
                    html.Div(className="rows alarm-districts", **{"data-list": "alarms.districts"}),
                ],
                className="wall-alarms",
                role="log",
            ),
            html.Div(
                [
                    html.Button(
                        [
                            html.I(className="layer-dot", style={"background": DOMAIN_COLOURS[d]}),
                            html.Span(_(DOMAIN_LABELS[d]), className="layer-name"),
                            html.Span(
                                className="layer-coverage",
                                **{
                                    "data-bind": f"domains.{d}.coverage",
                                    "data-tone": f"domains.{d}.coverageTone",
                                },
                            ),
                        ],
                        className="layer-toggle",
                        type="button",
                        **{"data-domain": d.value, "aria-pressed": "true"},
                    )
                    for d in Domain
                ],
                id="wall-layers",
                className="wall-layers",
            ),
            html.Div(_legend(_), className="map-legend"),
        ],
        className="wall-centre",
    )


def _legend(_: Translate) -> list[Any]:
    from twin.standards import TRAFFIC

    rows = [(band.label, band.colour) for band in TRAFFIC.bands] + [("Unknown", "#6b7684")]
    return [
        html.Span([html.I(style={"background": colour}), _(label)], className="legend-item") for label, colour in rows
    ]


def _panel(path: str, title: str, body: Any) -> html.Section:
    return html.Section(
        [
            html.Header(
                [
                    html.H2(title, className="panel-name"),
                    _bound(f"{path}.coverage", "panel-coverage", tone=f"{path}.coverageTone"),
                    _age(f"{path}.at", 180),
                ],
                className="panel-title",
            ),
            html.Div(body, className="panel-body"),
        ],
        className=f"panel panel-{path}",
    )


def _tile(
    label: str | list[Any],
    path: str,
    *,
    unit: str = "",
    tone: str | None = None,
    colour: str | None = None,
    note: str | None = None,
    big: bool = False,
) -> html.Div:
    return html.Div(
        [
            html.Div(label, className="tile-label"),
            html.Div(
                [
                    _bound(path, "tile-value", tone=tone, colour=colour),
                    html.Span(unit, className="tile-unit") if unit else None,
                    _bound(note, "tile-note", tone=tone, colour=colour) if note else None,
                ],
                className="tile-line",
            ),
        ],
        className="tile tile-big" if big else "tile",
    )


def _bound(path: str, class_name: str = "", *, tone: str | None = None, colour: str | None = None) -> html.Span:
    marks = {"data-bind": path} | ({"data-tone": tone} if tone else {}) | ({"data-colour": colour} if colour else {})
    return html.Span("—", className=class_name, **marks)


def _age(path: str, limit_s: int) -> html.Span:
    return html.Span(className="tile-age", **{"data-age": path, "data-age-limit": str(limit_s)})


def _chart(path: str, class_name: str) -> html.Div:
    return html.Div(className=f"chart {class_name}", **{"data-chart": path})
