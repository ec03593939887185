"""A torch net's predicted time as a function of widths and densities, with a gradient; nothing is compiled."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn

import torch
from torch import Tensor, nn

from mobile.lowering.calls import Spread, View
from mobile.lowering.formats import FORMATS
from mobile.lowering.taps import taps
from mobile.lowering.work import Work, add, convolution, depthwise, flatten, pool, spread
from mobile.pricing.latency import Latency
from shared.core.table import KernelTable, TablePrice, kept
from shared.importers.graph import TracedGraph, TracedNode
from shared.integer.geometry import plane

Widths = Mapping[str, Tensor]
"""Channels of each group, by its name."""


Works = Callable[[Widths, Tensor], Mapping[str, Work]]
"""The work of a call in each format, for widths and a density; a call without formats has one."""


@dataclass(frozen=True)
class Value:
    """The group whose channels a value has, how often each (its pixels, behind a flatten), and how it lies."""

    group: str
    times: int
    view: View


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
    """The kernel calls of a net, priced: what `shared.f8net` and `mobile.lowering` would make of it, without weights.

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
        all_widths = {name: _scalar(width) for name, width in self.widths.items()} | dict(widths or {})
        terms: dict[str, Tensor] = {}
        for call in self.calls:
            density = (densities or {}).get(call.layer, _scalar(1))
            works = call.works(all_widths, density)
            each = torch.stack([_scalar(self.latency(work)) for work in works.values()])
            choice = (choices or {}).get(call.layer)
            ms = each.min() if choice is None or len(works) == 1 else (each * choice).sum()
            terms[f"{call.layer} {len(terms)}"] = ms
        return terms

    def gradient(self) -> dict[str, float]:
        """Milliseconds per channel of each group, of the net as it is."""
        at = {name: _scalar(width).requires_grad_() for name, width in self.widths.items()}
        slopes = torch.autograd.grad(self.expected(at), list(at.values()), allow_unused=True)
        return {name: 0.0 if slope is None else float(slope) for name, slope in zip(at, slopes, strict=True)}

    def over(self, layers: Sequence[str]) -> "WidthLatency":
        """The time as a function of some widths alone, `(len(layers),)`: those of the groups that these layers write.

        That is what searches take that narrow a net. Raises `ValueError` for a layer that writes no group here.
        """
        if unknown := [layer for layer in layers if layer not in self.written]:
            raise ValueError(f"{unknown[0]!r} writes no channels: it must be one of {', '.join(self.written)}")
        return WidthLatency(self, tuple(self.written[layer] for layer in layers))

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
            return min(float(self.latency(work)) for work in call.works(at, _scalar(1)).values())
        first, *rest = groups
        return [self._table(call, tuple(rest), axes, at | {first: _scalar(width)}) for width in axes[first]]


@dataclass(frozen=True, eq=False)
class WidthLatency:
    """The time of a net against the widths of some of its groups, differentiable in them."""

    net: NetLatency
    groups: tuple[str, ...]
    unit: str = "ms"

    def expected(self, widths: Tensor) -> Tensor:
        """Milliseconds at `widths`, `(groups,)`, which need not be whole."""
        return self.net.expected(dict(zip(self.groups, widths.double(), strict=True)))


def net_latency(net: nn.Module, example: Tensor | tuple[int, ...], latency: Latency) -> NetLatency:
    """The predicted time of `net` as a library of 8-bit integers, for one example: `(B, *shape)`, or the shape.

    Weights do not matter, so a net may be priced before it is trained. Batch norms and activations are computed where
    the layer before them is, and take no time of their own.

    Raises `ValueError` naming an operation that has no kernel, and the way out.

    >>> from mobile.pricing.example import EXAMPLE
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 1), nn.ReLU())
    >>> priced = net_latency(net, (3, 16, 16), EXAMPLE)
    >>> dict(priced.widths)
    {'input': 3, '0': 8, '2': 16}
    >>> slopes = priced.gradient()
    >>> wider = priced.expected({"0": torch.tensor(16.0)})
    >>> abs(float(wider) / (priced.ms + 8 * slopes["0"]) - 1) < 1e-6
    True
    """
    walk = _Walk(TracedGraph.of(net, example))
    names = [name for name in walk.widths if walk.root(name) == name]
    calls = [_rooted(call, walk) for call in walk.calls]
    written = {name: walk.root(name) for name in walk.widths}
    return NetLatency(latency, tuple(calls), {name: walk.widths[name] for name in names}, written)


def _rooted(call: PricedCall, walk: "_Walk") -> PricedCall:
    """The call in terms of the groups that remain, once all that share a width are one."""
    roots = {name: walk.root(name) for name in call.groups}

    def works(widths: Widths, density: Tensor) -> Mapping[str, Work]:
        return call.works({name: widths[root] for name, root in roots.items()}, density)

    return PricedCall(call.layer, tuple(dict.fromkeys(roots.values())), works)


def _scalar(number: Any) -> Tensor:
    return torch.as_tensor(number, dtype=torch.float64)


def planes(width: Tensor) -> Tensor:
    """Planes of four channels: whole ones forward, their slope backward.

    >>> width = torch.tensor(5.0, requires_grad=True)
    >>> planes(width).item(), torch.autograd.grad(planes(width), width)[0].item()
    (2.0, 0.25)
    """
    exact = width / 4
    return exact + (exact.detach().ceil() - exact.detach())


def _axis(size: int, step: int) -> list[int]:
    return [*range(0, size, step), size]


_ROUNDED: Final = ("activation", "convolution", "linear")
"""Kinds whose input is of bytes: the sums that they alone read are rounded where they are computed."""
_WHOLE_POOLS = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)


class _Walk:
    """The graph's operations in turn, as `shared.f8net` and `mobile.lowering` take them."""

    def __init__(self, graph: TracedGraph) -> None:
        self.graph = graph
        self.calls: list[PricedCall] = []
        self.values: dict[str, Value] = {}
        self.rounded: dict[str, Value] = {}
        self.widths: dict[str, int] = {}
        self.same: dict[str, str] = {}
        for node in graph:
            self.take(node)

    def root(self, group: str) -> str:
        while group in self.same:
            group = self.same[group]
        return group

    def refuse(self, node: TracedNode, way_out: str) -> NoReturn:
        raise ValueError(f"{node.title} has no kernel of 8-bit integers: {way_out}")

    def emit(self, layer: str, groups: tuple[str, ...], works: Works) -> None:
        self.calls.append(PricedCall(layer, groups, works))

    def view(self, node: TracedNode, pitch: int = 0, sums: bool = False) -> View:
        rows, columns = plane((1, *node.shape[1:]), 1)
        return View(node.name, node.shape[0], rows, columns, pitch or columns, 0, sums)

    def sums_stay(self, node: TracedNode) -> bool:
        """Whether 32-bit sums are written: for the caller, for operations that need no bytes, or for several."""
        name = node.name
        while (reader := self.graph.sole_reader(name)) is not None and reader.kind in ("norm", "dropout", "identity"):
            name = reader.name
        return reader is None or reader.kind not in _ROUNDED

    def take(self, node: TracedNode) -> None:
        """One operation: its calls, and the value that it computes."""
        if node.kind == "input":
            if not 1 <= len(node.shape) <= 3:
                self.refuse(node, f"its shape is {node.shape}; give vectors, lines or images, channels first")
            name = node.name if self.widths else "input"
            self.widths[name] = node.shape[0]
            self.values[node.name] = Value(name, 1, self.view(node))
        elif node.kind in ("convolution", "linear"):
            self.weighted(node)
        elif node.kind in ("norm", "dropout", "identity"):
            self.values[node.name] = self.values[node.inputs[0]]
        elif node.kind == "activation" and node.operation.lower().rstrip("_") == "relu":
            x = self.values[node.inputs[0]]
            self.values[node.name] = self.bytes(node, x, node.path or node.name) if x.view.sums else x
        elif node.kind == "add" and len(node.inputs) == 2:
            self.add(node)
        elif node.kind == "pool" and node.layer is not None:
            self.pool(node, node.layer)
        elif node.kind == "flatten" and len(node.shape) == 1:
            self.flatten(node)
        else:
            self.refuse(node, "use ReLU, pools that are layers, additions and Flatten, or leave it to the host")

    def bytes(self, node: TracedNode, x: Value, name: str) -> Value:
        """Sums rounded by a call of their own, since the call that computed them could not."""
        view = replace(x.view, pitch=x.view.columns, sums=False)
        self.elements(name, x.group, view, (True,))
        return replace(x, view=view)

    def narrow(self, node: TracedNode) -> Value:
        """What a layer with weights reads, as bytes; rounded once for all that read it."""
        name = node.inputs[0]
        x = self.values[name]
        if not x.view.sums:
            return x
        if name not in self.rounded:
            self.rounded[name] = self.bytes(node, x, f"{name} rounded")
        return self.rounded[name]

    def elements(self, name: str, group: str, view: View, reads: tuple[bool, ...]) -> None:
        size = (view.rows, view.columns)
        channels = view.channels // self.widths[group]
        self.emit(
            name,
            (group,),
            lambda widths, _: {"elements": add(planes(widths[group] * channels), size, reads, view.sums)},
        )

    def weighted(self, node: TracedNode) -> None:
        layer: Any = node.layer
        x, path = self.narrow(node), node.path or node.name
        kernel, stride, padding, cut = (1, 1), (1, 1), (0, 0), 1
        if node.kind == "convolution":
            if layer.padding_mode != "zeros" or set(layer.dilation) != {1} or isinstance(layer.padding, str):
                self.refuse(node, "pad with zeros, by a number, and leave out dilation")
            kernel, stride, padding = plane(layer.kernel_size, 1), plane(layer.stride, 1), plane(layer.padding, 0)
            cut = layer.groups
        elif len(node.shape) != 1:
            self.refuse(node, "flatten its input first")
        rows, columns = plane((1, *node.shape[1:]), 1)
        source, at, pitch = taps(x.view, kernel, stride, padding, (rows, columns), node.name)
        if isinstance(source, Spread):
            self.spread(f"{path} spread", x.group, source)
        read, times, count = x.group, x.times, at.size
        pixels, sums = (rows - 1) * pitch + columns, self.sums_stay(node)
        self.widths[path] = node.shape[0]

        def formats(widths: Widths, density: Tensor) -> Mapping[str, Work]:
            out = planes(widths[path])
            dense = out * 4 * planes(widths[read] * times) * count  # those of other groups are zeros, but multiplied
            sparse = dense * density / cut
            return {
                name: convolution(name, out, dense if name == "dense" else sparse, pixels, sums) for name in FORMATS
            }

        if 1 < cut == layer.in_channels == layer.out_channels:
            self.same[path] = read  # one width says both
            fours = -(-(count + count % 2) // 4) * 4  # an odd tap stands beside a weight that is zero
            self.emit(
                path,
                (read,),
                lambda widths, _: {
                    "depthwise": depthwise(planes(widths[read]), planes(widths[read]) * fours, pixels, sums)
                },
            )
        else:
            self.emit(path, (read, path), formats)
        self.values[node.name] = Value(path, 1, self.view(node, pitch, sums))

    def spread(self, name: str, group: str, to: Spread) -> None:
        phases, rows, columns = to.phases, to.rows, to.columns
        self.emit(name, (group,), lambda widths, _: {"spread": spread(planes(widths[group]), phases, rows, columns)})

    def add(self, node: TracedNode) -> None:
        a, b = (self.values[name] for name in node.inputs)
        first, second = sorted((self.root(a.group), self.root(b.group)), key=list(self.widths).index)
        if first != second:
            self.same[second] = first
        view = self.view(node, sums=self.sums_stay(node))
        self.elements(node.name, a.group, view, (a.view.sums, b.view.sums))
        self.values[node.name] = Value(a.group, a.times, view)

    def pool(self, node: TracedNode, layer: Any) -> None:
        x = self.values[node.inputs[0]]
        size, window = plane((1, *node.shape[1:]), 1), (x.view.rows, x.view.columns)
        if not isinstance(layer, _WHOLE_POOLS):
            axes = len(node.shape) - 1
            window = plane((layer.kernel_size,) * axes if isinstance(layer.kernel_size, int) else layer.kernel_size, 1)
        elif math.prod(size) != 1:
            self.refuse(node, "use a pool with a window of its own")
        is_average = "Avg" in type(layer).__name__
        view = self.view(node, sums=self.sums_stay(node) and (is_average or x.view.sums))
        group, sums = x.group, (x.view.sums, view.sums)
        self.emit(
            node.path or node.name,
            (group,),
            lambda widths, _: {"pool": pool(planes(widths[group]), size, window, sums)},
        )
        self.values[node.name] = Value(group, x.times, view)

    def flatten(self, node: TracedNode) -> None:
        x = self.values[node.inputs[0]]
        size, group = (x.view.rows, x.view.columns), x.group
        self.emit(node.path or node.name, (group,), lambda widths, _: {"flatten": flatten(widths[group], size)})
        view = View(node.name, node.shape[0], 1, 1, 1, 0, x.view.sums)
        self.values[node.name] = Value(group, x.times * size[0] * size[1], view)
