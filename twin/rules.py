"""Rules and their book. (A stand-in for the seam: the whole of it is built beside this.)"""

import tomllib
from collections.abc import Sequence

import msgspec

from twin.registry import Registry


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
    old: str
    new: str


def validate(rule: Rule, registry: Registry) -> list[str]:
    return [] if rule.name else [f"{rule.id}: name is empty; say what the rule watches"]


def diff(old: Book, new: Book) -> list[Change]:
    before, after = ({r.id: r for r in b.rules} for b in (old, new))
    return [
        Change(id, key, str(was), str(now))
        for id in {**before, **after}
        for key in Rule.__struct_fields__
        if (was := getattr(before.get(id), key, None)) != (now := getattr(after.get(id), key, None))
    ]


def from_toml(text: str) -> tuple[Rule, ...]:
    return msgspec.convert(tomllib.loads(text).get("rule", []), tuple[Rule, ...])


def to_toml(rules: Sequence[Rule]) -> str:
    return "\n".join(
        f'[[rule]]\nid = "{r.id}"\nname = "{r.name}"\nmessage = "{r.message}"\ngroup = "{r.group}"\n' for r in rules
    )
