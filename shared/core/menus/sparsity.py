"""Blocks that may be dropped, and the groupings that make blocks of a weight tensor."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from shared.core.menu import Choices, Menu


@dataclass(frozen=True)
class Sparsity(Menu):
    """A block is zero, frozen, or keeps its value and stays trainable.

    What a block is, `Grouping` says: an element, a channel, a 16x1 tile. With a price of 1 per block, `project` keeps
    the `budget` blocks of largest norm, as magnitude pruning does.

    >>> Sparsity().menu(torch.tensor([[1.0, 2.0]])).values
    tensor([[[0., 0.],
             [1., 2.]]])
    """

    def menu(self, v: Tensor) -> Choices:
        values = torch.stack((torch.zeros_like(v), v), 1)
        kept = torch.tensor([False, True], device=v.device)
        return Choices(values, kept[:, None].expand(values.shape))


@dataclass(frozen=True)
class Grouping:
    """A weight tensor of `shape` cut into equal tiles of shape `tile`; a tile is one block, a row of `(blocks, size)`.

    Raises `ValueError` if the tiles do not cover the shape exactly.

    >>> Grouping.channel((8, 4, 3, 3))
    Grouping(shape=(8, 4, 3, 3), tile=(1, 4, 3, 3))
    >>> tiles = Grouping(shape=(32, 10), tile=(16, 1))
    >>> x = tiles.split(torch.ones(32, 10))
    >>> x.shape, tiles.join(x).shape
    (torch.Size([20, 16]), torch.Size([32, 10]))
    """

    shape: tuple[int, ...]
    tile: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(map(int, self.shape)))
        object.__setattr__(self, "tile", tuple(map(int, self.tile)))
        whole = len(self.shape) == len(self.tile) and all(
            edge > 0 and side % edge == 0 for side, edge in zip(self.shape, self.tile, strict=True)
        )
        if not whole:
            raise ValueError(f"tiles of {self.tile} do not cover {self.shape} exactly: every side must be a multiple")

    @classmethod
    def element(cls, shape: tuple[int, ...]) -> "Grouping":
        """Every number is a block."""
        return cls(shape, (1,) * len(shape))

    @classmethod
    def channel(cls, shape: tuple[int, ...], axis: int = 0) -> "Grouping":
        """Every index along `axis` is a block: the output channels of a convolution or a linear layer by default."""
        tile = list(shape)
        tile[axis] = 1
        return cls(shape, tuple(tile))

    def split(self, weight: Tensor) -> Tensor:
        """`shape` to `(blocks, size)`."""
        sides = [length for side, edge in zip(self.shape, self.tile, strict=True) for length in (side // edge, edge)]
        order = (*range(0, len(sides), 2), *range(1, len(sides), 2))
        return weight.reshape(sides).permute(order).reshape(-1, math.prod(self.tile))

    def join(self, x: Tensor) -> Tensor:
        """`(blocks, size)` back to `shape`."""
        counts = [side // edge for side, edge in zip(self.shape, self.tile, strict=True)]
        half = len(counts)
        order = [axis for pair in zip(range(half), range(half, 2 * half), strict=True) for axis in pair]
        return x.reshape(*counts, *self.tile).permute(order).reshape(self.shape)
