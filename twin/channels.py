"""Where notices go: the channels of the settings, each with the least level it takes and its quiet hours.

A channel is a name and an address (an apprise URL, which is a secret). What is no secret is written beside it, a word
each: a bare word holds for every channel, `name=word` for that one, the later over the earlier.

    GAOXIN_NOTICES__CHANNELS = "duty=dingtalk://secret@token chief=mailtos://user:password@mail.example.com?to=a@b.cn"
    notices.least            = "yellow chief=orange"
    notices.quiet            = "chief=22:00-07:00/red"      from 22 h to 7 h only red
    notices.escalate_to      = "chief"

No channel, no notice: an installation is quiet until somebody says where to.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import unquote

import msgspec

from twin.clock import DAY, MINUTE, local
from twin.errors import SettingsError
from twin.settings import Notices
from twin.standards import Level

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_QUIET = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)/([a-z]+)")
LEVELS = {level.name.lower(): level for level in Level if level}


class Quiet(msgspec.Struct, frozen=True):
    """From `begin` to `end` (minutes of the local day; over midnight when end ≤ begin) only from `least` on."""

    begin: int
    end: int
    least: Level

    def until(self, now: int) -> int:
        """When the quiet hours that hold at `now` end, UTC ms; `now` when none do. The zone knows no summer time."""
        moment = local(now)
        minute = moment.hour * 60 + moment.minute
        into = (minute - self.begin) % (DAY // MINUTE)
        length = (self.end - self.begin) % (DAY // MINUTE) or DAY // MINUTE
        return now - now % MINUTE + (length - into) * MINUTE if into < length else now


class Channel(msgspec.Struct, frozen=True):
    """`escalation`: it is told what nobody has acknowledged in time, and what a rule sends to it by name."""

    name: str
    least: Level = Level.YELLOW
    quiet: Quiet | None = None
    escalation: bool = False

    def quiet_until(self, level: Level, now: int) -> int:
        """UTC ms from which it may be told something of this level; `now` when it may at once."""
        return now if self.quiet is None or level >= self.quiet.least else self.quiet.until(now)


def addresses(settings: Notices) -> dict[str, str]:
    """Channel by name → its URL, as written. Raises SettingsError, which shows no URL."""
    found: dict[str, str] = {}
    for i, entry in enumerate(settings.channels.get_secret_value().split(), start=1):
        name, equals, url = entry.partition("=")
        if not equals or not _NAME.fullmatch(name) or "://" not in url:
            raise SettingsError(
                f"notices.channels: entry {i} is not name=url. Write GAOXIN_NOTICES__CHANNELS="
                '"duty=dingtalk://… mail=mailtos://…": a name of letters, digits, - or _, the URL, a blank between '
                "entries and none within one (write it %20)"
            )
        if name in found:
            raise SettingsError(f"notices.channels: {name} is there twice. Give the second another name")
        found[name] = url
    return found


def channels(settings: Notices) -> tuple[Channel, ...]:
    """The channels in the order they are written. Raises SettingsError naming key, word and what is allowed."""
    names = tuple(addresses(settings))
    least = {n: _level("notices.least", w) for n, w in _words("notices.least", settings.least, names)}
    quiet = {n: _quiet(w) for n, w in _words("notices.quiet", settings.quiet, names)}
    chiefs = settings.escalate_to.split()
    for name in chiefs:
        _known("notices.escalate_to", name, names)
    return tuple(Channel(n, least.get(n, Level.YELLOW), quiet.get(n), n in chiefs) for n in names)


def masked(url: str) -> str:
    """The kind of an address, and its host where it has one: what has no dot there is a token."""
    scheme, _, rest = url.partition("://")
    host = re.split(r"[/?#]", rest)[0].rpartition("@")[2].partition(":")[0]
    return f"{scheme}://{host}/…" if re.fullmatch(r"[\w-]+(\.[\w-]+)+|localhost", host) else f"{scheme}://…"


def blotted(text: str, url: str) -> str:
    """`text` with no part of the address in it that could be a secret: all but scheme and host name."""
    rest = url.partition("://")[2]
    kept = masked(url)
    parts = {url, rest}
    for part in re.split(r"[/?&=@:#,]", rest):
        parts |= {part, unquote(part)}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= 4 and part not in kept:
            text = text.replace(part, "***")
    return text


def strangers(named: Mapping[str, Sequence[str]], known: Iterable[Channel]) -> list[str]:
    """A sentence for each channel that a rule (id → its channels) names and nobody has set up."""
    there = [c.name for c in known]
    return [
        f"rule {rule}: channels names {name!r}, which is not in notices.channels ({', '.join(there) or 'none is'}). "
        "Add it there, or take it out of the rule"
        for rule, wanted in named.items()
        for name in wanted
        if name not in there
    ]


def _words(key: str, text: str, names: Sequence[str]) -> list[tuple[str, str]]:
    """(channel, word) pairs: first the bare words, for each channel, then those of one channel."""
    bare: list[tuple[str, str]] = []
    own: list[tuple[str, str]] = []
    for entry in text.split():
        name, equals, word = entry.rpartition("=")
        if not equals:
            bare += [(n, word) for n in names] or [("", word)]
            continue
        _known(key, name, names)
        own.append((name, word))
    return bare + own


def _known(key: str, name: str, names: Sequence[str]) -> None:
    if name not in names:
        raise SettingsError(
            f"{key}: there is no channel {name!r}. In notices.channels (environment) are: {', '.join(names) or 'none'}"
        )


def _level(key: str, word: str) -> Level:
    level = LEVELS.get(word)
    if level is None:
        raise SettingsError(f"{key}: {word!r} is no level. Allowed: {', '.join(LEVELS)}")
    return level


def _quiet(word: str) -> Quiet:
    found = _QUIET.fullmatch(word)
    if found is None:
        raise SettingsError(
            f"notices.quiet: {word!r} does not read from-to/level. Write 22:00-07:00/red: in these hours (local time) "
            "only red is sent"
        )
    h1, m1, h2, m2, level = found.groups()
    return Quiet(int(h1) * 60 + int(m1), int(h2) * 60 + int(m2), _level("notices.quiet", level))
