"""Channel estimation by a small network that judges taps: a noisy look at 16 delays in, the power of each out."""

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
from wireless.ofdm.receiver.estimators import Channel, Observation
from wireless.ofdm.receiver.wiener import Prior, wiener

TINY = (24,)
"""Hidden widths of the smallest network that keeps up: 832 weights."""

WIDE = (64, 54)
"""Hidden widths of the larger one: 5542 weights."""

PLAIN = 4.0
"""Noise alone makes a tap so many times stronger than itself in one of 55 cases: such a tap is there."""

FLOOR = 1e-3
"""Added to a tap's power over its noise before the logarithm: below -30 dB a tap is absent."""


class DelayGate(nn.Module):
    """Scores `s` of the 16 delays, `sigmoid(s)` being the Wiener gain P / (P + noise) of a tap of power P.

        s = MLP(log(|t|^2 / N0 + 1e-3), log N0),   t = F^+ ls

    For independent taps the best linear estimate scales each by its Wiener gain. Only the powers are unknown, and the
    network guesses them from one look. As the gain says what power a tap is given, `exp(-s) / noise` is the tap's
    precision in a full Wiener estimate, which takes any reliabilities of the subcarriers: `NeuralEstimator`.
    """

    def __init__(self, hidden: Sequence[int] = TINY) -> None:
        super().__init__()
        widths = (TAPS + 1, *hidden, TAPS)
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(widths))

    def forward(self, t: Tensor, noise: Tensor) -> Tensor:
        """Scores `(batch, 16)` of taps `t` `(batch, 16)` seen with two training symbols at N0 `(batch,)`."""
        power = t.real.square() + t.imag.square()
        x = torch.cat((torch.log(power / noise[:, None] + FLOOR), torch.log(noise)[:, None]), 1)
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        scores: Tensor = self.layers[-1](x)
        return scores


def estimate(net: Callable[..., Tensor], ls: Tensor, noise: Tensor) -> Tensor:
    """The channel `(batch, used)` from LS over two training symbols: `wiener` without `rest`, differentiable.

    `net` maps taps and N0 to scores, as a `DelayGate` does.
    """
    f, inverse, spread = (torch.from_numpy(array) for array in delays(ls.shape[1]))
    scores = net(ls @ inverse.T, noise)
    precision = torch.exp(-scores) / (0.5 * noise[:, None] * spread)
    gram = (f.mH @ f) * (2 / noise)[:, None, None] + torch.diag_embed(precision).to(f.dtype)
    right = (ls @ f.conj()) * (2 / noise)[:, None]
    h: Tensor = torch.linalg.solve(gram, right[..., None])[..., 0] @ f.T
    return h


@cache
def delays(used: int) -> tuple[NDArray[np.complex64], NDArray[np.complex64], NDArray[np.float32]]:
    """F `(used, 16)`, its pseudo-inverse, and the noise of each tap in units of that of a subcarrier."""
    f = response(used, np.arange(TAPS))
    inverse = np.linalg.pinv(f)
    spread = (np.abs(inverse) ** 2).sum(1)
    return f.astype(np.complex64), inverse.astype(np.complex64), spread.astype(np.float32)


class AbstractGateEstimator(abc.ABC):
    """The delay gate inside a Wiener estimate, in NumPy; what computes the gate's scores, a subclass says.

    Two rules keep it right on channels that are nothing like the training. A tap far above the noise is believed,
    whatever the network says (`PLAIN`). And where the part of `ls` that no 16 taps can make is stronger than noise, by
    more than chance, the estimate leaves it in (`rest`), which goes back to LS.
    """

    @abc.abstractmethod
    def scores(self, t: NDArray[np.complex64], noise: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `DelayGate.forward`, within -20 to 20."""

    @final
    def estimate(self, seen: Observation) -> Channel:
        noise = np.repeat((seen.noise / seen.looks)[:, None], seen.ls.shape[1], axis=1)
        return wiener(seen.ls, noise, self.prior(seen))

    @final
    def prior(self, seen: Observation) -> Prior:
        """What the network makes of the preamble: a precision per tap, and the power outside the taps."""
        f, inverse, spread = delays(seen.ls.shape[1])
        t, error = seen.ls @ inverse.T, seen.noise / np.float32(seen.looks)
        outside = (np.abs(seen.ls - t @ f.T) ** 2).sum(1) / (seen.ls.shape[1] - TAPS)
        power, doubt = np.abs(t) ** 2, error[:, None] * spread
        precision = np.exp(-self.scores(t, 2 * error)) / doubt
        precision = np.where(power > PLAIN * doubt, np.minimum(precision, 1 / (power + doubt)), precision)
        return Prior(precision, np.where(outside > 1.5 * error, outside - error, 0).astype(np.float32))


@dataclass(frozen=True, eq=False)
class NeuralEstimator(AbstractGateEstimator):
    """The gate in floating point: weights `(out, in)` and biases, layer by layer."""

    layers: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]
    name: str = "neural"

    @classmethod
    def of(cls, net: DelayGate, name: str = "neural") -> "NeuralEstimator":
        return cls([_arrays(layer) for layer in net.layers], name)

    def scores(self, t: NDArray[np.complex64], noise: NDArray[np.float32]) -> NDArray[np.float32]:
        x = seen_by(t, noise)
        for weight, bias in self.layers[:-1]:
            x = np.maximum(x @ weight.T + bias, 0)
        weight, bias = self.layers[-1]
        scores: NDArray[np.float32] = np.clip(x @ weight.T + bias, -20, 20)
        return scores


def seen_by(t: NDArray[np.complex64], noise: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a delay gate reads, `(batch, 17)`: the logarithms of the taps' powers over N0, and of N0."""
    return np.concatenate((np.log(np.abs(t) ** 2 / noise[:, None] + FLOOR), np.log(noise)[:, None]), 1)


def _arrays(layer: nn.Module) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    assert isinstance(layer, nn.Linear)
    return layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy()
