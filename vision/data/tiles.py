"""Parts of a picture that are computed one by one, each with what a net reads around it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray


def tiles(plane: NDArray[Any], tile: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of all parts of `(H, W, ...)`: as few as have `tile` pixels a side or less, of about one size.

    The first is the largest.

    >>> [(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in tiles(np.zeros((4, 5)), 3)]
    [(2, 3), (2, 2), (2, 3), (2, 2)]
    """
    height, width = (-(-side // -(-side // tile)) for side in plane.shape[:2])
    for row in range(0, plane.shape[0], height):
        for column in range(0, plane.shape[1], width):
            yield slice(row, min(row + height, plane.shape[0])), slice(column, min(column + width, plane.shape[1]))


def around(plane: NDArray[Any], rows: slice, columns: slice, border: int) -> NDArray[Any]:
    """A part of the picture with so many pixels around it; beyond the picture its last pixels are repeated."""
    wanted = (
        np.arange(part.start - border, part.stop + border).clip(0, size - 1)
        for part, size in zip((rows, columns), plane.shape, strict=False)
    )
    part: NDArray[Any] = plane[np.ix_(*wanted)]
    return part
