"""What the thresholds page and the rulebook's interface say: differences, problems, and two stories as a picture."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np

from dashboards.backtests import Range, scope_of
from dashboards.i18n import Language, Translate, translator
from twin import backtest
from twin import problems as sentences
from twin import rules as rulebook
from twin.backtest import Change, Comparison, Episode, Lane, Pair, Stretch
from twin.clock import DAY
from twin.episodes import DISTRICT, GATEWAY, district_of
from twin.ledger.rules import Version
from twin.observation import METRICS
from twin.registry import Registry
from twin.rules import Book, Condition, Over, Rule

WORST = 20  # lanes drawn; the rest are counted
LISTED = 200
OFFERED = 400  # devices to choose from
FINE = 1_500  # the picture is so many stretches wide at most

_PLACE = re.compile(r"^[\w.]+( = [^:：]*)?[:：]\s*")

# Message ids
KEYS: Mapping[str, str] = {
    "name": "Rule name",
    "enabled": "Enabled",
    "when": "Conditions",
    "match": "Together",
    "over": "Judged by",
    "need": "Devices needed",
    "scope": "Scope",
    "raise_after_s": "Raise delay",
    "clear_after_s": "Clear delay",
    "grace_s": "No-data grace",
    "schedule": "Hours",
    "message": "Message",
    "group": "Group",
    "channels": "Channels",
    "repeat_min": "Told again after",
    "runbook": "Runbook",
    "flap_count": "Raises without flapping",
    "flap_window_s": "Flapping window",
    "metric": "Metric",
    "condition": "Condition",
    "blue": "Blue",
    "yellow": "Yellow",
    "orange": "Orange",
    "red": "Red",
    "band": "Dead band",
    "of": "As a share of",
    "window_s": "Rate window",
    "domains": "Domains",
    "kinds": "Kinds",
    "districts": "Districts",
    "devices": "Devices",
    "where": "Attributes",
}
CHANGES: Mapping[Change, str] = {
    Change.NEW: "New alarm",
    Change.GONE: "No alarm any more",
    Change.EARLIER: "Earlier",
    Change.LATER: "Later",
    Change.HIGHER: "Higher level",
    Change.LOWER: "Lower level",
    Change.SAME: "Unchanged",
}


def texts(rules: Iterable[Rule], language: Language) -> dict[str, str]:
    """Names and messages that are message ids, in the language: those that ship."""
    _ = translator(language)
    return {text: _(text) for rule in rules for text in (rule.name, rule.message) if text}


def words(language: Language) -> dict[str, Any]:
    """The texts of the page, for its own modules."""
    _ = translator(language)
    return {
        "limits": {
            m.name: {"label": _(m.label), "unit": m.unit, "low": m.low, "high": m.high, "decimals": m.decimals}
            for m in METRICS.values()
        },
        "keys": {key: _(text) for key, text in KEYS.items()},
        "changes": {change.value: _(text) for change, text in CHANGES.items()},
        "levels": [_("Blue"), _("Yellow"), _("Orange"), _("Red")],
        "conditions": {
            "above": _("at or above"),
            "below": _("at or below"),
            "outside": _("outside of"),
            "rate": _("change a minute"),
            "absent": _("silent for"),
        },
        "attributes": {name: _(label) for name, label in ATTRIBUTES.items()},
        "matches": {"all": _("all conditions"), "any": _("any condition")},
        "overs": {"device": _("each device"), "district": _("a district"), "gateway": _("a gateway")},
        "days": {
            "mon": _("Mon"),
            "tue": _("Tue"),
            "wed": _("Wed"),
            "thu": _("Thu"),
            "fri": _("Fri"),
            "sat": _("Sat"),
            "sun": _("Sun"),
            "workday": _("Working days"),
            "restday": _("Days off"),
        },
        "search": _("Search"),
        "create": _("New rule"),
        "importRules": _("Import"),
        "exportRules": _("Export"),
        "history": _("History"),
        "save": _("Save"),
        "undo": _("Undo changes"),
        "copy": _("Copy"),
        "remove": _("Delete"),
        "unsaved": _("not saved"),
        "brandNew": _("new"),
        "off": _("off"),
        "every": _("All domains"),
        "alarms7": _("Alarms in the last 7 days"),
        "device": _("Device in the chart"),
        "term": _("Condition {n}"),
        "values": _("Measured values and levels: drag a line to change its threshold"),
        "noValues": _("No reading of a device in scope"),
        "notices": _("Text and notices"),
        "addTerm": _("Add a condition"),
        "addSpan": _("Add hours"),
        "always": _("at all hours"),
        "addAttribute": _("Add an attribute"),
        "all": _("all"),
        "whole": _("the value itself"),
        "anything": _("anything it says"),
        "covered": _("{n} devices in scope"),
        "threePeriods": _("0: three reporting periods"),
        "needHint": _("0: all of them"),
        "range": _("valid: {low} to {high} {unit}"),
        "seconds": _("s"),
        "minutes": _("{n} min"),
        "hours": _("{n} h"),
        "daysLong": _("{n} d"),
        "low": _("low end"),
        "high": _("high end"),
        "id": _("Id"),
        "back": _("What this would have done"),
        "replay": _("Re-run in the replay"),
        "replayHint": _("The day in the chart, with the alarms that these rules would have raised"),
        "since": _("stored since {time}"),
        "reading": _("Reading the stored readings: {share}"),
        "asking": _("calculating"),
        "oldRule": _("in force"),
        "newRule": _("changed"),
        "oldNew": _("upper: in force, lower: changed"),
        "alarms": _("Alarms"),
        "perDay": _("A day"),
        "most": _("Busiest day"),
        "inAlarm": _("Time in alarm"),
        "flaps": _("Flapping"),
        "subjects": _("Places"),
        "bySubject": _("By device"),
        "byDistrict": _("By district"),
        "moreLanes": _("and {n} more"),
        "noAlarms": _("No alarm in this time, neither with the one nor with the other"),
        "noChange": _("The same alarms as with the rule in force"),
        "changed": _("What changes"),
        "truth": _("Scenarios played in this time"),
        "caught": _("after {after}"),
        "missed": _("not raised"),
        "atOnce": _("at once"),
        "beside": _("Alarms outside of any scenario"),
        "day": _("Alarms by day"),
        "reason": _("Reason"),
        "reasonHint": _("Why is this changed? It is kept with the version."),
        "cancel": _("Cancel"),
        "close": _("Close"),
        "saveTitle": _("Save as the next version"),
        "saved": _("Version {version} is in force"),
        "conflictTitle": _("Somebody else has saved meanwhile"),
        "conflictText": _("Version {current} is in force, your change began at version {base}. It changed:"),
        "bothChanged": _("changed by both"),
        "rebase": _("Put my change on top of it"),
        "drop": _("Drop my change"),
        "leaveTitle": _("There are unsaved changes"),
        "leaveText": _("Drop them and go on?"),
        "stay": _("Stay here"),
        "goOn": _("Drop and go on"),
        "historyTitle": _("Versions of the rules"),
        "compareWith": _("Difference to the version before"),
        "compareNow": _("Difference to the one in force"),
        "rollback": _("Put in force again"),
        "noDifference": _("No difference"),
        "added": _("rule added"),
        "removed": _("rule removed"),
        "restores": _("version {n} again"),
        "importTitle": _("Import rules from a TOML file"),
        "importText": _("The file replaces the whole book. It would change:"),
        "apply": _("Put in force"),
        "choose": _("Choose a file"),
        "template": _("Begin with"),
        "removeTitle": _("Delete this rule"),
        "failed": _("Not done: {reason}"),
        "lost": _("The server does not answer"),
        "mayNot": _("Only an engineer may save"),
        "times": _("{n} times"),
        "empty": _("No rule is like this"),
    }


# What the attributes of the zone's own registry mean; another one is shown by its name
ATTRIBUTES = {
    "freeSpeed": "free speed",
    "capacity": "capacity",
    "length": "length",
    "lanes": "lanes",
    "area": "area",
    "homes": "homes",
    "cards": "cards",
    "pumps": "pumps",
    "roadClass": "road class",
    "noiseClass": "noise zone class",
    "use": "kind of use",
}


# ---------------------------------------------------------------- problems and differences


def problems(rules: Iterable[Rule], registry: Registry, language: Language) -> list[dict[str, str]]:
    _ = translator(language)
    found = []
    for rule in rules:
        for p in sentences.problems(rule, registry):
            places = {k: _(KEYS[str(v)]) if k in ("lower", "higher") else v for k, v in p.places.items()}
            text = _(p.message).format(**places)
            key = f"scope.{p.key}" if p.message == sentences.SCOPE_VALUE else p.key
            # At its field, a page need not say again which one it is
            found.append({"rule": rule.id, "key": key, "text": text, "short": _PLACE.sub("", text)})
    return found


def changes(old: Book, new: Book, language: Language) -> list[dict[str, Any]]:
    """Key by key, down to the threshold; `label` says where in words."""
    _ = translator(language)
    before = {rule.id: rule for rule in (*new.rules, *old.rules)}
    found = []
    for change in rulebook.diff(old, new):
        for key, a, b in _fine(change.key, change.before, change.after):
            label = " · ".join(_label(part, _) for part in key.split(".")) if key else ""
            name = _(before[change.rule].name)
            found.append({"rule": change.rule, "name": name, "key": key, "label": label, "before": a, "after": b})
    return found


def _label(part: str, _: Translate) -> str:
    return _(KEYS[part]) if part in KEYS else part


def _fine(key: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    if key == "when" and len(before) == len(after):
        for n, (a, b) in enumerate(zip(before, after, strict=True), start=1):
            for part in dict.fromkeys((*a, *b)):
                if a.get(part) != b.get(part):
                    yield f"{key}.{n}.{part}", a.get(part), b.get(part)
    elif key == "scope":
        for part in dict.fromkeys((*before, *after)):
            if before.get(part) != after.get(part):
                yield f"{key}.{part}", before.get(part), after.get(part)
    else:
        yield key, before, after


def versions(of: Iterable[Version], language: Language) -> list[Version]:
    """The first one's reason is a message id."""
    _ = translator(language)
    return [msgspec.structs.replace(v, reason=_(v.reason)) for v in of]


# ---------------------------------------------------------------- two stories


class Names:
    """What subjects are called."""

    def __init__(self, registry: Registry, districts: Mapping[str, str]) -> None:
        self.registry, self.districts = registry, districts

    def of(self, subject: str) -> str:
        if subject in self.registry:
            return self.registry[subject].name
        district = subject.removeprefix(DISTRICT)
        return self.districts.get(district, district).removeprefix(GATEWAY)

    def district(self, subject: str) -> str:
        return district_of(subject, self.registry) or self._behind(subject)

    def _behind(self, gateway: str) -> str:
        """The district in which a gateway has its devices."""
        name = gateway.removeprefix(GATEWAY)
        return next((d.district for d in self.registry if d.gateway == name), "")


def subject_of(rule: Rule, device: str | None, registry: Registry) -> str | None:
    """What is judged when a rule looks at a device."""
    if device is None or device not in registry:
        return None
    match rule.over:
        case Over.DISTRICT:
            return DISTRICT + registry[device].district
        case Over.GATEWAY:
            return GATEWAY + registry[device].gateway
    return device


def comparison(
    of: Comparison, names: Names, _: Translate, *, covered: int, short: bool, subject: str | None = None
) -> dict[str, Any]:
    """`covered`: devices in scope; `short`: the store does not go back as far as was asked; `subject`: whose lane is
    wanted whatever its rank."""
    told = [p for p in of.pairs if Change.SAME not in p.changes]
    order = {Change.NEW: 0, Change.GONE: 1}
    told.sort(key=lambda p: (order.get(p.changes[0], 2), -p.either.begin))
    subjects = backtest.lanes(of.pairs, lambda s: s)
    districts = backtest.lanes(of.pairs, names.district)
    gap = (of.end - of.begin) // FINE
    own = next((lane for lane in subjects if lane.key == subject), None)
    return {
        "begin": of.begin,
        "end": of.end,
        "since": of.begin if short else None,
        "covered": covered,
        "old": _totals(of.old),
        "new": _totals(of.new),
        "changes": {change.value: of.changes.get(change, 0) for change in Change},
        "days": [[d.key, d.old, d.new] for d in of.days],
        "lanes": {
            "subject": [_lane(lane, names.of(lane.key), gap) for lane in subjects[:WORST]],
            "district": [_lane(x, names.districts.get(x.key, x.key) or "—", gap) for x in districts[:WORST]],
        },
        "more": {"subject": max(len(subjects) - WORST, 0), "district": max(len(districts) - WORST, 0)},
        "own": None if own is None else _lane(own, names.of(own.key), 0),
        "list": [_pair(p, names, _) for p in told[:LISTED]],
        "unlisted": max(len(told) - LISTED, 0),
        "facts": [_fact(s, names, _) for s in of.scores],
        "beside": of.beside,
    }


def _totals(of: backtest.Totals) -> dict[str, Any]:
    return {
        "alarms": of.alarms,
        "levels": [of.by_level.get(level, 0) for level in rulebook.LEVELS],
        "subjects": of.subjects,
        "perDay": of.per_day,
        "most": of.most_a_day,
        "minutes": of.minutes,
        "flaps": of.flaps,
    }


def _lane(lane: Lane, name: str, gap: int) -> dict[str, Any]:
    old, new = drawn(lane.old, gap), drawn(lane.new, gap)
    return {"key": lane.key, "name": name, "old": old, "new": new, "alarms": lane.alarms, "changed": lane.changed}


def drawn(stretches: Sequence[Stretch], gap: int) -> list[list[int]]:
    """[begin, end, level] as far as a picture shows them: what lies closer than `gap` is one, at the higher level."""
    found: list[list[int]] = []
    for begin, end, level in stretches:
        short = found and (found[-1][1] - found[-1][0] < gap or end - begin < gap)
        if found and begin - found[-1][1] < gap and (short or found[-1][2] == level):
            found[-1][1], found[-1][2] = end, max(found[-1][2], int(level))
        else:
            found.append([begin, end, int(level)])
    return found


def _pair(pair: Pair, names: Names, _: Translate) -> dict[str, Any]:
    return {
        "subject": pair.subject,
        "name": names.of(pair.subject),
        "changes": [c.value for c in pair.changes],
        "said": "、".join(_(CHANGES[c]) for c in pair.changes),
        "old": _episode(pair.old),
        "new": _episode(pair.new),
    }


def _episode(e: Episode | None) -> dict[str, Any] | None:
    if e is None:
        return None
    return {"begin": e.begin, "end": e.end, "level": int(e.highest), "open": e.open, "value": e.value}


def _fact(score: backtest.Score, names: Names, _: Translate) -> dict[str, Any]:
    fact = score.fact
    return {
        "what": _(fact.what),
        "scenario": fact.scenario,
        "began": fact.began,
        "ended": fact.ended,
        "level": int(fact.level),
        "where": names.of(fact.devices[0]) if fact.devices else "",
        "device": fact.devices[0] if fact.devices else None,
        "old": score.old,
        "new": score.new,
    }


# ---------------------------------------------------------------- the chart


class Wanted(Protocol):
    @property
    def rule(self) -> Rule: ...
    @property
    def term(self) -> int: ...
    @property
    def device(self) -> str | None: ...
    @property
    def at(self) -> int | None: ...


def seen(found: Range, wanted: Wanted, old: Rule | None, names: Names) -> dict[str, Any]:
    """The values that a condition compares, for the day around `at`, else around the last alarm, else the last day.

    `device` may also be a district or a gateway: then of the first of its devices.
    """
    rule, term = wanted.rule, wanted.term
    stories = [backtest.episodes(found.story(r), found.end) for r in (rule, old)]
    ranked = _ranked(found, rule, term, stories, names.registry)
    if not ranked:
        return {"device": None, "devices": []}
    device = next((d for d, _ in ranked if wanted.device in _places(rule, d, names)), ranked[0][0])
    subject = subject_of(rule, device, names.registry)
    last = max((e.begin for of in stories for e in of if e.subject == subject), default=found.end)
    middle = last if wanted.at is None else wanted.at
    begin = max(min(middle - DAY // 2, found.end - DAY), found.begin)
    end = min(begin + DAY, found.end)
    at, value = found.history.seen(rule, term, device)
    of = slice(*np.searchsorted(at, [begin, end]))
    return {
        "device": device,
        "subject": subject,
        "name": names.of(device),
        "unit": rulebook.unit(rule.when[term]),
        "begin": begin,
        "end": end,
        "at": at[of].tolist(),
        "values": value[of].tolist(),
        "devices": [{"id": id, "name": names.of(id), "alarms": n} for id, n in ranked[:OFFERED]],
        "range": [found.begin, found.end],
    }


def _places(rule: Rule, device: str, names: Names) -> tuple[str | None, ...]:
    return device, subject_of(rule, device, names.registry), names.registry[device].district


def _ranked(
    found: Range, rule: Rule, term: int, stories: Sequence[Sequence[Episode]], registry: Registry
) -> list[tuple[str, int]]:
    """The devices in scope with the alarms of their subjects: those with most of them first, then those whose values
    came furthest."""
    counts: Counter[str] = Counter()
    for of in stories:
        counts |= Counter(e.subject for e in of)
    furthest = _furthest(found, rule, term, registry)

    def rank(device: str) -> tuple[float, float]:
        return -counts[subject_of(rule, device, registry) or ""], -furthest.get(device, float("-inf"))

    return [(d, counts[subject_of(rule, d, registry) or ""]) for d in sorted(scope_of([rule], registry), key=rank)]


def _furthest(found: Range, rule: Rule, term: int, registry: Registry) -> dict[str, float]:
    """How far each device's values went in the direction that the condition looks to."""
    of = rule.when[term]
    device, _, value = found.columns[of.metric]
    if of.condition is Condition.ABSENT or not len(device):
        return {}
    first = np.flatnonzero(np.diff(device, prepend=-1))
    sign = -1.0 if of.condition is Condition.BELOW else 1.0
    most = np.maximum.reduceat(value * sign, first)
    result = {}
    for position, far in zip(device[first].tolist(), most.tolist(), strict=True):
        one = registry.devices[position]
        divisor = one.attributes.get(of.of, 1.0) if of.of else 1.0
        result[one.id] = far / divisor if isinstance(divisor, float | int) and divisor else far
    return result
