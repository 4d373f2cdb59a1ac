"""Incidents in the ledger, on both databases: made, found, written in, closed, taken in; each act in the audit."""

import msgspec
import pytest

from tests.zone import T0
from twin.clock import DAY, HOUR, MINUTE
from twin.errors import RefusedError
from twin.incidents import LONGEST_TITLE, Draft, Entry, EntryKind, Incident, Origin, State
from twin.ledger import Ledger, audit, incidents, truth
from twin.ledger.incidents import Filter
from twin.refusal import Refusal
from twin.standards import Level
from twin.truth import Truth

NOW = T0 + DAY
DRAFT = Draft(
    title="冷机失效",
    level=Level.ORANGE,
    begin=T0,
    end=T0 + HOUR,
    districts=("dist:compute",),
    devices=("ch-1", "sv-1"),
    causes="供电",
    alarms=(3, 4),
    run="S03-1",
)


def made(ledger: Ledger, draft: Draft = DRAFT, *, origin: Origin = Origin.RANGE, at: int = NOW) -> Incident:
    with ledger.transaction() as c:
        return incidents.create(c, draft, origin, by="li", at=at)


def found(ledger: Ledger, **wanted: object) -> list[int]:
    with ledger.reading() as c:
        return [i.id for i in incidents.find(c, Filter(**wanted))]  # type: ignore[arg-type]


def acts(ledger: Ledger) -> list[tuple[str, str, str]]:
    with ledger.reading() as c:
        assert audit.verify(c).broken is None
        return [(e.action, e.by, e.subject) for e in audit.entries(c)]


def refused(reason: Refusal) -> "pytest.RaisesExc[RefusedError]":
    return pytest.raises(RefusedError, check=lambda error: error.reason is reason)


def test_what_is_made_is_there_whole(ledger: Ledger) -> None:
    incident = made(ledger)
    with ledger.reading() as c:
        assert incidents.get(c, incident.id) == incident
    assert {f: getattr(incident, f) for f in Draft.__struct_fields__} == msgspec.structs.asdict(DRAFT)
    assert (incident.state, incident.origin, incident.by, incident.at) == (State.OPEN, Origin.RANGE, "li", NOW)
    assert acts(ledger) == [("incident.create", "li", "incident 1")]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"title": " "}, Refusal.INCIDENT_TITLE),
        ({"title": "x" * (LONGEST_TITLE + 1)}, Refusal.INCIDENT_TITLE),
        ({"end": T0}, Refusal.INCIDENT_SPAN),
        ({"begin": NOW + 1, "end": NOW + 2}, Refusal.INCIDENT_SPAN),
        ({"begin": -1}, Refusal.INCIDENT_SPAN),
        ({"causes": "x" * 20_001}, Refusal.LONG_TEXT),
    ],
)
def test_what_is_no_incident_is_refused(ledger: Ledger, change: dict[str, object], reason: Refusal) -> None:
    with refused(reason):
        made(ledger, msgspec.structs.replace(DRAFT, **change))
    assert acts(ledger) == []


def test_one_is_found_by_text_level_state_and_range(ledger: Ledger) -> None:
    made(ledger)
    made(ledger, Draft(title="50% Pump_A", level=Level.RED, begin=T0 + 2 * HOUR, end=T0 + 3 * HOUR))
    with ledger.transaction() as c:
        incidents.write(c, 2, EntryKind.NOTE, "阀门卡住", moment=None, by="wu", at=NOW)
        incidents.close(c, 2, by="wu", at=NOW)
    assert found(ledger) == [2, 1]
    assert [found(ledger, text=t) for t in ("冷机", "供电", "阀门", "pump_a", "50%", "%", "P_mp", "nothing")] == [
        [1],
        [1],
        [2],
        [2],
        [2],
        [2],
        [],
        [],
    ]
    assert found(ledger, levels=frozenset({Level.RED})) == [2]
    assert found(ledger, states=frozenset({State.OPEN})) == [1]
    assert found(ledger, begin=T0 + HOUR) == [2]
    assert found(ledger, begin=T0 + HOUR - 1, end=T0 + 2 * HOUR) == [1]


def test_a_change_is_kept_and_audited_with_what_it_was(ledger: Ledger) -> None:
    made(ledger)
    after = msgspec.structs.replace(DRAFT, title="两台冷机失效", level=Level.RED)
    with ledger.transaction() as c:
        incidents.change(c, 1, after, by="wu", at=NOW + MINUTE)
        incidents.change(c, 1, after, by="wu", at=NOW + 2 * MINUTE)  # no difference: no entry
    with ledger.reading() as c:
        incident = incidents.get(c, 1)
        last = audit.latest(c)[0]
    assert (incident.title, incident.level, incident.changed) == ("两台冷机失效", Level.RED, NOW + MINUTE)
    assert msgspec.json.decode(last.detail) == {"title": ["冷机失效", "两台冷机失效"], "level": [3, 4]}
    assert len(acts(ledger)) == 2


def test_notes_and_bookmarks_stand_in_the_order_of_their_moments(ledger: Ledger) -> None:
    made(ledger)
    with ledger.transaction() as c:
        incidents.write(c, 1, EntryKind.NOTE, " later ", moment=None, by="li", at=NOW)
        incidents.write(c, 1, EntryKind.BOOKMARK, "peak", moment=T0 + MINUTE, by="wu", at=NOW + 1)
    with ledger.reading() as c:
        entries = incidents.entries(c, 1)
    assert [(e.kind, e.at, e.text, e.by, e.written) for e in entries] == [
        (EntryKind.BOOKMARK, T0 + MINUTE, "peak", "wu", NOW + 1),
        (EntryKind.NOTE, NOW, "later", "li", NOW),
    ]
    with refused(Refusal.NO_TEXT), ledger.transaction() as c:
        incidents.write(c, 1, EntryKind.NOTE, "  ", moment=None, by="li", at=NOW)
    with refused(Refusal.NO_INCIDENT), ledger.transaction() as c:
        incidents.write(c, 7, EntryKind.NOTE, "x", moment=None, by="li", at=NOW)
    assert [a for a, _, _ in acts(ledger)] == ["incident.create", "incident.note", "incident.bookmark"]


def test_it_is_closed_and_opened_again_once_each(ledger: Ledger) -> None:
    made(ledger)
    with ledger.transaction() as c:
        assert incidents.close(c, 1, by="li", at=NOW).state is State.CLOSED
    with refused(Refusal.CLOSED_ALREADY), ledger.transaction() as c:
        incidents.close(c, 1, by="li", at=NOW)
    with ledger.transaction() as c:
        assert incidents.reopen(c, 1, by="li", at=NOW).state is State.OPEN
    with refused(Refusal.OPEN_ALREADY), ledger.transaction() as c:
        incidents.reopen(c, 1, by="li", at=NOW)


def test_what_is_taken_in_stays_as_it_came(ledger: Ledger) -> None:
    entry = Entry(id=9, kind=EntryKind.NOTE, at=T0, text="there", by="elsewhere", written=T0)
    with ledger.transaction() as c:
        incident = incidents.take_in(c, DRAFT, [entry], '{"record": "…"}', "ab" * 32, by="li", at=NOW)
    assert (incident.origin, incident.source, incident.alarms, incident.run) == (Origin.IMPORT, "ab" * 32, (), "")
    with ledger.reading() as c:
        assert incidents.parts(c, 1) == '{"record": "…"}'
        assert [(e.text, e.by) for e in incidents.entries(c, 1)] == [("there", "elsewhere")]
    with refused(Refusal.IMPORTED_ALREADY), ledger.transaction() as c:
        incidents.take_in(c, DRAFT, [], "{}", "ab" * 32, by="li", at=NOW)
    for act in (incidents.close, incidents.reopen):
        with refused(Refusal.IMPORTED), ledger.transaction() as c:
            act(c, 1, by="li", at=NOW)
    assert [a for a, _, _ in acts(ledger)] == ["incident.import"]


def test_an_exported_hash_is_found_in_the_audit(ledger: Ledger) -> None:
    incident = made(ledger)
    with ledger.transaction() as c:
        incidents.exported(c, incident, "cd" * 32, by="li", at=NOW)
    with ledger.reading() as c:
        known = incidents.was_exported(c, "cd" * 32)
        assert known is not None
        assert known.by == "li"
        assert incidents.was_exported(c, "ef" * 32) is None


def test_the_runs_of_scenarios_are_listed_with_their_facts(ledger: Ledger) -> None:
    def fact(run: str, began: int) -> Truth:
        return Truth(run, run[:3], "w", ("ch-1",), began, began + 5, Level.RED)

    with ledger.transaction() as c:
        truth.record(c, "S03-1", [fact("S03-1", T0 + 5), fact("S03-1", T0)])
        truth.record(c, "S05-1", [fact("S05-1", T0 + HOUR)])
    with ledger.reading() as c:
        assert truth.runs(c) == [("S05-1", "S05", T0 + HOUR), ("S03-1", "S03", T0)]
        facts = truth.of_run(c, "S03-1")
    assert [f.began for f in facts] == [T0, T0 + 5]
    assert facts[0].level is Level.RED
