"""Pairs of lumas, small and large, and the random patches of them that nets are trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision.data.quality import luma
from vision.superres.bicubic import as_integers, resized


@dataclass(frozen=True, eq=False)
class Pair:
    """One picture's luma in bytes, `(scale H, scale W)`, and the same shrunk, `(H, W)` of peak 255."""

    name: str
    large: NDArray[np.uint8]
    small: NDArray[np.float32]


def pair(name: str, pixels: NDArray[np.float32], scale: int) -> Pair:
    """Of a picture `(H, W, C)` in [0, 1]: luma in bytes, cut to multiples of `scale`, and shrunk without rounding.

    That is the protocol of SRCNN's code, by which bicubic enlarging is published as 33.66 dB on Set5 x2.
    """
    height, width = (size // scale * scale for size in pixels.shape[:2])
    if not height or not width:
        raise ValueError(f"{name} is {pixels.shape[1]}x{pixels.shape[0]}: too small for scale {scale}")
    large = as_integers(luma(pixels[:height, :width]), np.uint8)
    return Pair(name, large, resized(large, Fraction(1, scale)))


@dataclass(frozen=True, eq=False)
class Patches:
    """`count` random patches an epoch, as `shared.training` reads them: inputs `(B, 1, size, size)` and targets
    `(B, 1, scale size, scale size)` in [0, 1].

    A picture comes up as often as it has pixels; each patch is mirrored and turned at random. Raises `ValueError` where
    no picture is as large as a patch.
    """

    pairs: Sequence[Pair]
    scale: int
    size: int
    count: int

    def __post_init__(self) -> None:
        if not self._usable:
            raise ValueError(
                f"none of {len(self.pairs)} training pictures has {self.size}x{self.size} pixels when shrunk"
            )

    def __len__(self) -> int:
        return self.count

    def batch(self, picked: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        areas = torch.tensor([float(pair.small.size) for pair in self._usable])
        which = torch.multinomial(areas, len(picked), replacement=True, generator=generator).tolist()
        places = torch.rand(len(picked), 2, generator=generator, dtype=torch.float64).tolist()
        turns = torch.randint(8, (len(picked),), generator=generator).tolist()
        cut = [self._cut(*each) for each in zip(which, places, turns, strict=True)]
        small, large = (torch.from_numpy(np.stack(part))[:, None] for part in zip(*cut, strict=True))
        return small / 255, large.float() / 255

    def _cut(self, which: int, place: Sequence[float], turn: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        pair = self._usable[which]
        row, column = (int(at * (side - self.size + 1)) for at, side in zip(place, pair.small.shape, strict=True))
        small = pair.small[row : row + self.size, column : column + self.size]
        s = self.scale
        large = pair.large[s * row : s * (row + self.size), s * column : s * (column + self.size)]
        return _turned(small, turn), _turned(large, turn)  # type: ignore[return-value]

    @cached_property
    def _usable(self) -> list[Pair]:
        return [pair for pair in self.pairs if min(pair.small.shape) >= self.size]


def _turned(plane: NDArray[np.generic], turn: int) -> NDArray[np.generic]:
    """One of the eight symmetries of a square."""
    plane = np.rot90(plane, turn % 4)
    return plane[:, ::-1] if turn >= 4 else plane
