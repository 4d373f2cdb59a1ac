"""What the devices page says: how each device reports, how the taking in fares, and what waits in quarantine.

A function of the engine's health report and the workers' own words. A number that is not known is an em dash.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from dashboards.i18n import DOMAIN_LABELS, Language, age, translator
from dashboards.views.wall import MISSING, SILENT_MS, number
from ingest.decode import Reason
from ingest.worker import Status
from twin.clock import MINUTE, SECOND, local
from twin.health import DeviceHealth, ZoneHealth
from twin.observation import KINDS
from twin.registry import Registry

KEPT_WELL = 0.95  # a device that keeps less of its periods is worth a look
STATES = ("known", "unknown", "cut", "never")


class Page(NamedTuple):
    """`totals`: (label, value, tone). `rows`: one a device, for the grid; raw numbers, so that they sort."""

    at: int | None
    totals: list[tuple[str, str, str]]
    rows: list[dict[str, Any]]
    gateways: list[tuple[str, str, str]]
    workers: list[dict[str, Any]]
    reasons: list[tuple[str, str, int]]
    refused: list[dict[str, str]]


def page(
    registry: Registry,
    report: ZoneHealth | None,
    workers: Sequence[Status],
    now: int,
    language: Language,
    districts: Mapping[str, str],
) -> Page:
    _ = translator(language)
    if report is not None and (report.digest != registry.digest or now - report.at > SILENT_MS):
        report = None  # of another registry, or of an engine that is gone: nothing is known
    rows = _rows(registry, report, now, language, districts)
    counts = {r.name.lower(): 0 for r in Reason}
    for worker in workers:
        for reason, count in worker.quarantine.items():
            counts[reason] = counts.get(reason, 0) + count
    reasons = sorted(((k, _(_meaning(k)), n) for k, n in counts.items() if n), key=lambda r: -r[2])
    newest = sorted((b for w in workers for b in w.newest), key=lambda b: -b.received)
    return Page(
        report.at if report else None,
        _totals(report, rows, sum(counts.values()), _),
        rows,
        _gateways(registry, report, _),
        [_worker(w, now, _) for w in sorted(workers, key=lambda w: w.worker)],
        reasons,
        [
            {
                "id": b.id,
                "when": local(b.received).strftime("%m-%d %H:%M:%S"),
                "topic": b.topic,
                "reason": _(_meaning(b.reason)),
                "detail": b.detail,
                "payload": b.payload,
            }
            for b in newest[:20]
        ],
    )


def state(device: DeviceHealth | None) -> str:
    """`cut`: its gateway is offline; `never`: not heard since the store began."""
    if device is None or device.at < 0:
        return "never"
    if device.known:
        return "known"
    return "cut" if device.cut else "unknown"


def _rows(
    registry: Registry, report: ZoneHealth | None, now: int, language: Language, districts: Mapping[str, str]
) -> list[dict[str, Any]]:
    _ = translator(language)
    words = {
        "known": _("Reporting"),
        "unknown": _("Silent"),
        "cut": _("Gateway offline"),
        "never": _("Never heard") if report else MISSING,
    }
    rows = []
    for i, device in enumerate(registry):
        found = report.devices[i] if report else None
        what = state(found)
        rows.append(
            {
                "id": device.id,
                "name": device.name,
                "domain": _(DOMAIN_LABELS[device.domain]),
                "kind": _(KINDS[device.kind].label),
                "district": districts.get(device.district, device.district),
                "gateway": device.gateway or MISSING,
                "period": device.period_s,
                "state": words[what],
                "tone": {"known": "good", "unknown": "bad", "cut": "bad"}.get(what, "none"),
                **_counted(found, now, _),
            }
        )
    return rows


def _counted(found: DeviceHealth | None, now: int, _: Callable[[str], str]) -> dict[str, Any]:
    if found is None or found.at < 0:
        return {"seen": None, "age": None, "ageText": MISSING, "keptText": MISSING, "trouble": False}
    clock, said = found.clock_ms, min(found.at, found.received)
    return {
        "seen": local(found.at).strftime("%m-%d %H:%M:%S"),
        "age": now - said,
        "ageText": age(now - said, _),
        "kept": None if found.kept < 0 else round(found.kept * 100, 1),
        "keptText": MISSING if found.kept < 0 else f"{found.kept:.1%}".rstrip("%"),
        "count": found.count,
        "past": found.past,
        "missing": found.missing,
        "repeated": found.repeated,
        "refused": found.refused,
        "clock": round(clock / SECOND) or None,
        "clockText": _clock(clock, _),
        "trouble": bool(clock or found.refused or found.missing or not found.known or 0 <= found.kept < KEPT_WELL),
    }


def _clock(ms: int, _: Callable[[str], str]) -> str:
    if not ms:
        return ""
    n = abs(ms)
    shown = f"{n / SECOND:.0f} s" if n < 10 * MINUTE else f"{n / MINUTE:.0f} min"
    return (_("{n} fast") if ms > 0 else _("{n} slow")).format(n=shown)


def _totals(
    report: ZoneHealth | None, rows: list[dict[str, Any]], quarantined: int, _: Callable[[str], str]
) -> list[tuple[str, str, str]]:
    if report is None:
        names = ("Reporting", "Silent", "Never heard", "On time", "Clocks off", "Missing since start")
        return [(_(name), MISSING, "none") for name in names] + [(_("Refused, waiting"), number(quarantined), "none")]
    found = [state(d) for d in report.devices]
    known, never = found.count("known"), found.count("never")
    silent = len(found) - known - never
    kept = [d.kept for d in report.devices if d.kept >= 0]
    share = sum(kept) / len(kept) if kept else None
    off = sum(bool(d.clock_ms) for d in report.devices)
    missing = sum(d.missing for d in report.devices)
    return [
        (_("Reporting"), f"{known:,} / {len(found):,}", "good" if known == len(found) else "warn" if known else "bad"),
        (_("Silent"), number(silent), "bad" if silent else "good"),
        (_("Never heard"), number(never), "warn" if never else "good"),
        (
            _("On time"),
            MISSING if share is None else f"{share:.1%}",
            "none" if share is None else "good" if share >= KEPT_WELL else "warn",
        ),
        (_("Clocks off"), number(off), "warn" if off else "good"),
        (_("Missing since start"), number(missing), "warn" if missing else "good"),
        (_("Refused, waiting"), number(quarantined), "warn" if quarantined else "good"),
    ]


def _gateways(registry: Registry, report: ZoneHealth | None, _: Callable[[str], str]) -> list[tuple[str, str, str]]:
    """(gateway, what it is, tone), the lost ones first."""
    behind: dict[str, int] = {}
    for device in registry:
        if device.gateway:
            behind[device.gateway] = behind.get(device.gateway, 0) + 1
    found = []
    for gateway, count in behind.items():
        online = report.gateways.get(gateway) if report else None
        word = _("no word") if online is None else _("online") if online else _("offline")
        text = _("{state}, {n} devices").format(state=word, n=count)
        found.append((gateway, text, "none" if online is None else "good" if online else "severe"))
    return sorted(found, key=lambda g: ({"severe": 0, "none": 1}.get(g[2], 2), g[0]))


def _worker(worker: Status, now: int, _: Callable[[str], str]) -> dict[str, Any]:
    what = worker.state
    if what != "offline" and now - worker.at > SILENT_MS:
        what = "offline"
    words = {
        "storing": (_("storing"), "good"),
        "spooling": (_("database away, kept on disk"), "warn"),
        "holding": (_("nothing can be kept"), "severe"),
        "offline": (_("not running"), "bad"),
    }
    text, tone = words[what]
    return {
        "name": worker.worker,
        "state": text,
        "tone": tone,
        "why": worker.why if what in ("spooling", "holding") else "",
        "spool": f"{worker.spool_bytes / 1e6:,.1f} / {worker.spool_limit / 1e6:,.0f} MB",
        "fill": round(100 * worker.spool_bytes / worker.spool_limit, 1) if worker.spool_limit else 0,
        "counts": [
            (_("received"), number(worker.received)),
            (_("stored"), number(worker.stored)),
            (_("spooled"), number(worker.spooled)),
            (_("refused"), number(worker.refused)),
            (_("waiting"), number(worker.buffered)),
        ],
    }


def _meaning(reason: str) -> str:
    return next((r.value for r in Reason if r.name.lower() == reason), reason)
