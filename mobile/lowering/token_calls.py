"""Kernel calls of attention, of moves and of tables, in integers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobile.lowering.calls import Call, Rounding, View

CHUNK_PIXELS = 64
"""Pixels that a kernel of chunks takes at a time, as the kernels define it."""


@dataclass(frozen=True)
class Room:
    """Memory that one call needs for itself."""

    name: str
    bytes: int
    channels: int = 1
    rows: int = 1
    columns: int = 1


@dataclass(frozen=True, eq=False)
class Table(Call):
    """A byte for each byte, by tables of 256."""

    reads: tuple[View]
    writes: View
    tables: NDArray[np.uint8]
    """`(1, 256)` or `(channels, 256)`, channels filled up to four; by what a byte of the arena holds, to the same."""


@dataclass(frozen=True, eq=False)
class Multiply(Call):
    """Products of two values, number by number, rounded."""

    reads: tuple[View, View]
    writes: View
    to: Rounding

    @property
    def by_channel(self) -> bool:
        """Whether the second has one number for each channel of several pixels."""
        return self.reads[1].pixels == 1 < self.reads[0].pixels


@dataclass(frozen=True, eq=False)
class Fill(Call):
    """A constant, copied into the arena."""

    reads: tuple[()]
    writes: View
    data: NDArray[np.uint8] | NDArray[np.int32]
    """As it lies there: `(planes, stride, 4)`."""


@dataclass(frozen=True, eq=False)
class Rearrange(Call):
    """Runs of numbers at other places; several calls may fill one value."""

    reads: tuple[View]
    writes: View
    each: int
    """4: four channels of neighbouring pixels at a time, 1: one channel of them."""
    runs: NDArray[np.int32]
    """`(runs, 3)`: where each begins in what is read and in what is written, in numbers, and its pixels."""
    part: int = 0
    """Of the calls that fill one value."""

    @property
    def title(self) -> str:
        return f"rearrange {self.writes.name}" + (f" part {self.part}" if self.part else "")


@dataclass(frozen=True, eq=False)
class Resample(Call):
    """Weighted sums of rows and of columns, rounded."""

    reads: tuple[View]
    writes: View
    rows: tuple[NDArray[np.int32], NDArray[np.int32]]
    """Places and weights, each `(results, taps)`."""
    columns: tuple[NDArray[np.int32], NDArray[np.int32]]
    only_moves: bool
    to: Rounding

    @property
    def scratch(self) -> tuple[Room]:
        """The sum of a row."""
        return (Room(f"{self.writes.name} room", 16 * self.reads[0].columns),)


@dataclass(frozen=True, eq=False)
class Embed(Call):
    """For each number its row of a table."""

    reads: tuple[View]
    writes: View
    table: NDArray[np.uint8]
    """`(rows, channels)`, channels filled up to four."""


@dataclass(frozen=True, eq=False)
class Norm(Call):
    """A layer norm over the channels of each pixel, rounded."""

    reads: tuple[View]
    writes: View
    weight: NDArray[np.int32]
    bias: NDArray[np.int32]
    epsilon: int
    to: Rounding


@dataclass(frozen=True, eq=False)
class Softmax(Call):
    """Shares over the channels of each pixel."""

    reads: tuple[View]
    writes: View
    exponentials: NDArray[np.int32]

    @property
    def scratch(self) -> tuple[Room]:
        """The exponentials of a chunk of pixels."""
        return (Room(f"{self.writes.name} room", self.writes.planes * CHUNK_PIXELS * 16),)


@dataclass(frozen=True, eq=False)
class Product(Call):
    """Products of two values, one for each row."""

    reads: tuple[View, View]
    writes: View
    transposed: bool
    inner: int
    more: int
    """What is added to every sum; see `rounds_up`."""
    to: Rounding

    @property
    def scratch(self) -> tuple[Room]:
        """Of four outputs a bias and the second value as the products take it."""
        return (Room(f"{self.writes.name} room", 16 + 16 * -(-self.inner // 4)),)
