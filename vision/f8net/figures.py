"""Accuracies and gaps from the counts in rows."""

from collections.abc import Sequence

from shared.lab import Estimate, Row, mean_over_seeds

FLOATS = ("float", "control")
"""The float net, and the same net trained on for as many epochs as F8Net was."""


def accuracy(rows: Sequence[Row], net: str) -> Estimate:
    """Mean percentage of right answers, with its t interval over seeds."""
    return mean_over_seeds([_percent(row, net) for row in rows])


def gap(rows: Sequence[Row], net: str = "F8Net") -> Estimate:
    """Points that a net lacks to the float net, paired by seed; of both float nets, to the better on average."""
    best = reference(rows)
    return mean_over_seeds([_percent(row, best) - _percent(row, net) for row in rows])


def reference(rows: Sequence[Row]) -> str:
    """The float net that is right more often in all rows together."""
    return max(FLOATS, key=lambda net: sum(row.result["correct"][net] / row.result["scored"] for row in rows))


def _percent(row: Row, net: str) -> float:
    return 100 * float(row.result["correct"][net]) / float(row.result["scored"])
