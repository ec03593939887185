"""Where the numbers of a torch tensor lie: in which value of the arena, and at which place each."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mobile.lowering.floats import OUTPUTS, Floats
from shared.integer.geometry import plane


@dataclass(frozen=True, eq=False)
class Placed:
    """A tensor of one sample. What only moves numbers, such as a transposition, changes `index` and costs nothing."""

    memory: Floats
    index: Tensor
    """`(1, *shape)`: how many floats behind the beginning of `memory` each number lies."""

    @classmethod
    def image(cls, name: str, shape: tuple[int, ...]) -> "Placed":
        """A new value whose first axis are the channels, as convolutions want it."""
        memory = Floats(name, shape[0] if shape else 1, *_image(shape))
        return cls(memory, places(memory).T.reshape(1, *shape))

    @classmethod
    def lines(cls, name: str, shape: tuple[int, ...]) -> "Placed":
        """A new value whose last axis are the channels, as layers on tokens want it."""
        memory = Floats(name, shape[-1], *_lines(shape))
        return cls(memory, places(memory).reshape(1, *shape))

    @classmethod
    def constant(cls, name: str, tensor: Tensor) -> "Placed":
        """The numbers of a tensor of any shape; its last axis of several are the channels, as in `(channels, 1, 1)`."""
        numbers: NDArray[np.float32] = tensor.detach().to("cpu", torch.float32).numpy()
        channels = next((size for size in reversed(numbers.shape) if size > 1), 1)
        rows = numbers.reshape(-1, channels)
        data = np.zeros((len(rows), -(-rows.shape[1] // OUTPUTS) * OUTPUTS), np.float32)
        data[:, : rows.shape[1]] = rows
        memory = Floats(name, rows.shape[1], 1, len(rows), data)
        return cls(memory, places(memory).reshape(tensor.shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """Without the batch."""
        return tuple(self.index.shape[1:])

    @property
    def is_whole(self) -> bool:
        """Whether every number of the memory is one of the tensor, once."""
        if self.index.numel() != self.memory.pixels * self.memory.channels:
            return False
        once = torch.zeros(self.memory.pixels * self.memory.pitch, dtype=torch.bool)
        once[self.index.flatten()] = True
        return int(once.sum()) == self.index.numel()

    def as_image(self) -> Floats | None:
        """The memory with the tensor's rows and columns, if its first axis are the channels; else `None`."""
        return self._as(Placed.image(self.memory.name, self.shape))

    def as_lines(self) -> Floats | None:
        """The memory with the tensor's tokens as pixels, if its last axis are the channels; else `None`."""
        return self._as(Placed.lines(self.memory.name, self.shape)) if self.shape else None

    def _as(self, other: "Placed") -> Floats | None:
        same = self.memory.pixels * self.memory.pitch == other.memory.pixels * other.memory.pitch
        return replace(other.memory, data=self.memory.data) if same and self.index.equal(other.index) else None


def places(memory: Floats) -> Tensor:
    """Of every number, `(pixels, channels)`."""
    return torch.arange(memory.pixels)[:, None] * memory.pitch + torch.arange(memory.channels)


def separate(table: Tensor) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]] | None:
    """Places `(rows, columns, channels)` as sums of one number for each axis, or `None` if they are none."""
    rows, columns, channels = table[:, 0, 0], table[0, :, 0] - table[0, 0, 0], table[0, 0, :] - table[0, 0, 0]
    if not table.equal(rows[:, None, None] + columns[:, None] + channels):
        return None
    return _int32(rows), _int32(columns), _int32(channels)


def _int32(tensor: Tensor) -> NDArray[np.int32]:
    return tensor.numpy().astype(np.int32)


def _image(shape: tuple[int, ...]) -> tuple[int, int]:
    return plane((1, *shape[1:]), 1) if len(shape) < 4 else (1, math.prod(shape[1:]))


def _lines(shape: tuple[int, ...]) -> tuple[int, int]:
    return (shape[0], math.prod(shape[1:-1])) if len(shape) > 2 else (1, math.prod(shape[:-1]))
