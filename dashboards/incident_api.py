"""Incidents over HTTP: found, made, written in, handed on as a report or as data, taken in."""

import io
from typing import Annotated, Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from dashboards import auth, incident_record
from dashboards.api import RequestError, moment_of
from dashboards.i18n import Language, language_of, translator
from dashboards.incident_record import Source
from dashboards.node import Node, district_names
from dashboards.report import page
from simulators.scenarios import stories
from twin import bundle as bundles
from twin import incidents
from twin.access import Right
from twin.bundle import Bundle
from twin.clock import DAY
from twin.errors import RefusedError
from twin.incidents import Draft, EntryKind, Incident, Origin, State
from twin.ledger import Ledger, alarms, rules, truth
from twin.ledger import incidents as kept
from twin.refusal import Refusal
from twin.standards import Level

LevelName = Literal["none", "blue", "yellow", "orange", "red"]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Head(Body):
    """What is left out is proposed (a new incident) or stays (a change). Times: RFC 3339 or UTC milliseconds."""

    title: str | None = None
    level: LevelName | None = None
    begin: str | int | None = None
    end: str | int | None = None
    districts: list[str] | None = None
    devices: list[str] | None = None
    causes: str | None = None


class New(Head):
    """Made from `alarms`, or from a `run` of a scenario (as /api/v1/truth names it), or from `begin` and `end`."""

    alarms: list[int] | None = None
    run: str | None = None


class Said(Body):
    """`at`: the moment it speaks of; left out, it is now."""

    text: str = Field(max_length=incidents.LONGEST_TEXT)
    at: str | int | None = None


def _json(body: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def _moment(name: str, given: str | int | None, default: int) -> int:
    return moment_of(name, None if given is None else str(given), default)


def source_of(node: Node) -> Source:
    assert node.ledger is not None
    return Source(node.ledger, node.store, node.registry, node.settings)


def told(incident: Incident) -> dict[str, Any]:
    """An incident as JSON says it: levels by name."""
    said: dict[str, Any] = msgspec.to_builtins(incident)
    return said | {"level": incident.level.name.lower()}


def propose(source: Source, new: New, language: Language, now: int) -> tuple[Draft, Origin]:
    """The draft that a request asks for, filled from what is known. Raises RefusedError, RequestError."""
    _ = translator(language)
    registry = source.registry
    with source.ledger.reading() as connection:
        if new.alarms is not None:
            found = [alarms.get(connection, id) for id in new.alarms]
            names = {r.id: r.name for a in found for r in rules.at_version(connection, a.version).rules}
            districts = district_names(source.settings.layers_folder)(language)
            draft, origin = incidents.from_alarms(found, registry, names, districts, _, now=now), Origin.ALARMS
        elif new.run is not None:
            facts = truth.of_run(connection, new.run)
            if not facts:
                raise RefusedError(Refusal.INCIDENT_RUN)
            span = alarms.Filter(begin=facts[0].began, end=max(f.ended for f in facts))
            around = alarms.find(connection, span, now=now, limit=None)
            story = stories().get(facts[0].scenario)
            name = story.name if story else facts[0].scenario
            draft, origin = incidents.from_run(facts, around, registry, name, _), Origin.RUN
        else:
            begin, end = _moment("begin", new.begin, now - DAY), _moment("end", new.end, now)
            around = alarms.find(connection, alarms.Filter(begin=begin, end=end), now=now, limit=None)
            bare = Draft(title="", level=Level.NONE, begin=begin, end=end, districts=tuple(new.districts or ()))
            mine = [a for a in around if incidents.belongs(a, bare, registry)]
            draft, origin = incidents.from_range(begin, end, mine, registry, _), Origin.RANGE
    return changed(draft, new), origin


def changed(draft: Draft, head: Head) -> Draft:
    """The draft with what the request gives. Raises RequestError naming what cannot be read."""
    given: dict[str, Any] = {}
    for name in ("title", "causes"):
        if (text := getattr(head, name)) is not None:
            given[name] = text
    for name in ("districts", "devices"):
        if (ids := getattr(head, name)) is not None:
            given[name] = tuple(ids)
    for name in ("begin", "end"):
        if getattr(head, name) is not None:
            given[name] = _moment(name, getattr(head, name), 0)
    if head.level is not None:
        given["level"] = Level[head.level.upper()]
    return msgspec.structs.replace(draft, **given)


def export(source: Source, incident: int, now: int) -> tuple[Incident, Bundle]:
    """The bundle of an incident, its digest in the audit when somebody has signed in."""
    session = auth.caller()
    by = session.who if session else "—"
    with source.ledger.reading() as connection:
        found = kept.get(connection, incident)
    made = incident_record.gather(source, found, by=by, now=now)
    if session is not None:
        with source.ledger.transaction() as connection:
            kept.exported(connection, found, made.digest, by=by, at=now)
    return found, made


def take_in(ledger: Ledger, text: str, *, by: str, now: int) -> Incident:
    """A report of another installation. Raises RefusedError."""
    found = bundles.read(text)
    record = found.record
    # The incident itself; what is in the range is the bundle's
    draft = Draft(**{name: getattr(record.incident, name) for name in Draft.__struct_fields__})
    with ledger.transaction() as connection:
        parts = msgspec.json.encode(found.parts).decode()
        return kept.take_in(connection, draft, list(record.entries), parts, found.digest, by=by, at=now)


def router(node: Node) -> APIRouter:
    routes = APIRouter(tags=["incidents"])
    _add_reading(routes, node)
    _add_writing(routes, node)
    _add_exports(routes, node)
    return routes


def _add_reading(routes: APIRouter, node: Node) -> None:
    source, clock = source_of(node), node.clock

    @routes.get("/api/v1/incidents")
    def listed(
        text: str = "",
        level: LevelName | None = None,
        state: State | None = None,
        from_: Annotated[str | None, Query(alias="from")] = None,
        to: str | None = None,
        limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
    ) -> Response:
        """Those with this text in title, causes or notes, of this level and state, in the range; latest first."""
        wanted = kept.Filter(
            text=text,
            levels=frozenset({Level[level.upper()]} if level else ()),
            states=frozenset({state} if state else ()),
            begin=None if from_ is None else moment_of("from", from_, 0),
            end=None if to is None else moment_of("to", to, 0),
        )
        with source.ledger.reading() as connection:
            return _json({"incidents": [told(i) for i in kept.find(connection, wanted, limit=limit)]})

    @routes.get("/api/v1/incidents/{incident}")
    def one(incident: int) -> Response:
        """One with its notes and bookmarks, alarms, participants, and the extremes of what its report charts."""
        with source.ledger.reading() as connection:
            found = kept.get(connection, incident)
            entries = kept.entries(connection, incident)
        record = incident_record.gather(source, found, by="", now=clock.now()).record
        return _json(
            {
                "incident": told(found),
                "entries": entries,
                "alarms": record.alarms,
                "participants": record.participants,
                "figures": record.figures,
                "facts": record.facts,
            }
        )


def _add_writing(routes: APIRouter, node: Node) -> None:
    source, clock = source_of(node), node.clock

    @routes.post("/api/v1/incidents")
    def create(new: New, lang: str | None = None) -> Response:
        """Make one from alarms, from a run of a scenario, or from a range."""
        by, now = auth.require(Right.ALARMS).who, clock.now()
        draft, origin = propose(source, new, language_of(lang, node.settings.language), now)
        with source.ledger.transaction() as connection:
            return _json(told(kept.create(connection, draft, origin, by=by, at=now)), 201)

    @routes.post("/api/v1/incidents/import")
    async def import_(request: Request) -> Response:
        """Take in a report of another installation: the HTML file is the body. No observation enters the store."""
        by = auth.require(Right.ALARMS).who
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > bundles.LARGEST:
                raise RequestError(413, f"a report has at most {bundles.LARGEST} bytes")
        text = body.decode("utf-8", errors="replace")
        return _json(told(take_in(source.ledger, text, by=by, now=clock.now())), 201)

    @routes.patch("/api/v1/incidents/{incident}")
    def change(incident: int, head: Head) -> Response:
        """Change what is given of it."""
        by = auth.require(Right.ALARMS).who
        with source.ledger.transaction() as connection:
            found = kept.get(connection, incident)
            draft = changed(Draft(**{f: getattr(found, f) for f in Draft.__struct_fields__}), head)
            return _json(told(kept.change(connection, incident, draft, by=by, at=clock.now())))

    @routes.post("/api/v1/incidents/{incident}/close")
    def close(incident: int) -> Response:
        """It is dealt with."""
        by = auth.require(Right.ALARMS).who
        with source.ledger.transaction() as connection:
            return _json(told(kept.close(connection, incident, by=by, at=clock.now())))

    @routes.post("/api/v1/incidents/{incident}/reopen")
    def reopen(incident: int) -> Response:
        """It is not."""
        by = auth.require(Right.ALARMS).who
        with source.ledger.transaction() as connection:
            return _json(told(kept.reopen(connection, incident, by=by, at=clock.now())))

    @routes.post("/api/v1/incidents/{incident}/{kind}")
    def write(incident: int, kind: Literal["notes", "bookmarks"], said: Said) -> Response:
        """Write a note, or mark a moment of it: the report shows the map then."""
        by, now = auth.require(Right.ALARMS).who, clock.now()
        at = None if said.at is None else _moment("at", said.at, now)
        entry = EntryKind.NOTE if kind == "notes" else EntryKind.BOOKMARK
        with source.ledger.transaction() as connection:
            return _json(kept.write(connection, incident, entry, said.text, moment=at, by=by, at=now), 201)


def _add_exports(routes: APIRouter, node: Node) -> None:
    source, clock = source_of(node), node.clock

    @routes.get("/api/v1/incidents/{incident}/report.html")
    def report(incident: int, lang: str | None = None) -> Response:
        """The report: one file that opens from disk, with all its data."""
        _, made = export(source, incident, clock.now())
        return Response(page.render(made, language_of(lang, node.settings.language)), media_type="text/html")

    @routes.get("/api/v1/incidents/{incident}/bundle")
    def bundle(incident: int, lang: str | None = None) -> Response:
        """The same file to be kept: it can be imported elsewhere."""
        _, made = export(source, incident, clock.now())
        text = page.render(made, language_of(lang, node.settings.language))
        return Response(text, media_type="text/html", headers=_saved(incident, "html"))

    @routes.get("/api/v1/incidents/{incident}/data.csv")
    def data_csv(incident: int) -> Response:
        """The observations of the devices concerned."""
        _, made = export(source, incident, clock.now())
        return Response(
            made.parts["observations"], media_type="text/csv; charset=utf-8", headers=_saved(incident, "csv")
        )

    @routes.get("/api/v1/incidents/{incident}/data.parquet")
    def data_parquet(incident: int) -> Response:
        """The same as Parquet: device, at, received (UTC ms), a column a metric."""
        _, made = export(source, incident, clock.now())
        return Response(parquet(made), media_type="application/vnd.apache.parquet", headers=_saved(incident, "parquet"))

    @routes.get("/api/v1/incidents/{incident}/data.geojson")
    def data_geojson(incident: int) -> Response:
        """The devices concerned as points, each with its alarms and the extremes of its metrics."""
        _, made = export(source, incident, clock.now())
        return Response(
            msgspec.json.encode(geojson(made)), media_type="application/geo+json", headers=_saved(incident, "geojson")
        )


def _saved(incident: int, form: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="incident-{incident}.{form}"'}


def parquet(made: Bundle) -> bytes:
    metrics = sorted({m for o in made.observations for m in o.values})
    columns: dict[str, Any] = {
        "device": pa.array([o.device for o in made.observations], pa.string()),
        "at": pa.array([o.at for o in made.observations], pa.timestamp("ms", "UTC")),
        "received": pa.array([o.received for o in made.observations], pa.timestamp("ms", "UTC")),
    } | {m: pa.array([o.values.get(m) for o in made.observations], pa.float64()) for m in metrics}
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def geojson(made: Bundle) -> dict[str, Any]:
    record = made.record
    features = [
        {
            "type": "Feature",
            "id": d.id,
            "geometry": {"type": "Point", "coordinates": [d.lon, d.lat]},
            "properties": {
                "name": d.name,
                "kind": d.kind,
                "district": d.district,
                "schematic": d.schematic,
                "alarms": [
                    {
                        "id": a.id,
                        "rule": a.rule,
                        "highest": a.highest.name.lower(),
                        "raised": a.opened,
                        "cleared": a.closed,
                    }
                    for a in record.alarms
                    if a.subject == d.id
                ],
                "figures": [f for f in record.figures if f.device == d.id],
            },
        }
        for d in record.devices
    ]
    return {
        "type": "FeatureCollection",
        "name": f"incident-{record.incident.id}",
        "incident": told(record.incident),
        "features": features,
    }
