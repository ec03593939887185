"""Accuracies from the counts in rows."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.lab import Estimate, Row, mean_over_seeds
from wireless.radar.waveforms.catalogue import merged


def counts(row: Row) -> NDArray[np.int64]:
    """Windows by signal-to-noise ratio, true class and answer."""
    return np.array(row.result["confusion"])


def tested_db(row: Row) -> tuple[float, ...]:
    """The ratios that answers were counted at: those of the settings, or of the user's own set."""
    return tuple(row.result.get("tested_db", row.settings["tested_db"]))


def classes(row: Row) -> tuple[str, ...]:
    return tuple(row.result.get("classes", row.settings["classes"]))


def together(row: Row) -> NDArray[np.int64]:
    """`counts` with classes that are nearly the same pulse as one."""
    onto = np.eye(len(classes(row)), dtype=np.int64)[list(merged(classes(row)))]
    merged_counts: NDArray[np.int64] = np.einsum("stp,tT,pP->sTP", counts(row), onto, onto)
    return merged_counts


def right(counted: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share of right answers at each ratio, `(ratios,)`."""
    shares: NDArray[np.float64] = np.trace(counted, axis1=1, axis2=2) / counted.sum((1, 2))
    return shares


def mean_accuracy(row: Row) -> float:
    """The mean over all ratios."""
    return float(right(counts(row)).mean())


def accuracy_at(row: Row, db: float) -> float:
    """At one ratio. Raises `ValueError` where none was counted."""
    if db not in tested_db(row):
        raise ValueError(
            f"no answers were counted at {db:g} dB, only at {', '.join(f'{it:g}' for it in tested_db(row))}"
        )
    return float(right(counts(row))[tested_db(row).index(db)])


def worst_recall(counted: NDArray[np.int64], at: int) -> float:
    """The smallest share of right answers of any class at the ratio with index `at`."""
    shown = counted[at].sum(1)
    return float((np.diagonal(counted[at])[shown > 0] / shown[shown > 0]).min())


def pulses_per_second(row: Row) -> float:
    """Generated on one core, from the median CPU time of a block."""
    generation = row.result["generation"]
    return float(generation["pulses"] / np.median(generation["cpu_s"]))


def of_net(rows: Sequence[Row], net: str) -> list[Row]:
    return [row for row in rows if row.result["net"] == net]


def over_seeds(rows: Sequence[Row]) -> Estimate:
    """Mean accuracy with its t interval over seeds."""
    return mean_over_seeds([mean_accuracy(row) for row in rows])
