"""Replay over HTTP: the frames of a span, the wall's views, the time line, exact values, and how far the past goes.

A span is `from`, `to` (exclusive) and `step` (seconds); `view` is `then` (as known then) or `now` (as known now): see
`twin.replay`. What is asked for is bounded, so that no request can take the process down; a larger span is to be asked
for in parts.
"""

import gzip
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from hashlib import sha256
from typing import Annotated, Any, NamedTuple

import msgspec
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from dashboards.api import RequestError, answer, moment_of
from dashboards.i18n import language_of, translator
from dashboards.node import Node, district_names
from dashboards.views.wall import wall
from twin import kpi, replay
from twin.clock import DAY, HOUR, SECOND
from twin.ledger import rules, simulated
from twin.past import Past
from twin.replay import Span, View
from twin.rerun import rerun
from twin.rules import Book, Rule, validate
from twin.timeline import timeline as past_line

MOST_STEPS = 3_600
MOST_ROWS = 3_000_000  # observations read for one answer
MOST_VIEWS = 240
MOST_RANGE = 31 * DAY  # on one time line
MOST_RERUN = 2 * DAY
MOST_TOLD = 20_000  # transitions
KEPT_BYTES = 32 << 20
AT_A_TIME = 2  # answers being made; the rest wait


class Rerun(BaseModel):
    """A range, and the rules to be tried on it: those of a `version`, or `rules` as the rulebook has them; without
    either, those in force."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    from_: str = Field(alias="from")
    to: str
    version: int | None = None
    rules: list[dict[str, Any]] | None = Field(None, max_length=100)


From = Annotated[str, Query(alias="from")]


def router(node: Node) -> APIRouter:
    api = APIRouter(prefix="/api/v1/replay", tags=["replay"])
    settings = node.settings
    assert node.ledger is not None
    ledger = node.ledger
    past = Past(
        node.registry,
        node.store,
        node.ledger,
        grace=settings.engine.grace_periods,
        ahead=settings.ingest.future_s * SECOND,
    )
    kept = Kept(KEPT_BYTES)
    busy = threading.BoundedSemaphore(AT_A_TIME)
    grouping = kpi.Grouping(node.registry)
    names = {d.id: d.name for d in node.registry}
    districts = district_names(settings.layers_folder)

    @api.get("/frames")
    def frames(request: Request, from_: From, to: str, step: float = 1, view: View = View.THEN) -> Response:
        """The frames of a span as one chunk (twin/replay.py has its form): a key, then what changes at each step."""
        span = _span(past, from_, to, step, node.clock.now(), MOST_STEPS)
        settled = _settled(node, view, span)

        def made() -> bytes:
            with busy:
                return replay.encode(past.chunk(view, span))

        body = kept.get((view, span), node.clock.now(), made) if settled else _packed(made())
        return _lasting(request, body, "application/octet-stream", settled=settled)

    @api.get("/views")
    def views(
        request: Request, from_: From, to: str, step: float = 60, view: View = View.THEN, lang: str | None = None
    ) -> Response:
        """What the wall says at each step of a span: [{at, view}]."""
        span = _span(past, from_, to, step, node.clock.now(), MOST_VIEWS)
        language = language_of(lang, settings.language)
        with ledger.reading() as connection:
            spans = simulated.between(connection, span.begin, span.last + 1)
        with busy:
            found = [
                {
                    "at": m.at,
                    "view": wall(
                        kpi.indicators(grouping, m.zone, m.hours, m.at),
                        language,
                        simulated=settings.simulate.on or any(b <= m.at < e for b, e in spans),
                        ringing=m.ringing,
                        names=names,
                        districts=districts(language),
                    ),
                }
                for m in past.moments(view, span)
            ]
        body = _packed(msgspec.json.encode(found))
        return _lasting(request, body, "application/json", settled=_settled(node, view, span))

    @api.get("/timeline")
    def timeline(request: Request, from_: From, to: str, view: View = View.THEN, lang: str | None = None) -> Response:
        """What happened in a range, for a time line: counts by bucket (`at` is where each begins; `width` ms), open
        alarms by level and devices not known at that time, gateways that were away, and what was told or changed.
        """
        begin, end = _range(node, from_, to, MOST_RANGE)
        with busy:
            line = past_line(past, view, begin, end)
        _ = translator(language_of(lang, settings.language))
        facts = [msgspec.structs.replace(fact, what=_(fact.what)) for fact in line.facts]
        body = _packed(msgspec.json.encode(msgspec.structs.replace(line, facts=facts)))
        return _lasting(request, body, "application/json", settled=False)

    @api.get("/extent")
    def extent() -> Response:
        """From when to when there is something to replay: the first reading stored, and the present."""
        return answer({"from": node.store.begins(), "to": node.clock.now()})

    @api.get("/values")
    def values(at: str, view: View = View.THEN, devices: str | None = None) -> Response:
        """Exact values at a time: of each device (`devices`: ids parted by commas; default all) its last observation,
        whether that still counted (known, unknown or never), and its alarm level.
        """
        instant, wanted = _instant(node, at), _wanted(node, devices)
        with busy:
            zone = past.moment(view, instant).zone
        known = zone.known(instant)
        found = [
            {
                "device": name,
                "state": "never" if zone.last[i] is None else "known" if known[i] else "unknown",
                "level": int(zone.level[i]),
                "observation": zone.last[i],
            }
            for name in wanted
            for i in (node.registry.index[name],)
        ]
        return answer({"at": instant, "view": view, "devices": found})

    @api.get("/differences")
    def differences(at: str) -> Response:
        """The devices of which something else was known then than is known now, and why: `late`, `corrected`, `ahead`
        (its clock) or `alarm`.
        """
        instant = _instant(node, at)
        with busy:
            return answer({"at": instant, "devices": past.differences(instant)})

    @api.post("/rerun")
    def run_again(asked: Rerun, lang: str | None = None) -> Response:
        """What the rules of a version, or a draft, would have made of a range, on all that is stored today. What is
        told begins before `from` by the rules' delays, so that what was open then is there. `names`: of the rules.
        """
        begin, end = _range(node, asked.from_, asked.to, MOST_RERUN)
        assert node.ledger is not None
        if asked.version is not None and asked.rules is not None:
            raise RequestError(422, "give either version or rules", parameter="version")
        with node.ledger.reading() as connection:
            if asked.rules is not None:
                book = Book(0, _drafted(node, asked.rules))
            elif asked.version is not None:
                book = rules.at_version(connection, asked.version)
            else:
                book = rules.current(connection)
        with busy:
            found = rerun(node.registry, node.store, book.rules, book.version, begin, end)
        _ = translator(language_of(lang, settings.language))
        return answer(
            {
                "from": begin,
                "to": end,
                "version": book.version,
                "names": {rule.id: _(rule.name) for rule in book.rules},
                "told": len(found),
                "transitions": found[:MOST_TOLD],
            }
        )

    return api


def _instant(node: Node, at: str) -> int:
    now = node.clock.now()
    found = moment_of("at", at, now)
    if found > now:
        raise RequestError(422, f"at={at!r} is in the future; the present is {now}", parameter="at")
    return found


def _wanted(node: Node, devices: str | None) -> list[str]:
    wanted = [d.id for d in node.registry] if devices is None else devices.split(",")
    for device in wanted:
        if device not in node.registry:
            near = get_close_matches(device, node.registry.index, n=3)
            raise RequestError(404, f"device {device!r} is not in the registry", parameter="devices", near=near)
    return wanted


def _range(node: Node, from_: str, to: str, most: int) -> tuple[int, int]:
    now = node.clock.now()
    begin, end = moment_of("from", from_, now), min(moment_of("to", to, now), now)
    if not begin < end <= begin + most:
        raise RequestError(
            422, f"from ({begin}) to ({end}): allowed are up to {most // DAY} days of the past", parameter="from"
        )
    return begin, end


def _drafted(node: Node, drafts: Sequence[Any]) -> tuple[Rule, ...]:
    try:
        drafted = tuple(msgspec.convert(draft, Rule) for draft in drafts)
    except msgspec.ValidationError as error:
        raise RequestError(422, f"rules: {error}", parameter="rules") from None
    problems = [f"{rule.id}: {problem}" for rule in drafted for problem in validate(rule, node.registry)]
    if problems:
        raise RequestError(422, "; ".join(problems), parameter="rules")
    return drafted


def _span(past: Past, from_: str, to: str, step: float, now: int, most: int) -> Span:
    """Raises RequestError saying what is allowed."""
    begin, end = moment_of("from", from_, now), moment_of("to", to, now)
    if begin >= end:
        raise RequestError(422, f"from ({begin}) must be before to ({end})", parameter="from")
    if begin > now:
        raise RequestError(422, f"from ({begin}) is in the future; the present is {now}", parameter="from")
    if not 1 <= step <= 86_400:
        raise RequestError(422, f"step={step:g}: allowed are 1 to 86400 seconds", parameter="step")
    # Of the future nothing is known: the last frame is that of the present
    span = Span(begin, min(end, now + 1), round(step * SECOND))
    if span.steps > most:
        raise RequestError(422, f"{span.steps} steps: at most {most} in one answer; ask for parts", parameter="to")
    if past.rows(span) > MOST_ROWS:
        raise RequestError(
            422, "too much for one answer: ask for a shorter span, or for steps of an hour", parameter="to"
        )
    return span


def _settled(node: Node, view: View, span: Span) -> bool:
    """Whether the answer stays the same: all that was known by then is stored, but for what waits in a spool."""
    return view is View.THEN and node.clock.now() - span.end > HOUR


class Body(NamedTuple):
    packed: bytes  # gzip
    tag: str


def _packed(body: bytes) -> Body:
    return Body(gzip.compress(body, 6, mtime=0), f'"{sha256(body).hexdigest()[:24]}"')


class Kept:
    """The answers asked for last, packed, for at most an hour: several watch the same past, and play it in a loop."""

    def __init__(self, most: int) -> None:
        """`most`: bytes."""
        self._most, self._size = most, 0
        self._lock = threading.Lock()
        self._bodies: OrderedDict[tuple[View, Span], tuple[int, Body]] = OrderedDict()

    def get(self, key: tuple[View, Span], now: int, made: Callable[[], bytes]) -> Body:
        with self._lock:
            found = self._bodies.get(key)
            if found is not None and now - found[0] < HOUR:
                self._bodies.move_to_end(key)
                return found[1]
        body = _packed(made())
        with self._lock:
            before = self._bodies.pop(key, None)
            self._size += len(body.packed) - (len(before[1].packed) if before else 0)
            self._bodies[key] = now, body
            while self._size > self._most:
                _, (_, oldest) = self._bodies.popitem(last=False)
                self._size -= len(oldest.packed)
        return body


def _lasting(request: Request, body: Body, kind: str, settled: bool) -> Response:
    """A body that a browser may keep: for an hour when it is settled, else to be asked for again by its ETag."""
    headers = {
        "ETag": body.tag,
        "Vary": "Accept-Encoding, Cookie",
        "Cache-Control": "private, max-age=3600, immutable" if settled else "private, no-cache",
    }
    if request.headers.get("if-none-match") == body.tag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(body.packed, media_type=kind, headers=headers | {"Content-Encoding": "gzip"})
    return Response(gzip.decompress(body.packed), media_type=kind, headers=headers)
