"""Kernel calls of 32-bit floats, and the values that they read and write: what `kernels.h` describes, with arrays."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mobile.lowering.calls import CACHE, Call, Layer

OUTPUTS = 16
"""Outputs of a block, and what pixels are filled up to."""

Function = Literal["clamp", "hard_sigmoid", "hard_swish", "sigmoid", "silu", "gelu", "tanh", "leaky"]


@dataclass(frozen=True)
class Floats:
    """A value `(channels, rows, columns)` in the arena, `[pixel][channel]`."""

    name: str
    channels: int
    rows: int
    columns: int

    @property
    def pitch(self) -> int:
        """Floats from one pixel to the next: whole blocks of outputs are written."""
        return -(-self.channels // OUTPUTS) * OUTPUTS

    @property
    def bytes(self) -> int:
        """Memory that it needs."""
        return self.rows * self.columns * self.pitch * 4


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
    """A convolution or matrix product: blocks of 16 outputs, each with the list of the inputs that it multiplies."""

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
    def block(self) -> tuple[int, int]:
        """Rows and columns of outputs whose inputs are about `CACHE` bytes."""
        out = self.writes
        each = max(self.window.step * 4, 1)
        columns = min(max(CACHE // each // 12 * 12, 24), out.columns)
        return max(CACHE // (each * out.columns), 1), columns


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
class PadFloats(FloatCall):
    """Zeros around a value."""

    top: int
    left: int

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
    """The sum or product of two values; the second may be one pixel."""

    product: bool
    to: Bounds


@dataclass(frozen=True, eq=False)
class ActivateFloats(FloatCall):
    """A function of every number."""

    function: Function
    to: Bounds


@dataclass(frozen=True, eq=False)
class FlattenFloats(FloatCall):
    """Channels first, one after the other."""


@dataclass(frozen=True, eq=False)
class CopyFloats(FloatCall):
    """Channels of a concatenation."""

    channel: int

    @property
    def title(self) -> str:
        return f"copy {self.reads[0].name} into {self.writes.name} from {self.channel}"
