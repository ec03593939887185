"""Bicubic resizing as MATLAB's `imresize`, which defines the low resolution that published figures are of."""

import math
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

REACH = 2
"""Pixels on either side that enlarging reads."""


def resized(pixels: NDArray[Any], scale: Fraction | int) -> NDArray[np.float32]:
    """`(H, W)` or `(H, W, C)` at `scale` times the size, rounded up, not clipped.

    The cubic kernel of Keys with a = -1/2, widened by 1 / scale where the picture shrinks (antialiasing), and the
    picture mirrored at its borders: the numbers of MATLAB's `imresize(pixels, scale, "bicubic")`.

    >>> resized(np.array([[0.0, 1.0]]), 2).round(3)
    array([[-0.094,  0.203,  0.797,  1.094],
           [-0.094,  0.203,  0.797,  1.094]], dtype=float32)
    """
    scale = Fraction(scale)
    rows = _along_rows(np.asarray(pixels, np.float32), scale)
    return _along_rows(rows.swapaxes(0, 1), scale).swapaxes(0, 1)


def as_integers(values: NDArray[np.float32], dtype: Any) -> NDArray[Any]:
    """Rounded and clipped to the range of an integer type, as `imresize` does for pictures of integers."""
    return np.rint(values).clip(0, np.iinfo(dtype).max).astype(dtype)


def _along_rows(pixels: NDArray[np.float32], scale: Fraction) -> NDArray[np.float32]:
    sources, weights = _taps(len(pixels), scale)
    result = np.zeros((len(sources), *pixels.shape[1:]), np.float32)
    for source, weight in zip(sources.T, weights.T, strict=True):
        result += pixels[source] * weight.reshape(-1, *(1,) * (pixels.ndim - 1))
    return result


@lru_cache(maxsize=64)
def _taps(size: int, scale: Fraction) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each output the inputs that it is a sum of, and their weights, both `(outputs, taps)`."""
    shrink = min(float(scale), 1.0)
    reach = 2 / shrink
    centres = (np.arange(math.ceil(size * scale)) + 0.5) / float(scale) - 0.5
    places = np.floor(centres - reach)[:, None] + np.arange(math.ceil(2 * reach) + 2)
    weights = _cubic(shrink * (centres[:, None] - places))
    weights /= weights.sum(1, keepdims=True)
    used = np.any(weights != 0, axis=0)
    mirrored = places[:, used].astype(np.int64) % (2 * size)
    return np.minimum(mirrored, 2 * size - 1 - mirrored), weights[:, used].astype(np.float32)


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
