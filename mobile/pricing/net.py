"""A torch net's predicted time as a function of widths and densities, with a gradient; nothing is compiled."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn, cast

from torch import Tensor, nn

from mobile.lowering.calls import Spread, View
from mobile.lowering.float_work import FloatWork
from mobile.lowering.formats import FORMATS
from mobile.lowering.taps import taps
from mobile.lowering.work import Work, add, convolution, depthwise, flatten, pool, shuffle, spread
from mobile.pricing.float_net import float_latency
from mobile.pricing.latency import Latency, Numbers
from mobile.pricing.priced import NetLatency, PricedCall, Widths, Works
from shared.f8net.operators.resampling import nearest_factor, shuffle_factor
from shared.importers.graph import TracedGraph, TracedNode
from shared.integer.geometry import plane


@dataclass(frozen=True)
class Value:
    """The group whose channels a value has, how often each (its pixels, behind a flatten), and how it lies."""

    group: str
    times: float
    view: View


def net_latency(
    net: nn.Module, example: Tensor | tuple[int, ...], latency: Latency, numbers: Numbers = "int8"
) -> NetLatency:
    """The predicted time of `net` as a library, for one example: `(B, *shape)`, or the shape.

    Of 8-bit integers it is what `shared.f8net` and `mobile.lowering` would make of the net; of floats, what
    `mobile.lowering.lower_floats` makes of it. `latency` is that of the same numbers.

    Weights do not matter, so a net may be priced before it is trained. Batch norms and activations are computed where
    the layer before them is, and take no time of their own.

    Raises `ValueError` naming an operation that has no kernel, and the way out.

    >>> import torch
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
    if numbers == "float32":
        return float_latency(net, example, latency)
    walk = _Walk(TracedGraph.of(net, example))
    names = [name for name in walk.widths if walk.root(name) == name]
    calls = [_rooted(call, walk) for call in walk.calls]
    written = {name: walk.root(name) for name in walk.widths}
    return NetLatency(latency, tuple(calls), {name: walk.widths[name] for name in names}, written)


def _rooted(call: PricedCall, walk: "_Walk") -> PricedCall:
    """The call in terms of the groups that remain, once all that share a width are one."""
    roots = {name: walk.root(name) for name in call.groups}

    def works(widths: Widths, density: Tensor) -> Mapping[str, Work | FloatWork]:
        # Groups that meet in a sum may differ by a factor: channels that became pixels, or that were repeated.
        own = {name: widths[root] * (walk.widths[name] / walk.widths[root]) for name, root in roots.items()}
        return call.works(own, density)

    return PricedCall(call.layer, tuple(dict.fromkeys(roots.values())), works)


def planes(width: Tensor) -> Tensor:
    """Planes of four channels: whole ones forward, their slope backward.

    >>> import torch
    >>> width = torch.tensor(5.0, requires_grad=True)
    >>> planes(width).item(), torch.autograd.grad(planes(width), width)[0].item()
    (2.0, 0.25)
    """
    exact = width / 4
    return exact + (exact.detach().ceil() - exact.detach())


_ROUNDED: Final = ("activation", "convolution", "linear")
"""Kinds whose input is of bytes: the sums that they alone read are rounded where they are computed."""
_SHUFFLES, _ENLARGES = ("PixelShuffle", "pixel_shuffle"), ("Upsample", "interpolate")
_FREE: Final = ("norm", "dropout", "identity")
"""Kinds that are part of what is before them."""
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
        self.joined: dict[str, Value] = {}
        """Sums that the layer of one of their terms has computed."""
        self.apart: dict[str, tuple[Value, ...]] = {}
        """Of what a later call computes: what that reads."""
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
        while (reader := self.graph.sole_reader(name)) is not None and reader.kind in _FREE:
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
        elif node.kind in _FREE:
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
        elif node.operation in _SHUFFLES:
            self.squares(node)
        elif node.operation in _ENLARGES:
            self.enlarge(node)
        else:
            self.refuse(node, "use ReLU, pools that are layers, additions and Flatten, or leave it to the host")

    def bytes(self, node: TracedNode, x: Value, name: str) -> Value:
        """Sums rounded by a call of their own, since the call that computed them could not."""
        view = replace(x.view, pitch=x.view.columns, sums=False)
        self.elements(name, replace(x, view=view), (True,))
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

    def elements(self, name: str, value: Value, reads: tuple[bool, ...]) -> None:
        view, group, times = value.view, value.group, value.times
        size = (view.rows, view.columns)
        self.emit(
            name,
            (group,),
            lambda widths, _: {"elements": add(planes(widths[group] * times), size, reads, view.sums)},
        )

    def shuffle(self, node: TracedNode, x: Value, factor: int, anchor: Value | None = None) -> None:
        view, group, times = self.view(node, sums=x.view.sums), x.group, x.times / factor**2
        if anchor is not None:
            view = replace(view, sums=self.sums_stay(node))
        size, sums = (view.rows, view.columns), (x.view.sums, view.sums)
        added = [] if anchor is None else [anchor.view.sums]
        self.emit(
            node.path or node.name,
            (group,),
            lambda widths, _: {"shuffle": shuffle(planes(widths[group] * times), size, factor, sums, added)},
        )
        self.values[node.name] = Value(group, times, view)

    def enlarges(self, node: TracedNode) -> tuple[str, int | None]:
        """How a node enlarges an image, if it does, and by what."""
        if node.operation in _SHUFFLES:
            return "squares", shuffle_factor(node)
        if node.operation in _ENLARGES:
            return "nearest", nearest_factor(node, self.graph[node.inputs[0]].shape)
        return "", None

    def is_anchored(self, node: TracedNode) -> bool:
        """Whether a pixel shuffle and an image enlarged by the nearest pixel meet in a sum, and nowhere else."""
        reader = self.graph.sole_reader(node.name)
        if reader is None or reader.kind != "add" or len(reader.inputs) != 2:
            return False
        terms = [self.graph[name] for name in reader.inputs]
        (kind, factor), (other, same) = map(self.enlarges, terms)
        alone = all(self.graph.sole_reader(term.name) is reader for term in terms)
        return alone and {kind, other} == {"squares", "nearest"} and factor == same is not None

    def squares(self, node: TracedNode) -> None:
        x, factor = self.values[node.inputs[0]], shuffle_factor(node)
        if self.is_anchored(node):
            self.apart[node.name] = (x,)
            self.values[node.name] = Value(x.group, x.times / factor**2, self.view(node, sums=x.view.sums))
        elif node.inputs[0] in self.apart:
            image, anchor = self.apart[node.inputs[0]]
            self.shuffle(node, image, factor, anchor)
        else:
            self.shuffle(node, x, factor)

    def repeated(self, node: TracedNode, x: Value, times: int) -> Value:
        """Each channel `times` in a row, by a convolution by ones: the sums of an addition or of a shuffle."""
        group, before, after = x.group, x.times, x.times * times
        view = replace(x.view, channels=x.view.channels * times, pitch=x.view.pitch, sums=True)

        def formats(widths: Widths, _: Tensor) -> Mapping[str, Work]:
            out = planes(widths[group] * after)
            groups = out * 4 * planes(widths[group] * before)
            return {name: convolution(name, out, groups, view.pixels, True) for name in FORMATS}

        self.emit(f"{node.path or node.name} repeated", (group,), formats)
        return Value(group, after, view)

    def enlarge(self, node: TracedNode) -> None:
        x = self.narrow(node)
        factor = nearest_factor(node, (x.view.channels, x.view.rows, x.view.columns))
        if factor is None:
            self.refuse(node, "enlarge by the nearest pixel, by a whole factor")
        if self.is_anchored(node):
            self.apart[node.name] = (x,)
            self.values[node.name] = replace(x, view=self.view(node, sums=True))
        else:
            self.shuffle(node, self.repeated(node, x, factor**2), factor)

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
        joined = self.shortcut(node)
        pixels, sums = (rows - 1) * pitch + columns, self.sums_stay(joined[0] if joined else node)
        added = [joined[1].view.sums] if joined else []
        self.widths[path] = node.shape[0]

        def formats(widths: Widths, density: Tensor) -> Mapping[str, Work]:
            out = planes(widths[path])
            dense = out * 4 * planes(widths[read] * times) * count  # those of other groups are zeros, but multiplied
            sparse = dense * density / cut
            groups = {name: dense if name == "dense" else sparse for name in FORMATS}
            return {name: convolution(name, out, groups[name], pixels, sums, added=added) for name in FORMATS}

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
        if joined:
            self.joined[joined[0].name] = self.values[node.name]

    def shortcut(self, node: TracedNode) -> tuple[TracedNode, Value] | None:
        """The sum that the layer computes too, and the value that is added: if that is there already."""
        name, layer = node.name, cast(Any, node.layer)
        while (reader := self.graph.sole_reader(name)) is not None and reader.kind in _FREE:
            name = reader.name
        is_depthwise = node.kind == "convolution" and 1 < layer.groups == layer.in_channels == node.shape[0]
        if reader is None or reader.kind != "add" or len(set(reader.inputs)) != 2 or is_depthwise:
            return None
        [term] = [other for other in reader.inputs if other != name]
        while self.graph[term].kind in _FREE:
            term = self.graph[term].inputs[0]
        x = self.values.get(term)
        return None if x is None or term in self.apart or self.graph[term].shape != node.shape else (reader, x)

    def spread(self, name: str, group: str, to: Spread) -> None:
        phases, rows, columns = to.phases, to.rows, to.columns
        self.emit(name, (group,), lambda widths, _: {"spread": spread(planes(widths[group]), phases, rows, columns)})

    def add(self, node: TracedNode) -> None:
        a, b = (self.values[name] for name in node.inputs)
        early = [pair for pair in ((a, b), (b, a)) if self.is_early(node, *pair)]
        if not early:
            a, b = (self.broadcast(node, each, other) for each, other in ((a, b), (b, a)))
        first, second = sorted((self.root(a.group), self.root(b.group)), key=list(self.widths).index)
        if first != second:
            self.same[second] = first
        if node.name in self.joined:
            self.values[node.name] = replace(self.joined[node.name], group=a.group, times=a.times)
            return
        value = Value(a.group, a.times, self.view(node, sums=self.sums_stay(node)))
        if early:
            [self.apart[node.name]] = early
            self.values[node.name] = replace(value, group=early[0][0].group, times=early[0][0].times)
            return
        if all(name in self.apart for name in node.inputs):
            terms = sorted(node.inputs, key=lambda name: self.enlarges(self.graph[name])[0] == "nearest")
            ((image,), (anchor,)), factor = (self.apart[name] for name in terms), self.enlarges(self.graph[terms[0]])[1]
            assert factor is not None
            self.shuffle(node, image, factor, anchor)
            return
        self.elements(node.name, value, (a.view.sums, b.view.sums))
        self.values[node.name] = value

    def is_early(self, node: TracedNode, image: Value, anchor: Value) -> bool:
        """Whether an anchor of one channel is added to all channels of an image that then become squares."""
        reader = self.graph.sole_reader(node.name)
        if reader is None or reader.operation not in _SHUFFLES or not self.is_repeated(anchor, image):
            return False
        return shuffle_factor(reader) ** 2 == image.view.channels

    def is_repeated(self, x: Value, other: Value) -> bool:
        return x.view.channels == 1 < other.view.channels and x.view.pixels > 1 and not x.view.sums

    def broadcast(self, node: TracedNode, x: Value, other: Value) -> Value:
        """An image of one channel, repeated if it is added to one of several."""
        if self.is_repeated(x, other):
            return self.repeated(node, x, other.view.channels)
        return x

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
