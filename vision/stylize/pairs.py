"""Pairs of a picture and the same in a style, and the random patches of them that nets are trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Bytes = NDArray[np.uint8]
"""`(H, W, 3)`."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A picture and the same in a style, of one size."""

    name: str
    picture: Bytes
    styled: Bytes


@dataclass(frozen=True, eq=False)
class Patches:
    """`count` random patches an epoch, as `shared.training` reads them: pictures and styled ones, `(B, 3, size, size)`
    in [0, 1].

    Every pair comes up as often; each patch is mirrored at random, left for right. Raises `ValueError` where a pair is
    smaller than a patch.
    """

    pairs: Sequence[Pair]
    size: int
    count: int

    def __post_init__(self) -> None:
        for pair in self.pairs:
            if min(pair.picture.shape[:2]) < self.size:
                height, width = pair.picture.shape[:2]
                raise ValueError(f"{pair.name} is {width}x{height}: size={self.size} asks for a larger picture")

    def __len__(self) -> int:
        return self.count

    def batch(self, picked: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        which = torch.randint(len(self.pairs), (len(picked),), generator=generator).tolist()
        places = torch.rand(len(picked), 2, generator=generator, dtype=torch.float64).tolist()
        mirrored = (torch.rand(len(picked), generator=generator) < 0.5).tolist()
        cut = [self._cut(*each) for each in zip(which, places, mirrored, strict=True)]
        pictures, styled = (as_input(np.stack(part)) for part in zip(*cut, strict=True))
        return pictures, styled

    def _cut(self, which: int, place: Sequence[float], is_mirrored: bool) -> tuple[Bytes, Bytes]:
        pair = self.pairs[which]
        row, column = (int(at * (side - self.size + 1)) for at, side in zip(place, pair.picture.shape[:2], strict=True))
        there = (slice(row, row + self.size), slice(column, column + self.size))
        parts = (pair.picture[there], pair.styled[there])
        return (parts[0][:, ::-1], parts[1][:, ::-1]) if is_mirrored else parts


def as_input(pixels: NDArray[np.uint8]) -> Tensor:
    """`(B, H, W, 3)` in bytes as `(B, 3, H, W)` in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).float().permute(0, 3, 1, 2) / 255
