"""What the alarms page says: the list, one alarm with its story, and the curve it stands on. Pure.

A level is a colour, a word and a shape, so that it is read without colours too. Text is in the reader's language, a
time is the zone's; nothing here asks the clock.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboards.i18n import DOMAIN_LABELS, Translate
from ingest.announcer import scale
from twin import wording
from twin.alerts import Kind, Transition
from twin.clock import DAY, HOUR, MINUTE, local
from twin.episodes import STATE_LABELS, Alarm, Bundle, Cause, State, district_of, gateway_of
from twin.ledger.alarms import Note
from twin.observation import METRICS
from twin.registry import Registry
from twin.rules import Book, Condition, Rule
from twin.standards import Level

SHAPES = {Level.BLUE: "●", Level.YELLOW: "▲", Level.ORANGE: "◆", Level.RED: "■", Level.NONE: "○"}
NAMES = {Level.BLUE: "Blue", Level.YELLOW: "Yellow", Level.ORANGE: "Orange", Level.RED: "Red", Level.NONE: "None"}
COLOURS = {Level.BLUE: "#4aa3ff", Level.YELLOW: "#ffd60a", Level.ORANGE: "#ff8c1a", Level.RED: "#ff4d4f"}

# Message ids
KINDS: Mapping[Kind, str] = {
    Kind.RAISED: "Raised to {level}",
    Kind.CHANGED: "Changed to {level}",
    Kind.CLEARED: "Cleared",
    Kind.UNKNOWN: "No data any more",
    Kind.KNOWN: "Data again",
}
ACTIONS: Mapping[str, str] = {
    "acknowledge": "{by} acknowledged",
    "comment": "{by} wrote",
    "assign": "{by} assigned it to",
    "shelve": "{by} shelved it",
    "unshelve": "{by} took it off the shelf",
}


@dataclass(frozen=True)
class Context:
    """What the texts are made with: `districts` names by id, `late` the ids of alarms that have waited too long."""

    registry: Registry
    book: Book
    districts: Mapping[str, str]
    late: frozenset[int]
    now: int
    translate: Translate

    def rule(self, id: str) -> Rule | None:
        return next((rule for rule in self.book.rules if rule.id == id), None)

    def name(self, rule: str) -> str:
        found = self.rule(rule)
        return self.translate(found.name) if found else rule

    def place(self, subject: str) -> str:
        if subject in self.registry:
            return self.registry[subject].name
        id = subject.partition(":")[2]
        return self.districts.get(id, id or subject)


def row(alarm: Alarm, with_: Context) -> dict[str, Any]:
    """One line of the list. It changes only when the alarm does, or once a minute."""
    _ = with_.translate
    level = alarm.level or alarm.highest
    return {
        "id": str(alarm.id),
        "level": int(level),
        "levelText": said(level, _),
        "tone": level.name.lower(),
        "rule": with_.name(alarm.rule),
        "place": with_.place(alarm.subject),
        "subject": alarm.subject,
        "district": with_.districts.get(district_of(alarm.subject, with_.registry), ""),
        "value": value(alarm, with_),
        "opened": alarm.opened,
        "since": moment(alarm.opened, with_.now),
        "lasted": span((alarm.closed or with_.now) - alarm.opened, _),
        "state": state(alarm, with_),
        "waits": alarm.state in (State.UNACKNOWLEDGED, State.RETURNED),
        "late": alarm.id in with_.late,
        "assigned": alarm.assigned_to or "",
    }


def said(level: Level, _: Translate) -> str:
    return f"{SHAPES[level]} {_(NAMES[level])}"


def value(alarm: Alarm, with_: Context) -> str:
    rule = with_.rule(alarm.rule)
    if alarm.unknown or rule is None:
        return with_.translate("no data") if alarm.unknown else "—"
    unit, decimals = scale(rule)
    return wording.shown(alarm.value, unit, decimals, with_.translate) or "—"


def state(alarm: Alarm, with_: Context) -> str:
    """As the operator calls it; what hides it comes first, what has waited too long is said."""
    _ = with_.translate
    if alarm.out_of_service:
        return _("Out of service")
    if alarm.hidden(with_.now):
        return _("Shelved until {time}").format(time=moment(alarm.shelved_until or 0, with_.now))
    text = _(STATE_LABELS[alarm.state])
    return f"{text} · {_('overdue')}" if alarm.id in with_.late else text


def moment(at: int, now: int) -> str:
    """The clock of today, else with its day."""
    then = local(at)
    return f"{then:%H:%M:%S}" if then.date() == local(now).date() else f"{then:%m-%d %H:%M}"


def span(milliseconds: int, _: Translate) -> str:
    """The two largest units, down to minutes."""
    minutes = max(0, milliseconds) // MINUTE
    if minutes < 1:
        return _("under 1 min")
    if minutes < 60:
        return _("{n} min").format(n=minutes)
    if minutes < 24 * 60:
        return _("{h} h {m} min").format(h=minutes // 60, m=minutes % 60)
    return _("{d} d {h} h").format(d=minutes // 1440, h=minutes % 1440 // 60)


def matches(found: Mapping[str, Any], text: str) -> bool:
    return not text or any(
        text.lower() in str(found[k]).lower() for k in ("rule", "place", "subject", "district", "assigned")
    )


def chip(bundle: Bundle, cause: Cause, with_: Context) -> dict[str, Any]:
    """One cause above the list: its name, how many alarms, how many of them wait."""
    _ = with_.translate
    match cause:
        case Cause.RULE:
            name = with_.name(bundle.key)
        case Cause.DISTRICT:
            name = with_.districts.get(bundle.key, bundle.key)
        case Cause.GATEWAY:
            name = bundle.key
    return {
        "key": bundle.key,
        "name": name or _("Without one"),
        "level": said(bundle.highest, _),
        "tone": bundle.highest.name.lower(),
        "count": len(bundle.alarms),
        "waiting": bundle.unacknowledged,
    }


# --- one alarm ---


@dataclass(frozen=True)
class Moment:
    """A line of its story: `tone` a level's name, `person` or `none`."""

    at: int
    when: str
    what: str
    text: str
    tone: str


@dataclass(frozen=True)
class Detail:
    """`facts`: label and text; `message` and `runbook` empty where the rule has none."""

    id: int
    level: str
    tone: str
    rule: str
    place: str
    state: str
    late: bool
    message: str
    runbook: str
    facts: tuple[tuple[str, str], ...]
    story: tuple[Moment, ...]
    links: tuple[tuple[str, str], ...]


def detail(
    alarm: Alarm, said_of_it: Sequence[Transition], notes: Sequence[Note], with_: Context, language: str
) -> Detail:
    _, registry = with_.translate, with_.registry
    rule, subject = with_.rule(alarm.rule), alarm.subject
    level = alarm.level or alarm.highest
    device = registry[subject] if subject in registry.index else None
    gateway = gateway_of(subject, registry)
    end = alarm.closed or with_.now
    facts = [
        (_("Value"), value(alarm, with_)),
        (_("Threshold"), _threshold(rule, level, _)),
        (_("Since"), f"{moment(alarm.opened, with_.now)} · {span(end - alarm.opened, _)}"),
        (_("Until"), moment(alarm.closed, with_.now) if alarm.closed else ""),
        (_("Highest level"), said(alarm.highest, _) if alarm.highest != level else ""),
        (_("Assigned to"), alarm.assigned_to or "—"),
        (_("District"), with_.districts.get(district_of(subject, registry), "")),
        (_("Device"), f"{device.id} · {_(DOMAIN_LABELS[device.domain])}" if device else subject),
        (_("Gateway"), gateway),
    ]
    replay = f"/replay?from={alarm.opened - 10 * MINUTE}&to={min(end + 10 * MINUTE, with_.now)}&lang={language}"
    links = [(_("On the map"), f"/?device={subject}&lang={language}")] if device else []
    links += [(_("Replay it"), replay), (_("The rule"), f"/rules?rule={alarm.rule}&lang={language}")]
    links += [(_("Make it an incident"), f"/incidents?new=alarms:{alarm.id}&lang={language}")]
    return Detail(
        id=alarm.id,
        level=said(level, _),
        tone=level.name.lower(),
        rule=with_.name(alarm.rule),
        place=with_.place(subject),
        state=state(alarm, with_),
        late=alarm.id in with_.late,
        message=_message(alarm, rule, with_) if rule else _("The rule is not in force any more"),
        runbook=_(rule.runbook) if rule and rule.runbook else "",
        facts=tuple(fact for fact in facts if fact[1]),
        story=_story(said_of_it, notes, with_),
        links=tuple(links),
    )


def _threshold(rule: Rule | None, level: Level, _: Translate) -> str:
    if rule is None or (found := rule.when[0].thresholds.get(level)) is None:
        return ""
    return wording.shown(found, *scale(rule), _)


def _message(alarm: Alarm, rule: Rule, with_: Context) -> str:
    unit, decimals = scale(rule)
    level = alarm.level or alarm.highest
    return wording.filled(
        rule.message,
        with_.translate,
        name=with_.place(alarm.subject),
        value=alarm.value,
        threshold=rule.when[0].thresholds.get(level),
        code=unit,
        decimals=decimals,
        level=with_.translate(NAMES[level]),
    )


def _story(said_of_it: Sequence[Transition], notes: Sequence[Note], with_: Context) -> tuple[Moment, ...]:
    """The newest first."""
    _ = with_.translate
    found = [
        Moment(
            t.at,
            moment(t.at, with_.now),
            _(KINDS[t.kind]).format(level=said(t.level, _)),
            _shown(t, with_),
            t.level.name.lower() if t.kind in (Kind.RAISED, Kind.CHANGED) else "none",
        )
        for t in said_of_it
    ]
    found += [
        Moment(n.at, moment(n.at, with_.now), _(ACTIONS[n.action]).format(by=n.by), n.text or "", "person")
        for n in notes
    ]
    return tuple(sorted(found, key=lambda m: -m.at))


def _shown(t: Transition, with_: Context) -> str:
    rule = with_.rule(t.rule)
    return wording.shown(t.value, *scale(rule), with_.translate) if rule else ""


# --- the curve ---

Series = Callable[[str, str, int, int], Any]


@dataclass(frozen=True)
class Curve:
    """What to read for the picture: `device` and `metric` in [begin, end), divided by `divisor`."""

    device: str
    metric: str
    begin: int
    end: int
    divisor: float
    compared: bool


def curve(alarm: Alarm, with_: Context) -> Curve | None:
    """None where there is none to show: a district has no value of its own."""
    rule = with_.rule(alarm.rule)
    if rule is None or alarm.subject not in with_.registry:
        return None
    device = with_.registry[alarm.subject]
    term = rule.when[0]
    metric = term.metric or device.headline
    if metric not in device.metrics:
        return None
    end = min(with_.now, alarm.closed + HOUR) if alarm.closed else with_.now
    begin = min(max(alarm.opened - 2 * HOUR, end - DAY), end - 3 * HOUR)
    share = device.attributes.get(term.of, 1.0) if term.of else 1.0
    compared = term.condition in (Condition.ABOVE, Condition.BELOW, Condition.OUTSIDE)
    return Curve(device.id, metric, begin, end, float(share) or 1.0, compared)


def chart(alarm: Alarm, wanted: Curve, found: Any, with_: Context) -> dict[str, Any]:
    """The value and the thresholds of the levels over the range, for `charts.mjs`."""
    _ = with_.translate
    rule = with_.rule(alarm.rule)
    assert rule is not None
    unit = scale(rule)[0] if wanted.compared else METRICS[wanted.metric].unit
    factor = 100 if unit == wording.PERCENT else 1
    series: list[dict[str, Any]] = [
        {
            "name": _(METRICS[wanted.metric].label),
            "at": found.at.tolist(),
            "values": [None if v != v else factor * v / wanted.divisor for v in found.mean.tolist()],
            "colour": "#35c6f4",
        }
    ]
    for level, threshold in rule.when[0].thresholds.items() if wanted.compared else ():
        for edge in threshold if isinstance(threshold, tuple) else (threshold,):
            ends = {"at": [wanted.begin, wanted.end], "values": [factor * edge] * 2}
            series.append({"name": said(level, _), "colour": COLOURS[level], "shade": False} | ends)
    return {
        "kind": "line",
        "unit": unit if unit == wording.PERCENT else wording.unit(unit, _),
        "from": wanted.begin,
        "to": wanted.end,
        "series": series,
    }
