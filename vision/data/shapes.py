"""Generated images of ten classes, for a run without a folder of images: five shapes, filled and outlined."""

import numpy as np
from numpy.typing import NDArray

from vision.data.cifar10 import CIFAR10, Images

ABOUT = "generated shapes: ten classes, made on the spot for want of a folder of images"
SIDE = 32
SHAPES = 5
HOLE = 0.6
"""Size of the hole in an outlined shape."""


def shapes(seed: int = 0, train: int = 400, test: int = 100) -> CIFAR10:
    """Images `(N, 32, 32, 3)` as bytes, `train` and `test` of each class; the same for the same seed.

    Class `2 k` is shape `k` filled and class `2 k + 1` outlined: disc, square, triangle, cross, bar. Place, size,
    colours and noise vary.

    >>> [part.pixels.shape[0] for part in shapes(train=10, test=2)]
    [90, 10, 20]
    """
    parts = [_images(np.random.default_rng((seed, part)), count) for part, count in enumerate((train, test))]
    return CIFAR10(*parts[0].split(), parts[1])


def _images(rng: np.random.Generator, per_class: int) -> Images:
    labels = np.repeat(np.arange(2 * SHAPES), per_class)
    return Images(np.stack([_image(int(label), rng) for label in labels]), labels)


def _image(label: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    radius, centre = rng.uniform(6, 12), rng.uniform(-5, 5, 2)
    axis = np.arange(SIDE) - (SIDE - 1) / 2
    v, u = np.meshgrid((axis - centre[0]) / radius, (axis - centre[1]) / radius, indexing="ij")
    there = inside(label // 2, u, v)
    if label % 2:
        there &= ~inside(label // 2, u / HOLE, v / HOLE)
    dark, light = sorted(rng.uniform(0, 255, (2, 3)), key=np.sum)
    dark, light = (light, dark) if rng.random() < 0.5 else (dark, light)
    picture = np.where(there[..., None], light, dark) + rng.normal(0, 20, (SIDE, SIDE, 3))
    pixels: NDArray[np.uint8] = picture.clip(0, 255).astype(np.uint8)
    return pixels


def inside(shape: int, u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether a point is in shape 0 to 4, as `shapes` lists them, of radius 1 around the origin; `v` points down."""
    width, height = np.abs(u), np.abs(v)
    inside: NDArray[np.bool_] = (
        u**2 + v**2 < 1,
        np.maximum(width, height) < 0.9,
        (v < 0.8) & (width < (v + 1) / 1.8),
        (np.minimum(width, height) < 0.3) & (np.maximum(width, height) < 1),
        (width < 1.1) & (height < 0.4),
    )[shape]
    return inside
