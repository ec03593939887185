"""Luma, PSNR and SSIM as published figures of super-resolution are computed."""

import math

import numpy as np
from numpy.typing import NDArray

WINDOW, SIGMA = 11, 1.5
"""Of the Gaussian in SSIM."""
WEIGHTS = (65.481, 128.553, 24.966)
"""Of red, green and blue in luma, ITU-R BT.601."""


def luma(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Luma in [16, 235] of `(H, W, 3)` or `(H, W, 1)` in [0, 1]: MATLAB's `rgb2ycbcr`, before it rounds.

    >>> luma(np.ones((1, 1, 3), np.float32)).tolist()
    [[235.0]]
    """
    grey = pixels @ np.array(WEIGHTS, np.float32) if pixels.shape[2] == 3 else pixels[..., 0] * np.float32(sum(WEIGHTS))
    return np.asarray(grey + np.float32(16), np.float32)


def psnr(actual: NDArray[np.float32], expected: NDArray[np.float32], border: int) -> float:
    """Peak signal-to-noise ratio in dB of lumas `(H, W)` of peak 255, without `border` pixels on each side.

    Infinite for equal ones.
    """
    inside = slice(border, -border or None)
    error = float(np.mean((actual[inside, inside].astype(float) - expected[inside, inside]) ** 2))
    return 10 * math.log10(255**2 / error) if error else math.inf


def ssim(actual: NDArray[np.float32], expected: NDArray[np.float32], border: int) -> float:
    """Structural similarity of lumas of peak 255, the mean over all whole windows of 11x11, a Gaussian of sigma 1.5.

    Z. Wang et al., Image Quality Assessment, IEEE TIP 13(4), 2004, as in its MATLAB code.
    """
    inside = slice(border, -border or None)
    x, y = (part[inside, inside].astype(np.float64) for part in (actual, expected))
    if min(x.shape) < WINDOW:
        raise ValueError(f"SSIM needs {WINDOW}x{WINDOW} pixels inside the border, got {x.shape[1]}x{x.shape[0]}")
    first, second = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_x, mean_y = _blurred(x), _blurred(y)
    var_x, var_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    similar = (2 * mean_x * mean_y + first) * (2 * covariance + second)
    return float(np.mean(similar / ((mean_x**2 + mean_y**2 + first) * (var_x + var_y + second))))


def _blurred(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted means of all whole windows."""
    kernel = np.exp(-((np.arange(WINDOW) - WINDOW // 2) ** 2) / (2 * SIGMA**2))
    kernel /= kernel.sum()
    for axis in range(2):
        plane = np.lib.stride_tricks.sliding_window_view(plane, WINDOW, axis=axis) @ kernel
    return plane
