"""What is wrong with a rule, said so that its author can mend it: key, value, remedy.

A problem is a sentence in English that also carries its message id and places, so that a page can say it in Chinese.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from string import Formatter

from twin.observation import METRICS, Domain
from twin.registry import Device, Registry
from twin.rules import Condition, Over, Rule, Term, Threshold
from twin.schedule import is_time

PLACES = ("name", "value", "unit", "threshold", "level")
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")

# Message ids; a page translates them and fills in the places
ID = "id = {value}: write small letters, digits and hyphens, up to 64, beginning with a letter or digit."
EMPTY = "{key} is empty: write a text that operators will recognise."
NO_TERM = "when is empty: give at least one condition."
METRIC = "{key} = {value}: there is no such metric. Choose one of those that the devices in scope measure."
NEEDS_METRIC = "{key} is missing: only the condition absent works without a metric."
NO_LEVEL = "{key} has no threshold: give at least one of blue, yellow, orange, red."
KIND = "{key} = {value}: {condition} takes {wanted}."
ORDER = "{key}: {lower} = {a} and {higher} = {b} are not in order. The higher level must be the harder to reach."
RANGE = "{key} = {value} {unit}: {metric} lies between {low} and {high} {unit}. Choose a threshold within."
INVERTED = "{key} = {value}: the low end must be below the high end."
NEGATIVE = "{key} = {value}: it must not be below 0."
STUCK = "{key} = {value}: with this dead band the alarm can never clear, as it needs {left} {unit}. Make it smaller."
NOT_ABOVE = "{key} = {value}: it must be above 0."
WINDOW = "{key} = {value}: a rate needs a window of at least the period of its devices, {least} s."
NO_WINDOW = "{key} = {value}: only the condition rate has a window. Leave it out."
SHARE = "{key} = {value}: no device in scope has this attribute as a number above 0. Name one that they have."
SCOPE = "scope: no device of the registry is in it and measures {metrics}. Widen the scope or choose another metric."
SCOPE_VALUE = "scope.{key} = {value}: the registry has none. Known: {known}."
GRACE = "grace_s = {value}: less than the period of {device} ({period} s), so it would be unknown between readings."
NEED = "need = {value}: give 0 for all, or a number of devices up to {most}, the most a {over} has in scope."
TIME = "{key} = {value}: write hh:mm between 00:00 and 24:00."
PLACE = "message: {{{value}}} is no place that can be filled in. Known: {known}."
BRACES = "message: a brace is not closed. Write {{{{ or }}}} for a brace itself."
MESSAGES = (
    *(ID, EMPTY, NO_TERM, METRIC, NEEDS_METRIC, NO_LEVEL, KIND, ORDER, RANGE, INVERTED, NEGATIVE, NOT_ABOVE),
    *(STUCK, WINDOW, NO_WINDOW, SHARE, SCOPE, SCOPE_VALUE, GRACE, NEED, TIME, PLACE, BRACES),
)


class Problem(str):
    """The sentence; `message` is its id, `places` what is filled in, `key` where in the rule it is."""

    message: str
    places: dict[str, object]

    def __new__(cls, message: str, /, **places: object) -> "Problem":
        found = super().__new__(cls, message.format(**places))
        found.message, found.places = message, places
        return found

    @property
    def key(self) -> str:
        return str(self.places.get("key") or re.split(r"[ .:]", self.message)[0])


def problems(rule: Rule, registry: Registry) -> list[Problem]:
    """All that is wrong with a rule for this registry, in the order of its keys; nothing when it can be used."""
    covered = [d for d in registry if rule.covers(d)]
    return [
        *_names(rule),
        *(p for i, term in enumerate(rule.when) for p in _term(f"when.{i + 1}", term, covered)),
        *_scope(rule, registry, covered),
        *_times(rule, covered),
        *_message(rule.message),
    ]


def _names(rule: Rule) -> Iterator[Problem]:
    if not _SLUG.fullmatch(rule.id):
        yield Problem(ID, value=repr(rule.id))
    if not rule.name.strip():
        yield Problem(EMPTY, key="name")
    if not rule.when:
        yield Problem(NO_TERM)


def _term(at: str, term: Term, covered: list[Device]) -> Iterator[Problem]:
    if term.metric not in METRICS and (term.metric or term.condition is not Condition.ABSENT):
        if term.metric:
            yield Problem(METRIC, key=f"{at}.metric", value=repr(term.metric))
        else:
            yield Problem(NEEDS_METRIC, key=f"{at}.metric")
        return
    if term.band < 0:
        yield Problem(NEGATIVE, key=f"{at}.band", value=term.band)
    period = max((d.period_s for d in covered), default=1)
    if term.condition is Condition.RATE and term.window_s < period:
        yield Problem(WINDOW, key=f"{at}.window_s", value=term.window_s, least=period)
    if term.condition is not Condition.RATE and term.window_s:
        yield Problem(NO_WINDOW, key=f"{at}.window_s", value=term.window_s)
    if term.of and not any(isinstance(d.attributes.get(term.of), int | float) for d in covered):
        yield Problem(SHARE, key=f"{at}.of", value=repr(term.of))
    if not term.thresholds:
        yield Problem(NO_LEVEL, key=at)
    fitting = True
    for level, threshold in term.thresholds.items():
        key = f"{at}.{level.name.lower()}"
        found = list(_threshold(key, term, threshold))
        fitting = fitting and not found
        yield from found
    if fitting:
        yield from _order(at, term)


def _threshold(key: str, term: Term, threshold: Threshold) -> Iterator[Problem]:
    pair = isinstance(threshold, tuple)
    if pair is not (term.condition is Condition.OUTSIDE) and not (pair and term.condition is Condition.RATE):
        wanted = "two numbers, [low, high]" if term.condition is Condition.OUTSIDE else "one number"
        yield Problem(KIND, key=key, value=_shown(threshold), condition=term.condition.value, wanted=wanted)
        return
    if term.condition is Condition.ABSENT:
        if not isinstance(threshold, tuple) and threshold <= 0:
            yield Problem(NOT_ABOVE, key=key, value=threshold)
        return
    if isinstance(threshold, tuple) and threshold[0] >= threshold[1]:
        yield Problem(INVERTED, key=key, value=_shown(threshold))
        return
    if term.condition is Condition.RATE or term.of:
        return
    metric = METRICS[term.metric]
    low, high = metric.low, metric.high
    for value in threshold if isinstance(threshold, tuple) else (threshold,):
        if not low <= value <= high:
            yield Problem(RANGE, key=key, value=value, unit=metric.unit, metric=term.metric, low=low, high=high)
            return
    left = _left(term, threshold)
    if not any(low <= value <= high for value in left):
        yield Problem(
            STUCK, key=key, value=_shown(threshold), unit=metric.unit, left=" / ".join(f"{v:g}" for v in left)
        )


def _left(term: Term, threshold: Threshold) -> tuple[float, ...]:
    """The value past which the level is left; none where the dead bands of both ends meet."""
    if isinstance(threshold, tuple):
        low, high = threshold[0] + term.band, threshold[1] - term.band
        return ((low + high) / 2,) if low < high else (float("inf"),)
    down = -1e-9 if term.condition is Condition.ABOVE else 1e-9
    sign = -1 if term.condition is Condition.ABOVE else 1
    return (threshold + sign * term.band + down,)


def _order(at: str, term: Term) -> Iterator[Problem]:
    found = list(term.thresholds.items())
    for (lower, a), (higher, b) in pairwise(found):
        if not _harder(term.condition, a, b):
            yield Problem(ORDER, key=at, lower=lower.name.lower(), higher=higher.name.lower(), a=_shown(a), b=_shown(b))


def _harder(condition: Condition, a: Threshold, b: Threshold) -> bool:
    if isinstance(a, tuple) or isinstance(b, tuple):
        return isinstance(a, tuple) and isinstance(b, tuple) and b[0] <= a[0] and b[1] >= a[1] and a != b
    if condition is Condition.RATE:
        return (a < 0) == (b < 0) and abs(b) > abs(a)
    return b < a if condition is Condition.BELOW else b > a


def _scope(rule: Rule, registry: Registry, covered: list[Device]) -> Iterator[Problem]:
    known = {
        "domains": {d.value for d in Domain},
        "kinds": {d.kind for d in registry},
        "districts": {d.district for d in registry},
        "devices": set(registry.index),
    }
    wrong = False
    for key, there in known.items():
        for value in getattr(rule.scope, key):
            if value not in there:
                wrong = True
                some = ", ".join(sorted(there)[:8]) + (" …" if len(there) > 8 else "")
                yield Problem(SCOPE_VALUE, key=key, value=repr(str(value)), known=some)
    if not covered and not wrong and all(m in METRICS for m in rule.metrics if m):
        yield Problem(SCOPE, metrics=", ".join(m for m in rule.metrics if m) or "anything")
    if rule.over is not Over.DEVICE and covered:
        sizes: dict[str, int] = {}
        for device in covered:
            name = device.district if rule.over is Over.DISTRICT else device.gateway
            sizes[name] = sizes.get(name, 0) + 1
        if not 0 <= rule.need <= max(sizes.values()):
            yield Problem(NEED, value=rule.need, most=max(sizes.values()), over=rule.over.value)


def _times(rule: Rule, covered: list[Device]) -> Iterator[Problem]:
    if rule.flap_window_s <= 0:
        yield Problem(NOT_ABOVE, key="flap_window_s", value=rule.flap_window_s)
    for key in ("raise_after_s", "clear_after_s", "grace_s", "repeat_min", "flap_count"):
        if getattr(rule, key) < 0:
            yield Problem(NEGATIVE, key=key, value=getattr(rule, key))
    slow = max(covered, key=lambda d: d.period_s, default=None)
    if slow is not None and 0 < rule.grace_s < slow.period_s:
        yield Problem(GRACE, value=rule.grace_s, device=slow.id, period=slow.period_s)
    for i, span in enumerate(rule.schedule):
        for name, text in (("start", span.start), ("end", span.end)):
            if not is_time(text):
                yield Problem(TIME, key=f"schedule.{i + 1}.{name}", value=repr(text))


def _message(message: str) -> Iterator[Problem]:
    try:
        places = [name for _, name, _, _ in Formatter().parse(message) if name is not None]
    except ValueError:
        yield Problem(BRACES)
        return
    for place in places:
        if place not in PLACES:
            yield Problem(PLACE, value=place, known=", ".join(f"{{{p}}}" for p in PLACES))


def _shown(threshold: Threshold) -> str:
    return f"[{threshold[0]:g}, {threshold[1]:g}]" if isinstance(threshold, tuple) else f"{threshold:g}"
