"""Angles that may snap to levels."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from shared.core.menu import Choices, Menu


@dataclass(frozen=True)
class Levels(Menu):
    """A periodic angle takes one of its levels, frozen, or keeps its value and stays trainable.

    A level stands for all its representatives; nearest to `v` is `level + period * round((v - level) / period)`.

    `levels` is one list for all blocks, or one list per block, of any length. `period`, in radians, is one number or
    one per block: a rotation of one qubit repeats after 2 pi up to a phase, a controlled rotation only after 4 pi,
    because CRX(2 pi) is a Z on its control. `keep=False` takes "keeps its value" off the menu, of all blocks or, given
    one per block, of those. The coordinates of a block take the same level.

    Raises `ValueError` for a level that is not finite, a period that is not positive, a block with nothing on its menu,
    or a point with another number of blocks.

    >>> angles = torch.tensor([[6.0], [6.0]])
    >>> Levels((0.0, math.pi), period=(2 * math.pi, 4 * math.pi), keep=False).menu(angles).values[..., 0]
    tensor([[6.2832, 3.1416],
            [0.0000, 3.1416]])
    """

    levels: Sequence[float] | Sequence[Sequence[float]]
    period: float | Sequence[float] = 2 * math.pi
    keep: bool | Sequence[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", _floats(self.levels))
        object.__setattr__(self, "period", _floats(self.period))
        object.__setattr__(self, "keep", self.keep if isinstance(self.keep, bool) else tuple(map(bool, self.keep)))
        for block, (row, keep) in enumerate(zip(*self._blocks, strict=True)):
            if not all(map(math.isfinite, row)):
                raise ValueError(f"Levels needs finite levels, got {row} for block {block}")
            if not row and not keep:
                raise ValueError(f"Levels with keep=False needs a level for every block, block {block} has none")
        if not (self._periods > 0).all() or not self._periods.isfinite().all():
            raise ValueError(f"Arg `period` must be positive and finite but was {self.period}.")

    def menu(self, v: Tensor) -> Choices:
        table, period = self._table.to(v.device, v.dtype), self._periods.to(v.device, v.dtype)
        for name, count in (("levels", len(table)), ("period", len(period))):
            if count not in (1, len(v)):
                raise ValueError(f"Levels has {name} for {count} blocks, got a point of {len(v)}")
        here = v[:, None]
        near = table + period * torch.round((here - table) / period)
        kept = table.isnan().expand(near.shape)
        return Choices(torch.where(kept, here, near), kept)

    @property
    def _blocks(self) -> tuple[tuple[Any, ...], tuple[bool, ...]]:
        """The levels and `keep` of each block, or of one that stands for all."""
        one_for_all = not any(isinstance(entry, tuple) for entry in self.levels)
        rows = (self.levels,) if one_for_all else tuple(self.levels)
        keep = (self.keep,) if isinstance(self.keep, bool) else tuple(self.keep)
        count = max(len(rows), len(keep))
        for name, entries in (("levels", rows), ("keep", keep)):
            if len(entries) not in (1, count):
                raise ValueError(f"Levels has {name} for {len(entries)} blocks, but {count} blocks otherwise")
        return rows * (count // len(rows)), keep * (count // len(keep))

    @cached_property
    def _periods(self) -> Tensor:
        return torch.tensor(self.period, dtype=torch.float64).reshape(-1, 1, 1)

    @cached_property
    def _table(self) -> Tensor:
        """`(blocks or 1, k, 1)`; NaN stands for the block's own value. Short rows repeat their last entry."""
        rows = [row + (math.nan,) * keep for row, keep in zip(*self._blocks, strict=True)]
        width = max(map(len, rows))
        return torch.tensor([row + row[-1:] * (width - len(row)) for row in rows], dtype=torch.float64)[..., None]


def _floats(entries: Any) -> Any:
    """Numbers to `float`, sequences to tuples, at any depth: what a point of plain data is compared and printed by."""
    return tuple(map(_floats, entries)) if isinstance(entries, Iterable) else float(entries)
