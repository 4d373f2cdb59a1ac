"""Alarm health on stories short enough to count by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.zone import SMALL, T0
from twin.alarm_health import WINDOW, Report, counted, report
from twin.alerts import Kind, Transition
from twin.clock import DAY, HOUR, MINUTE, SECOND
from twin.episodes import Alarm, escalation
from twin.settings import Alarms
from twin.silences import Purpose, Scope, Silence
from twin.standards import Level

YELLOW = Level.YELLOW


def raised(at: int, on: str = "td-1", level: Level = YELLOW, rule: str = "r") -> Transition:
    return Transition(
        rule=rule, version=1, subject=on, at=T0 + at, kind=Kind.RAISED, level=level, was=Level.NONE, value=None
    )


def rises(at: int, level: Level, was: Level) -> Transition:
    return Transition(rule="r", version=1, subject="td-1", at=T0 + at, kind=Kind.CHANGED, level=level, was=was, value=1)


def cleared(at: int) -> Transition:
    return Transition(
        rule="r", version=1, subject="td-1", at=T0 + at, kind=Kind.CLEARED, level=Level.NONE, was=YELLOW, value=None
    )


def told(*transitions: Transition, hours: float = 24, **targets: float) -> Report:
    return report(transitions, [], T0, T0 + round(hours * HOUR), Alarms(**targets))  # type: ignore[arg-type]


def value(found: Report, name: str) -> float:
    [measure] = [m for m in found.measures if m.name == name]
    return measure.value


def test_nothing_is_healthy() -> None:
    found = told()
    assert found.calls == 0
    assert all(m.within and m.value == 0 for m in found.measures)


def test_what_calls_is_counted_and_what_eases_is_not() -> None:
    found = told(raised(0), rises(5, Level.RED, YELLOW), rises(9, YELLOW, Level.RED), cleared(20))
    assert found.calls == 2
    assert found.levels == {Level.BLUE: 0, YELLOW: 1, Level.ORANGE: 0, Level.RED: 1}
    assert (value(found, "red_percent"), value(found, "orange_percent")) == (50, 0)


def test_only_the_range_counts() -> None:
    assert told(raised(-1), raised(0), raised(DAY - 1), raised(DAY)).calls == 2


def test_rates() -> None:
    found = told(*(raised(i * HOUR, f"td-{i}") for i in range(12)), hours=12)
    assert value(found, "per_day") == 24
    assert value(found, "per_10_min") == pytest.approx(1 / 6, abs=1e-3)
    assert found.by_10_min == (1, 0, 0, 0, 0, 0) * 12


def test_a_flood_is_more_than_ten_in_ten_minutes_until_fewer_than_five() -> None:
    ten = [raised(i * MINUTE // 2, f"td-{i}") for i in range(10)]
    assert told(*ten).floods == ()
    [flood] = told(*ten, raised(5 * MINUTE, "td-x")).floods
    # The eleventh begins it; it ends when the seventh (3 min) has left the window and four remain
    assert (flood.begin - T0, flood.end - T0, flood.alarms) == (5 * MINUTE, 13 * MINUTE, 11)
    assert value(told(*ten, raised(5 * MINUTE, "td-x")), "busiest") == 11


def test_two_floods_are_two() -> None:
    burst = [raised(i * SECOND, f"td-{i}") for i in range(20)]
    later = [raised(2 * HOUR + i * SECOND, f"td-{i}") for i in range(20)]
    floods = told(*burst, *later).floods
    assert [(f.begin - T0) // HOUR for f in floods] == [0, 2]
    assert [f.alarms for f in floods] == [20, 20]


def test_chattering_is_three_raises_of_one_alarm_within_a_minute() -> None:
    two = [raised(0), raised(59 * SECOND)]
    assert told(*two).chattering == ()
    assert told(*two, raised(60 * SECOND)).chattering == ()
    assert told(*two, raised(30 * SECOND, on="td-2")).chattering == ()
    [actor] = told(*two, raised(30 * SECOND)).chattering
    assert (actor.subject, actor.chatter) == ("td-1", 3)


def test_the_ten_most_frequent_and_their_share() -> None:
    many = [raised(i * HOUR, "td-1") for i in range(9)]
    others = [raised(HOUR, f"x-{i:02}") for i in range(11)]
    found = told(*many, *others)
    assert [(a.subject, a.calls) for a in found.bad_actors[:2]] == [("td-1", 9), ("x-00", 1)]
    assert len(found.bad_actors) == 10
    assert value(found, "bad_actors_percent") == 90


def test_stale_is_active_for_more_than_a_day() -> None:
    def alarm(hours: float) -> Alarm:
        at = T0 - round(hours * HOUR)
        return Alarm(
            id=1,
            rule="r",
            version=1,
            subject="s",
            level=YELLOW,
            highest=YELLOW,
            opened=at,
            changed=at,
            waiting_since=at,
        )

    found = report([], [alarm(23), alarm(24), alarm(80)], T0 - DAY, T0, Alarms(stale=1))
    assert len(found.stale) == 2
    assert [m.name for m in found.measures if not m.within] == ["stale"]


def test_a_target_is_a_setting() -> None:
    calls = [raised(i * HOUR, f"td-{i}") for i in range(20)]
    assert not [m for m in told(*calls, per_day=20).measures if m.name == "per_day" and not m.within]
    assert [m for m in told(*calls, per_day=19).measures if m.name == "per_day" and not m.within]


def test_what_is_worked_on_does_not_count() -> None:
    def window(id: int, purpose: Purpose, *subjects: str) -> Silence:
        return Silence(id, purpose, Scope(subjects=subjects), T0, T0 + HOUR, "li", T0, "r")

    calls = [raised(at, on) for at in (0, HOUR) for on in ("td-1", "td-2", "td-3")]
    windows = [window(1, Purpose.MAINTENANCE, "td-1"), window(2, Purpose.SILENCE, "td-2")]
    left = counted(calls, {"td-3"}, windows, {}, SMALL)
    assert [(t.at - T0, t.subject) for t in left] == [(0, "td-2"), (HOUR, "td-1"), (HOUR, "td-2")]


def test_how_long_each_level_may_wait() -> None:
    assert escalation(Alarms()) == {YELLOW: 60, Level.ORANGE: 15, Level.RED: 5}


@given(st.lists(st.integers(0, 90).map(lambda m: m * MINUTE), max_size=80))
def test_floods_are_as_a_look_at_every_minute_says(times: list[int]) -> None:
    """The definition itself, minute by minute, against the one that jumps from alarm to alarm."""
    end = 6 * HOUR + 2 * WINDOW
    expected, begun = [], None
    for now in range(0, end + 1, MINUTE):
        recent = sum(now - WINDOW < t <= now for t in times)
        if begun is None and recent > 10:
            begun = now
        elif begun is not None and recent < 5:
            expected.append((begun, now))
            begun = None
    found = told(*(raised(t, f"d{i}") for i, t in enumerate(times)), hours=end / HOUR).floods
    assert [(f.begin - T0, f.end - T0) for f in found] == expected
