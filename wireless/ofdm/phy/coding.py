"""The K=7 convolutional code of IEEE 802.11 and its puncturing, batched (17.3.5.6 and 19.3.11.6)."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Which of A0 B0 A1 B1 ... are transmitted, one puncturing period each: figure 17-9, and 19.3.11.6 for 5/6.
PUNCTURING: Mapping[tuple[int, int], tuple[int, ...]] = MappingProxyType(
    {
        (1, 2): (1, 1),
        (2, 3): (1, 1, 1, 0),
        (3, 4): (1, 1, 1, 0, 0, 1),
        (5, 6): (1, 1, 1, 0, 0, 1, 1, 0, 0, 1),
    }
)


def encode(bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Code bits A0 B0 A1 B1 ... of the rate-1/2 code with polynomials 133 and 171 (octal), from state zero.

    A[t] = b[t] + b[t-2] + b[t-3] + b[t-5] + b[t-6] and B[t] = b[t] + b[t-1] + b[t-2] + b[t-3] + b[t-6], modulo 2.
    Six zero bits at the end of `bits` bring the encoder back to state zero. Shapes: bits (batch, n), result
    (batch, 2n), both uint8. Equals Sionna's `ConvEncoder` with gen_poly ('1011011', '1111001').

    >>> encode(np.array([[1, 0, 0, 0, 0, 0, 0]], np.uint8))
    array([[1, 1, 0, 1, 1, 1, 1, 1, 0, 0, 1, 0, 1, 1]], dtype=uint8)
    """
    bits = np.ascontiguousarray(bits, np.uint8)
    # Six zeros in front are the initial state; without them the loop would need a case for its first steps.
    register = np.zeros((bits.shape[0], bits.shape[1] + 6), np.uint8)
    register[:, 6:] = bits
    coded = np.empty((bits.shape[0], 2 * bits.shape[1]), np.uint8)
    _encode(register, coded)
    return coded


def puncture(coded: NDArray[np.uint8], code: tuple[int, int]) -> NDArray[np.uint8]:
    """Code bits that are transmitted at code rate `code`: (batch, 2n) -> (batch, n * denominator / numerator)."""
    kept, period = _pattern(code)
    coded = np.ascontiguousarray(coded)
    groups = _groups(coded.shape[1], period, code)
    punctured = np.empty((coded.shape[0], groups * len(kept)), coded.dtype)
    _gather(coded, kept, period, punctured)
    return punctured


def depuncture(llr: NDArray[np.float32], code: tuple[int, int]) -> NDArray[np.float32]:
    """LLRs in the order of `encode`, zero for punctured bits: (batch, m) -> (batch, 2n), of the same dtype."""
    kept, period = _pattern(code)
    llr = np.ascontiguousarray(llr)
    groups = _groups(llr.shape[1], len(kept), code)
    full = np.zeros((llr.shape[0], groups * period), llr.dtype)
    _scatter(llr, kept, period, full)
    return full


def _pattern(code: tuple[int, int]) -> tuple[NDArray[np.int64], int]:
    if code not in PUNCTURING:
        rates = ", ".join(f"{a}/{b}" for a, b in PUNCTURING)
        raise ValueError(f"code rate {code[0]}/{code[1]} is not one of {rates}")
    return np.flatnonzero(PUNCTURING[code]), len(PUNCTURING[code])


def _groups(length: int, period: int, code: tuple[int, int]) -> int:
    if length % period:
        raise ValueError(
            f"{length} bits are not a multiple of {period}, the puncturing period at code rate {code[0]}/{code[1]}"
        )
    return length // period


@njit(cache=True, nogil=True)
def _encode(b, coded):  # type: ignore[no-untyped-def]
    for packet in range(b.shape[0]):
        for t in range(b.shape[1] - 6):
            common = b[packet, t + 6] ^ b[packet, t + 4] ^ b[packet, t + 3] ^ b[packet, t]
            coded[packet, 2 * t] = common ^ b[packet, t + 1]
            coded[packet, 2 * t + 1] = common ^ b[packet, t + 5]


@njit(cache=True, nogil=True)
def _gather(full, kept, period, punctured):  # type: ignore[no-untyped-def]
    for packet in range(full.shape[0]):
        for group in range(full.shape[1] // period):
            for i, at in enumerate(kept):
                punctured[packet, group * len(kept) + i] = full[packet, group * period + at]


@njit(cache=True, nogil=True)
def _scatter(punctured, kept, period, full):  # type: ignore[no-untyped-def]
    for packet in range(full.shape[0]):
        for group in range(full.shape[1] // period):
            for i, at in enumerate(kept):
                full[packet, group * period + at] = punctured[packet, group * len(kept) + i]
