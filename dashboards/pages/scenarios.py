"""情景演练: the incidents that can be played into the simulated zone, what is played, and what is then true."""

from typing import Any

import dash
from dash import ALL, Input, Output, State, ctx, dcc, html

from dashboards import auth, drills
from dashboards.i18n import Language, Translate, language_of, translator
from dashboards.live import DirectionError
from dashboards.node import Node
from dashboards.pages import desk
from dashboards.views import scenarios as view
from simulators.scenarios import stories
from twin.access import Right
from twin.errors import LedgerError, RefusedError

PATH = "/scenarios"
REFRESH_MS = 1_000


def layout(language: Language) -> html.Div:
    _ = translator(language)
    return desk.page(
        language,
        PATH,
        _("Scenarios and drills"),
        [
            dcc.Interval(id="scenarios-clock", interval=REFRESH_MS),
            dcc.Store(id="scenarios-language", data=language),
            html.Div(_why_not(_), id="scenarios-said", className="scenarios-said", role="alert"),
            html.Div(
                [
                    html.Section([_card(id, _) for id in stories()], className="scenarios-cards"),
                    html.Aside(
                        [
                            html.Section(
                                [html.H2(_("Ground truth")), html.Div(id="scenarios-facts", className="desk-content")],
                                className="desk-panel",
                            )
                        ],
                        className="desk-side",
                    ),
                ],
                className="desk-body",
            ),
        ],
        status=[html.Span(id="scenarios-now", className="desk-at", role="status")],
    )


def _card(id: str, _: Translate) -> html.Article:
    """One scenario. Its buttons stay the same elements while it is refreshed, so that no click is lost."""
    story = stories()[id]
    title = html.Div(
        [
            html.Span(id, className="scenarios-id"),
            html.H2(_(story.name)),
            html.Span(_(view.LEVEL_LABELS[story.level]), className=f"scenarios-level level-{story.level.name.lower()}"),
        ],
        className="scenarios-title",
    )
    return html.Article(
        [
            title,
            html.P(_(story.story)),
            html.Div(id={"part": "state", "scenario": id}, className="scenarios-state"),
            html.Div(
                [
                    _button("play", id, _("Begin now")),
                    _button("rehearse", id, _("Rehearse at {time}, 60 times as fast").format(time=story.start)),
                    _button("stop", id, _("Stop")),
                ],
                className="scenarios-buttons",
            ),
        ],
        id={"part": "card", "scenario": id},
        className="desk-panel scenarios-card",
    )


def _why_not(_: Translate) -> str:
    """What stands where the buttons' answers will."""
    if auth.may(Right.DRILLS):
        return ""
    if auth.caller() is None:
        return _("To play a drill, sign in as an operator on duty")
    return _("To play a drill, ask for the role of an operator on duty")


def _button(do: str, id: str, label: str) -> html.Button:
    return html.Button(
        label,
        id={"do": do, "scenario": id},
        className=f"scenarios-{do}",
        n_clicks=0,
        disabled=not auth.may(Right.DRILLS),
    )


def register(app: dash.Dash, node: Node) -> None:
    """The page's callbacks: one shows what is, one asks the simulator."""

    @app.callback(  # type: ignore[untyped-decorator]
        Output({"part": "state", "scenario": ALL}, "children"),
        Output({"part": "card", "scenario": ALL}, "className"),
        Output("scenarios-facts", "children"),
        Output("scenarios-now", "children"),
        Input("scenarios-clock", "n_intervals"),
        State("scenarios-language", "data"),
    )
    def refresh(_n: int | None, lang: str) -> tuple[Any, ...]:
        language = language_of(lang, node.settings.language)
        _ = translator(language)
        found = view.page(node.relay.stage, node.registry, node.clock.now(), language)
        now = found.clock if found.heard else _("No simulator has spoken")
        facts = [_fact(f) for f in found.facts] or html.P(_("Nothing has been played yet"), className="desk-none")
        classes = [f"desk-panel scenarios-card{' scenarios-playing' * c.playing}" for c in found.cards]
        return [_state(c) for c in found.cards], classes, facts, now

    @app.callback(  # type: ignore[untyped-decorator]
        Output("scenarios-said", "children"),
        Input({"do": ALL, "scenario": ALL}, "n_clicks"),
        State("scenarios-language", "data"),
        prevent_initial_call=True,
        running=[(Output("scenarios-said", "className"), "scenarios-said scenarios-busy", "scenarios-said")],
    )
    async def direct(clicks: list[int], lang: str) -> str:
        _ = translator(language_of(lang, node.settings.language))
        if not any(clicks) or not isinstance(ctx.triggered_id, dict):
            return ""
        if not node.settings.simulate.on:
            return _("Nothing is simulated here")
        do, scenario = ctx.triggered_id["do"], ctx.triggered_id["scenario"]
        at, speed = (stories()[scenario].start, view.REHEARSAL) if do == "rehearse" else ("", None)
        try:
            await drills.direct(node, "stop" if do == "stop" else "play", scenario, at, speed)
        except RefusedError as error:
            return _("Not done: {reason}").format(reason=_(error.reason).format(**error.details))
        except (DirectionError, LedgerError) as error:
            return _("Not done: {reason}").format(reason=error)
        return ""


def _state(card: view.Card) -> Any:
    if not card.playing:
        return html.Span(card.usual, className="desk-label")
    return [html.Progress(value=f"{card.share:.3f}", max="1"), html.Span(card.left)]


def _fact(fact: dict[str, Any]) -> html.Div:
    return html.Div(
        [
            html.Div(
                [html.B(fact["what"], className=f"level-{fact['level']}"), html.Span(fact["state"])],
                className="desk-line",
            ),
            html.Div(f"{fact['scenario']} · {fact['from']} – {fact['to']}", className="desk-label"),
            html.Div(fact["where"], className="desk-label"),
        ],
        className="desk-card",
    )
