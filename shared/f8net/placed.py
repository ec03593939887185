"""Where the numbers of a traced tensor lie in the values of the fixed-point net."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Placed:
    """A tensor of one sample: the step whose value holds it, and the place of each number there.

    What only moves numbers, such as a transposition, changes `index` and costs nothing.
    """

    step: str
    index: Tensor
    """`(1, *shape)`, places in the flat value of the step."""

    @classmethod
    def plain(cls, step: str, shape: tuple[int, ...]) -> "Placed":
        """The whole value of a step, in order."""
        return cls(step, _count(shape)[None])

    @classmethod
    def lines(cls, step: str, channels: int, lead: tuple[int, ...]) -> "Placed":
        """The whole value of a step whose channels are the last axis of the tensor."""
        return cls(step, _count((channels, *lead)).movedim(0, -1)[None])

    @property
    def shape(self) -> tuple[int, ...]:
        """Without the batch."""
        return tuple(self.index.shape[1:])


def _count(shape: tuple[int, ...]) -> Tensor:
    count = 1
    for size in shape:
        count *= size
    return torch.arange(count).reshape(shape)


def in_order(index: Tensor) -> bool:
    """Whether places count from 0."""
    return bool((index.flatten() == torch.arange(index.numel())).all())
