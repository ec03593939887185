"""Phase of the symbols of a frame, from their four pilots: one that all subcarriers share, and a slope over them."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from wireless.ofdm.phy import grid

PHASE_NOISE = 0.02
"""Radians by which oscillators wander in one symbol."""
CLOCK = 1.6e-4
"""Radians per subcarrier and symbol that a sampling offset of 20 ppm makes: 2 pi 80 / 64 * 20e-6."""


def track(
    y: NDArray[np.complex64],
    h: NDArray[np.complex64],
    pilots: NDArray[np.float32],
    noise: float,
    since: float,
    ht: bool = False,
) -> NDArray[np.complex64]:
    """Symbols (S, K) turned onto the channel `h` (K,), their pilots divided by what was sent in them, +-1 (S, 4).

    What is left of the carrier offset turns symbol n by w n, a sampling offset turns its subcarrier k by a k n, and
    oscillators wander. A Kalman filter follows the common phase and its growth, a second the slope and its growth, and
    both are smoothed back from the last symbol: at low signal to noise they average over the frame, at high they trust
    each symbol. `noise` is N0, `since` the symbols from where `h` was measured to the first of `y`.
    """
    still = y.copy()
    still[:, grid.pilot_places(ht)] *= pilots
    _track(still, h, grid.pilot_places(ht), grid.used(ht), noise, since)
    return still


@njit(cache=True, nogil=True)
def _track(y: Any, h: Any, places: Any, k: Any, noise: float, since: float) -> None:
    gain, lever, whole = 1e-30, 1e-30, 1e-30
    for p in places:
        gain += abs(h[p]) ** 2
        lever += (k[p] * abs(h[p])) ** 2
    for i in range(len(k)):
        whole += abs(h[i]) ** 2
    # What 64 samples apart is alike left at most an error of this variance in the carrier offset, in radians a symbol.
    phase = _start(_bounded((80 / 64) ** 2 * noise / whole), since)
    slope = _start(CLOCK**2, since)
    common_variance, tilt_variance = _bounded(noise / (2 * gain)), _bounded(noise / (2 * lever))
    phases, slopes = np.empty((y.shape[0], 5)), np.empty((y.shape[0], 5))
    seen = np.empty(len(places), np.complex128)
    for n in range(y.shape[0]):
        phases[n], slopes[n] = phase, slope
        for i, p in enumerate(places):
            seen[i] = y[n, p] * np.conj(h[p]) * np.exp(-1j * (phase[0] + slope[0] * k[p]))
        common = np.angle(seen.sum())
        tilt = 0.0
        for i, p in enumerate(places):
            tilt += k[p] * (seen[i] * np.exp(-1j * common)).imag / lever
        _correct(phase, common, common_variance)
        _correct(slope, tilt, tilt_variance)
        if n + 1 < y.shape[0]:
            _predict(phase, PHASE_NOISE**2)
            _predict(slope, 0.0)
    for n in range(y.shape[0] - 1, -1, -1):
        for i in range(len(k)):
            y[n, i] *= np.exp(-1j * (phase[0] + slope[0] * k[i]))
        if n > 0:
            _go_back(phase, phases[n], PHASE_NOISE**2)
            _go_back(slope, slopes[n], 0.0)


@njit(cache=True, nogil=True)
def _bounded(variance: float) -> float:
    """Without noise, or without a channel, any phase is as good: the filters only have to stay finite."""
    return min(max(variance, 1e-12), 100.0)


@njit(cache=True, nogil=True)
def _start(growth: float, since: float) -> Any:
    """Value, growth, and their covariance (vv, vg, gg): zero `since` symbols ago, growing at an unknown pace."""
    return np.array([0.0, 0.0, since * since * growth, since * growth, growth])


@njit(cache=True, nogil=True)
def _correct(state: Any, innovation: float, variance: float) -> None:
    total = state[2] + variance
    first, second = state[2] / total, state[3] / total
    state[0] += first * innovation
    state[1] += second * innovation
    state[4] -= second * state[3]
    state[3] -= first * state[3]
    state[2] -= first * state[2]


@njit(cache=True, nogil=True)
def _predict(state: Any, wander: float) -> None:
    state[0] += state[1]
    state[2] += 2 * state[3] + state[4] + wander
    state[3] += state[4]


@njit(cache=True, nogil=True)
def _go_back(state: Any, predicted: Any, wander: float) -> None:
    """From the smoothed state of a symbol to that of the one before, given what was predicted for it.

    x[n] = F^-1 (x[n+1] - w), with w = Q P^-1 (x[n+1] - predicted) the wander that the symbols after n speak for; Q
    has the one entry `wander` and P is the covariance of the prediction.
    """
    if wander > 0:
        surprise, pace = state[0] - predicted[0], state[1] - predicted[1]
        singular = predicted[2] * predicted[4] - predicted[3] ** 2
        state[0] -= wander * (predicted[4] * surprise - predicted[3] * pace) / singular
    state[0] -= state[1]
