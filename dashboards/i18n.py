"""Interface text in Chinese and English through gettext. Message ids are the English text.

The catalogue is the `.po` file itself: it is small, and a compiled copy beside it could disagree with it.
"""

import gettext
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Literal

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from twin.observation import Domain

Language = Literal["zh", "en"]
Translate = Callable[[str], str]

DOMAIN_LABELS = {
    Domain.TRAFFIC: "Traffic",
    Domain.ENVIRONMENT: "Environment",
    Domain.PARKING: "Parking",
    Domain.COMPUTE: "Compute",
    Domain.CITY: "City facilities",
}


@cache
def translator(language: Language) -> Translate:
    if language == "en":
        return gettext.NullTranslations().gettext
    catalogue = files("dashboards") / "locale" / "zh_CN" / "LC_MESSAGES" / "gaoxin.po"
    compiled = BytesIO()
    write_mo(compiled, read_po(BytesIO(catalogue.read_bytes())))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled).gettext


def language_of(text: str | None, default: Language) -> Language:
    """`zh`, `zh-CN`, `en`, `en-GB` …; anything else is the default."""
    match (text or "").lower()[:2]:
        case "zh":
            return "zh"
        case "en":
            return "en"
    return default


def age(milliseconds: int, _: Translate) -> str:
    """How long ago, in the largest unit that leaves a number of at least 1."""
    seconds = max(0, milliseconds // 1000)
    for size, text in ((86_400, _("{n} d ago")), (3_600, _("{n} h ago")), (60, _("{n} min ago"))):
        if seconds >= size:
            return text.format(n=seconds // size)
    return _("{n} s ago").format(n=seconds)
