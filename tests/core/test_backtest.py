"""Two stories compared: timelines made by hand, in minutes since T0."""

import msgspec
import pytest

from tests.zone import SMALL, T0
from twin import backtest
from twin.alerts import Kind, Transition
from twin.backtest import Change, Episode
from twin.clock import DAY, HOUR, MINUTE
from twin.standards import Level
from twin.truth import Truth

END = T0 + 2 * DAY
NONE, BLUE, YELLOW, ORANGE, RED = Level


def at(minute: float) -> int:
    return T0 + round(minute * MINUTE)


def alarm(subject: str, *path: tuple[float, Level], flapping: bool = False) -> list[Transition]:
    """Levels from these minutes on; NONE clears."""
    found, was = [], Level.NONE
    for minute, level in path:
        kind = Kind.CLEARED if not level else Kind.CHANGED if was else Kind.RAISED
        found.append(Transition("r", 1, subject, at(minute), kind, level, was, flapping=flapping))
        was = level
    return found


def story(*alarms: list[Transition]) -> list[Transition]:
    return sorted((t for a in alarms for t in a), key=lambda t: t.at)


def compared(
    old: list[Transition], new: list[Transition], *facts: Truth, scope: tuple[str, ...] = ("td-1", "td-2", "td-3")
) -> backtest.Comparison:
    return backtest.compare(old, new, T0, END, facts=facts, registry=SMALL, scope=frozenset(scope))


def fact(begin: float, end: float, *devices: str) -> Truth:
    return Truth("run", "S01", "Lane closed", devices, at(begin), at(end), Level.ORANGE)


def changes(old: list[Transition], new: list[Transition]) -> list[tuple[str, ...]]:
    return [p.changes for p in compared(old, new).pairs]


def test_an_episode_is_from_the_raise_to_the_clearing() -> None:
    [one] = backtest.episodes(alarm("td-1", (5, YELLOW), (9, RED), (12, ORANGE), (20, NONE)), END)
    assert (one.begin, one.end, one.open, one.highest) == (at(5), at(20), False, RED)
    assert one.stretches == [(at(5), at(9), YELLOW), (at(9), at(12), RED), (at(12), at(20), ORANGE)]


def test_what_is_open_at_the_end_goes_up_to_it() -> None:
    [one] = backtest.episodes(alarm("td-1", (5, YELLOW)), END)
    assert (one.end, one.open) == (END, True)


def test_unknown_neither_ends_an_alarm_nor_is_one() -> None:
    lost = Transition("r", 1, "td-1", at(7), Kind.UNKNOWN, YELLOW, YELLOW)
    [one] = backtest.episodes(story(alarm("td-1", (5, YELLOW), (20, NONE)), [lost]), END)
    assert (one.begin, one.end) == (at(5), at(20))
    assert backtest.episodes([msgspec.structs.replace(lost, level=NONE, was=NONE)], END) == []


def test_the_same_alarms_are_the_same() -> None:
    same = story(alarm("td-1", (5, YELLOW), (20, NONE)), alarm("td-2", (6, RED), (9, NONE)))
    assert changes(same, same) == [(Change.SAME,), (Change.SAME,)]


@pytest.mark.parametrize(
    ("new", "told"),
    [
        ([(4.0, YELLOW), (20.0, NONE)], (Change.EARLIER,)),
        ([(6.0, YELLOW), (20.0, NONE)], (Change.LATER,)),
        ([(5.0, YELLOW), (6.0, RED), (20.0, NONE)], (Change.HIGHER,)),
        ([(5.0, BLUE), (20.0, NONE)], (Change.LOWER,)),
        ([(7.0, RED), (9.0, NONE)], (Change.LATER, Change.HIGHER)),
        ([(5.0, YELLOW), (60.0, NONE)], (Change.SAME,)),
    ],
)
def test_a_pair_says_what_became_of_it(new: list[tuple[float, Level]], told: tuple[Change, ...]) -> None:
    assert changes(alarm("td-1", (5, YELLOW), (20, NONE)), alarm("td-1", *new)) == [told]


def test_alarms_that_only_touch_are_two() -> None:
    old, new = alarm("td-1", (5, YELLOW), (20, NONE)), alarm("td-1", (20, YELLOW), (30, NONE))
    assert changes(old, new) == [(Change.GONE,), (Change.NEW,)]


def test_alarms_of_two_devices_are_never_one() -> None:
    old, new = alarm("td-1", (5, YELLOW), (20, NONE)), alarm("td-2", (5, YELLOW), (20, NONE))
    assert sorted(changes(old, new)) == [(Change.GONE,), (Change.NEW,)]


def test_a_long_alarm_that_falls_apart_is_one_and_a_new_one() -> None:
    old = alarm("td-1", (5, YELLOW), (60, NONE))
    new = story(alarm("td-1", (5, YELLOW), (20, NONE)), alarm("td-1", (30, YELLOW), (60, NONE)))
    assert changes(old, new) == [(Change.SAME,), (Change.NEW,)]
    assert changes(new, old) == [(Change.SAME,), (Change.GONE,)]


def test_totals_count_days_as_they_are_in_shanghai() -> None:
    # T0 is 08:00: minute 950 is 23:50 of the first day, minute 970 is 00:10 of the second
    new = story(
        alarm("td-1", (950, YELLOW), (960, NONE)),
        alarm("td-1", (970, RED), (1000, NONE), flapping=True),
        alarm("td-2", (980, BLUE), (990, NONE)),
    )
    found = compared([], new)
    assert (found.new.alarms, found.new.subjects, found.new.flaps, found.new.most_a_day) == (3, 2, 1, 2)
    assert (found.new.minutes, found.new.per_day) == (50.0, 1.5)
    assert found.new.by_level == {BLUE: 1, YELLOW: 1, RED: 1}
    assert [(d.key, d.old, d.new) for d in found.days] == [
        (T0 - 8 * HOUR, 0, 1),
        (T0 + 16 * HOUR, 0, 2),
        (T0 + 40 * HOUR, 0, 0),
    ]


def test_a_fact_is_caught_missed_and_how_fast() -> None:
    old, new = alarm("td-1", (40, YELLOW), (60, NONE)), alarm("td-1", (34, YELLOW), (60, NONE))
    found = compared(old, new, fact(30, 90, "td-1", "td-2"), fact(100, 120, "td-1"))
    assert [(s.old, s.new) for s in found.scores] == [(10 * MINUTE, 4 * MINUTE), (None, None)]
    assert found.beside == (0, 0)


def test_what_rang_before_a_fact_took_no_time() -> None:
    [score] = compared([], alarm("td-1", (10, YELLOW), (60, NONE)), fact(30, 90, "td-1")).scores
    assert (score.old, score.new) == (None, 0)


def test_an_alarm_that_ends_as_a_fact_begins_does_not_catch_it() -> None:
    found = compared([], alarm("td-1", (10, YELLOW), (30, NONE)), fact(30, 90, "td-1"))
    assert found.scores[0].new is None
    assert found.beside == (0, 1)


def test_a_fact_of_a_device_is_seen_by_its_district() -> None:
    [score] = compared([], alarm("district:dist:aihub", (33, YELLOW), (60, NONE)), fact(30, 90, "td-1")).scores
    assert score.new == 3 * MINUTE


def test_facts_of_other_devices_are_not_asked_about() -> None:
    found = compared([], alarm("td-1", (10, YELLOW), (30, NONE)), fact(0, 90, "aq-1"))
    assert (found.scores, found.beside) == ((), None)


def test_lanes_are_those_that_change_most_first() -> None:
    old = story(alarm("td-1", (5, YELLOW), (20, NONE)), alarm("td-2", (5, YELLOW), (20, NONE)))
    new = story(alarm("td-1", (5, YELLOW), (20, NONE)), alarm("td-2", (5, RED), (20, NONE)), alarm("td-3", (7, BLUE)))
    pairs = compared(old, new).pairs
    assert [(x.key, x.changed, x.alarms) for x in backtest.lanes(pairs, lambda s: s)] == [
        ("td-2", 1, (1, 1)),
        ("td-3", 1, (0, 1)),
        ("td-1", 0, (1, 1)),
    ]
    [whole] = backtest.lanes(pairs, lambda s: "all")
    assert whole.new == ((at(5), at(20), RED), (at(20), END, BLUE))
    assert whole.old == ((at(5), at(20), YELLOW),)


def test_the_highest_of_several_is_shown_over_time() -> None:
    a = Episode("td-1", at(0), at(30), ((at(0), BLUE), (at(10), RED), (at(15), BLUE)))
    b = Episode("td-2", at(5), at(12), ((at(5), YELLOW),))
    assert backtest.highest([a, b]) == [
        (at(0), at(5), BLUE),
        (at(5), at(10), YELLOW),
        (at(10), at(15), RED),
        (at(15), at(30), BLUE),
    ]
