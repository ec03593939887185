"""Where the elements of a value lie: windows over its axes, planes, and the order of streams with channels fastest."""

import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray


def windows(x: NDArray[Any], size: tuple[int, ...], stride: tuple[int, ...]) -> NDArray[Any]:
    """Every window over the last axes of `x`, one axis per number of `size`: `(..., *positions, *size)`.

    >>> windows(np.arange(5), (3,), (2,)).tolist()
    [[0, 1, 2], [2, 3, 4]]
    """
    lead = x.ndim - len(size)
    every = sliding_window_view(x, size, axis=tuple(range(lead, x.ndim)))
    return every[(*(slice(None),) * lead, *(slice(None, None, s) for s in stride))]


def plane(sizes: tuple[int, ...], fill: int) -> tuple[int, int]:
    """One or two numbers, one per axis, as two: a line is an image of one row.

    >>> plane((7,), 1)
    (1, 7)
    """
    rows, columns = (fill, *sizes)[-2:]
    return rows, columns


def to_channels_last(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Element `i` of a stream with channels fastest is element `order[i]` of the flat value `(C, ...)`.

    >>> to_channels_last((2, 3)).tolist()
    [0, 3, 1, 4, 2, 5]
    """
    return np.moveaxis(np.arange(math.prod(shape)).reshape(shape), 0, -1).ravel()


def from_channels_last(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Element `n` of the flat value `(C, ...)` is element `order[n]` of a stream with channels fastest.

    >>> from_channels_last((2, 3)).tolist()
    [0, 2, 4, 1, 3, 5]
    """
    return np.moveaxis(np.arange(math.prod(shape)).reshape(*shape[1:], shape[0]), -1, 0).ravel()
