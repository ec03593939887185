"""Operations on single integers: differences and products of two values, and functions as tables."""

from dataclasses import dataclass
from typing import ClassVar

from shared.integer.operations import Constant, Operation, Value


@dataclass(frozen=True)
class Subtract(Operation):
    """The first value less the second; the one with fewer fraction bits is shifted left first, as in `Add`. Exact."""

    takes: ClassVar[int] = 2

    def infer(self, *inputs: Value) -> Value:
        a, b = inputs
        if a.shape != b.shape:
            raise ValueError(f"the terms must have one shape, got {a.shape} and {b.shape}")
        fraction = max(a.format.fraction, b.format.fraction)
        i, j = (1 << fraction - term.format.fraction for term in inputs)
        return Value.exact(a.shape, fraction, a.low * i - b.high * j, a.high * i - b.low * j)


@dataclass(frozen=True)
class Multiply(Operation):
    """The product of two values, number by number; the second may have one number for each channel. Exact."""

    takes: ClassVar[int] = 2

    def infer(self, *inputs: Value) -> Value:
        a, b = inputs
        if b.shape not in (a.shape, (a.shape[0], *(1 for _ in a.shape[1:]))):
            raise ValueError(
                f"the factors must have one shape, or the second one number a channel: {a.shape}, {b.shape}"
            )
        ends = [i * j for i in (a.low, a.high) for j in (b.low, b.high)]
        return Value.exact(a.shape, a.format.fraction + b.format.fraction, min(ends), max(ends))


@dataclass(frozen=True)
class Table(Operation):
    """For every integer `x` the entry `x - low` of its channel's row, where `low` is the lowest of the input's format.

    Any function of numbers of at most 8 bits, such as GELU, hard-swish or a ReLU that leaks.
    """

    entries: Constant
    """`(1, 2**word)` for all channels alike, or `(channels, 2**word)`."""

    def infer(self, *inputs: Value) -> Value:
        (x,) = inputs
        shape = self.entries.integers.shape
        if x.format.word > 8:
            raise ValueError(f"it looks up {x.format.word} bits: at most 8, requantise first")
        if shape not in ((1, 1 << x.format.word), (x.shape[0], 1 << x.format.word)):
            raise ValueError(
                f"{x.shape[0]} channels of {x.format.word} bits need one row of {1 << x.format.word} entries, or one "
                f"for each channel, got {shape}"
            )
        reached = self.entries.integers[:, x.low - x.format.low : x.high - x.format.low + 1]
        return Value(x.shape, self.entries.format, int(reached.min()), int(reached.max()))
