"""Parts of a picture that are computed one by one, each with what a net reads around it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray


def tiles(plane: NDArray[Any], tile: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of all parts of `(H, W, ...)`, of `tile` pixels a side or less.

    >>> len(list(tiles(np.zeros((4, 5)), 2)))
    6
    """
    height, width = plane.shape[:2]
    for row in range(0, height, tile):
        for column in range(0, width, tile):
            yield slice(row, min(row + tile, height)), slice(column, min(column + tile, width))


def around(plane: NDArray[Any], rows: slice, columns: slice, border: int) -> NDArray[Any]:
    """A part of the picture with so many pixels around it; beyond the picture its last pixels are repeated."""
    wanted = (
        np.arange(part.start - border, part.stop + border).clip(0, size - 1)
        for part, size in zip((rows, columns), plane.shape, strict=False)
    )
    part: NDArray[Any] = plane[np.ix_(*wanted)]
    return part
