"""Accuracies, differences and budgets from the counts in rows."""

from collections.abc import Sequence

from shared.lab import Estimate, Row, mean_over_seeds


def accuracy(rows: Sequence[Row], net: str) -> Estimate:
    """Mean percentage of correct answers, with its t interval over seeds."""
    return mean_over_seeds([percent(row, net) for row in rows])


def gains(rows: Sequence[Row], control: str) -> list[float]:
    """Percentage points by which the searched net is above a control, by seed."""
    return [percent(row, "search") - percent(row, control) for row in rows]


def percent(row: Row, net: str) -> float:
    """Correct answers in per cent."""
    return 100 * float(row.result["correct"][net]) / float(row.result["scored"])


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
