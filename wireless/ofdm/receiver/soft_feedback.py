"""Soft decision feedback: estimator, demapper and decoder exchange probabilities, pass after pass."""

import math
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, Protocol

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from wireless.ofdm.channel.profile import exponential_profile
from wireless.ofdm.phy import grid
from wireless.ofdm.phy.coding import depuncture
from wireless.ofdm.phy.constellation import levels
from wireless.ofdm.phy.interleaver import deinterleave, interleave
from wireless.ofdm.phy.rates import Rate
from wireless.ofdm.receiver.chain import Received
from wireless.ofdm.receiver.estimators import ChannelEstimate, Observation
from wireless.ofdm.receiver.siso import CLIP, posteriors
from wireless.ofdm.receiver.wiener import Prior, wiener

TINY = 1e-30


class DelayPriorEstimator(Protocol):
    """An estimator that gives a prior for the taps of each packet, such as `NeuralEstimator`."""

    def prior(self, observation: Observation) -> Prior: ...


@dataclass(frozen=True)
class TurboReceiver:
    """Estimates, demaps and decodes `passes + 1` times; each pass starts from the probabilities of the previous one.

    Hard decision feedback trusts wrong decisions as much as right ones. Here the decoder returns probabilities, and
    with them the mean `m` and the variance `v` of each symbol: `y = h m + (h (x - m) + w)`, so that a symbol is a
    training symbol of amplitude `m` in noise of variance `N0 + |h|^2 v`. The decoder's extrinsic LLRs are the
    demapper's a-priori LLRs (bit-interleaved coded modulation with iterative decoding: Li, Ritcey 1997). Pilots are
    training symbols from the first pass on.

    Its errors can be fewer than those of `PerfectCSI`, which bounds receivers of one pass only.
    """

    estimator: DelayPriorEstimator
    passes: int = 3

    def receive(
        self, observation: Observation, y: NDArray[np.complex64], rate: Rate, n: int, end: int | None = None
    ) -> Received:
        """As `Receiver.receive`; every bit is decided by its own a-posteriori probability."""
        data = grid.data_positions(rate.ht)
        steps = y.shape[1] * rate.info if end is None else end
        prior = self.estimator.prior(observation)
        pilots = _preamble_and_pilots(observation, y, data)
        channel, y_data = pilots.channel(prior), np.ascontiguousarray(y[..., data])
        noise_var = np.broadcast_to(observation.total_noise_var, observation.ls.shape)[:, data]
        llr_a_priori = np.zeros((*y_data.shape[:2], rate.coded), np.float32)
        for remaining in range(self.passes, -1, -1):
            h_hat, err_var = channel.h_hat[:, data], channel.err_var[:, data]
            llr = demap(y_data, h_hat, noise_var + err_var, llr_a_priori, rate.bits)
            llr_coded = depuncture(deinterleave(llr, rate).reshape(len(llr), -1), rate.code)
            decoded = posteriors(llr_coded[:, : 2 * steps], steps)
            if remaining:
                llr_a_posteriori = llr_coded.copy()
                llr_a_posteriori[:, : 2 * steps] = decoded.coded
                transmitted = llr_a_posteriori[:, _transmitted(rate, y.shape[1])]
                llr_a_posteriori = interleave(transmitted.reshape(llr.shape), rate)
                llr_a_priori = llr_a_posteriori - llr
                gain = np.abs(h_hat) ** 2 + err_var
                soft = soft_symbols(y_data, gain, noise_var, llr_a_posteriori, rate.bits)
                channel = pilots.add(data, *soft).channel(prior)
        return Received((decoded.bits[:, :n] > 0).astype(np.uint8), llr_coded, channel)

    def decide(self, observation: Observation, y: NDArray[np.complex64], rate: Rate, n: int) -> NDArray[np.uint8]:
        """`receive(...).bits` alone."""
        return self.receive(observation, y, rate, n).bits


class TrainingSums(NamedTuple):
    """Independent noisy observations of every subcarrier, added up with weights of one over their error variances."""

    weighted: NDArray[np.complex64]
    """Sum of the observations, each over its error variance, (batch, K)."""
    precision: NDArray[np.float32]
    """Sum of one over the error variances, (batch, K)."""

    def add(
        self, where: NDArray[np.int64], weighted: NDArray[np.complex64], precision: NDArray[np.float32]
    ) -> "TrainingSums":
        """With further observations on the subcarriers at `where`."""
        both = TrainingSums(self.weighted.copy(), self.precision.copy())
        both.weighted[:, where] += weighted
        both.precision[:, where] += precision
        return both

    def channel(self, prior: Prior) -> ChannelEstimate:
        """The Wiener estimate from these observations."""
        return wiener(self.weighted / self.precision, np.reciprocal(self.precision), prior)


@cache
def _transmitted(rate: Rate, symbols: int) -> NDArray[np.int64]:
    """Indices of the code bits that remain after puncturing, in this many symbols."""
    return np.flatnonzero(depuncture(np.ones((1, symbols * rate.coded), np.float32), rate.code)[0])


def _preamble_and_pilots(observation: Observation, y: NDArray[np.complex64], data: NDArray[np.int64]) -> TrainingSums:
    """The observations from the preamble, and from the pilots of all symbols."""
    precision = (1 / np.broadcast_to(observation.total_noise_var, observation.ls.shape)).astype(np.float32)
    preamble = np.float32(observation.training_symbols) * precision
    pilots = np.setdiff1d(np.arange(y.shape[2]), data)
    sums = TrainingSums(preamble * observation.ls, preamble)
    return sums.add(pilots, precision[:, pilots] * y[..., pilots].sum(1), precision[:, pilots] * y.shape[1])


def demap(
    y: NDArray[np.complex64],
    h_hat: NDArray[np.complex64],
    noise_var: NDArray[np.float32],
    llr_a_priori: NDArray[np.float32],
    bits: int,
) -> NDArray[np.float32]:
    """Exact extrinsic LLRs of every bit from its symbol and the a-priori LLRs of the symbol's other bits, +-20 at most.

    Shapes as in `demappers`: y (batch, symbols, D), h_hat and noise_var (batch, D), llr_a_priori and result
    (batch, symbols, D bits).
    """
    llr = np.empty((*y.shape, bits), np.float32)
    _demap(y, h_hat, noise_var, llr_a_priori.reshape(llr.shape), levels(bits), np.float32(CLIP), llr)
    return llr.reshape(llr_a_priori.shape)


def soft_symbols(
    y: NDArray[np.complex64],
    gain: NDArray[np.float32],
    n0: NDArray[np.float32],
    llr_a_posteriori: NDArray[np.float32],
    bits: int,
) -> tuple[NDArray[np.complex64], NDArray[np.float32]]:
    """Data symbols as training symbols: `sum_s m* y / (n0 + |h|^2 v)` and `sum_s |m|^2 / (n0 + |h|^2 v)`, (batch, D).

    `llr_a_posteriori` of all bits gives the means m and variances v; `gain` is E|h|^2 and n0 the variance of noise and
    interference, both (batch, D).
    """
    weighted, precision = np.zeros(gain.shape, np.complex64), np.zeros(gain.shape, np.float32)
    _soft_symbols(y, gain, n0, llr_a_posteriori.reshape(*y.shape, bits), levels(bits), weighted, precision)
    return weighted, precision


@njit(cache=True, nogil=True, fastmath=True, parallel=True)
def _demap(y, h, noise_var, llr_a_priori, level, clip, llr):  # type: ignore[no-untyped-def]
    bits = llr.shape[3]
    axis = max(bits // 2, 1)
    for packet in prange(y.shape[0]):
        metric = np.empty(level.shape[0], np.float32)
        for k in range(y.shape[2]):
            gain = h[packet, k]
            g = gain.real * gain.real + gain.imag * gain.imag
            for symbol in range(y.shape[1]):
                matched = y[packet, symbol, k] * gain.conjugate()
                for half in range(min(bits, 2)):
                    a = matched.imag if half else matched.real
                    before = llr_a_priori[packet, symbol, k, half * axis : (half + 1) * axis]
                    after = llr[packet, symbol, k, half * axis : (half + 1) * axis]
                    best = np.float32(-np.inf)
                    for label in range(level.shape[0]):
                        metric[label] = level[label] * (2 * a - g * level[label]) / noise_var[packet, k]
                        for bit in range(axis):
                            if (label >> (axis - 1 - bit)) & 1:
                                metric[label] += before[bit]
                        best = max(best, metric[label])
                    for label in range(level.shape[0]):
                        metric[label] = math.exp(metric[label] - best)
                    for bit in range(axis):
                        one, zero = np.float32(TINY), np.float32(TINY)
                        for label in range(level.shape[0]):
                            if (label >> (axis - 1 - bit)) & 1:
                                one += metric[label]
                            else:
                                zero += metric[label]
                        after[bit] = min(max(math.log(one / zero) - before[bit], -clip), clip)


@njit(cache=True, nogil=True, fastmath=True, parallel=True)
def _soft_symbols(y, gain, n0, llr_a_posteriori, level, weighted, precision):  # type: ignore[no-untyped-def]
    bits = llr_a_posteriori.shape[3]
    axis = max(bits // 2, 1)
    for packet in prange(y.shape[0]):
        p_one = np.empty(bits, np.float32)
        for symbol in range(y.shape[1]):
            for k in range(y.shape[2]):
                for bit in range(bits):
                    p_one[bit] = 1 / (1 + math.exp(-llr_a_posteriori[packet, symbol, k, bit]))
                m, v = 0j, np.float32(0)
                for half in range(min(bits, 2)):
                    mean, square = np.float32(0), np.float32(0)
                    for label in range(level.shape[0]):
                        p = np.float32(1)
                        for bit in range(axis):
                            one = p_one[half * axis + bit]
                            p *= one if (label >> (axis - 1 - bit)) & 1 else 1 - one
                        mean += p * level[label]
                        square += p * level[label] ** 2
                    m += mean * (1j if half else 1)
                    v += square - mean * mean
                weight = 1 / (n0[packet, k] + gain[packet, k] * v)
                weighted[packet, k] += weight * m.conjugate() * y[packet, symbol, k]
                precision[packet, k] += weight * (m.real * m.real + m.imag * m.imag)


@dataclass(frozen=True)
class FixedDelays:
    """The same prior for every packet: the mean exponential profile, as in `RobustLMMSE`. It is the control."""

    rms_ns: tuple[float, float] = (10.0, 150.0)

    def prior(self, observation: Observation) -> Prior:
        low, high = self.rms_ns
        power = exponential_profile(low + (high - low) * (np.arange(1000) + 0.5) / 1000).mean(0)
        precision = np.repeat((1 / power).astype(np.float32)[None], len(observation.ls), axis=0)
        return Prior(precision, np.zeros(len(observation.ls), np.float32))
