"""Channel estimators: from the received training symbols to the channel and its error variance on every subcarrier.

All work on the K used subcarriers in ascending order of their index k, 52 or 56 of 64, and on a batch of packets.
The LS estimate is `h + e` with e of variance `noise_var / training_symbols`: the mean over that many long training
symbols. Narrowband interference adds its own variance on the subcarriers where it is, and every estimator weights these
less. As in Sionna, `h_hat` is an estimate of `h` and `err_var` the variance of its error.
"""

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from wireless.ofdm.channel.profile import TAPS, exponential_covariance, response


class Truth(NamedTuple):
    """The true channel of each packet, which is available in a simulation only."""

    h: NDArray[np.complex64]
    """The channel, (batch, K), or (batch, symbols, K) where it changes within a packet."""
    power: NDArray[np.float32]
    """Mean power of each path, (batch, paths): the power-delay profile of which the channel is one realisation."""
    delay: NDArray[np.float32]
    """Delay of each path in samples of 50 ns, (paths,)."""


class Observation(NamedTuple):
    """The least squares channel estimate from the preamble, and the noise in it."""

    ls: NDArray[np.complex64]
    """Mean of the received training symbols divided by the transmitted ones, (batch, K)."""
    noise_var: NDArray[np.float32]
    """Variance N0 of the white noise on one subcarrier of one symbol, (batch,)."""
    training_symbols: float = 2.0
    """Training symbols in the mean: the error of `ls` has the variance `noise_var / training_symbols`. One in HT."""
    truth: Truth | None = None
    """Set by simulations only, for bounds that no practical receiver reaches."""
    interference: NDArray[np.float32] | None = None
    """Variance that narrowband interference adds on each subcarrier of one symbol, (batch, K); None without any."""

    @property
    def total_noise_var(self) -> NDArray[np.float32]:
        """Variance of noise and interference on each subcarrier of one symbol, (batch, K); (batch, 1) without any."""
        noise_var = self.noise_var[:, None]
        return noise_var if self.interference is None else noise_var + self.interference

    @property
    def white_share(self) -> NDArray[np.float32]:
        """The share of N0 in `total_noise_var`, (batch, K): 1 where there is no interference."""
        if self.interference is None:
            return np.ones(self.ls.shape, np.float32)
        return self.noise_var[:, None] / self.total_noise_var

    @property
    def ls_err_var(self) -> NDArray[np.float32]:
        """Variance of the error of `ls` without interference, (batch,)."""
        return self.noise_var / np.float32(self.training_symbols)

    @property
    def total_ls_err_var(self) -> NDArray[np.float32]:
        """Variance of the error of `ls` on each subcarrier, (batch, K)."""
        err_var = self.total_noise_var / np.float32(self.training_symbols)
        return np.ascontiguousarray(np.broadcast_to(err_var, self.ls.shape))


class ChannelEstimate(NamedTuple):
    """A channel estimate and its error variance."""

    h_hat: NDArray[np.complex64]
    """The estimate, (batch, K), or (batch, symbols, K) from an estimator that follows the channel over a packet."""
    err_var: NDArray[np.float32]
    """Variance of the error of `h_hat`, (batch, K)."""


class Estimator(Protocol):
    """Estimates the channel from the preamble; tables show it as `name`."""

    @property
    def name(self) -> str: ...

    def estimate(self, observation: Observation) -> ChannelEstimate: ...


@dataclass(frozen=True)
class LS:
    """Least squares: the observation itself."""

    name = "ls"

    def estimate(self, observation: Observation) -> ChannelEstimate:
        return ChannelEstimate(observation.ls, observation.total_ls_err_var)


@dataclass(frozen=True)
class DFT:
    """LS projected on the channels of at most `taps` taps: `F F^+ ls`. It needs no statistics of the channel.

    The best linear unbiased estimate of a channel no longer than that; a longer channel leaves an error floor. With
    interference the projection weights every subcarrier by one over its error variance.
    """

    taps: int = TAPS
    name = "dft"

    def estimate(self, observation: Observation) -> ChannelEstimate:
        if observation.interference is not None:
            return _of_paths(observation, response(observation.ls.shape[1], np.arange(self.taps))[None], np.zeros(1))
        projector, err_gain = _projector(observation.ls.shape[1], self.taps)
        err_var = observation.ls_err_var[:, None] * err_gain
        return ChannelEstimate(observation.ls @ projector.T, err_var.astype(np.float32))


@dataclass(frozen=True)
class KnownCovarianceLMMSE:
    """The linear estimate of least mean squared error: `W = R (R + sigma^2 I)^-1`, error covariance `R - W R`.

    R = E[h h^H] is `covariance`, (K, K) or (batch, K, K). Without it, R is the true covariance of each simulated packet
    (the genie), and an observation without `truth` raises `ValueError`. The channel has zero mean; sigma^2 is the
    variance of the LS error. (Edfors et al. 1998, *OFDM channel estimation by singular value decomposition*.)
    """

    covariance: NDArray[np.complex128] | None = None
    name = "lmmse-genie"

    def estimate(self, observation: Observation) -> ChannelEstimate:
        return _lmmse_of_paths(observation) if self.covariance is None else _lmmse(observation, self.covariance)


@dataclass(frozen=True)
class RobustLMMSE:
    """LMMSE for the mean covariance of a family of channels: exponential profiles of uniform rms delay.

    One matrix for every packet of one noise level, without knowledge of the packet's own profile. `rms_ns` are the
    ends of the range over which the covariance is averaged.
    """

    rms_ns: tuple[float, float] = (10.0, 150.0)
    name = "lmmse-robust"

    def estimate(self, observation: Observation) -> ChannelEstimate:
        return _lmmse(observation, exponential_covariance(observation.ls.shape[1], self.rms_ns))


@dataclass(frozen=True)
class PerfectCSI:
    """The true channel: `h`, or the one that the simulation recorded. No estimator does better."""

    h: NDArray[np.complex64] | None = None
    name = "perfect"

    def estimate(self, observation: Observation) -> ChannelEstimate:
        h = _truth(observation, self.name).h if self.h is None else self.h
        return ChannelEstimate(h, np.zeros(observation.ls.shape, np.float32))


def _lmmse(observation: Observation, covariance: NDArray[np.complex128]) -> ChannelEstimate:
    power, vectors = np.linalg.eigh(covariance)
    power, ls_err_var = np.maximum(power, 0), observation.ls_err_var[:, None]
    if observation.interference is not None:
        a = vectors * np.sqrt(power)[..., None, :]
        return _of_paths(observation, a.reshape(-1, *a.shape[-2:]), observation.ls_err_var)
    # R and R + sigma^2 I share eigenvectors, so one decomposition serves every noise level of a batch.
    gain = power / (power + ls_err_var)
    rotated = (vectors.conj().swapaxes(-1, -2) @ observation.ls[..., None])[..., 0]
    h_hat = (vectors @ (gain * rotated)[..., None])[..., 0]
    err_var = (np.abs(vectors) ** 2 @ (gain * ls_err_var)[..., None])[..., 0]
    return ChannelEstimate(h_hat.astype(np.complex64), err_var.astype(np.float32))


def _lmmse_of_paths(observation: Observation) -> ChannelEstimate:
    truth = _truth(observation, KnownCovarianceLMMSE.name)
    a = response(observation.ls.shape[1], truth.delay) * np.sqrt(truth.power)[:, None, :]
    return _of_paths(observation, a, observation.ls_err_var)


def _of_paths(observation: Observation, a: NDArray[np.complexfloating], ridge: NDArray[np.floating]) -> ChannelEstimate:
    """The LMMSE estimate for R = A A^H, A being (batch or 1, K, paths), with the error variance of every subcarrier.

    With D = diag(s / w) the variance of the LS error, s without interference and w the share of s in it,
    R (R + D)^-1 = A (A^H diag(w) A + s I)^-1 A^H diag(w): the matrix to invert is as wide as the channel has paths.
    The ridge is s (batch,); with 0 it is the weighted least squares estimate.
    """
    share = observation.white_share[:, None, :]
    adjoint = a.conj().swapaxes(-1, -2) * share
    gain = np.linalg.solve(adjoint @ a + ridge[:, None, None] * np.eye(a.shape[-1]), adjoint)
    h_hat = (a @ (gain @ observation.ls[..., None]))[..., 0]
    spread = np.sum(a * gain.swapaxes(-1, -2), axis=-1).real
    err_var = observation.ls_err_var[:, None] * spread / share[:, 0]
    return ChannelEstimate(h_hat.astype(np.complex64), err_var.astype(np.float32))


def interpolated(observation: Observation) -> Observation:
    """The observation with `ls` interpolated over interference: for estimators that assume white noise.

    The less of the variance on a subcarrier is white, the more of its LS estimate is replaced by that of `RobustLMMSE`,
    which rests on the subcarriers without interference. The result has no interference.
    """
    if observation.interference is None:
        return observation
    share, robust = observation.white_share, RobustLMMSE().estimate(observation).h_hat
    ls = (share * observation.ls + (1 - share) * robust).astype(np.complex64)
    return observation._replace(ls=ls, interference=None)


@cache
def _projector(count: int, taps: int) -> tuple[NDArray[np.complex64], NDArray[np.float64]]:
    f = response(count, np.arange(taps))
    projector = f @ np.linalg.pinv(f)
    return projector.astype(np.complex64), np.diag(projector).real.copy()


def _truth(observation: Observation, name: str) -> Truth:
    if observation.truth is None:
        raise ValueError(
            f"estimator {name!r} needs the true channel, which only simulations have: this observation has no `truth`"
        )
    return observation.truth
