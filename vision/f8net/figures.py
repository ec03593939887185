"""Accuracies and accuracy gaps from the counts in rows."""

from collections.abc import Sequence

from shared.lab import Estimate, Row, mean_over_seeds

FLOATS = ("float", "control")
"""The float net, and the same net after as many further epochs as F8Net."""


def accuracy(rows: Sequence[Row], net: str) -> Estimate:
    """Mean percentage of correct answers, with its t interval over seeds."""
    return mean_over_seeds([_percent(row, net) for row in rows])


def gap(rows: Sequence[Row], net: str = "F8Net") -> Estimate:
    """Percentage points by which a net is below the better of the two float nets, paired by seed."""
    best = reference(rows)
    return mean_over_seeds([_percent(row, best) - _percent(row, net) for row in rows])


def reference(rows: Sequence[Row]) -> str:
    """The float net with more correct answers in all rows together."""
    return max(FLOATS, key=lambda net: sum(row.result["correct"][net] / row.result["scored"] for row in rows))


def _percent(row: Row, net: str) -> float:
    return 100 * float(row.result["correct"][net]) / float(row.result["scored"])
