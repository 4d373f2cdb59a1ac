"""An incident's bundle, gathered from the store, the ledger and the layers: all that its report is written from."""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
import sqlalchemy as sa

from layers import zone
from twin import bundle as bundles
from twin import incidents, snapshot
from twin.alerts import Kind, Transition
from twin.bundle import AlarmNote, Bundle, Figures, Ground, Moment, Record, RuleThen, Shape, Spot, Why
from twin.clock import DAY, MINUTE
from twin.episodes import DISTRICT, Alarm
from twin.errors import RefusedError
from twin.incidents import Entry, EntryKind, Incident, Origin, Participant
from twin.ledger import Ledger, alarms, rules, simulated, truth
from twin.ledger import incidents as kept
from twin.observation import METRICS, Observation
from twin.registry import Registry
from twin.rules import Book, Condition
from twin.settings import Settings
from twin.standards import Level
from twin.store import Store
from twin.truth import Truth

MOST_OBSERVATIONS = 25_000  # some 2 MB of the file
MOST_CHARTS = 12
WORST_OF_DISTRICT = 3  # devices charted for an alarm of a whole district
MOST_BOOKMARKS = 6  # with a map of their own
LATE = 2 * MINUTE
_FINE = 0.00012  # degrees: a dozen metres, less than a line of the map is wide


class Source(msgspec.Struct, frozen=True):
    """Where the past is looked up."""

    ledger: Ledger
    store: Store
    registry: Registry
    settings: Settings


class _Told(msgspec.Struct, frozen=True):
    """What the ledger has of an incident. `around`: every alarm of the zone in the range, for the map."""

    entries: tuple[Entry, ...]
    around: tuple[Alarm, ...]
    notes: tuple[AlarmNote, ...]
    transitions: tuple[Transition, ...]
    rules: tuple[RuleThen, ...]
    facts: tuple[Truth, ...]
    simulated: bool

    def mine(self, incident: Incident, registry: Registry) -> list[Alarm]:
        return [a for a in self.around if incidents.belongs(a, incident, registry)]

    def people(self, incident: Incident) -> tuple[Participant, ...]:
        acts = [(n.by, n.action) for n in self.notes]
        return incidents.participants(incident, self.entries, acts, (rules.SYSTEM,))


class Look(msgspec.Struct, frozen=True):
    """What a page shows of an incident without asking the store."""

    entries: Sequence[Entry]
    alarms: Sequence[Alarm]
    names: dict[str, str]  # of rules
    participants: Sequence[Participant]
    facts: Sequence[Truth]


def look(ledger: Ledger, registry: Registry, incident: Incident, now: int) -> Look:
    if incident.origin is Origin.IMPORT:
        record = _imported(ledger, incident).record
        names = {r.rule.id: r.rule.name for r in record.rules}
        return Look(record.entries, record.alarms, names, record.participants, record.facts)
    with ledger.reading() as connection:
        told = _told(connection, incident, registry, now)
    names = {r.rule.id: r.rule.name for r in told.rules}
    return Look(told.entries, told.mine(incident, registry), names, told.people(incident), told.facts)


def _imported(ledger: Ledger, incident: Incident) -> Bundle:
    with ledger.reading() as connection:
        parts = kept.parts(connection, incident.id)
    return bundles.opened(msgspec.json.decode(parts or "{}", type=dict[str, str]))


def gather(source: Source, incident: Incident, *, by: str, now: int) -> Bundle:
    """The bundle as of now; of an imported one, the one that it came with. Raises RefusedError, StoreError."""
    if incident.origin is Origin.IMPORT:
        return _imported(source.ledger, incident)
    registry = source.registry
    with source.ledger.reading() as connection:
        told = _told(connection, incident, registry, now)
    mine = told.mine(incident, registry)
    devices = _devices(incident, mine, registry)
    observations, left_out = _observations(source.store, devices, incident, registry)
    here = [d for d in devices if d not in left_out]
    district = zone.layer("districts", source.settings.layers_folder)
    outline = zone.layer("boundary", source.settings.layers_folder)
    record = Record(
        incident=incident,
        entries=told.entries,
        participants=told.people(incident),
        alarms=tuple(mine),
        notes=tuple(n for n in told.notes if n.alarm in {a.id for a in mine}),
        transitions=tuple(t for t in told.transitions if _of(t, mine)),
        rules=told.rules,
        facts=told.facts,
        devices=tuple(registry[d] for d in devices),
        left_out=tuple(left_out),
        districts=dict(zip(district["id"], zip(district["name"], district["name_en"], strict=True), strict=True)),
        figures=tuple(_figures(here, mine, told.rules, observations, incident.end, registry)),
        late_ms=LATE,
        moments=tuple(_moments(source, incident, told, mine, now)),
        ground=ground(registry, source.settings.layers_folder),
        zone=(str(outline["name"].iloc[0]), str(outline["name_en"].iloc[0])),
        simulated=source.settings.simulate.on or told.simulated,
        schematic=any(d.schematic for d in registry),
        made_at=now,
        made_by=by,
        software=software(),
    )
    return bundles.bundle(record, observations)


def software() -> str:
    return f"gaoxin-twin {version('gaoxin-twin')}"


def _told(connection: sa.Connection, incident: Incident, registry: Registry, now: int) -> _Told:
    around = alarms.find(connection, alarms.Filter(begin=incident.begin, end=incident.end), now=now, limit=None)
    there = {a.id for a in around}
    around += [alarms.get(connection, id) for id in incident.alarms if id not in there]
    mine = [a for a in around if incidents.belongs(a, incident, registry)]
    first = min((a.opened for a in around), default=incident.begin)
    last = max((a.closed or incident.end for a in mine), default=incident.end)
    facts = truth.between(connection, incident.begin, incident.end)
    return _Told(
        entries=tuple(kept.entries(connection, incident.id)),
        around=tuple(sorted(around, key=lambda a: (a.opened, a.id))),
        notes=tuple(
            AlarmNote(a.id, n.at, n.by, n.action, n.text) for a in mine for n in alarms.notes(connection, a.id)
        ),
        transitions=tuple(alarms.transitions(connection, first, max(last, incident.end) + 1)),
        rules=tuple(_rules(connection, mine, incident, registry)),
        facts=tuple(f for f in facts if incident.run in ("", f.run)),
        simulated=bool(facts or simulated.between(connection, incident.begin, incident.end)),
    )


def _rules(
    connection: sa.Connection, mine: Sequence[Alarm], incident: Incident, registry: Registry
) -> Iterable[RuleThen]:
    """Those of its alarms as they stood, and those in force at its beginning that looked at its devices."""
    books: dict[int, Book] = {}
    wanted = {(a.version, a.rule) for a in mine}
    for number in {v for v, _ in wanted}:
        try:
            books[number] = rules.at_version(connection, number)
        except RefusedError:  # an evaluator without a ledger's book
            continue
    then = rules.in_force_at(connection, incident.begin)
    books[then.version] = then
    devices = [registry[d] for d in incident.devices if d in registry]
    wanted |= {(then.version, r.id) for r in then.rules if r.enabled and any(r.covers(d) for d in devices)}
    for number, book in sorted(books.items()):
        yield from (RuleThen(number, r) for r in book.rules if (number, r.id) in wanted)


def _of(t: Transition, mine: Sequence[Alarm]) -> bool:
    return any(
        a.rule == t.rule and a.subject == t.subject and a.opened <= t.at and (a.closed is None or t.at <= a.closed)
        for a in mine
    )


def _devices(incident: Incident, mine: Sequence[Alarm], registry: Registry) -> list[str]:
    """Those in alarm first, the worst before; then the others that the incident names."""
    loud = [a.subject for a in incidents.ranked(mine)]
    return [d for d in dict.fromkeys([*loud, *incident.devices]) if d in registry]


def _observations(
    store: Store, devices: Sequence[str], incident: Incident, registry: Registry
) -> tuple[list[Observation], list[str]]:
    """Whole devices, as many as there is room for, and which there was none for."""
    span = (incident.end - incident.begin) / 1000
    room = float(MOST_OBSERVATIONS)
    taken: list[str] = []
    for device in devices:
        room -= span / registry[device].period_s
        if room < 0 and taken:
            break
        taken.append(device)
    rows = store.rows(taken, incident.begin, incident.end) if taken else []
    return rows, list(devices[len(taken) :])


def _figures(
    devices: Sequence[str],
    mine: Sequence[Alarm],
    then: Sequence[RuleThen],
    observations: Sequence[Observation],
    end: int,
    registry: Registry,
) -> Iterable[Figures]:
    """Of what the rules of the alarms looked at, the worst first; then the headline of the others, or of one a kind."""
    by_device: dict[str, list[Observation]] = {d: [] for d in devices}
    for o in observations:
        by_device[o.device].append(o)

    def figures(device: str, metric: str) -> Figures | None:
        return bundles.figures(by_device[device], device, metric, end=end, late_ms=LATE)

    looked = {(r.version, r.rule.id): r.rule for r in then}
    wanted: dict[tuple[str, str], None] = {}
    for alarm in incidents.ranked(mine):
        rule = looked.get((alarm.version, alarm.rule))
        for term in rule.when if rule else ():
            if alarm.subject in by_device and term.metric:
                wanted[alarm.subject, term.metric] = None
            elif rule and alarm.subject.startswith(DISTRICT) and term.metric in METRICS:
                there = [
                    d for d in devices if rule.covers(registry[d]) and DISTRICT + registry[d].district == alarm.subject
                ]
                found = [f for d in there if (f := figures(d, term.metric)) is not None]
                below = term.condition is Condition.BELOW
                found.sort(key=lambda f: f.low.value if below else -f.high.value)
                wanted |= {(f.device, f.metric): None for f in found[:WORST_OF_DISTRICT]}
    spoken = {device for device, _ in wanted}
    others = [d for d in devices if d not in spoken]
    if len(others) > MOST_CHARTS:
        others = list({registry[d].kind: d for d in reversed(others)}.values())
    wanted |= {(d, registry[d].headline): None for d in others}
    made = (figures(device, metric) for device, metric in wanted)
    yield from itertools.islice((f for f in made if f is not None), MOST_CHARTS)


# --- the map ---


def _moments(source: Source, incident: Incident, told: _Told, mine: Sequence[Alarm], now: int) -> Iterable[Moment]:
    why: dict[int, list[Why]] = {incident.begin: [Why("begin")]}
    end = min(incident.end, now)
    if (worst := worst_moment(mine, told.transitions, incident.begin, end)) is not None:
        why.setdefault(worst, []).append(Why("worst"))
    marks = [e for e in told.entries if e.kind is EntryKind.BOOKMARK and e.at <= now]
    for mark in marks[:MOST_BOOKMARKS]:
        why.setdefault(mark.at, []).append(Why("bookmark", mark.text))
    why.setdefault(end, []).append(Why("end"))
    grace = source.settings.engine.grace_periods
    for at in sorted(why):
        zone_then = source.store.zone(at, known=at, since=at - DAY)
        then = snapshot.of(source.registry, zone_then.values(), grace=grace)
        levels = levels_at(told.around, told.transitions, at)
        for subject, level in levels.items():
            if (i := source.registry.index.get(subject)) is not None:
                then.level[i] = level
        _, status = then.bytes_at(at)
        count = Counter(levels.values())
        yield Moment(
            at,
            tuple(why[at]),
            status.tobytes(),
            int(then.known(at).sum()),
            (count[Level.BLUE], count[Level.YELLOW], count[Level.ORANGE], count[Level.RED]),
            {s.removeprefix(DISTRICT): level for s, level in levels.items() if s.startswith(DISTRICT) and level},
        )


def levels_at(around: Iterable[Alarm], transitions: Iterable[Transition], at: int) -> dict[str, Level]:
    """The highest level of each subject's alarms at a time, as the transitions tell it."""
    open_then = {(a.rule, a.subject) for a in around if a.opened <= at and (a.closed is None or at < a.closed)}
    now: dict[tuple[str, str], Level] = {}
    for t in transitions:
        if t.at <= at and (t.rule, t.subject) in open_then and t.kind not in (Kind.KNOWN, Kind.UNKNOWN):
            now[t.rule, t.subject] = t.level
    found: dict[str, Level] = {}
    for (_, subject), level in now.items():
        found[subject] = max(level, found.get(subject, Level.NONE))
    return found


def worst_moment(mine: Sequence[Alarm], transitions: Sequence[Transition], begin: int, end: int) -> int | None:
    """The first moment with the highest level, and the most alarms at it; None without alarms."""
    times = sorted({t.at for t in transitions if begin <= t.at < end and _of(t, mine)})
    best: tuple[tuple[int, int, int], int] | None = None
    for at in times:
        levels = [level for level in levels_at(mine, transitions, at).values() if level]
        top = max(levels, default=Level.NONE)
        score = (int(top), levels.count(top), len(levels))
        if levels and (best is None or score > best[0]):
            best = score, at
    return None if best is None else best[1]


def ground(registry: Registry, folder: Path | None) -> Ground:
    """The layers of the map, no finer than it is drawn, and where the devices are."""
    shapes = [
        *_shapes("river", "river", folder),
        *_shapes("boundary", "boundary", folder),
        *_shapes("districts", "districts", folder),
        *_shapes("roads", "roads", folder),
        *_shapes("bridges", "roads", folder),
        *_links(registry, folder),
    ]
    return Ground(tuple(shapes), tuple(Spot(d.id, d.kind, round(d.lon, 5), round(d.lat, 5)) for d in registry))


def _shapes(name: zone.Name, layer: str, folder: Path | None) -> Iterable[Shape]:
    frame = zone.layer(name, folder)
    for row in frame.itertuples():
        names = (
            str(getattr(row, "name", "") or ""),
            str(getattr(row, "name_en", "") or getattr(row, "name", "") or ""),
        )
        yield Shape(layer, _lines(row.geometry), names, str(row.id))


def _links(registry: Registry, folder: Path | None) -> Iterable[Shape]:
    watch = {str(d.attributes.get("link")): i for i, d in enumerate(registry) if d.kind == "link-detector"}
    for row in zone.layer("links", folder).itertuples():
        if row.id in watch:
            yield Shape("links", _lines(row.geometry), device=watch[row.id])


def _lines(geometry: object) -> tuple[tuple[float, ...], ...]:
    thin = geometry.simplify(_FINE)  # type: ignore[attr-defined]
    found = []
    for part in getattr(thin, "geoms", [thin]):
        line = getattr(part, "exterior", part)
        found.append(tuple(float(v) for v in np.round(np.asarray(line.coords)[:, :2], 5).ravel()))
    return tuple(found)
