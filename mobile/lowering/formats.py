"""Formats of a layer's weights: dense, or lists of the blocks of 2 x 4 or 1 x 4 weights that are not zero."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mobile.lowering.calls import Lists

FORMATS: Final[Mapping[str, int]] = {"dense": 4, "2x4": 2, "1x4": 1}
"""Outputs of a block, by name; every block has four neighbouring inputs of one tap."""


def lists(name: str, blocks: NDArray[np.int8], offsets: NDArray[np.int32]) -> Lists:
    """The weights `(outputs, entries, 4)` in a format; the outputs are a multiple of four.

    `offsets` `(entries,)` say where the four inputs of each entry lie. A dense layer leaves out entries that no output
    multiplies: they are inputs that do not exist for it.
    """
    rows = FORMATS[name]
    grouped = blocks.reshape(len(blocks) // rows, rows, *blocks.shape[1:]).swapaxes(1, 2)  # (blocks, entries, rows, 4)
    if name == "dense":
        kept = np.flatnonzero(blocks.any(axis=(0, 2)))
        weights = grouped[:, kept].reshape(-1, rows, 4)
        first = np.arange(len(grouped) + 1, dtype=np.int32) * np.int32(len(kept))
        return Lists(rows, True, first, offsets[kept], np.ascontiguousarray(weights))
    kept_blocks = grouped.any(axis=(2, 3))  # (blocks, entries)
    first = np.concatenate([[0], np.cumsum(kept_blocks.sum(1))]).astype(np.int32)
    return Lists(rows, False, first, offsets[np.nonzero(kept_blocks)[1]], np.ascontiguousarray(grouped[kept_blocks]))


def share(blocks: NDArray[np.int8], name: str) -> float:
    """Share of the blocks of a format that hold a weight."""
    rows = FORMATS[name]
    return float(blocks.reshape(len(blocks) // rows, rows, *blocks.shape[1:]).any(axis=(1, 3)).mean())
