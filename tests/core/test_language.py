"""No text of the interface may be without its Chinese."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dashboards.i18n import DOMAIN_LABELS, age, language_of, translator
from dashboards.pages import alarm_care, alarm_tabs
from dashboards.pages import alarms as alarm_page
from dashboards.report import ink, page, tables
from dashboards.views import alarms as alarm_view
from dashboards.views.access import ACTIONS
from dashboards.views.scenarios import LEVEL_LABELS
from dashboards.views.wall import WIND_POINTS
from ingest.decode import Reason
from simulators.scenarios import Places, Scenario, stories
from twin import access, alarm_health, episodes, incidents, problems, standards, wording
from twin import notices as notified
from twin.alerts import LABELS
from twin.observation import KINDS, METRICS
from twin.refusal import Refusal
from twin.registry import read
from twin.rules import default_rules
from twin.silences import PURPOSE_LABELS

ROOT = Path(__file__).parents[2]
PLACES = Places(read(ROOT / "layers" / "data" / "devices.json"))


def marked() -> set[str]:
    """Every literal that is passed to `_` under dashboards/."""
    found = set()
    for file in (ROOT / "dashboards").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "_"
                and isinstance(node.args[0], ast.Constant)
            ):
                found.add(node.args[0].value)
    return found


def named() -> set[str]:
    """Texts that are named as data in the core and translated where they are shown."""
    bands = [band for v in vars(standards).values() if isinstance(v, standards.Scale) for band in v.bands]
    return {
        *(m.label for m in METRICS.values()),
        *(k.label for k in KINDS.values()),
        *(band.label for band in bands),
        *DOMAIN_LABELS.values(),
        *(r.value for r in Reason),
        *(r.value for r in notified.Reason),
        *wording.TEXTS,
        *(f"wind {p}" for p in WIND_POINTS),
        *LEVEL_LABELS.values(),
        *(text for rule in default_rules() for text in (rule.name, rule.message) if text),
        *LABELS.values(),
        *problems.MESSAGES,
        *(text for story in stories().values() for text in (story.name, story.story)),
        *(r.value for r in Refusal),
        *access.ROLE_LABELS.values(),
        *ACTIONS.values(),
        *alarm_health.LABELS.values(),
        *episodes.STATE_LABELS.values(),
        *episodes.CAUSE_LABELS.values(),
        *PURPOSE_LABELS.values(),
        *(text for texts in PAGE_TEXTS for text in texts.values()),
        *incidents.STATE_LABELS.values(),
        *incidents.ORIGIN_LABELS.values(),
        *incidents.ENTRY_LABELS.values(),
        *incidents.TEXTS,
        *ink.LEVEL_LABELS.values(),
        *page.TEXTS,
        *tables.TEXTS,
        *(fact.what for id in stories() for fact in Scenario(id, PLACES, 0).plot.facts),
    }


PAGE_TEXTS: tuple[Mapping[Any, str], ...] = (
    alarm_view.KINDS,
    alarm_view.ACTIONS,
    alarm_view.NAMES,
    alarm_page.WHICH,
    alarm_page.SHELVES,
    alarm_tabs.TABS,
    alarm_care.RANGES,
    alarm_care.STATES,
)
SAME_IN_BOTH = {"{point} {speed} m/s", "PM2.5", "PM10", "SO₂", "NO₂", "CO", "O₃", "TVOC", "pH", "PUE"}


def test_there_is_text_to_translate() -> None:
    assert len(marked()) > 30
    assert len(named()) > 80


@pytest.mark.parametrize("text", sorted(marked() | named()))
def test_every_text_has_its_chinese(text: str) -> None:
    translated = translator("zh")(text)
    assert translated != text or text in SAME_IN_BOTH
    assert set(_places(translated)) == set(_places(text))


def _places(text: str) -> list[str]:
    import string

    return [name for _, name, _, _ in string.Formatter().parse(text) if name]


def test_english_is_the_message_itself() -> None:
    assert translator("en")("Traffic") == "Traffic"


def test_age_takes_the_largest_unit() -> None:
    _ = translator("zh")
    assert age(59_999, _) == "59 秒前"
    assert age(60_000, _) == "1 分钟前"
    assert age(3 * 3_600_000, _) == "3 小时前"
    assert age(49 * 3_600_000, _) == "2 天前"
    assert age(-5, _) == "0 秒前"


def test_an_unknown_language_is_the_default() -> None:
    assert language_of("fr", "zh") == "zh"
    assert language_of(None, "en") == "en"
    assert language_of("zh-CN", "en") == "zh"
