"""Arbitrary finite menus with arbitrary prices, ties and forbidden entries included."""

import math
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

from shared import AbstractAdditivePrice, Choices, Menu


@dataclass(frozen=True)
class Given(Menu):
    """The same entries for every block, none trainable."""

    entries: tuple[tuple[float, ...], ...]

    def menu(self, v: Tensor) -> Choices:
        values = torch.tensor(self.entries, dtype=v.dtype).expand(len(v), -1, -1).clone()
        return Choices(values, torch.zeros_like(values, dtype=torch.bool))


@dataclass(frozen=True)
class Entries(AbstractAdditivePrice):
    """One price per entry, by its place on the menu."""

    table: tuple[tuple[float, ...], ...]
    unit: str = "coins"

    def price(self, values: Tensor) -> Tensor:
        return torch.tensor(self.table, dtype=torch.float64)


@st.composite
def priced_menus(draw: st.DrawFn) -> tuple[Menu, Entries, Tensor]:
    """Few blocks, few entries. Values and prices often from a coarse grid, so that ties happen."""
    blocks, entries, size = draw(st.integers(1, 4)), draw(st.integers(1, 5)), draw(st.integers(1, 2))
    coarse = st.integers(-4, 4).map(lambda n: n / 2)
    value = draw(st.sampled_from([coarse, st.floats(-3, 3, width=32)]))
    coin = draw(st.sampled_from([st.sampled_from([0.0, 0.5, 1.0, 2.0, math.inf]), st.floats(1e-6, 10).map(float)]))
    rows = st.lists(value, min_size=size, max_size=size).map(tuple)
    menu = Given(tuple(draw(st.lists(rows, min_size=entries, max_size=entries))))
    affordable = st.lists(coin, min_size=entries, max_size=entries).filter(lambda row: min(row) < math.inf).map(tuple)
    price = Entries(tuple(draw(st.lists(affordable, min_size=blocks, max_size=blocks))))
    v = torch.tensor(draw(st.lists(rows, min_size=blocks, max_size=blocks)), dtype=torch.float64)
    return menu, price, v
