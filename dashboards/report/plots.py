"""The report's charts: which course, which thresholds and which alarm spans belong together."""

from collections.abc import Iterable
from html import escape

from dashboards.i18n import Translate
from dashboards.report.chart import Chart, Line, Point, Span, draw
from dashboards.report.parts import section, subject
from twin.alerts import Kind
from twin.bundle import Bundle, Figures, Record
from twin.episodes import DISTRICT
from twin.incidents import EntryKind
from twin.observation import METRICS
from twin.registry import Device
from twin.rules import Condition, Rule
from twin.wording import unit


def plots(bundle: Bundle, _: Translate) -> str:
    if not bundle.record.figures:
        return ""
    drawn = "".join(_figure(bundle, f, _) for f in bundle.record.figures)
    hint = _(
        "Dashed: thresholds of the rules in force then. Shaded: alarms, in their level's colour. Violet: bookmarks."
    )
    return section(_("Charts"), f'<p class="quiet">{escape(hint)}</p><div class="charts">{drawn}</div>')


def _figure(bundle: Bundle, figures: Figures, _: Translate) -> str:
    record, metric = bundle.record, METRICS[figures.metric]
    device = next(d for d in record.devices if d.id == figures.device)
    name = subject(record, device.id, _)
    said = unit(metric.unit, _)
    chart = Chart(
        metric=metric.name,
        begin=record.incident.begin,
        end=record.incident.end,
        period=device.period_s * 1000,
        points=_points(bundle, figures),
        lines=tuple(_lines(record, figures)),
        spans=tuple(_spans(record, figures)),
        marks=tuple(e.at for e in record.entries if e.kind is EntryKind.BOOKMARK),
    )
    title = f"{_(metric.label)}{f' ({said})' if said else ''}"
    caption = f'<figcaption><h3>{escape(title)}</h3><span class="quiet">{escape(name)}</span></figcaption>'
    return f'<figure data-device="{escape(device.id)}">{caption}{draw(chart, f"{name} {title}", _)}</figure>'


def _points(bundle: Bundle, figures: Figures) -> tuple[Point, ...]:
    """Of several readings of one instant the one that was received last."""
    found = {}
    for o in sorted(bundle.observations, key=lambda o: (o.at, o.received)):
        if o.device == figures.device and figures.metric in o.values:
            late = o.received - o.at >= bundle.record.late_ms
            found[o.at] = Point(o.at, o.values[figures.metric], late)
    return tuple(found.values())


def _subjects(device: Device) -> tuple[str, str]:
    """An alarm of a whole district is one of its devices, too."""
    return device.id, DISTRICT + device.district


def _held_against(record: Record, figures: Figures) -> Iterable[Rule]:
    """The rules of the device's alarms; those in force at the beginning where it had none."""
    device = next(d for d in record.devices if d.id == figures.device)
    raised = {(a.version, a.rule) for a in record.alarms if a.subject in _subjects(device)}
    found = [r.rule for r in record.rules if (r.version, r.rule.id) in raised and figures.metric in r.rule.metrics]
    return found or [r.rule for r in record.rules if figures.metric in r.rule.metrics and r.rule.covers(device)]


def _lines(record: Record, figures: Figures) -> Iterable[Line]:
    seen = set()
    for rule in _held_against(record, figures):
        for term in rule.when:
            if term.metric != figures.metric or term.of or term.condition in (Condition.RATE, Condition.ABSENT):
                continue
            for level, threshold in term.thresholds.items():
                for value in threshold if isinstance(threshold, tuple) else (threshold,):
                    if (level, value) not in seen:
                        seen.add((level, value))
                        yield Line(level, value)


def _spans(record: Record, figures: Figures) -> Iterable[Span]:
    device = next(d for d in record.devices if d.id == figures.device)
    reading = {
        (r.version, r.rule.id) for r in record.rules if figures.metric in r.rule.metrics and r.rule.covers(device)
    }
    for alarm in record.alarms:
        if alarm.subject not in _subjects(device) or (alarm.version, alarm.rule) not in reading:
            continue
        said = [
            t
            for t in record.transitions
            if (t.rule, t.subject) == (alarm.rule, alarm.subject)
            and t.kind in (Kind.RAISED, Kind.CHANGED, Kind.CLEARED)
            and alarm.opened <= t.at <= (alarm.closed or record.incident.end)
        ]
        over = alarm.closed if alarm.closed is not None else record.incident.end
        for t, after in zip(said, [*(t.at for t in said[1:]), over], strict=True):
            if t.level and after > record.incident.begin:
                yield Span(t.level, t.at, min(after, record.incident.end))
