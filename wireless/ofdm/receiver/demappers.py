"""Demappers: from a received subcarrier and its channel to the log-likelihood ratios of its bits.

`y = h x + n`: per axis the equalised amplitude is Re or Im of `y conj(h) / |h|^2`, with noise of variance
`noise_var / (2 |h|^2)`. Gray labels of the two axes are independent, so every LLR needs the levels of one axis alone:

    llr(bit) = log sum_{level: bit=1} exp(-(a - level)^2 g) - log sum_{level: bit=0} exp(-(a - level)^2 g)

with a the equalised amplitude and g = |h|^2 / noise_var.
"""

import abc
import math
from dataclasses import dataclass
from typing import Any, Protocol, final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from wireless.ofdm.phy.constellation import levels


class Demapper(Protocol):
    """Turns subcarriers into LLRs, positive for 1; tables show it as `name`.

    `y` is complex64 (batch, symbols, D), `h_hat` complex64 (batch, D) or (batch, symbols, D), `noise_var` float32
    (batch, D): N0 plus the error variance of `h_hat`. `bits` per subcarrier is 1, 2, 4 or 6. The result is float32
    (batch, symbols, D * bits) in the order of transmission.
    """

    name: str

    def demap(
        self, y: NDArray[np.complex64], h_hat: NDArray[np.complex64], noise_var: NDArray[np.float32], bits: int
    ) -> NDArray[np.float32]: ...


class AbstractModelDemapper(abc.ABC):
    """A demapper that follows from the model `y = h x + n` alone; a subclass says by which LLRs."""

    @abc.abstractmethod
    def fill(
        self,
        y: NDArray[np.complex64],
        h_hat: NDArray[np.complex64],
        noise_var: NDArray[np.float32],
        level: NDArray[np.float32],
        llr: NDArray[np.float32],
    ) -> None:
        """Writes the LLRs into `llr` (batch, symbols, D, bits); `h_hat` is (batch, symbols or 1, D)."""

    @final
    def demap(
        self, y: NDArray[np.complex64], h_hat: NDArray[np.complex64], noise_var: NDArray[np.float32], bits: int
    ) -> NDArray[np.float32]:
        """As `Demapper.demap`."""
        llr = np.empty((*y.shape, bits), np.float32)
        # One memory layout for all callers: Numba would compile every other one anew.
        h_hat = np.ascontiguousarray(h_hat[:, None] if h_hat.ndim == 2 else h_hat)
        self.fill(np.ascontiguousarray(y), h_hat, np.ascontiguousarray(noise_var), levels(bits), llr)
        return llr.reshape(*y.shape[:-1], -1)


@dataclass(frozen=True)
class MaxLog(AbstractModelDemapper):
    """Each sum of exponentials by its largest term: piecewise linear in the amplitude, and no exponential."""

    name = "max-log"

    def fill(self, *arrays: Any) -> None:
        _max_log(*arrays)


@dataclass(frozen=True)
class Exact(AbstractModelDemapper):
    """The log-likelihood ratio itself."""

    name = "exact"

    def fill(self, *arrays: Any) -> None:
        _exact(*arrays)


@dataclass(frozen=True)
class Hard:
    """The bits of the nearest point, as -1 and 1: LLRs without reliabilities."""

    name = "hard"

    def demap(
        self, y: NDArray[np.complex64], h_hat: NDArray[np.complex64], noise_var: NDArray[np.float32], bits: int
    ) -> NDArray[np.float32]:
        soft = MaxLog().demap(y, h_hat, noise_var, bits)
        return np.where(soft > 0, np.float32(1), np.float32(-1))


@njit(cache=True, nogil=True, inline="always")
def _soft_bit(a, g, axis, bit, llr):  # type: ignore[no-untyped-def]
    """Max-log LLRs of one bit of an axis of `axis` bits, for many subcarriers.

    `a` is Re(y conj(h)) times half the distance of two levels, over the noise variance; `g` is |h|^2 times the square
    of that half distance, over the noise variance: the levels are then odd multiples of g. The formulas are the
    differences of the nearest squared distances, written out over the intervals between levels.
    """
    zero, two, four, six = np.float32(0), np.float32(2), np.float32(4), np.float32(6)
    if bit == 0 and axis == 1:
        for k in range(a.shape[0]):
            llr[k] = four * a[k]
    elif bit == 0 and axis == 2:
        for k in range(a.shape[0]):
            size = abs(a[k])
            llr[k] = math.copysign(four * (size + max(size - two * g[k], zero)), a[k])
    elif bit == 0:
        for k in range(a.shape[0]):
            size = abs(a[k])
            steep = max(size - two * g[k], zero) + max(size - four * g[k], zero) + max(size - six * g[k], zero)
            llr[k] = math.copysign(four * (size + steep), a[k])
    elif axis == 2:
        for k in range(a.shape[0]):
            llr[k] = four * (two * g[k] - abs(a[k]))
    elif bit == 1:
        for k in range(a.shape[0]):
            size = abs(a[k])
            bend = max(two * g[k] - size, zero) - max(size - six * g[k], zero)
            llr[k] = four * (four * g[k] - size + bend)
    else:
        for k in range(a.shape[0]):
            llr[k] = four * (two * g[k] - abs(abs(a[k]) - four * g[k]))


@njit(cache=True, nogil=True)
def _max_log(y, h, noise_var, level, llr):  # type: ignore[no-untyped-def]
    bits, count = llr.shape[3], y.shape[2]
    axis = max(bits // 2, 1)
    unit = np.float32(np.abs(level).min())
    real, imag, g = np.empty(count, np.float32), np.empty(count, np.float32), np.empty(count, np.float32)
    soft = np.empty((bits, count), np.float32)
    for packet in range(y.shape[0]):
        for symbol in range(y.shape[1]):
            for k in range(count):
                gain, scale = h[packet, min(symbol, h.shape[1] - 1), k], unit / noise_var[packet, k]
                matched = y[packet, symbol, k] * gain.conjugate()
                real[k], imag[k] = matched.real * scale, matched.imag * scale
                g[k] = (gain.real * gain.real + gain.imag * gain.imag) * unit * scale
            for bit in range(bits):
                _soft_bit(imag if bit >= axis else real, g, axis, bit % axis, soft[bit])
            for k in range(count):
                for bit in range(bits):
                    llr[packet, symbol, k, bit] = soft[bit, k]


@njit(cache=True, nogil=True)
def soft_packets(y, h, weight, unit, bits, total, limit, llr):  # type: ignore[no-untyped-def]
    """Max-log LLRs of whole packets, rounded to int16: llr[packet, (symbol, bit, subcarrier)].

    Their magnitudes are scaled to add up to `total` in each packet and clipped to `limit`. y is (batch, S, K), h and
    `weight` (batch, K), 1 / noise_var on data subcarriers and 0 elsewhere; a row of llr has at least K entries.
    This kernel is in the file of `_soft_bit`, which it calls: Numba's cache does not notice changes in other files.
    """
    symbols, used = y.shape[1], y.shape[2]
    width = llr.shape[1] // (symbols * bits)
    axis = max(bits // 2, 1)
    soft = np.empty((symbols * bits, width), np.float32)
    real, imag, g = np.zeros(width, np.float32), np.zeros(width, np.float32), np.zeros(width, np.float32)
    cosine, sine = np.empty(used, np.float32), np.empty(used, np.float32)
    flat = soft.reshape(-1)
    for packet in range(y.shape[0]):
        for k in range(used):
            gain, scale = h[packet, k], weight[packet, k] * np.float32(unit)
            cosine[k], sine[k] = gain.real * scale, gain.imag * scale
            g[k] = (gain.real * gain.real + gain.imag * gain.imag) * np.float32(unit) * scale
        for symbol in range(symbols):
            row = y[packet, symbol]
            # One array written in each loop: more, and the vectoriser gives up on proving that they do not overlap.
            for k in range(used):
                real[k] = row[k].real * cosine[k] + row[k].imag * sine[k]
            for k in range(used):
                imag[k] = row[k].imag * cosine[k] - row[k].real * sine[k]
            for bit in range(bits):
                _soft_bit(imag if bit >= axis else real, g, axis, bit % axis, soft[symbol * bits + bit])
        _round(flat, np.float32(total / max(_total(flat), np.float32(1e-30))), np.float32(limit), llr[packet])


@njit(cache=True, nogil=True, fastmath={"reassoc"})
def _total(soft):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for k in range(soft.shape[0]):
        total += abs(soft[k])
    return total


@njit(cache=True, nogil=True, inline="always")
def _round(soft, scale, limit, llr):  # type: ignore[no-untyped-def]
    for k in range(soft.shape[0]):
        clipped = min(max(np.float32(soft[k] * scale), -limit), limit)
        # 1.5 * 2^23 pushes the fraction out of the mantissa: rounding to even without a call.
        llr[k] = np.int16(np.float32(np.float32(clipped + np.float32(12582912)) - np.float32(12582912)))


@njit(cache=True, nogil=True)
def _exact(y, h, noise_var, level, llr):  # type: ignore[no-untyped-def]
    bits = llr.shape[3]
    axis = max(bits // 2, 1)
    distance = np.empty(level.shape[0])
    for packet in range(y.shape[0]):
        for symbol in range(y.shape[1]):
            for k in range(y.shape[2]):
                gain = h[packet, min(symbol, h.shape[1] - 1), k]
                g = gain.real * gain.real + gain.imag * gain.imag
                matched = y[packet, symbol, k] * gain.conjugate()
                for half in range(min(bits, 2)):
                    a = matched.imag if half else matched.real
                    for label in range(level.shape[0]):
                        # |y - h x|^2 without |y|^2, which all labels share: finite also where h = 0.
                        distance[label] = level[label] * (g * level[label] - 2 * a) / noise_var[packet, k]
                    for bit in range(axis):
                        shift = axis - 1 - bit
                        llr[packet, symbol, k, half * axis + bit] = _log_ratio(distance, shift)


@njit(cache=True, nogil=True)
def _log_ratio(distance, shift):  # type: ignore[no-untyped-def]
    nearest = np.full(2, np.inf)
    for label in range(distance.shape[0]):
        bit = (label >> shift) & 1
        nearest[bit] = min(nearest[bit], distance[label])
    total = np.zeros(2)
    for label in range(distance.shape[0]):
        bit = (label >> shift) & 1
        total[bit] += math.exp(nearest[bit] - distance[label])
    return nearest[0] - nearest[1] + math.log(total[1] / total[0])
