"""Accuracies and differences from the counts in rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.lab import Row

NETS = {
    "slimmed": "slimmed net",
    "uniform": "uniform scaling",
    "random": "random cuts",
}
"""Every net of a budget, in words."""


def nets(row: Row, place: int) -> Mapping[str, Mapping[str, Any]]:
    """The nets at a row's budget; budgets are counted from the largest."""
    at: Mapping[str, Mapping[str, Any]] = row.result["budgets"][place]["nets"]
    return at


def percent(row: Row, place: int, net: str) -> float:
    """Correct answers in per cent."""
    return 100 * float(nets(row, place)[net]["correct"]) / float(row.result["scored"])


def gains(rows: Sequence[Row], place: int, rival: str) -> list[float]:
    """Percentage points by which the slimmed net is above a rival, by seed."""
    return [percent(row, place, "slimmed") - percent(row, place, rival) for row in rows]


def seconds(row: Row, place: int, net: str) -> float:
    """CPU seconds of a net's training."""
    return sum(float(epoch["cpu_s"]) for epoch in nets(row, place)[net]["tuned"])


def search_cost(row: Row) -> float:
    """Seconds of the search for all budgets, in those of training the slimmed nets."""
    trained = sum(seconds(row, place, "slimmed") for place in range(len(row.result["budgets"])))
    return float(row.result["search_cpu_s"]) / trained


def regret(row: Row) -> float:
    """By how many per cent a slimmed net takes longer than was predicted, the worst budget's."""
    slimmed = [at["nets"]["slimmed"] for at in row.result["budgets"]]
    return max(100 * (float(about["measured_ms"]) / float(about["price"]) - 1) for about in slimmed)
