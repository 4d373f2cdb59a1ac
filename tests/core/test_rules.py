"""Rules as data: what is wrong with one, what differs between two books, TOML there and back, the book that ships."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core import timeline
from tests.core.timeline import ZONE
from tests.properties.test_alerts import rules
from twin import problems, schedule, standards
from twin.clock import local, parse
from twin.errors import SettingsError
from twin.observation import KINDS
from twin.registry import Registry, read
from twin.rules import (
    Book,
    Change,
    Condition,
    Match,
    Over,
    Rule,
    RuleError,
    Scope,
    Term,
    default_rules,
    diff,
    from_toml,
    to_toml,
    validate,
)
from twin.schedule import Day, Span
from twin.standards import Level, scale

ROOT = Path(__file__).parents[2]
WHOLE = read(ROOT / "layers" / "data" / "devices.json")
WIND = Term(metric="windSpeed", condition=Condition.ABOVE, yellow=10.0)


def rule(**more: object) -> Rule:
    return timeline.rule(**{"when": (WIND,)} | more)


def term(**more: object) -> Rule:
    return rule(when=(msgspec.structs.replace(WIND, **more),))


# ---------------------------------------------------------------- what is wrong


def test_nothing_is_wrong_with_a_sound_rule() -> None:
    assert validate(rule(), ZONE) == []


@pytest.mark.parametrize(
    ("wrong", "message", "says"),
    [
        (rule(id="Wind speed"), problems.ID, "id = 'Wind speed'"),
        (rule(name=" "), problems.EMPTY, "name is empty"),
        (rule(when=()), problems.NO_TERM, "at least one condition"),
        (term(metric="wind"), problems.METRIC, "when.1.metric = 'wind'"),
        (term(metric=""), problems.NEEDS_METRIC, "when.1.metric is missing"),
        (term(yellow=None), problems.NO_LEVEL, "when.1 has no threshold"),
        (term(yellow=(1.0, 2.0)), problems.KIND, "when.1.yellow = [1, 2]: above takes one number"),
        (term(condition=Condition.OUTSIDE), problems.KIND, "outside takes two numbers, [low, high]"),
        (term(red=5.0), problems.ORDER, "yellow = 10 and red = 5 are not in order"),
        (term(condition=Condition.BELOW, red=15.0), problems.ORDER, "yellow = 10 and red = 15"),
        (term(yellow=80.0), problems.RANGE, "when.1.yellow = 80.0 m/s: windSpeed lies between 0 and 75 m/s"),
        (term(condition=Condition.OUTSIDE, yellow=(9.0, 3.0)), problems.INVERTED, "[9, 3]"),
        (term(band=-1.0), problems.NEGATIVE, "when.1.band = -1"),
        (rule(raise_after_s=-1), problems.NEGATIVE, "raise_after_s = -1"),
        (rule(flap_window_s=0), problems.NOT_ABOVE, "flap_window_s = 0"),
        (term(condition=Condition.ABSENT, yellow=0.0), problems.NOT_ABOVE, "when.1.yellow = 0"),
        (term(band=11.0), problems.STUCK, "needs -1 m/s"),
        (term(condition=Condition.OUTSIDE, yellow=(3.0, 9.0), band=3.0), problems.STUCK, "never clear"),
        (term(condition=Condition.RATE, window_s=59), problems.WINDOW, "at least the period of its devices, 60 s"),
        (term(window_s=60), problems.NO_WINDOW, "only the condition rate"),
        (term(of="freeSpeed"), problems.SHARE, "when.1.of = 'freeSpeed'"),
        (term(metric="pm25"), problems.SCOPE, "measures pm25"),
        (rule(scope=Scope(districts=("dist:none",))), problems.SCOPE_VALUE, "Known: dist:aihub"),
        (rule(scope=Scope(devices=("w-9",))), problems.SCOPE_VALUE, "scope.devices = 'w-9'"),
        (rule(grace_s=10), problems.GRACE, "less than the period of w-1 (60 s)"),
        (rule(over=Over.DISTRICT, need=4), problems.NEED, "up to 3"),
        (rule(schedule=(Span(start="8:00"),)), problems.TIME, "schedule.1.start = '8:00'"),
        (rule(schedule=(Span(end="25:00"),)), problems.TIME, "schedule.1.end = '25:00'"),
        (rule(message="It is {valeu}"), problems.PLACE, "{valeu} is no place"),
        (rule(message="It is {value"), problems.BRACES, "not closed"),
    ],
    ids=lambda v: v[:24] if isinstance(v, str) else "",
)
def test_each_problem_names_key_value_and_remedy(wrong: Rule, message: str, says: str) -> None:
    found = validate(wrong, ZONE)
    assert [getattr(p, "message", None) for p in found] == [message]
    assert says in found[0]


def test_every_problem_is_tried_above() -> None:
    [marks] = test_each_problem_names_key_value_and_remedy.pytestmark  # type: ignore[attr-defined]
    assert {message for _, message, _ in marks.args[1]} == set(problems.MESSAGES)


def test_all_that_is_wrong_is_said_at_once() -> None:
    assert len(validate(rule(id="?", name="", when=(WIND, WIND), grace_s=1, raise_after_s=-3), ZONE)) == 4


def test_a_problem_knows_its_key() -> None:
    [one] = problems.problems(term(yellow=80.0), ZONE)
    assert one.key == "when.1.yellow"
    [other] = problems.problems(rule(grace_s=10), ZONE)
    assert other.key == "grace_s"


# ---------------------------------------------------------------- books


def test_a_diff_says_what_was_added_changed_and_removed() -> None:
    a, b, c = (rule(id=i) for i in "abc")
    other = msgspec.structs.replace(b, raise_after_s=5, schedule=(Span(days=(Day.MON,)),))
    found = diff(Book(1, (a, b)), Book(2, (other, c)))
    assert found[0] == Change("b", "raise_after_s", 60, 5)
    assert found[1] == Change("b", "schedule", (), ({"days": ("mon",), "start": "00:00", "end": "24:00"},))
    assert [(f.rule, f.key, f.before is None, f.after is None) for f in found[2:]] == [
        ("c", "", True, False),
        ("a", "", False, True),
    ]
    assert diff(Book(1, (a, b)), Book(2, (b, a))) == []


def test_what_is_told_does_not_change_what_a_rule_means() -> None:
    other = rule(name="x", message="y", group="z", channels=("m",), repeat_min=5, runbook="r")
    assert other.meaning == rule().meaning
    assert rule(raise_after_s=61).meaning != rule().meaning
    assert term(yellow=10).meaning == term(yellow=10.0).meaning


@given(st.lists(rules(), max_size=3), st.text(), st.text(alphabet="\"\\\n\t\x00\x7f'é水{}#"))
def test_toml_there_and_back(found: list[Rule], name: str, message: str) -> None:
    given = tuple(
        msgspec.structs.replace(r, id=f"r-{i}", name=name, message=message, channels=("a", name), enabled=i != 1)
        for i, r in enumerate(found)
    )
    assert from_toml(to_toml(given)) == given


def test_toml_of_every_key() -> None:
    every = Rule(
        id="every",
        name="Every key",
        when=(Term(metric="windSpeed", condition=Condition.OUTSIDE, yellow=(2.0, 7.5), band=1.0, of="capacity"),),
        match=Match.ANY,
        over=Over.GATEWAY,
        need=0,
        scope=Scope(kinds=("weather-station",), where={"road class": ("arterial", 4.0)}),
        raise_after_s=1,
        clear_after_s=2,
        grace_s=300,
        schedule=(Span(days=(Day.MON, Day.RESTDAY), start="08:00", end="24:00"), Span(end="06:00")),
        message="{name}",
        group="g",
        channels=("duty", "mail"),
        repeat_min=30,
        runbook="https://example.org/wind",
        enabled=False,
        flap_count=9,
        flap_window_s=60,
    )
    text = to_toml([every])
    assert from_toml(text) == (every,)
    assert all(f"\n{key} = " in text for key in Rule.__struct_fields__)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[rule]", "not valid TOML"),
        ("[rule]\nid = 'a'", "two brackets"),
        ("[[rules]]\nid = 'a'", "'rules' is no key"),
        ("[[rule]]\nid = 'a'\nname = 'A'\nwhen = []\nlevel = 3", "rule 1 (a): Object contains unknown field `level`"),
        ("[[rule]]\nname = 'A'", "rule 1 (without id)"),
        ("[[rule]]\nid='a'\nname='A'\nwhen=[{condition='over'}]", "Invalid enum value 'over'"),
        ("[[rule]]\nid='a'\nname='A'\nwhen=[]\n[[rule]]\nid='a'\nname='A'\nwhen=[]", "the id 'a' is used twice"),
    ],
)
def test_a_rulebook_that_cannot_be_read_says_why(text: str, says: str) -> None:
    with pytest.raises(RuleError) as caught:
        from_toml(text)
    assert says in str(caught.value)


# ---------------------------------------------------------------- the book that ships


def test_the_rules_that_ship_are_sound_in_the_zone() -> None:
    found = default_rules()
    assert {r.id: validate(r, WHOLE) for r in found} == {r.id: [] for r in found}
    assert from_toml(to_toml(found)) == found


def test_each_kind_of_device_is_watched_at_least_for_its_silence() -> None:
    watched = {
        d.kind for d in WHOLE for r in default_rules() if r.group == "silence" and r.over is Over.DEVICE and r.covers(d)
    }
    assert watched == {d.kind for d in WHOLE} == set(KINDS)


def test_thresholds_that_a_standard_gives_are_those_of_the_standard() -> None:
    book = Book(0, default_rules())

    def of(rule: str) -> dict[Level, object]:
        return dict(book[rule].when[0].thresholds)

    assert [standards.flood_level(of("wei-flood")[level]) for level in (Level.BLUE, Level.YELLOW)] == [  # type: ignore[arg-type]
        Level.BLUE,
        Level.YELLOW,
    ]
    assert of("wei-flood")[Level.BLUE] == 3000
    assert list(of("cold-aisle").values()) == list(standards.COLD_AISLE.edges)
    assert list(of("underpass-water").values())[:2] == list(standards.UNDERPASS.edges)
    gale = [r for r in scale.table("weather_signals") if r["hazard"] == "gale" and r["quantity"] == "windSpeed"]
    signals = {r["level"]: float(r["threshold"]) for r in gale}
    assert {level.name.lower(): t for level, t in of("wind").items()} == signals
    for zone_class in ("1", "2"):
        for part, limit in zip(("day", "night"), standards.NOISE_LIMITS[zone_class], strict=True):
            assert of(f"noise-{zone_class}-{part}")[Level.BLUE] == limit + 10


# ---------------------------------------------------------------- hours


def shanghai(text: str) -> int:
    return parse(text)


def test_windows_run_past_midnight_and_join() -> None:
    night = (Span(start="22:00", end="06:00"), Span(days=(Day.SAT,), start="06:00", end="07:00"))
    found = schedule.windows(night, {}, shanghai("2026-11-20T00:00"), shanghai("2026-11-22T00:00"))
    expected = [("20T00:00", "20T06:00"), ("20T22:00", "21T07:00"), ("21T22:00", "22T00:00")]
    assert found == [(shanghai(f"2026-11-{a}"), shanghai(f"2026-11-{b}")) for a, b in expected]


def test_a_public_holiday_is_a_day_off_and_an_exchanged_sunday_is_not() -> None:
    known = schedule.calendar()
    days = (Span(days=(Day.WORKDAY,), start="09:00", end="17:00"),)
    found = schedule.windows(days, known, shanghai("2026-09-18T00:00"), shanghai("2026-10-11T00:00"))
    open_on = {local_day(a) for a, _ in found}
    assert {"09-20", "10-10"} <= open_on, "make-up days"
    assert not {"09-25", "10-01", "10-07"} & open_on


def local_day(at: int) -> str:
    return f"{local(at):%m-%d}"


def test_the_next_edge_is_found_however_far_it_is() -> None:
    sunday = (Span(days=(Day.SUN,)),)
    at = shanghai("2026-11-16T00:00")
    assert schedule.state(sunday, {}, at) == (False, shanghai("2026-11-22T00:00"))
    assert schedule.state((), {}, at) == (True, schedule.FAR)
    assert schedule.state((Span(),), {}, at) == (True, schedule.FAR)
    off = (Span(days=(Day.RESTDAY,)),)
    week = schedule.calendar()
    assert schedule.state(off, week, shanghai("2026-10-01T12:00")) == (True, shanghai("2026-10-08T00:00"))


def test_a_calendar_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "days.csv"
    file.write_text("date,day\n2026-11-18,rest\n", encoding="utf-8")
    assert schedule.calendar(file) != schedule.calendar()
    alarms = Span(days=(Day.WORKDAY,))
    assert schedule.state((alarms,), schedule.calendar(file), shanghai("2026-11-18T08:00"))[0] is False
    for text, says in (("date,day\n2026-11-18,off\n", "line 2: day is 'off'"), ("day\nrest\n", "needs the columns")):
        other = tmp_path / f"{len(says)}.csv"
        other.write_text(text, encoding="utf-8")
        with pytest.raises(SettingsError, match=says):
            schedule.calendar(other)
    with pytest.raises(SettingsError, match="No such file"):
        schedule.calendar(tmp_path / "none.csv")


def test_an_empty_registry_leaves_no_scope() -> None:
    assert [p.message for p in problems.problems(rule(), Registry([]))] == [problems.SCOPE]
