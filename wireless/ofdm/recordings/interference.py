"""Narrowband interference in a frame: the variance that it adds on each subcarrier.

A carrier, a microphone or a Bluetooth radio in the channel disturbs a few of the subcarriers strongly. A receiver that
takes the noise as white trusts their LLRs as much as the others and loses the frame; one that has the variance of each
subcarrier loses only what these carried.

A subcarrier shows noise and interference without its signal three times: the short training field leaves three of four
subcarriers empty, the two long training symbols are equal, and the symbols of DATA lie near points of a constellation.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from wireless.ofdm.phy import grid
from wireless.ofdm.phy.constellation import levels
from wireless.ofdm.receiver.estimators import Observation

PEAK = 8.0
"""Interference is assumed where the variance around a subcarrier exceeds that of the noise this many times."""
HARMLESS = 1e-3
"""Interference this far below the signal is ignored: at 30 dB every rate is decoded without errors."""
_PRIOR = 2.0
"""Weight of the neighbours in the variance of a subcarrier, in observations of its own."""
_ROUNDS = 4


class Residuals(NamedTuple):
    """What is left of every used subcarrier without its signal: noise and interference."""

    power: NDArray[np.float64]
    """Sum of the squared magnitudes of all observations, (K,)."""
    observations: NDArray[np.float64]
    """Observations in that sum, (K,)."""

    def variance(self) -> NDArray[np.float64]:
        """Variance of each subcarrier, in part from its neighbours where there are few observations."""
        around = self.around()
        variance: NDArray[np.float64] = (self.power + _PRIOR * around) / (self.observations + _PRIOR)
        return variance

    def around(self) -> NDArray[np.float64]:
        """Mean variance of each subcarrier and half of its two neighbours."""
        both = np.array([self.power, self.observations])
        around = both.copy()
        around[:, 1:] += 0.5 * both[:, :-1]
        around[:, :-1] += 0.5 * both[:, 1:]
        variance: NDArray[np.float64] = around[0] / around[1]
        return variance

    def narrowband(self, signal: float) -> bool:
        """Whether some subcarriers have far more than the noise, and enough to harm a `signal` of this mean power."""
        around = self.around()
        return bool(around.max() > max(PEAK * np.median(around), HARMLESS * signal))

    def put_into(self, observation: Observation) -> Observation:
        """The observation of one packet with the noise as the median of the subcarriers, and the rest as interference.

        The noise is at least 90 dB below the signal.
        """
        variance = self.variance()
        noise_var = max(float(np.median(variance)), 1e-9 * float(np.mean(np.abs(observation.ls) ** 2)))
        interference = np.maximum(variance - noise_var, 0)[None].astype(np.float32)
        return observation._replace(noise_var=np.array([noise_var], np.float32), interference=interference)


def in_preamble(short: NDArray[np.complex64], long: NDArray[np.complex64]) -> Residuals:
    """Residuals (52,) of two windows of the long training field (2, 52), and two or none of the short one."""
    power, observations = np.abs(long[0] - long[1]).astype(np.float64) ** 2 / 2, np.ones(long.shape[1])
    if len(short) == 2:
        empty = grid.stf() == 0
        power += np.where(empty, np.sum(np.abs(short) ** 2, 0), np.abs(short[0] - short[1]) ** 2 / 2)
        observations += np.where(empty, 2, 1)
    return Residuals(power, observations)


def in_data(preamble: Residuals, observation: Observation, y: NDArray[np.complex64], bits: int) -> Observation:
    """The observation of one packet with the interference in its symbols y (S, K); unchanged where there is none.

    The transmitted points are unknown, so variances follow by expectation maximisation: from the variances so far the
    probabilities of the points, from these the expected residuals, and from the residuals better variances.
    """
    ht = y.shape[1] > len(grid.used())
    edge = (y.shape[1] - len(preamble.power)) // 2
    if edge:
        preamble = Residuals(*(np.pad(values, edge, mode="edge") for values in preamble))
    h, signal = observation.ls[0], float(np.mean(np.abs(observation.ls) ** 2))
    total = np.ascontiguousarray(np.broadcast_to(observation.total_noise_var, observation.ls.shape)[0])
    for _ in range(_ROUNDS):
        power = preamble.power.copy()
        _add_expected(y, h, total, grid.data_positions(ht), levels(bits), bits, power)
        pilots = grid.pilot_positions(ht)
        power[pilots] += np.sum(np.abs(y[:, pilots] - h[pilots]) ** 2, axis=0)
        both = Residuals(power, preamble.observations + len(y))
        if observation.interference is None and not both.narrowband(signal):
            return observation
        observation = both.put_into(observation)
        total = observation.total_noise_var[0]
    return observation


@njit(cache=True, nogil=True)
def _add_expected(y: Any, h: Any, noise_var: Any, positions: Any, level: Any, bits: int, power: Any) -> None:
    """Adds E|y - h x|^2 of all symbols y (S, K), over equally likely points x in noise of `noise_var` (K,)."""
    for k in positions:
        g, negligible = abs(h[k]) ** 2, 12 * noise_var[k]
        for n in range(y.shape[0]):
            matched = y[n, k] * np.conj(h[k])
            residual = abs(y[n, k]) ** 2
            for half in range(min(bits, 2)):
                a = matched.imag if half else matched.real
                nearest = np.inf
                for x in level:
                    nearest = min(nearest, x * (g * x - 2 * a))
                weights, mean = 0.0, 0.0
                for x in level:
                    distance = x * (g * x - 2 * a)
                    if distance - nearest < negligible:
                        weight = np.exp((nearest - distance) / noise_var[k])
                        weights += weight
                        mean += weight * distance
                residual += mean / weights
            power[k] += max(residual, 0.0)
