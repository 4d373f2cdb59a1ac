"""The HTTP interface: health, metrics, devices, the zone's state, history, layers and the live feed.

Times are RFC 3339 or UTC milliseconds in, UTC milliseconds out. A wrong request gets a 4xx whose `error` says what
was wrong and what is allowed; a store that is away gets 503.
"""

from collections.abc import Callable
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from fastapi import APIRouter, Query, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict

from dashboards import drills, operation
from dashboards.i18n import DOMAIN_LABELS, Language, Translate, language_of, translator
from dashboards.live import DirectionError
from dashboards.node import Node, district_names
from layers import publish
from simulators.scenarios import stories
from twin import air, kpi, snapshot
from twin.clock import DAY, parse
from twin.errors import LedgerError, RefusedError, StoreError
from twin.ledger import truth
from twin.observation import KINDS, METRICS, Domain, Observation
from twin.refusal import Refusal
from twin.registry import Device

DOMAIN_COLOURS = {
    Domain.TRAFFIC: "#35c6f4",
    Domain.ENVIRONMENT: "#58d68d",
    Domain.PARKING: "#b58cff",
    Domain.COMPUTE: "#ffb454",
    Domain.CITY: "#7fa6c9",
}
MOST_POINTS = 20_000


class Direction(BaseModel):
    """How a scenario is to be played. `at`: local hh:mm for a rehearsal; `speed` only with it."""

    model_config = ConfigDict(extra="forbid")

    at: str = ""
    speed: float | None = None


D = TypeVar("D", int, None)


class RequestError(Exception):
    """What the caller did wrong, and the status that says so."""

    def __init__(self, status: int, error: str, **more: object) -> None:
        self.status, self.body = status, {"error": error, **more}
        super().__init__(error)


def answer_request_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return JSONResponse(error.body, error.status)


def answer_store_error(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"the store cannot answer: {error}"}, 503)


def answer_ledger_error(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"the ledger cannot answer: {error}"}, 503)


_STATUS = {
    Refusal.SIGN_IN_FIRST: 401,
    Refusal.SIGN_IN: 401,
    Refusal.MAY_NOT: 403,
    Refusal.FORGED: 403,
    Refusal.WAIT: 429,
    Refusal.CONFLICT: 409,
    Refusal.ACKNOWLEDGED: 409,
    Refusal.USER_EXISTS: 409,
    Refusal.LAST_ADMIN: 409,
    Refusal.CLOSED_ALREADY: 409,
    Refusal.OPEN_ALREADY: 409,
    Refusal.IMPORTED: 409,
    Refusal.IMPORTED_ALREADY: 409,
    Refusal.NO_INCIDENT: 404,
    **dict.fromkeys((Refusal.NO_ALARM, Refusal.NO_VERSION, Refusal.NO_SILENCE, Refusal.NO_USER, Refusal.NO_LINK), 404),
}


def status_of(refused: RefusedError) -> int:
    """What HTTP says to it: 422 where nothing fits better."""
    assert isinstance(refused.reason, Refusal)
    return _STATUS.get(refused.reason, 422)


def answer_refused(request: Request, error: Exception) -> Response:
    """`reason` is the refusal's name, for programs; `error` says it in the language asked for, else in English."""
    assert isinstance(error, RefusedError)
    assert isinstance(error.reason, Refusal)
    said = translator(language_of(request.query_params.get("lang"), "en"))(error.reason).format(**error.details)
    return JSONResponse({"error": said, "reason": error.reason.name.lower()}, status_of(error))


def answer_gate(request: Request, error: Exception) -> Response:
    """What `auth.Gate` refuses."""
    return ERROR_HANDLERS[type(error)](request, error)


def answer_invalid_request(_: Request, error: Exception) -> Response:
    """FastAPI's own findings, in the words and form of ours."""
    assert isinstance(error, RequestValidationError)
    found = [f"{'.'.join(str(p) for p in e['loc'][1:])}: {e['msg']}" for e in error.errors()]
    return JSONResponse({"error": "; ".join(found)}, 422)


ERROR_HANDLERS: dict[type[Exception], Callable[[Request, Exception], Response]] = {
    RequestError: answer_request_error,
    StoreError: answer_store_error,
    LedgerError: answer_ledger_error,
    RefusedError: answer_refused,
    RequestValidationError: answer_invalid_request,
}


def answer(body: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def moment_of(name: str, text: str | int | None, default: D) -> int | D:
    """A time as the caller wrote it, UTC ms. Raises RequestError naming the parameter."""
    if text is None or isinstance(text, int):
        return default if text is None else text
    try:
        # '+' in a query is a space once decoded; an offset is the only place a time can have one
        return parse(text.replace(" ", "+") if "T" in text else text)
    except ValueError as error:
        raise RequestError(422, f"{name}: {error}", parameter=name) from None


def describe(device: Device, index: int, _: Translate, district: str) -> dict[str, Any]:
    kind = KINDS[device.kind]
    return {
        "index": index,
        "id": device.id,
        "name": device.name,
        "domain": device.domain,
        "kind": device.kind,
        "kindLabel": _(kind.label),
        "district": device.district,
        "districtName": district,
        "lon": device.lon,
        "lat": device.lat,
        "headline": device.headline,
        "metrics": [
            {"name": m, "label": _(METRICS[m].label), "unit": METRICS[m].unit, "decimals": METRICS[m].decimals}
            for m in device.metrics
        ],
        "periodS": device.period_s,
        "gateway": device.gateway,
        "schematic": device.schematic,
        "attributes": device.attributes,
    }


def router(node: Node) -> APIRouter:
    api = APIRouter()
    registry, clock = node.registry, node.clock

    def find(device: str) -> Device:
        if device in registry:
            return registry[device]
        near = get_close_matches(device, registry.index, n=3)
        raise RequestError(404, f"device {device!r} is not in the registry", parameter="device", near=near)

    def tongue(lang: str | None) -> Language:
        return language_of(lang, node.settings.language)

    names_of = district_names(node.settings.layers_folder)

    def described(device: Device, language: Language) -> dict[str, Any]:
        district = names_of(language).get(device.district, device.district)
        return describe(device, registry.index[device.id], translator(language), district)

    @cache
    def directory(language: Language) -> bytes:
        _ = translator(language)
        return msgspec.json.encode(
            {
                "digest": registry.digest,
                "devices": [described(d, language) for d in registry],
                "kinds": {
                    k.name: {
                        "label": _(k.label),
                        "domain": k.domain,
                        "bands": [
                            {"label": _(band.label), "colour": band.colour} for band in snapshot.BANDS.get(k.name, ())
                        ],
                    }
                    for k in KINDS.values()
                },
                "domains": {d: {"label": _(DOMAIN_LABELS[d]), "colour": DOMAIN_COLOURS[d]} for d in Domain},
                "districts": names_of(language),
                "simulated": node.settings.simulate.on,
            }
        )

    @cache
    def published(name: publish.Name) -> bytes:
        return publish.geojson(name, node.settings.layers_folder, registry=registry)

    api.include_router(operation.router(lambda: node.troubles(operation.LATE_S)))

    @api.get("/api/v1/devices", tags=["zone"])
    def devices(lang: str | None = None) -> Response:
        """Every device, with the kinds, bands and domains needed to draw it. `lang`: zh or en."""
        return Response(directory(tongue(lang)), media_type="application/json")

    @api.get("/api/v1/devices/{device}", tags=["zone"])
    def one_device(device: str, lang: str | None = None) -> Response:
        """One device: what it is, its last observation with exact values, and whether that still counts."""
        found, language = find(device), tongue(lang)
        now = clock.now()
        last = node.store.latest().get(device)
        state = _state(found, last, now, node.settings.engine.grace_periods)
        level = None
        if last is not None and state == "known":
            band = snapshot.band(found, last.values, last.at)
            if band != snapshot.NO_BAND:
                level = snapshot.BANDS[found.kind][band]
        _ = translator(language)
        return answer(
            {
                "device": described(found, language),
                "observation": last,
                "state": state,
                "band": level and {"label": _(level.label), "colour": level.colour},
                "now": now,
            }
        )

    @api.get("/api/v1/state", tags=["zone"])
    def state(at: str | None = None, view: Annotated[str, Query()] = "now") -> Response:
        """The zone at `at` (default: now): each device's last observation and state, and the indicators made from them.

        `view=then` uses what had been received by then, `view=now` all that is known today.
        """
        if view not in ("then", "now"):
            raise RequestError(422, f"view={view!r}: allowed are then and now", parameter="view")
        now = clock.now()
        moment = moment_of("at", at, now)
        if moment > now:
            raise RequestError(422, f"at={at!r} is in the future; the present is {now}", parameter="at")
        # 24 h is far beyond every device's grace: what is older is unknown at `moment` whatever it said
        known = moment if view == "then" else None
        zone_then = node.store.zone(moment, known=known, since=moment - DAY)
        grace = node.settings.engine.grace_periods
        then = snapshot.of(registry, zone_then.values(), grace=grace)
        hours = air.recall(registry, node.store, moment, known=known)
        return answer(
            {
                "at": moment,
                "view": view,
                "devices": [
                    {
                        "device": d.id,
                        "state": _state(d, zone_then.get(d.id), moment, grace),
                        "observation": zone_then.get(d.id),
                    }
                    for d in registry
                ],
                "indicators": kpi.indicators(kpi.Grouping(registry), then, hours, moment),
            }
        )

    @api.get("/api/v1/history", tags=["zone"])
    def history(
        device: str,
        metric: str,
        from_: Annotated[str | None, Query(alias="from")] = None,
        to: str | None = None,
        points: int | None = None,
    ) -> Response:
        """One metric of one device over a range (default: the last 24 h), raw, or as at most `points` buckets."""
        found = find(device)
        if metric not in found.metrics:
            raise RequestError(422, f"{device} does not measure {metric!r}", parameter="metric", allowed=found.metrics)
        end = moment_of("to", to, clock.now())
        start = moment_of("from", from_, end - DAY)
        if start >= end:
            raise RequestError(422, f"from ({start}) must be before to ({end})", parameter="from")
        if points is not None and not 1 <= points <= MOST_POINTS:
            raise RequestError(422, f"points={points}: allowed are 1 to {MOST_POINTS}", parameter="points")
        if points is None and (end - start) / 1000 / found.period_s > MOST_POINTS:
            points = MOST_POINTS
        s = node.store.series(device, metric, start, end, points=points)
        return answer(
            {
                "device": device,
                "metric": metric,
                "unit": METRICS[metric].unit,
                "from": start,
                "to": end,
                "at": s.at.tolist(),
                "mean": s.mean.tolist(),
                "low": s.low.tolist(),
                "high": s.high.tolist(),
                "count": s.count.tolist(),
            }
        )

    @api.get("/api/v1/scenarios", tags=["simulation"])
    def scenarios(lang: str | None = None) -> Response:
        """The incidents that can be played into the simulated zone, and what the simulator plays."""
        _ = translator(tongue(lang))
        told = {
            id: msgspec.structs.asdict(story)
            | {"name": _(story.name), "story": _(story.story), "level": story.level.name.lower()}
            for id, story in stories().items()
        }
        return answer({"scenarios": told, "stage": node.relay.stage, "now": clock.now()})

    @api.post("/api/v1/scenarios/{scenario}/{do}", tags=["simulation"])
    async def direct(scenario: str, do: Literal["play", "stop"], how: Direction) -> Response:
        """Play a scenario now, or rehearse it `at` a local time of day, `speed` times as fast; or stop it.

        Needs an operator.
        """
        try:
            await drills.direct(node, do, scenario, how.at, how.speed)
        except DirectionError as error:
            raise RequestError(error.status, str(error)) from None
        return answer({"stage": node.relay.stage})

    @api.get("/api/v1/truth", tags=["simulation"])
    def facts(from_: Annotated[str | None, Query(alias="from")] = None, to: str | None = None) -> Response:
        """Ground truth of what was simulated to go wrong in a range (default: the last 24 h)."""
        end = moment_of("to", to, clock.now() + DAY)
        start = moment_of("from", from_, clock.now() - DAY)
        assert node.ledger is not None
        with node.ledger.reading() as connection:
            return answer({"from": start, "to": end, "facts": truth.between(connection, start, end)})

    @api.get("/api/v1/layers/{name}", tags=["zone"])
    def layer(name: str) -> Response:
        """One layer as GeoJSON in EPSG:4326."""
        if name not in publish.NAMES:
            raise RequestError(404, f"no layer {name!r}", parameter="name", allowed=list(publish.NAMES))
        return Response(
            published(name), media_type="application/geo+json", headers={"Cache-Control": "private, max-age=60"}
        )

    @api.websocket("/api/v1/live")
    async def live(socket: WebSocket, lang: str | None = None) -> None:
        await node.relay.serve(socket, tongue(lang))

    @api.get("/api/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(_DOCS)

    @api.get("/api/{path:path}", include_in_schema=False)
    def nothing(path: str) -> Response:
        raise RequestError(404, f"nothing is at /api/{path}; see /api/docs")

    return api


def _state(device: Device, last: Observation | None, now: int, grace: float) -> Literal["known", "unknown", "never"]:
    if last is None:
        return "never"
    return "known" if now - min(last.at, last.received) <= grace * device.period_s * 1000 else "unknown"


_DOCS = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>gaoxin-twin · API</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="/assets/vendor/swagger-ui.css"></head><body>
<div id="api"></div><script src="/assets/vendor/swagger-ui.js"></script>
<script>SwaggerUIBundle({url: "/api/openapi.json", dom_id: "#api"})</script></body></html>"""
