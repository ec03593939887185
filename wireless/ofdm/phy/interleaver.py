"""The interleaver of one OFDM symbol: neighbouring code bits go to distant subcarriers and other bit positions."""

from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from wireless.ofdm.phy.rates import Rate

Scalar = TypeVar("Scalar", bound=np.generic)


@cache
def permutation(rate: Rate) -> NDArray[np.int64]:
    """Position j at which code bit k of a symbol is transmitted, (N_CBPS,), read-only.

    With N = N_CBPS, C = 16 columns (13 in HT) and s = max(bits / 2, 1):
    i = (N / C) (k mod C) + floor(k / C), then j = s floor(i / s) + (i + N - floor(C i / N)) mod s.
    (IEEE 802.11-2020, 17.3.5.7 and 19.3.11.8; the frequency rotation of HT is zero for one stream.)
    """
    n, columns, s = rate.coded, 13 if rate.ht else 16, max(rate.bits // 2, 1)
    k = np.arange(n)
    i = (n // columns) * (k % columns) + k // columns
    j: NDArray[np.int64] = s * (i // s) + (i + n - columns * i // n) % s
    j.setflags(write=False)
    return j


@cache
def _inverse(rate: Rate) -> NDArray[np.int64]:
    return np.argsort(permutation(rate))


def interleave(coded: NDArray[Scalar], rate: Rate) -> NDArray[Scalar]:
    """Code bits in the order of transmission: (batch, symbols, N_CBPS), any dtype."""
    return np.take(coded, _inverse(rate), axis=-1)


def deinterleave(interleaved: NDArray[Scalar], rate: Rate) -> NDArray[Scalar]:
    """Inverts `interleave`; applied to LLRs, before the decoder."""
    return np.take(interleaved, permutation(rate), axis=-1)
