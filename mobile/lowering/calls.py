"""Kernel calls, and the values that they read and write: what `kernels.h` describes, with arrays."""

from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mobile.kernels import LANES
from shared.integer.format import Format

CACHE = 24 * 1024
"""Bytes of a block's inputs: weights and outputs have the other half of a small second-level cache."""
SIGNED_ZERO = 128
"""What a byte holds for 0 where values are signed: bytes in the arena are unsigned, as the dot products want them."""


class Value(Protocol):
    """What lies in the arena."""

    @property
    def name(self) -> str:
        """Of the value, or of the layer that it is laid out for."""

    @property
    def bytes(self) -> int:
        """Memory that it needs."""

    @property
    def channels(self) -> int:
        """Of an image, a line or a vector."""

    @property
    def rows(self) -> int:
        """1 for lines and vectors."""

    @property
    def columns(self) -> int:
        """1 for vectors."""


def plane_stride(pixels: int) -> int:
    """Pixels from one plane to the next.

    Planes a multiple of 1 KiB apart would meet in the same few places of the first-level cache.
    """
    vectors = -(-pixels // LANES)
    return (vectors + (vectors % 16 == 0)) * LANES


@dataclass(frozen=True)
class View:
    """A value `(channels, rows, columns)` in the arena, `[channels / 4][pixel][4]`; see `kernels.h`."""

    name: str
    channels: int
    rows: int
    columns: int
    pitch: int
    zero: int
    sums: bool

    @property
    def pixels(self) -> int:
        """From the first pixel to the last, ends of rows between them included."""
        return (self.rows - 1) * self.pitch + self.columns

    @property
    def stride(self) -> int:
        """Pixels of a plane; a vector is stored densely, since its planes are written in order."""
        return 1 if self.pixels == 1 else plane_stride(self.pixels)

    @property
    def planes(self) -> int:
        """Planes of four channels."""
        return -(-self.channels // 4)

    @property
    def bytes(self) -> int:
        """Memory that it needs, with a vector behind the end that may be read and overwritten."""
        return (self.planes * self.stride + LANES) * 4 * (4 if self.sums else 1)


@dataclass(frozen=True)
class Spread:
    """The padded images of each stride's phases, `(phases, rows, columns, 4)` bytes of each plane."""

    layer: str
    source: View
    rows: int
    columns: int
    padding: tuple[int, int]
    stride: tuple[int, int]
    phases: tuple[int, int]
    tail: int
    """Pixels of padding behind the last row, where rows have none on the right of their own."""

    @property
    def name(self) -> str:
        """No value has a name with a space in it."""
        return f"{self.layer} spread"

    @property
    def channels(self) -> int:
        """As many as those of the value that was spread."""
        return self.source.channels

    @property
    def plane(self) -> int:
        """Bytes from one plane of four channels, all phases, to the next."""
        return plane_stride(self.phases[0] * self.phases[1] * self.rows * self.columns + self.tail) * 4

    @property
    def bytes(self) -> int:
        """Memory that it needs, with a vector behind the end that may be read."""
        return self.source.planes * self.plane + LANES * 4


def pixel_block(source: View | Spread, pixels: int) -> int:
    """Of `pixels`, those whose inputs are `CACHE` bytes."""
    return max(pixels * CACHE // source.bytes, 1)


@dataclass(frozen=True)
class Rounding:
    """How sums become a value: a shift, ties to even, within `low` to `high`."""

    left: int
    right: int
    low: int
    high: int
    wide: bool

    @property
    def is_exact(self) -> bool:
        """Whether nothing is shifted."""
        return self.left == self.right == 0

    def clipped(self, low: int, high: int) -> "Rounding":
        """As this, then within `low` to `high`."""
        return replace(self, low=max(self.low, low), high=min(self.high, high))


UNCHANGED = Rounding(0, 0, -(2**31), 2**31 - 1, False)
"""Sums as they are."""


def rounding(fraction: int, format: Format) -> Rounding:
    """From sums of `fraction` bits to `format`. With 32 bits where no step can overflow, else with 64."""
    bits = fraction - format.fraction
    wide = not (-16 <= bits <= 30) or (bits < 0 and format.word > 8)
    return Rounding(max(-bits, 0), max(bits, 0), format.low, format.high, wide)


def rounds_up(to: Rounding, zero: int) -> int:
    """What kernels want added to sums that become bytes: half of the last digit that is kept, and `zero` of the result.

    Where no digit is dropped they add `zero` themselves.
    """
    return (zero << to.right) + (1 << (to.right - 1)) if to.right else 0


@dataclass(frozen=True, eq=False)
class Lists:
    """Weights in blocks of `rows` outputs x 4 inputs, and which inputs each block multiplies."""

    rows: int
    first: NDArray[np.int32]
    """`(blocks + 1,)`"""
    paired: NDArray[np.int32]
    """Entries of each block, from its first, that are added in pairs; see `mobile.lowering.pairs`: `(blocks,)`."""
    offsets: NDArray[np.int32]
    """Bytes from a pixel: `(entries,)`."""
    weights: NDArray[np.int8]
    """`(entries, rows, 4)`"""

    @property
    def groups(self) -> int:
        """Groups of four weights that a pixel is multiplied by, over all outputs."""
        return len(self.offsets) * self.rows

    @property
    def single_groups(self) -> int:
        """Those of them that are not added in pairs."""
        return self.groups - int(self.paired.sum()) * self.rows

    @property
    def sums(self) -> NDArray[np.int64]:
        """That of every output's weights: `(outputs,)`."""
        return _sums(self.weights.sum(2, dtype=np.int64), self.first).ravel()

    @property
    def macs(self) -> int:
        """Multiply-accumulates for a pixel, zeros in kept blocks included."""
        return 4 * self.groups

    @property
    def bytes(self) -> int:
        """Of weights and lists."""
        return self.weights.nbytes + self.offsets.nbytes + self.first.nbytes + self.paired.nbytes


@dataclass(frozen=True, eq=False)
class DepthwiseLists:
    """The taps of each plane of four channels, four at a time, filled up with weights that are zero."""

    first: NDArray[np.int32]
    """Where the taps of each plane begin, a multiple of four: `(planes + 1,)`."""
    offsets: NDArray[np.int32]
    """Bytes from a pixel: `(taps,)`."""
    weights: NDArray[np.int8]
    """`(taps / 4, channels, taps)`, four of each."""

    @property
    def sums(self) -> NDArray[np.int64]:
        """That of every channel's weights: `(channels,)`."""
        return _sums(self.weights.sum(2, dtype=np.int64), self.first // 4).ravel()


def _sums(entries: NDArray[np.int64], first: NDArray[np.int32]) -> NDArray[np.int64]:
    """Sums of the entries `(entries, ...)` of every list; lists may be empty."""
    return np.diff(np.concatenate([np.zeros((1, *entries.shape[1:]), np.int64), entries.cumsum(0)])[first], axis=0)


@dataclass(frozen=True, eq=False)
class Layer:
    """How a layer with weights is computed, and why."""

    name: str
    kind: str
    format: str
    dense_macs: int
    """Of the layer as the program states it, zeros and padding included."""
    executed_macs: int
    """That the kernel executes: zeros in kept blocks and pixels at the ends of rows included."""
    bytes: int
    predicted_ms: float | None
    reason: str
    all_zero: bool
    """Whether no weight is other than zero: a gain that training may not have earned."""


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a kernel."""

    reads: tuple[Value, ...]
    writes: Value
    layer: Layer | None = field(default=None, kw_only=True)
    """The layer with weights that it computes, if any."""

    @property
    def prepares(self) -> bool:
        """Whether all it does is to lay out what the next call reads."""
        return False

    @property
    def scratch(self) -> tuple[Value, ...]:
        """What it writes and reads on its way, and nobody else."""
        return ()

    @property
    def title(self) -> str:
        """What it computes, for tables."""
        return f"{type(self).__name__.lower()} {self.writes.name}"


@dataclass(frozen=True, eq=False)
class SpreadCall(Call):
    """Pads and takes strides apart."""

    reads: tuple[View]
    writes: Spread

    @property
    def prepares(self) -> bool:
        return True

    @property
    def title(self) -> str:
        return f"spread for {self.writes.layer}"


@dataclass(frozen=True, eq=False)
class Convolve(Call):
    """A convolution or matrix product, to whose sums the second value is added, if there is one."""

    reads: tuple[View | Spread] | tuple[View | Spread, View]
    writes: View
    pixels: int
    block: int
    """Pixels that are computed for all outputs in turn."""
    lists: Lists
    bias: NDArray[np.int32]
    to: Rounding
    shifts: tuple[int, int] = (0, 0)
    """To the left, of the sums and of the second value."""
    constant: int = 0
    """What is added then; see `rounds_up`."""
    layer: Layer = field(kw_only=True)


@dataclass(frozen=True, eq=False)
class Depthwise(Call):
    """One output for each input."""

    reads: tuple[View | Spread]
    writes: View
    pixels: int
    lists: DepthwiseLists
    bias: NDArray[np.int32]
    to: Rounding
    layer: Layer = field(kw_only=True)


@dataclass(frozen=True, eq=False)
class Pool(Call):
    """The largest or the sum of each window."""

    reads: tuple[View]
    writes: View
    size: tuple[int, int]
    stride: tuple[int, int]
    largest: bool
    to: Rounding


@dataclass(frozen=True, eq=False)
class Add(Call):
    """One value, or the sum or difference of two, shifted left, then rounded."""

    reads: tuple[View, ...]
    writes: View
    shifts: tuple[int, int]
    to: Rounding
    minus: bool = False
    """Whether the second is subtracted."""


@dataclass(frozen=True, eq=False)
class Shuffle(Call):
    """Channels as squares of pixels, and perhaps of an image, the anchor, each pixel added to all of its square."""

    reads: tuple[View, ...]
    writes: View
    factor: int
    shifts: tuple[int, int] = (0, 0)
    """To the left, of both terms."""
    to: Rounding = UNCHANGED


@dataclass(frozen=True, eq=False)
class Flatten(Call):
    """Channels first, one after the other."""

    reads: tuple[View]
    writes: View


@dataclass(frozen=True, eq=False)
class Lowered:
    """A net as kernel calls, with the place of every value."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    calls: tuple[Call, ...]
    places: dict[str, int] = field(default_factory=dict)
    """Bytes from the beginning of the arena."""
    arena: int = 0
    """Bytes."""

    @property
    def layer_calls(self) -> tuple[tuple[Layer, tuple[Call, ...]], ...]:
        """The layers with weights, in order, each with its call and the one that spreads or pads its input alone."""
        return tuple(
            (
                call.layer,
                tuple(each for each in self.calls if each is call or (each.prepares and each.writes is call.reads[0])),
            )
            for call in self.calls
            if call.layer is not None
        )

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Those with weights, in order."""
        return tuple(layer for layer, _ in self.layer_calls)

    @property
    def executed_macs(self) -> int:
        """Of all layers."""
        return sum(layer.executed_macs for layer in self.layers)


def c_fields(view: View) -> dict[str, Any]:
    """The fields of `struct qw_view`, without its place."""
    names = ("channels", "rows", "columns", "pitch", "stride", "zero")
    return {name: getattr(view, name) for name in names} | {"sums": int(view.sums)}
