"""What a notice says, in both languages, and what the settings of channels mean and refuse."""

import re
from typing import Any

import pytest

from dashboards.i18n import translator
from dashboards.views.notices import notices
from tests.told import Line, alarm, becomes, closes, gateways, opens
from tests.zone import T0
from twin import channels, wording
from twin.channels import Channel, Quiet
from twin.clock import SECOND
from twin.errors import SettingsError
from twin.ledger.outbox import State
from twin.observation import METRICS
from twin.settings import Notices
from twin.standards import Level
from twin.wording import TEXTS, UNITS, Words

LINK = "https://twin.example.cn"
HOT = {"value": 35.24, "unit": "Cel", "place": "1排5柜3", "message": "Look at {name}: {value} {unit} over {threshold}"}


def said(line: Line, language: Any = "en", which: int = -1) -> Words:
    decision = line.sent[which]
    return wording.words(decision, translator(language), link=LINK, now=decision.told.at)


def test_one_alarm() -> None:
    words = said(Line().at(0, opens(alarm(7, Level.RED, threshold=32.0, **HOT))).at(60))
    assert words.title == "[red] Cold aisle too warm · 1排5柜3 35.2 °C"
    assert words.body.splitlines() == [
        "Cold aisle too warm · 1排5柜3 35.2 °C · since 08:00",
        "Look at 1排5柜3: 35.2 °C over 32.0",
        f"{LINK}/alarms?alarm=7",
    ]


def test_in_chinese() -> None:
    words = said(Line().at(0, opens(alarm(7, Level.RED, name="Heavy pollution", **HOT | {"message": ""}))).at(60), "zh")
    assert words.title == "【红】重污染 · 1排5柜3 35.2 ℃"
    assert words.body == f"重污染 · 1排5柜3 35.2 ℃ · 08:00 起\n{LINK}/alarms?alarm=7"


def test_a_group_says_how_many_and_names_the_worst_three() -> None:
    cases = [alarm(i, Level(1 + i % 4), at=i) for i in range(1, 9)]
    words = said(Line(Channel("duty", least=Level.BLUE)).at(0, opens(*cases)).at(60))
    assert words.title == "[red] Cold aisle too warm · 柜3 and 7 more"
    lines = words.body.splitlines()
    assert [re.findall("柜.", text)[0] for text in lines[:3]] == ["柜3", "柜7", "柜2"]
    assert lines[3:] == ["and 5 more", f"{LINK}/alarms"]


@pytest.mark.parametrize(
    ("line", "title"),
    [
        (Line().at(0, opens(alarm(1))).at(60, becomes(1, level=Level.RED)), "[red] Level rose: "),
        (Line().at(0, opens(alarm(1, repeat_min=10))).at(700), "[yellow] Still: "),
        (Line().at(0, opens(alarm(1))).at(400, becomes(1, unknown=True)), "[yellow] No data any more: "),
        (Line().at(0, opens(alarm(1))).at(400, closes(1)), "Resolved: "),
        (Line(Channel("chief", escalation=True)).at(0, opens(alarm(1))).at(1900), "[yellow] Not acknowledged: "),
    ],
)
def test_why_it_is_said(line: Line, title: str) -> None:
    assert said(line).title == f"{title}Cold aisle too warm · 柜1"


def test_an_unknown_one_says_that_there_is_no_data() -> None:
    line = Line().at(0, opens(alarm(1))).at(400, becomes(1, unknown=True))
    assert "since 08:00 · no data" in said(line).body


def test_a_time_of_another_day_has_its_date() -> None:
    line = Line().at(0, opens(alarm(1, repeat_min=24 * 60))).at(90_000)
    assert "since 10-21 08:00" in said(line).body


def test_a_lost_gateway() -> None:
    silent = [alarm(i, gateway="gw-a", absence=True) for i in range(1, 6)]
    own = alarm(9, subject="gateway:gw-a", gateway="gw-a", absence=True)
    line = Line().at(0, gateways("gw-a"), opens(own, *silent)).at(60)
    assert said(line).title == "[yellow] Gateway gw-a lost, 5 devices silent"
    assert said(line, "zh").title == "【黄】网关 gw-a 失联，5 台设备无数据"
    line.at(400, gateways(), closes(1, 2, 3, 4, 5, 9))
    assert said(line).title == "Gateway gw-a is back"


@pytest.mark.parametrize("message", ["{nothing}", "{0}", "{", "{value.real.x}", "{value!z}", "100 {} of {value:.2f}"])
def test_a_message_that_cannot_be_filled_stands_as_it_is(message: str) -> None:
    words = said(Line().at(0, opens(alarm(1, **HOT | {"message": message}))).at(60))
    assert message in words.body.splitlines()


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "text"),
    [
        (None, "Cel", 1, ""),
        (1.283, "1", 2, "1.28"),
        (0.954, "%", 3, "95.4 %"),
        ((0.1, 0.9), "%", 2, "10–90 %"),
        ((27.0, 30.0), "Cel", 0, "27–30 °C"),
        (12.0, "ug/m3/min", 1, "12.0 µg/m³/min"),
        (3.0, "/min", 0, "3 /min"),
        (3000.0, "m3/s", 0, "3000 m³/s"),
        (180.0, "s", 0, "180 s"),
    ],
)
def test_values_as_people_write_them(value: Any, unit: str, decimals: int, text: str) -> None:
    assert wording.shown(value, unit, decimals, translator("en")) == text


def test_no_unit_of_the_zone_is_shown_as_a_code() -> None:
    for metric in METRICS.values():
        assert not re.search(r"[{}\[\]]|m3|m2|ug|Cel", wording.unit(metric.unit, translator("en"))), metric.unit
    assert set(UNITS) <= {m.unit for m in METRICS.values()}


@pytest.mark.parametrize("language", ["zh", "en"])
def test_titles_are_short_enough_for_a_locked_screen(language: str) -> None:
    names = [text for text in TEXTS if "{" not in text]
    assert max(map(len, map(translator("zh"), names))) <= 24
    line = Line().at(
        0, opens(alarm(1, Level.RED, name="下穿积水", place="世纪大道下穿通道", value=0.31, unit="m", decimals=2))
    )
    assert len(said(line.at(60), language).title) <= 40


class TestChannels:
    def test_nobody_by_default(self) -> None:
        assert channels.channels(Notices()) == ()

    def test_each_word_of_the_settings(self) -> None:
        made = Notices(
            channels="duty=dingtalk://tok chief=mailtos://u:p@m.cn?to=a@b.cn other=jsons://h.cn/a=b",
            least="blue chief=red",
            quiet="22:00-07:00/orange other=12:30-13:30/red",
            escalate_to="chief",
        )
        night = Quiet(22 * 60, 7 * 60, Level.ORANGE)
        assert channels.channels(made) == (
            Channel("duty", Level.BLUE, night),
            Channel("chief", Level.RED, night, escalation=True),
            Channel("other", Level.BLUE, Quiet(12 * 60 + 30, 13 * 60 + 30, Level.RED)),
        )
        assert channels.addresses(made)["other"] == "jsons://h.cn/a=b"

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"channels": "dingtalk://s3cret@tok"}, ["notices.channels", "entry 1", "name=url"]),
            ({"channels": "a=dingtalk://s3cret b=s3cret"}, ["entry 2"]),
            ({"channels": "a/b=dingtalk://s3cret"}, ["entry 1"]),
            ({"channels": "a=x://s3cret a=y://s3cret"}, ["a is there twice"]),
            ({"channels": "a=x://s3cret", "least": "pink"}, ["notices.least", "pink", "yellow"]),
            ({"channels": "a=x://s3cret", "least": "none"}, ["notices.least", "none", "yellow"]),
            ({"channels": "a=x://s3cret", "least": "b=red"}, ["notices.least", "'b'", ": a"]),
            ({"channels": "a=x://s3cret", "escalate_to": "b"}, ["notices.escalate_to", "'b'"]),
            ({"channels": "a=x://s3cret", "quiet": "22-7/red"}, ["notices.quiet", "22-7/red", "22:00-07:00/red"]),
            ({"channels": "a=x://s3cret", "quiet": "24:00-07:00/red"}, ["notices.quiet"]),
            ({"least": "pink"}, ["notices.least"]),
        ],
    )
    def test_what_is_wrong_is_named_and_no_secret_is(self, given: dict[str, str], words: list[str]) -> None:
        with pytest.raises(SettingsError) as error:
            channels.channels(Notices(**given))  # type: ignore[arg-type]
        assert all(word in str(error.value) for word in words), str(error.value)
        assert "s3cret" not in str(error.value)

    def test_a_rule_that_names_a_stranger_is_told(self) -> None:
        known = [Channel("duty")]
        assert channels.strangers({"hot": ("duty",), "cold": ()}, known) == []
        [sentence] = channels.strangers({"hot": ("duty", "dutty")}, known)
        assert all(word in sentence for word in ("hot", "'dutty'", "duty"))


def test_the_moments_of_a_notice_are_local() -> None:
    assert "since 09:00" in said(Line().at(3600, opens(alarm(1, at=3600))).at(3700)).body
    assert T0 % (3600 * SECOND) == 0


class TestPage:
    KNOWN = (Channel("duty", quiet=Quiet(22 * 60, 7 * 60, Level.RED)), Channel("chief", Level.ORANGE, escalation=True))
    WHERE = {"duty": "dingtalk://s3cret@tok", "chief": "mailtos://u:s3cret@mail.example.cn"}  # noqa: RUF012

    def test_it_says_when_nobody_is_told(self) -> None:
        made = notices((), {}, {}, translator("zh"))
        assert (made.said, made.trouble) == ("未设置通知渠道，不会发送任何通知", False)

    def test_it_says_to_whom(self) -> None:
        made = notices(self.KNOWN, self.WHERE, {("duty", State.SENT): 7, ("duty", State.WAITING): 1}, translator("en"))
        assert (made.said, made.trouble) == ("Notices go to duty, chief", False)
        duty, chief = made.rows
        assert (duty.address, duty.least, duty.quiet) == ("dingtalk://…", "[yellow]", "22:00–07:00 [red]")
        assert (duty.waiting, duty.sent, duty.dead) == (1, 7, 0)
        assert (chief.address, chief.least, chief.quiet, chief.escalation) == (
            "mailtos://mail.example.cn/…",
            "[orange]",
            "",
            True,
        )

    def test_it_says_what_was_given_up(self) -> None:
        made = notices(self.KNOWN, self.WHERE, {("chief", State.DEAD): 2}, translator("en"))
        assert (made.said, made.trouble) == ("2 notices could not be delivered", True)
