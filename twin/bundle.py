"""All that an incident's report is made from, as data that can be handed on, checked and read back.

A report is one HTML file. In it stand three parts, as text: the record (JSON: the incident, its alarms, the rules as
they stood, the map), the observations and the alarms (CSV, for a spreadsheet). Their SHA-256 is printed in the report:

    digest = SHA-256 of, for each part in order:  name, space, number of bytes, newline, the text, newline   (UTF-8)

The page checks it when it is opened, `gaoxin incident verify` checks it, and an import refuses what does not match. A
digest alone shows a slip or a careless change; who can write a file can print another digest in it. What was handed out
is therefore in the audit of the installation that made it, and can be asked for there.

Texts are made so that they can stand in a script element as they are: no `<` and no carriage return in any of them. The
record holds no language: the report is written from it in the reader's.
"""

import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from twin.alerts import Transition
from twin.clock import local, parse
from twin.episodes import Alarm
from twin.errors import RefusedError
from twin.incidents import Entry, Incident, Participant
from twin.observation import Observation
from twin.refusal import Refusal
from twin.registry import Device
from twin.rules import Rule
from twin.standards import Level
from twin.truth import Truth

FORM = "gaoxin-incident/1"
PARTS = ("record", "observations", "alarms")
LARGEST = 32 << 20  # bytes of a file that is taken in


class AlarmNote(msgspec.Struct, frozen=True):
    """What somebody did about an alarm."""

    alarm: int
    at: int
    by: str
    action: str
    text: str


class RuleThen(msgspec.Struct, frozen=True):
    version: int
    rule: Rule


class Extreme(msgspec.Struct, frozen=True):
    value: float
    at: int


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one device over the incident: what is known now, what was known when it ended (None: nothing),
    and how many readings came late."""

    device: str
    metric: str
    count: int
    low: Extreme
    high: Extreme
    low_then: Extreme | None
    high_then: Extreme | None
    late: int


class Shape(msgspec.Struct, frozen=True):
    """Lines or rings of a layer, [lon, lat, lon, lat, …] each; `id` of a district; `device`: the position of
    the one that watches a link."""

    layer: str
    lines: tuple[tuple[float, ...], ...]
    names: tuple[str, str] = ("", "")
    id: str = ""
    device: int = -1


class Spot(msgspec.Struct, frozen=True):
    id: str
    kind: str
    lon: float
    lat: float


class Ground(msgspec.Struct, frozen=True):
    """What the map is drawn from. `spots`: every device, in the registry's order then."""

    shapes: tuple[Shape, ...]
    spots: tuple[Spot, ...]


class Why(msgspec.Struct, frozen=True):
    """Why a moment is shown: `begin`, `worst`, `bookmark` or `end`; a bookmark's text."""

    kind: str
    text: str = ""


class Moment(msgspec.Struct, frozen=True):
    """The zone as known at a time: `status`, a byte a spot as in a frame (`twin.snapshot`); `known`: how many devices
    were heard; `levels`: devices and districts in alarm, blue to red;
    `districts`: those with an alarm of their own, and its level."""

    at: int
    why: tuple[Why, ...]
    status: bytes
    known: int
    levels: tuple[int, int, int, int]
    districts: dict[str, Level] = {}


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """`districts`: id → (Chinese, English). `left_out`: devices concerned whose observations are not in the bundle, as
    they would be too many. `figures`: of what is charted. `late_ms`: from when on a reading counts as late."""

    form: str = FORM
    incident: Incident
    entries: tuple[Entry, ...]
    participants: tuple[Participant, ...]
    alarms: tuple[Alarm, ...]
    notes: tuple[AlarmNote, ...]
    transitions: tuple[Transition, ...]
    rules: tuple[RuleThen, ...]
    facts: tuple[Truth, ...]
    devices: tuple[Device, ...]
    left_out: tuple[str, ...]
    districts: dict[str, tuple[str, str]]
    figures: tuple[Figures, ...]
    late_ms: int
    moments: tuple[Moment, ...]
    ground: Ground
    zone: tuple[str, str]
    simulated: bool
    schematic: bool
    made_at: int
    made_by: str
    software: str

    def rule(self, id: str, version: int) -> Rule | None:
        return next((r.rule for r in self.rules if (r.rule.id, r.version) == (id, version)), None)


class Bundle(msgspec.Struct, frozen=True):
    """`parts`: text by name; they are kept as they came, so that the digest stays that of the file."""

    record: Record
    observations: tuple[Observation, ...]
    parts: dict[str, str]

    @property
    def digest(self) -> str:
        return digest(self.parts)


def bundle(record: Record, observations: Sequence[Observation]) -> Bundle:
    text = msgspec.json.encode(record, order="sorted").decode().replace("<", "\\u003c")
    parts = {"record": text, "observations": observations_csv(observations), "alarms": alarms_csv(record)}
    # As it will be read back, with its keys in their order: one text, one page
    return Bundle(msgspec.json.decode(text, type=Record), tuple(observations), parts)


def opened(parts: Mapping[str, str]) -> Bundle:
    """What these parts hold. Raises RefusedError when they are none of ours."""
    try:
        record = msgspec.json.decode(parts["record"], type=Record)
        rows = _observations(parts["observations"])
    except (KeyError, ValueError, TypeError):  # msgspec's errors are ValueErrors
        raise RefusedError(Refusal.NO_REPORT) from None
    if record.form != FORM:
        raise RefusedError(Refusal.NO_REPORT)
    return Bundle(record, rows, {name: parts[name] for name in PARTS if name in parts})


def digest(parts: Mapping[str, str]) -> str:
    sha = hashlib.sha256()
    for name in PARTS:
        text = parts[name].encode()
        sha.update(b"%s %d\n%s\n" % (name.encode(), len(text), text))
    return sha.hexdigest()


# --- the file ---

_PART = re.compile(r'<script type="(?:application/json|text/csv)" data-part="([a-z]+)">(.*?)</script>', re.S)
_PRINTED = re.compile(r'<code id="digest">([0-9a-f]{64})</code>')


def element(name: str, text: str) -> str:
    """The part as it stands in the page."""
    kind = "application/json" if name == "record" else "text/csv"
    return f'<script type="{kind}" data-part="{name}">{text}</script>'


def read(page: str) -> Bundle:
    """The bundle in a report. Raises RefusedError: NO_REPORT, or ALTERED when its digest is not the printed one."""
    text = page.replace("\r\n", "\n")  # a mailer's doing; a browser does not see it either
    parts = dict(_PART.findall(text))
    printed = _PRINTED.search(text)
    if set(parts) != set(PARTS) or printed is None:
        raise RefusedError(Refusal.NO_REPORT)
    found = digest(parts)
    if found != printed[1]:
        raise RefusedError(Refusal.ALTERED, found=found, printed=printed[1])
    return opened(parts)


# --- tables ---


def stamp(at: int) -> str:
    """RFC 3339 with milliseconds, Asia/Shanghai: what a spreadsheet and a person read alike."""
    return local(at).isoformat(timespec="milliseconds")


def observations_csv(observations: Iterable[Observation]) -> str:
    """device, at, received, then a column a metric; exact values, empty where not measured."""
    rows = list(observations)
    metrics = sorted({m for o in rows for m in o.values})
    return _table(
        ("device", "at", "received", *metrics),
        (
            (o.device, stamp(o.at), stamp(o.received), *(repr(o.values[m]) if m in o.values else "" for m in metrics))
            for o in rows
        ),
    )


def _observations(text: str) -> tuple[Observation, ...]:
    found = []
    for row in csv.DictReader(io.StringIO(text)):
        device, at, received = row.pop("device"), parse(row.pop("at")), parse(row.pop("received"))
        found.append(Observation(device, at, {m: float(v) for m, v in row.items() if v}, received))
    return tuple(found)


def alarms_csv(record: Record) -> str:
    return _table(
        ("alarm", "rule", "version", "subject", "highest", "raised", "cleared", "acknowledged_by", "acknowledged"),
        (
            (
                str(a.id),
                a.rule,
                str(a.version),
                a.subject,
                a.highest.name.lower(),
                stamp(a.opened),
                "" if a.closed is None else stamp(a.closed),
                a.acknowledged_by or "",
                "" if a.acknowledged_at is None else stamp(a.acknowledged_at),
            )
            for a in record.alarms
        ),
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(head)
    out.writerows([_cell(c) for c in row] for row in rows)
    return text.getvalue()


_NUMBER = re.compile(r"-?\d[\d.e+-]*|")


def _cell(text: str) -> str:
    """No markup, no second line, and nothing that a spreadsheet would take for a formula."""
    said = text.replace("<", "‹").replace("\r", " ").replace("\n", " ")
    return f"'{said}" if said[:1] in ("=", "+", "-", "@", "\t") and not _NUMBER.fullmatch(said) else said


# --- figures ---


def figures(observations: Iterable[Observation], device: str, metric: str, *, end: int, late_ms: int) -> Figures | None:
    """What was the lowest and the highest; None where nothing was measured. Of several readings of one instant the one
    that was received last counts."""
    rows = [o for o in observations if o.device == device and metric in o.values]
    now, then = _last(rows, metric), _last([o for o in rows if o.received <= end], metric)
    if not now:
        return None
    return Figures(
        device=device,
        metric=metric,
        count=len(now),
        low=_extreme(now, min),
        high=_extreme(now, max),
        low_then=_extreme(then, min) if then else None,
        high_then=_extreme(then, max) if then else None,
        late=sum(o.received - o.at >= late_ms for o in rows),
    )


def _last(rows: Iterable[Observation], metric: str) -> dict[int, float]:
    return {o.at: o.values[metric] for o in sorted(rows, key=lambda o: (o.at, o.received))}


def _extreme(values: Mapping[int, float], which: Callable[[Iterable[float]], float]) -> Extreme:
    chosen = which(values.values())
    return Extreme(chosen, next(at for at, value in values.items() if value == chosen))
