"""Readouts: class scores as weighted parities of the measured bits."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


@dataclass(frozen=True)
class Readout:
    """`logits[c] = scale * sum_k weights[c][k] <prod of Z over strings[k]>`.

    `strings` holds the wires of each parity, one wire for a plain Z. All parities are diagonal, so one measurement of
    every wire in the computational basis gives all of them. The empty string is the constant 1.
    """

    strings: tuple[tuple[int, ...], ...]
    weights: tuple[tuple[float, ...], ...]
    scale: float = 1.0

    @property
    def classes(self) -> int:
        """The number of class scores."""
        return len(self.weights)

    @property
    def wires(self) -> frozenset[int]:
        """The wires that have to be measured."""
        return frozenset(wire for string in self.strings for wire in string)

    @lru_cache  # noqa: B019 - a readout is a small value, and every training step needs this
    def parities(self, wires: int) -> Tensor:
        """`(strings, 2**wires)` of +-1: each parity on each basis state, wire 0 the least significant bit."""
        states = torch.arange(2**wires)
        bits = torch.stack([(states >> wire) & 1 for wire in range(wires)])
        return torch.stack([1.0 - 2.0 * (bits[list(s)].sum(0) % 2) for s in self.strings]).to(torch.float64)

    def logits(self, expectations: Tensor) -> Tensor:
        """Class scores `(..., classes)` from the expectations of the parities `(..., strings)`."""
        weights = torch.tensor(self.weights, dtype=expectations.dtype, device=expectations.device)
        return self.scale * expectations @ weights.T


def per_class(wires: int, classes: int, scale: float = 1.0) -> Readout:
    """Z on one wire per class; with two classes each score is the sum of Z over half of the wires.

    As in the seismic detection study (4 wires: Z0 + Z1 against Z2 + Z3).
    """
    if not 2 <= classes <= wires:
        raise ValueError(
            f"{classes} classes on {wires} wires: each class needs a wire; use more wires, 2 to {wires} classes, or a "
            f"readout of your own, such as readout=Z0 or bit strings"
        )
    if classes == 2:
        half = wires // 2
        weights = tuple(tuple(float((w < half) == (c == 0)) for w in range(2 * half)) for c in range(2))
        return Readout(tuple((w,) for w in range(2 * half)), weights, scale)
    identity = tuple(tuple(float(c == k) for k in range(classes)) for c in range(classes))
    return Readout(tuple((w,) for w in range(classes)), identity, scale)
