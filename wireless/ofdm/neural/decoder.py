"""A convolutional network that decodes a convolutional code from its syndrome and the reliability of every code bit.

A network that reads LLRs has to learn parities over seven steps, and mostly fails to. The syndrome

    s = g1(D) r0 + g0(D) r1 = g1(D) e0 + g0(D) e1      (modulo 2; r = hard decisions, e = their errors)

depends on the errors alone, not on the transmitted bits (Bennatan, Choukroun, Kisilev 2018, *Deep learning for
decoding of linear codes - a syndrome-based approach*). Because g0 and g1 have no common factor there are a, b with
`a g0 + b g1 = 1`, and `a r0 + b r1` is an initial decision on the bits, whose errors the network finds. This holds for
other constraint lengths than K=7 too: the same network reads the syndromes of shorter codes, so that training can begin
with them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Generators = tuple[int, int]
"""g0 and g1 as polynomials in the delay D: bit k is the coefficient of D^k."""

CODES: Mapping[int, Generators] = {3: (0b101, 0b111), 5: (0b11001, 0b10111), 7: (0b1101101, 0b1001111)}
"""The usual codes of constraint length 3, 5 and 7: 5 and 7, 23 and 35, 133 and 171 octal (newest bit first)."""

GENERATORS = CODES[7]
"""Those of 802.11."""

INPUTS, OUTPUTS = 3, 3


class SyndromeNet(nn.Module):
    """Reliabilities and syndrome `(batch, 3, steps)` to LLRs of errors: of the initial decision, e0, e1; same shape."""

    def __init__(self, width: int = 32, depth: int = 4, kernel: int = 9) -> None:
        super().__init__()
        self.first = nn.Conv1d(INPUTS, width, kernel, padding=kernel // 2)
        self.middle = nn.ModuleList(nn.Conv1d(width, width, kernel, padding=kernel // 2) for _ in range(depth))
        self.last = nn.Conv1d(width, OUTPUTS, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        for layer in self.middle:
            x = x + torch.relu(layer(x))
        logits: Tensor = self.last(x)
        return logits


@cache
def inverse(code: Generators = GENERATORS) -> tuple[int, int]:
    """Polynomials a, b with `a g0 + b g1 = 1` over GF(2), by Euclid's algorithm.

    >>> a, b = inverse()
    >>> product(a, GENERATORS[0]) ^ product(b, GENERATORS[1])
    1
    """
    r, s = code, ((1, 0), (0, 1))
    while r[1]:
        shift = r[0].bit_length() - r[1].bit_length()
        if shift < 0:
            r, s = (r[1], r[0]), (s[1], s[0])
            continue
        r = (r[0] ^ (r[1] << shift), r[1])
        s = ((s[0][0] ^ (s[1][0] << shift), s[0][1] ^ (s[1][1] << shift)), s[1])
        if r[0] < r[1]:
            r, s = (r[1], r[0]), (s[1], s[0])
    return s[0]


def product(a: int, b: int) -> int:
    """The product of two polynomials over GF(2)."""
    result = 0
    for k in range(b.bit_length()):
        if (b >> k) & 1:
            result ^= a << k
    return result


def filtered(bits: Tensor, polynomial: int) -> Tensor:
    """`polynomial(D) bits` modulo 2 along the last axis; bits before the first are zero."""
    result = torch.zeros_like(bits)
    for k in range(polynomial.bit_length()):
        if (polynomial >> k) & 1:
            result = result ^ torch.nn.functional.pad(bits, (k, 0))[..., : bits.shape[-1]]
    return result


def initial_decision(r0: Tensor, r1: Tensor, code: Generators = GENERATORS) -> Tensor:
    """The data bits of error-free code bits `r0`, `r1`; of errors e0, e1, the errors of that decision."""
    a, b = inverse(code)
    return filtered(r0, a) ^ filtered(r1, b)


def features(llr: Tensor, code: Generators = GENERATORS) -> Tensor:
    """`(batch, 2 steps)` LLRs to the input of the network; reliabilities are relative to the mean of the packet."""
    pairs = llr.reshape(len(llr), -1, 2).transpose(1, 2)
    sign = (pairs > 0).to(torch.uint8)
    syndrome = filtered(sign[:, 0], code[1]) ^ filtered(sign[:, 1], code[0])
    reliability = pairs.abs() / pairs.abs().mean((1, 2), keepdim=True).clamp_min(1e-9)
    return torch.cat((reliability.clamp_max(4.0), 2.0 * syndrome[:, None] - 1.0), 1)


def targets(wrong: Tensor, code: Generators = GENERATORS) -> Tensor:
    """Errors `(batch, 2, steps)` of the code bits to the target values of the three outputs, `(batch, 3, steps)`."""
    return torch.cat((initial_decision(wrong[:, 0], wrong[:, 1], code)[:, None], wrong), 1).float()


@dataclass(frozen=True, eq=False)
class NeuralDecoder:
    """A trained `SyndromeNet` as a block of the receiver."""

    net: nn.Module
    name = "neural"
    chunk: int = 64

    def decode(self, llr: NDArray[np.float32], n: int) -> NDArray[np.uint8]:
        with torch.no_grad():
            parts = [self._decode(torch.from_numpy(part)) for part in _chunks(llr, self.chunk)]
        bits: NDArray[np.uint8] = np.concatenate(parts)[:, :n]
        return bits

    def _decode(self, llr: Tensor) -> NDArray[np.uint8]:
        wrong = self.net(features(llr))[:, 0] > 0
        sign = (llr > 0).to(torch.uint8)
        bits: NDArray[np.uint8] = (initial_decision(sign[:, 0::2], sign[:, 1::2]) ^ wrong).numpy()
        return bits


def _chunks(llr: NDArray[np.float32], chunk: int) -> Sequence[NDArray[np.float32]]:
    return [np.ascontiguousarray(llr[k : k + chunk]) for k in range(0, len(llr), chunk)]
