"""Accuracies and differences from the rows of streams."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shared.lab import Estimate, Row, mean_over_seeds

METHODS = {
    "cml": "CML",
    "int8": "CML, encoder in int8",
    "compiled": "CML, encoder in int8, compiled",
    "no_averaging": "CML, encoder at the outer loop's end",
    "all_parts": "CML with all parts, adversary and inner loop too",
    "no_storage": "all parts but storage, and so no adversary",
    "no_adversary": "all parts but the adversary",
    "no_inner_loop": "all parts but the inner loop",
    "nearest_mean": "nearest class mean, frozen",
    "nearest_mean_further": "nearest class mean, frozen, trained further",
    "nearest_mean_self_supervised": "nearest class mean, frozen, self-supervised",
    "prototypes": "prototypical network, its means in sequence",
    "maml": "MAML, task after task",
    "fine_tuning": "sequential fine-tuning, layer begins at means",
    "fine_tuning_random": "sequential fine-tuning, layer begins at random",
    "ewc": "EWC",
    "replay": "replay, at least equal bytes",
    "joint": "joint tuning, all pictures kept, balanced",
}
"""Every method that a row may have, in words. "All parts" and what lacks one of them have outer loops of their own."""

FROZEN = ("nearest_mean", "nearest_mean_further", "nearest_mean_self_supervised")


def methods(row: Row, shots: int) -> Mapping[str, Any]:
    """What a row says of each method, learning from so many pictures of a class."""
    of_each: Mapping[str, Any] = row.result["methods"][str(shots)]
    return of_each


def points(rows: Sequence[Row], shots: int, method: str, key: str = "final") -> Estimate:
    """Mean of a share in percentage points, with its interval: over seeds, or over the streams of a single one."""
    return _mean([100 * np.array(methods(row, shots)[method][key]) for row in rows])


def gain(rows: Sequence[Row], shots: int, other: str, key: str = "final", of: str = "cml") -> Estimate:
    """Points of a method over another on the streams that both were asked of; the interval as of `points`, paired."""
    differences = []
    for row in rows:
        ours, theirs = (np.array(methods(row, shots)[name][key]) for name in (of, other))
        both = min(len(ours), len(theirs))
        differences.append(100 * (ours[:both] - theirs[:both]))
    return _mean(differences)


def _mean(samples: Sequence[np.ndarray]) -> Estimate:
    return mean_over_seeds(samples[0].tolist() if len(samples) == 1 else [float(each.mean()) for each in samples])


def better_frozen(rows: Sequence[Row], shots: int) -> str:
    """The frozen encoder with the highest final accuracy."""
    return max(FROZEN, key=lambda method: points(rows, shots, method).value)
