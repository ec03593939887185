"""What nets reach, differences and budgets from the counts in rows."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from shared.lab import Row


class Measure(NamedTuple):
    """What nets are compared by, in words and units for a page."""

    name: str
    unit: str
    difference: str
    """The unit of a difference."""
    form: str


MEASURES: Final[Mapping[str, Measure]] = {
    "correct": Measure("accuracy", "%", "points", ".2f"),
    "average_precision": Measure("mask AP", "%", "points", ".2f"),
    "ssim": Measure("SSIM", "", "", ".4f"),
}
"""By the key of a row's result that has what the nets reach."""


def task_of(row: Row) -> str:
    """What the nets of a row are for; rows of version 1 do not say it."""
    return str(row.settings.get("task", "classification"))


def key_of(row: Row) -> str:
    """Under which key a row has what its nets reach."""
    return next(key for key in MEASURES if key in row.result)


def reached(row: Row, net: str) -> float:
    """Correct answers or mask AP in per cent, or the mean SSIM of all pictures."""
    key = key_of(row)
    value = row.result[key][net]
    if key == "correct":
        return 100 * float(value) / float(row.result["scored"])
    return float(np.mean(value))


def gains(rows: Sequence[Row], control: str) -> list[float]:
    """By how much the searched net is above a control, by seed."""
    return [reached(row, "search") - reached(row, control) for row in rows]


def budget_error(row: Row, net: str = "search") -> float:
    """By how many per cent the price of a net differs from the budget."""
    budget = float(row.result["price"]["budget"])
    return 100 * abs(float(row.result["nets"][net]["measured"]) - budget) / budget


def seconds(row: Row, net: str) -> float:
    """CPU seconds of training after the wide net: of the search or a solver, and of the narrow net."""
    about = row.result["nets"][net]
    epochs = [*about.get("searched", ()), *about["tuned"]]
    return float(about.get("cpu_s", 0.0)) + sum(float(epoch["cpu_s"]) for epoch in epochs)


def search_share(row: Row) -> float:
    """CPU seconds of the search over those of training the net that it chose."""
    about = row.result["nets"]["search"]
    searched, tuned = (sum(float(epoch["cpu_s"]) for epoch in about[part]) for part in ("searched", "tuned"))
    return searched / tuned


def ms_error(row: Row, net: str = "search") -> float:
    """By how many per cent the measured time of a net differs from a budget in milliseconds."""
    budget = float(row.result["price"]["budget"])
    return 100 * abs(float(row.result["measured_ms"][net]) - budget) / budget
