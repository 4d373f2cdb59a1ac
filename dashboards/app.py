"""The one ASGI application: Dash pages, the HTTP interface and the live feed."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import dash
from dash import ClientsideFunction, Input, Output, dcc, html
from fastapi import FastAPI

from dashboards import accounts, alarm_api, api, incident_api, replay_api, rules_api, sign_in
from dashboards.auth import OURSELVES, Gate
from dashboards.backtests import Backtests
from dashboards.i18n import language_of
from dashboards.node import Node, district_names
from dashboards.pages import (
    access,
    alarm_care,
    alarm_tabs,
    alarms,
    devices,
    incidents,
    replay,
    rules,
    scenarios,
    wall,
)
from twin.errors import LedgerError, RefusedError

log = logging.getLogger("gaoxin.web")

ASSETS = Path(__file__).parent / "assets"

# The page's own modules are imported when its DOM is there: Dash renders the layout after the scripts have run.
_INDEX = """<!DOCTYPE html>
<html lang="zh-CN"><head>{%metas%}<title>{%title%}</title><link rel="icon" href="/assets/favicon.svg">
<link rel="stylesheet" href="/assets/vendor/maplibre.css">
<link rel="stylesheet" href="/assets/css/palette.css"><link rel="stylesheet" href="/assets/css/wall.css">
<link rel="stylesheet" href="/assets/css/desk.css"><link rel="stylesheet" href="/assets/css/access.css">
<link rel="stylesheet" href="/assets/css/alarms.css"><link rel="stylesheet" href="/assets/css/rules.css">
<link rel="stylesheet" href="/assets/css/replay.css"><link rel="stylesheet" href="/assets/css/incidents.css">{%css%}
</head><body>{%app_entry%}<footer>{%config%}{%scripts%}
<script>
window.dash_clientside = Object.assign(window.dash_clientside || {}, {gaoxin: {
  mount: async () => {
    (await import("/assets/js/wall.mjs")).mount(document.getElementById("wall"));
    const rules = document.getElementById("rules");
    if (rules) (await import("/assets/js/rules.mjs")).mount(rules);
    return "";
  },
  draw: async (spec, id) => {
    const place = document.getElementById(id);
    if (!place) return "";
    place.hidden = !spec;
    (await import("/assets/js/charts.mjs")).draw(place, spec);
    return "";
  }
}});
import("/assets/js/session.mjs").then((session) => session.watch(window, () => location.reload()));
</script>{%renderer%}</footer></body></html>"""


def build(node: Node) -> FastAPI:
    """The application on a node whose parts start and stop with it."""
    backtests = Backtests(node.registry, node.store, node.clock, most_bytes=node.settings.web.backtest_mb << 20)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        node.start()
        node.relay.attach(asyncio.get_running_loop())
        await _visit(app)
        tidying = asyncio.create_task(_tidy(backtests))
        try:
            yield
        finally:
            tidying.cancel()
            await asyncio.to_thread(backtests.close)
            await asyncio.to_thread(node.stop)

    app = FastAPI(
        title="gaoxin-twin",
        version="1",
        description="The zone's devices, state, history and layers, and its live feed.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    for kind, handler in api.ERROR_HANDLERS.items():
        app.add_exception_handler(kind, handler)
    app.include_router(rules_api.router(node, backtests))
    app.include_router(sign_in.router(node))
    app.include_router(accounts.router(node))
    app.include_router(alarm_api.router(node))
    app.include_router(incident_api.router(node))
    app.include_router(replay_api.router(node))
    app.include_router(api.router(node))
    _pages(app, node)
    assert node.ledger is not None
    # Last, so that it is the outermost
    app.add_middleware(
        Gate, ledger=node.ledger, settings=node.settings.access, clock=node.clock, refuse=api.answer_gate
    )
    return app


async def _tidy(backtests: Backtests) -> None:
    while True:
        await asyncio.sleep(60)
        backtests.forget()


async def _visit(app: FastAPI) -> None:
    """Ask for `/` once: Dash 4.4 sets its pages up on the first visit there, and a visitor who comes to another page
    before that gets one that lacks a script.
    """

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: Any) -> None:
        pass

    address = {"scheme": "http", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 0), "root_path": ""}
    request = {"method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "headers": []}
    await app({"type": "http", "http_version": "1.1", OURSELVES: True, **address, **request}, receive, send)


def _leave_as_it_is(error: Exception) -> None:
    """A page that refreshes itself stays as it was while the ledger is away, or when its reader's session has ended."""
    if not isinstance(error, RefusedError | LedgerError):
        raise error
    log.info("a page was not answered: %s", error)


def _pages(app: FastAPI, node: Node) -> None:
    made = dash.Dash(
        __name__,
        server=app,
        assets_folder=str(ASSETS),
        include_assets_files=False,
        pages_folder="",
        use_pages=True,
        index_string=_INDEX,
        # Each page has its own callbacks, whose parts the other pages lack
        suppress_callback_exceptions=True,
        title="数智高新运营服务中心",
        update_title="",
        on_error=_leave_as_it_is,
    )

    def wall_layout(lang: str | None = None, **_: Any) -> Any:
        return wall.layout(language_of(lang, node.settings.language))

    def devices_layout(lang: str | None = None, **_: Any) -> Any:
        return devices.layout(language_of(lang, node.settings.language))

    dash.register_page("devices", path=devices.PATH, title="数智高新 · 设备", layout=devices_layout)
    districts = district_names(node.settings.layers_folder)
    devices.register(made, node, districts)

    def scenarios_layout(lang: str | None = None, **_: Any) -> Any:
        return scenarios.layout(language_of(lang, node.settings.language))

    dash.register_page("scenarios", path=scenarios.PATH, title="数智高新 · 情景演练", layout=scenarios_layout)
    scenarios.register(made, node)

    def replay_layout(lang: str | None = None, **_: Any) -> Any:
        return replay.layout(language_of(lang, node.settings.language))

    dash.register_page("replay", path=replay.PATH, title="数智高新 · 回放", layout=replay_layout)

    def rules_layout(lang: str | None = None, rule: str | None = None, **_: Any) -> Any:
        return rules.layout(language_of(lang, node.settings.language), rule)

    dash.register_page("rules", path=rules.PATH, title="数智高新 · 阈值", layout=rules_layout)

    def access_layout(lang: str | None = None, **_: Any) -> Any:
        return access.layout(language_of(lang, node.settings.language))

    dash.register_page("access", path=access.PATH, title="数智高新 · 账号与审计", layout=access_layout)
    access.register(made, node)

    def incidents_layout(lang: str | None = None, **asked: str) -> Any:
        return incidents.layout(language_of(lang, node.settings.language), node, districts, **asked)

    dash.register_page("incidents", path=incidents.PATH, title="数智高新 · 事件", layout=incidents_layout)
    incidents.register(made, node, districts)

    def alarms_layout(lang: str | None = None, alarm: str | None = None, view: str = "list", **_: Any) -> Any:
        language = language_of(lang, node.settings.language)
        if view in alarm_tabs.TABS and view != "list":
            return alarm_care.layout(language, node, view)
        return alarms.layout(language, node, alarm)

    dash.register_page("alarms", path=alarm_tabs.PATH, title="数智高新 · 告警", layout=alarms_layout)
    alarms.register(made, node)
    alarm_care.register(made, node)
    dash.register_page("wall", path=wall.PATH, title="数智高新 · 全景高新", layout=wall_layout)
    made.layout = html.Div([dcc.Location(id="url"), dash.page_container, html.Div(id="mounted", hidden=True)])
    made.clientside_callback(
        ClientsideFunction("gaoxin", "mount"), Output("mounted", "children"), Input(dash.dash._ID_CONTENT, "children")
    )
