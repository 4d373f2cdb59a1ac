"""Alarms as people tell them: "at 0 push 61, at 10 push 73, expect yellow at 10".

One line a word: `at S push V` (or `push DEVICE V`, `push DEVICE METRIC V`), `at S lose GATEWAY`, `at S late V from S0`,
and `expect LEVEL at S` (`none` for cleared; `unknown`, `known`; with `for SUBJECT` where it is not the first device).
Seconds since T0. What is expected must be all that happens, in order, whether time is looked at once or every second.
"""

from collections.abc import Iterator, Sequence

from tests.zone import T0, device
from twin.alerts import Evaluator, Kind, Transition, ordered
from twin.observation import Observation
from twin.registry import Registry
from twin.rules import Book, Condition, Rule, Term

ZONE = Registry(
    [
        device("w-1", "weather-station", gateway="gw-a", capacity=200.0),
        device("w-2", "weather-station", gateway="gw-a", capacity=50.0),
        device("w-3", "weather-station", gateway="gw-b"),
    ]
)
LATER = 3_000  # s: when each timeline ends


def rule(**more: object) -> Rule:
    """Wind above 70 yellow, 80 red, left below 65 and 75; held 60 s, left 30 s; known for 100 s."""
    term = Term(metric="windSpeed", condition=Condition.ABOVE, yellow=70.0, red=80.0, band=5.0)
    given = {
        "id": "r",
        "name": "Wind",
        "when": (term,),
        "raise_after_s": 60,
        "clear_after_s": 30,
        "grace_s": 100,
    } | more
    return Rule(**given)  # type: ignore[arg-type]


def story(of: Rule, text: str, *, every_s: float | None = None) -> tuple[list[str], list[str]]:
    """(what was expected, what happened) as lines."""
    evaluator = Evaluator(Book(1, (of,)), ZONE, begin=T0)
    found: list[Transition] = []
    expected: list[str] = []
    now = 0.0
    for line in _lines(text):
        match line.split():
            case ["expect", *_]:
                expected.append(line if " for " in line else line + " for w-1")
            case ["at", at, *what]:
                found += _ticks(evaluator, now, float(at), every_s)
                now = float(at)
                found += _happens(evaluator, now, what)
            case _:
                raise ValueError(line)
    found += _ticks(evaluator, now, LATER, every_s) + evaluator.tick(T0 + LATER * 1000)
    return expected, [_line(t) for t in ordered(found)]


def _lines(text: str) -> Iterator[str]:
    return (line.strip() for line in text.strip().splitlines() if line.strip())


def _ticks(evaluator: Evaluator, now: float, until: float, every_s: float | None) -> list[Transition]:
    found: list[Transition] = []
    while every_s is not None and now + every_s <= until:
        now += every_s
        found += evaluator.tick(T0 + round(now * 1000))
    return found


def _happens(evaluator: Evaluator, now: float, what: Sequence[str]) -> list[Transition]:
    at = T0 + round(now * 1000)
    match what:
        case ["push", value]:
            return evaluator.step(Observation("w-1", at, {"windSpeed": float(value)}, at))
        case ["push", name, value]:
            return evaluator.step(Observation(name, at, {"windSpeed": float(value)}, at))
        case ["push", name, metric, value]:
            return evaluator.step(Observation(name, at, {metric: float(value)}, at))
        case ["late", value, "from", then]:
            return evaluator.step(Observation("w-1", T0 + round(float(then) * 1000), {"windSpeed": float(value)}, at))
        case ["lose", gateway]:
            return evaluator.gateway(gateway, False, at)
        case ["find", gateway]:
            return evaluator.gateway(gateway, True, at)
    raise ValueError(" ".join(what))


def _line(t: Transition) -> str:
    word = t.kind.value if t.kind in (Kind.UNKNOWN, Kind.KNOWN) else t.level.name.lower()
    at = f"{(t.at - T0) / 1000:.3f}".rstrip("0").rstrip(".")
    return f"expect {word} at {at} for {t.subject}"


def holds(of: Rule, text: str, *, rates: Sequence[float | None] = (None, 1, 7.3)) -> None:
    for every_s in rates:
        expected, happened = story(of, text, every_s=every_s)
        assert happened == expected, f"with a tick every {every_s} s"
