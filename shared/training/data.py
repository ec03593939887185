"""What an epoch runs over: batches, and examples that batches are made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Batches(Protocol):
    """The batches of one epoch; each iteration may shuffle and vary them anew."""

    def __len__(self) -> int:
        """How many there are."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and targets of each, `(batch, ...)`."""


class Examples(Protocol):
    """Labelled examples that can be read in any order."""

    def __len__(self) -> int: ...

    def batch(self, picked: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Inputs and targets of the examples `picked`, varied by `generator` where training varies them."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Inputs `(n, ...)` and targets `(n, ...)` in memory; on a GPU they are moved there once, not batch by batch.

    Raises `ValueError` if their numbers differ, or if there are none.
    """

    x: Tensor
    y: Tensor

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y) or not len(self.x):
            raise ValueError(f"examples need as many targets as inputs, at least one: {len(self.x)} and {len(self.y)}")

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, picked: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return self.x[picked], self.y[picked]

    def to(self, device: torch.device) -> "Pairs":
        """The same examples on a device."""
        return Pairs(self.x.to(device), self.y.to(device))


@dataclass(frozen=True, eq=False)
class Shuffled:
    """The whole batches of `examples` in an order that `generator` samples, on the CPU so that devices agree.

    Statistics of a small remainder would be poor, so it is left out; its examples come up in another epoch.
    """

    examples: Examples
    size: int
    generator: torch.Generator

    def __len__(self) -> int:
        return len(self.examples) // self._size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.examples), generator=self.generator).split(self._size)
        for picked in order[: len(self)]:
            yield self.examples.batch(picked, self.generator)

    @property
    def _size(self) -> int:
        return min(self.size, len(self.examples))
