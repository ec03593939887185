"""From a torch net to fixed-point steps: what is computed, where it is quantised, and which scales must agree."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import fx, nn

from shared.f8net.scales import REAL, Scale, Ties
from shared.f8net.spreads import Fit
from shared.f8net.steps import AbstractStep, Add, Flatten, Pass, PixelShuffle, Pool, Quantiser, Weighted
from shared.importers.graph import TracedGraph, TracedNode
from shared.integer.format import Format
from shared.integer.names import value_name

SUPPORTED = (
    "Linear, Conv1d, Conv2d, BatchNorm behind them, ReLU, MaxPool, AvgPool, AdaptiveAvgPool(1), Flatten, Dropout, "
    "PixelShuffle, interpolation by the nearest pixel, +"
)

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d)
_AVERAGE_POOLS = (nn.AvgPool1d, nn.AvgPool2d)
_GLOBAL_POOLS = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)


@dataclass(frozen=True)
class Step:
    """A named step and the values it reads."""

    name: str
    inputs: tuple[str, ...]
    module: AbstractStep


@dataclass(frozen=True)
class FixedPointGraph:
    """The steps in order, the scales they share, and the names of input and output."""

    input: str
    steps: tuple[Step, ...]
    scales: tuple[Scale, ...]
    output: str


@dataclass(frozen=True)
class _Value:
    """A value while the graph is built."""

    shape: tuple[int, ...]
    signed: bool
    source: str | None
    """The quantiser or input whose format it has; `None` for sums, which are wider than a multiplier."""


def build(
    net: nn.Module,
    shape: Sequence[int],
    input: Format,
    word: int,
    weight_words: Mapping[str, int],
    sparse: bool,
    fit: Fit,
) -> FixedPointGraph:
    """The steps of a copy of `net` for one input of `shape` (without the batch) and format.

    Raises `ValueError` naming the layer that is not supported, and the way out.
    """
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d) and (layer._forward_pre_hooks or layer._forward_hooks):
            title = f"{type(layer).__name__} {name!r}"
            raise ValueError(f"F8Net would skip the hooks of {title}: use torch.nn.utils.parametrize, or prune.remove")
    for name, parameter in net.state_dict().items():
        if not torch.isfinite(parameter).all():
            raise ValueError(f"F8Net needs finite weights, {name!r} has NaN or infinite ones")
    layers = {name for name, layer in net.named_modules() if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d)}
    for path, bits in weight_words.items():
        if path not in layers:
            raise ValueError(
                f"weight_words names {path!r}: it must be a layer with weights, {', '.join(sorted(layers))}"
            )
        if not 2 <= bits <= word:
            raise ValueError(f"weight_words gives {path!r} {bits} bits: they must be 2 to {word}, the word of the net")
    return _Builder(TracedGraph.of(copy.deepcopy(net), shape), input, word, weight_words, sparse, fit).graph()


def shuffle_factor(node: TracedNode) -> int:
    """Of a pixel shuffle, a layer or a function."""
    if isinstance(node.layer, nn.PixelShuffle):
        return node.layer.upscale_factor
    factor = node.call.kwargs.get("upscale_factor", node.call.args[-1])
    assert isinstance(factor, int)
    return factor


def nearest_factor(node: TracedNode, shape: Sequence[int]) -> int | None:
    """By what an interpolation by the nearest pixel enlarges an image on both sides; `None` for all others."""
    layer, kwargs = node.layer, node.call.kwargs
    mode = layer.mode if layer is not None else kwargs.get("mode", (*node.call.args, *("nearest",) * 4)[3])
    factor = node.shape[1] // shape[1] if len(shape) == 3 else 0
    is_whole = len(shape) == 3 and node.shape[1:] == (shape[1] * factor, shape[2] * factor)
    return factor if str(mode).startswith("nearest") and is_whole else None


def _value_names(names: Sequence[str]) -> dict[str, str]:
    """What the values of a program are called: a layer may have any name in torch, such as `register`."""
    legal: dict[str, str] = {}
    for name in names:
        legal[name] = value_name(name, legal.values())
    return legal


class _Builder:
    def __init__(
        self,
        traced: TracedGraph,
        input: Format,
        word: int,
        weight_words: Mapping[str, int],
        sparse: bool,
        fit: Fit,
    ) -> None:
        self.traced, self.input, self.word, self.weight_words = traced, input, word, weight_words
        self.sparse, self.fit = sparse, fit
        self.values: dict[str, _Value] = {}
        self.alias: dict[str, str] = {}  # a traced value -> the step that computes it
        self.ties = Ties()
        self.constructors: list[tuple[str, tuple[str, ...], Callable[[], AbstractStep]]] = []
        self.quantisers: dict[str, Quantiser] = {}
        self.order: list[str] = []  # of quantisers
        self.narrowed: dict[str, str] = {}  # a sum -> its quantiser
        self.scales: dict[str, Scale] = {}
        self.paths: set[str] = set()  # of the layers converted so far

    def graph(self) -> FixedPointGraph:
        calls = self.traced.module.graph
        inputs = [call.name for call in calls.nodes if call.op == "placeholder"]
        if len(inputs) > 1:
            raise ValueError(f"F8Net needs a net with one input, this has {inputs[0]!r} and {inputs[1]!r}")
        for node in self.traced:
            if node.kind == "input":
                self.alias[node.name] = node.name
                self.values[node.name] = _Value(node.shape, self.input.signed, node.name)
                self.ties.tie(node.name, REAL)
            else:
                self.convert(node)
        if len(self.traced.outputs) != 1 or not isinstance(calls.output_node().args[0], fx.Node):
            raise ValueError("F8Net needs a net that returns one tensor")
        output = self.alias[self.traced.outputs[0]]
        if not self.ties.tie(output, REAL):
            raise ValueError(f"the output {output!r} is an average of the input: end with a Linear or Conv")
        # Constructed last and in order, because a step needs the scales on which the whole net agrees.
        names = _value_names([inputs[0], *(name for name, _, _ in self.constructors)])
        steps = tuple(
            Step(names[name], tuple(names[source] for source in sources), construct())
            for name, sources, construct in self.constructors
        )
        return FixedPointGraph(names[inputs[0]], steps, tuple(self.scales.values()), names[output])

    def step(self, name: str, inputs: tuple[str, ...], construct: Callable[[], AbstractStep], value: _Value) -> None:
        self.constructors.append((name, inputs, construct))
        self.values[name] = value

    def convert(self, node: TracedNode) -> None:
        layer = node.layer
        if layer is not None:
            if node.path in self.paths and any(True for _ in layer.parameters()):
                raise ValueError(f"F8Net cannot convert {node.title} twice: its uses need weights of their own")
            self.paths.add(node.path)
        inputs = [self.alias[name] for name in node.inputs]
        if node.kind == "add":
            self.add(node, *inputs)
        elif isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            self.weighted(node, layer, inputs[0])
        elif isinstance(layer, _NORMS):
            self.norm(node)
        elif isinstance(layer, nn.ReLU) or (layer is None and node.operation in ("relu", "relu_")):
            self.relu(node, inputs[0])
        elif isinstance(layer, _MAX_POOLS + _AVERAGE_POOLS + _GLOBAL_POOLS):
            self.pool(node, layer, inputs[0])
        elif node.kind in ("flatten", "reshape"):
            self.refuse(node, node.kind == "reshape", f"the result {node.shape}", "flatten all axes behind the batch")
            self.passing(node, Flatten(), inputs[0])
        elif isinstance(layer, nn.PixelShuffle) or node.operation == "pixel_shuffle":
            self.passing(node, PixelShuffle(shuffle_factor(node)), inputs[0])
        elif isinstance(layer, nn.Upsample) or node.operation == "interpolate":
            self.enlarge(node, inputs[0])
        elif isinstance(layer, nn.Dropout | nn.Dropout1d | nn.Dropout2d):
            self.passing(node, Pass(layer), inputs[0])
        elif node.kind == "identity":
            self.alias[node.name] = inputs[0]
        else:
            raise ValueError(f"F8Net cannot convert {node.title}: use {SUPPORTED}")

    def refuse(self, node: TracedNode, condition: bool, property: str, way_out: str) -> None:
        if condition:
            raise ValueError(f"F8Net cannot convert {node.title} with {property}: {way_out}")

    def weighted(self, node: TracedNode, layer: nn.Linear | nn.Conv1d | nn.Conv2d, operand: str) -> None:
        if isinstance(layer, nn.Linear):
            shape = self.values[operand].shape
            self.refuse(node, len(shape) != 1, f"inputs of shape {shape}", "flatten first, or use a Conv1d of kernel 1")
        else:
            self.refuse(node, layer.padding_mode != "zeros", f"{layer.padding_mode} padding", "use zeros")
            self.refuse(node, isinstance(layer.padding, str), f"padding={layer.padding!r}", "give it in numbers")
            self.refuse(node, set(layer.dilation) != {1}, f"dilation {layer.dilation}", "use stride or larger kernels")
        norm = self.norm_behind(node)
        source = self.narrow(operand)
        origin = self.values[source].source
        assert origin is not None

        def construct() -> AbstractStep:
            format = self.quantisers.get(origin, self.input)
            scales = self.scale(source), self.scale(node.name)
            word = self.weight_words.get(node.path, self.word)
            return Weighted(layer, norm, word, self.sparse, self.fit, format, scales)

        self.alias[node.name] = node.name
        self.step(node.name, (source,), construct, _Value(node.shape, True, None))

    def repeated(self, name: str, operand: str, times: int) -> str:
        """Each channel `times` in a row: a convolution by ones of kernel 1, which is exact."""
        source = self.narrow(operand)
        value = self.values[source]
        origin, (channels, *size) = value.source, value.shape
        assert origin is not None
        ones = nn.Conv2d(channels, channels * times, 1, groups=channels, bias=False).requires_grad_(False)
        nn.init.ones_(ones.weight)
        self.ties.tie(name, source)

        def construct() -> AbstractStep:
            scales = self.scale(source), self.scale(name)
            return Weighted(ones, None, self.word, False, self.fit, self.quantisers.get(origin, self.input), scales)

        self.step(name, (source,), construct, _Value((channels * times, *size), value.signed, None))
        return name

    def enlarge(self, node: TracedNode, operand: str) -> None:
        """Each pixel as a square: its channel repeated, then laid out."""
        factor = nearest_factor(node, self.values[operand].shape)
        self.refuse(node, factor is None, "this interpolation", "enlarge by the nearest pixel, by a whole factor")
        assert factor is not None
        self.passing(node, PixelShuffle(factor), self.repeated(f"{node.name}_repeated", operand, factor**2))

    def norm_behind(self, node: TracedNode) -> nn.BatchNorm1d | nn.BatchNorm2d | None:
        reader = self.traced.sole_reader(node.name)
        norm = None if reader is None else reader.layer
        if reader is None or not isinstance(norm, _NORMS):
            return None
        untracked = not norm.track_running_stats or norm.momentum is None
        self.refuse(reader, untracked, "no running statistics or momentum", "give it both")
        return norm

    def norm(self, node: TracedNode) -> None:
        before = self.traced[node.inputs[0]]
        weighted = isinstance(before.layer, nn.Linear | nn.Conv1d | nn.Conv2d)
        folded = weighted and self.traced.sole_reader(before.name) is node
        self.refuse(node, not folded, "no Linear or Conv of its own before it", "move it behind one, to be folded in")
        self.alias[node.name] = self.alias[before.name]

    def relu(self, node: TracedNode, operand: str) -> None:
        value = self.values[operand]
        if value.source and not value.signed:
            self.alias[node.name] = operand
            return
        self.alias[node.name] = node.name
        self.quantise(node.name, operand, signed=False)

    def narrow(self, operand: str) -> str:
        """The value in a multiplier's width; quantised now if it is a sum, and once for all that read it."""
        if self.values[operand].source:
            return operand
        if operand not in self.narrowed:
            name = f"{operand}_fixed"
            while any(call.name == name for call in self.traced.module.graph.nodes):
                name += "_"
            self.quantise(name, operand, signed=self.values[operand].signed)
            self.narrowed[operand] = name
        return self.narrowed[operand]

    def quantise(self, name: str, operand: str, *, signed: bool) -> None:
        self.ties.tie(name, operand)

        def construct() -> AbstractStep:
            leads = self.ties.root(name)[0] != REAL and self.leader(name) == name
            self.quantisers[name] = Quantiser(self.word, self.fit, signed=signed, scale=self.scale(name), leads=leads)
            return self.quantisers[name]

        self.step(name, (operand,), construct, _Value(self.values[operand].shape, signed, name))
        self.order.append(name)

    def leader(self, name: str) -> str:
        """The last quantiser of a group: its input is the whole sum of a residual block."""
        group = self.ties.root(name)[0]
        return [other for other in self.order if self.ties.root(other)[0] == group][-1]

    def add(self, node: TracedNode, a: str, b: str) -> None:
        a, b = (self.broadcast(node, each, other) for each, other in ((a, b), (b, a)))
        shapes = self.values[a].shape, self.values[b].shape
        self.refuse(node, shapes[0] != shapes[1], f"shapes {shapes[0]} and {shapes[1]}", "give both terms one shape")
        agree = self.ties.tie(a, b) and self.ties.tie(node.name, a)
        self.refuse(node, not agree, "terms whose scales differ", "put a convolution of kernel 1 before one of them")
        self.alias[node.name] = node.name
        signed = self.values[a].signed or self.values[b].signed
        self.step(node.name, (a, b), Add, _Value(shapes[0], signed, None))

    def broadcast(self, node: TracedNode, operand: str, other: str) -> str:
        """An image of one channel, repeated if it is added to one of several."""
        shape, wanted = self.values[operand].shape, self.values[other].shape
        if len(shape) == 3 and shape[0] == 1 < wanted[0] and shape[1:] == wanted[1:]:
            return self.repeated(f"{node.name}_{operand}", operand, wanted[0])
        return operand

    def pool(self, node: TracedNode, layer: nn.Module, operand: str) -> None:
        average, value = not isinstance(layer, _MAX_POOLS), self.values[operand]
        module = Pool(*self.window(node, layer, value.shape[1:]), average=average)
        self.ties.tie(node.name, operand, module.ratio)
        self.alias[node.name] = node.name
        source = None if average else value.source
        self.step(node.name, (operand,), lambda: module, _Value(node.shape, value.signed, source))

    def window(self, node: TracedNode, layer: Any, plane: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Size and stride of a pool over a plane."""
        if isinstance(layer, _GLOBAL_POOLS):
            self.refuse(node, math.prod(node.shape[1:]) != 1, "several outputs", "use AvgPool")
            return plane, plane
        size, stride, padding, dilation = (
            (value,) * len(plane) if isinstance(value, int) else tuple(value)
            for value in (layer.kernel_size, layer.stride, layer.padding, getattr(layer, "dilation", 1))
        )
        self.refuse(node, set(padding) != {0}, "padding", "pad with zeros in the Conv before")
        self.refuse(node, set(dilation) != {1}, "dilation", "leave it out")
        self.refuse(node, layer.ceil_mode, "ceil_mode", "leave it out")
        self.refuse(node, getattr(layer, "divisor_override", None) is not None, "a divisor", "leave it out")
        return size, stride

    def passing(self, node: TracedNode, module: AbstractStep, operand: str) -> None:
        self.ties.tie(node.name, operand)
        self.alias[node.name] = node.name
        self.step(node.name, (operand,), lambda: module, replace(self.values[operand], shape=node.shape))

    def scale(self, name: str) -> tuple[Scale, float]:
        group, ratio = self.ties.root(name)
        if group not in self.scales:
            self.scales[group] = Scale(trained=group != REAL)
        return self.scales[group], float(ratio)
