"""Accuracies and differences from the counts in rows."""

from collections.abc import Sequence

from shared.lab import Row

NETS = {
    "slimmed": "slimmed net",
    "uniform": "uniform scaling",
    "random": "random cuts",
}
"""Every net of a row, in words."""


def percent(row: Row, net: str) -> float:
    """Correct answers in per cent."""
    return 100 * float(row.result["nets"][net]["correct"]) / float(row.result["scored"])


def gains(rows: Sequence[Row], rival: str) -> list[float]:
    """Percentage points by which the slimmed net is above a rival, by seed."""
    return [percent(row, "slimmed") - percent(row, rival) for row in rows]


def seconds(row: Row, net: str) -> float:
    """CPU seconds of training: of the net, and of the supernet where it chose the net."""
    epochs = [*row.result["nets"][net]["tuned"], *(row.result["searched"] if net == "slimmed" else ())]
    return sum(float(epoch["cpu_s"]) for epoch in epochs)


def regret(row: Row) -> float:
    """By how many per cent the slimmed net takes longer than was predicted."""
    about = row.result["nets"]["slimmed"]
    return 100 * (float(about["measured_ms"]) / float(about["price"]) - 1)
