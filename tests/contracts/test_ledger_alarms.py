"""Alarms in the ledger, on both databases: what the evaluator says, what it adds up to, what people do about it."""

from collections.abc import Callable

import msgspec
import pytest

from tests.zone import SMALL, T0
from twin.access import Role
from twin.alerts import Kind, Transition
from twin.clock import DAY, HOUR, MINUTE, SECOND
from twin.episodes import Alarm, Bundle, Cause, State, bundles, overdue, subjects
from twin.errors import RefusedError
from twin.ledger import Ledger, alarms, audit, rules, silences, users
from twin.ledger.alarms import Filter
from twin.observation import Domain
from twin.refusal import Refusal
from twin.rules import default_rules
from twin.silences import Purpose, Scope, silent
from twin.standards import Level

NONE, BLUE, YELLOW, ORANGE, RED = Level
RULE = default_rules()[0].id
NOW = T0 + HOUR


def said(
    kind: Kind, level: Level = NONE, was: Level = NONE, *, s: float = 0, rule: str = RULE, on: str = "td-1"
) -> Transition:
    """A transition `s` seconds after T0."""
    return Transition(
        rule=rule, version=1, subject=on, at=T0 + round(s * SECOND), kind=kind, level=level, was=was, value=7.5
    )


def raised(level: Level = YELLOW, *, s: float = 0, rule: str = RULE, on: str = "td-1") -> Transition:
    return said(Kind.RAISED, level, NONE, s=s, rule=rule, on=on)


def changed(level: Level, was: Level, *, s: float) -> Transition:
    return said(Kind.CHANGED, level, was, s=s)


def cleared(was: Level = YELLOW, *, s: float, rule: str = RULE, on: str = "td-1") -> Transition:
    return said(Kind.CLEARED, NONE, was, s=s, rule=rule, on=on)


def record(ledger: Ledger, *transitions: Transition) -> list[Alarm]:
    with ledger.transaction() as c:
        return alarms.record(c, transitions, noticed=T0 + DAY)


def found(ledger: Ledger, now: int = NOW, **wanted: object) -> list[Alarm]:
    with ledger.reading() as c:
        return alarms.find(c, Filter(**wanted), now=now)  # type: ignore[arg-type]


@pytest.fixture
def act(ledger: Ledger) -> Callable[..., object]:
    def do(what: Callable[..., object], *arguments: object, at: int = NOW, by: str = "li", **more: object) -> object:
        with ledger.transaction() as c:
            return what(c, *arguments, by=by, at=at, **more)

    return do


class TestEpisodes:
    def test_one_lasts_from_raised_to_cleared(self, ledger: Ledger) -> None:
        record(ledger, raised(BLUE), changed(ORANGE, BLUE, s=10), changed(YELLOW, ORANGE, s=20))
        [alarm] = found(ledger)
        assert (alarm.rule, alarm.subject, alarm.version, alarm.value) == (RULE, "td-1", 1, 7.5)
        assert (alarm.level, alarm.highest, alarm.state) == (YELLOW, ORANGE, State.UNACKNOWLEDGED)
        assert (alarm.opened, alarm.changed, alarm.closed) == (T0, T0 + 20 * SECOND, None)
        record(ledger, cleared(YELLOW, s=30))
        [alarm] = found(ledger)
        assert (alarm.level, alarm.highest, alarm.closed) == (NONE, ORANGE, T0 + 30 * SECOND)
        assert alarm.state is State.RETURNED
        record(ledger, raised(s=40))
        assert [(a.id, a.state) for a in found(ledger)] == [(2, State.UNACKNOWLEDGED), (1, State.RETURNED)]

    def test_what_was_already_said_changes_nothing(self, ledger: Ledger) -> None:
        story = [raised(BLUE), changed(RED, BLUE, s=5), cleared(RED, s=9), raised(s=12)]
        record(ledger, *story[:3])
        before = found(ledger)
        assert record(ledger, *story[:3]) == []
        assert found(ledger) == before
        assert [a.id for a in record(ledger, *story)] == [2]
        with ledger.reading() as c:
            assert alarms.transitions(c, T0, NOW) == story
            assert alarms.transitions(c, T0 + 5 * SECOND, T0 + 9 * SECOND) == story[1:2]

    def test_said_twice_in_one_breath_is_said_once(self, ledger: Ledger) -> None:
        assert len(record(ledger, raised(), raised())) == 1
        assert len(found(ledger)) == 1

    @pytest.mark.parametrize("cut", range(7))
    def test_wherever_the_telling_breaks_off_the_ledger_ends_the_same(self, ledger: Ledger, cut: int) -> None:
        story = [
            raised(BLUE),
            raised(on="td-2", s=1),
            said(Kind.UNKNOWN, BLUE, BLUE, s=2),
            changed(RED, BLUE, s=5),
            said(Kind.KNOWN, RED, RED, s=5),
            cleared(RED, s=9),
            raised(s=12),
        ]
        record(ledger, *story[:cut])
        record(ledger, *story)
        first, second, third = sorted(found(ledger), key=lambda a: a.id)
        assert (first.opened, first.highest, first.closed) == (T0, RED, T0 + 9 * SECOND)
        assert (second.subject, second.closed) == ("td-2", None)
        assert (third.opened, third.closed) == (T0 + 12 * SECOND, None)

    def test_silence_resolves_nothing(self, ledger: Ledger) -> None:
        record(ledger, raised(), said(Kind.UNKNOWN, YELLOW, YELLOW, s=60))
        [alarm] = found(ledger)
        assert (alarm.unknown, alarm.level, alarm.closed) == (True, YELLOW, None)
        record(ledger, said(Kind.KNOWN, YELLOW, YELLOW, s=90))
        assert not found(ledger)[0].unknown

    def test_a_device_that_is_only_lost_has_no_alarm_but_is_written_down(self, ledger: Ledger) -> None:
        assert record(ledger, said(Kind.UNKNOWN, s=1), said(Kind.KNOWN, s=2), cleared(s=3)) == []
        with ledger.reading() as c:
            assert len(alarms.transitions(c, T0, NOW)) == 3

    def test_a_change_that_finds_no_alarm_opens_one(self, ledger: Ledger) -> None:
        record(ledger, changed(RED, YELLOW, s=5))
        assert [(a.level, a.opened) for a in found(ledger)] == [(RED, T0 + 5 * SECOND)]

    def test_the_group_is_that_of_the_rule_in_its_version(self, ledger: Ledger) -> None:
        first, *others = default_rules()
        with ledger.transaction() as c:
            book = [msgspec.structs.replace(first, group="flood"), *others]
            rules.commit(c, book, author="li", reason="r", base=0, at=T0)
        [alarm] = record(ledger, raised())
        assert alarm.group == "flood"
        assert found(ledger, groups=frozenset({"flood"})) == [alarm]

    def test_what_was_noticed_later_was_not_known_then(self, ledger: Ledger) -> None:
        for noticed, transition in ((T0 + 1, raised()), (T0 + 99, cleared(s=0.01))):
            with ledger.transaction() as c:
                alarms.record(c, [transition], noticed=noticed)
        with ledger.reading() as c:
            assert [t.kind for t in alarms.transitions(c, T0, NOW, known_by=T0 + 50)] == [Kind.RAISED]
            assert len(alarms.transitions(c, T0, NOW, known_by=T0 + 99)) == 2
            assert len(alarms.transitions(c, T0, NOW, alarm=1)) == 2
            assert alarms.transitions(c, T0, NOW, alarm=2) == []


class TestWork:
    def test_acknowledged_is_by_somebody_at_a_time_and_only_once(
        self, ledger: Ledger, act: Callable[..., object]
    ) -> None:
        record(ledger, raised())
        act(alarms.acknowledge, 1, text="on my way")
        [alarm] = found(ledger)
        assert (alarm.state, alarm.acknowledged_by, alarm.acknowledged_at) == (State.ACKNOWLEDGED, "li", NOW)
        with pytest.raises(RefusedError, match="already acknowledged by li"):
            act(alarms.acknowledge, 1, by="wang")
        record(ledger, cleared(s=30))
        assert found(ledger)[0].state is State.CLOSED

    def test_one_that_cleared_by_itself_can_still_be_acknowledged(
        self, ledger: Ledger, act: Callable[..., object]
    ) -> None:
        record(ledger, raised(), cleared(s=5))
        act(alarms.acknowledge, 1)
        assert found(ledger)[0].state is State.CLOSED

    def test_what_rises_above_what_was_seen_waits_anew(self, ledger: Ledger, act: Callable[..., object]) -> None:
        record(ledger, raised(YELLOW))
        act(alarms.acknowledge, 1)
        record(ledger, changed(BLUE, YELLOW, s=10), changed(YELLOW, BLUE, s=20))
        assert found(ledger)[0].state is State.ACKNOWLEDGED
        record(ledger, changed(RED, YELLOW, s=30))
        [alarm] = found(ledger)
        assert (alarm.state, alarm.waiting_since) == (State.UNACKNOWLEDGED, T0 + 30 * SECOND)

    def test_every_act_is_in_the_notes_and_in_the_audit(self, ledger: Ledger, act: Callable[..., object]) -> None:
        with ledger.transaction() as c:
            users.add(c, "wang", Role.OPERATOR, "correct horse", by="li", at=T0)
        record(ledger, raised())
        act(alarms.acknowledge, 1)
        act(alarms.comment, 1, " 泵房停电 ")
        act(alarms.assign, 1, "wang")
        act(alarms.shelve, 1, NOW + HOUR, reason="being mended")
        act(alarms.unshelve, 1)
        with ledger.reading() as c:
            notes = alarms.notes(c, 1)
            assert [n.action for n in notes] == ["acknowledge", "comment", "assign", "shelve", "unshelve"]
            assert [n.text for n in notes] == ["", "泵房停电", "wang", "being mended", ""]
            assert {(n.by, n.at) for n in notes} == {("li", NOW)}
            entries = audit.latest(c, action="alarm.", subject="alarm 1")
            assert [e.action for e in entries] == [f"alarm.{n.action}" for n in reversed(notes)]
            assert msgspec.json.decode(entries[0].detail)["on"] == "td-1"
            assert audit.verify(c).broken is None
        assert found(ledger)[0].assigned_to == "wang"

    def test_without_its_audit_nothing_is_done(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        record(ledger, raised())

        def fails(*_: object, **__: object) -> None:
            raise RuntimeError("no audit")

        monkeypatch.setattr(audit, "append", fails)
        with pytest.raises(RuntimeError), ledger.transaction() as c:
            alarms.acknowledge(c, 1, by="li", at=NOW)
        with ledger.reading() as c:
            assert alarms.notes(c, 1) == []
        assert found(ledger)[0].state is State.UNACKNOWLEDGED

    def test_a_shelf_ends_by_itself_and_holds_the_next_episode_too(
        self, ledger: Ledger, act: Callable[..., object]
    ) -> None:
        record(ledger, raised(), raised(on="td-2"))
        act(alarms.shelve, 1, NOW + HOUR, reason="chatters")
        assert [a.subject for a in found(ledger, hidden=True)] == ["td-1"]
        assert [a.subject for a in found(ledger, hidden=False)] == ["td-2"]
        record(ledger, cleared(s=5), raised(s=6))
        assert {a.id for a in found(ledger, hidden=True)} == {1, 3}
        assert found(ledger, now=NOW + HOUR, hidden=True) == []
        assert found(ledger, now=NOW + HOUR - 1, hidden=True) != []

    @pytest.mark.parametrize("until", [NOW, NOW - 1, NOW + 7 * DAY + 1])
    def test_a_shelf_has_an_end(self, ledger: Ledger, act: Callable[..., object], until: int) -> None:
        record(ledger, raised())
        with pytest.raises(RefusedError, match="within 7 days"):
            act(alarms.shelve, 1, until, reason="r")

    def test_shelved_again_the_later_word_holds(self, ledger: Ledger, act: Callable[..., object]) -> None:
        record(ledger, raised())
        act(alarms.shelve, 1, NOW + HOUR, reason="r")
        act(alarms.shelve, 1, NOW + MINUTE, reason="r")
        assert found(ledger)[0].shelved_until == NOW + MINUTE

    def test_out_of_service_hides_all_alarms_of_a_device_until_it_is_back(
        self, ledger: Ledger, act: Callable[..., object]
    ) -> None:
        record(ledger, raised(), raised(rule="another"), raised(on="td-2"))
        act(alarms.out_of_service, "td-1", reason="cable cut")
        assert {a.subject for a in found(ledger, hidden=True)} == {"td-1"}
        with ledger.reading() as c:
            assert alarms.out(c)["td-1"].text == "cable cut"
        with pytest.raises(RefusedError, match="already out of service"):
            act(alarms.out_of_service, "td-1", reason="again")
        act(alarms.in_service, "td-1")
        assert found(ledger, hidden=True) == []
        with pytest.raises(RefusedError, match="is in service"):
            act(alarms.in_service, "td-1")
        with ledger.reading() as c:
            assert [e.action for e in audit.latest(c, subject="td-1")] == ["service.in", "service.out"]

    @pytest.mark.parametrize(
        ("what", "arguments", "more", "refusal"),
        [
            (alarms.acknowledge, (9,), {}, Refusal.NO_ALARM),
            (alarms.comment, (1, " "), {}, Refusal.NO_TEXT),
            (alarms.assign, (1, "nobody"), {}, Refusal.NO_USER),
            (alarms.shelve, (1, NOW + 1), {"reason": ""}, Refusal.NO_REASON),
            (alarms.unshelve, (1,), {}, Refusal.NOT_SHELVED),
            (alarms.out_of_service, ("td-1",), {"reason": ""}, Refusal.NO_REASON),
        ],
    )
    def test_what_cannot_be_is_refused_with_its_reason_and_leaves_no_trace(
        self,
        ledger: Ledger,
        act: Callable[..., object],
        what: Callable[..., object],
        arguments: tuple[object, ...],
        more: dict[str, object],
        refusal: Refusal,
    ) -> None:
        record(ledger, raised())
        with pytest.raises(RefusedError) as refused:
            act(what, *arguments, **more)
        assert refused.value.reason is refusal
        with ledger.reading() as c:
            assert alarms.notes(c, 1) == audit.latest(c) == []


class TestFinding:
    @pytest.fixture(autouse=True)
    def several(self, ledger: Ledger, act: Callable[..., object]) -> None:
        record(
            ledger,
            raised(BLUE, s=0, on="td-1"),  # 1 unacknowledged
            raised(RED, s=10, on="aq-1"),  # 2 unacknowledged
            raised(RED, s=20, on="pk-1"),  # 3 acknowledged
            raised(ORANGE, s=30, on="pk-2"),  # 4 returned
            cleared(ORANGE, s=40, on="pk-2"),
            raised(YELLOW, s=50, on="district:dist:aihub", rule="other"),  # 5 closed
            cleared(YELLOW, s=60, on="district:dist:aihub", rule="other"),
            raised(BLUE, s=70, on="td-2"),  # 6 unacknowledged
        )
        act(alarms.acknowledge, 3)
        act(alarms.acknowledge, 5)

    def ids(self, ledger: Ledger, **wanted: object) -> list[int]:
        return [a.id for a in found(ledger, **wanted)]

    def test_what_waits_comes_first_then_by_level_then_the_newest(self, ledger: Ledger) -> None:
        assert self.ids(ledger) == [2, 6, 1, 3, 4, 5]

    @pytest.mark.parametrize(
        ("wanted", "ids"),
        [
            ({"states": frozenset({State.UNACKNOWLEDGED})}, [2, 6, 1]),
            ({"states": frozenset({State.ACKNOWLEDGED, State.CLOSED})}, [3, 5]),
            ({"states": frozenset({State.RETURNED})}, [4]),
            ({"levels": frozenset({RED, ORANGE})}, [2, 3, 4]),
            ({"rules": frozenset({"other"})}, [5]),
            ({"subjects": frozenset({"td-1", "pk-1"})}, [1, 3]),
            ({"subjects": frozenset()}, []),
            ({"subjects": subjects(SMALL, domain=Domain.PARKING)}, [3, 4]),
            ({"subjects": subjects(SMALL, gateway="gw-a")}, [6, 1]),
            ({"subjects": subjects(SMALL, district="dist:aihub")}, [2, 6, 1, 3, 4, 5]),
            ({"subjects": subjects(SMALL, district="dist:aihub", domain=Domain.TRAFFIC)}, [6, 1]),
            ({"begin": T0 + 45 * SECOND, "end": T0 + 70 * SECOND}, [2, 1, 3, 5]),
            ({"begin": T0 + 40 * SECOND, "end": T0 + 50 * SECOND}, [2, 1, 3]),
            ({"assigned_to": "wang"}, []),
        ],
    )
    def test_filters(self, ledger: Ledger, wanted: dict[str, object], ids: list[int]) -> None:
        assert self.ids(ledger, **wanted) == ids
        with ledger.reading() as c:
            assert alarms.count(c, Filter(**wanted), now=NOW) == len(ids)  # type: ignore[arg-type]

    def test_pages(self, ledger: Ledger) -> None:
        with ledger.reading() as c:
            pages = [[a.id for a in alarms.find(c, now=NOW, limit=4, offset=o)] for o in (0, 4, 8)]
        assert pages == [[2, 6, 1, 3], [4, 5], []]

    def test_what_waits_too_long_is_overdue_by_its_level(self, ledger: Ledger, act: Callable[..., object]) -> None:
        def late(now: int) -> list[int]:
            return [a.id for a in overdue(found(ledger, now), {RED: 5, BLUE: 30}, now)]

        assert late(T0 + 5 * MINUTE + 10 * SECOND - 1) == []
        assert late(T0 + 5 * MINUTE + 10 * SECOND) == [2]
        assert late(T0 + 30 * MINUTE) == [1, 2]
        act(alarms.shelve, 1, NOW + HOUR, reason="r", at=T0 + MINUTE)
        act(alarms.out_of_service, "aq-1", reason="r", at=T0 + MINUTE)
        assert late(T0 + 30 * MINUTE) == []

    def test_grouped_by_cause_the_worst_first(self, ledger: Ledger) -> None:
        def grouped(cause: Cause) -> list[tuple[str, list[int], Level, int]]:
            def plain(b: Bundle) -> tuple[str, list[int], Level, int]:
                return b.key, [a.id for a in b.alarms], b.highest, b.unacknowledged

            return [plain(b) for b in bundles(found(ledger), cause, SMALL)]

        assert grouped(Cause.RULE) == [(RULE, [2, 6, 1, 3, 4], RED, 3), ("other", [5], NONE, 0)]
        assert grouped(Cause.DISTRICT) == [("dist:aihub", [2, 6, 1, 3, 4, 5], RED, 3)]
        assert grouped(Cause.GATEWAY) == [("gw-b", [2], RED, 1), ("", [3, 4, 5], RED, 0), ("gw-a", [6, 1], BLUE, 2)]


class TestSilences:
    def add(self, act: Callable[..., object], begins: int = NOW, ends: int = NOW + HOUR, **scope: object) -> None:
        act(silences.add, Purpose.SILENCE, Scope(**scope), begins, ends, reason="maintenance")  # type: ignore[arg-type]

    def test_it_is_in_force_from_its_begin_to_its_end(self, ledger: Ledger, act: Callable[..., object]) -> None:
        self.add(act, NOW + MINUTE, NOW + HOUR, subjects=("td-1",))
        with ledger.reading() as c:
            times = (NOW, NOW + MINUTE, NOW + HOUR - 1, NOW + HOUR)
            assert [len(silences.in_force(c, t)) for t in times] == [0, 1, 1, 0]
            assert len(silences.coming(c, NOW)) == 1
            [kept] = silences.between(c, NOW, NOW + DAY)
        assert (kept.scope, kept.by, kept.reason) == (Scope(subjects=("td-1",)), "li", "maintenance")

    def test_it_can_be_ended_early_once(self, ledger: Ledger, act: Callable[..., object]) -> None:
        self.add(act)
        act(silences.end, 1, at=NOW + MINUTE)
        with ledger.reading() as c:
            assert [len(silences.in_force(c, t)) for t in (NOW, NOW + MINUTE)] == [1, 0]
            assert [e.action for e in audit.latest(c)] == ["silence.end", "silence.add"]
        with pytest.raises(RefusedError, match="no silence 1 that could"):
            act(silences.end, 1, at=NOW + 2 * MINUTE)

    @pytest.mark.parametrize(("begins", "ends"), [(NOW + 5, NOW + 5), (NOW - 9, NOW)])
    def test_it_must_have_time(self, act: Callable[..., object], begins: int, ends: int) -> None:
        with pytest.raises(RefusedError, match="must end after"):
            self.add(act, begins, ends)

    @pytest.mark.parametrize(
        ("scope", "covered"),
        [
            ({}, {"td-1", "aq-1", "district:dist:aihub", "gateway:gw-b"}),
            ({"subjects": ("td-1",)}, {"td-1"}),
            ({"domains": (Domain.ENVIRONMENT,)}, {"aq-1"}),
            ({"gateways": ("gw-b",)}, {"aq-1", "gateway:gw-b"}),
            ({"districts": ("dist:aihub",)}, {"td-1", "aq-1", "district:dist:aihub"}),
            ({"rules": ("other",)}, set()),
            ({"groups": ("flood",), "gateways": ("gw-a",)}, {"td-1"}),
        ],
    )
    def test_it_covers_what_is_in_every_list_it_has(
        self, ledger: Ledger, act: Callable[..., object], scope: dict[str, object], covered: set[str]
    ) -> None:
        self.add(act, **scope)
        with ledger.reading() as c:
            now = silences.in_force(c, NOW)
        asked = ("td-1", "aq-1", "district:dist:aihub", "gateway:gw-b")
        assert {s for s in asked if silent(now, s, RULE, "flood", SMALL, NOW)} == covered
