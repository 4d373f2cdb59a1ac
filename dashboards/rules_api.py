"""The rulebook over HTTP: read it, see what a change would have done, save it, go back.

Who may look may also try: nothing is changed by a backtest. Saving, and going back, is for those who may change rules,
and is refused with the difference where somebody else has saved meanwhile.
"""

import asyncio
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse

from dashboards import auth
from dashboards.api import RequestError, answer, moment_of
from dashboards.backtests import Backtests, Period, Range, scope_of
from dashboards.i18n import Language, language_of, translator
from dashboards.node import Node, district_names
from dashboards.views import rules as view
from twin import backtest
from twin import rules as rulebook
from twin.access import Right
from twin.clock import DAY
from twin.ledger import Ledger, alarms, truth
from twin.ledger import rules as kept
from twin.ledger.rules import Conflict
from twin.rules import Book, Rule, RuleError

T = TypeVar("T")
MOST_DAYS = 92
MOST_WAIT_S = 60.0


class Save(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rules: tuple[Rule, ...]
    base: int
    reason: str


class RollBack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    base: int
    reason: str


class Validate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rules, or a TOML document of them."""

    rules: tuple[Rule, ...] = ()
    toml: str | None = None


class Try(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`rule` beside the one with the id `of` (default: its own) in the version `against` (default: in force); over the
    last `days`, or from `from` to `to`. `wait`: seconds until an answer must come, even if it is how far the reading
    is. `device`: whose levels over time are wanted in full."""

    rule: Rule
    of: str | None = None
    against: int | None = None
    days: int = 0
    from_: str | int | None = msgspec.field(default=None, name="from")
    to: str | int | None = None
    wait: float = 30.0
    device: str | None = None


class Look(Try, frozen=True, forbid_unknown_fields=True):
    """What the `term` of the rule sees of `device` (default: the one with most alarms) in the day around `at`."""

    term: int = 0
    at: int | None = None


def router(node: Node, backtests: Backtests) -> APIRouter:
    api = APIRouter(prefix="/api/v1/rules", tags=["rules"])
    assert node.ledger is not None
    ledger, registry, clock = node.ledger, node.registry, node.clock

    def tongue(request: Request) -> Language:
        return language_of(request.query_params.get("lang"), node.settings.language)

    @api.get("")
    def book(request: Request, version: int | None = None) -> Response:
        """The rules in force, or of an old version; how they read in the language asked for, and how many alarms each
        has raised in the last seven days."""
        with ledger.reading() as connection:
            found = kept.current(connection) if version is None else kept.at_version(connection, version)
            counts = alarms.counts(connection, clock.now() - 7 * DAY)
        texts = view.texts(found.rules, tongue(request))
        return answer({"version": found.version, "rules": found.rules, "texts": texts, "alarms": counts})

    @api.get("/export")
    def export(version: int | None = None) -> Response:
        """The rules as TOML, as `gaoxin rules export` writes them."""
        with ledger.reading() as connection:
            found = kept.current(connection) if version is None else kept.at_version(connection, version)
        name = f"gaoxin-rules-{found.version}.toml"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return PlainTextResponse(rulebook.exported(found), headers=headers)

    @api.get("/versions")
    def versions(request: Request) -> Response:
        """Every version, the newest first: author, time and reason."""
        with ledger.reading() as connection:
            return answer({"versions": view.versions(kept.versions(connection), tongue(request))})

    @api.get("/diff")
    def diff(request: Request, from_: Annotated[int, Query(alias="from")], to: int) -> Response:
        """What differs between two versions."""
        with ledger.reading() as connection:
            old, new = kept.at_version(connection, from_), kept.at_version(connection, to)
        return answer({"from": from_, "to": to, "changes": view.changes(old, new, tongue(request))})

    @api.put("", openapi_extra=_body('{"rules": […], "base": 3, "reason": "…"}'))
    async def save(request: Request) -> Response:
        """Put these rules in force as the next version."""
        who = auth.require(Right.RULES).who
        wanted, language = await _decoded(request, Save), tongue(request)
        wrong = view.problems(wanted.rules, registry, language)
        if wrong:
            raise RequestError(422, wrong[0]["text"], problems=wrong)

        def work() -> int:
            with ledger.transaction() as connection:
                return kept.commit(
                    connection, wanted.rules, author=who, reason=wanted.reason, base=wanted.base, at=clock.now()
                )

        return await _committed(work, ledger, language)

    @api.post("/rollback", openapi_extra=_body('{"version": 2, "base": 3, "reason": "…"}'))
    async def roll_back(request: Request) -> Response:
        """Put an old version in force again, as the next one."""
        who = auth.require(Right.RULES).who
        wanted = await _decoded(request, RollBack)

        def work() -> int:
            with ledger.transaction() as connection:
                return kept.roll_back(
                    connection, wanted.version, author=who, reason=wanted.reason, base=wanted.base, at=clock.now()
                )

        return await _committed(work, ledger, tongue(request))

    @api.post("/validate", openapi_extra=_body('{"rules": […]} or {"toml": "…"}'))
    async def validate(request: Request) -> Response:
        """What is wrong with these rules, and what they change of those in force. Nothing is saved."""
        wanted, language = await _decoded(request, Validate), tongue(request)
        base = None
        found = wanted.rules
        if wanted.toml is not None:
            try:
                found, base = rulebook.from_toml(wanted.toml), rulebook.exported_version(wanted.toml)
            except RuleError as error:
                raise RequestError(422, str(error)) from None

        def work() -> dict[str, Any]:
            with ledger.reading() as connection:
                now = kept.current(connection)
            changes = view.changes(now, Book(now.version, found), language)
            wrong = view.problems(found, registry, language)
            return {"rules": found, "base": base, "current": now.version, "changes": changes, "problems": wrong}

        return answer(await asyncio.to_thread(work))

    @api.post("/backtest", openapi_extra=_body('{"rule": {…}, "days": 7}'))
    async def test(request: Request) -> Response:
        """What a rule would have raised over the stored weeks, beside what the one in force did. 202 with `progress`
        while the range is still being read."""
        wanted, language = await _decoded(request, Try), tongue(request)

        def work() -> Response:
            found, old = ask(wanted, language)
            if not isinstance(found, Range):
                return answer({"progress": found}, 202)
            scope = scope_of([wanted.rule, old], registry)
            with ledger.reading() as connection:
                facts = truth.between(connection, found.begin, found.end)
            compared = backtest.compare(
                found.story(old),
                found.story(wanted.rule),
                found.begin,
                found.end,
                facts=facts,
                registry=registry,
                scope=scope,
            )
            covered = len(scope_of([wanted.rule], registry))
            subject = view.subject_of(wanted.rule, wanted.device, registry)
            _ = translator(language)
            return answer(
                view.comparison(compared, names(language), _, covered=covered, short=found.short, subject=subject)
            )

        return await asyncio.to_thread(work)

    @api.post("/values", openapi_extra=_body('{"rule": {…}, "term": 0, "days": 7}'))
    async def values(request: Request) -> Response:
        """What a condition of a rule compares, of one device in the day around `at` (default: the last one, of the
        device with most alarms)."""
        wanted, language = await _decoded(request, Look), tongue(request)

        def work() -> Response:
            found, old = ask(wanted, language)
            if not isinstance(found, Range):
                return answer({"progress": found}, 202)
            if not 0 <= wanted.term < len(wanted.rule.when):
                raise RequestError(422, f"term={wanted.term}: the rule has {len(wanted.rule.when)}", parameter="term")
            return answer(view.seen(found, wanted, old, names(language)))

        return await asyncio.to_thread(work)

    places = district_names(node.settings.layers_folder)

    def names(language: Language) -> view.Names:
        return view.Names(registry, places(language))

    def ask(wanted: Try, language: Language) -> tuple[Range | float, Rule | None]:
        wrong = view.problems([wanted.rule], registry, language)
        if wrong:
            raise RequestError(422, wrong[0]["text"], problems=wrong)
        with ledger.reading() as connection:
            book = kept.current(connection) if wanted.against is None else kept.at_version(connection, wanted.against)
        old = next((r for r in book.rules if r.id == (wanted.of or wanted.rule.id)), None)
        wait = min(max(wanted.wait, 0.0), MOST_WAIT_S)
        return backtests.ask(_span(wanted, clock.now()), [wanted.rule, old], wait=wait), old

    return api


def _span(wanted: Try, now: int) -> Period:
    if wanted.from_ is None and wanted.to is None:
        days = wanted.days or 7
        if not 1 <= days <= MOST_DAYS:
            raise RequestError(422, f"days={days}: allowed are 1 to {MOST_DAYS}", parameter="days")
        return Period(days)
    end = min(moment_of("to", wanted.to, now), now)
    begin = moment_of("from", wanted.from_, end - 7 * DAY)
    if not end - MOST_DAYS * DAY <= begin < end:
        raise RequestError(422, f"from ({begin}) must be within {MOST_DAYS} days before to ({end})", parameter="from")
    return Period(0, begin, end)


async def _decoded(request: Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except msgspec.DecodeError as error:
        raise RequestError(422, f"the body: {error}") from None


async def _committed(work: Any, ledger: Ledger, language: Language) -> Response:
    def done() -> Response:
        try:
            return answer({"version": work()})
        except Conflict as conflict:
            with ledger.reading() as connection:
                base = kept.at_version(connection, int(str(conflict.details["base"])))
            raise RequestError(
                409,
                translator(language)(conflict.reason).format(**conflict.details),
                reason="conflict",
                base=conflict.details["base"],
                current=conflict.current.version,
                changes=view.changes(base, conflict.current, language),
            ) from None

    return await asyncio.to_thread(done)


def _body(example: str) -> dict[str, Any]:
    """So much of a body that the interface's own description says what goes in."""
    return {"requestBody": {"required": True, "description": example, "content": {"application/json": {"schema": {}}}}}
