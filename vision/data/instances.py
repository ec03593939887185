"""Generated pictures of several shapes each, with the exact mask of what is visible of every one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision.data.shapes import SHAPES, inside

ABOUT = "generated shapes that hide each other, with exact masks"
FEWEST, MOST = 1, 3
"""Shapes of a picture."""
VISIBLE = 24
"""Pixels of a shape that are to be seen at least, or it counts as no instance."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture `(H, W, 3)` in bytes, and of each instance its visible mask `(H, W)`."""

    pixels: NDArray[np.uint8]
    masks: Sequence[Mask]


def scenes(rng: np.random.Generator, count: int, side: int = 32) -> list[Scene]:
    """So many pictures; the same for the same generator.

    A shape that comes later is in front of those before it. Kind, place, size, colours and noise vary.

    >>> [scene] = scenes(np.random.default_rng(0), 1)
    >>> scene.pixels.shape, int(np.sum(scene.masks, axis=0).max())
    ((32, 32, 3), 1)
    """
    return [_scene(rng, side) for _ in range(count)]


def _scene(rng: np.random.Generator, side: int) -> Scene:
    shades = rng.uniform(0, 255, 3) + rng.uniform(-30, 30, (2, 2, 3))
    ramp = np.linspace(0, 1, side)
    picture = np.einsum("ir,jc,rcd->ijd", *(np.stack((1 - ramp, ramp), 1),) * 2, shades)
    owner = np.zeros((side, side), int)
    kinds = rng.integers(SHAPES, size=rng.integers(FEWEST, MOST + 1)).tolist()
    for number, kind in enumerate(kinds, start=1):
        radius, centre = rng.uniform(side / 7, side / 3.5), rng.uniform(side / 8, side * 7 / 8, 2)
        v, u = np.meshgrid(*((np.arange(side) - at) / radius for at in centre), indexing="ij")
        there = inside(kind, u, v)
        picture[there] = rng.uniform(0, 255, 3)
        owner[there] = number
    pixels = (picture + rng.normal(0, 8, picture.shape)).clip(0, 255).astype(np.uint8)
    masks = [owner == number for number in range(1, len(kinds) + 1)]
    return Scene(pixels, [mask for mask in masks if mask.sum() >= VISIBLE])
