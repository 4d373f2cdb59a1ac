"""Rules and their book. (A stand-in for the seam: the whole of it is built beside this.)"""

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import msgspec

from twin.errors import OurError
from twin.registry import Registry


class RuleError(OurError):
    """A rulebook that cannot be read: names the rule, the key and the remedy."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    name: str
    message: str = ""
    group: str = ""
    channels: tuple[str, ...] = ()
    enabled: bool = True
    thresholds: dict[str, float] = {}


class Book(msgspec.Struct, frozen=True):
    version: int
    rules: tuple[Rule, ...]


class Change(msgspec.Struct, frozen=True):
    rule: str
    key: str
    before: Any
    after: Any


def validate(rule: Rule, registry: Registry) -> list[str]:
    return [] if rule.name else [f"{rule.id}: name is empty; say what the rule watches"]


def diff(old: Book, new: Book) -> list[Change]:
    before, after = ({r.id: r for r in b.rules} for b in (old, new))
    return [
        Change(id, key, was, now)
        for id in {**before, **after}
        for key in Rule.__struct_fields__
        if (was := getattr(before.get(id), key, None)) != (now := getattr(after.get(id), key, None))
    ]


def from_toml(text: str) -> tuple[Rule, ...]:
    try:
        return msgspec.convert(tomllib.loads(text).get("rule", []), tuple[Rule, ...])
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise RuleError(f"not a rulebook: {error}") from None


def default_rules() -> tuple[Rule, ...]:
    return from_toml((files("twin") / "data" / "rules.toml").read_text(encoding="utf-8"))


def to_toml(rules: Sequence[Rule]) -> str:
    return "\n".join(
        f'[[rule]]\nid = "{r.id}"\nname = "{r.name}"\nmessage = "{r.message}"\ngroup = "{r.group}"\n' for r in rules
    )
