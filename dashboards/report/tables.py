"""The report's tables: alarms, the time line, ground truth, what was known then, who took part."""

from collections.abc import Iterable
from html import escape

import msgspec

from dashboards.i18n import Translate
from dashboards.report import ink
from dashboards.report.parts import badge, cell, section, subject, table
from twin.alerts import LABELS, Kind, Transition
from twin.bundle import Record
from twin.episodes import Alarm
from twin.incidents import ENTRY_LABELS
from twin.observation import METRICS
from twin.standards import Level

MOST_ROWS = 300

ACT_LABELS = {
    "acknowledge": "acknowledged",
    "comment": "commented",
    "assign": "assigned",
    "shelve": "shelved",
    "unshelve": "unshelved",
    "created": "made the incident",
    "note": "note",
    "bookmark": "bookmark",
}
TEXTS = tuple(ACT_LABELS.values())


def rule_name(record: Record, alarm: Alarm, _: Translate) -> str:
    rule = record.rule(alarm.rule, alarm.version)
    return _(rule.name) if rule else alarm.rule


def alarms(record: Record, _: Translate) -> str:
    if not record.alarms:
        return ""
    heads = (_("Level"), _("Rule"), _("Place"), _("Raised"), _("Acknowledged"), _("Cleared"), f"#{_('Lasted')}")
    shown = record.alarms[:MOST_ROWS]
    rows = (_alarm(record, a, _) for a in shown)
    return section(_("Alarms"), table(heads, rows, "alarms") + _more(len(record.alarms) - len(shown), _))


def _alarm(record: Record, a: Alarm, _: Translate) -> str:
    seen = _("not acknowledged")
    if a.acknowledged_at is not None:
        seen = _("{who} after {lasting}").format(
            who=a.acknowledged_by, lasting=ink.lasting(a.acknowledged_at - a.opened, _)
        )
    cleared = _("still open") if a.closed is None else ink.clock(a.closed)
    lasted = "—" if a.closed is None else ink.lasting(a.closed - a.opened, _)
    cells = [
        badge(a.highest, _),
        cell(rule_name(record, a, _)),
        cell(subject(record, a.subject, _)),
        cell(ink.clock(a.opened), "time"),
        cell(seen),
        cell(cleared, "time"),
        cell(lasted, "number"),
    ]
    return f'<tr data-alarm="{a.id}">{"".join(cells)}</tr>'


def _more(n: int, _: Translate) -> str:
    return f'<p class="quiet">{escape(_("and {n} more, in the data").format(n=n))}</p>' if n > 0 else ""


# --- the time line ---


class Line(msgspec.Struct, frozen=True):
    at: int
    kind: str
    level: Level
    what: str
    detail: str = ""


def time_line(record: Record, _: Translate) -> str:
    lines = sorted([*_said(record, _), *_done(record, _), *_written(record, _), *_true(record, _)], key=lambda v: v.at)
    if not lines:
        return ""
    # What people wrote is never left out
    spare = MOST_ROWS - sum(v.kind != "transition" for v in lines)
    shown = []
    for line in lines:
        if line.kind == "transition":
            spare -= 1
        if line.kind != "transition" or spare >= 0:
            shown.append(line)
    rows = (_line(v, _) for v in shown)
    heads = (_("Time"), _("Level"), _("What happened"), "")
    return section(_("Time line"), table(heads, rows, "timeline") + _more(len(lines) - len(shown), _))


def _line(v: Line, _: Translate) -> str:
    level = badge(v.level, _) if v.level else cell("")
    return f'<tr class="kind-{v.kind}">{cell(ink.clock(v.at), "time")}{level}{cell(v.what)}{cell(v.detail, "pre")}</tr>'


def _said(record: Record, _: Translate) -> Iterable[Line]:
    names = {(r.version, r.rule.id): r.rule for r in record.rules}
    for t in record.transitions:
        rule = names.get((t.version, t.rule))
        what = f"{_(rule.name) if rule else t.rule} · {subject(record, t.subject, _)}"
        yield Line(t.at, "transition", t.level or t.was, what, _transition(t, rule.metrics[0] if rule else "", _))


def _transition(t: Transition, metric: str, _: Translate) -> str:
    said = _(LABELS[t.kind])
    if t.kind is Kind.CHANGED:
        said += f" ({_(ink.LEVEL_LABELS[t.was])} → {_(ink.LEVEL_LABELS[t.level])})"
    if t.value is not None and metric:
        said += f", {_(METRICS[metric].label)} {t.value:.4g}"
    return f"{said}, {_(LABELS[t.reason])}" if t.kind is Kind.CLEARED else said


def _done(record: Record, _: Translate) -> Iterable[Line]:
    of = {a.id: a for a in record.alarms}
    for note in record.notes:
        alarm = of[note.alarm]
        did = f"{note.by} {_(ACT_LABELS.get(note.action, note.action))}"
        what = f"{did} · {rule_name(record, alarm, _)} · {subject(record, alarm.subject, _)}"
        yield Line(note.at, "act", Level.NONE, what, note.text)


def _written(record: Record, _: Translate) -> Iterable[Line]:
    for entry in record.entries:
        yield Line(entry.at, str(entry.kind), Level.NONE, f"{_(ENTRY_LABELS[entry.kind])} · {entry.by}", entry.text)


def _true(record: Record, _: Translate) -> Iterable[Line]:
    for fact in record.facts:
        for at, edge in ((fact.began, _("begins")), (fact.ended, _("ends"))):
            yield Line(at, "truth", fact.level, f"{_('Ground truth')} · {_(fact.what)}", edge)


# --- the rest ---


def truth(record: Record, _: Translate) -> str:
    if not record.facts:
        return ""
    named = {d.id: d.name for d in record.devices}
    rows = (
        f"<tr>{badge(f.level, _)}{cell(_(f.what))}{cell(ink.clock(f.began), 'time')}{cell(ink.clock(f.ended), 'time')}"
        f"{cell(', '.join(named.get(d, d) for d in f.devices[:6]) + (' …' if len(f.devices) > 6 else ''))}</tr>"
        for f in record.facts
    )
    heads = (_("Level"), _("What was made to go wrong"), _("Start"), _("To"), _("Seen by"))
    return section(_("Ground truth (simulated)"), table(heads, rows, "truth"))


def then_and_now(record: Record, _: Translate) -> str:
    """The extremes of what is charted, as known when the incident ended and as known when the report was made."""
    if not record.figures:
        return ""
    rows = []
    for f in record.figures:
        then = (
            "—"
            if f.high_then is None or f.low_then is None
            else _range(f.low_then.value, f.high_then.value, f.metric, _)
        )
        now = _range(f.low.value, f.high.value, f.metric, _)
        changed = ' class="kind-note"' if then != now else ""
        rows.append(
            f"<tr{changed}>{cell(subject(record, f.device, _))}{cell(_(METRICS[f.metric].label))}"
            f"{cell(then, 'number')}{cell(now, 'number')}{cell(ink.clock(f.high.at), 'time')}"
            f"{cell(str(f.count), 'number')}{cell(str(f.late), 'number')}</tr>"
        )
    heads = (
        _("Device"),
        _("Metric"),
        f"#{_('Known then')}",
        f"#{_('Known now')}",
        _("Highest at"),
        f"#{_('Readings')}",
        f"#{_('Late')}",
    )
    said = _("Known then: received before the incident ended. Late: received {n} s or more after it was measured.")
    hint = f'<p class="quiet">{escape(said.format(n=record.late_ms // 1000))}</p>'
    return section(_("Values, as known then and now"), table(heads, rows, "values") + hint)


def _range(low: float, high: float, metric: str, _: Translate) -> str:
    m = METRICS[metric]
    return f"{low:.{m.decimals}f} – {ink.value(high, metric, _)}"


def people(record: Record, _: Translate) -> str:
    if not record.participants:
        return ""
    rows = (
        f"<tr>{cell(p.name)}{cell(', '.join(f'{_(ACT_LABELS.get(a, a))} × {n}' for a, n in p.acts.items()))}</tr>"
        for p in record.participants
    )
    return section(_("Who took part"), table((_("Name"), _("What they did")), rows, "people"))
