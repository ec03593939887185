"""A style without a net: smooth regions of few tones between dark outlines. It makes exact pairs of any pictures.

H. Winnemöller, S. Olsen and B. Gooch, *Real-time video abstraction*, SIGGRAPH 2006: a bilateral filter that is
repeated, differences of Gaussians as outlines, and luminance in soft steps.
"""

import numpy as np
from numpy.typing import NDArray

from vision.data.quality import WEIGHTS

PASSES = 3
"""Of the bilateral filter."""
RADIUS, SPACE, TONE = 2, 2.0, 0.08
"""Pixels that it reads on each side, and the deviations of its weights in pixels and in luminance."""
FINE, COARSE = 1.0, 1.6
"""Deviations of the two Gaussians in pixels."""
OUTLINE = 40.0
"""How fast outlines become dark as the Gaussians differ."""
LEVELS, SHARPNESS = 8, 3.4
"""Steps of luminance, and how steep they are."""

Pixels = NDArray[np.float32]
"""`(H, W, 3)` in [0, 1]."""
_LUMINANCE = np.asarray(WEIGHTS, np.float32) / np.float32(sum(WEIGHTS))


def classical(pixels: Pixels) -> Pixels:
    """The picture in that style, `(H, W, 3)` in [0, 1]; the same numbers for the same picture.

    >>> grey = classical(np.full((4, 4, 3), 0.5, np.float32))
    >>> float(np.ptp(grey))
    0.0
    """
    smooth = pixels.astype(np.float32)
    for _ in range(PASSES):
        smooth = _bilateral(smooth)
    luminance = smooth @ _LUMINANCE
    dark = _outlines(luminance)
    stepped = _steps(luminance)
    result: Pixels = ((smooth + (stepped - luminance)[..., None]) * dark[..., None]).clip(0, 1)
    return result


def _bilateral(pixels: Pixels) -> Pixels:
    """Means of neighbours, weighted by nearness in place and in luminance."""
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((RADIUS, RADIUS), (RADIUS, RADIUS), (0, 0)), "edge")
    light = padded @ _LUMINANCE
    centre = light[RADIUS : RADIUS + height, RADIUS : RADIUS + width]
    total, weights = np.zeros_like(pixels), np.zeros_like(centre)
    for row in range(2 * RADIUS + 1):
        for column in range(2 * RADIUS + 1):
            apart = ((row - RADIUS) ** 2 + (column - RADIUS) ** 2) / (2 * SPACE**2)
            there = (slice(row, row + height), slice(column, column + width))
            weight = np.exp(-np.square((light[there] - centre) / np.float32(TONE)) / 2 - np.float32(apart))
            total += weight[..., None] * padded[there]
            weights += weight
    return (total / weights[..., None]).astype(np.float32, copy=False)


def _outlines(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 inside of regions, less on the dark side of an edge."""
    difference = _gaussian(light, FINE) - np.float32(0.98) * _gaussian(light, COARSE)
    return np.where(difference > 0, np.float32(1), 1 + np.tanh(np.float32(OUTLINE) * difference))


def _steps(light: NDArray[np.float32]) -> NDArray[np.float32]:
    nearest = np.rint(light * LEVELS) / LEVELS
    within = np.tanh(np.float32(SHARPNESS) * (light - nearest) * LEVELS) / np.float32(2 * LEVELS)
    return np.asarray(nearest + within, np.float32)


def _gaussian(plane: NDArray[np.float32], deviation: float) -> NDArray[np.float32]:
    reach = int(np.ceil(3 * deviation))
    kernel = np.exp(-np.square(np.arange(-reach, reach + 1) / deviation) / 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    for axis in range(2):
        padded = np.pad(plane, [(reach, reach) if axis == each else (0, 0) for each in range(2)], "edge")
        plane = sum(
            (weight * padded.take(range(at, at + plane.shape[axis]), axis) for at, weight in enumerate(kernel)),
            np.zeros_like(plane),
        )
    return plane
