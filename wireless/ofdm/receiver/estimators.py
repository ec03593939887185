"""Channel estimators: from one noisy look at every subcarrier to the channel and the variance of what is left wrong.

All work on the K used subcarriers in ascending order of their index k, 52 or 56 of 64, and on a batch of packets.
The LS estimate is `h + e`, with e of variance `N0 / looks`: the mean over so many long training fields.
"""

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from wireless.ofdm.channel.profile import TAPS, exponential_covariance, response


class Truth(NamedTuple):
    """What only a simulation knows of a packet's channel."""

    h: NDArray[np.complex64]
    """The channel itself, (batch, K), or (batch, symbols, K) where it changes within a packet."""
    power: NDArray[np.float32]
    """Mean power of each path, (batch, paths): the law from which the channel was drawn."""
    delay: NDArray[np.float32]
    """Delay of each path in samples of 50 ns, (paths,)."""


class Observation(NamedTuple):
    """What the preamble shows of the channel."""

    ls: NDArray[np.complex64]
    """Mean of the long training fields over what was sent in them, (batch, K)."""
    noise: NDArray[np.float32]
    """Noise variance N0 of one subcarrier of one symbol, (batch,)."""
    looks: float = 2.0
    """Training symbols in the mean: the error of `ls` has the variance `noise / looks`. One in HT."""
    truth: Truth | None = None
    """Given by a simulation alone, for the bounds that no receiver reaches."""


class Channel(NamedTuple):
    """An estimate and how wrong it is."""

    h: NDArray[np.complex64]
    """(batch, K), or (batch, symbols, K) from an estimator that knows more than the preamble."""
    variance: NDArray[np.float32]
    """Variance of the error of `h`, (batch, K)."""


class Estimator(Protocol):
    """Turns the preamble into a channel; `name` is what tables call it."""

    @property
    def name(self) -> str: ...

    def estimate(self, seen: Observation) -> Channel: ...


@dataclass(frozen=True)
class LS:
    """Least squares: what was seen is what is believed."""

    name = "ls"

    def estimate(self, seen: Observation) -> Channel:
        return Channel(seen.ls, np.repeat((seen.noise / seen.looks)[:, None], seen.ls.shape[1], axis=1))


@dataclass(frozen=True)
class DFT:
    """LS projected on the channels of at most `taps` taps: `F F^+ ls`. It needs no statistics of the channel.

    The best linear unbiased estimate where the channel has that length, and a floor where it is longer.
    """

    taps: int = TAPS
    name = "dft"

    def estimate(self, seen: Observation) -> Channel:
        projector, kept = _projector(seen.ls.shape[1], self.taps)
        variance = (seen.noise / seen.looks)[:, None] * kept
        return Channel(seen.ls @ projector.T, variance.astype(np.float32))


@dataclass(frozen=True)
class KnownCovarianceLMMSE:
    """The linear estimate of least mean squared error: `W = R (R + sigma^2 I)^-1`, error covariance `R - W R`.

    R = E[h h^H] is `covariance`, (K, K) or (batch, K, K); without one it is the law from which each packet of a
    simulation was drawn (the genie), and an observation that does not know it raises `ValueError`. The channel has
    zero mean; sigma^2 is the variance of the LS error. (Edfors et al. 1998, *OFDM channel estimation by singular
    value decomposition*.)
    """

    covariance: NDArray[np.complex128] | None = None
    name = "lmmse-genie"

    def estimate(self, seen: Observation) -> Channel:
        return _genie(seen) if self.covariance is None else _known(seen, self.covariance)


@dataclass(frozen=True)
class RobustLMMSE:
    """LMMSE for the mean covariance of a family of channels: exponential profiles of uniform rms delay.

    One matrix for every packet of one noise level, without knowledge of the packet's own profile. `rms_ns` are the
    ends of the range over which the covariance is averaged.
    """

    rms_ns: tuple[float, float] = (10.0, 150.0)
    name = "lmmse-robust"

    def estimate(self, seen: Observation) -> Channel:
        return _known(seen, exponential_covariance(seen.ls.shape[1], self.rms_ns))


@dataclass(frozen=True)
class PerfectCSI:
    """The channel itself, `h` or what a simulation says it is: the bound that no estimator passes."""

    h: NDArray[np.complex64] | None = None
    name = "perfect"

    def estimate(self, seen: Observation) -> Channel:
        h = _truth(seen, self.name).h if self.h is None else self.h
        return Channel(h, np.zeros(seen.ls.shape, np.float32))


def _known(seen: Observation, covariance: NDArray[np.complex128]) -> Channel:
    # R and R + sigma^2 I share eigenvectors, so one decomposition serves every noise level of a batch.
    power, vectors = np.linalg.eigh(covariance)
    power, noise = np.maximum(power, 0), (seen.noise / seen.looks)[:, None]
    gain = power / (power + noise)
    turned = (vectors.conj().swapaxes(-1, -2) @ seen.ls[..., None])[..., 0]
    h = (vectors @ (gain * turned)[..., None])[..., 0]
    variance = (np.abs(vectors) ** 2 @ (gain * noise)[..., None])[..., 0]
    return Channel(h.astype(np.complex64), variance.astype(np.float32))


def _genie(seen: Observation) -> Channel:
    # With R = A A^H, R (R + s I)^-1 = A (A^H A + s I)^-1 A^H and R - W R = s times it: the matrix to invert is as
    # wide as the channel has paths.
    truth = _truth(seen, KnownCovarianceLMMSE.name)
    a = response(seen.ls.shape[1], truth.delay) * np.sqrt(truth.power)[:, None, :]
    adjoint, noise = a.conj().swapaxes(-1, -2), (seen.noise / seen.looks)[:, None]
    gain = np.linalg.solve(adjoint @ a + noise[..., None] * np.eye(a.shape[-1]), adjoint)
    h = (a @ (gain @ seen.ls[..., None]))[..., 0]
    variance = noise * np.einsum("bkl,blk->bk", a, gain).real
    return Channel(h.astype(np.complex64), variance.astype(np.float32))


@cache
def _projector(count: int, taps: int) -> tuple[NDArray[np.complex64], NDArray[np.float64]]:
    f = response(count, np.arange(taps))
    projector = f @ np.linalg.pinv(f)
    return projector.astype(np.complex64), np.diag(projector).real.copy()


def _truth(seen: Observation, name: str) -> Truth:
    if seen.truth is None:
        raise ValueError(f"estimator {name!r} needs what only a simulation knows: this observation has no truth")
    return seen.truth
