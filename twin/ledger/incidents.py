"""Incidents in the ledger (see `twin.incidents`). Every change is in the audit, in the same transaction.

One that was imported keeps the bundle that it came with and is not changed here: it is another installation's word.
"""

from typing import Any

import msgspec
import sqlalchemy as sa

from twin.errors import RefusedError
from twin.incidents import LONGEST_TEXT, Draft, Entry, EntryKind, Incident, Origin, State, sound
from twin.ledger import audit
from twin.ledger.tables import INCIDENT, INCIDENT_BUNDLE, INCIDENT_ENTRY
from twin.refusal import Refusal
from twin.standards import Level


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Empty is all. `text` is looked for in titles, causes and entries; [begin, end) takes those that touch it."""

    text: str = ""
    levels: frozenset[Level] = frozenset()
    states: frozenset[State] = frozenset()
    begin: int | None = None
    end: int | None = None


EVERY = Filter()


def find(connection: sa.Connection, wanted: Filter = EVERY, *, limit: int | None = 200) -> list[Incident]:
    """The latest first."""
    c = INCIDENT.c
    terms: list[sa.ColumnElement[bool]] = []
    if text := wanted.text.strip():
        written = sa.select(INCIDENT_ENTRY.c.incident).where(INCIDENT_ENTRY.c.text.icontains(text, autoescape=True))
        terms.append(
            c.title.icontains(text, autoescape=True) | c.causes.icontains(text, autoescape=True) | c.id.in_(written)
        )
    if wanted.levels:
        terms.append(c.level.in_([int(level) for level in wanted.levels]))
    if wanted.states:
        terms.append(c.state.in_([str(s) for s in wanted.states]))
    if wanted.begin is not None:
        terms.append(c.ends > wanted.begin)
    if wanted.end is not None:
        terms.append(c.begins < wanted.end)
    chosen = sa.select(INCIDENT).where(*terms).order_by(c.begins.desc(), c.id.desc()).limit(limit)
    return [_incident(row) for row in connection.execute(chosen)]


def get(connection: sa.Connection, incident: int) -> Incident:
    """Raises RefusedError when there is none."""
    row = connection.execute(sa.select(INCIDENT).where(INCIDENT.c.id == incident)).first()
    if row is None:
        raise RefusedError(Refusal.NO_INCIDENT, incident=incident)
    return _incident(row)


def entries(connection: sa.Connection, incident: int) -> list[Entry]:
    """Notes and bookmarks, by the moment they speak of."""
    c = INCIDENT_ENTRY.c
    wanted = sa.select(c.id, c.kind, c.at, c.text, c.by, c.written).where(c.incident == incident)
    rows = connection.execute(wanted.order_by(c.at, c.id))
    return [Entry(**row._asdict() | {"kind": EntryKind(row.kind)}) for row in rows]


def parts(connection: sa.Connection, incident: int) -> str | None:
    """The bundle that an imported one came with."""
    wanted = sa.select(INCIDENT_BUNDLE.c.parts).where(INCIDENT_BUNDLE.c.incident == incident)
    return connection.execute(wanted).scalar()


def create(connection: sa.Connection, draft: Draft, origin: Origin, *, by: str, at: int) -> Incident:
    """Raises RefusedError for what cannot be one."""
    made = _made(connection, sound(draft, at), origin, by, at)
    detail = msgspec.to_builtins(draft) | {"origin": str(origin)}
    _note(connection, made, "create", by, at, detail)
    return made


def take_in(
    connection: sa.Connection, draft: Draft, notes: list[Entry], parts: str, source: str, *, by: str, at: int
) -> Incident:
    """An incident of another installation, with its notes and the bundle. Raises RefusedError when it is here."""
    known = connection.execute(sa.select(INCIDENT.c.id).where(INCIDENT.c.source == source)).scalar()
    if known is not None:
        raise RefusedError(Refusal.IMPORTED_ALREADY, incident=known)
    # The numbers of alarms and the run are the other ledger's
    own = msgspec.structs.replace(sound(draft, at), alarms=(), run="")
    made = _made(connection, own, Origin.IMPORT, by, at, state=State.CLOSED, source=source)
    for entry in notes:
        _write(connection, made.id, entry)
    connection.execute(sa.insert(INCIDENT_BUNDLE).values(incident=made.id, parts=parts))
    _note(connection, made, "import", by, at, {"title": own.title, "sha256": source})
    return made


def change(connection: sa.Connection, incident: int, draft: Draft, *, by: str, at: int) -> Incident:
    """Put what a person decides of it anew. What is not changed makes no entry in the audit."""
    found = _ours(connection, incident)
    after = sound(draft, at)
    differs: dict[str, Any] = {
        name: [msgspec.to_builtins(getattr(found, name)), msgspec.to_builtins(getattr(after, name))]
        for name in Draft.__struct_fields__
        if getattr(found, name) != getattr(after, name)
    }
    if not differs:
        return found
    made = msgspec.structs.replace(found, **msgspec.structs.asdict(after), changed=at)
    _keep(connection, made)
    _note(connection, made, "change", by, at, differs)
    return made


def write(
    connection: sa.Connection, incident: int, kind: EntryKind, text: str, *, moment: int | None, by: str, at: int
) -> Entry:
    """A note or a bookmark; `moment` None is now. Raises RefusedError for an empty text."""
    found, text = _ours(connection, incident), text.strip()
    if not text:
        raise RefusedError(Refusal.NO_TEXT)
    if len(text) > LONGEST_TEXT:
        raise RefusedError(Refusal.LONG_TEXT, most=LONGEST_TEXT)
    entry = Entry(id=0, kind=kind, at=at if moment is None else moment, text=text, by=by, written=at)
    made = _write(connection, incident, entry)
    _keep(connection, msgspec.structs.replace(found, changed=at))
    _note(connection, found, str(kind), by, at, {"at": made.at, "text": text})
    return made


def close(connection: sa.Connection, incident: int, *, by: str, at: int) -> Incident:
    found = _ours(connection, incident)
    if found.state is State.CLOSED:
        raise RefusedError(Refusal.CLOSED_ALREADY, incident=incident)
    return _turn(connection, found, State.CLOSED, "close", by, at)


def reopen(connection: sa.Connection, incident: int, *, by: str, at: int) -> Incident:
    found = _ours(connection, incident)
    if found.state is State.OPEN:
        raise RefusedError(Refusal.OPEN_ALREADY, incident=incident)
    return _turn(connection, found, State.OPEN, "reopen", by, at)


def exported(connection: sa.Connection, incident: Incident, digest: str, *, by: str, at: int) -> None:
    """A report was handed out: its hash is in the audit, so that one that comes back can be told from a forged one."""
    _note(connection, incident, "export", by, at, {"sha256": digest})


def was_exported(connection: sa.Connection, digest: str) -> audit.Entry | None:
    """The entry of the audit that tells of the report with this hash."""
    for entry in audit.latest(connection, action="incident.export", limit=10_000):
        if digest in entry.detail:
            return entry
    return None


def _ours(connection: sa.Connection, incident: int) -> Incident:
    found = get(connection, incident)
    if found.origin is Origin.IMPORT:
        raise RefusedError(Refusal.IMPORTED, incident=incident)
    return found


def _made(connection: sa.Connection, draft: Draft, origin: Origin, by: str, at: int, **more: Any) -> Incident:
    id = (connection.execute(sa.select(sa.func.max(INCIDENT.c.id))).scalar() or 0) + 1
    made = Incident(id=id, origin=origin, by=by, at=at, changed=at, **msgspec.structs.asdict(draft), **more)
    connection.execute(sa.insert(INCIDENT).values(**_row(made)))
    return made


def _write(connection: sa.Connection, incident: int, entry: Entry) -> Entry:
    id = (connection.execute(sa.select(sa.func.max(INCIDENT_ENTRY.c.id))).scalar() or 0) + 1
    made = msgspec.structs.replace(entry, id=id)
    row = msgspec.structs.asdict(made) | {"incident": incident, "kind": str(made.kind)}
    connection.execute(sa.insert(INCIDENT_ENTRY).values(**row))
    return made


def _turn(connection: sa.Connection, found: Incident, state: State, action: str, by: str, at: int) -> Incident:
    made = msgspec.structs.replace(found, state=state, changed=at)
    _keep(connection, made)
    _note(connection, made, action, by, at, {})
    return made


def _keep(connection: sa.Connection, incident: Incident) -> None:
    connection.execute(sa.update(INCIDENT).where(INCIDENT.c.id == incident.id).values(**_row(incident)))


def _note(connection: sa.Connection, incident: Incident, action: str, by: str, at: int, detail: dict[str, Any]) -> None:
    subject = f"incident {incident.id}"
    audit.append(connection, by=by, at=at, action=f"incident.{action}", subject=subject, detail=detail)


def _row(incident: Incident) -> dict[str, Any]:
    row = msgspec.structs.asdict(incident)
    lists = {name: list(row[name]) for name in ("districts", "devices", "alarms")}
    words = {name: str(row[name]) for name in ("state", "origin")}
    row |= lists | words | {"level": int(incident.level), "begins": row.pop("begin"), "ends": row.pop("end")}
    return row


def _incident(row: Any) -> Incident:
    values: dict[str, Any] = dict(row._mapping)
    values |= {name: tuple(values[name]) for name in ("districts", "devices", "alarms")}
    values |= {"level": Level(row.level), "state": State(row.state), "origin": Origin(row.origin)}
    return Incident(begin=values.pop("begins"), end=values.pop("ends"), **values)
