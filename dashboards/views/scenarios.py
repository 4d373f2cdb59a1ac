"""What the page of scenarios says: the stories as cards, what is played, and the ground truth of the runs."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from dashboards.i18n import Language, translator
from simulators.scenarios import stories
from twin.clock import MINUTE, local
from twin.registry import Registry
from twin.standards import Level
from twin.truth import Run, Stage, Truth

REHEARSAL = 60.0  # times faster than real
NAMED = 3  # devices named of a fact; the rest are counted


class Card(msgspec.Struct, frozen=True):
    """`share` done, 0 to 1, and `left` in words, while it is played."""

    id: str
    name: str
    story: str
    usual: str
    playing: bool
    share: float
    left: str


class Page(msgspec.Struct, frozen=True):
    cards: tuple[Card, ...]
    clock: str
    facts: tuple[dict[str, Any], ...]
    heard: bool


def page(stage: Stage | None, registry: Registry, now: int, language: Language) -> Page:
    _ = translator(language)
    runs = stage.runs if stage else ()
    playing = {run.scenario: run for run in runs if run.ends > now}
    cards = tuple(_card(id, playing.get(id), now, _) for id in stories())
    facts = tuple(_fact(f, registry, now, _) for run in runs for f in run.facts)
    return Page(cards, _clock(stage, now, _), facts, stage is not None)


def _card(id: str, run: Run | None, now: int, _: Callable[[str], str]) -> Card:
    story = stories()[id]
    done = (now - run.began) / max(run.ends - run.began, 1) if run else 0.0
    left = max(run.ends - now, 0) if run else 0
    return Card(
        id,
        _(story.name),
        _(story.story),
        _("usually from {time}, {lasting}").format(time=story.start, lasting=lasting(story.minutes * MINUTE, _)),
        run is not None,
        min(max(done, 0.0), 1.0),
        _("{lasting} left").format(lasting=lasting(left, _)) if run else "",
    )


# The national warning colours
LEVEL_LABELS: Mapping[Level, str] = {
    Level.NONE: "No warning",
    Level.BLUE: "Blue warning",
    Level.YELLOW: "Yellow warning",
    Level.ORANGE: "Orange warning",
    Level.RED: "Red warning",
}


def lasting(milliseconds: float, _: Callable[[str], str]) -> str:
    minutes = milliseconds / MINUTE
    if minutes >= 180:
        return _("{n} h").format(n=f"{minutes / 60:.2g}")
    if minutes >= 2:
        return _("{n} min").format(n=f"{minutes:.0f}")
    return _("{n} s").format(n=f"{minutes * 60:.0f}")


def _clock(stage: Stage | None, now: int, _: Callable[[str], str]) -> str:
    """The zone's clock where it is not the wall's."""
    if stage is None or (stage.speed == 1 and abs(stage.clock - stage.at) < MINUTE):
        return ""
    shown = local(stage.clock + round((now - stage.at) * stage.speed))
    return _("Rehearsal: the zone's clock reads {time}, {n} times as fast").format(
        time=f"{shown:%H:%M}", n=f"{stage.speed:g}"
    )


def _fact(fact: Truth, registry: Registry, now: int, _: Callable[[str], str]) -> dict[str, Any]:
    names = [registry[d].name if d in registry else d for d in fact.devices[:NAMED]]
    more = len(fact.devices) - len(names)
    return {
        "what": _(fact.what),
        "scenario": fact.scenario,
        "where": "、".join(names) + (_(" and {n} more").format(n=more) if more else ""),
        "from": f"{local(fact.began):%H:%M:%S}",
        "to": f"{local(fact.ended):%H:%M:%S}",
        "level": fact.level.name.lower(),
        "state": _("to come") if now < fact.began else _("now") if now < fact.ended else _("over"),
    }
