"""回放: the wall as it was. The same wall (`pages/wall.py`) with the player as its source, a banner that says so, and
the controls below. Everything that moves is the browser's (`assets/js/replay.mjs`); the address keeps what is shown.
"""

from collections.abc import Sequence
from typing import Any

from dash import html

from dashboards.i18n import Language, Translate, translator
from dashboards.pages import wall

PATH = "/replay"

RANGES = {"hour": "Last hour", "today": "Today", "yesterday": "Yesterday", "day": "Last 24 h", "week": "Last 7 days"}

# What each key does, as replay.mjs has it
KEYS = {
    "Space": "Play, pause",
    "← →": "One frame back, on",
    "Shift ← →": "One minute back, on",
    ", .": "Alarm change before, next",
    "[ ]": "Slower, faster",
    "Home End": "Beginning, end",
    "L": "Loop",
    "T": "As known then, as known now",
    "R": "Re-run alarms",
    "Esc": "Back to live",
    "?": "These keys",
}


def layout(language: Language) -> html.Div:
    _ = translator(language)
    return wall.layout(language, "replay", above=[_banner(_, language)], below=[_dock(_), _keys(_)])


def _banner(_: Translate, language: Language) -> html.Div:
    return html.Div(
        [
            html.Span(_("Replay"), className="replay-name"),
            html.Time(id="replay-at", className="replay-at"),
            html.Span(id="replay-speed-said", className="replay-said"),
            html.Span(id="replay-view-said", className="replay-said"),
            html.Span(id="replay-against-said", className="replay-said"),
            html.Span(id="replay-rerun-said", className="replay-said"),
            html.Span(id="replay-waiting", className="replay-waiting", role="status"),
            html.A(_("Back to live"), href=f"{wall.PATH}?lang={language}", id="replay-live", className="replay-live"),
        ],
        className="replay-banner",
    )


def _dock(_: Translate) -> html.Footer:
    steps = [
        ("before", f"◀◀ {_('Alarm')}", _("Alarm change before")),
        ("back", "|◀", _("One frame back")),
        ("play", "▶", _("Play, pause")),
        ("on", "▶|", _("One frame on")),
        ("next", f"{_('Alarm')} ▶▶", _("Next alarm change")),
        ("loop", "⟳", _("Loop")),
    ]
    ranges = [html.Option(_("Range"), value="")]
    ranges += [html.Option(_(text), value=name) for name, text in RANGES.items()]
    controls = [
        html.Div([_button(do, text, label) for do, text, label in steps], className="replay-group replay-steps"),
        _choice("replay-speed", _("Speed")),
        html.Div(
            [
                _button("view-then", _("As known then"), _("As known then")),
                _button("view-now", _("As known now"), _("As known now")),
                _button("differences", "…", _("What is known now and was not then")),
                _button("rerun", f"{_('Re-run')} ▾", _("What other rules make of this range")),
            ],
            className="replay-group replay-views",
        ),
        html.Div(
            [
                _choice("replay-against", _("Compare")),
                _button("compare-difference", _("Diff"), _("One map: how much higher or lower than then")),
                _button("compare-side", _("Side"), _("Two maps side by side")),
            ],
            className="replay-group replay-compare",
        ),
        _choice("replay-range", _("Range"), ranges),
        html.Div(
            [_moment("from", _("Start")), _moment("at", _("Shown")), _moment("to", _("End"))],
            className="replay-group replay-moments",
        ),
        _button("incident", _("Make it an incident"), _("Make an incident of this range")),
        _button("keys", "?", _("Keys")),
    ]
    return html.Footer(
        [
            html.Div(controls, className="replay-controls"),
            html.Div(id="replay-line", className="replay-line"),
            html.Div(
                [html.Span(_("Lower than then")), html.I(), html.Span(_("Higher"))],
                className="replay-scale",
            ),
            html.Div(id="replay-differences", className="replay-list", hidden=True),
            html.Div(id="replay-rules", className="replay-list replay-rules", hidden=True),
        ],
        className="replay-dock",
    )


def _button(do: str, text: str, label: str) -> html.Button:
    return html.Button(
        text,
        type="button",
        className=f"replay-button replay-do-{do}",
        title=label,
        **{"data-do": do, "aria-label": label},
    )


def _choice(id: str, label: str, options: Sequence[html.Option] = ()) -> html.Select:
    return html.Select(list(options), id=id, title=label, className="replay-choice", **{"aria-label": label})


def _moment(name: str, label: str) -> html.Label:
    # The browser's own field for a date and time is made in the browser: Dash has none
    return html.Label([html.Span(label), html.Span(**{"data-moment": name})])


def _keys(_: Translate) -> Any:
    rows = [html.Div([html.Kbd(keys), html.Span(_(text))], className="replay-key") for keys, text in KEYS.items()]
    return html.Div(
        html.Div([html.H2(_("Keys")), *rows], className="replay-card"),
        id="replay-keys",
        className="replay-keys",
        hidden=True,
    )
