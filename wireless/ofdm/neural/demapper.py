"""A demapper that looks around: it measures what its symbols have in common, takes it out, and doubts the rest.

Max-log is nearly optimal where the channel is known and the noise Gaussian. Radios are neither: phases turn from
symbol to symbol, amplifiers compress, IQ imbalance mirrors each subcarrier k onto -k, and all that grows with the
signal, so that strong subcarriers are trusted too much. Decisions show it: soft decisions of a whole packet against
what was received give a gain for every symbol, a mirror coefficient for the packet, and the power of what is left.
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
    """LLRs from equalised symbols; what is learned is how far to believe each correction, and how noisy the rest is.

    In every round: soft decisions m; a gain c per symbol (shrunk to 1, smoothed over `SPAN` symbols); mirror
    coefficients, one for an image made before the channel and one for an image made after it (shrunk to 0); and an MLP
    that turns the confidence of every subcarrier, its amplitude, its symbol's and its packet's residual into a noise
    factor. The last round's amplitudes and noise go into exact LLRs, for any constellation.
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

    def forward(self, y: Tensor, h: Tensor, noise: Tensor, bits: int) -> Tensor:
        """As `demappers.Demapper.demap`, on tensors; `h` is (batch, symbols or 1, D)."""
        level = torch.from_numpy(levels(bits).copy())
        strength = (h.real.square() + h.imag.square()).clamp_min(1e-12)
        z, snr = y * h.conj() / strength, (strength / noise[:, None]).expand(y.shape)
        flipped = (h.conj().flip(-1) / h).expand(y.shape)
        clean, trust = z, snr
        for k in range(ROUNDS):
            m = decided(clean, trust, level, bits)
            clean, trust = self._round(k, z, snr, m, trust, flipped)
        return exact(clean, trust, level, bits)

    def _round(
        self, k: int, z: Tensor, snr: Tensor, m: Tensor, trust: Tensor, flipped: Tensor
    ) -> tuple[Tensor, Tensor]:
        shrink = softplus(self.shrink[k])
        gain = _fit(z, m, trust, (-1,), shrink[0], 1.0)
        gain = torch.complex(_smooth(gain.real, self.smooth[k]), _smooth(gain.imag, self.smooth[k]))[..., None]
        left = z - gain * m
        for which, image in ((1, m.flip(-1).conj()), (2, m.flip(-1).conj() * flipped)):
            coefficient = _fit(left, image, trust, (-2, -1), shrink[which], 0.0)[:, None, None]
            z, left = z - coefficient * image, left - coefficient * image
        size = left.real.square() + left.imag.square()
        weight = snr / (1 + snr)
        around = [
            (size * weight).sum(axes, keepdim=True) / weight.sum(axes, keepdim=True) for axes in ((-1,), (-2, -1))
        ]
        clean = z / gain
        seen = (
            torch.log(snr),
            *(torch.log(a + 1e-4).expand(z.shape) for a in around),
            torch.log(size + 1e-4),
            clean.abs(),
        )
        factor = self.doubt[k](torch.stack(seen, -1))[..., 0]
        return clean, snr * torch.exp(factor.clamp(-6, 6))


def _fit(z: Tensor, m: Tensor, weight: Tensor, axes: tuple[int, ...], shrink: Tensor, towards: float) -> Tensor:
    """The g that makes `sum weight |z - g m|^2 + shrink |g - towards|^2` least."""
    weight = weight.clamp_max(100.0)
    power = (weight * (m.real.square() + m.imag.square())).sum(axes)
    found: Tensor = ((weight * z * m.conj()).sum(axes) + shrink * towards) / (power + shrink)
    return found


def _smooth(gain: Tensor, taps: Tensor) -> Tensor:
    """(batch, symbols) filtered by taps (1, SPAN) that are made to add up to one; ends repeat."""
    edge = SPAN // 2
    return conv1d(pad(gain[:, None], (edge, edge), mode="replicate"), (taps / taps.sum())[None])[:, 0]


def decided(z: Tensor, snr: Tensor, level: Tensor, bits: int) -> Tensor:
    """The mean of the constellation's points given `z = x + n`, n of variance 1 / snr."""
    axes = [torch.softmax(_likelihood(part, snr, level), -1) @ level for part in _axes(z, bits)]
    return torch.complex(axes[0], axes[1] if bits > 1 else torch.zeros_like(axes[0]))


def exact(z: Tensor, snr: Tensor, level: Tensor, bits: int) -> Tensor:
    """Exact LLRs of `z = x + n`, n of variance 1 / snr: (batch, symbols, D) to (batch, symbols, D bits)."""
    width = max(bits // 2, 1)
    found = []
    for part in _axes(z, bits):
        likelihood = _likelihood(part, snr, level)
        for bit in range(width):
            one = (torch.arange(len(level)) >> (width - 1 - bit)) & 1 == 1
            found.append(likelihood[..., one].logsumexp(-1) - likelihood[..., ~one].logsumexp(-1))
    return torch.stack(found, -1).flatten(-2)


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
        self, y: NDArray[np.complex64], h: NDArray[np.complex64], noise: NDArray[np.float32], bits: int
    ) -> NDArray[np.float32]:
        h = h[:, None] if h.ndim == 2 else h
        parts = []
        with torch.no_grad():
            for k in range(0, len(y), self.chunk):
                some = slice(k, k + self.chunk)
                tensors = (torch.from_numpy(np.ascontiguousarray(array[some])) for array in (y, h, noise))
                parts.append(self.net(*tensors, bits).numpy())
        llr: NDArray[np.float32] = np.concatenate(parts)
        return llr
