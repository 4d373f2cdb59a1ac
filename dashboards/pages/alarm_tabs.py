"""The way between the parts of the alarms page, each at an address of its own."""

from dash import html

from dashboards.i18n import Language, translator

PATH = "/alarms"
TABS = {
    "list": "Alarm list",
    "silences": "Silences and maintenance",
    "health": "Alarm health",
    "notices": "Notices",
}


def bar(language: Language, here: str) -> html.Nav:
    _ = translator(language)
    return html.Nav(
        [
            html.A(
                _(text),
                href=f"{PATH}?view={view}&lang={language}" if view != "list" else f"{PATH}?lang={language}",
                className="alarm-tab",
                **({"aria-current": "page"} if view == here else {}),
            )
            for view, text in TABS.items()
        ],
        className="alarm-tabs",
    )
