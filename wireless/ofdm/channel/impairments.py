"""Impairments of radio front ends: amplifier, oscillators, mixers and converters."""

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numba import njit
from numpy.random import Generator
from numpy.typing import NDArray

from wireless.ofdm.phy.grid import SAMPLE_RATE

Place = Literal["transmitter", "receiver"]


class Impairment(Protocol):
    """Distorts a batch of waveforms (batch, N) at 20 MHz, at the transmitter or, after noise, at the receiver."""

    place: Place

    def apply(self, x: NDArray[np.complex64], rng: Generator) -> NDArray[np.complex64]: ...


@dataclass(frozen=True)
class RappAmplifier:
    """`x / (1 + (|x| / A)^2p)^(1/2p)`: linear for small |x|, saturated at A, `backoff_db` above the rms of x.

    Compression lowers the power of a waveform. (Rapp 1991, *Effects of HPA-nonlinearity on a 4-DPSK/OFDM-signal
    for a digital sound broadcasting system*.)
    """

    backoff_db: float = 6.0
    smoothness: float = 2.0
    place: Place = "transmitter"

    def apply(self, x: NDArray[np.complex64], rng: Generator) -> NDArray[np.complex64]:
        saturation = _rms(x) * 10 ** (self.backoff_db / 20)
        compression = (1 + (np.abs(x) / saturation) ** (2 * self.smoothness)) ** (-1 / (2 * self.smoothness))
        compressed: NDArray[np.complex64] = x * compression
        return compressed


@dataclass(frozen=True)
class CarrierOffset:
    """`x exp(j 2 pi f t)`, f uniform in a range, per packet: the offset that remains after a receiver's correction."""

    hertz: tuple[float, float] = (-500.0, 500.0)
    place: Place = "receiver"

    def apply(self, x: NDArray[np.complex64], rng: Generator) -> NDArray[np.complex64]:
        f = rng.uniform(*self.hertz, (len(x), 1))
        rotation = np.exp(2j * np.pi * f / SAMPLE_RATE * np.arange(x.shape[1])).astype(np.complex64)
        return np.asarray(x * rotation)


@dataclass(frozen=True)
class SamplingOffset:
    """The receiver's clock is slow by a number of parts per million, uniform in a range, per packet: x(n (1 + ppm)).

    Band-limited interpolation by a sinc with a Hann window of 32 samples. The carrier offset is modelled separately.
    """

    ppm: tuple[float, float] = (-20.0, 20.0)
    place: Place = "receiver"

    def apply(self, x: NDArray[np.complex64], rng: Generator) -> NDArray[np.complex64]:
        resampled = np.empty_like(x)
        _resample(np.ascontiguousarray(x), 1 + 1e-6 * rng.uniform(*self.ppm, len(x)), resampled)
        return resampled


@dataclass(frozen=True)
class PhaseNoise:
    """A free-running oscillator: its phase is a random walk with variance `2 pi linewidth t`."""

    linewidth_hz: float = 100.0
    place: Place = "receiver"

    def apply(self, x: NDArray[np.complex64], rng: Generator) -> NDArray[np.complex64]:
        step = math.sqrt(2 * math.pi * self.linewidth_hz / SAMPLE_RATE)
        phase = np.cumsum(rng.standard_normal(x.shape, np.float32) * np.float32(step), axis=1)
        return (x * np.exp(1j * phase)).astype(np.complex64)


@dataclass(frozen=True)
class IQImbalance:
    """A mixer with mismatched branches: `mu x + nu conj(x)`, so that the mirror image leaks into each subcarrier.

    With g the ratio of gains and phi the error of the 90 degree phase, `mu = (1 + g exp(-j phi)) / 2` and
    `nu = (1 - g exp(j phi)) / 2`; the image is `|nu|^2 / |mu|^2` of the signal.
    """

    gain_db: float = 0.5
    phase_deg: float = 2.0
    place: Place = "receiver"

    @property
    def image(self) -> float:
        """Power of the image over the power of the signal."""
        mu, nu = self._mixture()
        return abs(nu) ** 2 / abs(mu) ** 2

    def apply(self, x: NDArray[np.complex64], rng: Generator) -> NDArray[np.complex64]:
        mu, nu = self._mixture()
        return (mu * x + nu * x.conj()).astype(np.complex64)

    def _mixture(self) -> tuple[complex, complex]:
        g, phi = 10 ** (self.gain_db / 20), math.radians(self.phase_deg)
        rotation = complex(math.cos(phi), -math.sin(phi))
        return (1 + g * rotation) / 2, (1 - g * rotation.conjugate()) / 2


@dataclass(frozen=True)
class ADC:
    """An analogue-to-digital converter of `bits` bits on each axis, clipped `headroom_db` above the rms of an axis.

    Levels lie in the middle of `2^bits` equal steps between the clipping points, so none is zero. For an input uniform
    over that range the signal is `6.02 bits` dB above the quantisation noise.
    """

    bits: int = 6
    headroom_db: float = 10.0
    place: Place = "receiver"

    def apply(self, x: NDArray[np.complex64], rng: Generator) -> NDArray[np.complex64]:
        parts = np.ascontiguousarray(x).view(np.float32)
        clip = np.repeat(_rms(x) / np.sqrt(2) * 10 ** (self.headroom_db / 20), parts.shape[1], axis=1)
        step = 2 * clip / 2**self.bits
        level = np.clip(np.floor(parts / step), -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1)
        quantised: NDArray[np.complex64] = ((level + 0.5) * step).astype(np.float32).view(np.complex64)
        return quantised


def _rms(x: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Root of the mean power of each waveform, (batch, 1)."""
    return np.sqrt(np.mean(np.abs(x) ** 2, axis=1, keepdims=True))  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def _resample(x, rate, out):  # type: ignore[no-untyped-def]
    reach = 16
    for packet in range(x.shape[0]):
        for n in range(x.shape[1]):
            t = n * rate[packet]
            whole = math.floor(t)
            part = t - whole
            total = 0j
            for k in range(whole - reach + 1, whole + reach + 1):
                if 0 <= k < x.shape[1]:
                    at = t - k
                    window = 0.5 + 0.5 * math.cos(math.pi * at / reach)
                    # sin(pi at) alternates with k: one sine serves all taps of a sample.
                    sinc = 1.0 if at == 0 else (1 - 2 * ((whole - k) & 1)) * math.sin(math.pi * part) / (math.pi * at)
                    total += x[packet, k] * window * sinc
            out[packet, n] = total
