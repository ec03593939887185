"""A demapper with context: it estimates and removes distortions that the symbols of a packet share.

Max-log is nearly optimal for a perfect channel estimate and Gaussian noise. Front ends violate both: phases change from
symbol to symbol, amplifiers compress, IQ imbalance mirrors each subcarrier k onto -k, and all of these grow with the
signal, so that LLRs of strong subcarriers are too large. Comparing the soft decisions of a whole packet with the
received symbols gives a gain for every symbol, a mirror coefficient for the packet, and the power of the residual.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import conv1d, pad, softplus

from wireless.ofdm.phy.constellation import levels

ROUNDS = 2
FEATURES = 5
SPAN = 5
"""Symbols over which a learned filter smooths the common gain."""


class ContextNet(nn.Module):
    """LLRs from equalised symbols; learned are the weight of each correction and the noise variance after it.

    In every round: soft decisions m; a gain per symbol (shrunk to 1, smoothed over `SPAN` symbols); mirror
    coefficients, one for an image that arises before the channel and one for an image that arises after it (shrunk to
    0); and an MLP that maps the SNR of every subcarrier, its amplitude, and the residuals of its symbol and packet to a
    factor on its SNR. The amplitudes and SNRs of the last round go into exact LLRs, for any constellation.
    """

    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.shrink = nn.Parameter(torch.tensor([[20.0, 20.0, 20.0]]).repeat(ROUNDS, 1))
        smooth = torch.zeros(ROUNDS, 1, SPAN)
        smooth[:, :, SPAN // 2] = 1.0
        self.smooth = nn.Parameter(smooth)
        self.doubt = nn.ModuleList(
            nn.Sequential(nn.Linear(FEATURES, hidden), nn.ReLU(), nn.Linear(hidden, 1)) for _ in range(ROUNDS)
        )
        for mlp in self.doubt:
            nn.init.zeros_(mlp[-1].weight)  # type: ignore[index]
            nn.init.zeros_(mlp[-1].bias)  # type: ignore[index]

    def forward(self, y: Tensor, h_hat: Tensor, noise_var: Tensor, bits: int) -> Tensor:
        """As `demappers.Demapper.demap`, on tensors; `h_hat` is (batch, symbols or 1, D)."""
        level = torch.from_numpy(levels(bits).copy()).to(y.device)
        gain = (h_hat.real.square() + h_hat.imag.square()).clamp_min(1e-12)
        z, snr = y * h_hat.conj() / gain, (gain / noise_var[:, None]).expand(y.shape)
        mirrored = (h_hat.conj().flip(-1) / h_hat).expand(y.shape)
        corrected, effective_snr = z, snr
        for k in range(ROUNDS):
            m = soft_decisions(corrected, effective_snr, level, bits)
            corrected, effective_snr = self._round(k, z, snr, m, effective_snr, mirrored)
        return exact(corrected, effective_snr, level, bits)

    def _round(
        self, k: int, z: Tensor, snr: Tensor, m: Tensor, effective_snr: Tensor, mirrored: Tensor
    ) -> tuple[Tensor, Tensor]:
        shrink = softplus(self.shrink[k])
        gain = _fit(z, m, effective_snr, (-1,), shrink[0], 1.0)
        gain = torch.complex(_smooth(gain.real, self.smooth[k]), _smooth(gain.imag, self.smooth[k]))[..., None]
        residual = z - gain * m
        for which, image in ((1, m.flip(-1).conj()), (2, m.flip(-1).conj() * mirrored)):
            coefficient = _fit(residual, image, effective_snr, (-2, -1), shrink[which], 0.0)[:, None, None]
            z, residual = z - coefficient * image, residual - coefficient * image
        power = residual.real.square() + residual.imag.square()
        weight = snr / (1 + snr)
        averages = [
            (power * weight).sum(axes, keepdim=True) / weight.sum(axes, keepdim=True) for axes in ((-1,), (-2, -1))
        ]
        corrected = z / gain
        features = (
            torch.log(snr),
            *(torch.log(a + 1e-4).expand(z.shape) for a in averages),
            torch.log(power + 1e-4),
            corrected.abs(),
        )
        factor = self.doubt[k](torch.stack(features, -1))[..., 0]
        return corrected, snr * torch.exp(factor.clamp(-6, 6))


def _fit(z: Tensor, m: Tensor, weight: Tensor, axes: tuple[int, ...], shrink: Tensor, towards: float) -> Tensor:
    """The g that minimises `sum weight |z - g m|^2 + shrink |g - towards|^2`."""
    weight = weight.clamp_max(100.0)
    power = (weight * (m.real.square() + m.imag.square())).sum(axes)
    g: Tensor = ((weight * z * m.conj()).sum(axes) + shrink * towards) / (power + shrink)
    return g


def _smooth(gain: Tensor, taps: Tensor) -> Tensor:
    """(batch, symbols) filtered by `taps` (1, SPAN), normalised to a sum of one; end values repeat."""
    edge = SPAN // 2
    return conv1d(pad(gain[:, None], (edge, edge), mode="replicate"), (taps / taps.sum())[None])[:, 0]


def soft_decisions(z: Tensor, snr: Tensor, level: Tensor, bits: int) -> Tensor:
    """The posterior mean of the constellation points for `z = x + n`, n of variance 1 / snr."""
    axes = [torch.softmax(_likelihood(part, snr, level), -1) @ level for part in _axes(z, bits)]
    return torch.complex(axes[0], axes[1] if bits > 1 else torch.zeros_like(axes[0]))


def exact(z: Tensor, snr: Tensor, level: Tensor, bits: int) -> Tensor:
    """Exact LLRs of `z = x + n`, n of variance 1 / snr: (batch, symbols, D) to (batch, symbols, D bits)."""
    width = max(bits // 2, 1)
    llrs = []
    for part in _axes(z, bits):
        likelihood = _likelihood(part, snr, level)
        for bit in range(width):
            one = (torch.arange(len(level)) >> (width - 1 - bit)) & 1 == 1
            llrs.append(likelihood[..., one].logsumexp(-1) - likelihood[..., ~one].logsumexp(-1))
    return torch.stack(llrs, -1).flatten(-2)


def _axes(z: Tensor, bits: int) -> tuple[Tensor, ...]:
    return (z.real, z.imag) if bits > 1 else (z.real,)


def _likelihood(part: Tensor, snr: Tensor, level: Tensor) -> Tensor:
    return -snr[..., None] * (part[..., None] - level).square()


@dataclass(frozen=True, eq=False)
class NeuralDemapper:
    """A trained `ContextNet` as a block of the receiver."""

    net: ContextNet
    name = "neural"
    chunk: int = 64

    def demap(
        self, y: NDArray[np.complex64], h_hat: NDArray[np.complex64], noise_var: NDArray[np.float32], bits: int
    ) -> NDArray[np.float32]:
        h_hat = h_hat[:, None] if h_hat.ndim == 2 else h_hat
        parts = []
        with torch.no_grad():
            for k in range(0, len(y), self.chunk):
                part = slice(k, k + self.chunk)
                tensors = (torch.from_numpy(np.ascontiguousarray(array[part])) for array in (y, h_hat, noise_var))
                parts.append(self.net(*tensors, bits).numpy())
        llr: NDArray[np.float32] = np.concatenate(parts)
        return llr
