"""Rules as people write them: what is watched, where, from which value on, when, and who is told.

A rule is plain data: it can be compared, stored, exported as TOML and read back. What it *means* is in `twin.alerts`.
`validate` says all that is wrong with one; `diff` says what differs between two books of them.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from importlib.resources import files
from typing import Any

import msgspec

from twin.errors import OurError
from twin.observation import METRICS, Domain
from twin.registry import Device, Registry
from twin.schedule import Span
from twin.standards.scale import Level

Threshold = float | tuple[float, float]
LEVELS = (Level.BLUE, Level.YELLOW, Level.ORANGE, Level.RED)
PERIODS = 3  # a device is unknown after this many of its periods, where a rule does not say


class RuleError(OurError):
    """A rulebook that cannot be read: names the rule, the key and the remedy."""


class Condition(StrEnum):
    """`rate` is the change a minute over `window_s`; `absent` is silence, its thresholds in seconds."""

    ABOVE = "above"
    BELOW = "below"
    OUTSIDE = "outside"
    RATE = "rate"
    ABSENT = "absent"


class Match(StrEnum):
    ALL = "all"
    ANY = "any"


class Over(StrEnum):
    """What a subject is: a device, or all those in scope of a district or behind a gateway."""

    DEVICE = "device"
    DISTRICT = "district"
    GATEWAY = "gateway"


class Term(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One condition. A threshold is reached at the value itself; it is left only `band` beyond it.

    above, below: a number. outside: [low, high], both still reached. rate: a number (negative for a fall) or a range.
    absent: seconds; `metric` may be left out for anything the device says. `of`: the value is taken as a share of this
    attribute of the device. A level that a term leaves out takes the threshold of the next lower one it has, else of
    the lowest: so a term with one threshold is a guard for all levels.
    """

    metric: str = ""
    condition: Condition
    blue: Threshold | None = None
    yellow: Threshold | None = None
    orange: Threshold | None = None
    red: Threshold | None = None
    band: float = 0.0
    of: str = ""
    window_s: int = 0

    @property
    def thresholds(self) -> dict[Level, Threshold]:
        given = zip(LEVELS, (self.blue, self.yellow, self.orange, self.red), strict=True)
        return {level: threshold for level, threshold in given if threshold is not None}


class Scope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which devices: those that are in every list that is not empty. `where`: attribute → allowed values."""

    domains: tuple[Domain, ...] = ()
    kinds: tuple[str, ...] = ()
    districts: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    where: dict[str, tuple[str | float, ...]] = {}

    def covers(self, device: Device) -> bool:
        return (
            (not self.domains or device.domain in self.domains)
            and (not self.kinds or device.kind in self.kinds)
            and (not self.districts or device.district in self.districts)
            and (not self.devices or device.id in self.devices)
            and all(device.attributes.get(key) in allowed for key, allowed in self.where.items())
        )


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`name`, `message`: message ids. `message` may hold the places {name}, {value}, {unit}, {threshold}, {level}.

    `match`: all or any of `when` must hold. `over` and `need`: the subject is a district or gateway, and at least so
    many of its devices must be so (0: all of them). `raise_after_s`, `clear_after_s`: how long without a break.
    `grace_s`: how long a value holds; 0: three periods of the device. `schedule`: when the rule looks; none: always.
    `repeat_min`: how often an open alarm is told again; 0: once. `flap_count` raises within `flap_window_s` are still
    no flapping.
    """

    id: str
    name: str
    when: tuple[Term, ...]
    match: Match = Match.ALL
    over: Over = Over.DEVICE
    need: int = 1
    scope: Scope = Scope()
    raise_after_s: int = 0
    clear_after_s: int = 0
    grace_s: int = 0
    schedule: tuple[Span, ...] = ()
    message: str = ""
    group: str = ""
    channels: tuple[str, ...] = ()
    repeat_min: int = 0
    runbook: str = ""
    enabled: bool = True
    flap_count: int = 5
    flap_window_s: int = 3600

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels that any term gives a threshold for, lowest first."""
        return tuple(sorted({level for term in self.when for level in term.thresholds}))

    @property
    def metrics(self) -> tuple[str, ...]:
        """What it reads; "" is anything that is said."""
        return tuple(dict.fromkeys(term.metric for term in self.when))

    def covers(self, device: Device) -> bool:
        return self.scope.covers(device) and all(m in device.metrics for m in self.metrics if m)

    @property
    def meaning(self) -> bytes:
        """Equal where two rules decide alike, whatever they say and whom they tell."""
        told = dict.fromkeys(("name", "message", "group", "runbook"), "")
        silent = msgspec.structs.replace(self, **told, channels=(), repeat_min=0)
        # 70 and 70.0 are one threshold
        return msgspec.json.encode(msgspec.convert(msgspec.to_builtins(silent), Rule))


class Book(msgspec.Struct, frozen=True):
    """All rules as they stand together; `version` counts what was committed."""

    version: int
    rules: tuple[Rule, ...]

    def __getitem__(self, rule: str) -> Rule:
        for found in self.rules:
            if found.id == rule:
                return found
        raise KeyError(rule)


class Change(msgspec.Struct, frozen=True):
    """One difference: `key` is empty for a whole rule that was added (`before` None) or removed (`after` None)."""

    rule: str
    key: str
    before: Any
    after: Any


def diff(old: Book, new: Book) -> list[Change]:
    """What differs, rule by rule in the order of the new book; then the removed ones."""
    before = {rule.id: rule for rule in old.rules}
    after = {rule.id: rule for rule in new.rules}
    found: list[Change] = []
    for rule in new.rules:
        if rule.id in before:
            found += _differences(before[rule.id], rule)
        else:
            found.append(Change(rule.id, "", None, _plain(rule)))
    return found + [Change(id, "", _plain(rule), None) for id, rule in before.items() if id not in after]


def _differences(old: Rule, new: Rule) -> Iterator[Change]:
    for key in Rule.__struct_fields__:
        a, b = (msgspec.to_builtins(getattr(rule, key)) for rule in (old, new))
        if a != b:
            yield Change(new.id, key, a, b)


def _plain(rule: Rule) -> Any:
    return msgspec.to_builtins(rule)


# ---------------------------------------------------------------- TOML


def from_toml(text: str) -> tuple[Rule, ...]:
    """The rules of a TOML document of [[rule]] tables. Raises RuleError naming rule, key and remedy."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RuleError(f"not valid TOML: {error}. A rule begins with the line [[rule]]") from None
    if strange := sorted(set(tables) - {"rule"}):
        raise RuleError(f"{strange[0]!r} is no key of a rulebook. It holds [[rule]] tables only")
    listed = tables.get("rule", [])
    if not isinstance(listed, list):
        raise RuleError("rule is one table. Write [[rule]] with two brackets, once for each rule")
    found: dict[str, Rule] = {}
    for number, given in enumerate(listed, start=1):
        place = f"rule {number} ({given.get('id', 'without id')})" if isinstance(given, dict) else f"rule {number}"
        try:
            rule = msgspec.convert(given, Rule)
        except msgspec.ValidationError as error:
            raise RuleError(f"{place}: {error}. See docs/operators.md for what a rule holds") from None
        if rule.id in found:
            raise RuleError(f"{place}: the id {rule.id!r} is used twice. Rename one")
        found[rule.id] = rule
    return tuple(found.values())


def to_toml(rules: Iterable[Rule]) -> str:
    """What `from_toml` reads back as the same rules. Keys that have their default are left out."""
    return "\n".join("[[rule]]\n" + _lines(msgspec.to_builtins(rule)) for rule in rules)


_HEAD = "# gaoxin rules, version"


def exported(book: Book) -> str:
    """The book as TOML; its first line says which version it is."""
    return f"{_HEAD} {book.version}\n{to_toml(book.rules)}"


def exported_version(text: str) -> int | None:
    """The version that `exported` wrote into it, at which a change of it began."""
    found = re.search(rf"^{_HEAD} (\d+)$", text, flags=re.M)
    return int(found[1]) if found else None


def _lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in table.items())


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return repr(value)
        case str():
            return _text(value)
        case dict():
            return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }"
        case list() | tuple() if value and isinstance(value[0], dict):
            return "[\n" + "".join(f"  {_value(v)},\n" for v in value) + "]"
        case list() | tuple():
            return "[" + ", ".join(_value(v) for v in value) + "]"
    raise TypeError(f"{type(value).__name__} has no form in TOML")


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _text(key)


def _text(text: str) -> str:
    # A JSON string is a TOML basic string, but for the character DEL
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")


def default_rules() -> tuple[Rule, ...]:
    """The rules that ship for the zone."""
    return from_toml((files("twin") / "data" / "rules.toml").read_text(encoding="utf-8"))


def unit(term: Term) -> str:
    """The unit of what a term compares, UCUM."""
    if term.condition is Condition.ABSENT:
        return "s"
    own = "1" if term.of else METRICS[term.metric].unit
    return f"{own}/min" if term.condition is Condition.RATE else own


def validate(rule: Rule, registry: Registry) -> list[str]:
    """All that is wrong with a rule for this registry, each a sentence naming key, value and remedy
    (`twin.problems`)."""
    from twin.problems import problems  # it reads rules itself

    return list(problems(rule, registry))
