"""Mask AP: how well the masks of instances that a net detects are those of the picture."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""Least intersection over union of a mask that counts as right."""
RECALLS = np.linspace(0, 1, 101)


class Detection(NamedTuple):
    """A detected mask `(H, W)`, its class, and how sure that is."""

    mask: NDArray[np.bool_]
    label: int
    score: float


class Truth(NamedTuple):
    """The mask of an instance, and its class."""

    mask: NDArray[np.bool_]
    label: int


def mask_ap(detections: Sequence[Sequence[Detection]], truths: Sequence[Sequence[Truth]]) -> float:
    """The mean over the classes of the truths and over `THRESHOLDS` of average precision, in [0, 1]: AP of COCO.

    One sequence for each picture. In the order of their scores, the detections of a class take the free instance of
    their class and picture that they cover best, if by the threshold at least. Precision at each of 101 recalls is the
    best at that recall or a higher one. Equals `pycocotools` with masks of any size. T.-Y. Lin et al., *Microsoft COCO*
    (arXiv 1405.0312).

    >>> left, right = np.eye(2, dtype=bool)
    >>> round(mask_ap([[Detection(left, 0, 0.9), Detection(left, 0, 0.5)]], [[Truth(left, 0), Truth(right, 0)]]), 4)
    0.505
    """
    labels = sorted({truth.label for picture in truths for truth in picture})
    if not labels:
        raise ValueError("mask_ap needs an instance at least, in any picture")
    return float(np.mean([_average_precisions(detections, truths, label) for label in labels]))


def _average_precisions(
    detections: Sequence[Sequence[Detection]], truths: Sequence[Sequence[Truth]], label: int
) -> list[float]:
    """Of one class, at each threshold."""
    count, matched = 0, list[tuple[float, NDArray[np.bool_]]]()
    for offered, instances in zip(detections, truths, strict=True):
        masks = [each.mask for each in instances if each.label == label]
        own = sorted((each for each in offered if each.label == label), key=lambda each: -each.score)
        count += len(masks)
        overlaps = np.array([[_overlap(each.mask, mask) for mask in masks] for each in own]).reshape(
            len(own), len(masks)
        )
        right = np.stack([_matches(overlaps, threshold) for threshold in THRESHOLDS], 1)
        matched += [(each.score, hits) for each, hits in zip(own, right, strict=True)]
    matched.sort(key=lambda pair: -pair[0])
    hits = np.array([hits for _, hits in matched], bool).reshape(-1, len(THRESHOLDS))
    return [_interpolated(column, count) for column in hits.T]


def _overlap(one: NDArray[np.bool_], two: NDArray[np.bool_]) -> float:
    return float((one & two).sum() / max((one | two).sum(), 1))


def _matches(overlaps: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """For each detection, `(detections, instances)` in the order of scores, whether it takes an instance."""
    free, hits = np.ones(overlaps.shape[1], bool), np.zeros(len(overlaps), bool)
    for number, row in enumerate(overlaps):
        open_row = np.where(free, row, -1.0)
        if len(row) and open_row.max() >= threshold:
            # Of equal overlaps the last instance, as pycocotools takes it.
            free[len(row) - 1 - int(open_row[::-1].argmax())] = False
            hits[number] = True
    return hits


def _interpolated(hits: NDArray[np.bool_], count: int) -> float:
    """The mean precision at `RECALLS` of detections in the order of their scores."""
    right = np.cumsum(hits)
    recall, precision = right / count, right / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, RECALLS, side="left")
    return float(np.mean([best[place] if place < len(best) else 0.0 for place in places]))
