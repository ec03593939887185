"""Channels: the law from which the paths between two antennas are drawn."""

import abc
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from wireless.ofdm.estimators import TAPS, exponential_profile
from wireless.ofdm.noise import gaussian


class Paths(NamedTuple):
    """A draw for a batch of packets; delays in samples of 50 ns."""

    gain: NDArray[np.complex64]
    """(batch, paths)."""
    delay: NDArray[np.float32]
    """(paths,)."""
    power: NDArray[np.float32]
    """Mean power of each path, (batch, paths): the law of this packet, of which `gain` is one draw."""


class AbstractChannel(abc.ABC):
    """A law for paths whose mean powers add up to one."""

    @abc.abstractmethod
    def draw(self, packets: int, rng: Generator) -> Paths:
        """Paths for so many packets."""


@dataclass(frozen=True)
class AWGN(AbstractChannel):
    """One path of gain 1: noise alone."""

    name = "awgn"

    def draw(self, packets: int, rng: Generator) -> Paths:
        one = np.ones((packets, 1), np.float32)
        return Paths(one.astype(np.complex64), np.zeros(1, np.float32), one)


@dataclass(frozen=True)
class ExponentialFading(AbstractChannel):
    """Rayleigh taps at whole samples with power `exp(-50 ns l / rms)`; rms uniform in a range, per packet, in ns."""

    rms_ns: tuple[float, float] = (10.0, 150.0)
    taps: int = TAPS
    name = "exponential"

    def draw(self, packets: int, rng: Generator) -> Paths:
        power = exponential_profile(rng.uniform(*self.rms_ns, packets), self.taps).astype(np.float32)
        return Paths(rayleigh(power, rng), np.arange(self.taps, dtype=np.float32), power)


def rayleigh(power: NDArray[np.float32], rng: Generator) -> NDArray[np.complex64]:
    """Complex Gaussian gains of the mean powers given."""
    return gaussian(power.shape, 1.0, rng) * np.sqrt(power)
