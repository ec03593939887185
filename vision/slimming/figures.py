"""Accuracies and differences from the counts in rows."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from shared.lab import Row

Control = Literal["uniform", "uniform_longer", "random", "mobilenet_v2", "mobilenet_v4", "hgnet_v2"]
NETS = {
    "slimmed": "slimmed net",
    "uniform": "uniform scaling, for as many epochs",
    "uniform_longer": "uniform scaling, trained for longer",
    "random": "random cuts",
    "mobilenet_v2": "MobileNetV2, scaled",
    "mobilenet_v4": "MobileNetV4-conv-small, scaled",
    "hgnet_v2": "HGNetV2-B0, scaled",
}
"""Every net of a budget, in words."""
RIVALS = get_args(Control)[-3:]
"""Published nets."""


def shared_nets(rows: Sequence[Row], place: int) -> dict[str, str]:
    """Nets that every row has at a budget, in words."""
    return {net: name for net, name in NETS.items() if all(net in nets(row, place) for row in rows)}


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


def best_rival(rows: Sequence[Row], place: int) -> str | None:
    """The published net of the highest mean accuracy, if there is one."""
    there = [net for net in RIVALS if net in shared_nets(rows, place)]
    return max(there, key=lambda net: sum(percent(row, place, net) for row in rows), default=None)


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
