"""Who is told, when and why: timelines in seconds, each stage, and what must hold of any history."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.told import DUTY, Line, alarm, becomes, closes, gateways, heard, opens
from tests.zone import SMALL, T0
from twin.cases import Case, Hush, case
from twin.channels import Channel, Quiet
from twin.clock import DAY, HOUR, MINUTE, SECOND, local
from twin.notices import NEVER, Policy, Reason, mute
from twin.registry import Registry
from twin.standards import Level

R = Reason
BLUE, YELLOW, ORANGE, RED = Level.BLUE, Level.YELLOW, Level.ORANGE, Level.RED
CHIEF = Channel("chief", escalation=True)


class TestTimelines:
    def test_the_first_notice_waits_for_others_of_its_group(self) -> None:
        line = Line().at(0, opens(alarm(1))).at(12, opens(alarm(2, at=12))).at(900)
        assert heard(line.said) == [(20, R.FIRST, (1, 2))]

    def test_what_comes_later_waits_for_the_interval(self) -> None:
        line = Line().at(0, opens(alarm(1))).at(60, opens(alarm(2, at=60))).at(200, opens(alarm(3, at=200))).at(900)
        assert heard(line.said) == [(20, R.FIRST, (1,)), (320, R.MORE, (1, 2, 3))]

    def test_a_level_above_what_was_told_waits_for_nothing(self) -> None:
        line = Line().at(0, opens(alarm(1))).at(60, becomes(1, level=RED)).at(900)
        assert heard(line.said) == [(20, R.FIRST, (1,)), (60, R.ROSE, (1,))]

    def test_a_level_that_falls_and_comes_back_is_no_news(self) -> None:
        line = (
            Line().at(0, opens(alarm(1, RED))).at(60, becomes(1, level=YELLOW)).at(400, becomes(1, level=RED)).at(900)
        )
        assert heard(line.said) == [(20, R.FIRST, (1,))]

    def test_nor_is_it_when_another_was_told_meanwhile(self) -> None:
        line = Line().at(0, opens(alarm(1, RED), alarm(3, RED))).at(60, becomes(1, level=YELLOW))
        line.at(100, opens(alarm(2, at=100))).at(700, becomes(1, level=RED)).at(2000)
        assert heard(line.said) == [(20, R.FIRST, (1, 3)), (320, R.MORE, (3, 1, 2))]

    def test_another_alarm_of_the_group_that_is_worse_waits_for_nothing(self) -> None:
        line = Line().at(0, opens(alarm(1))).at(60, opens(alarm(2, RED, at=60))).at(900)
        assert heard(line.said) == [(20, R.FIRST, (1,)), (60, R.ROSE, (2, 1))]

    def test_it_is_over_only_when_all_of_it_is(self) -> None:
        line = Line().at(0, opens(alarm(1), alarm(2))).at(400, closes(1)).at(500, closes(2)).at(900)
        assert heard(line.said) == [(20, R.FIRST, (1, 2)), (500, R.RESOLVED, ())]
        assert set(line.sent[-1].over) == {1, 2}

    def test_what_was_over_before_anybody_was_told_is_not_mentioned(self) -> None:
        assert Line().at(0, opens(alarm(1))).at(15, closes(1)).at(900).said == []

    def test_that_it_is_over_waits_for_the_interval_too(self) -> None:
        line = Line().at(0, opens(alarm(1))).at(60, closes(1)).at(900)
        assert heard(line.said) == [(20, R.FIRST, (1,)), (320, R.RESOLVED, ())]

    def test_what_begins_when_all_that_was_told_is_over_is_a_first_one(self) -> None:
        line = Line().at(0, opens(alarm(1))).at(60, closes(1)).at(100, opens(alarm(2, at=100))).at(900)
        assert heard(line.said) == [(20, R.FIRST, (1,)), (320, R.FIRST, (2,))]
        assert set(line.sent[-1].over) == {1}
        line = Line().at(0, opens(alarm(1))).at(60, closes(1)).at(100, opens(alarm(2, RED, at=100))).at(900)
        assert heard(line.said) == [(20, R.FIRST, (1,)), (120, R.FIRST, (2,))]

    def test_what_comes_and_goes_makes_two_notices_an_interval_at_most(self) -> None:
        line = Line()
        for i in range(60):
            line.at(30 * i, opens(alarm(i, at=30 * i))).at(30 * i + 25, closes(i))
        assert len(line.said) <= 2 * (1800 / 300) + 1

    def test_red_that_comes_again_does_not_wait_for_the_interval(self) -> None:
        line = Line().at(0, opens(alarm(1))).at(330, closes(1)).at(340, opens(alarm(2, at=340))).at(500, closes(2))
        assert heard(line.said) == [(20, R.FIRST, (1,)), (330, R.RESOLVED, ())]
        line.at(510, opens(alarm(3, RED, at=510))).at(600)
        assert heard(line.said)[2:] == [(530, R.FIRST, (3,))]

    def test_it_is_said_again_until_somebody_acknowledges(self) -> None:
        line = Line().at(0, opens(alarm(1, repeat_min=10))).at(1000, becomes(1, acknowledged=True)).at(9000)
        assert heard(line.said) == [(20, R.FIRST, (1,)), (620, R.REPEAT, (1,))]
        assert line.reasons() == {"hot@d1": R.ACKNOWLEDGED}

    def test_the_repeat_is_that_of_what_nobody_has_acknowledged(self) -> None:
        line = Line().at(0, opens(alarm(1, repeat_min=5, acknowledged=True), alarm(2, repeat_min=20))).at(2000)
        assert heard(line.said) == [(20, R.FIRST, (1, 2)), (1220, R.REPEAT, (1, 2))]

    def test_without_a_repeat_it_is_said_once(self) -> None:
        line = Line().at(0, opens(alarm(1))).at(90_000)
        assert len(line.said) == 1
        assert line.reasons() == {"hot@d1": R.SAME}
        assert line.due == NEVER

    def test_a_lost_sensor_is_said_and_is_no_resolution(self) -> None:
        line = Line().at(0, opens(alarm(1))).at(400, becomes(1, unknown=True)).at(5000)
        assert heard(line.said) == [(20, R.FIRST, (1,)), (400, R.UNKNOWN, (1,))]

    def test_escalation_is_told_what_nobody_acknowledges(self) -> None:
        line = (
            Line(DUTY, CHIEF)
            .at(0, opens(alarm(1), alarm(2, group="b")))
            .at(900, becomes(2, acknowledged=True))
            .at(9000)
        )
        assert heard(line.said, "chief") == [(1800, R.ESCALATED, (1,))]

    def test_escalation_counts_from_when_it_waits_anew(self) -> None:
        line = Line(CHIEF).at(0, opens(alarm(1, acknowledged=True)))
        line.at(5000, becomes(1, acknowledged=False, level=RED, waiting_since=T0 + 5000 * SECOND)).at(9000)
        assert heard(line.said, "chief") == [(6800, R.ESCALATED, (1,))]

    def test_escalation_hears_the_end_even_when_it_was_acknowledged_meanwhile(self) -> None:
        line = Line(CHIEF).at(0, opens(alarm(1))).at(2000, becomes(1, acknowledged=True)).at(4000, closes(1)).at(9000)
        assert [(s.at, s.reason) for s in line.said] == [(1800, R.ESCALATED), (4000, R.RESOLVED)]

    def test_a_rule_may_name_its_channels(self) -> None:
        line = Line(DUTY, CHIEF, Channel("mail")).at(0, opens(alarm(1, channels=("mail", "chief")))).at(900)
        assert [(s.channel, s.reason) for s in line.said] == [("chief", R.FIRST), ("mail", R.FIRST)]

    def test_quiet_hours_wait_for_their_end_unless_it_is_bad(self) -> None:
        night = Channel("duty", quiet=Quiet(8 * 60, 8 * 60 + 30, RED))  # T0 is 08:00
        line = Line(night).at(0, opens(alarm(1), alarm(2, RED, group="b"))).at(60)
        assert heard(line.said) == [(20, R.FIRST, (2,))]
        assert line.reasons()["hot@d1"] is R.QUIET
        line.at(600, becomes(1, level=RED)).at(700, opens(alarm(3, group="c", at=700))).at(9000)
        assert heard(line.said)[1:] == [(600, R.FIRST, (1,)), (1800, R.FIRST, (3,))]

    def test_what_began_and_ended_in_quiet_hours_is_not_mentioned(self) -> None:
        night = Channel("duty", quiet=Quiet(8 * 60, 8 * 60 + 30, RED))
        assert Line(night).at(0, opens(alarm(1))).at(900, closes(1)).at(9000).said == []

    def test_a_silence_hides_and_what_is_hidden_is_not_resolved(self) -> None:
        hush = Hush(T0 + 100 * SECOND, T0 + 1000 * SECOND)
        line = Line().at(0, opens(alarm(1, hushes=(hush,), repeat_min=5))).at(999)
        assert heard(line.said) == [(20, R.FIRST, (1,))]
        assert line.plan().hushed == {1: R.SILENCED}
        line.at(1001)
        assert heard(line.said)[1:] == [(1000, R.REPEAT, (1,))]

    def test_what_is_told_later_than_its_shelf_is_told_when_that_ends(self) -> None:
        line = Line().at(0, opens(alarm(1, shelved_until=T0 + 600 * SECOND))).at(900)
        assert heard(line.said) == [(600, R.FIRST, (1,))]

    def test_what_is_resolved_while_shelved_is_said_to_be_over(self) -> None:
        line = Line().at(0, opens(alarm(1))).at(100, becomes(1, shelved_until=T0 + DAY)).at(5000)
        assert len(line.said) == 1
        assert heard(line.at(6000, closes(1)).said)[1:] == [(6000, R.RESOLVED, ())]


class TestStages:
    @pytest.mark.parametrize(
        ("it", "reason"),
        [
            (alarm(), None),
            (alarm(out_of_service=True, shelved_until=T0 + 1), R.OUT_OF_SERVICE),
            (alarm(shelved_until=T0 + 1), R.SHELVED),
            (alarm(shelved_until=T0), None),
            (alarm(hushes=(Hush(T0, T0 + 1),)), R.SILENCED),
            (alarm(hushes=(Hush(T0 - 5, T0),)), None),
            (alarm(hushes=(Hush(T0 + 1, T0 + 5),)), None),
            (alarm(hushes=(Hush(T0, T0 + 1, maintenance=True),)), R.MAINTENANCE),
        ],
    )
    def test_mute(self, it: Case, reason: Reason | None) -> None:
        assert mute(it, T0) is reason

    def test_a_lost_gateway_stands_for_the_absence_of_its_devices(self) -> None:
        silent = [alarm(i, rule="silence", gateway="gw-a", absence=True, district=f"d{i % 2}") for i in range(1, 13)]
        other = alarm(20, rule="silence", gateway="gw-b", absence=True)
        line = Line().at(0, gateways("gw-a"), opens(*silent, other)).at(900)
        assert sorted(len(s.alarms) for s in line.said) == [1, 12]
        assert {d.group for d in line.sent} == {"gateway:gw-a", "silence@d1"}
        assert line.plan().hushed == dict.fromkeys(range(1, 13), R.GATEWAY)
        line.at(1000, gateways(), closes(*range(1, 13))).at(2000)
        assert [(s.at, s.reason) for s in line.said][2:] == [(1000, R.RESOLVED)]

    def test_a_gateway_is_lost_too_when_an_alarm_says_so(self) -> None:
        own = alarm(9, RED, subject="gateway:gw-a", place="gw-a", gateway="gw-a", absence=True, district="")
        silent = [alarm(i, gateway="gw-a", absence=True) for i in (1, 2)]
        line = Line().at(0, opens(own, *silent)).at(900)
        assert heard(line.said) == [(20, R.FIRST, (9, 1, 2))]

    def test_devices_that_stay_silent_when_the_gateway_is_back_speak_for_themselves(self) -> None:
        silent = [alarm(i, rule="silence", gateway="gw-a", absence=True) for i in (1, 2)]
        line = Line().at(0, gateways("gw-a"), opens(*silent)).at(900, gateways(), closes(1)).at(2000)
        assert [(d.group, d.reason, [c.alarm for c in d.cases]) for d in line.sent] == [
            ("gateway:gw-a", R.FIRST, [1, 2]),
            ("gateway:gw-a", R.RESOLVED, []),
            ("silence@d1", R.FIRST, [2]),
        ]

    def test_a_lost_gateway_says_it_for_the_alarms_that_lose_their_sensor(self) -> None:
        line = (
            Line().at(0, opens(alarm(1, gateway="gw-a"))).at(500, gateways("gw-a"), becomes(1, unknown=True)).at(2000)
        )
        assert heard(line.said) == [(20, R.FIRST, (1,))]

    def test_an_absence_that_its_gateway_stands_for_hides_nothing(self) -> None:
        both = alarm(1, RED, subject="x", gateway="gw-a", absence=True), alarm(2, subject="x", gateway="gw-a")
        line = Line().at(0, gateways("gw-a"), opens(*both)).at(900)
        assert sorted(s.alarms for s in line.said) == [(1,), (2,)]

    def test_a_higher_alarm_of_a_subject_stands_for_the_lower_of_its_group(self) -> None:
        same = [alarm(1, RED, subject="x", group="heat"), alarm(2, subject="x", group="heat", rule="warm")]
        other = [alarm(3, subject="x", group="air", rule="pm"), alarm(4, subject="y", group="heat", rule="warm")]
        line = Line().at(0, opens(*same, *other)).at(60)
        assert sorted(s.alarms for s in line.said) == [(1, 4), (3,)]
        assert line.plan().hushed == {2: R.HIGHER}
        assert heard(line.at(400, closes(1)).at(900).said)[2:] == [(400, R.MORE, (2, 4))]

    def test_a_muted_alarm_hides_no_other(self) -> None:
        both = alarm(1, RED, subject="x", shelved_until=T0 + DAY), alarm(2, subject="x", rule="warm")
        line = Line().at(0, opens(*both)).at(900)
        assert heard(line.said) == [(20, R.FIRST, (2,))]

    def test_below_the_least_level_and_without_a_channel(self) -> None:
        line = Line(Channel("duty", least=ORANGE)).at(0, opens(alarm(1), alarm(2, channels=("nobody",)))).at(900)
        assert line.said == []
        assert line.plan().hushed == {1: R.BELOW, 2: R.NO_CHANNEL}
        assert heard(line.at(1000, becomes(1, level=ORANGE)).said) == [(1000, R.FIRST, (1,))]

    def test_blue_is_not_sent_unless_asked(self) -> None:
        assert Line().at(0, opens(alarm(1, BLUE))).at(900).said == []
        assert len(Line(Channel("duty", least=BLUE)).at(0, opens(alarm(1, BLUE))).at(900).said) == 1

    def test_nobody_is_told_where_there_is_no_channel(self) -> None:
        line = Line()
        line.channels = ()
        line.at(0, opens(alarm(1, RED))).at(900)
        assert line.said == []
        assert line.plan().hushed == {1: R.NO_CHANNEL}

    def test_one_decision_has_one_key(self) -> None:
        line = Line().at(0, opens(alarm(1)))
        line.now = T0 + 20 * SECOND
        first, again = line.plan().sends[0], line.plan().sends[0]
        assert first.key == again.key
        keys = [d.key for d in Line().at(0, opens(alarm(1))).at(60, becomes(1, level=RED)).at(600, closes(1)).sent]
        assert len(set(keys)) == len(keys) == 3


class TestQuietHours:
    @pytest.mark.parametrize(
        ("span", "clock", "ends"),
        [
            ((22 * 60, 7 * 60), (23, 30), (7, 0)),
            ((22 * 60, 7 * 60), (3, 0), (7, 0)),
            ((22 * 60, 7 * 60), (7, 0), None),
            ((22 * 60, 7 * 60), (21, 59), None),
            ((12 * 60, 14 * 60), (13, 59), (14, 0)),
            ((0, 0), (5, 5), (0, 0)),  # the whole day
        ],
    )
    def test_until(self, span: tuple[int, int], clock: tuple[int, int], ends: tuple[int, int] | None) -> None:
        now = T0 - 8 * HOUR + clock[0] * HOUR + clock[1] * MINUTE + 7_123
        until = Quiet(*span, RED).until(now)
        if ends is None:
            assert until == now
        else:
            assert now < until <= now + DAY
            assert (local(until).hour, local(until).minute, until % MINUTE) == (*ends, 0)


# Any history

Change = Callable[[Line], None]


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, tuple[Change, ...]]]:
    """Up to 14 moments in 25 minutes, each with something that happens to one of five alarms or to a gateway."""
    moments = sorted(draw(st.lists(st.integers(0, 1500), max_size=14, unique=True)))
    levels = st.sampled_from(list(Level)[1:])
    is_open: set[int] = set()
    found: list[tuple[int, tuple[Change, ...]]] = []
    for n, t in enumerate(moments):
        slot = draw(st.integers(0, 4))
        mine = [id for id in is_open if id % 5 == slot]
        if not mine:
            id = 5 * n + slot
            is_open.add(id)
            subject, group, gateway = f"s{slot // 2}", "ab"[slot % 2], f"gw{slot % 2}"
            more = {"rule": f"r{slot}", "repeat_min": draw(st.sampled_from((0, 5, 10))), "absence": slot == 4}
            found.append(
                (t, (opens(alarm(id, draw(levels), at=t, subject=subject, group=group, gateway=gateway, **more)),))
            )
            continue
        [id] = mine
        what = draw(st.sampled_from(("close", "level", "unknown", "acknowledge", "shelve", "out", "hush", "gateway")))
        match what:
            case "close":
                is_open.discard(id)
                found.append((t, (closes(id),)))
            case "level":
                found.append((t, (becomes(id, level=draw(levels)),)))
            case "unknown":
                found.append((t, (becomes(id, unknown=draw(st.booleans())),)))
            case "acknowledge":
                found.append((t, (becomes(id, acknowledged=True),)))
            case "shelve":
                found.append((t, (becomes(id, shelved_until=T0 + (t + draw(st.integers(1, 1200))) * SECOND),)))
            case "out":
                found.append((t, (becomes(id, out_of_service=draw(st.booleans())),)))
            case "hush":
                begins = T0 + (t + draw(st.integers(-100, 600))) * SECOND
                hush = Hush(begins, begins + draw(st.integers(1, 900)) * SECOND, draw(st.booleans()))
                found.append((t, (becomes(id, hushes=(hush,)),)))
            case "gateway":
                found.append((t, (gateways(*draw(st.sets(st.sampled_from(("gw0", "gw1"))))),)))
    return found


def lined() -> Line:
    quick = Policy(wait=20 * SECOND, interval=300 * SECOND, escalate=600 * SECOND)
    night = Channel("night", least=BLUE, quiet=Quiet(8 * 60 + 10, 8 * 60 + 25, ORANGE))
    return Line(DUTY, night, CHIEF, policy=quick)


@settings(max_examples=30)
@given(histories())
def test_sleeping_until_it_is_due_misses_nothing(history: list[tuple[int, tuple[Change, ...]]]) -> None:
    asleep, awake = lined(), lined()
    for t, changes in history:
        asleep.at(t, *changes)
    asleep.at(2400)
    at = {t: [c for s, cs in history if s == t for c in cs] for t, _ in history}
    for second in range(2401):
        awake.at(second, *at.get(second, ()))
    assert asleep.said == awake.said


@settings(max_examples=200)
@given(histories())
def test_whatever_happens(history: list[tuple[int, tuple[Change, ...]]]) -> None:
    line = lined()
    for t, changes in history:
        line.at(t, *changes)
        made = line.plan()
        assert not made.sends, "what was said is not said again"
        assert made.due > line.now
        for decision in line.sent:
            if decision.reason is R.RESOLVED and not decision.group.startswith("gateway:"):
                assert decision.over.keys().isdisjoint(line.open), "what is hidden or unknown is not over"
        visible = set(line.open) - set(made.hushed)
        answered = {c.alarm for d in made.decisions for c in d.cases}
        assert visible <= answered, "each alarm is told, or there is a reason"
    told = [(d.channel, d.group, d.told.number) for d in line.sent]
    assert len(set(told)) == len(told)
    for channel in ("duty", "night", "chief"):
        for group in {d.group for d in line.sent}:
            mine = [d for d in line.sent if (d.channel, d.group) == (channel, group)]
            assert [d.told.number for d in mine] == list(range(1, len(mine) + 1))
            assert all(d.level >= (YELLOW if channel != "night" else BLUE) for d in mine)
            for before, after in pairwise(mine):
                hasty = after.reason is R.ROSE or (after.reason in (R.FIRST, R.ESCALATED) and after.level == RED)
                assert hasty or after.told.at - before.told.at >= 300 * SECOND


# From the ledger and the rulebook


class _Alarm:
    id, subject, level, opened, waiting_since = 7, "sv-1", ORANGE, T0, T0 + 5
    unknown, acknowledged_by, shelved_until, out_of_service = True, "li", None, False


class _Term:
    metric, condition, thresholds = "inletTemperature", "absent", {ORANGE: 32.0}


class _Rule:
    id, name, when, group, channels, repeat_min, message = "hot", "Hot", (_Term(),), "heat", ("duty",), 30, "Look at it"


class _Scope:
    def covers(self, subject: str, rule: str, group: str, registry: Registry, /) -> bool:
        return (subject, rule, group) == ("sv-1", "hot", "heat")


class _Silence:
    purpose, scope, begins, ends = "maintenance", _Scope(), T0, T0 + 9


def test_a_case_is_made_of_an_alarm_its_rule_and_its_device() -> None:
    made = case(_Alarm(), _Rule(), SMALL, unit="Cel", value=33.5, silences=[_Silence()])
    device = SMALL["sv-1"]
    assert (made.alarm, made.place, made.district, made.gateway) == (7, device.name, device.district, device.gateway)
    assert (made.level, made.opened, made.waiting_since, made.shelved_until) == (ORANGE, T0, T0 + 5, 0)
    assert (made.absence, made.unknown, made.acknowledged, made.out_of_service) == (True, True, True, False)
    assert (made.value, made.threshold, made.unit, made.repeat_min) == (33.5, 32.0, "Cel", 30)
    assert made.hushes == (Hush(T0, T0 + 9, maintenance=True),)


@pytest.mark.parametrize(
    ("subject", "place", "district", "gateway"),
    [
        ("district:dist:aihub", "AI创新港", "dist:aihub", ""),
        ("gateway:gw-a", "gw-a", "", "gw-a"),
        ("gone-1", "gone-1", "", ""),
    ],
)
def test_a_subject_need_not_be_a_device(subject: str, place: str, district: str, gateway: str) -> None:
    of = _Alarm()
    of.subject = subject
    made = case(of, _Rule(), SMALL, places={"dist:aihub": "AI创新港"})
    assert (made.place, made.district, made.gateway) == (place, district, gateway)
