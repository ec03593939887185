"""Every menu with a price and a small point."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from shared import BitPrice, FixedPoint, LevelPrice, Levels, Menu, NonzeroPrice, Price, Product, Sparsity

QUARTERS = (0.0, math.pi / 2, math.pi, 3 * math.pi / 2)
GATES = LevelPrice(QUARTERS, prices=(0.0, 1.0, 1.0, 1.0), other=2.0, period=4 * math.pi)


@dataclass(frozen=True)
class Case:
    menu: Menu
    price: Price
    blocks: int
    size: int = 1

    def point(self, seed: int, dtype: torch.dtype = torch.float64, scale: float = 1.5) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return (scale * torch.randn(self.blocks, self.size, generator=generator, dtype=torch.float64)).to(dtype)


CASES = {
    "levels": Case(Levels(QUARTERS, period=4 * math.pi), GATES, blocks=4),
    "levels per block": Case(
        Levels(((0.0, math.pi), (), QUARTERS), period=(2 * math.pi, 2 * math.pi, 4 * math.pi)), GATES, blocks=3
    ),
    "levels, some only": Case(Levels((0.0, math.pi), keep=(True, False, False, True)), GATES, blocks=4),
    "levels only": Case(Levels((0.0, math.pi / 2, math.pi), keep=False), GATES, blocks=4),
    "elements": Case(Sparsity(), NonzeroPrice(), blocks=8),
    "channels": Case(Sparsity(), NonzeroPrice((3.0, 1.0, 2.0, 1.0, 3.0, 2.0), unit="MAC"), blocks=6, size=3),
    "free channels": Case(Sparsity(), NonzeroPrice((0.0, 1.0, 0.0, 2.5), unit="MAC"), blocks=4, size=2),
    "fixed point": Case(FixedPoint(word=3, fraction=1), BitPrice(fraction=1), blocks=4),
    "unsigned": Case(FixedPoint(word=3, fraction=2, signed=False), BitPrice(fraction=2), blocks=4),
    "product": Case(
        Product((Sparsity(), Levels(QUARTERS), FixedPoint(2, 0)), blocks=(3, 2, 2), sizes=(2, 1, 1)),
        NonzeroPrice((2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0)),
        blocks=7,
        size=2,
    ),
}
