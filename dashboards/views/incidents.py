"""What the page of incidents says: the list, and the chosen one with its notes, alarms and people."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dashboards.i18n import Language, translator
from dashboards.incident_record import Look
from dashboards.report import ink
from dashboards.report.tables import ACT_LABELS
from twin.episodes import DISTRICT, STATE_LABELS, Alarm
from twin.incidents import ENTRY_LABELS, ORIGIN_LABELS, Incident, Origin, State
from twin.incidents import STATE_LABELS as INCIDENT_STATES
from twin.registry import Registry

SHOWN = 100  # alarms, and facts; the report has the others


class Card(msgspec.Struct, frozen=True):
    id: int
    title: str
    level: str
    when: str
    state: str
    open: bool


class Line(msgspec.Struct, frozen=True):
    """An alarm, an entry, a fact or a person, as a row: `level` names its colour, empty is none."""

    when: str
    what: str
    detail: str
    level: str = ""
    kind: str = ""


class Detail(msgspec.Struct, frozen=True, kw_only=True):
    """`begin`, `end` as they are typed; `replay` where the wall of then is; `fixed`: it cannot be changed here."""

    id: int
    title: str
    level: str
    begin: str
    end: str
    causes: str
    open: bool
    fixed: bool
    about: str
    where: str
    source: str
    replay: str
    entries: Sequence[Line]
    alarms: Sequence[Line]
    more_alarms: int
    people: Sequence[Line]
    facts: Sequence[Line]


def cards(found: Sequence[Incident], language: Language) -> list[Card]:
    _ = translator(language)
    return [
        Card(
            i.id,
            i.title,
            i.level.name.lower(),
            f"{typed(i.begin)} · {ink.lasting(i.end - i.begin, _)}",
            _(INCIDENT_STATES[i.state]) if i.origin is not Origin.IMPORT else _(ORIGIN_LABELS[i.origin]),
            i.state is State.OPEN,
        )
        for i in found
    ]


def typed(at: int) -> str:
    """A local time as a person types it, and as `twin.clock.parse` reads it."""
    return ink.whole(at).removesuffix(":00")


def detail(i: Incident, look: Look, registry: Registry, districts: Mapping[str, str], language: Language) -> Detail:
    """`districts`: their names by id."""
    _ = translator(language)
    about = _("{origin} · made by {who} at {time}").format(
        origin=_(ORIGIN_LABELS[i.origin]), who=i.by, time=typed(i.at)
    )
    where = [districts.get(d, d) for d in i.districts]
    where += [_("{n} devices").format(n=len(i.devices))] if i.devices else []
    return Detail(
        id=i.id,
        title=i.title,
        level=i.level.name.lower(),
        begin=typed(i.begin),
        end=typed(i.end),
        causes=i.causes,
        open=i.state is State.OPEN,
        fixed=i.origin is Origin.IMPORT,
        about=about,
        where=" · ".join(where) or _("The whole zone"),
        source=i.source,
        replay=f"/replay?from={i.begin}&to={i.end}&lang={language}",
        entries=[
            Line(typed(e.at), e.text, f"{_(ENTRY_LABELS[e.kind])} · {e.by}", kind=str(e.kind)) for e in look.entries
        ],
        alarms=[_alarm(a, look, registry, districts, language) for a in look.alarms[:SHOWN]],
        more_alarms=max(0, len(look.alarms) - SHOWN),
        people=[
            Line(p.name, "", ", ".join(f"{_(ACT_LABELS.get(a, a))} × {n}" for a, n in p.acts.items()))
            for p in look.participants
        ],
        facts=[
            Line(typed(f.began), _(f.what), _("until {time}").format(time=typed(f.ended)), f.level.name.lower())
            for f in look.facts[:SHOWN]
        ],
    )


def _alarm(a: Alarm, look: Look, registry: Registry, districts: Mapping[str, str], language: Language) -> Line:
    _ = translator(language)
    district = a.subject.removeprefix(DISTRICT)
    place = registry[a.subject].name if a.subject in registry else districts.get(district, district)
    name = _(look.names.get(a.rule, a.rule))
    return Line(typed(a.opened), f"{name} · {place}", _(STATE_LABELS[a.state]), a.highest.name.lower())


def runs(found: Sequence[tuple[str, str, int]], names: Mapping[str, str], language: Language) -> list[dict[str, Any]]:
    """The last drills as options; `names`: the scenarios' by id."""
    _ = translator(language)
    return [
        {"value": run, "label": f"{typed(at)}  {scenario} {_(names.get(scenario, scenario))}"}
        for run, scenario, at in found
    ]
