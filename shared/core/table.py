"""Costs that were measured at some widths of each layer, and interpolated between them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from shared.core.calibration import calibration


def kept(values: Tensor) -> Tensor:
    """The width of each entry of a menu over blocks of channels: 1 unless all of it is zero."""
    return (values != 0).any(-1).double()


def stated(values: Tensor) -> Tensor:
    """The width of each entry of a menu over widths: the entry itself, one number for each layer."""
    return values[..., 0].double()


@dataclass(frozen=True)
class KernelTable:
    """What one kernel was measured to cost, against its widths.

    `groups` names the groups of blocks that its widths are the sums of, inputs before outputs; `widths` has an
    increasing axis for each, and `costs` is nested alike. Raises `ValueError` where they do not fit together.

    >>> table = KernelTable(groups=(0,), widths=((0, 8, 16),), costs=(0.0, 1.0, 4.0))
    >>> table.expected(torch.tensor([12.0]))
    tensor(2.5000, dtype=torch.float64)
    """

    groups: tuple[int, ...]
    widths: tuple[tuple[float, ...], ...]
    costs: Sequence[object]

    def __post_init__(self) -> None:
        shape = tuple(map(len, self.widths))
        if len(self.groups) != len(shape) or self._costs.shape != shape or min(shape, default=0) < 2:
            raise ValueError(
                f"KernelTable needs two or more widths for each of groups={self.groups} and costs of that shape, "
                f"got axes of {shape} and costs of {tuple(self._costs.shape)}"
            )
        if any(low >= high for axis in self.widths for low, high in pairwise(axis)):
            raise ValueError(f"KernelTable needs increasing widths, got {self.widths}")

    @property
    def _costs(self) -> Tensor:
        return torch.tensor(self.costs, dtype=torch.float64)

    def expected(self, widths: Tensor) -> Tensor:
        """The cost at the widths `(groups,)` of all groups, linear between neighbours, differentiable in them.

        On a width of the table the gradient is the mean of the slopes to either side, so that both neighbours count: a
        kernel's steps are flat to one side and steep to the other. Raises `ValueError` outside of the table.
        """
        costs = self._costs.to(widths.device)
        for group, axis in zip(self.groups, self.widths, strict=True):
            costs = _interpolated(costs, torch.tensor(axis, dtype=torch.float64, device=widths.device), widths[group])
        return costs


def _interpolated(costs: Tensor, axis: Tensor, width: Tensor) -> Tensor:
    """`costs` without their first axis, at `width` on it: the mean of the cells that touch it on the left and right."""
    if not axis[0] <= width <= axis[-1]:
        raise ValueError(f"width {float(width):g}: the table has {float(axis[0]):g} to {float(axis[-1]):g}, measure it")
    sides = []
    for right in (False, True):
        cell = int(torch.searchsorted(axis, width.detach().double(), right=right)) - 1
        cell = min(max(cell, 0), len(axis) - 2)
        share = (width.double() - axis[cell]) / (axis[cell + 1] - axis[cell])
        sides.append(costs[cell] + share * (costs[cell + 1] - costs[cell]))
    return (sides[0] + sides[1]) / 2


@dataclass(frozen=True)
class TablePrice:
    """The sum of measured kernels, each a function of how wide the layers around it are.

    The first `blocks[0]` blocks of a point are those of group 0, the next `blocks[1]` of group 1. The width of a group
    is the sum of `width(values)` over its blocks. Two menus fit:

    - `Sparsity` over blocks of channels, with `width=kept`: a group is a layer, its width the number of blocks kept.
    - a menu over widths, one block of one number for each layer, with `width=stated`: `FixedPoint` with
      `fraction=-3, signed=False` lists 0, 8, 16 ..., a `Levels` with `keep=False` any others within its period.

    A kernel's cost is a product of widths and has steps, so `price` is its linear part around one point, scaled to be
    tight there: `slopes` in `unit` per width, one for each group, and `base` that all blocks share. Start from
    `reprice(x)`, or from slopes of your own. A relaxation needs no gradient through it: it takes the expectation of
    `price` over the entries. A method of its own may train widths through `expected`.

    >>> kernel = KernelTable(groups=(0,), widths=((0, 8, 16),), costs=(0.0, 1.0, 4.0))
    >>> layer = TablePrice((kernel,), blocks=(1,), unit="ms", width=stated)
    >>> layer.measure(torch.tensor([[16.0]])), layer.expected(torch.tensor([12.0])).item()
    (4.0, 2.5)
    >>> from shared import FixedPoint
    >>> FixedPoint(2, -3, signed=False).project(torch.tensor([[16.0]]), layer.reprice(torch.tensor([[16.0]])), 3.0).z
    tensor([[8.]])
    """

    table: tuple[KernelTable, ...]
    blocks: tuple[int, ...]
    unit: str
    width: Callable[[Tensor], Tensor] = kept
    slopes: tuple[float, ...] | None = None
    base: float = 0.0

    def __post_init__(self) -> None:
        top = max((group for kernel in self.table for group in kernel.groups), default=-1)
        if top >= len(self.blocks):
            raise ValueError(f"TablePrice has a kernel of group {top}, but blocks={self.blocks} of {len(self.blocks)}")

    def expected(self, widths: Tensor) -> Tensor:
        """The cost at `widths`, `(groups,)`, which need not be whole; differentiable in them."""
        return torch.stack([kernel.expected(widths) for kernel in self.table]).sum()

    def price(self, values: Tensor) -> Tensor:
        slopes = torch.tensor(self.slopes or self._slopes(self._most), dtype=torch.float64, device=values.device)
        each = slopes.repeat_interleave(torch.tensor(self.blocks, device=values.device))
        return self.base / len(values) + each[:, None] * self.width(values)

    def measure(self, z: Tensor) -> float:
        return float(self.expected(self._widths(z)))

    def reprice(self, z: Tensor) -> "TablePrice":
        measured, widths = self.measure(z), self._widths(z)
        slopes = self._slopes(widths)
        spent = sum(slope * width for slope, width in zip(slopes, widths.tolist(), strict=True))
        base, scale = calibration(measured, spent, max(measured - spent, 0.0), 1.0)
        return replace(self, slopes=tuple(scale * slope for slope in slopes), base=base)

    def _widths(self, z: Tensor) -> Tensor:
        each = self.width(z[:, None])[:, 0]
        return torch.stack([part.sum() for part in torch.split(each, list(self.blocks))])

    @property
    def _most(self) -> Tensor:
        """The widest that the table goes, of each group."""
        most = torch.zeros(len(self.blocks), dtype=torch.float64)
        for kernel in self.table:
            for group, axis in zip(kernel.groups, kernel.widths, strict=True):
                most[group] = axis[-1]
        return most

    def _slopes(self, widths: Tensor) -> tuple[float, ...]:
        """What one more of each width costs; less than nothing counts as nothing."""
        at = widths.detach().clone().requires_grad_()
        (slopes,) = torch.autograd.grad(self.expected(at), at)
        return tuple(slopes.clamp(min=0.0).tolist())
