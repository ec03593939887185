"""Different menus for different blocks of one point."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from shared.core.menu import Choices, Menu


@dataclass(frozen=True)
class Product(Menu):
    """Menus side by side: the first `blocks[0]` blocks choose from `parts[0]`, the next `blocks[1]` from `parts[1]`.

    One multiplier, and so one budget, spans them all. `sizes` gives each part's block size where they differ; a point
    is then as wide as the widest and the padding of the narrower blocks is zero and frozen.

    Raises `ValueError` if the lists differ in length or the point has another shape.

    >>> from shared import FixedPoint, Sparsity
    >>> both = Product((Sparsity(), FixedPoint(word=2, fraction=0)), blocks=(1, 2), sizes=(2, 1))
    >>> both.menu(torch.tensor([[0.7, 0.2], [0.7, 0.0], [0.2, 0.0]])).values.shape
    torch.Size([3, 4, 2])
    """

    parts: Sequence[Menu]
    blocks: Sequence[int]
    sizes: Sequence[int] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        object.__setattr__(self, "blocks", tuple(self.blocks))
        object.__setattr__(self, "sizes", None if self.sizes is None else tuple(self.sizes))
        if len(self.blocks) != len(self.parts) or len(self.sizes or self.parts) != len(self.parts) or not self.parts:
            raise ValueError(
                f"Product needs one entry of `blocks` and of `sizes` per part: "
                f"{len(self.parts)} parts, blocks={self.blocks}, sizes={self.sizes}"
            )

    def menu(self, v: Tensor) -> Choices:
        sizes = self.sizes or (v.shape[1],) * len(self.parts)
        if v.shape != (sum(self.blocks), max(sizes)):
            raise ValueError(f"Product needs a point of {(sum(self.blocks), max(sizes))}, got {tuple(v.shape)}")
        rows = torch.split(v, list(self.blocks))
        menus = [part.menu(row[:, :size]) for part, row, size in zip(self.parts, rows, sizes, strict=True)]
        depth = max(choices.values.shape[1] for choices in menus)
        values, free = zip(*(_padded(choices, depth, v.shape[1]) for choices in menus), strict=True)
        return Choices(torch.cat(values), torch.cat(free))


def _padded(choices: Choices, depth: int, width: int) -> tuple[Tensor, Tensor]:
    """Repeats the first entry up to `depth` entries, fills up to `width` coordinates with frozen zeros."""
    entry = torch.arange(depth, device=choices.values.device)
    entry = torch.where(entry < choices.values.shape[1], entry, 0)
    values, free = choices.values[:, entry], choices.free[:, entry]
    missing = (0, width - values.shape[2])
    return pad(values, missing), pad(free, missing)
