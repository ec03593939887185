"""Phase tracking over the symbols of a frame, from four pilots: a common phase and a slope over subcarriers."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from wireless.ofdm.phy import grid

PHASE_NOISE = 0.02
"""Standard deviation of the oscillators' phase noise over one symbol, in radians."""
CLOCK = 1.6e-4
"""Phase per subcarrier and symbol of a sampling offset of 20 ppm, in radians: 2 pi 80 / 64 * 20e-6."""


def track(
    y: NDArray[np.complex64],
    h_hat: NDArray[np.complex64],
    pilots: NDArray[np.float32],
    noise_var: float,
    since: float,
    ht: bool = False,
    white_share: NDArray[np.float32] | None = None,
) -> NDArray[np.complex64]:
    """Symbols (S, K) rotated to the phase of the channel `h_hat` (K,), and with `pilots` (S, 4), +-1, divided out.

    The residual carrier offset rotates symbol n by w n, a sampling offset rotates its subcarrier k by a k n, and
    oscillators add phase noise. A Kalman filter estimates the common phase and its rate, a second the slope and its
    rate, and both are smoothed backwards from the last symbol: at low signal-to-noise ratios they average over the
    frame, at high ones they follow each symbol. `noise_var` is N0; `since` is the time from the symbol of `h_hat` to
    the first of `y`, in symbols. `white_share` (K,) is N0's share of the variance on each subcarrier: pilots with
    interference count less, and the carrier offset may be wrong by as much as interference can turn it.
    """
    derotated = y.copy()
    derotated[:, grid.pilot_positions(ht)] *= pilots
    share = np.ones(len(h_hat), np.float32) if white_share is None else white_share
    _track(derotated, h_hat, share, grid.pilot_positions(ht), grid.used(ht), noise_var, since)
    return derotated


@njit(cache=True, nogil=True)
def _track(y: Any, h: Any, share: Any, pilot_positions: Any, k: Any, noise_var: float, since: float) -> None:
    gain, lever, total = 1e-30, 1e-30, 1e-30
    for p in pilot_positions:
        gain += share[p] * abs(h[p]) ** 2
        lever += share[p] * (k[p] * abs(h[p])) ** 2
    for i in range(len(k)):
        total += share[i] * abs(h[i]) ** 2
    # Variance of the offset estimated from repetitions 64 samples apart, in radians per symbol.
    phase = _start(_bounded((80 / 64) ** 2 * noise_var / total), since)
    slope = _start(CLOCK**2, since)
    common_variance, tilt_variance = _bounded(noise_var / (2 * gain)), _bounded(noise_var / (2 * lever))
    phases, slopes = np.empty((y.shape[0], 5)), np.empty((y.shape[0], 5))
    residual = np.empty(len(pilot_positions), np.complex128)
    for n in range(y.shape[0]):
        phases[n], slopes[n] = phase, slope
        for i, p in enumerate(pilot_positions):
            residual[i] = share[p] * y[n, p] * np.conj(h[p]) * np.exp(-1j * (phase[0] + slope[0] * k[p]))
        common = np.angle(residual.sum())
        tilt = 0.0
        for i, p in enumerate(pilot_positions):
            tilt += k[p] * (residual[i] * np.exp(-1j * common)).imag / lever
        _correct(phase, common, common_variance)
        _correct(slope, tilt, tilt_variance)
        if n + 1 < y.shape[0]:
            _predict(phase, PHASE_NOISE**2)
            _predict(slope, 0.0)
    for n in range(y.shape[0] - 1, -1, -1):
        for i in range(len(k)):
            y[n, i] *= np.exp(-1j * (phase[0] + slope[0] * k[i]))
        if n > 0:
            _smooth(phase, phases[n], PHASE_NOISE**2)
            _smooth(slope, slopes[n], 0.0)


@njit(cache=True, nogil=True)
def _bounded(variance: float) -> float:
    """A variance within limits that keep the filters finite without noise, or without a channel."""
    return min(max(variance, 1e-12), 100.0)


@njit(cache=True, nogil=True)
def _start(rate_var: float, since: float) -> Any:
    """Value, rate, and their covariance (vv, vr, rr): value zero `since` symbols ago, rate of variance `rate_var`."""
    return np.array([0.0, 0.0, since * since * rate_var, since * rate_var, rate_var])


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
def _predict(state: Any, process_var: float) -> None:
    state[0] += state[1]
    state[2] += 2 * state[3] + state[4] + process_var
    state[3] += state[4]


@njit(cache=True, nogil=True)
def _smooth(state: Any, predicted: Any, process_var: float) -> None:
    """From the smoothed state of a symbol to that of the symbol before, with the prediction `predicted` for the former.

    x[n] = F^-1 (x[n+1] - w), with w = Q P^-1 (x[n+1] - predicted) the smoothed process noise; Q has the single entry
    `process_var`, P is the covariance of the prediction.
    """
    if process_var > 0:
        value, rate = state[0] - predicted[0], state[1] - predicted[1]
        determinant = predicted[2] * predicted[4] - predicted[3] ** 2
        state[0] -= process_var * (predicted[4] * value - predicted[3] * rate) / determinant
    state[0] -= state[1]
