"""Pictures generated on the spot: leaves of many sizes that cover each other, textured as nature is, and simple faces.

That is the dead leaves model with textures of falling spectrum, on which nets for pictures can be trained without any
photograph: R. Achddou, Y. Gousseau and S. Ladjal, *Synthetic images as a regularity prior* (SSVM 2021).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vision.stylize.classical import Pixels

LEAVES = 25
TEXTURES = 5
"""Of a picture; each leaf has one of them, shifted."""
FACES = 0.5
"""The share of scenes with a face."""

Plane = NDArray[np.float32]


def scenes(seed: int, count: int, side: int) -> Iterator[Pixels]:
    """So many pictures `(side, side, 3)` in [0, 1], the same for the same seed.

    >>> [scene.shape for scene in scenes(seed=0, count=1, side=16)]
    [(16, 16, 3)]
    """
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield _scene(rng, side)


def _scene(rng: np.random.Generator, side: int) -> Pixels:
    canvas = _Canvas(rng, side)
    for _ in range(LEAVES):
        size = 0.5 * 10 ** -rng.uniform(0, 1.1)
        at, angle, flat = rng.uniform(-0.5, 0.5, 2), rng.uniform(0, np.pi), rng.uniform(0.3, 1)
        canvas.paint(canvas.leaf(at, size, angle, flat, round_=rng.random() < 0.6), rng.random(3))
    if rng.random() < FACES:
        _face(canvas, rng)
    noise = rng.normal(0, rng.uniform(0, 0.02), (side, side, 3)).astype(np.float32)
    pixels: Pixels = (canvas.pixels + noise).clip(0, 1)
    return pixels


def _face(canvas: "_Canvas", rng: np.random.Generator) -> None:
    """Shoulders, hair, head, eyes, brows, nose and mouth, of any colour and expression, a little turned."""
    size, at, tilt = rng.uniform(0.22, 0.34), rng.uniform(-0.08, 0.08, 2), rng.uniform(-0.2, 0.2)
    skin, hair, cloth = rng.uniform(0.25, 0.95) * np.array([1, 0.8, 0.66]), rng.uniform(0, 0.7, 3), rng.random(3)

    def part(u: float, v: float, width: float, height: float, colour: NDArray[np.float64], round_: bool = True) -> None:
        """An ellipse or a bar at a place of the face, in units of its size."""
        place = at + size * np.array([np.cos(tilt) * v + np.sin(tilt) * u, np.cos(tilt) * u - np.sin(tilt) * v])
        canvas.paint(canvas.leaf(place, size * width, -tilt, height / width, round_), colour)

    part(0, 2.1, 1.7, 1.1, cloth)
    part(0, -0.25, 1.0, 1.25 + rng.uniform(-0.2, 0.5), hair)
    part(0, 0.9, 0.4, 0.6, 0.8 * skin, round_=False)
    part(0, 0, 0.78, 1.0, skin)
    part(0, -0.85, 0.75, 0.3, hair)
    part(0.02, 0.15, 0.09, 0.28, 0.85 * skin)
    for eye in (-0.32, 0.32):
        part(eye, -0.15, 0.17, 0.09, np.full(3, 0.92))
        part(eye + rng.uniform(-0.04, 0.04), -0.15, 0.07, 0.08, rng.uniform(0, 0.3, 3))
        part(eye, -0.34, 0.2, 0.045, 0.6 * hair, round_=False)
    part(0, 0.52, rng.uniform(0.2, 0.34), rng.uniform(0.05, 0.14), np.array([0.7, 0.25, 0.25]) * rng.uniform(0.6, 1.2))


class _Canvas:
    """A square of pixels that is painted from the back to the front."""

    def __init__(self, rng: np.random.Generator, side: int) -> None:
        self.rng, self.side = rng, side
        axis = (np.arange(side, dtype=np.float32) - side / 2) / side
        self.v, self.u = np.meshgrid(axis, axis, indexing="ij")
        self.textures = [_texture(rng, side) for _ in range(TEXTURES)]
        self.pixels: Pixels = np.zeros((side, side, 3), np.float32)
        self.paint(np.ones((side, side), np.float32), rng.random(3))

    def leaf(self, at: NDArray[np.float64], size: float, angle: float, flat: float, round_: bool) -> Plane:
        """How much of each pixel an ellipse or a bar covers; edges are a pixel wide, as a lens leaves them.

        `at` is row and column, from -1/2 to 1/2; `flat` is the height over the width.
        """
        along = np.cos(angle) * (self.u - at[1]) + np.sin(angle) * (self.v - at[0])
        across = (np.cos(angle) * (self.v - at[0]) - np.sin(angle) * (self.u - at[1])) / flat
        outside = np.hypot(along, across) if round_ else np.maximum(np.abs(along), np.abs(across))
        covered: Plane = np.clip(0.5 - (outside - size) * self.side * min(flat, 1.0), 0, 1).astype(np.float32)
        return covered

    def paint(self, covered: Plane, colour: NDArray[np.float64]) -> None:
        """Covers pixels with a colour, light from one side, and a texture."""
        slope = self.rng.normal(0, 0.25, 2)
        light = 1 + slope[0] * self.u + slope[1] * self.v
        shift = tuple(self.rng.integers(self.side, size=2))
        texture = self.rng.uniform(0, 0.12) * np.roll(self.textures[self.rng.integers(TEXTURES)], shift, (0, 1))
        tint = 1 + self.rng.uniform(-0.5, 0.5, 3)
        fill = (colour * light[..., None] + texture[..., None] * tint).astype(np.float32)
        self.pixels = self.pixels + covered[..., None] * (fill - self.pixels)


def _texture(rng: np.random.Generator, side: int) -> Plane:
    """Noise of deviation 1 whose amplitude falls with a power of the frequency, about 1 as in photographs."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(rng.normal(size=(side, side))) * frequency ** -rng.uniform(0.5, 1.6)
    spectrum[0, 0] = 0
    plane = np.fft.irfft2(spectrum, (side, side))
    texture: Plane = (plane / plane.std()).astype(np.float32)
    return texture
