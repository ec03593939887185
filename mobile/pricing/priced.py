"""The calls of a net with their price, as a function of widths and densities, with a gradient."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mobile.lowering.float_work import FloatWork
from mobile.lowering.work import Work
from mobile.pricing.latency import Latency
from shared.core.table import KernelTable, TablePrice, kept

Widths = Mapping[str, Tensor]
"""Channels of each group, by its name."""


Works = Callable[[Widths, Tensor], Mapping[str, Work | FloatWork]]
"""The work of a call in each format, for widths and a density; a call without formats has one."""


@dataclass(frozen=True, eq=False)
class PricedCall:
    """A kernel call whose work depends on widths and on a density."""

    layer: str
    """The path of the layer in the net; of operations without weights, their name."""
    groups: tuple[str, ...]
    """Those that its work depends on, what it reads before what it writes."""
    works: Works


@dataclass(frozen=True, eq=False)
class NetLatency:
    """The kernel calls of a net, priced.

    Weights are taken to be so narrow that products are added in pairs; see `mobile.lowering.pairs`.

    A **group** is a set of channels that one width says: those of layers whose results are added have the same. Its
    name is the path of the first layer that writes it; `input` and what it is added to keep their width.
    """

    latency: Latency
    calls: tuple[PricedCall, ...]
    widths: Mapping[str, int]
    """Channels of every group of the net as it is."""
    written: Mapping[str, str]
    """The group that each layer with weights writes."""

    @property
    def ms(self) -> float:
        """Of the net as it is, dense."""
        return float(self.expected())

    def expected(
        self,
        widths: Widths | None = None,
        densities: Mapping[str, Tensor] | None = None,
        choices: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Milliseconds, differentiable in all that is given.

        - `widths`: channels of each group; those that are not named are as in the net.
        - `densities`: for each layer the share of its blocks that hold weights; others are dense.
        - `choices`: for each layer weights `(3,)` of the formats dense, 2x4 and 1x4, which its time is averaged by.
          Layers without a choice take the format of the least predicted time, as the compiler does.

        Widths are filled up to whole planes of four channels; the gradient is the slope between them.
        """
        return torch.stack(list(self.by_call(widths, densities, choices).values())).sum()

    def by_call(
        self,
        widths: Widths | None = None,
        densities: Mapping[str, Tensor] | None = None,
        choices: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """The terms of `expected`, by the name of the call."""
        all_widths = {name: scalar(width) for name, width in self.widths.items()} | dict(widths or {})
        terms: dict[str, Tensor] = {}
        for call in self.calls:
            density = (densities or {}).get(call.layer, scalar(1))
            works = call.works(all_widths, density)
            each = torch.stack([scalar(self.latency(work)) for work in works.values()])
            choice = (choices or {}).get(call.layer)
            ms = each.min() if choice is None or len(works) == 1 else (each * choice).sum()
            terms[f"{call.layer} {len(terms)}"] = ms
        return terms

    def gradient(self) -> dict[str, float]:
        """Milliseconds per channel of each group, of the net as it is."""
        at = {name: scalar(width).requires_grad_() for name, width in self.widths.items()}
        slopes = torch.autograd.grad(self.expected(at), list(at.values()), allow_unused=True)
        return {name: 0.0 if slope is None else float(slope) for name, slope in zip(at, slopes, strict=True)}

    def over(self, layers: Sequence[str], sizes: Sequence[int] | None = None) -> "WidthLatency":
        """The time as a function of some widths alone, `(len(layers),)`: those of the groups that these layers write.

        That is what searches take that narrow a net. `sizes` are the widths of the net as it is, where they count
        something else than channels: 8 of a layer that writes the queries, keys and values of 8 heads.

        Raises `ValueError` for a layer that writes no group here.
        """
        if unknown := [layer for layer in layers if layer not in self.written]:
            raise ValueError(f"{unknown[0]!r} writes no channels: it must be one of {', '.join(self.written)}")
        groups = tuple(self.written[layer] for layer in layers)
        each = tuple(self.widths[group] / size for group, size in zip(groups, sizes, strict=True)) if sizes else ()
        return WidthLatency(self, groups, each or (1.0,) * len(groups))

    def price(self, width: Callable[[Tensor], Tensor] = kept, step: int = 4) -> TablePrice:
        """The price of the widths, for the core: group k of `TablePrice` is the k-th of `widths`.

        With `width=kept` a point has a block for each channel, `blocks` are the widths of the groups; with
        `shared.core.table.stated` a block of one number, the width, for each group. Tables have every `step`-th width
        from 0 to that of the net.
        """
        names = list(self.widths)
        axes = {name: tuple(float(w) for w in _axis(size, step)) for name, size in self.widths.items()}
        kernels = []
        for call in self.calls:
            costs = self._table(call, call.groups, axes, {})
            at = tuple(map(names.index, call.groups))
            kernels.append(KernelTable(at, tuple(axes[group] for group in call.groups), costs))
        blocks = tuple(self.widths.values()) if width is kept else (1,) * len(names)
        return TablePrice(tuple(kernels), blocks, "ms", width)

    def _table(
        self, call: PricedCall, groups: tuple[str, ...], axes: Mapping[str, tuple[float, ...]], at: dict[str, Tensor]
    ) -> Any:
        """Costs, nested as the axes of the groups are."""
        if not groups:
            return min(float(self.latency(work)) for work in call.works(at, scalar(1)).values())
        first, *rest = groups
        return [self._table(call, tuple(rest), axes, at | {first: scalar(width)}) for width in axes[first]]


@dataclass(frozen=True, eq=False)
class WidthLatency:
    """The time of a net against the widths of some of its groups, differentiable in them."""

    net: NetLatency
    groups: tuple[str, ...]
    each: tuple[float, ...]
    """Channels that a width counts, of each group."""
    unit: str = "ms"

    def expected(self, widths: Tensor) -> Tensor:
        """Milliseconds at `widths`, `(groups,)`, which need not be whole."""
        channels = widths.double() * torch.tensor(self.each, dtype=torch.float64)
        return self.net.expected(dict(zip(self.groups, channels, strict=True)))


def scalar(number: Any) -> Tensor:
    return torch.as_tensor(number, dtype=torch.float64)


def _axis(size: int, step: int) -> list[int]:
    return [*range(0, size, step), size]
