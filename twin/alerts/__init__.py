"""Alarms: what a rule makes of the stream of observations, live and over history.

`transition` has the theory and the two functions that decide; `plan` lays a rule on a registry; `evaluator` applies a
book of rules to the stream; `history` gives for the stored weeks, fast, what the evaluator would have given.
"""

from twin.alerts.evaluator import Evaluator, run
from twin.alerts.transition import LABELS, Kind, Reason, Transition, ordered

__all__ = ["LABELS", "Evaluator", "Kind", "Reason", "Transition", "ordered", "run"]
