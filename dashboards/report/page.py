"""The report as one HTML page: what was, in words, numbers, maps, charts and tables; then the data themselves.

A pure function of the bundle and the language: the same file gives the same page, so that `gaoxin incident verify` can
say whether what is to be read is what the data say. It asks nothing of any network, and its policy forbids it to.
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib.resources import files

from dashboards.i18n import Language, Translate, translator
from dashboards.report import ink, map, tables
from dashboards.report.parts import facts, level_style, section, subject
from dashboards.report.plots import plots
from twin import bundle as bundles
from twin.bundle import Bundle, Moment, Record, Why
from twin.episodes import Alarm
from twin.incidents import STATE_LABELS
from twin.standards import Level

WHY_LABELS = {"begin": "Beginning", "worst": "At its worst", "bookmark": "Bookmark", "end": "End"}
# Messages beside the literals here
TEXTS = tuple(WHY_LABELS.values())


@cache
def _file(name: str) -> str:
    return (files("dashboards.report") / name).read_text(encoding="utf-8")


def render(bundle: Bundle, language: Language) -> str:
    """The whole file."""
    _ = translator(language)
    script, record = _file("report.mjs"), bundle.record
    # A script may run when it is this one, and nothing may be fetched
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'; "
        "base-uri 'none'; form-action 'none'"
    )
    body = [
        _title(record, language),
        _summary(record, _),
        _causes(record, _),
        _maps(record, language),
        plots(bundle, _),
        tables.alarms(record, _),
        tables.time_line(record, _),
        tables.truth(record, _),
        tables.then_and_now(record, _),
        tables.people(record, _),
        _data(bundle, _),
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="{"zh-CN" if language == "zh" else "en"}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(record.incident.title)} · {escape(_('Incident report'))}</title>"
        f"<style>{_file('report.css')}</style></head>\n"
        f'<body style="--level: {ink.LEVELS[record.incident.level]}">\n'
        + "\n".join(part for part in body if part)
        + "\n"
        + "\n".join(bundles.element(name, bundle.parts[name]) for name in bundles.PARTS)
        + f'\n<script type="module">{script}</script></body></html>\n'
    )


def _title(record: Record, language: Language) -> str:
    _ = translator(language)
    i = record.incident
    names = [record.districts[d][language == "en"] for d in i.districts if d in record.districts]
    where = "、".join(names) if language == "zh" else ", ".join(names)
    rows = [
        (_("When"), f"{ink.whole(i.begin)} – {ink.whole(i.end)} ({ink.lasting(i.end - i.begin, _)}) UTC+8"),
        (_("Where"), where or record.zone[language == "en"]),
        (_("Recorded by"), f"{i.by}, {ink.whole(i.at)}"),
        (_("Report made"), f"{ink.whole(record.made_at)}, {record.made_by} · {record.software}"),
    ]
    warnings = []
    if record.simulated:
        warnings.append(_("The readings are simulated: nothing here happened in the real zone."))
    if record.schematic:
        warnings.append(_("Places are schematic, not surveyed."))
    notice = f'<p class="notice">{escape(" ".join(warnings))}</p>' if warnings else ""
    return (
        f'<header><div class="over"><span>{escape(_("Smart High-tech Zone operations centre"))}</span>'
        f"<span>{escape(_('Incident report'))} #{i.id}</span></div>"
        f'<div class="band"></div><h1>{escape(i.title)}</h1><p class="badges">'
        f'<span class="badge">{escape(_(ink.LEVEL_LABELS[i.level]))}</span>'
        f'<span class="badge plain">{escape(_(STATE_LABELS[i.state]))}</span></p>{facts(rows)}{notice}</header>'
    )


def _summary(record: Record, _: Translate) -> str:
    alarms = record.alarms
    answered = [a.acknowledged_at - a.opened for a in alarms if a.acknowledged_at is not None]
    still = sum(a.closed is None for a in alarms)
    late = sum(f.late for f in record.figures)
    tiles = [
        (str(len(alarms)), _("alarms")),
        (str(len({a.subject for a in alarms})), _("places in alarm")),
        (ink.lasting(min(answered), _) if answered else "—", _("to the first acknowledgement")),
        (str(late), _("readings of the charts came late")),
    ]
    shown = "".join(f'<div class="tile"><b>{escape(n)}</b><span>{escape(what)}</span></div>' for n, what in tiles)
    return section(
        _("Summary"),
        f'<p class="lead">{escape(" ".join(_sentences(record, still, _)))}</p><div class="tiles">{shown}</div>',
    )


def _sentences(record: Record, still: int, _: Translate) -> Iterable[str]:
    if not record.alarms:
        yield _("No alarm was raised in the range and area of this incident.")
        return
    first = record.alarms[0]
    yield _("The first alarm, {rule} at {place}, was raised at {time}.").format(
        rule=tables.rule_name(record, first, _), place=subject(record, first.subject, _), time=ink.clock(first.opened)
    )
    worst = max(record.alarms, key=_severity)
    yield _("The highest level was {level}, reached by {n} alarms.").format(
        level=_(ink.LEVEL_LABELS[worst.highest]), n=sum(a.highest == worst.highest for a in record.alarms)
    )
    waiting = sum(a.acknowledged_at is None for a in record.alarms)
    yield _("{n} alarms were acknowledged, {m} were not.").format(n=len(record.alarms) - waiting, m=waiting)
    if still:
        yield _("{n} alarms were still open when the report was made.").format(n=still)
    else:
        last = max(a.closed or 0 for a in record.alarms)
        yield _("All had cleared by {time}.").format(time=ink.clock(last))


def _severity(alarm: Alarm) -> tuple[int, int]:
    return alarm.highest, -alarm.opened


def _causes(record: Record, _: Translate) -> str:
    said = record.incident.causes
    return section(_("Causes"), f'<p class="pre">{escape(said)}</p>') if said else ""


def _maps(record: Record, language: Language) -> str:
    _ = translator(language)
    concerned = frozenset(d.id for d in record.devices)
    # The worst moment wide, for a closer look; the others beside each other
    wide = next((m for m in record.moments if any(w.kind == "worst" for w in m.why)), record.moments[0])
    drawn = [_figure(record, m, concerned, "wide" if m is wide else "", _) for m in record.moments]
    levels = "".join(
        f'<span><i style="--c: {ink.LEVELS[v]}"></i>'
        f"{escape(_('{level} alarm').format(level=_(ink.LEVEL_LABELS[v])))}</span>"
        for v in list(Level)[1:]
    )
    legend = (
        f'<p class="legend">{levels}<span><i class="ring"></i>{escape(_("Device of this incident"))}</span>'
        f'<span><i style="--c: {ink.UNKNOWN}"></i>{escape(_("Unknown, or without a band"))}</span>'
        f"<span>{escape(_('Points and roads: green, good, to red, bad, by the standard of their kind'))}</span></p>"
    )
    title = _("The zone at the key moments, as known then")
    return section(title, map.ground(record.ground, language) + f'<div class="maps">{"".join(drawn)}</div>{legend}')


def _figure(record: Record, moment: Moment, concerned: frozenset[str], width: str, _: Translate) -> str:
    title = f"{ink.whole(moment.at)} · {why(moment.why, _)}"
    counts = [
        f'<span class="dotted" style="{level_style(level)}">{escape(_(ink.LEVEL_LABELS[level]))} {n}</span>'
        for level, n in zip(reversed(list(Level)[1:]), reversed(moment.levels), strict=True)
        if n
    ]
    known = escape(_("{n} of {m} devices known").format(n=moment.known, m=len(record.ground.spots)))
    caption = f'<h3>{escape(title)}</h3><span class="quiet">{" ".join([*counts, known])}</span>'
    return (
        f'<figure class="{width}"><figcaption>'
        + f"{caption}</figcaption>{map.moment(record.ground, moment, concerned, title)}</figure>"
    )


def why(reasons: Sequence[Why], _: Translate) -> str:
    return " · ".join(_(WHY_LABELS.get(r.kind, r.kind)) + (f"「{r.text}」" if r.text else "") for r in reasons)


def _data(bundle: Bundle, _: Translate) -> str:
    record = bundle.record
    said = [
        _("This file holds {n} observations of {m} devices, exact, and the alarms.").format(
            n=len(bundle.observations), m=len({o.device for o in bundle.observations})
        )
    ]
    if record.left_out:
        said.append(
            _("{n} more devices are concerned; their observations are left out here: {devices}").format(
                n=len(record.left_out),
                devices=", ".join(record.left_out[:20]) + (" …" if len(record.left_out) > 20 else ""),
            )
        )
    name = f"incident-{record.incident.id}"
    buttons = "".join(
        f'<button data-download="{part}" data-file="{name}-{part}.csv">{escape(label)}</button>'
        for part, label in (("observations", _("Observations as CSV")), ("alarms", _("Alarms as CSV")))
    )
    whole, altered = _("The data are as they were exported."), _("The data are NOT as they were exported.")
    check = _("Compare this number with the audit where the report was made, or run: gaoxin incident verify FILE")
    checking = _("This page could not check its data: scripts are off.")
    return section(
        _("Data and integrity"),
        f'<p>{escape(" ".join(said))}</p><div class="actions">{buttons}</div>'
        f'<p id="verdict" data-whole="{escape(whole)}" data-altered="{escape(altered)}">{escape(checking)}</p>'
        f'<p class="quiet">SHA-256 <code id="digest">{bundle.digest}</code></p>'
        f'<p class="quiet">{escape(check)}</p>',
    )
