"""Accuracies and differences from the rows of streams."""

from collections.abc import Sequence

import numpy as np

from shared.lab import Estimate, Row, mean_over_seeds

METHODS = {
    "cml": "CML",
    "no_inner_loop": "CML without inner loop",
    "int8": "CML without inner loop, encoder in int8",
    "no_storage": "CML, inner loop without stored classes",
    "no_adversary": "CML, inner loop without adversary",
    "nearest_mean": "nearest class mean, frozen",
    "nearest_mean_further": "nearest class mean, frozen, trained further",
    "fine_tuning": "sequential fine-tuning",
    "ewc": "EWC",
    "replay": "replay, at least equal bytes",
    "joint": "joint tuning, all pictures kept",
}
"""Every method of a row, in words. What CML leaves out, it leaves out of its inner loop, not of its training."""

FROZEN = ("nearest_mean", "nearest_mean_further")


def points(rows: Sequence[Row], method: str, key: str = "final") -> Estimate:
    """Mean of a share in percentage points, with its interval: over seeds, or over the streams of a single one."""
    if len(rows) == 1:
        return mean_over_seeds([100 * share for share in rows[0].result["methods"][method][key]])
    return mean_over_seeds([100 * float(np.mean(row.result["methods"][method][key])) for row in rows])


def gain(rows: Sequence[Row], other: str, key: str = "final", of: str = "cml") -> Estimate:
    """Points of a method over another on the same streams; the interval as of `points`, paired."""
    differences = [np.subtract(row.result["methods"][of][key], row.result["methods"][other][key]) * 100 for row in rows]
    if len(rows) == 1:
        return mean_over_seeds(differences[0].tolist())
    return mean_over_seeds([float(each.mean()) for each in differences])


def better_frozen(rows: Sequence[Row]) -> str:
    """The frozen encoder with the higher final accuracy."""
    return max(FROZEN, key=lambda method: points(rows, method).value)
