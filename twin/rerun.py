"""What rules would have made of a stretch of the stored past: the history's evaluator on what the store has now."""

from collections.abc import Sequence

from twin.alerts import Transition
from twin.alerts.history import History
from twin.alerts.transition import ordered
from twin.clock import HOUR, SECOND
from twin.registry import Registry
from twin.rules import Rule
from twin.store import Store


def rerun(
    registry: Registry, store: Store, rules: Sequence[Rule], version: int, begin: int, end: int
) -> list[Transition]:
    """Every transition of the rules up to `end`, from so long before `begin` that their delays have run.

    Raises what the store raises.
    """
    enabled = [rule for rule in rules if rule.enabled]
    delays = [rule.raise_after_s + rule.clear_after_s + rule.grace_s for rule in enabled]
    start = begin - max(delays, default=0) * SECOND - HOUR
    found: list[Transition] = []
    # A rule at a time, so that the memory is that of one rule's metrics
    for rule in enabled:
        devices = [d.id for d in registry if rule.covers(d)]
        columns = {metric: store.columns(devices, metric, start, end) for metric in rule.metrics}
        found += History(registry, columns, begin=start, end=end).transitions(rule, version)
    return ordered(found)
