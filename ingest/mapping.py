"""A foreign MQTT feed brought in by a TOML file: no code for a sensor that speaks another dialect.

`read` compiles the file once and says all that is wrong with it; after that a message costs a few dictionary look-ups.
What comes out is what a native message says, and is checked against the registry by the decoder like one.

In a path `$` is the message, as in RFC 9535; where `each` splits a message, `@` is the item.
"""

import math
import re
import tomllib
import zlib
from collections.abc import Callable, Iterable
from collections.abc import Mapping as Table
from datetime import datetime, tzinfo
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from jsonpath import JSONPath, JSONPathEnvironment
from jsonpath.exceptions import JSONPathError
from jsonpath.selectors import IndexSelector, NameSelector
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from twin.clock import LAST, SHANGHAI
from twin.errors import SettingsError, TheirError
from twin.observation import METRICS
from twin.registry import Registry

_PART = re.compile(r"\{(\w+)\}")
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_UNITS = {"s": 1000.0, "ms": 1.0, "us": 0.001}  # milliseconds in one


class MappingFault(TheirError):  # noqa: N818
    """A message, an item of it or a value in it that the mapping cannot read: names feed, place and what is there."""


class Reading(NamedTuple):
    """One device at one time, as found. `at`: UTC ms, or None for the time it was received; `values` in our units."""

    device: Any
    at: Any
    values: Any
    seq: Any = None


# What the file may hold. The descriptions are the table in docs/integrators.md.


class Keys(BaseModel):
    # A TOML file has types: "0.1" for a factor is a slip, not a number
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ValueKeys(Keys):
    path: str = Field(description="where the value is")
    factor: float = Field(1, allow_inf_nan=False, description="a number found is multiplied by this")
    offset: float = Field(0, allow_inf_nan=False, description="and then this is added")
    words: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = Field(
        {}, description="what a text, `true` or `false` stands for: `{ open = 1, closed = 0 }`, already in our unit"
    )


def _as_table(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


class FeedKeys(Keys):
    name: str = Field(min_length=1, description="what faults and logs call it")
    topic: str = Field(description="the MQTT topic; `{part}` is any one level and gives it a name, a last `#` the rest")
    each: str | None = Field(
        None, description="path of the items of a message that holds several readings, such as `$.data[*]`"
    )
    device: str = Field(description="the device's id: text with parts of the topic such as `{part}`, or a path")
    at: str | None = Field(None, description="path of the time of the reading; without it, the time of receipt")
    time: str | None = Field(
        None,
        description="how that is written: `rfc3339` (default; of `start/end` the end), `s`, `ms` or `us` since 1970, "
        "or a pattern such as `%Y.%m.%d %H:%M:%S`",
    )
    zone: str | None = Field(None, description="time zone of a time that names none; default `Asia/Shanghai`")
    seq: str | None = Field(None, description="path of the sender's counter")
    values: dict[str, Annotated[ValueKeys, BeforeValidator(_as_table)]] = Field(
        min_length=1, description="our metric = a path, or a table with the keys below"
    )
    devices: dict[str, str] = Field({}, description="their id = ours; without the table the id is taken as it is")


class GatewayKeys(Keys):
    topic: str = Field(description="the topic on which a gateway says that it is there, as for a feed")
    path: str | None = Field(None, description="path of the word, where the payload is JSON; else the payload is it")
    online: str = Field("online", description="the word for there, in capitals or not; any other means gone")
    gateway: str = Field(description="the gateway's id: text with parts of the topic, or a path")
    gateways: dict[str, str] = Field({}, description="their id = ours, as the registry's devices name it")


class FileKeys(Keys):
    feed: list[FeedKeys] = []
    gateway: list[GatewayKeys] = []


class Mapping:
    """A compiled mapping file. `topics` are the MQTT filters to subscribe to; `digest` differs with the file."""

    def __init__(self, feeds: Iterable["Feed"], gateways: Iterable["Gateway"], digest: int = 0) -> None:
        self.feeds, self.gateways, self.digest = tuple(feeds), tuple(gateways), digest
        self.topics: tuple[str, ...] = (
            *(f.topic.filter for f in self.feeds),
            *(g.topic.filter for g in self.gateways),
        )

    def readings(self, topic: str, body: Any) -> list[Reading | MappingFault] | None:
        """What a message with this decoded JSON says, with a fault for each part that cannot be read; None if the
        topic is no feed's.

        Raises MappingFault, and nothing else, when the message cannot be split into its items.
        """
        levels = topic.split("/")
        for feed in self.feeds:
            parts = feed.topic.match(levels)
            if parts is not None:
                return feed.readings(parts, body)
        return None

    def gateway(self, topic: str, payload: bytes) -> tuple[str, bool] | None:
        """The gateway and whether it is there, if this is a message of one. Never raises."""
        levels = topic.split("/")
        for gateway in self.gateways:
            parts = gateway.topic.match(levels)
            if parts is not None:
                return gateway.state(parts, payload)
        return None


def read(path: Path, registry: Registry, *, prefix: str = "") -> Mapping:
    """The mapping in a TOML file; `prefix` is that of our own topics, which no feed may reach into.

    Raises SettingsError naming file, feed, key, the value and the remedy.
    """
    try:
        text = path.read_text(encoding="utf-8")
        raw = tomllib.loads(text)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}). Check the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    try:
        keys = FileKeys.model_validate(raw)
    except ValidationError as error:
        raise SettingsError("\n".join(f"{path}: {_explain(e, raw)}" for e in error.errors())) from None
    if not keys.feed and not keys.gateway:
        raise SettingsError(f"{path}: it maps nothing. Write at least one [[feed]] or [[gateway]].")
    try:
        made = Mapping(
            [Feed(f, registry) for f in keys.feed],
            [Gateway(g, i, registry) for i, g in enumerate(keys.gateway, 1)],
            zlib.crc32(text.encode()),
        )
        _apart(made, prefix)
    except _FileError as wrong:
        raise SettingsError(f"{path}: {wrong}") from None
    return made


class Feed:
    """One [[feed]]. Raises _FileError when its keys contradict themselves or the registry."""

    def __init__(self, keys: FeedKeys, registry: Registry) -> None:
        self.name = keys.name
        self._where = where = f"feed {keys.name!r}"
        self.topic = _topic(where, keys.topic)
        if keys.each is not None and keys.each.startswith("@"):
            raise _FileError(where, "each", keys.each, "it looks into the message: begin it with '$'")
        split = keys.each is not None
        self._each = _path(where, "each", keys.each, split=False) if keys.each is not None else None
        for metric in keys.values:
            _known(where, "values", metric, METRICS, "a metric", "docs/integrators.md lists them")
        self.values = tuple(
            Value(metric, value, _path(where, f"values.{metric}", value.path, split=split))
            for metric, value in keys.values.items()
        )
        if split and not any(v.path.of_item for v in self.values):
            raise _FileError(
                where, "values", str(self.values[0].path), "each item would say the same: begin it with '@', the item"
            )
        self.device = _Name(where, "device", keys.device, keys.devices, self.topic, split=split)
        self._at = _path(where, "at", keys.at, split=split) if keys.at is not None else None
        self._seq = _path(where, "seq", keys.seq, split=split) if keys.seq is not None else None
        if self._at is None and (keys.time or keys.zone):
            key, value = ("time", keys.time) if keys.time else ("zone", keys.zone)
            raise _FileError(where, key, value, "there is no time to read: give its path as `at`, or leave this out")
        self._time = _clock(where, keys.time or "rfc3339", keys.zone)
        self._check(registry)

    def readings(self, parts: Table[str, str], body: Any) -> list[Reading | MappingFault]:
        if self._each is None:
            return self._reading(self._where, parts, body, body)
        try:
            items = self._each.all(body, body)
        except _MessageError as why:
            raise MappingFault(f"{self._where}: {why}") from None
        if not items:
            raise MappingFault(f"{self._where}: nothing at {self._each}")
        if len(items) == 1 and isinstance(items[0], list):
            raise MappingFault(f"{self._where}: {self._each} is a list, not its items: write {self._each}[*]")
        found: list[Reading | MappingFault] = []
        for number, item in enumerate(items, 1):
            found += self._reading(f"{self._where}, item {number}", parts, body, item)
        return found

    def _reading(self, where: str, parts: Table[str, str], body: Any, item: Any) -> list[Reading | MappingFault]:
        """The reading of one item and the faults of its values, or the one fault that costs it."""
        try:
            device = self.device.of(parts, body, item)
            at = self._moment(body, item)
            seq = self._seq.one(body, item) if self._seq is not None else None
        except _MessageError as why:
            return [MappingFault(f"{where}: {why}")]
        values: dict[str, float] = {}
        found: list[Reading | MappingFault] = []
        for value in self.values:
            try:
                number = value.of(body, item)
            except _MessageError as why:
                found.append(MappingFault(f"{where}: {value.metric}: {why}"))
            else:
                if number is not None:
                    values[value.metric] = number
        if values:
            return [Reading(device, at, values, seq), *found]
        return found or [MappingFault(f"{where}: nothing at {', '.join(str(v.path) for v in self.values)}")]

    def _moment(self, body: Any, item: Any) -> int | None:
        if self._at is None:
            return None
        found = self._at.one(body, item)
        if found is None:
            raise _MessageError(f"nothing at {self._at}")
        try:
            moment = self._time(found)
        except (ValueError, OverflowError) as error:
            raise _MessageError(f"the time {_short(found)} at {self._at}: {error}") from None
        if abs(moment) > LAST:
            raise _MessageError(f"the time {_short(found)} at {self._at} is thousands of years away; is `time` right?")
        return moment

    def _check(self, registry: Registry) -> None:
        """The devices exist, and they measure what is mapped: else each message would end in quarantine."""
        ours = self.device.known()
        names = {v.metric for v in self.values}
        for theirs, device_id in ours.items():
            key = f"devices.{theirs!r}" if self.device.table else "device"
            _known(self._where, key, device_id, registry.index, "in the registry", "Add it there, or correct it here")
            device = registry[device_id]
            if not names & set(device.metrics):
                what = f"this {device.kind} measures {', '.join(device.metrics)}: none of that is in `values`"
                raise _FileError(self._where, key, device_id, what)
        devices = [registry[d] for d in ours.values()] or list(registry)
        for name in names - {m for d in devices for m in d.metrics}:
            raise _FileError(
                self._where, "values", name, "none of its devices measures this: take it out, or see `devices`"
            )


class Value:
    """One metric of a feed: where it is and how it becomes a number in our unit."""

    def __init__(self, metric: str, keys: ValueKeys, path: "_Path") -> None:
        self.metric, self.path = metric, path
        self._factor, self._offset, self._words = keys.factor, keys.offset, keys.words
        self._as_is = keys.factor == 1 and keys.offset == 0

    def of(self, body: Any, item: Any) -> float | None:
        """The number, or None where nothing was measured. Raises _MessageError."""
        found = self.path.one(body, item)
        if found is None:
            return None
        if self._words:
            word = _word(found)
            if word is not None and word in self._words:
                return self._words[word]
        if isinstance(found, bool) or not isinstance(found, int | float | str):
            raise self._unreadable(found)
        if isinstance(found, str) and not _NUMBER.fullmatch(found):
            raise self._unreadable(found)
        try:
            number = float(found)
            if not self._as_is:
                # Twelve digits are more than any sensor has, and keep 0.07 from becoming 0.07000000000000001
                number = float(f"{number * self._factor + self._offset:.12g}")
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise _MessageError(f"{_short(found)} at {self.path} is not a finite number")
        return number

    def _unreadable(self, found: Any) -> "_MessageError":
        if self._words:
            return _MessageError(
                f"{_short(found)} at {self.path} is neither a number nor one of {', '.join(self._words)}"
            )
        remedy = "; give it `words`" if isinstance(found, bool | str) else ""
        return _MessageError(f"{_short(found)} at {self.path} is not a number{remedy}")


class Gateway:
    """One [[gateway]]. Raises _FileError when its keys contradict themselves or the registry."""

    def __init__(self, keys: GatewayKeys, number: int, registry: Registry) -> None:
        where = f"gateway {number}"
        self.topic = _topic(where, keys.topic)
        self._path = _path(where, "path", keys.path, split=False) if keys.path is not None else None
        self._online = keys.online.casefold()
        self.name = _Name(where, "gateway", keys.gateway, keys.gateways, self.topic, split=False)
        known = {d.gateway: None for d in registry if d.gateway}
        for theirs, gateway in self.name.known().items():
            key = f"gateways.{theirs!r}" if self.name.table else "gateway"
            _known(
                where, key, gateway, known, "the `gateway` of any device of the registry", "correct it here or there"
            )

    def state(self, parts: Table[str, str], payload: bytes) -> tuple[str, bool] | None:
        if not payload:  # a retained state was deleted; that says nothing
            return None
        try:
            body = None if self._path is None and not self.name.in_body else msgspec.json.decode(payload)
            # Nothing at the path is gone as well: Protobuf's JSON leaves out a state that is the first of its list
            word = payload.decode().strip() if self._path is None else _word(self._path.one(body, body))
            return self.name.of(parts, body, body), (word or "").casefold() == self._online
        except (_MessageError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None


# The pieces


class _FileError(Exception):
    """Something in the file: becomes a SettingsError, which also names the file."""

    def __init__(self, where: str, key: str, value: object, what: str) -> None:
        super().__init__(f"{where}: {key} = {value!r}: {what}")


class _MessageError(Exception):
    """Something in a message: becomes a MappingFault, which also names feed and item."""


class Topic:
    """A topic with named levels. Raises ValueError saying what is wrong with it."""

    def __init__(self, text: str) -> None:
        self.text = text
        levels = text.split("/")
        self.rest = levels[-1] == "#"
        if self.rest:
            levels.pop()
        # A level is a text to be equal to, or the name of a part
        self._fixed: list[str | None] = []
        self.parts: dict[str, int] = {}
        for i, level in enumerate(levels):
            named = _PART.fullmatch(level)
            if named is None and (set(level) & set("+#{}") or "\0" in level):
                raise ValueError("a level is text, or {part} for any one; '#' may only be the last")
            if named is not None and named[1] in self.parts:
                raise ValueError(f"{level} is there twice; give each level a name of its own")
            if named is not None:
                self.parts[named[1]] = i
            self._fixed.append(None if named else level)
        if not text:
            raise ValueError("it is empty")
        self.filter = "/".join(["+" if f is None else f for f in self._fixed] + ["#"] * self.rest)

    def match(self, levels: list[str]) -> dict[str, str] | None:
        """The named parts of a topic, already split, if it is one of these."""
        if len(levels) != len(self._fixed) and not (self.rest and len(levels) > len(self._fixed)):
            return None
        for fixed, level in zip(self._fixed, levels, strict=False):
            if fixed is not None and fixed != level:
                return None
        return {name: levels[i] for name, i in self.parts.items()}

    def overlaps(self, other: "Topic") -> bool:
        """Whether a topic can be one of both."""
        if any(a != b for a, b in zip(self._fixed, other._fixed, strict=False) if a is not None and b is not None):
            return False
        longer = len(self._fixed) - len(other._fixed)
        return longer == 0 or (other.rest if longer > 0 else self.rest)


class _Path:
    """A compiled JSON path: `$…` into the message, `@…` into the item. Raises JSONPathError."""

    _ENVIRONMENT = JSONPathEnvironment(strict=True)

    def __init__(self, text: str) -> None:
        self._text, self.of_item = text, text.startswith("@")
        # The same language from another root
        compiled = self._ENVIRONMENT.compile("$" + text[1:] if self.of_item else text)
        assert isinstance(compiled, JSONPath)  # unions of paths are no RFC 9535
        self._compiled = compiled
        self._steps = _steps(compiled)

    def __str__(self) -> str:
        return self._text

    def all(self, body: Any, item: Any) -> list[Any]:
        node = item if self.of_item else body
        if self._steps is None:
            return self._searched(node)
        # Nearly every path only names keys: ten times faster than the general way
        for step in self._steps:
            if isinstance(step, str):
                if not isinstance(node, dict) or step not in node:
                    return []
            elif not isinstance(node, list) or not -len(node) <= step < len(node):
                return []
            node = node[step]
        return [node]

    def one(self, body: Any, item: Any) -> Any:
        """What is there; None if nothing is, or null. Raises _MessageError if there is more than one."""
        found = self.all(body, item)
        if len(found) > 1:
            raise _MessageError(f"{len(found)} values at {self}, one is wanted")
        return found[0] if found else None

    def _searched(self, node: Any) -> list[Any]:
        if not isinstance(node, dict | list):  # the library would read a text as JSON once more
            return []
        try:
            return list(self._compiled.findall(node))
        except Exception as error:  # another's code over another's data: whatever it is, it is this message's fault
            raise _MessageError(f"{self} cannot be followed: {type(error).__name__}") from None


def _steps(path: JSONPath) -> tuple[str | int, ...] | None:
    """The names and indices of a path that has nothing else."""
    steps: list[str | int] = []
    if not path.singular_query():
        return None
    for segment in path.segments:
        [selector] = segment.selectors
        if isinstance(selector, NameSelector):
            steps.append(selector.name)
        elif isinstance(selector, IndexSelector):
            steps.append(selector.index)
        else:
            return None
    return tuple(steps)


class _Name:
    """An id of theirs, from the topic or the message, and which of ours it is. Raises _FileError."""

    def __init__(self, where: str, key: str, text: str, table: Table[str, str], topic: Topic, *, split: bool) -> None:
        self._text, self.table, self._key = text, table, key
        self.in_body = text[:1] in ("$", "@")
        self._path = _path(where, key, text, split=split) if self.in_body else None
        self._parts = [] if self.in_body else _PART.findall(text)
        for part in self._parts:
            has = ", ".join(f"{{{p}}}" for p in topic.parts) or "none"
            _known(where, key, part, topic.parts, "a part of the topic", f"The topic's parts are {has}")
        if not text or (not self.in_body and set(_PART.sub("", text)) & set("{}")):
            raise _FileError(
                where, key, text, "write an id, {part} for a part of the topic, or a path that begins with '$'"
            )

    def known(self) -> dict[str, str]:
        """Their id → ours, of those that are known beforehand."""
        if self.table or self.in_body or self._parts:
            return dict(self.table)
        return {self._text: self._text}

    def of(self, parts: Table[str, str], body: Any, item: Any) -> str:
        """Raises _MessageError."""
        if self._path is not None:
            found = self._path.one(body, item)
            if found is None:
                raise _MessageError(f"nothing at {self._path}")
            theirs = _word(found)
            if theirs is None or isinstance(found, bool):
                raise _MessageError(f"{_short(found)} at {self._path} is no id")
        else:
            theirs = _PART.sub(lambda m: parts[m[1]], self._text) if self._parts else self._text
        if not self.table:
            return theirs
        ours = self.table.get(theirs)
        if ours is None:
            raise _MessageError(f"{_short(theirs)} is not in its table `{self._key}s`")
        return ours


def _topic(where: str, text: str) -> Topic:
    try:
        return Topic(text)
    except ValueError as error:
        raise _FileError(where, "topic", text, str(error)) from None


def _path(where: str, key: str, text: str, *, split: bool) -> _Path:
    if text[:1] not in ("$", "@"):
        raise _FileError(where, key, text, "a path begins with '$' for the message, or '@' for an item of `each`")
    if text.startswith("@") and not split:
        raise _FileError(where, key, text, "'@' is an item of `each`, and there is none here: begin it with '$'")
    try:
        return _Path(text)
    except (JSONPathError, RecursionError) as error:
        what = error.args[0] if error.args else type(error).__name__
        raise _FileError(where, key, text, f"not a JSON path (RFC 9535): {what}") from None


def _clock(where: str, time: str, zone: str | None) -> Callable[[Any], int]:
    """What turns a time as it is written into UTC ms; it raises ValueError or OverflowError. Raises _FileError."""
    if time in _UNITS:
        if zone is not None:
            raise _FileError(where, "zone", zone, f"a time in {time} since 1970 has no time zone; leave it out")
        return lambda found: _since(found, _UNITS[time])
    try:
        local: tzinfo = SHANGHAI if zone is None else ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise _FileError(where, "zone", zone, "not a time zone. Write one such as Asia/Shanghai or UTC") from None
    if time == "rfc3339":
        return lambda found: _written(found, local)
    if "%" not in time:
        raise _FileError(
            where, "time", time, f"write rfc3339, {', '.join(_UNITS)}, or a pattern such as %Y-%m-%d %H:%M:%S"
        )
    sample = datetime(2026, 11, 23, 18, 42, tzinfo=SHANGHAI)
    try:
        same = _ms(datetime.strptime(sample.strftime(time), time), SHANGHAI) == _ms(sample, SHANGHAI)
    except (ValueError, re.error):
        same = False
    if not same:
        raise _FileError(
            where, "time", time, "this pattern loses the day or the minute. Write one such as %Y-%m-%d %H:%M:%S"
        )
    return lambda found: _ms(datetime.strptime(_text(found), time), local)


def _since(found: Any, unit: float) -> int:
    if isinstance(found, str) and _NUMBER.fullmatch(found):
        found = float(found)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ValueError("not a number")
    return round(found * unit)


def _written(found: Any, local: tzinfo) -> int:
    text = _text(found).rpartition("/")[2]
    if text.startswith("P"):
        raise ValueError("of an interval the end is wanted, and this gives its length")
    try:
        return _ms(datetime.fromisoformat(text), local)
    except ValueError:
        raise ValueError("not a time such as 2026-11-20T08:00:00+08:00") from None


def _text(found: Any) -> str:
    if not isinstance(found, str):
        raise ValueError("not text")
    return found


def _ms(moment: datetime, local: tzinfo) -> int:
    return round((moment if moment.tzinfo else moment.replace(tzinfo=local)).timestamp() * 1000)


def _apart(mapping: Mapping, prefix: str) -> None:
    """No topic is of two: a message would be told twice, or by whichever comes first. Raises _FileError."""
    seen: list[tuple[str, Topic]] = [("our own topics", Topic(prefix + "/#"))] if prefix else []
    names = [f.name for f in mapping.feeds]
    for name in names:
        if names.count(name) > 1:
            raise _FileError(f"feed {name!r}", "name", name, "two feeds have this name; rename one")
    named = [(f"feed {f.name!r}", f.topic) for f in mapping.feeds]
    named += [(f"gateway {i}", g.topic) for i, g in enumerate(mapping.gateways, 1)]
    for where, topic in named:
        for other, others in seen:
            if topic.overlaps(others):
                what = f"{other} ({others.text}) can have the same topic; make one of them narrower"
                raise _FileError(where, "topic", topic.text, what)
        seen.append((where, topic))


def _known(where: str, key: str, name: str, known: Iterable[str], what: str, remedy: str) -> None:
    """Raises _FileError with the nearest known name, or the remedy where none is near."""
    if name in (names := list(known)):
        return
    by_case = {n.casefold(): n for n in names}
    near = get_close_matches(name.casefold(), by_case, n=1)
    raise _FileError(
        where, key, name, f"not {what}. " + (f"Did you mean {by_case[near[0]]!r}?" if near else f"{remedy}.")
    )


def _explain(error: Any, raw: Any) -> str:
    """One error of the file's form in words: which feed, key and value, what is wrong, the remedy."""
    loc = error["loc"]
    if len(loc) == 1 and loc[0] in FileKeys.model_fields:
        return f"{loc[0]} is not a list of tables: write [[{loc[0]}]] with two brackets"
    where, at = "file", 0
    if len(loc) > 1:
        table = raw[loc[0]][loc[1]]
        name = table.get("name") if isinstance(table, dict) else None
        where, at = f"{loc[0]} {name!r}" if isinstance(name, str) else f"{loc[0]} {loc[1] + 1}", 2
    key = ".".join(str(part) for part in loc[at:])
    in_value = len(loc) > 4 and loc[2] == "values"
    model: type[BaseModel] = FileKeys if at == 0 else ValueKeys if in_value else _MODELS[loc[0]]
    field = model.model_fields.get(str(loc[-1]))
    if error["type"] == "missing" and field is not None:
        return f"{where}: {key} is missing: {field.description}"
    if error["type"] == "extra_forbidden":
        try:
            _known(where, key, str(loc[-1]), model.model_fields, "a key", f"known: {', '.join(model.model_fields)}")
        except _FileError as wrong:
            return str(wrong).replace(f"= {str(loc[-1])!r}", f"= {_short(error['input'])}", 1)
    what = "a path, or a table such as { path = … }" if error["type"] == "model_type" and at else error["msg"]
    hint = f" ({field.description})" if field is not None and field.description else ""
    return f"{where}: {key} = {_short(error['input'])}: {what}{hint}"


_MODELS: dict[str, type[BaseModel]] = {"feed": FeedKeys, "gateway": GatewayKeys}


def _word(value: Any) -> str | None:
    """A single value as the text that `words` and the tables of ids know it by; None of an object or a list."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    # str() of an int beyond 4,300 digits raises; no id is that long
    return str(value) if isinstance(value, int) and value.bit_length() < 1000 else None


def _short(value: Any) -> str:
    """A few characters of it, whatever it is: a deep list cannot even be printed."""
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    word = _word(value)
    if word is None:
        return "a huge number" if isinstance(value, int) else f"a {type(value).__name__}"
    text = word if len(word) <= 60 else word[:59] + "…"
    return repr(text) if isinstance(value, str) else text
