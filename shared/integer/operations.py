"""What an integer program may do: multiply by constants, add, shift, compare. Shapes, formats and proven ranges."""

import abc
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.integer.format import WIDEST, Format, saturate, shift

SUM = 32  # bits of an accumulator, wherever its sums provably fit


class Value(NamedTuple):
    """An array in a program: its shape without the batch axis, its format, and the integers it can reach."""

    shape: tuple[int, ...]
    """Channels first, like torch: `(C,)`, `(C, L)` or `(C, H, W)`."""
    format: Format
    low: int
    """No input makes any element smaller than this: an interval bound, so perhaps not reached."""
    high: int

    @classmethod
    def full(cls, shape: Sequence[int], format: Format) -> "Value":
        """A value that may be anything its format holds."""
        return cls(tuple(shape), format, format.low, format.high)

    @classmethod
    def exact(cls, shape: tuple[int, ...], fraction: int, low: int, high: int) -> "Value":
        """A sum or product that is not rounded: of 32 bits if it provably fits, else of 53.

        Raises `ValueError` for more.
        """
        for word in (SUM, WIDEST):
            format = Format(word, fraction)
            if format.low <= low and high <= format.high:
                return cls(shape, format, low, high)
        raise ValueError(f"sums may reach {low} to {high}, beyond {WIDEST} bits: fewer inputs or narrower words")


@dataclass(frozen=True, eq=False)
class Constant:
    """Constant integers in their format. Stored read-only in the narrowest integer type.

    Raises `ValueError` for integers beyond the format and `TypeError` for anything but integers.

    >>> Constant(np.array([[3, -4]]), Format(8, 2))
    Constant(int8 (1, 2), Format(word=8, fraction=2, signed=True))
    """

    integers: NDArray[Any]
    format: Format

    def __post_init__(self) -> None:
        integers = np.asarray(self.integers)
        if integers.dtype.kind not in "iu":
            raise TypeError(f"Constant needs integers, got {integers.dtype}: use {self.format}.to_integers")
        if not self.format.holds(integers):
            raise ValueError(f"{self.format} holds {self.format.low} to {self.format.high}, got {_span(integers)}")
        own = integers.astype(self.format.dtype, order="C")
        own.flags.writeable = False
        object.__setattr__(self, "integers", own)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Constant):
            return NotImplemented
        return self.format == other.format and np.array_equal(self.integers, other.integers)

    def __hash__(self) -> int:
        return hash((self.format, self.integers.shape, self.integers.tobytes()))

    def __repr__(self) -> str:
        return f"Constant({self.integers.dtype} {self.integers.shape}, {self.format})"


@dataclass(frozen=True)
class Operation(abc.ABC):
    """One step: reads named values, writes one."""

    inputs: tuple[str, ...]
    output: str
    takes: ClassVar[int | None] = 1
    """How many values it reads; `None`: one or more."""

    @property
    def constants(self) -> tuple[Constant, ...]:
        """Those that it holds, in the order of its fields."""
        return tuple(field for field in vars(self).values() if isinstance(field, Constant))

    @abc.abstractmethod
    def infer(self, *inputs: Value) -> Value:
        """Shape, format and proven range of the output.

        Raises `ValueError` if the inputs do not fit, in a sentence without the operation's name: `Program` adds it.
        """


@dataclass(frozen=True)
class AbstractWeighted(Operation):
    """Sums of products with constant weights, plus a bias. Exact, in a format with the fraction bits of both."""

    weight: Constant
    """`(out, in, ...)`."""
    bias: Constant | None = None
    """`(out,)`, with the fraction bits of input and weight together."""

    @property
    def bias_integers(self) -> NDArray[np.int64]:
        """The bias, `(out,)`; zeros where there is none."""
        if self.bias is None:
            return np.zeros(len(self.weight.integers), np.int64)
        return self.bias.integers.astype(np.int64)

    def sums(self, x: Value, shape: tuple[int, ...]) -> Value:
        """The output for an input `x`. Its range covers all partial sums too, in any order, bias or not."""
        out = self.weight.integers.shape[0]
        fraction = x.format.fraction + self.weight.format.fraction
        low, high = min(x.low, 0), max(x.high, 0)  # 0: padding, and terms not yet added
        flat = self.weight.integers.reshape(out, -1).astype(np.int64)
        plus, minus = np.maximum(flat, 0).sum(1), np.minimum(flat, 0).sum(1)
        lows, highs = plus * low + minus * high, plus * high + minus * low
        if self.bias is not None:
            _check_bias(self.bias, out, x.format, self.weight.format)
            lows, highs = lows + np.minimum(self.bias_integers, 0), highs + np.maximum(self.bias_integers, 0)
        return Value.exact(shape, fraction, int(lows.min()), int(highs.max()))


@dataclass(frozen=True)
class Linear(AbstractWeighted):
    """`y = W x + b`; `x` is `(in,)`, the weight `(out, in)`."""

    def infer(self, *inputs: Value) -> Value:
        (x,) = inputs
        if self.weight.integers.ndim != 2 or x.shape != self.weight.integers.shape[1:]:
            raise ValueError(
                f"a weight {self.weight.integers.shape} needs {self.weight.integers.shape[1:]}, got {x.shape}"
            )
        return self.sums(x, self.weight.integers.shape[:1])


@dataclass(frozen=True)
class AbstractConvolution(AbstractWeighted):
    """Correlation with zero padding on both sides, as `torch.nn.functional.conv1d` and `conv2d`."""

    stride: tuple[int, ...] = ()
    """One number per axis; filled with 1."""
    padding: tuple[int, ...] = ()
    """One number per axis; filled with 0."""
    groups: int = 1
    """The weight is `(out, in / groups, ...)`; depthwise: as many groups as inputs."""
    axes: ClassVar[int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "stride", tuple(self.stride) or (1,) * self.axes)
        object.__setattr__(self, "padding", tuple(self.padding) or (0,) * self.axes)

    @property
    def kernel(self) -> tuple[int, ...]:
        """The kernel's size along each axis."""
        return self.weight.integers.shape[2:]

    def infer(self, *inputs: Value) -> Value:
        (x,) = inputs
        weight = self.weight.integers.shape
        if len(weight) != self.axes + 2:
            raise ValueError(f"the weight must have {self.axes + 2} axes (out, in / groups, ...), got {weight}")
        if len(x.shape) != self.axes + 1 or x.shape[0] != weight[1] * self.groups or weight[0] % self.groups:
            raise ValueError(f"a weight {weight} in {self.groups} groups does not fit an input {x.shape}")
        shape = _windows(x.shape[1:], self.kernel, self.stride, self.padding)
        return self.sums(x, (weight[0], *shape))


@dataclass(frozen=True)
class Conv1d(AbstractConvolution):
    """Convolution of `(C, L)`."""

    axes: ClassVar[int] = 1


@dataclass(frozen=True)
class Conv2d(AbstractConvolution):
    """Convolution of `(C, H, W)`."""

    axes: ClassVar[int] = 2


@dataclass(frozen=True)
class Add(Operation):
    """The sum of two values of one shape; the one with fewer fraction bits is shifted left first. Exact."""

    takes: ClassVar[int] = 2

    def infer(self, *inputs: Value) -> Value:
        a, b = inputs
        if a.shape != b.shape:
            raise ValueError(f"the terms must have one shape, got {a.shape} and {b.shape}")
        fraction = max(a.format.fraction, b.format.fraction)
        i, j = (1 << fraction - term.format.fraction for term in inputs)
        return Value.exact(a.shape, fraction, a.low * i + b.low * j, a.high * i + b.high * j)


@dataclass(frozen=True)
class Requantise(Operation):
    """Shift to the fraction of `format`, ties to even, then saturate. The only operation that rounds.

    An unsigned format makes it a ReLU as well, and its upper end a clip.
    """

    format: Format

    def infer(self, *inputs: Value) -> Value:
        (x,) = inputs
        bits = x.format.fraction - self.format.fraction
        if bits > 62 or max(-x.low, x.high) << max(-bits, 0) >= 1 << 63:
            raise ValueError(f"a shift by {bits} bits does not fit 64-bit integers")
        low, high = saturate(shift(np.array([x.low, x.high]), bits), self.format).tolist()
        return Value(x.shape, self.format, low, high)


@dataclass(frozen=True)
class Clip(Operation):
    """Integers below `low` become `low`, those above `high` become `high`: a ReLU6 behind its `Requantise`."""

    low: int
    high: int

    def infer(self, *inputs: Value) -> Value:
        (x,) = inputs
        if not x.format.low <= self.low <= self.high <= x.format.high:
            raise ValueError(f"limits {self.low} to {self.high} must lie inside {x.format.low} to {x.format.high}")
        return Value(x.shape, x.format, min(max(x.low, self.low), self.high), max(min(x.high, self.high), self.low))


@dataclass(frozen=True)
class AbstractPool(Operation):
    """Over windows of `size`, without padding; a partial window at the end is dropped, as in torch."""

    size: tuple[int, ...]
    stride: tuple[int, ...] = field(default=())
    """One number per axis; filled with `size`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "stride", tuple(self.stride) or self.size)

    def shape(self, x: Value) -> tuple[int, ...]:
        if len(x.shape) != len(self.size) + 1:
            raise ValueError(f"a window {self.size} needs {len(self.size) + 1} axes, got {x.shape}")
        return (x.shape[0], *_windows(x.shape[1:], self.size, self.stride, (0,) * len(self.size)))


@dataclass(frozen=True)
class MaxPool(AbstractPool):
    """The largest of each window."""

    def infer(self, *inputs: Value) -> Value:
        return Value(self.shape(inputs[0]), *inputs[0][1:])


@dataclass(frozen=True)
class AveragePool(AbstractPool):
    """The sum of each window, read with `bits` more fraction bits: a division by `2**bits` that costs nothing. Exact.

    `bits = round(log2(n))` for windows of `n`. The factor `2**bits / n` that is missing from an average is folded into
    the weights that follow (F8Net).
    """

    @property
    def bits(self) -> int:
        """The shift, from the window's size."""
        return round(math.log2(math.prod(self.size)))

    def infer(self, *inputs: Value) -> Value:
        (x,) = inputs
        n = math.prod(self.size)
        return Value.exact(self.shape(x), x.format.fraction + self.bits, x.low * n, x.high * n)


@dataclass(frozen=True)
class Flatten(Operation):
    """`(C, ...)` to `(C * ...,)`, the last axis fastest."""

    def infer(self, *inputs: Value) -> Value:
        return Value((math.prod(inputs[0].shape),), *inputs[0][1:])


@dataclass(frozen=True)
class PixelShuffle(Operation):
    """`(C * factor^2, H, W)` to `(C, factor * H, factor * W)`, as `torch.nn.PixelShuffle`: only the places change."""

    factor: int

    def infer(self, *inputs: Value) -> Value:
        (x,) = inputs
        if len(x.shape) != 3 or self.factor < 1 or x.shape[0] % self.factor**2:
            raise ValueError(f"factor {self.factor} needs an image of a multiple of its square channels, got {x.shape}")
        channels, rows, columns = x.shape
        return Value((channels // self.factor**2, rows * self.factor, columns * self.factor), *x[1:])


def _windows(
    size: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...]
) -> tuple[int, ...]:
    if not len(size) == len(kernel) == len(stride) == len(padding) or min(*kernel, *stride) < 1 or min(padding) < 0:
        raise ValueError(f"kernel {kernel}, stride {stride}, padding {padding} do not fit the axes {size}")
    shape = tuple((n + 2 * p - k) // s + 1 for n, k, s, p in zip(size, kernel, stride, padding, strict=True))
    if min(shape) < 1:
        raise ValueError(f"a window {kernel} does not fit {size} with padding {padding}")
    return shape


def _check_bias(bias: Constant, out: int, x: Format, weight: Format) -> None:
    if bias.integers.shape != (out,):
        raise ValueError(f"the bias must be ({out},), got {bias.integers.shape}")
    if bias.format.fraction != x.fraction + weight.fraction:
        raise ValueError(
            f"the bias needs {x.fraction + weight.fraction} fraction bits, {x.fraction} of the input and "
            f"{weight.fraction} of the weight, got {bias.format.fraction}"
        )


def _span(integers: NDArray[Any]) -> str:
    return f"{int(integers.min())} to {int(integers.max())}"
