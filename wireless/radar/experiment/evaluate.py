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
    total: int = 0,
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
            progress(done, total, "counting answers")
    return counts
