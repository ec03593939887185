"""The interleaver of one OFDM symbol: neighbouring code bits go to far subcarriers and unlike bit positions."""

from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from wireless.ofdm.phy.rates import Rate

Scalar = TypeVar("Scalar", bound=np.generic)


@cache
def permutation(rate: Rate) -> NDArray[np.int64]:
    """Where code bit k of a symbol is sent: position j of (N_CBPS,), read-only.

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
    """Code bits in the order in which they are sent: (batch, symbols, N_CBPS), any dtype."""
    return np.take(coded, _inverse(rate), axis=-1)


def deinterleave(sent: NDArray[Scalar], rate: Rate) -> NDArray[Scalar]:
    """Undoes `interleave`; of LLRs, for the decoder."""
    return np.take(sent, permutation(rate), axis=-1)
