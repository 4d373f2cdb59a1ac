"""What a notice says: short enough for a phone's lock screen, whole enough to act on.

The title says level, what, where and the value; the body the worst three with the time since when, the rule's message
and where to look. Texts are message ids (`TEXTS`); `_` gives those of the reader's language. A rule's own name and
message are ids where they are the default book's, and stay as written where an engineer wrote them.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from twin.cases import GATEWAY, Case, Threshold
from twin.clock import local
from twin.notices import Decision, Reason
from twin.standards import Level

Translate = Callable[[str], str]

WORST = 3  # so many are named

LEVELS = {
    Level.BLUE: "[blue]",
    Level.YELLOW: "[yellow]",
    Level.ORANGE: "[orange]",
    Level.RED: "[red]",
}

PERCENT = "%"  # of a value that is a share, 0 to 1

# UCUM codes as people write them; what is not here is written as it is. A share ("1") has no unit
UNITS = {
    "1": "",
    "[pH]": "",
    "ug/m3": "µg/m³",
    "mg/m3": "mg/m³",
    "m3/s": "m³/s",
    "m3/h": "m³/h",
    "W/m2": "W/m²",
    "deg": "°",
    "{PFLOPS}": "PFLOPS",
    "Cel": "°C",
    "{vehicles}/h": "veh/h",
    "{spaces}": "spaces",
    "{cards}": "cards",
    "{jobs}": "jobs",
    "{jobs}/h": "jobs/h",
    "{pumps}": "pumps",
    "{reports}/h": "reports/h",
}
_SAME = frozenset(("", "µg/m³", "mg/m³", "m³/s", "m³/h", "W/m²", "°", "PFLOPS"))

TITLE = "{level} {text}"
MANY = "{first} and {n} more"
LOST = "Gateway {gateway} lost, {n} devices silent"
BACK = "Gateway {gateway} is back"
SINCE = "since {time}"
SILENT = "no data"
OTHERS = "and {n} more"
TEST = "Test notice"
TESTED = "This channel takes notices. Nothing is wrong in the zone."

PREFIXES = {
    Reason.ROSE: "Level rose: {text}",
    Reason.UNKNOWN: "No data any more: {text}",
    Reason.REPEAT: "Still: {text}",
    Reason.ESCALATED: "Not acknowledged: {text}",
    Reason.RESOLVED: "Resolved: {text}",
}

TEXTS = (
    *LEVELS.values(),
    *(u for u in UNITS.values() if u not in _SAME),
    *PREFIXES.values(),
    *(TITLE, MANY, LOST, BACK, SINCE, SILENT, OTHERS, TEST, TESTED),
)


class Words(msgspec.Struct, frozen=True):
    title: str
    body: str


def words(decision: Decision, _: Translate, *, link: str, now: int) -> Words:
    """`link`: the web's address."""
    prefix = _(PREFIXES[decision.reason]) if decision.reason in PREFIXES else "{text}"
    if decision.group.startswith(GATEWAY):
        return _gateway(decision, _, link)
    if decision.reason is Reason.RESOLVED:
        return _resolved(decision, _, prefix, link, now)
    worst = decision.cases[0]
    title = prefix.format(text=_many(_line(worst, _), len(decision.cases) - 1, _))
    lines = [f"{_line(c, _)} · {_since(c, _, now)}" for c in decision.cases[:WORST]]
    return Words(_title(worst.level, title, _), _body(lines, decision.cases, _, link))


def trial(_: Translate) -> Words:
    return Words(_(TEST), _(TESTED))


def _gateway(decision: Decision, _: Translate, link: str) -> Words:
    gateway = decision.group.removeprefix(GATEWAY)
    if decision.reason is Reason.RESOLVED:
        return Words(_(BACK).format(gateway=gateway), f"{link}/alarms")
    behind = [c for c in decision.cases if not c.subject.startswith(GATEWAY)]
    count = len({c.subject for c in behind})
    said = _(LOST).format(gateway=gateway, n=count) if count else _line(decision.cases[0], _)
    lines = [c.place for c in behind[:WORST]]
    return Words(_title(decision.level, said, _), _body(lines, behind or decision.cases, _, link, message=False))


def _resolved(decision: Decision, _: Translate, prefix: str, link: str, now: int) -> Words:
    over = sorted(decision.over.values(), key=lambda b: (-b.level, b.opened))
    first = f"{_(over[0].name)} · {over[0].place}"
    title = prefix.format(text=_many(first, len(over) - 1, _))
    lines = [f"{_(b.name)} · {b.place} · {_at(b.opened, _, now)}" for b in over[:WORST]]
    more = [_(OTHERS).format(n=len(over) - WORST)] if len(over) > WORST else []
    return Words(title, "\n".join([*lines, *more, f"{link}/alarms"]))


def _title(level: Level, text: str, _: Translate) -> str:
    return _(TITLE).format(level=_(LEVELS[level]), text=text)


def _body(lines: Sequence[str], cases: Sequence[Case], _: Translate, link: str, *, message: bool = True) -> str:
    more = [_(OTHERS).format(n=len(cases) - WORST)] if len(cases) > WORST else []
    said = [_message(cases[0], _)] if message and cases[0].message else []
    where = f"{link}/alarms?alarm={cases[0].alarm}" if len(cases) == 1 else f"{link}/alarms"
    return "\n".join([*lines, *more, *said, where])


def _many(first: str, others: int, _: Translate) -> str:
    return _(MANY).format(first=first, n=others) if others else first


def _line(case: Case, _: Translate) -> str:
    value = shown(case.value, case.unit, case.decimals, _)
    return f"{_(case.name)} · {case.place}" + (f" {value}" if value else "")


def shown(value: Threshold | None, code: str, decimals: int, _: Translate) -> str:
    """The value, or the range, as people write it, with its unit (UCUM `code`); empty when there is none."""
    return "" if value is None else f"{_number(value, code, decimals)} {unit(code, _)}".rstrip()


def _number(value: Threshold | None, code: str, decimals: int) -> str:
    """A share (`%`) is said as one: 0.938 is 93.8 %."""
    if value is None:
        return ""
    factor, suffix, decimals = (100, " %", max(decimals - 2, 0)) if code == PERCENT else (1, "", decimals)
    both = value if isinstance(value, tuple) else (value,)
    return "–".join(f"{factor * v:.{decimals}f}" for v in both) + suffix


def unit(code: str, _: Translate) -> str:
    if code == PERCENT:
        return ""  # it stands with the number
    own = code.removesuffix("/min")
    said = UNITS.get(own, own)
    return (_(said) if said in TEXTS else said) + code[len(own) :]


def _message(case: Case, _: Translate) -> str:
    return filled(
        case.message,
        _,
        name=case.place,
        value=case.value,
        threshold=case.threshold,
        code=case.unit,
        decimals=case.decimals,
        level=_(LEVELS[case.level]),
    )


def filled(
    message: str,
    _: Translate,
    *,
    name: str,
    value: Threshold | None,
    threshold: Threshold | None,
    code: str,
    decimals: int,
    level: str,
) -> str:
    """A rule's message with its places filled; as it stands where they cannot be."""
    said = _(message) if message else ""
    places = {
        "name": name,
        "value": _number(value, code, decimals),
        "unit": unit(code, _),
        "threshold": _number(threshold, code, decimals),
        "level": level,
    }
    try:
        return said.format_map(places)
    except (KeyError, ValueError, IndexError, AttributeError):
        return said


def _since(case: Case, _: Translate, now: int) -> str:
    said = _at(case.opened, _, now)
    return f"{said} · {_(SILENT)}" if case.unknown else said


def _at(moment: int, _: Translate, now: int) -> str:
    return _(SINCE).format(time=_clock(local(moment), local(now)))


def _clock(moment: datetime, now: datetime) -> str:
    return f"{moment:%H:%M}" if moment.date() == now.date() else f"{moment:%m-%d %H:%M}"
