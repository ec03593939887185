"""A menu and a price for some of the blocks of a point; the others keep their value and are trained along."""

from dataclasses import dataclass

import torch
from torch import Tensor

from shared.core.menu import Choices, Menu
from shared.core.price import Price


@dataclass(frozen=True, eq=False)
class SelectedMenu(Menu):
    """`menu` for the first `size` coordinates of the blocks where `rows` is True; every other block is kept."""

    inner: Menu
    rows: Tensor
    """`(blocks,)` bool."""
    size: int

    def menu(self, v: Tensor) -> Choices:
        rows = self.rows.to(v.device)
        offered, offered_free = self.inner.menu(v[rows][:, : self.size])
        values = v[:, None].repeat(1, offered.shape[1], 1)
        free = torch.ones_like(values, dtype=torch.bool)
        values[rows, :, : self.size], free[rows, :, : self.size] = offered, offered_free
        return Choices(values, free)


@dataclass(frozen=True, eq=False)
class SelectedPrice:
    """`price` of the blocks where `rows` is True, over their first `size` coordinates; every other block is free."""

    inner: Price
    rows: Tensor
    size: int

    @property
    def unit(self) -> str:
        return self.inner.unit

    def price(self, values: Tensor) -> Tensor:
        rows = self.rows.to(values.device)
        priced = self.inner.price(values[rows][..., : self.size])
        prices = priced.new_zeros(values.shape[:2])
        prices[rows] = priced
        return prices

    def measure(self, z: Tensor) -> float:
        return self.inner.measure(z[self.rows.to(z.device)][:, : self.size])

    def reprice(self, z: Tensor) -> "SelectedPrice":
        return SelectedPrice(self.inner.reprice(z[self.rows.to(z.device)][:, : self.size]), self.rows, self.size)
