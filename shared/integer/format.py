"""Fixed-point numbers: integers with a binary point, how they round, and the fraction bits that fit a spread."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.signedinteger[Any] | np.unsignedinteger[Any]]

WIDEST = 53  # bits; float64 holds every integer of a narrower format, so real values and integers convert exactly

# The largest integer that one standard deviation may take, for words of 2 to 16 bits, in `fraction_for`. Beyond it one
# more fraction bit loses as much to saturation, on a Gaussian, as it wins in rounding. 40 and 70 are F8Net's; the
# others solve that equation (tests/shared/test_fixedpoint.py), which gives 39.4 and 72.1 for 8 bits.
_SIGNED = dict(
    enumerate((1.377, 2.306, 3.948, 6.859, 12.1, 21.68, 40.0, 72.24, 133.9, 250, 470, 889, 1689, 3222, 6168), start=2)
)
_RECTIFIED = dict(
    enumerate(
        (2.136, 3.786, 6.704, 11.96, 21.54, 39.22, 70.0, 133.8, 249.9, 470, 889, 1689, 3222, 6168, 11844), start=2
    )
)


@dataclass(frozen=True)
class Format:
    """The numbers `n / 2**fraction`, with `n` a two's complement (`signed`) or natural integer of `word` bits.

    `fraction` may be negative or exceed `word`. `ap_fixed<W, I>` of HLS tools is `Format(W, W - I)`.

    Raises `ValueError` for a word outside 1 to 53 bits.

    >>> Format(8, 7).low, Format(8, 7).high, Format(8, 7).step
    (-128, 127, 0.0078125)
    """

    word: int
    fraction: int
    signed: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.word <= WIDEST:
            raise ValueError(f"Arg `word` must be 1 to {WIDEST} bits but was {self.word}.")

    @property
    def low(self) -> int:
        """The smallest integer."""
        return -(1 << self.word - 1) if self.signed else 0

    @property
    def high(self) -> int:
        """The largest integer."""
        return (1 << self.word - self.signed) - 1

    @property
    def step(self) -> float:
        """The distance between neighbouring numbers."""
        return 2.0**-self.fraction

    @property
    def dtype(self) -> np.dtype[Any]:
        """The narrowest NumPy integer that holds the format: int8 for 8 signed bits."""
        return np.min_scalar_type(self.low if self.signed else self.high)

    def to_integers(self, values: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
        """The nearest integers, ties to even, saturated.

        Raises `ValueError` for NaN and complex numbers.

        >>> Format(8, 1).to_integers(np.array([0.25, 0.75, -100.0])).tolist()
        [0, 2, -128]
        """
        if np.iscomplexobj(values):
            raise ValueError(f"{self} needs real numbers: give real and imaginary parts as channels")
        scaled = np.asarray(values, dtype=np.float64) * 2.0**self.fraction
        if np.isnan(scaled).any():
            raise ValueError(f"{self} needs numbers, got {int(np.isnan(scaled).sum())} NaN")
        return np.clip(np.rint(scaled), self.low, self.high).astype(np.int64)

    def from_integers(self, integers: Integers) -> NDArray[np.float64]:
        """The numbers these integers stand for, exactly.

        >>> Format(8, 1).from_integers(np.array([3, -128])).tolist()
        [1.5, -64.0]
        """
        return np.asarray(integers, dtype=np.float64) * self.step

    def quantise(self, values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """The nearest numbers of the format, ties to even, saturated."""
        return self.from_integers(self.to_integers(values))

    def holds(self, integers: Integers) -> bool:
        """Whether every integer is in range."""
        return bool(np.size(integers) == 0 or (np.min(integers) >= self.low and np.max(integers) <= self.high))


def shift(integers: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """`integers / 2**bits` rounded to nearest, ties to even; negative `bits` multiply, exactly.

    `bits=0` is the identity. In hardware: the kept bits plus one if the dropped bits exceed one half, or equal it and
    the last kept bit is 1.

    >>> shift(np.array([1, 2, 3, 5, 6, 7, -2, -6]), 2).tolist()
    [0, 0, 1, 1, 2, 2, 0, -2]
    """
    if bits <= 0:
        return integers << -bits
    kept, dropped = integers >> bits, integers & ((1 << bits) - 1)
    half = 1 << (bits - 1)
    rounded: NDArray[np.int64] = kept + ((dropped > half) | ((dropped == half) & (kept & 1 == 1)))
    return rounded


def saturate(integers: NDArray[np.int64], to: Format) -> NDArray[np.int64]:
    """Integers beyond the range of `to` become its ends.

    >>> saturate(np.array([-3, 17, 300]), Format(8, 0, signed=False)).tolist()
    [0, 17, 255]
    """
    clipped: NDArray[np.int64] = np.clip(integers, to.low, to.high)
    return clipped


def fraction_for(sigma: float, word: int = 8, *, signed: bool = True) -> int:
    """Fraction bits that fit a standard deviation: `floor(log2(c / sigma))`.

    `c` is 40 for 8 signed bits and 70 for 8 unsigned ones (F8Net, arXiv 2202.05239, section 3.1; the other words are
    ours). Unsigned means rectified: `sigma` is that of the values *before* the ReLU. F8Net clamps to 0 to 7 and 0 to 8;
    a shift costs nothing in hardware, so here the limits are wider, `-word .. 2 word`.

    Raises `ValueError` if `sigma` is negative or not finite and for words outside 2 to 16 bits.

    >>> fraction_for(0.5), fraction_for(0.5, signed=False), fraction_for(60.0)
    (6, 7, -1)
    """
    largest = _SIGNED if signed else _RECTIFIED
    if word not in largest:
        raise ValueError(f"The format rule covers words of {min(largest)} to {max(largest)} bits, got {word}")
    if not 0 <= sigma < math.inf:
        raise ValueError(f"Arg `sigma` must be a finite number, at least 0, but was {sigma}.")
    if sigma == 0:
        return word - signed
    return min(max(math.floor(math.log2(largest[word] / sigma)), -word), 2 * word)
