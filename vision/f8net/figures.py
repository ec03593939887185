"""Accuracies and gaps from the counts in rows."""

from collections.abc import Sequence
from typing import NamedTuple

from shared.lab import Row, mean

FLOATS = ("float", "control")
"""The float net, and the same net trained on for as many epochs as F8Net was."""


class Estimate(NamedTuple):
    """A mean over seeds with its interval; of one seed, none."""

    value: float
    low: float | None
    high: float | None


def accuracy(rows: Sequence[Row], net: str) -> Estimate:
    """Mean percentage of right answers, with its t interval over seeds."""
    return over_seeds([_percent(row, net) for row in rows])


def gap(rows: Sequence[Row], net: str = "F8Net") -> Estimate:
    """Points that a net lacks to the float net, paired by seed; of both float nets, to the better on average."""
    best = reference(rows)
    return over_seeds([_percent(row, best) - _percent(row, net) for row in rows])


def reference(rows: Sequence[Row]) -> str:
    """The float net that is right more often in all rows together."""
    return max(FLOATS, key=lambda net: sum(row.result["correct"][net] / row.result["scored"] for row in rows))


def over_seeds(values: Sequence[float]) -> Estimate:
    """The mean, with Student's t interval.

    >>> over_seeds([0.5])
    Estimate(value=0.5, low=None, high=None)
    """
    return Estimate(*mean(values)) if len(values) > 1 else Estimate(values[0], None, None)


def _percent(row: Row, net: str) -> float:
    return 100 * float(row.result["correct"][net]) / float(row.result["scored"])
