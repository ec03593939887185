"""How the numbers of a net's parameters fall into the blocks of a point."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import pad

from shared.core.menus import Grouping

GroupingOf = Callable[[tuple[int, ...]], Grouping]
"""The blocks of a parameter of this shape: `Grouping.element`, `Grouping.channel`."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Places of numbers: `index[b, k]` is the position of coordinate `k` of block `b` among all numbers of the net's
    parameters, one parameter after the other; -1 where a block is shorter than the longest. Each number has one place.

    >>> layout = Layout.of([(2, 3), (2,)], Grouping.channel)
    >>> layout.index
    tensor([[ 0,  1,  2],
            [ 3,  4,  5],
            [ 6, -1, -1],
            [ 7, -1, -1]])
    >>> layout.flat(layout.point(torch.arange(8.0)))
    tensor([0., 1., 2., 3., 4., 5., 6., 7.])
    """

    index: Tensor
    """`(blocks, size)`, int64."""
    scale: Tensor | None = None
    """`(numbers,)`: a number is its coordinate times this, so that blocks of unlike layers can be compared by norm."""

    @classmethod
    def of(cls, shapes: Sequence[tuple[int, ...]], grouping: GroupingOf) -> "Layout":
        """Blocks of each parameter in turn, as `grouping` cuts its shape."""
        parts, start = [], 0
        for shape in shapes:
            numbers = torch.arange(start, start + torch.Size(shape).numel()).reshape(shape)
            parts.append(grouping(shape).split(numbers) if numbers.ndim else numbers.reshape(1, 1))
            start += numbers.numel()
        return cls.join(parts)

    @classmethod
    def join(cls, parts: Sequence[Tensor]) -> "Layout":
        """One point of blocks `(blocks, size)` that may differ in size."""
        size = max((part.shape[1] for part in parts), default=0)
        return cls(torch.cat([pad(part, (0, size - part.shape[1]), value=-1) for part in parts]))

    def point(self, flat: Tensor) -> Tensor:
        """All numbers `(numbers,)` as a point `(blocks, size)`, zero where there is none."""
        scaled = flat if self.scale is None else flat / self.scale.to(flat.device)
        return torch.cat((scaled, flat.new_zeros(1)))[self.index.to(flat.device)]

    def flat(self, x: Tensor) -> Tensor:
        """The numbers `(numbers,)` of a point; undoes `point`, and keeps the gradient."""
        numbers = x.flatten()[self._places.to(x.device)]
        return numbers if self.scale is None else numbers * self.scale.to(x.device)

    @cached_property
    def _places(self) -> Tensor:
        there = (self.index >= 0).flatten().nonzero()[:, 0]
        return there[self.index.flatten()[there].argsort()]
