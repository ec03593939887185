"""Counts what an integer program needs, and proves how wide its multipliers are."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from shared.integer import operations
from shared.integer.catalogue import OPERATIONS
from shared.integer.program import Program
from shared.integer.tokens import MatrixProduct


@dataclass(frozen=True)
class Count:
    """What one operation needs for one sample."""

    name: str
    kind: str
    shape: tuple[int, ...]
    macs: int
    """Multiply-accumulates, padding included."""
    nonzero_macs: int
    """Those whose weight is not zero."""
    multiplier: tuple[int, int] | None
    """Bits of input and weight; `None` if nothing is multiplied."""
    bits: int
    """Two's complement bits that hold the output, and every partial sum on the way, whatever the input."""
    weight_bytes: int
    bias_bytes: int


@dataclass(frozen=True)
class Audit:
    """The counts of a program, operation by operation, and their sums."""

    counts: tuple[Count, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates per sample."""
        return sum(count.macs for count in self.counts)

    @property
    def nonzero_macs(self) -> int:
        """Multiply-accumulates per sample whose weight is not zero."""
        return sum(count.nonzero_macs for count in self.counts)

    @property
    def bytes(self) -> int:
        """Weights and biases."""
        return sum(count.weight_bytes + count.bias_bytes for count in self.counts)

    @property
    def multipliers(self) -> dict[tuple[int, int], int]:
        """How many multiplications each width does, per sample."""
        widths = {count.multiplier for count in self.counts if count.multiplier}
        return {w: sum(count.macs for count in self.counts if count.multiplier == w) for w in sorted(widths)}

    def require(self, bits: int = 8) -> None:
        """Raises `ValueError` naming the first operation that multiplies more than `bits` by `bits`."""
        for count in self.counts:
            if count.multiplier and max(count.multiplier) > bits:
                wide = " x ".join(map(str, count.multiplier))
                raise ValueError(f"{count.kind} {count.name!r} multiplies {wide} bits, more than {bits} x {bits}")


def audit(program: Program) -> Audit:
    """Counts per operation, after a proof that only integers stand between inputs and outputs.

    The proof: every operation is exactly of a type that multiplies integers, adds, divides, shifts, compares, looks up
    and moves, and a `Constant` holds nothing but integers.

    Raises `TypeError` naming the operation that breaks it.

    >>> from shared.integer.format import Format
    >>> from shared.integer import Constant, Input, Linear
    >>> weight = Constant(np.array([[3, 0, -4]]), Format(8, 6))
    >>> counts = audit(Program((Input("x", (3,), Format(8, 0)),), (Linear(("x",), "y", weight),), ("y",)))
    >>> counts.macs, counts.nonzero_macs, counts.multipliers, counts.counts[0].bits
    (3, 2, {(8, 8): 3}, 11)
    """
    for operation in program.operations:
        if type(operation) not in OPERATIONS:
            raise TypeError(f"{type(operation).__name__} {operation.output!r} is not an integer operation")
    return Audit(tuple(_counts(program)))


def bits(value: operations.Value) -> int:
    """Two's complement bits that hold all integers a value can reach; of a natural number, without a sign bit."""
    if value.low >= 0:
        return max(value.high.bit_length(), 1)
    return max((-value.low - 1).bit_length(), value.high.bit_length()) + 1


def _counts(program: Program) -> Iterator[Count]:
    for operation in program.operations:
        y = program.values[operation.output]
        macs, nonzero, multiplier, weight_bytes, bias_bytes = 0, 0, None, 0, 0
        if isinstance(operation, operations.AbstractWeighted):
            positions, weight = math.prod(y.shape[1:]), operation.weight
            macs, nonzero = weight.integers.size * positions, int(np.count_nonzero(weight.integers)) * positions
            multiplier = (program.values[operation.inputs[0]].format.word, weight.format.word)
            weight_bytes = weight.integers.nbytes
            bias_bytes = operation.bias.integers.nbytes if operation.bias else 0
        elif isinstance(operation, MatrixProduct):
            pixels, weights = (program.values[name] for name in operation.inputs)
            macs = nonzero = math.prod(y.shape) * pixels.shape[0]
            multiplier = (pixels.format.word, weights.format.word)
        else:
            weight_bytes = sum(each.integers.nbytes for each in operation.constants)
        kind = type(operation).__name__
        yield Count(operation.output, kind, y.shape, macs, nonzero, multiplier, bits(y), weight_bytes, bias_bytes)
