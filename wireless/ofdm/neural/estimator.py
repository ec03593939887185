"""Channel estimation by a delay gate: a small network that estimates the powers of 16 taps from noisy LS values."""

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wireless.ofdm.channel.profile import TAPS, response
from wireless.ofdm.receiver.estimators import ChannelEstimate, Observation, interpolated
from wireless.ofdm.receiver.wiener import Prior, wiener

TINY = (24,)
"""Hidden widths of the smallest network without a loss in error rate: 832 weights."""

WIDE = (64, 54)
"""Hidden widths of the larger one: 5542 weights."""

DETECTION_RATIO = 4.0
"""A tap whose power is this many times the noise counts as present; noise alone exceeds it in one of 55 cases."""

FLOOR = 1e-3
"""Added to the ratio of tap power to noise before the logarithm: taps below -30 dB all look absent."""


class DelayGate(nn.Module):
    """Scores `s` of the 16 delays, `sigmoid(s)` being the Wiener gain P / (P + noise) of a tap of power P.

        s = MLP(log(|t|^2 / N0 + 1e-3), log N0),   t = F^+ ls

    For independent taps the best linear estimate scales each by its Wiener gain. Only the powers are unknown, and the
    network estimates them from one observation. A gain implies a power: `exp(-s) / noise` is the precision of the tap
    in a full Wiener estimate, which takes a noise variance for every subcarrier: `NeuralEstimator`.
    """

    def __init__(self, hidden: Sequence[int] = TINY) -> None:
        super().__init__()
        widths = (TAPS + 1, *hidden, TAPS)
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(widths))

    def forward(self, t: Tensor, noise_var: Tensor) -> Tensor:
        """Scores `(batch, 16)` of taps `t` `(batch, 16)`, estimated from two training symbols at N0 `(batch,)`."""
        power = t.real.square() + t.imag.square()
        x = torch.cat((torch.log(power / noise_var[:, None] + FLOOR), torch.log(noise_var)[:, None]), 1)
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        scores: Tensor = self.layers[-1](x)
        return scores


def estimate(net: Callable[..., Tensor], ls: Tensor, noise_var: Tensor) -> Tensor:
    """The channel `(batch, used)` from LS over two training symbols: a differentiable `wiener` without `rest`.

    `net` maps taps and N0 to scores, as a `DelayGate` does.
    """
    f, inverse, spread = (torch.from_numpy(array).to(ls.device) for array in delays(ls.shape[1]))
    scores = net(ls @ inverse.T, noise_var)
    precision = torch.exp(-scores) / (0.5 * noise_var[:, None] * spread)
    gram = (f.mH @ f) * (2 / noise_var)[:, None, None] + torch.diag_embed(precision).to(f.dtype)
    right = (ls @ f.conj()) * (2 / noise_var)[:, None]
    h_hat: Tensor = torch.linalg.solve(gram, right[..., None])[..., 0] @ f.T
    return h_hat


@cache
def delays(used: int) -> tuple[NDArray[np.complex64], NDArray[np.complex64], NDArray[np.float32]]:
    """F `(used, 16)`, its pseudo-inverse, and the noise variance of each tap over that of a subcarrier."""
    f = response(used, np.arange(TAPS))
    inverse = np.linalg.pinv(f)
    spread = (np.abs(inverse) ** 2).sum(1)
    return f.astype(np.complex64), inverse.astype(np.complex64), spread.astype(np.float32)


class AbstractGateEstimator(abc.ABC):
    """The delay gate inside a Wiener estimate, in NumPy; subclasses differ in how they compute the scores.

    Two rules keep it accurate on channels unlike those of the training. A tap far above the noise counts as present,
    whatever the score (`DETECTION_RATIO`). And where the part of `ls` outside the span of 16 taps has significantly
    more power than noise, the estimate keeps it (`rest`), which brings it back towards LS.
    """

    @abc.abstractmethod
    def scores(self, t: NDArray[np.complex64], noise_var: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `DelayGate.forward`, within -20 to 20."""

    @final
    def estimate(self, observation: Observation) -> ChannelEstimate:
        return wiener(observation.ls, observation.total_ls_err_var, self.prior(observation))

    @final
    def prior(self, observation: Observation) -> Prior:
        """The prior that the network infers from the preamble: a precision per tap, and the power outside the taps."""
        observation = interpolated(observation)
        f, inverse, spread = delays(observation.ls.shape[1])
        t, error = observation.ls @ inverse.T, observation.ls_err_var
        outside = (np.abs(observation.ls - t @ f.T) ** 2).sum(1) / (observation.ls.shape[1] - TAPS)
        power, tap_error = np.abs(t) ** 2, error[:, None] * spread
        precision = np.exp(-self.scores(t, 2 * error)) / tap_error
        present = power > DETECTION_RATIO * tap_error
        precision = np.where(present, np.minimum(precision, 1 / (power + tap_error)), precision)
        return Prior(precision, np.where(outside > 1.5 * error, outside - error, 0).astype(np.float32))


@dataclass(frozen=True, eq=False)
class NeuralEstimator(AbstractGateEstimator):
    """The gate in floating point: weights `(out, in)` and biases, layer by layer."""

    layers: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]
    name: str = "neural"

    @classmethod
    def of(cls, net: DelayGate, name: str = "neural") -> "NeuralEstimator":
        return cls([_arrays(layer) for layer in net.layers], name)

    def scores(self, t: NDArray[np.complex64], noise_var: NDArray[np.float32]) -> NDArray[np.float32]:
        x = gate_inputs(t, noise_var)
        for weight, bias in self.layers[:-1]:
            x = np.maximum(x @ weight.T + bias, 0)
        weight, bias = self.layers[-1]
        scores: NDArray[np.float32] = np.clip(x @ weight.T + bias, -20, 20)
        return scores


def gate_inputs(t: NDArray[np.complex64], noise_var: NDArray[np.float32]) -> NDArray[np.float32]:
    """The inputs of a delay gate, `(batch, 17)`: the logarithms of the powers of the taps over N0, and of N0."""
    return np.concatenate((np.log(np.abs(t) ** 2 / noise_var[:, None] + FLOOR), np.log(noise_var)[:, None]), 1)


def _arrays(layer: nn.Module) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    assert isinstance(layer, nn.Linear)
    return layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy()
