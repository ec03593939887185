"""Kernel calls of 32-bit floats, and the values that they read and write: what `kernels.h` describes, with arrays."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mobile.lowering.calls import Call, Layer

OUTPUTS = 16
"""Outputs of a block, and what pixels are filled up to."""
CACHE = 96 * 1024
"""Bytes of a block's inputs: weights and outputs have the other half of a small second-level cache."""

Around = tuple[int, int, int, int]
"""Pixels above, on the left, below and on the right."""
Function = Literal["clamp", "hard_sigmoid", "hard_swish", "sigmoid", "silu", "gelu", "gelu_tanh", "tanh", "leaky"]
Joint = Literal["add", "subtract", "multiply"]


@dataclass(frozen=True)
class Floats:
    """A value `(channels, rows, columns)` in the arena, `[pixel][channel]`; a constant has its numbers with it."""

    name: str
    channels: int
    rows: int
    columns: int
    data: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """Of a constant: `(pixels, pitch)`."""
    around: Around = (0, 0, 0, 0)
    """Pixels of zeros around it in its memory."""
    packed: bool = False
    """Whether pixels are filled up to whole fours alone; such values are read by convolutions."""

    @property
    def is_constant(self) -> bool:
        """Whether it lies outside the arena."""
        return self.data is not None

    @property
    def pixels(self) -> int:
        """Of all rows."""
        return self.rows * self.columns

    @property
    def pitch(self) -> int:
        """Floats from one pixel to the next: whole blocks of outputs are written."""
        unit = 4 if self.packed else OUTPUTS
        return -(-self.channels // unit) * unit

    @property
    def row(self) -> int:
        """Floats from one row to the next."""
        return (self.around[1] + self.columns + self.around[3]) * self.pitch

    @property
    def begin(self) -> int:
        """Floats from the beginning of the memory to the first pixel."""
        return self.around[0] * self.row + self.around[1] * self.pitch

    @property
    def bytes(self) -> int:
        """Memory that it needs."""
        return (self.around[0] + self.rows + self.around[2]) * self.row * 4


@dataclass(frozen=True)
class Bounds:
    """What a result is clamped to: a ReLU is 0 to infinity."""

    low: float = -np.inf
    high: float = np.inf


@dataclass(frozen=True, eq=False)
class FloatCall(Call):
    """A call of a kernel of floats."""

    reads: tuple[Floats, ...]
    writes: Floats

    @property
    def title(self) -> str:
        return f"{type(self).__name__.removesuffix('Floats').lower()} {self.writes.name}"


@dataclass(frozen=True, eq=False)
class Window:
    """How a layer goes over its input: floats from the inputs of one output to those of the next."""

    row: int
    step: int
    offsets: NDArray[np.int32]
    """From the first input of a pixel to each tap."""


@dataclass(frozen=True, eq=False)
class ConvolveFloats(FloatCall):
    """A convolution or matrix product: blocks of 16 outputs, each with the list of the inputs that it multiplies.

    What it reads besides its input is added to the result before it is clamped.
    """

    window: Window
    first: NDArray[np.int32]
    """`(blocks + 1,)`: where each list begins."""
    offsets: NDArray[np.int32]
    weights: NDArray[np.float32]
    """`(entries, 16)`"""
    bias: NDArray[np.float32]
    to: Bounds
    layer: Layer = field(kw_only=True)

    @property
    def block(self) -> int:
        """Outputs whose inputs are about `CACHE` bytes, in whole tiles."""
        return max(CACHE // max(self.window.step * 4, 1) // 12 * 12, 24)


@dataclass(frozen=True, eq=False)
class DepthwiseFloats(FloatCall):
    """One output for each input."""

    window: Window
    weights: NDArray[np.float32]
    """`(taps, pitch)`"""
    bias: NDArray[np.float32]
    to: Bounds
    layer: Layer = field(kw_only=True)


@dataclass(frozen=True, eq=False)
class BorderFloats(FloatCall):
    """The zeros around a value, in its own memory."""


@dataclass(frozen=True, eq=False)
class PadFloats(FloatCall):
    """A copy of a value with zeros around."""

    top: int
    left: int

    @property
    def around(self) -> Around:
        """What is added on each side."""
        read, out = self.reads[0], self.writes
        return self.top, self.left, out.rows - read.rows - self.top, out.columns - read.columns - self.left

    @property
    def prepares(self) -> bool:
        return True

    @property
    def title(self) -> str:
        return f"pad for {self.writes.name.removesuffix(' padded')}"


@dataclass(frozen=True, eq=False)
class PoolFloats(FloatCall):
    """The largest or the mean of each window."""

    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    largest: bool
    inside: bool
    """Whether the mean is of the pixels that exist."""


@dataclass(frozen=True, eq=False)
class CombineFloats(FloatCall):
    """Two values, number by number; the pixels of the second are repeated until they are as many."""

    joint: Joint
    to: Bounds


@dataclass(frozen=True, eq=False)
class ActivateFloats(FloatCall):
    """A function of every number."""

    function: Function
    to: Bounds


@dataclass(frozen=True, eq=False)
class SlopeFloats(FloatCall):
    """Numbers below zero times a slope of their channel."""

    slopes: NDArray[np.float32]
    """`(pitch,)`"""


@dataclass(frozen=True, eq=False)
class ArrangeFloats(FloatCall):
    """Numbers at other places: number `(y, x, c)` is the one at `rows[y] + columns[x] + channels[c]` of what is read.

    Transposed, shuffled and repeated values, parts of values, and values that are joined.
    """

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    channels: NDArray[np.int32]
    at: int = 0
    """Where the part begins in what is written, in floats."""

    @property
    def together(self) -> bool:
        """Whether channels are neighbours in what is read."""
        return bool((self.channels == np.arange(len(self.channels))).all())

    @property
    def title(self) -> str:
        return f"arrange {self.reads[0].name} in {self.writes.name} from {self.at}"


@dataclass(frozen=True, eq=False)
class ResampleFloats(FloatCall):
    """Weighted sums of rows and of columns: what every separable interpolation is."""

    rows: "Taps"
    columns: "Taps"


@dataclass(frozen=True, eq=False)
class Taps:
    """For each result of an axis, the places that it reads and their weights: `(results, taps)`."""

    places: NDArray[np.int32]
    weights: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class NormFloats(FloatCall):
    """Each pixel less its mean, over its deviation, times a weight and plus a bias of its channels."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    epsilon: float


@dataclass(frozen=True, eq=False)
class SoftmaxFloats(FloatCall):
    """Over the channels of each pixel."""


@dataclass(frozen=True, eq=False)
class MultiplyFloats(FloatCall):
    """Matrix products of two values, one for each row that is written: `columns` x `inner` times `inner` x `channels`.

    Where the matrices begin, and what lies between their neighbours, in floats.
    """

    inner: int
    begins: tuple[NDArray[np.int32], NDArray[np.int32]]
    steps: tuple[tuple[int, int], tuple[int, int]]
    """Of each value, from row to row and from column to column of its matrices."""
    scale: float
    """What every sum is multiplied by."""

    @property
    def scratch(self) -> tuple[Floats]:
        """Sixteen columns of the second matrix, as the kernel takes them."""
        return (Floats(f"{self.writes.name} columns", OUTPUTS, self.inner, 1),)


@dataclass(frozen=True, eq=False)
class EmbedFloats(FloatCall):
    """For each number its row of a table, which is a constant; numbers beyond its ends are those at its ends."""
