"""阈值: the alarm rules, and what a change of one would have done. The page's own modules draw it (assets/js/rules*);
what they show comes from the rulebook's interface (`dashboards.rules_api`)."""

import msgspec
from dash import html

from dashboards import auth
from dashboards.i18n import Language, translator
from dashboards.pages import desk
from dashboards.views import rules as view
from twin.access import Right

PATH = "/rules"


def layout(language: Language, rule: str | None = None) -> html.Div:
    _ = translator(language)
    may, session = auth.may(Right.RULES), auth.caller()
    words = msgspec.json.encode(view.words(language)).decode()
    given = {"data-words": words, "data-lang": language, "data-rule": rule or "", "data-may-save": "yes" if may else ""}
    why = ""
    if not may:
        why = _("Sign in as an engineer to save. You may try any change.")
        if session is not None:
            why = _("{user} may look and try, but not save: ask for the role of engineer.").format(user=session.who)
    return desk.page(
        language,
        PATH,
        _("Alarm thresholds"),
        [html.Div(why, className="rules-why", role="note"), html.Div(id="rules", className="rules", **given)],
    )
