"""Operations of attention: products of two values, softmax and layer norms in integers alone, tables of words."""

import math
from dataclasses import dataclass
from typing import ClassVar, Final

from shared.integer.format import Format
from shared.integer.operations import Constant, Operation, Value

SHARES: Final = Format(8, 8, signed=False)
"""Of a softmax."""
EXPONENTIAL_BITS: Final = 15
"""Fraction bits of the entries of a softmax's tables."""
NORMAL_BITS: Final = 9
"""Fraction bits of a number over the deviation of its position, in a layer norm."""
MOST_CHANNELS: Final = 1 << 12
"""Of a layer norm: all of its integers but two sums of squares have 32 bits then."""


@dataclass(frozen=True)
class MatrixProduct(Operation):
    """Products of two values, one for each row: what attention multiplies. Exact.

    ```
    y[n, h, m] = sum_k pixels[k, h, m] weights[k, h, n]      `transposed`
    y[n, h, m] = sum_k pixels[k, h, m] weights[n, h, k]      otherwise
    ```
    Its inputs are `pixels` `(K, H, M)`, of at most 8 bits, and `weights`, of at most 8 bits with a sign.
    """

    transposed: bool = False
    takes: ClassVar[int] = 2

    @property
    def inner_axis(self) -> int:
        """The axis of `weights` that is summed over."""
        return 0 if self.transposed else 2

    def infer(self, *inputs: Value) -> Value:
        pixels, weights = inputs
        if len(pixels.shape) != 3 or len(weights.shape) != 3:
            raise ValueError(f"values (C, H, W) are needed, got {pixels.shape} and {weights.shape}")
        inner, rows, columns = pixels.shape
        outputs = weights.shape[2 - self.inner_axis]
        if weights.shape[self.inner_axis] != inner or weights.shape[1] != rows:
            raise ValueError(f"{pixels.shape} and {weights.shape} do not fit, transposed={self.transposed}")
        if pixels.format.word > 8 or weights.format.word > 8 or not weights.format.signed:
            raise ValueError("8 bits are needed, with a sign for the weights: requantise first")
        ends = [a * b for a in (pixels.low, pixels.high) for b in (weights.low, weights.high)]
        low, high = min(*ends, 0) * inner, max(*ends, 0) * inner
        fraction = pixels.format.fraction + weights.format.fraction
        return Value.exact((outputs, rows, columns), fraction, low, high)


@dataclass(frozen=True)
class Softmax(Operation):
    """Shares of `e^x` over the channels of each position, in 1 / 256, from numbers of at most 16 bits.

    With `d` the distance to the largest number of the position and `E` the exponentials, 15 fraction bits each:
    ```
    t = (E[1, d >> 8] E[0, d & 255] + 2^14) >> 15      r = 2^46 // sum t      y = min((t r + 2^37) >> 38, 255)
    ```
    """

    exponentials: Constant
    """`(2, 256)`: of `-d` and of `-256 d` steps; the first of each is 2^15, none is larger."""

    def infer(self, *inputs: Value) -> Value:
        (x,) = inputs
        table = self.exponentials.integers
        if x.format.word > 16 or x.shape[0] > 1 << 15:
            raise ValueError(f"{x.shape[0]} channels of {x.format.word} bits: at most 32,768 of 16, requantise first")
        one = 1 << EXPONENTIAL_BITS
        if table.shape != (2, 256) or (table[:, 0] != one).any() or table.min() < 0 or table.max() > one:
            raise ValueError(f"its exponentials must be (2, 256) numbers from {one} downwards, got {table.shape}")
        return Value(x.shape, SHARES, 0, SHARES.high)


@dataclass(frozen=True)
class LayerNorm(Operation):
    """Each number less the mean of its position, over the deviation, times a weight and plus a bias of its channel.

    In integers, for `C` channels of at most 16 bits:
    ```
    d = C x - sum x                  V = C sum x^2 - (sum x)^2 + epsilon
    e = floor((bits(V) - 21) / 2)    q = floor(sqrt(V / 4^e))        r = 2^23 // q
    n = (round(d / 2^e) r + 2^13) >> 14                             y = n weight + bias
    ```
    `n` has 9 fraction bits; halves are rounded up. Where `V` is 0, so is `n`. `y` is exact, and rounded by the
    `Requantise` behind it.
    """

    weight: Constant
    """`(C,)`"""
    bias: Constant
    """`(C,)`, with 9 fraction bits more than the weight."""
    epsilon: Constant
    """`(1,)`: what is added to the variance, times `C^2` and in squared steps of the input."""

    def infer(self, *inputs: Value) -> Value:
        (x,) = inputs
        channels, fraction = x.shape[0], self.weight.format.fraction + NORMAL_BITS
        if x.format.word > 16 or channels > MOST_CHANNELS:
            raise ValueError(f"{channels} channels of {x.format.word} bits: at most {MOST_CHANNELS} of 16")
        if self.weight.integers.shape != (channels,) or self.bias.integers.shape != (channels,):
            raise ValueError(
                f"{channels} weights and biases are needed, got {self.weight.integers.shape} and "
                f"{self.bias.integers.shape}"
            )
        if self.bias.format.fraction != fraction:
            raise ValueError(f"the bias needs {fraction} fraction bits, got {self.bias.format.fraction}")
        if self.epsilon.integers.shape != (1,) or self.epsilon.integers[0] < 0:
            raise ValueError(f"epsilon must be one number of at least 0, got {self.epsilon.integers.tolist()}")
        most = math.ceil(math.sqrt(channels) * (1 << NORMAL_BITS) * (1 + 2**-10)) + 2
        weight, bias = self.weight.integers.astype(int), self.bias.integers.astype(int)
        low, high = (-abs(weight) * most).min() + min(bias.min(), 0), (abs(weight) * most).max() + max(bias.max(), 0)
        return Value.exact(x.shape, fraction, int(low), int(high))


@dataclass(frozen=True)
class Embedding(Operation):
    """For each number of a vector `(N,)` its row of a table, as `(C, N)`.

    Numbers are whole, without fraction bits; those beyond the table have its nearest row.
    """

    table: Constant
    """`(rows, C)`"""

    def infer(self, *inputs: Value) -> Value:
        (x,) = inputs
        table = self.table.integers
        if len(x.shape) != 1 or x.format.fraction != 0 or x.format.word > 31:
            raise ValueError(
                f"a vector of whole numbers is needed, got {x.shape} with {x.format.fraction} fraction bits"
            )
        if table.ndim != 2 or not table.size:
            raise ValueError(f"a table (rows, C) is needed, got {table.shape}")
        return Value((table.shape[1], x.shape[0]), self.table.format, int(table.min()), int(table.max()))
