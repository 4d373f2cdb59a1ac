"""What the wall says at one instant, in one language: every number as text, every colour chosen.

A function of the indicators alone, so that the live wall and a replayed one cannot differ. The browser draws it and
decides nothing. A number that is not known is an em dash, with the tone `none`: never 0, and never green.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from dashboards.i18n import DOMAIN_LABELS, Language, age, translator
from ingest.worker import Status
from simulators.scenarios import stories
from twin import kpi, standards
from twin.clock import local
from twin.episodes import Alarm
from twin.observation import METRICS, Domain
from twin.ringing import Lost, Ringing
from twin.standards import Level
from twin.store import Series
from twin.truth import Stage
from twin.wording import LOST

MISSING = "—"
TONES = ("good", "ok", "warn", "bad", "severe", "severe")
ROADS_SHOWN = 9
LOTS_SHOWN = 5
SILENT_SHOWN = 8
SILENT_MS = 30_000  # a worker speaks every five seconds

WIND_POINTS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")


class Trend(msgspec.Struct, frozen=True):
    """A day of one device's metrics, as the store had it."""

    series: Mapping[str, Series]


def wall(
    found: kpi.Indicators,
    language: Language,
    *,
    simulated: bool,
    trend: Trend | None = None,
    workers: Sequence[Status] = (),
    stage: Stage | None = None,
    ringing: Ringing | None = None,
    names: Mapping[str, str] | None = None,
    districts: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The view as plain data, ready for JSON. Times in it are UTC milliseconds."""
    _ = translator(language)
    return {
        "type": "view",
        "at": found.at,
        "simulated": _simulated(found.at, stage, _) if simulated else "",
        "ingest": _ingest(workers, found.at, _),
        "weather": _weather(found.weather, _),
        "traffic": _traffic(found.traffic, _),
        "air": _air(found.air, _),
        "surroundings": _surroundings(found, _),
        "parking": _parking(found.parking, _),
        "compute": _compute(found.compute, trend, _),
        "city": _city(found.city, _),
        "domains": {d.value: _domain(d, c, _) for d, c in found.domains.items()},
        "silent": _silent(found, _),
        "alarms": _alarms(ringing, names or {}, districts or {}, found.at, _),
    }


def _simulated(now: int, stage: Stage | None, _: Callable[[str], str]) -> str:
    """That it is simulated, and what is being played: nobody may take a drill for the real thing."""
    played = [stories()[run.scenario] for run in stage.runs if run.ends > now] if stage else []
    names = [_("Drill: {name}").format(name=_(story.name)) for story in played]
    return " · ".join([_("Simulated data"), *names])


ALARMS_SHOWN = 5
DISTRICTS_SHOWN = 4
COLOURS = {Level.RED: "Red", Level.ORANGE: "Orange", Level.YELLOW: "Yellow", Level.BLUE: "Blue"}
SHAPES = {Level.RED: "■", Level.ORANGE: "◆", Level.YELLOW: "▲", Level.BLUE: "●"}


def _alarms(
    ringing: Ringing | None,
    names: Mapping[str, str],
    districts: Mapping[str, str],
    now: int,
    _: Callable[[str], str],
) -> dict[str, Any]:
    """The open alarms, the unacknowledged first: how many of each level and district, and the first few by name and
    place. `waiting` are the devices that pulse on the map; `byDistrict` what stands at a district's name there."""
    if ringing is None:
        empty = {"state": "", "tone": "none", "rows": [], "districts": [], "byDistrict": {}, "waiting": []}
        return empty | {level.name.lower(): "" for level in COLOURS}
    rows = [_lost(gateway, now, _) for gateway in ringing.lost]
    rows += [_alarm(alarm, ringing.names, names, now, _) for alarm in ringing.alarms]
    rows = rows[:ALARMS_SHOWN]
    total = sum(ringing.counts.values())
    counted = sorted(ringing.districts.items(), key=lambda d: (-max(d[1]), -sum(d[1].values()), d[0]))
    return {
        "state": _("Alarm ledger away") if ringing.away else _("{n} unacknowledged").format(n=ringing.unacknowledged),
        "tone": "severe" if ringing.away else "warn" if ringing.unacknowledged else "good",
        "rows": rows or [{"cells": [_("No alarms"), "", ""], "tone": "good"}],
        "more": _("and {n} more").format(n=total - len(rows)) if total > len(rows) else "",
        "districts": [
            {"cells": [districts.get(id, id), _counts(levels)], "tone": _tone(max(levels))}
            for id, levels in counted[:DISTRICTS_SHOWN]
            if id
        ],
        "byDistrict": {id: {"text": _counts(levels), "level": max(levels)} for id, levels in counted if id},
        "waiting": [a.subject for a in ringing.alarms if a.acknowledged_at is None and a.subject in names],
        **{
            level.name.lower(): f"{SHAPES[level]} {_(name)} {ringing.counts[level]}"
            if ringing.counts.get(level)
            else ""
            for level, name in COLOURS.items()
        },
    }


def _alarm(
    alarm: Alarm, rules: Mapping[str, str], names: Mapping[str, str], now: int, _: Callable[[str], str]
) -> dict[str, Any]:
    said = [names.get(alarm.subject, alarm.subject)]
    if alarm.unknown:
        said.append(_("unknown"))
    if alarm.acknowledged_at is not None:
        said.append(_("Acknowledged"))
    return {
        "cells": [
            f"{SHAPES.get(alarm.level, '')} {_(rules.get(alarm.rule, alarm.rule))}",
            " · ".join(said),
            age(now - alarm.opened, _),
        ],
        "tone": _tone(alarm.level) if alarm.acknowledged_at is None else f"{_tone(alarm.level)}-seen",
        "device": alarm.subject if alarm.subject in names else None,
    }


def _lost(gateway: Lost, now: int, _: Callable[[str], str]) -> dict[str, Any]:
    said = _(LOST).format(gateway=gateway.gateway, n=gateway.devices)
    tone = _tone(gateway.level) + ("" if gateway.unacknowledged else "-seen")
    return {"cells": [f"{SHAPES.get(gateway.level, '')} {said}", "", age(now - gateway.opened, _)], "tone": tone}


def _tone(level: int) -> str:
    return Level(level).name.lower() if level else "none"


def _counts(levels: Mapping[int, int]) -> str:
    """The highest first."""
    return " ".join(f"{SHAPES[level]}{levels[level]}" for level in COLOURS if levels.get(level))


def _ingest(workers: Sequence[Status], now: int, _: Callable[[str], str]) -> dict[str, str]:
    """What the duty room must know of the taking in: nothing while all is well."""
    for state in ("holding", "offline", "spooling"):
        for worker in workers:
            silent = now - worker.at > SILENT_MS
            if ("offline" if silent else worker.state) != state:
                continue
            if state == "holding":
                text = _("Readings cannot be kept: bring the database back or make room on the disk ({worker})")
                return {"text": text.format(worker=worker.worker), "tone": "severe"}
            if state == "offline":
                return {
                    "text": _("Intake {worker} is not running: its messages wait at the broker").format(
                        worker=worker.worker
                    ),
                    "tone": "bad",
                }
            kept = number(max(worker.spool_bytes / 1e6, 0.1), 1)
            return {"text": _("Database away: {n} MB of readings kept on disk").format(n=kept), "tone": "warn"}
    return {"text": "", "tone": "none"}


def number(value: float | None, decimals: int = 0, *, factor: float = 1.0) -> str:
    """Fixed decimals with thousands separated; an em dash for None."""
    return MISSING if value is None else f"{value * factor:,.{decimals}f}"


def tone(band: int | None) -> str:
    return "none" if band is None else TONES[min(band, len(TONES) - 1)]


def _coverage(coverage: kpi.Coverage) -> dict[str, Any]:
    missing = coverage.total - coverage.known
    return {
        "coverage": f"{coverage.known}/{coverage.total}",
        "coverageTone": "none" if not coverage.known else "good" if not missing else "warn",
        "at": coverage.at,
    }


def _label(bands: Sequence[standards.Band], band: int | None, _: Callable[[str], str]) -> str:
    return MISSING if band is None else _(bands[band].label)


def _traffic(t: kpi.Traffic, _: Callable[[str], str]) -> dict[str, Any]:
    bands = standards.TRAFFIC.bands
    return {
        **_coverage(t.coverage),
        "tpi": number(t.tpi, 1),
        "state": _label(bands, t.state, _),
        "tone": tone(t.state),
        "speed": number(t.speed, 1),
        "congested": number(t.congested_km, 1),
        "roads": {
            "kind": "bars",
            "max": 10,
            "rows": [
                {"label": r.name, "value": r.tpi, "text": number(r.tpi, 1), "colour": bands[r.state].colour}
                for r in t.roads[:ROADS_SHOWN]
            ],
        },
    }


def _air(a: kpi.Air, _: Callable[[str], str]) -> dict[str, Any]:
    primary = "、".join(_(METRICS[p].label) for p in a.primary)
    if a.aqi is not None and not primary:
        primary = _("none")
    return {
        **_coverage(a.coverage),
        "aqi": number(a.aqi),
        "hour": _air_hour(a, _),
        "level": _no_aqi(a, _) if a.level is None else _label(standards.AIR.bands, a.level, _),
        "tone": tone(a.level),
        "colour": "" if a.level is None else standards.AIR.bands[a.level].colour,
        "primary": primary or MISSING,
        "parts": {
            "kind": "bars",
            "max": max([150, *a.parts.values()]),
            "rows": [
                {
                    "label": METRICS[p].label,
                    "value": index,
                    "text": number(a.concentrations[p], 1 if p == "co" else 0),
                    "colour": standards.AIR.bands[standards.aqi_level(index)].colour,
                }
                for p, index in a.parts.items()
            ],
        },
    }


def _air_hour(a: kpi.Air, _: Callable[[str], str]) -> str:
    """The clock hour, local, that the index is of, and from how many stations when some are missing."""
    if a.hour is None:
        return ""
    text = _("{start}:00–{end}:00")
    if a.stations < a.coverage.total:
        text = _("{start}:00–{end}:00 · {n}/{total}")
    start = local(a.hour).hour
    return text.format(start=start, end=start + 1, n=a.stations, total=a.coverage.total)


def _no_aqi(a: kpi.Air, _: Callable[[str], str]) -> str:
    """Why there is no index: no station has a full hour, or a pollutant is missing (HJ 633-2026 clause 5.3.1)."""
    if a.hour is None:
        return _("no full hour yet")
    missing = [p for p in standards.POLLUTANTS if p not in a.parts]
    if len(missing) == 1:
        return _("{pollutant} missing").format(pollutant=_(METRICS[missing[0]].label))
    return _("{n} pollutants missing").format(n=len(missing))


def _weather(w: kpi.Weather, _: Callable[[str], str]) -> dict[str, Any]:
    v = w.values
    parts = []
    if "temperature" in v:
        parts.append(f"{v['temperature']:.1f} ℃")
    if "relativeHumidity" in v:
        parts.append(_("humidity {n} %").format(n=round(v["relativeHumidity"] * 100)))
    if "windSpeed" in v and "windDirection" in v:
        point = WIND_POINTS[round(v["windDirection"] / 45) % 8]
        parts.append(_("{point} {speed} m/s").format(point=_(f"wind {point}"), speed=f"{v['windSpeed']:.1f}"))
    if v.get("precipitation", 0) >= 0.1:
        parts.append(_("rain {n} mm/h").format(n=f"{v['precipitation']:.1f}"))
    return {**_coverage(w.coverage), "text": "  ·  ".join(parts) or MISSING}


def _surroundings(found: kpi.Indicators, _: Callable[[str], str]) -> dict[str, Any]:
    water = found.water
    both = (water.coverage, found.noise.coverage)
    at = max((c.at for c in both if c.at is not None), default=None)
    return {
        **_coverage(kpi.Coverage(sum(c.known for c in both), sum(c.total for c in both), at)),
        "noise": {
            "within": number(found.noise.within, 0, factor=100),
            "tone": tone(_step(found.noise.within, (0.5, 0.7, 0.9))),
        },
        "water": {
            "level": number(water.level, 2),
            "discharge": number(water.discharge, 0),
            "worst": _label(standards.WATER.bands, water.worst, _),
            "tone": "none" if water.worst is None else tone(max(0, water.worst - 1)),
        },
    }


def _parking(p: kpi.Parking, _: Callable[[str], str]) -> dict[str, Any]:
    scale = standards.PARKING
    band = None if p.occupancy is None else scale.band(p.occupancy)
    return {
        **_coverage(p.coverage),
        "free": number(p.free),
        "capacity": number(p.capacity),
        "occupancy": number(p.occupancy, 0, factor=100),
        "state": _label(scale.bands, band, _),
        "tone": tone(band),
        "ring": _ring(p.occupancy, None if band is None else scale.bands[band].colour),
        "lots": {
            "kind": "bars",
            "max": 1,
            "rows": [
                {
                    "label": lot.name,
                    "value": round(lot.occupancy, 3),
                    "text": _("{n} free").format(n=f"{lot.free:,}"),
                    "colour": scale.bands[scale.band(lot.occupancy)].colour,
                }
                for lot in p.lots[:LOTS_SHOWN]
            ],
        },
    }


def _compute(c: kpi.Compute, trend: Trend | None, _: Callable[[str], str]) -> dict[str, Any]:
    v = c.values
    pue, used = v.get("pue"), v.get("gpuUtilization")
    pue_band = None if pue is None else standards.PUE.band(pue)
    heat = None if c.hottest is None else standards.COLD_AISLE.band(c.hottest)
    return {
        **_coverage(c.coverage),
        "used": number(used, 0, factor=100),
        "ring": _ring(used, "#35c6f4" if used is not None else None),
        "pflops": number(v.get("fp16Pflops"), 0),
        "queue": number(v.get("queueLength")),
        "itPower": number(v.get("itPower")),
        "power": number(v.get("facilityPower")),
        "pue": number(pue, 2),
        "pueTone": tone(pue_band),
        "hottest": number(c.hottest, 1),
        "heatTone": tone(heat),
        "trend": _trend(trend, _),
    }


def _trend(trend: Trend | None, _: Callable[[str], str]) -> dict[str, Any] | None:
    if trend is None:
        return None
    names = {"facilityPower": _("Facility power"), "itPower": _("IT power")}
    return {
        "kind": "line",
        "unit": "kW",
        "series": [
            {
                "name": names[metric],
                "at": s.at.tolist(),
                "values": [round(x, 1) for x in s.mean.tolist()],
                "colour": colour,
            }
            for (metric, s), colour in zip(trend.series.items(), ("#f5c542", "#35c6f4"), strict=False)
        ],
    }


def _city(c: kpi.City, _: Callable[[str], str]) -> dict[str, Any]:
    depth = None if c.deepest is None else standards.UNDERPASS.band(c.deepest)
    known = c.coverage.known > 0
    return {
        **_coverage(c.coverage),
        "lit": number(c.lit, 0, factor=100),
        "covers": number(c.open_covers) if known else MISSING,
        "coversTone": "none" if not known else "bad" if c.open_covers else "good",
        "depth": number(c.deepest, 0, factor=100),
        "depthTone": "none" if depth is None else ("good", "warn", "severe")[depth],
        "pumps": number(c.pumps) if known else MISSING,
    }


def _domain(domain: Domain, coverage: kpi.Coverage, _: Callable[[str], str]) -> dict[str, Any]:
    return {"label": _(DOMAIN_LABELS[domain]), **_coverage(coverage)}


def _silent(found: kpi.Indicators, _: Callable[[str], str]) -> dict[str, Any]:
    rows = [
        {
            "cells": [
                s.name,
                _(DOMAIN_LABELS[s.domain]),
                _("never heard") if s.last is None else age(found.at - s.last, _),
            ],
            "tone": "none",
            "device": s.device,
        }
        for s in found.silent[:SILENT_SHOWN]
    ]
    total = sum(c.total for c in found.domains.values())
    return {
        "count": number(found.unknown),
        "total": number(total),
        "tone": "good" if not found.unknown else "warn" if found.unknown < total / 10 else "bad",
        "rows": rows or [{"cells": [_("All devices report"), "", ""], "tone": "good"}],
    }


def _ring(share: float | None, colour: str | None) -> dict[str, Any]:
    text = MISSING if share is None else f"{share * 100:.0f}%"
    return {"kind": "ring", "value": share, "text": text, "colour": colour or "#6b7684"}


def _step(value: float | None, edges: Sequence[float]) -> int | None:
    """0 above every edge, one worse for each edge it is below."""
    return None if value is None else sum(value < edge for edge in edges)
