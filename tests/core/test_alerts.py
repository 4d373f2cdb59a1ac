"""Each edge of the transition table as a timeline, and what the evaluator owes to those who run it."""

import itertools

import msgspec
import numpy as np
import pytest

from tests.core.timeline import LATER, ZONE, holds, rule, story
from tests.zone import T0
from twin.alerts import Evaluator, Kind, Reason, Transition, run
from twin.alerts.transition import MOVES, Cause, Phase, phase
from twin.observation import Observation
from twin.registry import Registry
from twin.rules import Book, Condition, Match, Over, Rule, Scope, Term
from twin.schedule import Day, Span
from twin.standards import Level

AT_ONCE = {"raise_after_s": 0, "clear_after_s": 0}
ABSENT = Term(condition=Condition.ABSENT, blue=60, orange=300)


def wind(at: float, value: float, device: str = "w-1") -> Observation:
    return Observation(device, T0 + round(at * 1000), {"windSpeed": float(value)}, T0 + round(at * 1000))


# ---------------------------------------------------------------- thresholds, dead band, delays


def test_a_threshold_is_reached_at_the_value_itself() -> None:
    holds(rule(**AT_ONCE), "at 0 push 61 \n at 10 push 70 \n expect yellow at 10 \n expect unknown at 110.001")


def test_the_usual_grace_is_three_periods() -> None:
    holds(rule(grace_s=0), "at 0 push 61 \n expect unknown at 180.001")


def test_a_level_is_left_only_past_the_dead_band() -> None:
    holds(
        rule(**AT_ONCE, grace_s=4000),
        """
        at 0 push 71
        expect yellow at 0
        at 10 push 65
        at 20 push 64.99
        expect none at 20
        at 30 push 69.99
        """,
    )


def test_it_must_hold_for_the_raise_delay_without_a_break() -> None:
    holds(
        rule(),
        """
        at 0 push 71
        at 50 push 69
        at 55 push 72
        at 114 push 73
        expect yellow at 115
        expect unknown at 214.001
        """,
    )


def test_a_value_at_the_very_end_of_the_delay_can_break_it() -> None:
    holds(rule(grace_s=4000), "at 0 push 71 \n at 60 push 69")


def test_a_value_at_the_very_end_of_the_delay_that_still_asks_is_told() -> None:
    holds(rule(grace_s=4000), "at 0 push 71 \n at 60 push 75 \n expect yellow at 60")


def test_it_is_due_at_its_own_time_with_no_further_word() -> None:
    holds(rule(), "at 0 push 71 \n expect yellow at 60 \n expect unknown at 100.001")


def test_the_clear_delay_must_hold_without_a_break() -> None:
    holds(
        rule(**AT_ONCE | {"clear_after_s": 30}, grace_s=4000),
        """
        at 0 push 71
        expect yellow at 0
        at 10 push 60
        at 39 push 66
        at 50 push 60
        expect none at 80
        """,
    )


def test_levels_go_up_and_down_one_by_one_and_at_once() -> None:
    holds(
        rule(**AT_ONCE, grace_s=4000),
        """
        at 0 push 71
        expect yellow at 0
        at 10 push 81
        expect red at 10
        at 20 push 76
        at 30 push 74
        expect yellow at 30
        at 40 push 99
        expect red at 40
        at 50 push 0
        expect none at 50
        """,
    )


def test_each_level_has_its_own_delay() -> None:
    holds(
        rule(grace_s=4000),
        """
        at 0 push 71
        at 40 push 85
        expect yellow at 60
        expect red at 100
        """,
    )


@pytest.mark.parametrize(
    ("term", "quiet", "told"),
    [
        (Term(metric="windSpeed", condition=Condition.BELOW, yellow=10, band=2), (11, 10.01), 10),
        (Term(metric="windSpeed", condition=Condition.OUTSIDE, yellow=(10, 20), band=2), (11, 19), 20),
        (Term(metric="windSpeed", condition=Condition.OUTSIDE, yellow=(10, 20), band=2), (11, 19), 10),
        (Term(metric="windSpeed", condition=Condition.ABOVE, of="capacity", yellow=0.5), (0, 99), 100),
    ],
)
def test_conditions(term: Term, quiet: tuple[float, float], told: float) -> None:
    of = rule(when=(term,), **AT_ONCE, grace_s=4000)
    text = f"at 0 push {quiet[0]} \n at 10 push {quiet[1]} \n at 20 push {told} \n expect yellow at 20"
    holds(of, text)


@pytest.mark.parametrize(("value", "ends"), [(12, False), (12.01, True), (17.99, True), (18, False)])
def test_outside_is_left_past_the_dead_band_of_both_ends(value: float, ends: bool) -> None:
    term = Term(metric="windSpeed", condition=Condition.OUTSIDE, yellow=(10, 20), band=2)
    text = f"at 0 push 9 \n expect yellow at 0 \n at 10 push {value}"
    holds(rule(when=(term,), **AT_ONCE, grace_s=4000), text + ("\n expect none at 10" if ends else ""))


def test_a_rate_is_the_change_a_minute_against_what_held_a_window_ago() -> None:
    term = Term(metric="windSpeed", condition=Condition.RATE, window_s=120, yellow=5)
    holds(
        rule(when=(term,), **AT_ONCE, grace_s=4000),
        """
        at 0 push 0
        at 60 push 20
        at 120 push 9.9
        at 150 push 10
        expect yellow at 150
        at 181 push 10
        expect none at 181
        """,
    )


def test_no_rate_is_made_over_a_silence() -> None:
    term = Term(metric="windSpeed", condition=Condition.RATE, window_s=120, yellow=5)
    holds(rule(when=(term,), **AT_ONCE), "at 0 push 0 \n at 230 push 90 \n at 300 push 95")


# ---------------------------------------------------------------- silence


def test_silence_resolves_nothing() -> None:
    holds(
        rule(),
        """
        at 0 push 75
        expect yellow at 60
        at 90 push 50
        expect none at 120
        expect unknown at 190.001
        at 300 push 75
        expect known at 300
        expect yellow at 360
        at 390 push 60
        at 400 push 72
        expect unknown at 500.001
        at 2000 push 50
        expect known at 2000
        expect none at 2030
        expect unknown at 2100.001
        """,
    )


def test_what_was_pending_begins_anew_after_silence() -> None:
    holds(
        rule(raise_after_s=150),
        """
        at 0 push 75
        expect unknown at 100.001
        at 120 push 75
        expect known at 120
        at 200 push 75
        expect yellow at 270
        expect unknown at 300.001
        """,
    )


def test_what_was_clearing_stays_active_when_it_falls_silent() -> None:
    holds(
        rule(raise_after_s=0, clear_after_s=150),
        """
        at 0 push 75
        expect yellow at 0
        at 50 push 10
        expect unknown at 150.001
        """,
    )


def test_a_value_at_the_very_end_of_the_grace_keeps_it_known() -> None:
    holds(rule(), "at 0 push 1 \n at 100 push 1 \n expect unknown at 200.001")


def test_a_lost_gateway_makes_its_devices_unknown_at_once() -> None:
    holds(
        rule(),
        """
        at 0 push 75
        at 0 push w-3 1
        at 30 lose gw-a
        expect unknown at 30
        at 40 find gw-a
        at 50 push 75
        expect known at 50
        expect unknown at 100.001 for w-3
        expect yellow at 110
        expect unknown at 150.001
        """,
    )


def test_what_was_on_its_way_when_the_gateway_was_lost_is_not_heard() -> None:
    holds(rule(), "at 0 push 75 \n at 30 lose gw-a \n expect unknown at 30 \n at 31 late 80 from 29")


def test_absence_counts_from_what_was_last_said_and_from_the_beginning() -> None:
    holds(
        rule(when=(ABSENT,), raise_after_s=0, clear_after_s=20, scope=Scope(devices=("w-1",))),
        """
        expect blue at 60
        at 100 push 1
        expect none at 120
        expect blue at 160
        at 300 push 1
        expect none at 320
        expect blue at 360
        expect orange at 600
        """,
    )


def test_absence_is_over_only_when_it_speaks_again_for_long_enough() -> None:
    of = rule(when=(ABSENT,), raise_after_s=0, clear_after_s=90)
    assert [t for t in story(of, "at 100 push 1 \n at 150 push 1 \n at 195 push 1")[1] if "w-1" in t] == [
        "expect blue at 60 for w-1",
        "expect none at 190 for w-1",
        "expect blue at 255 for w-1",
        "expect orange at 495 for w-1",
    ]


# ---------------------------------------------------------------- order of arrival


def test_the_first_of_two_at_one_time_counts() -> None:
    holds(rule(**AT_ONCE, grace_s=4000), "at 0 push 1 \n at 0 push 99")


def test_what_is_not_newer_is_ignored() -> None:
    holds(rule(**AT_ONCE, grace_s=4000), "at 10 push 1 \n at 11 late 99 from 9")


def test_what_is_newer_but_from_before_the_last_tick_counts_from_there() -> None:
    evaluator = Evaluator(Book(1, (rule(**AT_ONCE),)), ZONE, begin=T0)
    evaluator.step(wind(0, 75))
    evaluator.tick(T0 + 200_000)
    [known, cleared] = evaluator.step(wind(150, 10))
    assert (known.kind, known.at) == (Kind.KNOWN, T0 + 200_000)
    assert (cleared.kind, cleared.at) == (Kind.CLEARED, T0 + 200_000)
    assert evaluator.step(wind(99, 75)) == [], "older than its grace: it tells nothing of the present"


# ---------------------------------------------------------------- several terms, several devices


def test_all_of_and_any_of_within_a_device() -> None:
    terms = (
        Term(metric="windSpeed", condition=Condition.ABOVE, yellow=70, red=80),
        Term(metric="relativeHumidity", condition=Condition.BELOW, yellow=0.4),
    )
    text = """
        at 0 push w-1 windSpeed 85
        at 10 push w-1 relativeHumidity 0.5
        {first}
        at 20 push w-1 relativeHumidity 0.3
        {second}
        at 30 push w-1 windSpeed 10
        {third}
    """
    all_of = text.format(first="", second="expect red at 20", third="expect none at 30")
    any_of = text.format(first="", second="", third="").replace("at 10", "expect red at 0 \n at 10", 1)
    holds(rule(when=terms, **AT_ONCE, grace_s=4000), all_of)
    holds(rule(when=terms, match=Match.ANY, **AT_ONCE, grace_s=4000), any_of)


def test_at_least_two_of_a_district() -> None:
    holds(
        rule(over=Over.DISTRICT, need=2, **AT_ONCE),
        """
        at 0 push w-1 75
        at 10 push w-2 85
        expect yellow at 10 for district:dist:aihub
        at 20 push w-3 85
        expect red at 20 for district:dist:aihub
        at 30 push w-1 10
        at 40 push w-2 10
        expect none at 40 for district:dist:aihub
        expect unknown at 130.001 for district:dist:aihub
        """,
    )


def test_a_device_that_falls_silent_in_alarm_holds_that_of_its_district() -> None:
    holds(
        rule(over=Over.DISTRICT, need=1, **AT_ONCE),
        """
        at 0 push w-1 75
        expect yellow at 0 for district:dist:aihub
        at 90 push w-2 10
        at 180 push w-2 10
        at 250 push w-1 10
        expect none at 250 for district:dist:aihub
        expect unknown at 350.001 for district:dist:aihub
        """,
    )


def test_a_device_that_falls_silent_while_well_does_not() -> None:
    holds(
        rule(over=Over.DISTRICT, need=1, **AT_ONCE),
        """
        at 0 push w-1 10
        at 90 push w-2 75
        expect yellow at 90 for district:dist:aihub
        at 180 push w-2 10
        expect none at 180 for district:dist:aihub
        expect unknown at 280.001 for district:dist:aihub
        """,
    )


def test_what_was_clearing_in_a_group_stays_when_all_of_it_falls_silent() -> None:
    holds(
        rule(over=Over.DISTRICT, need=1, raise_after_s=0, clear_after_s=150),
        """
        at 0 push w-1 75
        expect yellow at 0 for district:dist:aihub
        at 10 push w-1 1
        expect unknown at 110.001 for district:dist:aihub
        """,
    )


def test_a_gateway_all_of_whose_devices_are_silent() -> None:
    of = rule(when=(ABSENT,), over=Over.GATEWAY, need=0, raise_after_s=0, clear_after_s=0)
    happened = story(of, "at 50 push w-2 1 \n at 100 push w-1 1 \n at 200 push w-2 1", every_s=3)[1]
    assert happened == [
        "expect blue at 60 for gateway:gw-b",
        "expect blue at 160 for gateway:gw-a",
        "expect none at 200 for gateway:gw-a",
        "expect blue at 260 for gateway:gw-a",
        "expect orange at 300 for gateway:gw-b",
        "expect orange at 500 for gateway:gw-a",
    ]


def test_what_reads_several_waits_for_the_tick_and_so_takes_them_in_order() -> None:
    of = rule(over=Over.DISTRICT, need=2, **AT_ONCE)
    given = [wind(0, 75), wind(10, 75, "w-2"), wind(11, 10)]
    told = []
    # But for those in which the first device contradicts its own order
    for order in itertools.permutations(given):
        evaluator = Evaluator(Book(1, (of,)), ZONE, begin=T0)
        if list(order).index(given[0]) < list(order).index(given[2]):
            assert [t for o in order for t in evaluator.step(o)] == []
            told.append(evaluator.tick(T0 + 12_000))
    assert [[(t.kind, t.at - T0) for t in one] for one in told] == [[(Kind.RAISED, 10_000), (Kind.CLEARED, 11_000)]] * 3


# ---------------------------------------------------------------- hours of the week


def test_an_alarm_ends_with_the_hours_of_its_rule_and_begins_with_them() -> None:
    # T0 is 08:00 in Shanghai on a Wednesday
    holds(
        rule(grace_s=4000, schedule=(Span(start="08:10", end="08:20"), Span(start="08:30", end="08:40"))),
        """
        at 0 push 75
        expect yellow at 660
        expect none at 1200
        expect yellow at 1860
        expect none at 2400
        """,
    )
    alarms = run(
        Book(1, (rule(grace_s=4000, schedule=(Span(start="08:00", end="08:20"),)),)),
        ZONE,
        [wind(0, 75)],
        begin=T0,
        end=T0 + LATER * 1000,
    )
    assert [t.reason for t in alarms] == [Reason.VALUE, Reason.SCHEDULE]


def test_silence_at_the_beginning_of_the_hours_is_told() -> None:
    holds(
        rule(schedule=(Span(start="08:10", end="08:20"),)),
        "at 0 push 1 \n expect unknown at 600 \n at 700 push 1 \n expect known at 700 \n expect unknown at 800.001",
    )


def test_a_day_off_is_no_working_day() -> None:
    for day, told in ((Day.WORKDAY, True), (Day.RESTDAY, False), (Day.WED, True), (Day.SUN, False)):
        alarms = run(Book(1, (rule(schedule=(Span(days=(day,)),)),)), ZONE, [wind(0, 75)], begin=T0, end=T0 + 70_000)
        assert bool(alarms) is told, day


# ---------------------------------------------------------------- flapping


def test_what_is_raised_too_often_is_flapping() -> None:
    of = rule(**AT_ONCE, grace_s=4000, flap_count=2, flap_window_s=100)
    values = [wind(t, 75 if t % 20 == 0 else 10) for t in range(0, 200, 10)]
    values += [wind(400, 75)]
    raised = [t for t in run(Book(1, (of,)), ZONE, values, begin=T0, end=T0 + 500_000) if t.kind is Kind.RAISED]
    assert [t.flapping for t in raised] == [False, False] + [True] * 8 + [False]


# ---------------------------------------------------------------- the table


def test_every_move_of_the_table_is_made_and_no_other() -> None:
    """A latch is watched through stories that lead through the whole table."""
    made: set[tuple[Phase, Cause, Phase]] = set()
    reached, left = 75.0, 10.0
    plain, short = rule(), rule(schedule=(Span(start="08:00", end="08:05"),))
    patient = rule(raise_after_s=150, clear_after_s=150)

    def watch(of: Rule, steps: list[tuple[float, float | None, Cause]]) -> None:
        evaluator = Evaluator(Book(1, (of,)), ZONE, begin=T0)
        [subject] = [s for s in evaluator.subjects if s.name == "w-1"]
        for at, value, cause in steps:
            before = phase(subject.on[0], subject.since[0])
            if value is None:
                evaluator.tick(T0 + round(at * 1000))
            else:
                evaluator.step(wind(at, value))
            made.add((before, cause, phase(subject.on[0], subject.since[0])))

    to_active = [(0.0, reached, Cause.REACHED), (60.1, None, Cause.RAISE_DELAY)]
    watch(plain, [(0, reached, Cause.REACHED), (1, left, Cause.LEFT)])
    watch(plain, [*to_active, (61, left, Cause.PAST_BAND), (62, reached, Cause.BACK), (63, left, Cause.PAST_BAND)])
    watch(plain, [*to_active, (61, left, Cause.PAST_BAND), (92, None, Cause.CLEAR_DELAY)])
    watch(patient, [(0, reached, Cause.REACHED), (101, None, Cause.LOST)])
    slow = rule(clear_after_s=150)
    watch(slow, [*to_active, (61, left, Cause.PAST_BAND), (162, None, Cause.LOST)])
    watch(short, [(290, reached, Cause.REACHED), (301, None, Cause.ENDED)])
    watch(short, [(200, reached, Cause.REACHED), (261, None, Cause.RAISE_DELAY), (301, None, Cause.ENDED)])
    watch(
        short,
        [
            (200, reached, Cause.REACHED),
            (261, None, Cause.RAISE_DELAY),
            (280, left, Cause.PAST_BAND),
            (301, None, Cause.ENDED),
        ],
    )
    assert made == {(before, cause, after) for (before, cause), after in MOVES.items()}


# ---------------------------------------------------------------- what is owed to those who run it


def test_the_levels_of_devices_are_those_of_their_worst_rule() -> None:
    low = rule(**AT_ONCE)
    high = msgspec.structs.replace(
        low, id="s", when=(Term(metric="windSpeed", condition=Condition.ABOVE, red=72),), grace_s=4000
    )
    evaluator = Evaluator(Book(1, (low, high)), ZONE, begin=T0)
    seen = []
    for at, value in ((0, 71), (10, 73), (20, 71), (30, 1)):
        evaluator.step(wind(at, value, "w-2"))
        seen.append(evaluator.levels.tolist())
    assert seen == [[0, 2, 0], [0, 4, 0], [0, 2, 0], [0, 0, 0]]
    assert evaluator.levels.dtype == np.uint8


def test_a_tick_at_the_deadline_has_something_to_tell_and_none_before() -> None:
    evaluator = Evaluator(Book(1, (rule(),)), ZONE, begin=T0)
    evaluator.step(wind(0, 75))
    told = []
    while evaluator.deadline < T0 + 10**6:
        due = evaluator.deadline
        assert evaluator.tick(due - 1) == []
        told += evaluator.tick(due)
    assert [(t.kind, t.at - T0) for t in told] == [(Kind.RAISED, 60_000), (Kind.UNKNOWN, 100_001)]


def test_another_book_leaves_what_decides_as_before_and_begins_the_rest_anew() -> None:
    kept, edited, gone = (rule(**AT_ONCE) for _ in range(3))
    edited, gone = msgspec.structs.replace(edited, id="e"), msgspec.structs.replace(gone, id="g")
    evaluator = Evaluator(Book(1, (kept, edited, gone)), ZONE, begin=T0)
    evaluator.step(wind(0, 75))
    renamed = msgspec.structs.replace(kept, name="Other words", channels=("mail",))
    stricter = msgspec.structs.replace(edited, when=(Term(metric="windSpeed", condition=Condition.ABOVE, red=74),))
    told = evaluator.adopt(Book(2, (renamed, stricter)), T0 + 5_000)
    assert [(t.rule, t.kind, t.level, t.at - T0, t.reason) for t in told] == [
        ("e", Kind.CLEARED, Level.NONE, 5_000, Reason.RULE),
        ("g", Kind.CLEARED, Level.NONE, 5_000, Reason.RULE),
        ("e", Kind.RAISED, Level.RED, 5_001, Reason.VALUE),
    ]
    assert [t.version for t in told] == [1, 1, 2]
    assert evaluator.levels.tolist() == [4, 0, 0]
    [cleared] = [t for t in evaluator.step(wind(10, 1)) if t.rule == "r"]
    assert (cleared.kind, cleared.version) == (Kind.CLEARED, 2)


def test_a_longer_silence_is_counted_from_what_was_last_said() -> None:
    evaluator = Evaluator(Book(1, (rule(when=(ABSENT,), raise_after_s=0),)), ZONE, begin=T0)
    evaluator.step(wind(10, 1))
    longer = rule(when=(Term(condition=Condition.ABSENT, blue=100),), raise_after_s=0)
    evaluator.adopt(Book(2, (longer,)), T0 + 30_000)
    told = [t for t in evaluator.tick(T0 + 200_000) if t.subject == "w-1"]
    assert [(t.at - T0, t.value) for t in told] == [(110_000, 100.0)]


def test_a_restart_in_the_middle_of_a_delay_changes_nothing() -> None:
    book = Book(3, (rule(), msgspec.structs.replace(rule(over=Over.DISTRICT), id="d")))
    evaluator = Evaluator(book, ZONE, begin=T0)
    evaluator.step(wind(0, 75))
    evaluator.step(wind(30, 75))
    evaluator.tick(T0 + 20_000)
    again = Evaluator.thaw(book, ZONE, evaluator.freeze())
    assert again.freeze() == evaluator.freeze()
    assert again.tick(T0 + 90_000) == evaluator.tick(T0 + 90_000) != []
    assert again.levels.tolist() == evaluator.levels.tolist() == [2, 0, 0]


def test_a_restart_with_another_book_or_without_a_device_clears_what_has_no_place() -> None:
    book = Book(1, (rule(**AT_ONCE),))
    evaluator = Evaluator(book, ZONE, begin=T0)
    evaluator.step(wind(0, 75))
    evaluator.step(wind(1, 75, "w-2"))
    evaluator.tick(T0 + 2_000)
    frozen = evaluator.freeze()
    smaller = Registry([d for d in ZONE if d.id != "w-1"])
    again = Evaluator.thaw(book, smaller, frozen)
    assert again.deadline == T0 + 2_000
    assert _short(again.tick(T0 + 2_000)) == [("w-1", Kind.CLEARED, Reason.RULE)]
    assert again.levels.tolist() == [2, 0]
    other = Evaluator.thaw(Book(2, ()), ZONE, frozen)
    assert _short(other.tick(T0 + 2_000)) == [
        ("w-1", Kind.CLEARED, Reason.RULE),
        ("w-2", Kind.CLEARED, Reason.RULE),
    ]
    with pytest.raises(msgspec.DecodeError):
        Evaluator.thaw(book, ZONE, b"what another version wrote")


def _short(told: list[Transition]) -> list[tuple[str, Kind, Reason]]:
    return [(t.subject, t.kind, t.reason) for t in told]


def test_an_unknown_device_a_foreign_metric_and_no_number_are_nothing() -> None:
    evaluator = Evaluator(Book(1, (rule(**AT_ONCE),)), ZONE, begin=T0)
    assert evaluator.step(wind(0, 99, "nobody")) == []
    assert evaluator.step(Observation("w-1", T0, {"temperature": 99.0}, T0)) == []
    assert evaluator.step(wind(1, float("nan"))) == []
    assert evaluator.gateway("gw-nobody", False, T0) == []


def test_a_rule_that_is_switched_off_says_nothing() -> None:
    holds(rule(enabled=False), "at 0 push 99")
