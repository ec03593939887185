"""Channel models: random paths between two antennas, and their effect on a waveform.

All models have mean power one. Delays are in samples of 50 ns, with fractions.
"""

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from wireless.ofdm.channel.noise import gaussian
from wireless.ofdm.channel.profile import TAPS, exponential_profile
from wireless.ofdm.phy.grid import SAMPLE_RATE


class Paths(NamedTuple):
    """One realisation of a channel model for each packet of a batch."""

    gain: NDArray[np.complex64]
    """(batch, paths); with Doppler (batch, paths, waves), where the gain at time t is the sum over waves."""
    delay: NDArray[np.float32]
    """(paths,) in samples, from 0 upwards."""
    power: NDArray[np.float32]
    """Mean power of each path, (batch, paths): the power-delay profile of which `gain` is one realisation."""
    hertz: NDArray[np.float32] | None = None
    """Doppler shift of each wave, (batch, paths, waves); None for time-invariant paths."""

    def at(self, samples: NDArray[np.integer]) -> NDArray[np.complex64]:
        """Gains (batch, paths, times) at times counted in samples; of time-invariant paths (batch, paths, 1)."""
        if self.hertz is None:
            return self.gain[..., None]
        # One packet at a time: the waves of all packets together would take gigabytes.
        turns = 2j * np.pi / SAMPLE_RATE * np.asarray(samples)
        both = zip(self.gain, self.hertz, strict=True)
        gains = [np.einsum("pw,pwt->pt", gain, np.exp(hertz[..., None] * turns)) for gain, hertz in both]
        return np.array(gains, np.complex64)

    def convolve(self, sent: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """The received waveform `sum_p gain_p(t) sent(t - delay_p)` of `sent` (batch, N), same shape.

        Delays are applied to the spectrum, so that fractional ones are band-limited (sinc) interpolation.
        """
        n = sent.shape[1]
        size = 1 << int(n + self.delay.max() + 64).bit_length()  # room for the last delay and the tails of the sinc
        turns = np.exp(-2j * np.pi * np.outer(self.delay, np.fft.fftfreq(size))).astype(np.complex64)
        spectrum = np.fft.fft(sent, size)
        if self.hertz is None:
            return np.fft.ifft(spectrum * (self.gain @ turns))[:, :n].astype(np.complex64)
        # Doppler shifts are thousands of times slower than samples: linear interpolation of every sixteenth gain.
        knots, (between, at) = self.at(np.arange(0, n + 16, 16)), np.modf(np.arange(n) / 16)
        start = at.astype(int)
        gains = knots[..., start] + (knots[..., start + 1] - knots[..., start]) * between.astype(np.float32)
        delayed = (np.fft.ifft(spectrum * turn)[:, :n] for turn in turns)
        return sum(gains[:, p] * x for p, x in enumerate(delayed)).astype(np.complex64)  # type: ignore[union-attr]


class AbstractChannel(abc.ABC):
    """A random model of paths; tables show it as `name`."""

    name: str

    @abc.abstractmethod
    def sample(self, packets: int, rng: Generator) -> Paths:
        """Independent paths for each of `packets` packets."""


@dataclass(frozen=True)
class AWGN(AbstractChannel):
    """A single path of gain 1: only noise is added."""

    name = "awgn"

    def sample(self, packets: int, rng: Generator) -> Paths:
        one = np.ones((packets, 1), np.float32)
        return Paths(one.astype(np.complex64), np.zeros(1, np.float32), one)


@dataclass(frozen=True)
class ExponentialFading(AbstractChannel):
    """Rayleigh taps at whole samples with power `exp(-50 ns l / rms)`; rms uniform in a range, per packet, in ns.

    With more than 16 taps the channel outlasts the cyclic prefix.
    """

    rms_ns: tuple[float, float] = (10.0, 150.0)
    taps: int = TAPS
    name = "exponential"

    def sample(self, packets: int, rng: Generator) -> Paths:
        power = exponential_profile(rng.uniform(*self.rms_ns, packets), self.taps).astype(np.float32)
        return Paths(rayleigh(power, rng), np.arange(self.taps, dtype=np.float32), power)


@dataclass(frozen=True)
class TwoTap(AbstractChannel):
    """Two Rayleigh paths, the second `delay_ns` later and `ratio_db` weaker."""

    delay_ns: float = 400.0
    ratio_db: float = 0.0
    name = "two-tap"

    def sample(self, packets: int, rng: Generator) -> Paths:
        return _rayleigh_paths((0.0, self.delay_ns), (0.0, -self.ratio_db), packets, rng)


@dataclass(frozen=True)
class Rician(AbstractChannel):
    """A line of sight of random phase, `k_db` above the total power of the exponential fading added to it."""

    k_db: float = 3.0
    rms_ns: tuple[float, float] = (10.0, 150.0)
    name = "rician"

    def sample(self, packets: int, rng: Generator) -> Paths:
        scattered = ExponentialFading(self.rms_ns).sample(packets, rng)
        k = 10 ** (self.k_db / 10)
        gain, power = scattered.gain / np.sqrt(1 + k), scattered.power / (1 + k)
        gain[:, 0] += np.sqrt(k / (1 + k)) * np.exp(2j * np.pi * rng.random(packets))
        power[:, 0] += k / (1 + k)
        return Paths(gain.astype(np.complex64), scattered.delay, power.astype(np.float32))


# Delay in ns of the first path of each cluster and powers in dB, on the delays of the model: IEEE 802.11-03/940r4,
# written down from memory and checked against the rms delay spreads in that document: 15, 50 and 100 ns.
_TGN: Mapping[str, tuple[tuple[float, ...], tuple[tuple[float, tuple[float, ...]], ...]]] = MappingProxyType(
    {
        "B": (
            (0, 10, 20, 30, 40, 50, 60, 70, 80),
            (
                (0, (0, -5.4, -10.8, -16.2, -21.7)),
                (20, (-3.2, -6.3, -9.4, -12.5, -15.6, -18.7, -21.8)),
            ),
        ),
        "D": (
            (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 110, 140, 170, 200, 240, 290, 340, 390),
            (
                (0, (0, -0.9, -1.7, -2.6, -3.5, -4.3, -5.2, -6.1, -6.9, -7.8, -9.0, -11.1, -13.7, -16.3, -19.3, -23.2)),
                (110, (-6.6, -9.5, -12.1, -14.7, -17.4, -21.9, -25.5)),
                (240, (-18.8, -23.2, -25.2, -26.7)),
            ),
        ),
        "E": (
            (0, 10, 20, 30, 50, 80, 110, 140, 180, 230, 280, 330, 380, 430, 490, 560, 640, 730),
            (
                (0, (-2.6, -3.0, -3.5, -3.9, -4.5, -5.6, -6.9, -8.2, -9.8, -11.7, -13.9, -16.1, -18.3, -20.5, -22.9)),
                (50, (-1.8, -3.2, -4.5, -5.8, -7.1, -9.9, -10.3, -14.3, -14.7, -18.7, -19.9, -22.4)),
                (180, (-7.9, -9.6, -14.2, -13.8, -18.6, -18.1, -22.8)),
                (490, (-20.6, -20.5, -20.7, -24.6)),
            ),
        ),
    }
)


@dataclass(frozen=True)
class TGn(AbstractChannel):
    """Clusters of indoor paths as in the TGn models B, D and E for one antenna, rms delay spread 15, 50 and 100 ns.

    The angles, which matter for several antennas, and the Doppler spectrum of the models are not included.
    """

    model: str = "B"

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"tgn-{self.model.lower()}"

    def sample(self, packets: int, rng: Generator) -> Paths:
        if self.model not in _TGN:
            raise ValueError(f"TGn model {self.model!r} is not one of {', '.join(_TGN)}")
        delays, clusters = _TGN[self.model]
        power = np.zeros(len(delays))
        for first, decibels in clusters:
            start = delays.index(first)
            power[start : start + len(decibels)] += 10 ** (np.array(decibels) / 10)
        return _rayleigh_paths(delays, tuple(10 * np.log10(power)), packets, rng)


@dataclass(frozen=True)
class TDL(AbstractChannel):
    """The tapped delay lines A, B and C of 3GPP TR 38.901, from Sionna's tables; Rayleigh paths at a scaled rms delay.

    Delays and powers come from Sionna; random numbers come from the generator, not from Sionna's global state.
    """

    model: str = "A"
    rms_ns: float = 100.0

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"tdl-{self.model.lower()}-{self.rms_ns:g}ns"

    def sample(self, packets: int, rng: Generator) -> Paths:
        delays_ns, decibels = _tdl(self.model, self.rms_ns)
        return _rayleigh_paths(delays_ns, decibels, packets, rng)


@dataclass(frozen=True)
class Moving(AbstractChannel):
    """The Rayleigh paths of another channel, fading with time: Clarke's spectrum up to `doppler_hz`.

    Each path is a sum of plane waves from random directions with Gaussian amplitudes, so that its gain is Gaussian at
    any time and `E[g(0) conj(g(t))] = power J0(2 pi doppler t)` (Clarke 1968). A line of sight would fade as well.
    """

    fixed: AbstractChannel
    doppler_hz: float = 100.0
    waves: int = 16

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"{self.fixed.name}-{self.doppler_hz:g}hz"

    def sample(self, packets: int, rng: Generator) -> Paths:
        paths = self.fixed.sample(packets, rng)
        spread = np.repeat(paths.power[..., None] / np.float32(self.waves), self.waves, axis=-1)
        hertz = self.doppler_hz * np.cos(rng.uniform(0, 2 * np.pi, spread.shape))
        return paths._replace(gain=rayleigh(spread, rng), hertz=hertz.astype(np.float32))


def rayleigh(power: NDArray[np.float32], rng: Generator) -> NDArray[np.complex64]:
    """Complex Gaussian gains of mean power `power`, of the same shape."""
    gains: NDArray[np.complex64] = gaussian(power.shape, 1.0, rng) * np.sqrt(power)
    return gains


def _rayleigh_paths(delays_ns: tuple[float, ...], decibels: tuple[float, ...], packets: int, rng: Generator) -> Paths:
    power = 10 ** (np.array(decibels) / 10)
    powers = np.repeat((power / power.sum()).astype(np.float32)[None], packets, axis=0)
    delay = (np.array(delays_ns) * 1e-9 * SAMPLE_RATE).astype(np.float32)
    return Paths(rayleigh(powers, rng), delay, powers)


@cache
def _tdl(model: str, rms_ns: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if model not in ("A", "B", "C"):
        raise ValueError(f"TDL model {model!r} is not one of A, B, C, the models with Rayleigh paths only")
    try:
        from sionna.phy.channel import tr38901
    except ImportError as error:
        raise ImportError("TDL channels need Sionna: pip install -e '.[wireless]'") from error
    table = tr38901.TDL(model, rms_ns * 1e-9, 5e9)
    power = np.asarray(table.mean_powers, np.float64)
    return tuple(1e9 * np.asarray(table.delays, np.float64)), tuple(10 * np.log10(power))
