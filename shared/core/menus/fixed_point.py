"""Numbers that must lie on a fixed-point grid."""

from dataclasses import dataclass

import torch
from torch import Tensor

from shared.core.menu import Choices, Menu

WIDEST = 16  # bits; a menu lists its whole grid for every block, and 2**16 entries is where that stops being sensible


@dataclass(frozen=True)
class FixedPoint(Menu):
    """A number becomes any value `n / 2**fraction` of a `word`-bit format, and is frozen.

    `n` runs over `-2**(word-1) .. 2**(word-1) - 1` if `signed`, else `0 .. 2**word - 1`. The whole grid is on the menu,
    so a price of the value itself is met exactly: signed digits, adders, bits (`BitPrice`). Without such a price this
    is rounding with saturation. `fraction` may be negative or exceed `word`. Blocks have size 1.

    Raises `ValueError` for a word outside 1 to 16 bits and for blocks of another size.

    >>> FixedPoint(word=3, fraction=1).menu(torch.tensor([[0.3]])).values.flatten()
    tensor([-2.0000, -1.5000, -1.0000, -0.5000,  0.0000,  0.5000,  1.0000,  1.5000])
    """

    word: int
    fraction: int
    signed: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.word <= WIDEST:
            raise ValueError(f"Arg `word` must be 1 to {WIDEST} bits but was {self.word}.")

    def menu(self, v: Tensor) -> Choices:
        if v.shape[1] != 1:
            raise ValueError(f"{self!r} needs blocks of size 1, got {v.shape[1]}: split with Grouping.element")
        lowest = -(2 ** (self.word - 1)) if self.signed else 0
        steps = torch.arange(lowest, lowest + 2**self.word, device=v.device)
        values = (steps.to(v.dtype) / 2.0**self.fraction)[:, None].expand(len(v), -1, 1)
        return Choices(values, torch.zeros_like(values, dtype=torch.bool))
