"""The HTTP interface to the work on alarms: find them, acknowledge, comment, assign, shelve; silences, devices out of
service, and how well the alarms serve those who work on them.

What a person may not do is refused with 401 or 403, what cannot be done with 404, 409 or 422; each answer says why.
"""

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from dashboards import auth
from dashboards.api import RequestError, answer, moment_of
from dashboards.node import Node
from twin.access import Right
from twin.clock import DAY, MINUTE
from twin.episodes import Alarm, State, district_of, gateway_of, subjects
from twin.ledger import Ledger, alarm_health, alarms, rules, silences
from twin.observation import Domain
from twin.silences import Purpose, Scope
from twin.standards import Level

MOST = 1_000
LONGEST_REPORT = 92 * DAY
LEVELS = {level.name.lower(): level for level in Level if level}
LevelName = Literal["blue", "yellow", "orange", "red"]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Said(Body):
    text: str = ""


class Many(Body):
    """`ids`: at most MOST."""

    ids: list[int] = Field(min_length=1, max_length=MOST)
    text: str = ""


class Shelf(Body):
    """`until`: UTC ms or RFC 3339; or `minutes` from now."""

    until: int | str | None = None
    minutes: float | None = Field(None, gt=0)
    reason: str


class Assignment(Body):
    """`to`: a user, or null for nobody."""

    to: str | None


class NewSilence(Body):
    """`scope`: rules, groups, subjects, domains, districts, gateways; a list that is left out is all of its kind.

    `begins` (default: now) and `ends`: UTC ms or RFC 3339.
    """

    purpose: Purpose = Purpose.SILENCE
    scope: dict[str, list[str]]
    begins: int | str | None = None
    ends: int | str
    reason: str


class Service(Body):
    """`subject`: a device, `district:<id>` or `gateway:<id>`; `out`: false brings it back."""

    subject: str
    out: bool
    reason: str = ""


def router(node: Node) -> APIRouter:
    api = APIRouter(prefix="/api/v1", tags=["alarms"])
    registry, clock = node.registry, node.clock
    assert node.ledger is not None
    ledger: Ledger = node.ledger

    def described(alarm: Alarm, names: dict[str, str]) -> dict[str, Any]:
        subject = alarm.subject
        return _plain(alarm) | {
            "level": alarm.level.name.lower() if alarm.level else "none",
            "highest": alarm.highest.name.lower(),
            "state": alarm.state,
            "hidden": alarm.hidden(clock.now()),
            "ruleName": names.get(alarm.rule, alarm.rule),
            "subjectName": registry[subject].name if subject in registry else subject,
            "district": district_of(subject, registry),
            "gateway": gateway_of(subject, registry),
        }

    def changed(alarm: Alarm) -> Response:
        return answer({"alarm": described(alarm, {})})

    @api.get("/alarms")
    def find(
        state: Annotated[list[State] | None, Query()] = None,
        level: Annotated[list[LevelName] | None, Query()] = None,
        rule: Annotated[list[str] | None, Query()] = None,
        group: Annotated[list[str] | None, Query()] = None,
        device: Annotated[list[str] | None, Query()] = None,
        domain: Domain | None = None,
        district: str | None = None,
        gateway: str | None = None,
        assigned: str | None = None,
        hidden: bool | None = None,
        from_: Annotated[str | None, Query(alias="from")] = None,
        to: str | None = None,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> Response:
        """Alarms, the unacknowledged first, then by level and age. `from`, `to`: those open at some time between."""
        on: frozenset[str] | None = frozenset(device) if device else None
        if domain or district or gateway:
            there = subjects(registry, domain=domain, district=district, gateway=gateway)
            on = there if on is None else on & there
        wanted = alarms.Filter(
            states=frozenset(state or ()),
            levels=frozenset(LEVELS[name] for name in level or ()),
            rules=frozenset(rule or ()),
            groups=frozenset(group or ()),
            subjects=on,
            assigned_to=assigned,
            hidden=hidden,
            begin=moment_of("from", from_, None),
            end=moment_of("to", to, None),
        )
        now = clock.now()
        with ledger.reading() as connection:
            names = {r.id: r.name for r in rules.current(connection).rules}
            found = alarms.find(connection, wanted, now=now, limit=limit, offset=offset)
            total = alarms.count(connection, wanted, now=now)
        return answer({"now": now, "total": total, "offset": offset, "alarms": [described(a, names) for a in found]})

    @api.get("/alarms/health")
    def health(
        from_: Annotated[str | None, Query(alias="from")] = None,
        to: str | None = None,
    ) -> Response:
        """How well the alarms serve those who work on them, by EEMUA 191 and ISA-18.2 (default: the last 24 h)."""
        end = moment_of("to", to, clock.now())
        begin = moment_of("from", from_, end - DAY)
        if not begin < end <= begin + LONGEST_REPORT:
            raise RequestError(
                422, f"from must be before to, by at most {LONGEST_REPORT // DAY} days", parameter="from"
            )
        with ledger.reading() as connection:
            made = alarm_health.of(connection, registry, begin, end, node.settings.alarms)
        names = {level: level.name.lower() for level in made.levels}
        levels = {names[level]: n for level, n in made.levels.items()}
        measures = [_plain(m) | {"within": m.within} for m in made.measures]
        return answer(_plain(made) | {"levels": levels, "measures": measures})

    @api.get("/alarms/{alarm}")
    def one(alarm: int) -> Response:
        """One alarm with its transitions, what people said and did about it, and the rule as it stands."""
        with ledger.reading() as connection:
            book = rules.current(connection)
            found = alarms.get(connection, alarm)
            said = alarms.transitions(connection, found.opened, clock.now() + DAY, alarm=alarm)
            notes = alarms.notes(connection, alarm)
        rule = next((r for r in book.rules if r.id == found.rule), None)
        return answer(
            {
                "alarm": described(found, {r.id: r.name for r in book.rules}),
                "transitions": [_plain(t) | {"level": t.level.name.lower(), "was": t.was.name.lower()} for t in said],
                "notes": notes,
                "rule": rule,
            }
        )

    @api.post("/alarms/ack")
    def acknowledge_many(body: Many) -> Response:
        """Acknowledge these; those that somebody has acknowledged are left as they are, and counted."""
        who = auth.require(Right.ALARMS).who
        with ledger.transaction() as connection:
            done = alarms.acknowledge_all(connection, body.ids, by=who, at=clock.now(), text=body.text)
        return answer({"acknowledged": [a.id for a in done], "left": len(set(body.ids)) - len(done)})

    @api.post("/alarms/{alarm}/ack")
    def acknowledge(alarm: int, body: Said) -> Response:
        who = auth.require(Right.ALARMS).who
        with ledger.transaction() as connection:
            return changed(alarms.acknowledge(connection, alarm, by=who, at=clock.now(), text=body.text))

    @api.post("/alarms/{alarm}/comment")
    def comment(alarm: int, body: Said) -> Response:
        who = auth.require(Right.ALARMS).who
        with ledger.transaction() as connection:
            return changed(alarms.comment(connection, alarm, body.text, by=who, at=clock.now()))

    @api.post("/alarms/{alarm}/assign")
    def assign(alarm: int, body: Assignment) -> Response:
        who = auth.require(Right.ALARMS).who
        with ledger.transaction() as connection:
            return changed(alarms.assign(connection, alarm, body.to, by=who, at=clock.now()))

    @api.post("/alarms/{alarm}/shelve")
    def shelve(alarm: int, body: Shelf) -> Response:
        """Out of sight until then, at most seven days; all that its rule raises on its subject."""
        who, now = auth.require(Right.ALARMS).who, clock.now()
        until = now + round(body.minutes * MINUTE) if body.minutes else moment_of("until", body.until, None)
        if until is None:
            raise RequestError(422, "until or minutes: one of them says when the shelf ends", parameter="until")
        with ledger.transaction() as connection:
            return changed(alarms.shelve(connection, alarm, until, by=who, at=now, reason=body.reason))

    @api.post("/alarms/{alarm}/unshelve")
    def unshelve(alarm: int) -> Response:
        who = auth.require(Right.ALARMS).who
        with ledger.transaction() as connection:
            return changed(alarms.unshelve(connection, alarm, by=who, at=clock.now()))

    @api.get("/silences")
    def silences_now() -> Response:
        """Silences and maintenance windows in force, and those to come."""
        now = clock.now()
        with ledger.reading() as connection:
            return answer(
                {
                    "now": now,
                    "inForce": silences.in_force(connection, now),
                    "coming": silences.coming(connection, now),
                }
            )

    @api.post("/silences", status_code=201)
    def silence(body: NewSilence) -> Response:
        who, now = auth.require(Right.SILENCES).who, clock.now()
        try:
            scope = msgspec.convert(body.scope, Scope)
        except msgspec.ValidationError as error:
            raise RequestError(422, f"scope: {error}", parameter="scope", allowed=Scope.__struct_fields__) from None
        begins, ends = moment_of("begins", body.begins, None), moment_of("ends", body.ends, None)
        assert ends is not None
        with ledger.transaction() as connection:
            made = silences.add(
                connection,
                body.purpose,
                scope,
                now if begins is None else begins,
                ends,
                by=who,
                at=now,
                reason=body.reason,
            )
        return answer({"silence": made}, 201)

    @api.post("/silences/{silence}/end")
    def end(silence: int) -> Response:
        who = auth.require(Right.SILENCES).who
        with ledger.transaction() as connection:
            silences.end(connection, silence, by=who, at=clock.now())
        return answer({"ended": silence})

    @api.get("/service")
    def out_of_service() -> Response:
        """What is out of service, since when, by whom and why."""
        with ledger.reading() as connection:
            return answer({"now": clock.now(), "out": alarms.out(connection)})

    @api.post("/service")
    def service(body: Service) -> Response:
        """Take a device (or district or gateway) out of service, or back into it."""
        who, now = auth.require(Right.SILENCES).who, clock.now()
        if body.out and body.subject not in registry and ":" not in body.subject:
            raise RequestError(404, f"device {body.subject!r} is not in the registry", parameter="subject")
        with ledger.transaction() as connection:
            if body.out:
                alarms.out_of_service(connection, body.subject, by=who, at=now, reason=body.reason)
            else:
                alarms.in_service(connection, body.subject, by=who, at=now)
            return answer({"out": alarms.out(connection)})

    return api


def _plain(struct: msgspec.Struct) -> dict[str, Any]:
    return {_camel(name): getattr(struct, name) for name in struct.__struct_fields__}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return name if any(part.isdigit() for part in rest) else first + "".join(part.capitalize() for part in rest)
