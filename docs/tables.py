"""Writes the tables in docs/*.md that the code knows: `python -m docs.tables`. A test holds them current."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel

from ingest.decode import Reason
from ingest.mapping import FeedKeys, GatewayKeys, ValueKeys
from layers import zone
from twin import meters
from twin.alerts.transition import MOVES, Phase
from twin.observation import KINDS, METRICS
from twin.registry import NEEDED
from twin.settings import SECRETS, Settings, fields

DOCS = Path(__file__).parent


def settings() -> str:
    defaults = Settings()
    rows = []
    for key, field in fields().items():
        value: object = defaults
        for part in key.split("."):
            value = getattr(value, part)
        shown = "(environment only)" if key in SECRETS else f"`{value}`" if value not in ("", None) else ""
        rows.append(f"| `{key}` | {shown} | {field.description} |")
    return "\n".join(rows)


def metrics() -> str:
    found = [m for m in vars(meters).values() if isinstance(m, MetricWrapperBase | meters.BulkHistogram)]
    rows = []
    for metric in found:
        [described] = metric.describe()
        name = described.name + ("_total" if described.type == "counter" else "")
        rows.append(f"| `{name}` | {described.documentation} |")
    return "\n".join(rows)


def reasons() -> str:
    return "\n".join(f"| `{r.name.lower()}` | {r.value} |" for r in Reason)


def observed() -> str:
    return "\n".join(f"| `{m.name}` | {m.label} | `{m.unit}` | {m.low:g} to {m.high:g} |" for m in METRICS.values())


def keys(model: type[BaseModel]) -> Callable[[], str]:
    def rows() -> str:
        found = []
        for name, field in model.model_fields.items():
            needed = " (needed)" if field.is_required() else ""
            found.append(f"| `{name}`{needed} | {field.description} |")
        return "\n".join(found)

    return rows


def accounts() -> str:
    """Who may say and hear what, by the broker's shipped acl file."""
    who, may = "its own id", {"its own id": {"write": [], "read": []}}
    for line in (DOCS.parent / "ingest" / "mosquitto" / "acl").read_text(encoding="utf-8").splitlines():
        match line.split():
            case ["user", name]:
                who = f"`{name}`"
                may[who] = {"write": [], "read": []}
            case ["topic" | "pattern", how, topic]:
                for right in ("read", "write") if how == "readwrite" else (how,):
                    may[who][right].append(f"`{topic.replace('%u', '{id}')}`")
    rows = (
        f"| {w} | {', '.join(m['write']) or 'nothing'} | {', '.join(m['read']) or 'nothing'} |" for w, m in may.items()
    )
    return "\n".join(rows)


def kinds() -> str:
    rows = []
    for kind in KINDS.values():
        needs = ", ".join(f"`{n}`" for n in NEEDED.get(kind.name, ()))
        metrics = ", ".join(f"`{m}`" for m in kind.metrics)
        rows.append(f"| `{kind.name}` | `{kind.domain}` | {metrics} | {needs} |")
    return "\n".join(rows)


def districts() -> str:
    frame = zone.layer("districts")
    return "\n".join(f"| `{i}` | {name} |" for i, name in zip(frame["id"], frame["name"], strict=True))


def latches() -> str:
    """The alarm's transition table as a diagram in mermaid."""
    moves = "\n".join(f"    {before} --> {after}: {cause}" for (before, cause), after in MOVES.items())
    return f"stateDiagram-v2\n    [*] --> {Phase.NORMAL}\n{moves}\n"


DIAGRAMS: Mapping[str, Callable[[], str]] = {"engineers.md": latches}

TABLES: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "engineers.md": {"key": settings, "metric": metrics},
    "integrators.md": {
        "kind": kinds,
        "district": districts,
        "reason": reasons,
        "feed key": keys(FeedKeys),
        "value key": keys(ValueKeys),
        "gateway key": keys(GatewayKeys),
        "account": accounts,
        "name": observed,
    },
}


def current(text: str, tables: Mapping[str, Callable[[], str]]) -> str:
    """The page with the body of each table, found by the first word of its head, replaced by what the code says."""
    for head, make in tables.items():
        pattern = rf"(^\| {head} \|.*\n\|[-|]+\|\n)(?:.+\n)*"
        found = re.search(pattern, text, flags=re.M)
        if found is None:
            raise LookupError(f"no table whose head begins with {head!r}")
        text = text[: found.start()] + found[1] + make() + "\n" + text[found.end() :]
    return text


def drawn(text: str, diagram: Callable[[], str]) -> str:
    """The page with its mermaid diagram replaced by what the code says."""
    found = re.search(r"(?<=^```mermaid\n).*?(?=^```$)", text, flags=re.M | re.S)
    if found is None:
        raise LookupError("no mermaid diagram")
    return text[: found.start()] + diagram() + text[found.end() :]


if __name__ == "__main__":
    for page, tables in TABLES.items():
        path = DOCS / page
        text = current(path.read_text(encoding="utf-8"), tables)
        path.write_text(drawn(text, DIAGRAMS[page]) if page in DIAGRAMS else text, encoding="utf-8")
