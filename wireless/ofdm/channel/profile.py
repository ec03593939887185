"""Power-delay profiles: from taps to subcarriers, and the exponential profile of indoor channels."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wireless.ofdm.phy import grid

TAPS = 16
"""Samples of the cyclic prefix at 20 MHz: the longest channel that the estimators model."""


def response(count: int, delay: NDArray[Any]) -> NDArray[np.complex128]:
    """F (K, paths), `F[k, l] = exp(-j 2 pi k delay[l] / 64)`: h = F taps. Delays in samples of 50 ns."""
    f: NDArray[np.complex128] = np.exp(-2j * np.pi / grid.FFT * np.outer(grid.used(count == 56), delay))
    return f


def exponential_profile(rms_ns: NDArray[Any], taps: int = TAPS) -> NDArray[np.float64]:
    """Power of each tap, `exp(-50 ns l / rms)` over its sum: (..., taps) for rms delays of the shape (...)."""
    power = np.exp(-50.0 / np.asarray(rms_ns, np.float64)[..., None] * np.arange(taps))
    profile: NDArray[np.float64] = power / power.sum(-1, keepdims=True)
    return profile


@cache
def exponential_covariance(count: int, rms_ns: tuple[float, float]) -> NDArray[np.complex128]:
    """Mean of `F diag(P) F^H` over exponential profiles whose rms delay is uniform in a range; (K, K), read-only."""
    low, high = rms_ns
    rms = low + (high - low) * (np.arange(1000) + 0.5) / 1000
    f = response(count, np.arange(TAPS))
    covariance: NDArray[np.complex128] = (f * exponential_profile(rms).mean(0)) @ f.conj().T
    covariance.setflags(write=False)
    return covariance
