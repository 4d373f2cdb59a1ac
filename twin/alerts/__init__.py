"""(A stand-in for the seam: the evaluator is built beside it.)"""

from twin.alerts.transition import Kind, Reason, Transition

__all__ = ["Kind", "Reason", "Transition"]
