"""Incidents: what is proposed, what belongs to one, and the bundle that is handed on."""

import re

import msgspec
import pytest

from dashboards.report import page
from dashboards.report.chart import Chart, Point, draw, thinned
from tests.zone import SMALL, T0, seen
from twin import bundle as bundles
from twin import incidents
from twin.bundle import Bundle, Extreme, Ground, Moment, Record, Shape, Spot, Why
from twin.clock import HOUR, MINUTE, SECOND
from twin.episodes import DISTRICT, Alarm
from twin.errors import RefusedError
from twin.incidents import LEAD, Draft, Entry, EntryKind, Incident, Origin, Participant
from twin.refusal import Refusal
from twin.standards import Level
from twin.truth import Truth

NOW = T0 + 24 * HOUR


def same(text: str) -> str:
    return text


def alarm(
    id: int = 1, *, on: str = "td-1", level: Level = Level.YELLOW, begin: int = T0, end: int | None = T0 + HOUR
) -> Alarm:
    return Alarm(
        id=id,
        rule="slow",
        version=1,
        subject=on,
        level=Level.NONE if end else level,
        highest=level,
        opened=begin,
        changed=begin,
        closed=end,
        waiting_since=begin,
    )


class TestProposals:
    def test_from_alarms_spans_them_with_a_while_around(self) -> None:
        found = [alarm(1), alarm(2, on="pk-1", level=Level.RED, begin=T0 + MINUTE, end=T0 + 2 * HOUR)]
        draft = incidents.from_alarms(found, SMALL, {"slow": "Slow"}, {}, same, now=NOW)
        assert (draft.begin, draft.end, draft.level) == (T0 - LEAD, T0 + 2 * HOUR + LEAD, Level.RED)
        assert draft.title == "Slow · 设备 pk-1 and 1 more"
        assert draft.devices == ("pk-1", "td-1")  # the worst first
        assert draft.districts == ("dist:aihub",)
        assert draft.alarms == (1, 2)

    def test_an_alarm_of_a_district_is_named_by_it(self) -> None:
        found = [alarm(on=DISTRICT + "dist:aihub")]
        draft = incidents.from_alarms(found, SMALL, {}, {"dist:aihub": "创新港"}, same, now=NOW)
        assert (draft.title, draft.devices, draft.districts) == ("slow · 创新港", (), ("dist:aihub",))

    def test_an_open_alarm_reaches_to_now_and_not_beyond(self) -> None:
        assert incidents.from_alarms([alarm(end=None)], SMALL, {}, {}, same, now=T0 + HOUR).end == T0 + HOUR
        assert incidents.from_alarms([alarm()], SMALL, {}, {}, same, now=T0 + HOUR + MINUTE).end == T0 + HOUR + MINUTE

    def test_without_alarms_or_facts_it_is_refused(self) -> None:
        for make in (
            lambda: incidents.from_alarms([], SMALL, {}, {}, same, now=NOW),
            lambda: incidents.from_run([], [], SMALL, "", same),
        ):
            with pytest.raises(RefusedError):
                make()

    def test_from_a_run_takes_all_its_facts(self) -> None:
        facts = [
            Truth("S03-1", "S03", "chiller", ("sv-1", "gone"), T0, T0 + HOUR, Level.ORANGE),
            Truth("S03-1", "S03", "aisle", ("cc-1",), T0 + MINUTE, T0 + 2 * HOUR, Level.RED),
        ]
        of_district = alarm(2, on=DISTRICT + "dist:aihub")
        others = [alarm(1, on="sv-1"), of_district, alarm(3, on="td-1")]
        draft = incidents.from_run(facts, others, SMALL, "Chillers", same)
        assert (draft.title, draft.level, draft.run) == ("Chillers", Level.RED, "S03-1")
        assert (draft.begin, draft.end) == (T0 - LEAD, T0 + 2 * HOUR + LEAD)
        assert draft.devices == ("sv-1", "cc-1")  # the one with an alarm first; one that is gone is left out
        assert draft.alarms == (1, 2)
        assert draft.causes == "Ground truth of the drill: chiller; aisle"

    def test_a_range_has_the_level_of_its_alarms(self) -> None:
        draft = incidents.from_range(T0, T0 + HOUR, [alarm(level=Level.BLUE)], SMALL, same)
        assert (draft.level, draft.devices, draft.alarms) == (Level.BLUE, ("td-1",), (1,))
        assert incidents.from_range(T0, T0 + HOUR, [], SMALL, same).level is Level.NONE


@pytest.mark.parametrize(
    ("of", "draft", "belongs"),
    [
        (alarm(), {}, True),
        (alarm(), {"devices": ("td-1",)}, True),
        (alarm(), {"devices": ("td-2",)}, False),
        (alarm(), {"devices": ("td-2",), "alarms": (1,)}, True),
        (alarm(), {"districts": ("dist:aihub",)}, True),
        (alarm(), {"districts": ("dist:other",)}, False),
        (alarm(on=DISTRICT + "dist:aihub"), {"districts": ("dist:aihub",), "devices": ("td-2",)}, True),
        (alarm(on=DISTRICT + "dist:aihub"), {"devices": ("td-2",)}, False),
        (alarm(end=T0), {}, False),
        (alarm(begin=T0 + HOUR, end=None), {}, False),
        (alarm(begin=T0 - HOUR, end=None), {}, True),
    ],
)
def test_an_alarm_belongs_by_range_and_area(of: Alarm, draft: dict[str, tuple[str, ...]], belongs: bool) -> None:
    made = Draft(title="x", level=Level.NONE, begin=T0, end=T0 + HOUR, **draft)  # type: ignore[arg-type]
    assert incidents.belongs(of, made, SMALL) is belongs


def test_participants_are_those_who_did_something() -> None:
    incident = Incident(
        id=1, title="x", level=Level.NONE, begin=T0, end=T0 + 1, origin=Origin.RANGE, by="li", at=NOW, changed=NOW
    )
    note = Entry(id=1, kind=EntryKind.NOTE, at=T0, text="x", by="wu", written=T0)
    acts = [("wu", "acknowledge"), ("gaoxin", "comment"), ("wu", "acknowledge")]
    found = incidents.participants(incident, [note], acts, ("gaoxin",))
    assert [(p.name, p.acts) for p in found] == [("wu", {"note": 1, "acknowledge": 2}), ("li", {"created": 1})]


# --- the bundle ---

INCIDENT = Incident(
    id=3,
    title='</script><script>alert("x")</script> & 冷机',
    level=Level.RED,
    begin=T0,
    end=T0 + HOUR,
    devices=("td-1",),
    origin=Origin.ALARMS,
    by="<b>li</b>",
    at=NOW,
    changed=NOW,
)
ROWS = [
    seen("td-1", T0, intensity=10.0, averageVehicleSpeed=41.25),
    seen("td-1", T0 + MINUTE, intensity=12.0),
    seen("td-1", T0 + 2 * MINUTE, T0 + 2 * HOUR, intensity=99.5),
]
SQUARE = (108.66, 34.30, 108.68, 34.30, 108.68, 34.32, 108.66, 34.32, 108.66, 34.30)


def made(**more: object) -> Bundle:
    given: dict[str, object] = {
        "incident": INCIDENT,
        "entries": (),
        "participants": (Participant("wu", {"note": 1, "acknowledge": 2}),),
        "alarms": (alarm(), msgspec.structs.replace(alarm(2), acknowledged_by="=HYPERLINK(1)", acknowledged_at=T0 + 5)),
        "notes": (),
        "transitions": (),
        "rules": (),
        "facts": (),
        "devices": (SMALL["td-1"],),
        "left_out": (),
        "districts": {"dist:aihub": ("创新港", "AI hub")},
        "figures": (figures(),),
        "late_ms": 2 * MINUTE,
        "moments": (Moment(T0, (Why("begin"),), bytes([0xF0]), 1, (0, 0, 0, 0)),),
        "ground": Ground((Shape("boundary", (SQUARE,)),), (Spot("td-1", "link-detector", 108.67, 34.31),)),
        "zone": ("高新区", "High-tech Zone"),
        "simulated": True,
        "schematic": True,
        "made_at": NOW,
        "made_by": "li",
        "software": "gaoxin-twin 0",
    }
    return bundles.bundle(Record(**given | more), ROWS)  # type: ignore[arg-type]


def figures() -> bundles.Figures:
    found = bundles.figures(ROWS, "td-1", "intensity", end=T0 + HOUR, late_ms=2 * MINUTE)
    assert found is not None
    return found


def test_figures_tell_what_was_known_then_from_what_came_late() -> None:
    found = figures()
    assert found.high == Extreme(99.5, T0 + 2 * MINUTE)
    assert found.high_then == Extreme(12.0, T0 + MINUTE)
    assert (found.low, found.late, found.count) == (Extreme(10.0, T0), 1, 3)
    assert bundles.figures(ROWS, "td-1", "occupancy", end=NOW, late_ms=1) is None


def test_of_two_readings_of_an_instant_the_later_received_counts() -> None:
    rows = [seen("td-1", T0, T0 + 9, intensity=5.0), seen("td-1", T0, T0 + 1, intensity=7.0)]
    found = bundles.figures(rows, "td-1", "intensity", end=T0 + 5, late_ms=MINUTE)
    assert found is not None
    assert (found.count, found.high.value) == (1, 5.0)
    assert found.high_then == Extreme(7.0, T0)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_report_is_read_back_as_what_it_was_made_from(language: str) -> None:
    bundle = made()
    text = page.render(bundle, language)  # type: ignore[arg-type]
    found = bundles.read(text)
    assert found.record == bundle.record
    assert found.observations == tuple(ROWS)
    assert found.digest == bundle.digest
    assert page.render(found, language) == text  # type: ignore[arg-type]


def test_a_changed_byte_is_told() -> None:
    text = page.render(made(), "en")
    for part in ("99.5", "T08:01:00.000", "yellow"):
        at = text.index(part, text.index('data-part="record"'))
        with pytest.raises(RefusedError, check=lambda error: error.reason is Refusal.ALTERED):
            bundles.read(text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :])


@pytest.mark.parametrize("text", ["", "<html></html>", '<script type="text/csv" data-part="record"></script>'])
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, check=lambda error: error.reason is Refusal.NO_REPORT):
        bundles.read(text)


def test_a_report_of_another_form_is_refused() -> None:
    with pytest.raises(RefusedError, check=lambda error: error.reason is Refusal.NO_REPORT):
        bundles.opened(made(form="gaoxin-incident/9").parts)


def test_what_people_wrote_is_text_and_never_markup() -> None:
    text = page.render(made(), "en")
    assert text.count("<script") == 4  # three parts and the page's own
    assert text.count("</script>") == 4
    assert "<b>li</b>" not in text


def test_a_table_holds_no_formula() -> None:
    assert ",'=HYPERLINK(1)," in made().parts["alarms"]


def test_a_report_names_no_other_place_and_forbids_to_ask_any() -> None:
    text = page.render(made(), "zh")
    assert re.findall(r"(?:https?:)?//[a-z][\w.-]*\.[a-z]{2,}", text) == []
    assert "default-src 'none'" in text


def test_thinning_keeps_every_extreme() -> None:
    points = [Point(T0 + i * SECOND, float(i % 7)) for i in range(3_600)]
    points[1_234] = Point(T0 + 1_234 * SECOND, 500.0)
    points[2_345] = Point(T0 + 2_345 * SECOND, -500.0)
    found = thinned(points, 100, T0, T0 + HOUR)
    assert len(found) <= 200
    assert {500.0, -500.0} <= {p.value for p in found}
    assert [p.at for p in found] == sorted(p.at for p in found)


def test_a_silent_sensor_breaks_the_line() -> None:
    minutes = [*range(10), *range(30, 40)]
    points = [Point(T0 + m * MINUTE, float(m)) for m in minutes]
    chart = Chart(metric="pm25", begin=T0, end=T0 + HOUR, period=MINUTE, points=points)
    course = re.search(r'class="course" d="([^"]+)"', draw(chart, "x", same))
    assert course is not None
    assert course[1].count("M") == 2
