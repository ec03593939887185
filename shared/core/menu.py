"""What is allowed: one entry of a finite menu for each block, and the exact geometry that follows from it."""

import abc
import math
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from shared.core.price import Price


class Choices(NamedTuple):
    """The entries a menu offers near one point. Ragged menus repeat an entry of the same block."""

    values: Tensor
    """`(blocks, k, size)`; a periodic menu gives the representative nearest to the point."""
    free: Tensor
    """`(blocks, k, size)` bool; True where that entry leaves the coordinate trainable."""


class Point(NamedTuple):
    """One entry per block."""

    z: Tensor
    """`(blocks, size)`, the entries."""
    price: float
    """The sum of their separable prices."""
    free: Tensor
    """`(blocks, size)` bool, the coordinates that stay trainable."""


class Menu(abc.ABC):
    """Points made by taking one entry per block from a finite menu.

    A new menu writes one method, `menu`; exact proximal steps and budgets follow. `shared.core.testing.check_menu`
    holds it to the laws below.
    """

    @abc.abstractmethod
    def menu(self, v: Tensor) -> Choices:
        """The entries each block may take, near `v` of shape `(blocks, size)`."""

    @final
    def prox(self, v: Tensor, price: Price, lam: float) -> Point:
        """The proximal step `argmin_z 1/2 ||z - v||^2 + lam price(z)`, exact because the menu is finite.

        `lam=0` is the plain projection. Ties go to the cheaper entry and then to the frozen one: a kept coordinate that
        sits on a level has the level's price and would lose it once trained.

        Raises `ValueError` if `lam` is negative or not finite, if `v` is not finite, or if every entry of a block is
        forbidden.

        >>> import torch
        >>> from shared import NonzeroPrice, Sparsity
        >>> Sparsity().prox(torch.tensor([[3.0], [1.0]]), NonzeroPrice(), lam=2.0).z
        tensor([[3.],
                [0.]])
        """
        if not 0 <= lam < math.inf:
            raise ValueError(f"Arg `lam` must be a finite number, at least 0, but was {lam}.")
        table = _Table(self, v, price)
        return table.point(table.pick(lam))

    @final
    def project(self, v: Tensor, price: Price, budget: float) -> Point:
        """A near point with `price <= budget`: `min_z 1/2 ||z - v||^2` on the trade-off's hull, then filled greedily.

        One multiplier for all blocks is bisected until the summed price meets the budget (Everett 1963, *Generalized
        Lagrange multiplier method*). That reaches the convex hull of the trade-off only, so what is left of the budget
        is spent where the distance falls most per unit of price. The result never exceeds the budget; it is the nearest
        such point whenever the budget is a hull price, and within one block's step of it otherwise.

        Raises `ValueError` if even the cheapest point is dearer than `budget`, with its price.

        >>> import torch
        >>> from shared import NonzeroPrice, Sparsity
        >>> Sparsity().project(torch.tensor([[3.0], [1.0], [2.0]]), NonzeroPrice(), budget=2).z.T
        tensor([[3., 0., 2.]])
        """
        if math.isnan(budget):
            raise ValueError("Arg `budget` must be a number but was nan.")
        table = _Table(self, v, price)
        floor = table.spend(table.cheapest)
        if floor > budget:
            raise ValueError(f"{budget=:g} {price.unit}: the cheapest point of {brief(self)} costs {floor:g}")
        return table.point(table.within(budget))

    @final
    def budget(self, v: Tensor, price: Price) -> tuple[float, float]:
        """The range in which a budget binds: the cheapest reachable price, and the price at `lam=0`."""
        table = _Table(self, v, price)
        return table.spend(table.cheapest), table.spend(table.pick(0.0))


def brief(menu: Menu) -> str:
    """`repr(menu)` where it fits into an error message, else `Name(...)`."""
    text = repr(menu)
    return text if len(text) <= 80 else f"{type(menu).__name__}(...)"


class _Table:
    """Distance and price of every entry, `(blocks, k)`, with the entries of a block in the order that settles ties.

    NumPy's `argmin` returns the first of equal entries. Sorted by price, then distance, then trainable coordinates, the
    first is the one that `Menu.prox` promises, and column 0 is the cheapest point.
    """

    def __init__(self, menu: Menu, v: Tensor, price: Price) -> None:
        if v.ndim != 2 or not v.is_floating_point() or not v.isfinite().all():
            raise ValueError(f"{brief(menu)} needs finite floating-point values (blocks, size), got {_about(v)}")
        self.choices = menu.menu(v)
        values, free = self.choices
        if values[:, :1].shape != v[:, None].shape or free.shape != values.shape:
            raise ValueError(
                f"{brief(menu)}.menu must return (blocks, k, size) twice for v of shape {tuple(v.shape)}, "
                f"got values {tuple(values.shape)}, free {tuple(free.shape)}"
            )
        distance = 0.5 * (values.double() - v[:, None].double()).square().sum(-1).detach().cpu().numpy()
        prices = _entry_prices(menu, price, values)
        self.order = np.lexsort((free.sum(-1).cpu().numpy(), distance, prices), axis=-1)
        self.rows = np.arange(len(prices))
        self.price = np.take_along_axis(prices, self.order, -1)
        self.distance = np.take_along_axis(distance, self.order, -1)
        forbidden = np.isinf(self.price)
        self.distance[forbidden] = np.inf
        self.price[forbidden] = 0.0  # not inf: `lam * price` would be NaN at lam=0, and the distance forbids already
        self.cheapest = np.zeros(len(prices), dtype=np.intp)

    def pick(self, lam: float) -> np.ndarray:
        """The best entry of each block at one multiplier."""
        best: np.ndarray = np.argmin(self.distance + lam * self.price, axis=-1)
        return best

    def spend(self, pick: np.ndarray) -> float:
        return float(self.price[self.rows, pick].sum())

    def miss(self, pick: np.ndarray) -> float:
        return float(self.distance[self.rows, pick].sum())

    def within(self, budget: float) -> np.ndarray:
        """The point of `Menu.project`, for a budget that the cheapest point meets.

        Bisects on the lower hull of (price, distance). The multiplier tried next is the slope of the chord between the
        hull points on either side of the budget. The tangent found there is parallel to the chord, so of the triangle
        that holds the hull at most s(1 - s) <= 1/4 remains. No scale for `lam` has to be guessed, and the search ends
        exactly: where nothing lies below the chord, its ends are neighbours on the hull.
        """
        dear, cheap = self.pick(0.0), self.cheapest
        while (dear_price := self.spend(dear)) > budget:
            lam = (self.miss(cheap) - self.miss(dear)) / (dear_price - self.spend(cheap))
            pick = self.pick(lam)
            chord = self.miss(dear) + lam * dear_price
            if self.miss(pick) + lam * self.spend(pick) >= chord * (1 - 1e-12):
                return self.fill(cheap, budget)
            dear, cheap = (pick, cheap) if self.spend(pick) > budget else (dear, pick)
        return dear

    def fill(self, pick: np.ndarray, budget: float) -> np.ndarray:
        """Spends what `pick` leaves of the budget on the entries that bring most distance per price, best first.

        Every round takes the best affordable entry of each block and as many of them as fit together, so blocks that
        tie are served at once and not one by one.
        """
        while True:
            room = budget - self.spend(pick)
            gain = self.distance[self.rows, pick][:, None] - self.distance
            extra = self.price - self.price[self.rows, pick][:, None]
            better = (gain > 0) & (extra > 0) & (extra <= room)
            rate = np.divide(gain, extra, where=better, out=np.zeros_like(gain))
            best, top = rate.argmax(-1), rate.max(-1)
            queue = np.argsort(-top, kind="stable")[: np.count_nonzero(top)]
            count = int(np.searchsorted(extra[queue, best[queue]].cumsum(), room, side="right"))
            while count and self.spend(_swap(pick, best, queue[:count])) > budget:
                count -= 1  # the running sum rounds differently from the sum over blocks
            if not count:
                return pick
            pick = _swap(pick, best, queue[:count])

    def point(self, pick: np.ndarray) -> Point:
        values, free = self.choices
        rows = torch.from_numpy(self.rows).to(values.device)
        entry = torch.from_numpy(self.order[self.rows, pick]).to(values.device)
        return Point(values[rows, entry].detach(), self.spend(pick), free[rows, entry])


def _entry_prices(menu: Menu, price: Price, values: Tensor) -> np.ndarray:
    prices = price.price(values).detach().cpu().double().numpy()
    if prices.shape != values.shape[:2]:
        raise ValueError(f"{type(price).__name__}.price must return {tuple(values.shape[:2])}, got {prices.shape}")
    if not (prices >= 0).all():
        raise ValueError(f"{type(price).__name__}.price must be at least 0 {price.unit}, got {prices.min():g}")
    shut = np.isinf(prices).all(-1)
    if shut.any():
        raise ValueError(f"{brief(menu)}: every entry of block {int(shut.argmax())} is forbidden (price inf)")
    return prices


def _swap(pick: np.ndarray, best: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    swapped = pick.copy()
    swapped[blocks] = best[blocks]
    return swapped


def _about(v: Tensor) -> str:
    finite = "" if v.isfinite().all() else ", with NaN or inf"
    return f"{str(v.dtype).removeprefix('torch.')} of shape {tuple(v.shape)}{finite}"
