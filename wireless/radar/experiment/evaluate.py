"""Counts of answers: how often each class was taken for each, at each signal-to-noise ratio."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from shared.core.task import Progress
from wireless.radar.datasets.generate import Windowed

Classify = Callable[[Windowed], NDArray[np.int64]]
"""The class of each window, `(windows,)`; who needs no more than the samples looks at nothing else."""


def confusion(
    classify: Classify,
    parts: Iterable[Windowed],
    grid: NDArray[np.float64],
    classes: int,
    progress: Progress | None = None,
) -> NDArray[np.int64]:
    """Windows by signal-to-noise ratio, true class and answer, `(len(grid), classes, classes)`.

    A window counts at the nearest value of the grid.
    """
    counts, done = np.zeros((len(grid), classes, classes), np.int64), 0
    for part in parts:
        at = np.abs(part.snr_db[:, None] - grid).argmin(1)
        np.add.at(counts, (at, part.labels, classify(part)), 1)
        done += len(part.labels)
        if progress is not None:
            progress(0, 0, f"{done} answers counted")
    return counts


MOST_RATIOS = 40
STEP_DB = 2.0


def ratios(snr_db: NDArray[np.float64]) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """The ratios at which a set `(N,)` is counted, in order, and notes: its own, or every two decibels if it has many.

    >>> ratios(np.array([3.0, -1.0, 3.0]))
    ((-1.0, 3.0), ())
    """
    if np.isnan(snr_db).any():
        return (0.0,), ("the set states no signal-to-noise ratio: all windows are counted at 0 dB",)
    own = np.unique(snr_db)
    if len(own) <= MOST_RATIOS:
        return tuple(float(db) for db in own), ()
    steps = np.arange(np.floor(own[0] / STEP_DB), np.ceil(own[-1] / STEP_DB) + 1) * STEP_DB
    used = np.unique(np.abs(snr_db[:, None] - steps).argmin(1))
    return tuple(float(db) for db in steps[used]), (f"{len(own)} ratios are counted at the nearest {STEP_DB:g} dB",)
