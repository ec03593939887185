"""What a point costs on its target: the compiler's count, and separable prices that imitate it."""

import abc
import math
from dataclasses import dataclass
from typing import Protocol, Self, final

import torch
from torch import Tensor

NEAR = 1e-5  # radians; float32 rounds a level a few periods away by up to 2e-6


class Price(Protocol):
    """What a point costs on its target, in two voices.

    `price` is a separable estimate that solvers optimise; `measure` is the target's own count for the whole point, and
    the only number a result may claim. `reprice` brings the first to agree with the second around one point.
    `shared.core.testing.check_price` holds an implementation to this.
    """

    @property
    def unit(self) -> str:
        """What is counted: "gates", "MAC", "bytes"."""

    def price(self, values: Tensor) -> Tensor:
        """Estimate for each menu entry: `(blocks, k, size)` to `(blocks, k)`, at least 0; `inf` forbids the entry."""

    def measure(self, z: Tensor) -> float:
        """The target's own count for the whole point `z`, `(blocks, size)`. May take a compile."""

    def reprice(self, z: Tensor) -> "Price":
        """New prices around `z`, tight there: `new.price(z[:, None]).sum() == measure(z)`. Additive prices: `self`."""


class AbstractAdditivePrice(abc.ABC):
    """A price for targets where a point costs exactly the sum of its blocks."""

    unit: str

    @abc.abstractmethod
    def price(self, values: Tensor) -> Tensor:
        """The price of each entry: `(blocks, k, size)` to `(blocks, k)`."""

    @final
    def measure(self, z: Tensor) -> float:
        return float(self.price(z[:, None]).double().sum())

    @final
    def reprice(self, z: Tensor) -> Self:
        return self


@dataclass(frozen=True)
class NonzeroPrice(AbstractAdditivePrice):
    """A block costs `each` unless all of it is zero; `each` is one number or one per block.

    >>> NonzeroPrice(each=(9.0, 4.0), unit="MAC").measure(torch.tensor([[0.0, 0.0], [0.0, 1.5]]))
    4.0
    """

    each: float | tuple[float, ...] = 1.0
    unit: str = "blocks"

    def price(self, values: Tensor) -> Tensor:
        each = torch.as_tensor(self.each, dtype=torch.float64, device=values.device)
        return (values != 0).any(-1) * each.reshape(-1, 1)


@dataclass(frozen=True)
class LevelPrice(AbstractAdditivePrice):
    """A table look-up by angle: `prices[i]` within 1e-5 of `levels[i]` modulo `period`, and `other` elsewhere.

    A block of several angles costs their sum.

    >>> gates = LevelPrice(levels=(0.0, math.pi), prices=(0.0, 1.0), other=2.0, period=4 * math.pi, unit="cx")
    >>> gates.price(torch.tensor([[[0.0], [3 * math.pi], [-3 * math.pi], [0.3]]], dtype=torch.float64))
    tensor([[0., 2., 1., 2.]], dtype=torch.float64)
    """

    levels: tuple[float, ...]
    prices: tuple[float, ...]
    other: float
    period: float = 2 * math.pi
    unit: str = "gates"

    def __post_init__(self) -> None:
        if len(self.levels) != len(self.prices):
            raise ValueError(
                f"LevelPrice needs one price per level: {len(self.levels)} levels, {len(self.prices)} prices"
            )

    def price(self, values: Tensor) -> Tensor:
        levels = torch.tensor(self.levels, dtype=torch.float64, device=values.device)
        prices = torch.tensor((*self.prices, self.other), dtype=torch.float64, device=values.device)
        gap = values.double()[..., None] - levels
        hit = (gap - self.period * torch.round(gap / self.period)).abs() < NEAR
        which = torch.where(hit.any(-1), hit.int().argmax(-1), len(self.levels))
        return prices[which].sum(-1)


@dataclass(frozen=True)
class BitPrice(AbstractAdditivePrice):
    """Significant bits of each value's magnitude on the grid `2**-fraction`: 0 is free, 1 costs 1, 5 = 101b costs 3.

    >>> BitPrice(fraction=1).price(torch.tensor([[[0.0], [0.5], [-2.5]]]))
    tensor([[0., 1., 3.]])
    """

    fraction: int
    unit: str = "bits"

    def price(self, values: Tensor) -> Tensor:
        steps = torch.round(values.abs() * 2.0**self.fraction)
        return torch.frexp(steps).exponent.to(values.dtype).sum(-1)
