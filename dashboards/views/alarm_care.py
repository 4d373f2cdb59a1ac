"""What the page says beside the list: silences and maintenance, and how well the alarms serve (EEMUA 191, ISA-18.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboards.i18n import DOMAIN_LABELS, Translate
from dashboards.views.alarms import COLOURS, Context, moment, said
from twin.alarm_health import LABELS, WINDOW, Actor, Report
from twin.clock import DAY, HOUR, local
from twin.silences import PURPOSE_LABELS, Scope, Silence
from twin.standards import Level


@dataclass(frozen=True)
class SilenceRow:
    id: int
    purpose: str
    scope: str
    span: str
    coming: bool
    by: str
    reason: str


def silence(found: Silence, with_: Context) -> SilenceRow:
    _, now = with_.translate, with_.now
    return SilenceRow(
        found.id,
        _(PURPOSE_LABELS[found.purpose]),
        scope(found.scope, with_),
        f"{moment(found.begins, now)} – {moment(found.ends, now)}",
        found.begins > now,
        found.by,
        found.reason,
    )


def scope(of: Scope, with_: Context) -> str:
    """What it covers, in words."""
    _ = with_.translate
    parts = [
        [with_.name(r) for r in of.rules],
        list(of.groups),
        [with_.place(s) for s in of.subjects],
        [_(DOMAIN_LABELS[d]) for d in of.domains],
        [with_.districts.get(d, d) for d in of.districts],
        list(of.gateways),
    ]
    return " · ".join("/".join(part) for part in parts if part) or _("The whole zone")


@dataclass(frozen=True)
class MeasureRow:
    name: str
    value: str
    target: str
    within: bool


def measures(report: Report, _: Translate) -> list[MeasureRow]:
    return [MeasureRow(_(LABELS[m.name]), f"{m.value:g}", f"≤ {m.target:g}", m.within) for m in report.measures]


def columns(report: Report, _: Translate) -> dict[str, Any]:
    """Alarms per 10 minutes, for `charts.mjs`; of a longer range, the busiest 10 minutes of each hour or six."""
    span = report.end - report.begin
    together = 1 if span <= DAY + HOUR else 6 if span <= 7 * DAY + HOUR else 36
    counts = report.by_10_min
    most = next(m.target for m in report.measures if m.name == "busiest")
    rows = []
    for i in range(0, len(counts), together):
        at = local(report.begin + i * WINDOW)
        n = max(counts[i : i + together])
        label = f"{at:%H:%M}" if together == 1 else f"{at:%m-%d %H:%M}"
        rows.append({"label": label, "value": n, "colour": COLOURS[Level.RED] if n > most else "#35c6f4"})
    return {"kind": "columns", "rows": rows, "max": max(most + 2, *counts)}


def actor(found: Actor, with_: Context) -> tuple[str, str, str, str]:
    """Rule, place, how often, share."""
    return with_.name(found.rule), with_.place(found.subject), str(found.calls), f"{found.percent:.1f} %"


def floods(report: Report, now: int) -> list[tuple[str, str]]:
    return [(f"{moment(f.begin, now)} – {moment(f.end, now)}", str(f.alarms)) for f in report.floods]


def levels(report: Report, _: Translate) -> list[tuple[str, str, int]]:
    """Tone, name, count; the highest first."""
    return [(level.name.lower(), said(level, _), n) for level, n in sorted(report.levels.items(), reverse=True)]


RANGES: Mapping[str, int] = {"day": DAY, "week": 7 * DAY, "month": 30 * DAY}


def span_of(which: str, now: int) -> tuple[int, int]:
    """The range up to now, from a full hour on."""
    begin = now - RANGES.get(which, DAY)
    return begin - begin % HOUR, now


def out_rows(out: Mapping[str, Any], with_: Context) -> Sequence[tuple[str, str, str, str, str]]:
    """Subject, its name, since when, by whom, why."""
    return [(s, with_.place(s), moment(n.at, with_.now), n.by, n.text) for s, n in out.items()]
