"""`make gallery`: each scenario as a picture beside the same day without it, on one page for a person to judge.

Written to build/gallery/index.html, with its pictures inside: it opens from the disk.
"""

import base64
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import cycle
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from simulators.conditions import Array, plane
from simulators.scenarios import Fact, stories
from tests.scenarios.played import PLACES, REGISTRY, Day, Played, arrivals, play
from tests.simulators import uxsim_check

OUT = Path(__file__).parents[1] / "build" / "gallery"
COLOURS = ("#35c6f4", "#ffb454", "#58d68d", "#b58cff", "#ff6b6b", "#f5e663")
LEVELS = {"blue": "#4aa3ff", "yellow": "#ffd60a", "orange": "#ff8c1a", "red": "#ff4d4f", "none": "#888888"}


@dataclass(frozen=True)
class Panel:
    """`lines` makes the lines of a day, by label; `limits` are drawn across."""

    title: str
    lines: Callable[[Day], Mapping[str, Array]]
    limits: Sequence[float] = ()
    hours: bool = False


def devices(metric: str, ids: Mapping[str, str]) -> Callable[[Day], Mapping[str, Array]]:
    return lambda day: {label: day.of(id, metric) for label, id in ids.items()}


def over(kind: str, metric: str) -> Callable[[Day], Mapping[str, Array]]:
    def lines(day: Day) -> Mapping[str, Array]:
        values = day.kind(kind, metric)
        return {"mean": np.nanmean(values, axis=1), "highest": np.nanmax(values, axis=1)}

    return lines


def first(kind: str, metric: str) -> Callable[[Day], Mapping[str, Array]]:
    return lambda day: {"": day.kind(kind, metric)[:, 0]}


def links_of(road: str, heading: str) -> Mapping[str, str]:
    return {PLACES.links[i].id: PLACES.links[i].id for i in PLACES.road(road, heading)}


def lots(*pois: str) -> Mapping[str, str]:
    found = [PLACES.lots[PLACES.lot(poi)] for poi in pois]
    return {d.name: d.id for d in found}


def around(poi: str, most: int) -> Mapping[str, str]:
    near = PLACES.near(PLACES.links, plane([PLACES.lots[PLACES.lot(poi)]])[0], most=most)
    return {PLACES.links[i].name: PLACES.links[i].id for i in near}


def stations() -> Mapping[str, str]:
    return {d.name: d.id for d in REGISTRY if d.kind == "air-station" and "downwind" in d.attributes}


def spread_of_air(metric: str) -> Callable[[Day], Mapping[str, Array]]:
    air = [d for d in REGISTRY if d.kind == "air-station"]
    west, east = min(air, key=lambda d: d.lon), max(air, key=lambda d: d.lon)
    return lambda day: {
        "mean": np.nanmean(day.kind("air-station", metric), axis=1),
        "westernmost": day.of(west.id, metric),
        "easternmost": day.of(east.id, metric),
    }


HALL = (
    Panel("Server inlet, °C", over("server", "inletTemperature"), (27, 32, 35)),
    Panel("PUE", first("compute-centre", "pue")),
    Panel("IT power, kW", first("compute-centre", "itPower")),
)

GAUGE = {"": "ws-wei-gauge"}

PANELS: Mapping[str, Sequence[Panel]] = {
    "S01": (
        Panel("Speed on 西环路 southbound, km/h", devices("averageVehicleSpeed", links_of("road:ns:02", "s"))),
        Panel("Flow on 高科一路 southbound, veh/h", devices("intensity", links_of("road:ns:03", "s"))),
        Panel("NO2, µg/m³", over("air-station", "no2")),
    ),
    "S02": (
        Panel("PM10, µg/m³", spread_of_air("pm10"), (150, 420, 600), hours=True),
        Panel("Visibility, m", over("weather-station", "visibility"), (1_000,), hours=True),
        Panel("PM2.5, µg/m³", spread_of_air("pm25"), hours=True),
    ),
    "S03": HALL,
    "S04": (
        Panel(
            "Discharge of the Wei, m³/s", devices("waterDischarge", {"": "ws-wei-gauge"}), (3_000, 4_500), hours=True
        ),
        Panel("Level, m", devices("waterLevel", GAUGE), hours=True),
        Panel("Flow on the bridge, veh/h", devices("intensity", links_of("bridge:wei", "")), hours=True),
    ),
    "S05": (
        Panel("Occupancy of the car parks", devices("occupancy", lots("poi:lsd-park", "poi:music"))),
        Panel("Speed around, km/h", devices("averageVehicleSpeed", around("poi:music", 5))),
        Panel("LAeq 150 m from the stage, dB", devices("LAeq", {"": "ns-61"})),
    ),
    "S06": (
        Panel("TVOC, mg/m³", devices("volatileOrganicCompoundsTotal", stations())),
        Panel("Calls about the smell in the last hour", over("city-grid", "odourReports")),
    ),
    "S07": (),
    "S08": (*HALL, Panel("Mean speed in the zone, km/h", over("link-detector", "averageVehicleSpeed"))),
    "S09": (
        Panel("PM2.5, µg/m³", over("air-station", "pm25"), (75, 150), hours=True),
        Panel("CO, mg/m³", over("air-station", "co"), hours=True),
        Panel("Visibility, m", over("weather-station", "visibility"), hours=True),
    ),
    "S10": (
        Panel("Temperature, °C", over("weather-station", "temperature"), (37, 40), hours=True),
        Panel("PUE", first("compute-centre", "pue"), (1.25, 1.30), hours=True),
        Panel("O3, µg/m³", over("air-station", "o3"), hours=True),
        Panel("IT power, kW", first("compute-centre", "itPower"), hours=True),
    ),
    "S11": (
        Panel("Rain, mm/h", over("weather-station", "precipitation")),
        Panel("Water in the underpasses, m", over("underpass", "waterDepth"), (0.15, 0.27)),
        Panel("Mean speed in the zone, km/h", over("link-detector", "averageVehicleSpeed")),
        Panel("PM2.5, µg/m³", over("air-station", "pm25")),
    ),
    "S12": (
        Panel("Occupancy of the car park", devices("occupancy", lots("poi:live"))),
        Panel("Speed around, km/h", devices("averageVehicleSpeed", around("poi:live", 4))),
        Panel("Cars out a minute", devices("vehicleExitCount", lots("poi:live"))),
    ),
}


def picture(played: Played, panels: Sequence[Panel]) -> bytes:
    """A PNG: the panels one above the other; dashed, the same day without the scenario; shaded, the facts."""
    figure, axes = plt.subplots(len(panels), 1, figsize=(11, 2.5 * len(panels)), squeeze=False, layout="constrained")
    for axis, panel in zip(axes[:, 0], panels, strict=True):
        _draw(axis, played, panel)
    return _png(figure, ())


def _draw(axis: plt.Axes, played: Played, panel: Panel) -> None:
    scale = 60 if panel.hours else 1
    minute = played.scene.minute / scale
    for colour, (label, values) in zip(cycle(COLOURS), panel.lines(played.scene).items(), strict=False):
        axis.plot(minute, values, color=colour, lw=1.6, label=label or None)
    for colour, values in zip(cycle(COLOURS), panel.lines(played.plain).values(), strict=False):
        axis.plot(played.plain.minute / scale, values, color=colour, lw=0.8, ls="--", alpha=0.6)
    for fact in played.facts:
        axis.axvspan(fact.begin / scale, fact.end / scale, color=LEVELS[fact.level.name.lower()], alpha=0.07, lw=0)
    for limit in panel.limits:
        axis.axhline(limit, color="#ff6b6b", lw=0.7, ls=":")
    axis.axvline(0, color="white", lw=0.7)
    axis.set_title(panel.title, loc="left", fontsize=10)
    axis.set_xlabel("hours since the start" if panel.hours else "minutes since the start", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.15)
    if any(panel.lines(played.scene)):
        axis.legend(fontsize=7, ncols=3, loc="best", framealpha=0.4)


def heard() -> bytes:
    """S07: what had arrived, and when it was measured, of the devices behind the lost gateways; one frozen sensor."""
    silent, frozen, _ = play("S07").facts
    start = play("S07").scenario.start
    rows = arrivals("S07")
    figure, axes = plt.subplots(2, 1, figsize=(11, 5), layout="constrained")
    edges = np.arange(-60, 106)
    for what, label in (("received", "arrived in the minute"), ("at", "measured in the minute, as known now")):
        minutes = [(getattr(r, what) - start) / 60_000 for r in rows if r.device in silent.devices]
        axes[0].step(edges[:-1], np.clip(np.histogram(minutes, edges)[0], 0, 400), where="post", label=label)
    axes[0].set_title("Readings of the silent devices a minute (at most 400 drawn)", loc="left", fontsize=10)
    one = next(d for d in frozen.devices if REGISTRY[d].kind == "link-detector")
    speed = [((r.at - start) / 60_000, r.values["averageVehicleSpeed"]) for r in rows if r.device == one]
    axes[1].plot(*zip(*speed, strict=True), label=f"{one}, as it says")
    true = play("S07").scene
    axes[1].plot(true.minute, true.of(one, "averageVehicleSpeed"), lw=0.8, ls="--", label="as it is")
    axes[1].set_title("A frozen sensor, km/h", loc="left", fontsize=10)
    return _png(figure, axes)


def uxsim() -> bytes:
    """The same merge, bottleneck and accident by this loading and by UXsim."""
    ours, theirs = uxsim_check.ours(), uxsim_check.theirs()
    figure, axes = plt.subplots(2, 1, figsize=(11, 5), layout="constrained")
    for course, label in ((ours, "gaoxin-twin"), (theirs, "UXsim")):
        minute = np.arange(1, len(course.inside) + 1)
        axes[0].plot(minute, course.queue.sum(axis=1), label=f"{label}: at most {course.queue.sum(axis=1).max():.0f}")
        axes[1].plot(minute, course.inside, label=f"{label}: {course.travel_time:.0f} vehicle hours")
    axes[0].set_title("Vehicles queued", loc="left", fontsize=10)
    axes[1].set_title("Vehicles in the system", loc="left", fontsize=10)
    return _png(figure, axes)


def _png(figure: plt.Figure, axes: Sequence[plt.Axes]) -> bytes:
    for axis in axes:
        axis.legend(fontsize=8)
        axis.grid(alpha=0.15)
        axis.tick_params(labelsize=8)
        axis.set_xlabel("minutes", fontsize=8)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=90)
    plt.close(figure)
    return out.getvalue()


def check() -> str:
    image = base64.b64encode(uxsim()).decode()
    told = (uxsim_check.__doc__ or "").replace("\n\n", "</p><p>")
    return f"<section><h2>An outside check: UXsim</h2><p>{told}</p><img src='data:image/png;base64,{image}'></section>"


def _told(fact: Fact) -> str:
    where = ", ".join(fact.devices[:3]) + " …" * (len(fact.devices) > 3)
    what = f"<b class='{fact.level.name.lower()}'>{escape(fact.what)}</b>"
    return f"<li>{what} {fact.begin:g} to {fact.end:g} min: {escape(where)}</li>"


def section(id: str) -> str:
    played, story = play(id), stories()[id]
    image = base64.b64encode(heard() if id == "S07" else picture(played, PANELS[id])).decode()
    facts = "".join(_told(fact) for fact in played.facts)
    return (
        f"<section><h2>{id} {escape(story.name)}</h2><p>{escape(story.story)}</p>"
        f"<img alt='{id}' src='data:image/png;base64,{image}'><ul>{facts}</ul></section>"
    )


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>gaoxin-twin · scenarios</title><style>
body{{background:#08111f;color:#e8f2fb;font:16px/1.5 sans-serif;max-width:1040px;margin:2em auto;padding:0 1em}}
img{{width:100%}}h2{{margin-top:2em}}.blue{{color:#4aa3ff}}.yellow{{color:#ffd60a}}.orange{{color:#ff8c1a}}
.red{{color:#ff4d4f}}</style><h1>The twelve scenarios, simulated</h1>
<p>Lines: the day with the scenario; dashed: the same day without it; shaded: the ground truth; dotted: limits.
All values are simulated, of the default zone, seed 20261120.</p>{}</html>"""


def main(ids: Sequence[str]) -> None:
    plt.style.use("dark_background")
    matplotlib.rcParams["font.family"] = ["Noto Sans CJK SC", "Noto Sans CJK JP", "sans-serif"]
    matplotlib.rcParams["axes.unicode_minus"] = False
    OUT.mkdir(parents=True, exist_ok=True)
    sections = []
    for id in ids or PANELS:
        print(id, stories()[id].name, flush=True)
        sections.append(section(id))
    if not ids:
        sections.append(check())
    file = OUT / "index.html"
    file.write_text(PAGE.format("".join(sections)), encoding="utf-8")
    print(f"open {file}")


if __name__ == "__main__":
    main(sys.argv[1:])
