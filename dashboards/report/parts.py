"""What the report's chapters are made of."""

from collections.abc import Iterable, Sequence
from html import escape

from dashboards.i18n import Translate, translator
from dashboards.report import ink
from twin.bundle import Record
from twin.episodes import DISTRICT, GATEWAY
from twin.standards import Level


def section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def facts(rows: Iterable[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in rows) + "</dl>"


def level_style(level: Level) -> str:
    return f"--level: {ink.LEVELS[level]}"


def table(heads: Sequence[str], rows: Iterable[str], id: str = "") -> str:
    """`rows`: whole tr elements. A head that begins with # is of numbers."""
    head = "".join(
        f'<th class="number">{escape(h[1:])}</th>' if h[:1] == "#" else f"<th>{escape(h)}</th>" for h in heads
    )
    return f'<table id="{id}"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def cell(text: str, kind: str = "") -> str:
    return f'<td class="{kind}">{escape(text)}</td>' if kind else f"<td>{escape(text)}</td>"


def badge(level: Level, _: Translate) -> str:
    return f'<td class="dotted" style="{level_style(level)}">{escape(_(ink.LEVEL_LABELS[level]))}</td>'


def subject(record: Record, id: str, _: Translate) -> str:
    """A device by its name, a district by its name, a gateway."""
    if id.startswith(DISTRICT):
        names = record.districts.get(id.removeprefix(DISTRICT))
        return id if names is None else names[_ is translator("en")]
    if id.startswith(GATEWAY):
        return _("Gateway {gateway}").format(gateway=id.removeprefix(GATEWAY))
    return next((f"{d.name} ({id})" for d in record.devices if d.id == id), id)
