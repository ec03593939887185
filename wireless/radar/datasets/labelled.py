"""A labelled set from anywhere: windows, classes, ratios, checked once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST = 16
"""Samples of the shortest window."""


@dataclass(frozen=True, eq=False)
class LabelledSet:
    """Windows `(N, samples)` of complex64 with `labels` `(N,)` into `classes`, and `snr_db` `(N,)`, NaN where unknown.

    Raises `ValueError`, naming `source`, for lengths that differ, for samples that are not finite, for silent windows,
    for labels of no class, and for fewer than two classes; each with counts.
    """

    samples: NDArray[np.complex64]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    snr_db: NDArray[np.float64]
    source: str = "the set"
    notes: tuple[str, ...] = ()
    """What was left out or assumed, in sentences."""

    def __post_init__(self) -> None:
        windows, labels, ratios = len(self.samples), len(self.labels), len(self.snr_db)
        if not windows == labels == ratios or not windows:
            raise ValueError(f"{self.source}: {windows} windows, {labels} labels, {ratios} ratios; needs one for each")
        if self.samples.ndim != 2 or self.samples.shape[1] < FEWEST:
            raise ValueError(
                f"{self.source}: windows of shape {self.samples.shape[1:]}; needs {FEWEST} samples or more"
            )
        if wrong := int((~np.isfinite(self.samples)).any(1).sum()):
            raise ValueError(f"{self.source}: {wrong} of {windows} windows have samples that are not finite")
        if silent := int((self.samples == 0).all(1).sum()):
            raise ValueError(f"{self.source}: {silent} of {windows} windows are all zero")
        if outside := int(((self.labels < 0) | (self.labels >= len(self.classes))).sum()):
            raise ValueError(f"{self.source}: {outside} of {windows} labels are none of {len(self.classes)} classes")
        if len(np.unique(self.labels)) < 2:
            raise ValueError(
                f"{self.source}: all {windows} windows are {self.classes[self.labels[0]]}; needs two classes"
            )

    def picked(self, at: NDArray[np.int64]) -> "LabelledSet":
        """The windows of these indices."""
        return LabelledSet(self.samples[at], self.labels[at], self.classes, self.snr_db[at], self.source)

    def parted(self, share: float, rng: np.random.Generator) -> tuple["LabelledSet", "LabelledSet"]:
        """Two sets: all but about `share` of each class, and that share, one window of a class at least.

        Raises `ValueError` where a class has a single window.
        """
        held = []
        for label in np.unique(self.labels):
            of = rng.permutation(np.flatnonzero(self.labels == label))
            if len(of) < 2:
                raise ValueError(
                    f"{self.source}: class {self.classes[label]} has one window; needs two, to test on one"
                )
            held.append(of[: max(round(share * len(of)), 1)])
        chosen = np.zeros(len(self.labels), bool)
        chosen[np.concatenate(held)] = True
        return self.picked(np.flatnonzero(~chosen)), self.picked(np.flatnonzero(chosen))


def by_name(names: Sequence[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Labels `(N,)` and classes in the order of their names.

    >>> labels, classes = by_name(["p4", "frank", "p4"])
    >>> labels.tolist(), classes
    ([1, 0, 1], ('frank', 'p4'))
    """
    classes, labels = np.unique(np.asarray(names, str), return_inverse=True)
    return labels.astype(np.int64), tuple(str(name) for name in classes)
