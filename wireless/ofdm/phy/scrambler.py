"""The scrambler x^7 + x^4 + 1 of DATA, whose sequence is also the polarity of the pilots (17.3.5.5)."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

PERIOD = 127


@cache
def _period(state: int) -> NDArray[np.uint8]:
    """One period from `state`, whose bit 6 is x7 and bit 0 is x1: each output is x7 + x4 and moves in as x1."""
    out = np.empty(PERIOD, np.uint8)
    for t in range(PERIOD):
        bit = (state >> 6 ^ state >> 3) & 1
        state = (state << 1 | bit) & 127
        out[t] = bit
    out.setflags(write=False)
    return out


def sequence(state: int, length: int) -> NDArray[np.uint8]:
    """`length` bits (length,) of the scrambler that starts with x7 x6 ... x1 = the binary digits of `state`.

    >>> "".join(map(str, sequence(0b1111111, 16)))
    '0000111011110010'
    """
    if not 1 <= state <= 127:
        raise ValueError(f"scrambler state {state}: must be between 1 and 127, as state 0 scrambles nothing")
    return np.resize(_period(state), length)


def scramble(bits: NDArray[np.uint8], state: int) -> NDArray[np.uint8]:
    """`bits` (..., n) with the sequence from `state` added modulo 2; a second application inverts it."""
    return bits ^ sequence(state, bits.shape[-1])


def descramble(bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Inverts a scrambler of unknown state: bits (n,) that began with seven zeros, as SERVICE does.

    Seven scrambled zeros are seven outputs of the scrambler, which are its state from there on. Seven outputs of zero
    are impossible; such bits are returned unchanged.
    """
    state = int("".join(map(str, bits[:7])), 2)
    if state == 0:
        return bits.copy()
    descrambled = bits.copy()
    descrambled[:7] = 0
    descrambled[7:] ^= sequence(state, len(bits) - 7)
    return descrambled
