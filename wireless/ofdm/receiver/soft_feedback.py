"""Soft decision feedback: estimator, demapper and decoder tell one another what they believe, pass after pass."""

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
from wireless.ofdm.receiver.estimators import Channel, Observation
from wireless.ofdm.receiver.siso import CLIP, posteriors
from wireless.ofdm.receiver.wiener import Prior, wiener

TINY = 1e-30


class BelievesDelays(Protocol):
    """An estimator that can say what it believes of the taps, such as `NeuralEstimator`."""

    def prior(self, seen: Observation) -> Prior: ...


@dataclass(frozen=True)
class TurboReceiver:
    """Estimates, demaps and decodes `passes + 1` times; each pass starts from what the last one believed.

    Hard decision feedback trusts wrong decisions as much as right ones. Here the decoder returns probabilities: the
    symbols' means `m` and variances `v` follow, `y = h m + (h (x - m) + w)`, so that a symbol is a training symbol of
    amplitude `m` in noise `N0 + |h|^2 v`. The decoder's extrinsic LLRs are the demapper's a-priori ones
    (bit-interleaved coded modulation with iterative decoding: Li, Ritcey 1997). Pilots are training symbols from
    the first pass on.

    It may pass `PerfectCSI`, which is a bound for receivers of one pass only.
    """

    estimator: BelievesDelays
    passes: int = 3

    def receive(
        self, seen: Observation, y: NDArray[np.complex64], rate: Rate, n: int, end: int | None = None
    ) -> Received:
        """As `Receiver.receive`; `bits` are the most probable ones, each for itself."""
        data = grid.data_places(rate.ht)
        steps = y.shape[1] * rate.info if end is None else end
        prior = self.estimator.prior(seen)
        sure = _training(seen, y, data)
        channel, at = sure.channel(prior), np.ascontiguousarray(y[..., data])
        known = np.zeros((*at.shape[:2], rate.coded), np.float32)
        for remaining in range(self.passes, -1, -1):
            llr = demap(at, channel.h[:, data], seen.noise[:, None] + channel.variance[:, data], known, rate.bits)
            coded = depuncture(deinterleave(llr, rate).reshape(len(llr), -1), rate.code)
            found = posteriors(coded[:, : 2 * steps], steps)
            if remaining:
                belief = coded.copy()
                belief[:, : 2 * steps] = found.coded
                belief = interleave(belief[:, _sent(rate, y.shape[1])].reshape(llr.shape), rate)
                known = belief - llr
                strength = np.abs(channel.h[:, data]) ** 2 + channel.variance[:, data]
                channel = sure.add(data, *symbols(at, strength, seen.noise, belief, rate.bits)).channel(prior)
        return Received((found.bits[:, :n] > 0).astype(np.uint8), coded, channel)

    def decide(self, seen: Observation, y: NDArray[np.complex64], rate: Rate, n: int) -> NDArray[np.uint8]:
        """`receive(...).bits` alone."""
        return self.receive(seen, y, rate, n).bits


class Looks(NamedTuple):
    """Independent looks at every subcarrier, added up."""

    total: NDArray[np.complex64]
    """Sum of looks, each over its error variance, (batch, K)."""
    precision: NDArray[np.float32]
    """Sum of one over the error variances, (batch, K)."""

    def add(self, where: NDArray[np.int64], total: NDArray[np.complex64], precision: NDArray[np.float32]) -> "Looks":
        """With more looks on the subcarriers at `where`."""
        both = Looks(self.total.copy(), self.precision.copy())
        both.total[:, where] += total
        both.precision[:, where] += precision
        return both

    def channel(self, prior: Prior) -> Channel:
        return wiener(self.total / self.precision, np.reciprocal(self.precision), prior)


@cache
def _sent(rate: Rate, symbols: int) -> NDArray[np.int64]:
    """Which of the code bits of so many symbols are sent."""
    return np.flatnonzero(depuncture(np.ones((1, symbols * rate.coded), np.float32), rate.code)[0])


def _training(seen: Observation, y: NDArray[np.complex64], data: NDArray[np.int64]) -> Looks:
    """The preamble, and the pilots of all symbols."""
    sure = (1 / seen.noise)[:, None]
    preamble = np.repeat(seen.looks * sure, y.shape[2], axis=1).astype(np.float32)
    pilots = np.setdiff1d(np.arange(y.shape[2]), data)
    return Looks(preamble * seen.ls, preamble).add(pilots, sure * y[..., pilots].sum(1), sure * y.shape[1])


def demap(
    y: NDArray[np.complex64],
    h: NDArray[np.complex64],
    noise: NDArray[np.float32],
    known: NDArray[np.float32],
    bits: int,
) -> NDArray[np.float32]:
    """Exact LLRs of every bit from its symbol and the a-priori LLRs `known` of the symbol's other bits, +-20 at most.

    Shapes as in `demappers`: y (batch, symbols, D), h and noise (batch, D), known and result (batch, symbols, D bits).
    """
    llr = np.empty((*y.shape, bits), np.float32)
    _demap(y, h, noise, known.reshape(llr.shape), levels(bits), np.float32(CLIP), llr)
    return llr.reshape(known.shape)


def symbols(
    y: NDArray[np.complex64],
    strength: NDArray[np.float32],
    n0: NDArray[np.float32],
    belief: NDArray[np.float32],
    bits: int,
) -> tuple[NDArray[np.complex64], NDArray[np.float32]]:
    """Data symbols as training symbols: `sum_s m* y / (n0 + |h|^2 v)` and `sum_s |m|^2 / (n0 + |h|^2 v)`, (batch, D).

    `belief` are the a-posteriori LLRs of all bits, `strength` is E|h|^2 (batch, D), n0 (batch,).
    """
    total, precision = np.zeros(strength.shape, np.complex64), np.zeros(strength.shape, np.float32)
    _symbols(y, strength, n0, belief.reshape(*y.shape, bits), levels(bits), total, precision)
    return total, precision


@njit(cache=True, nogil=True, fastmath=True, parallel=True)
def _demap(y, h, noise, known, level, clip, llr):  # type: ignore[no-untyped-def]
    bits = llr.shape[3]
    axis = max(bits // 2, 1)
    for packet in prange(y.shape[0]):
        chance = np.empty(level.shape[0], np.float32)
        for k in range(y.shape[2]):
            gain = h[packet, k]
            g = gain.real * gain.real + gain.imag * gain.imag
            for symbol in range(y.shape[1]):
                matched = y[packet, symbol, k] * gain.conjugate()
                for half in range(min(bits, 2)):
                    a = matched.imag if half else matched.real
                    before = known[packet, symbol, k, half * axis : (half + 1) * axis]
                    after = llr[packet, symbol, k, half * axis : (half + 1) * axis]
                    best = np.float32(-np.inf)
                    for label in range(level.shape[0]):
                        chance[label] = level[label] * (2 * a - g * level[label]) / noise[packet, k]
                        for bit in range(axis):
                            if (label >> (axis - 1 - bit)) & 1:
                                chance[label] += before[bit]
                        best = max(best, chance[label])
                    for label in range(level.shape[0]):
                        chance[label] = math.exp(chance[label] - best)
                    for bit in range(axis):
                        one, zero = np.float32(TINY), np.float32(TINY)
                        for label in range(level.shape[0]):
                            if (label >> (axis - 1 - bit)) & 1:
                                one += chance[label]
                            else:
                                zero += chance[label]
                        after[bit] = min(max(math.log(one / zero) - before[bit], -clip), clip)


@njit(cache=True, nogil=True, fastmath=True, parallel=True)
def _symbols(y, strength, n0, belief, level, total, precision):  # type: ignore[no-untyped-def]
    bits = belief.shape[3]
    axis = max(bits // 2, 1)
    for packet in prange(y.shape[0]):
        chance = np.empty(bits, np.float32)
        for symbol in range(y.shape[1]):
            for k in range(y.shape[2]):
                for bit in range(bits):
                    chance[bit] = 1 / (1 + math.exp(-belief[packet, symbol, k, bit]))
                m, v = 0j, np.float32(0)
                for half in range(min(bits, 2)):
                    mean, square = np.float32(0), np.float32(0)
                    for label in range(level.shape[0]):
                        p = np.float32(1)
                        for bit in range(axis):
                            up = chance[half * axis + bit]
                            p *= up if (label >> (axis - 1 - bit)) & 1 else 1 - up
                        mean += p * level[label]
                        square += p * level[label] ** 2
                    m += mean * (1j if half else 1)
                    v += square - mean * mean
                weight = 1 / (n0[packet] + strength[packet, k] * v)
                total[packet, k] += weight * m.conjugate() * y[packet, symbol, k]
                precision[packet, k] += weight * (m.real * m.real + m.imag * m.imag)


@dataclass(frozen=True)
class FixedDelays:
    """Believes the same of every packet: the mean exponential profile, as `RobustLMMSE` does; the control."""

    rms_ns: tuple[float, float] = (10.0, 150.0)

    def prior(self, seen: Observation) -> Prior:
        low, high = self.rms_ns
        power = exponential_profile(low + (high - low) * (np.arange(1000) + 0.5) / 1000).mean(0)
        precision = np.repeat((1 / power).astype(np.float32)[None], len(seen.ls), axis=0)
        return Prior(precision, np.zeros(len(seen.ls), np.float32))
