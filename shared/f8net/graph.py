"""From a torch net to fixed-point steps: what is computed, where it is quantised, and which scales must agree."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.parametrize import is_parametrized

from shared.f8net.placed import Placed, in_order
from shared.f8net.scales import REAL, Scale, Ties
from shared.f8net.spreads import Fit
from shared.f8net.steps import AbstractStep, Add, Flatten, HasFormat, Pass, PixelShuffle, Pool, Quantiser, Weighted
from shared.f8net.token_steps import ConstantValue, Rearrange, Rescale
from shared.f8net.tokens import is_norm_or_factor, operator, resize
from shared.importers.evaluator import Evaluator
from shared.importers.graph import TracedGraph, TracedNode
from shared.integer.format import Format
from shared.integer.names import value_name

SUPPORTED = (
    "Linear, Conv1d, Conv2d, BatchNorm behind them, ReLU, ReLU6, other activations, LayerNorm, softmax, "
    "matrix products, scaled_dot_product_attention, Embedding, MaxPool, AvgPool, AdaptiveAvgPool(1), mean, Flatten, "
    "reshapes and transpositions, Dropout, PixelShuffle, interpolation, concatenation, +, -, *"
)

TRUNK = 16
"""Bits of sums that are read by other sums, in nets that add many."""

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
    masks = {name for name, layer in net.named_modules() if type(layer).__module__.partition(".")[0] != "torch"}
    for name, parameter in net.state_dict().items():
        may_mask = name.rpartition(".")[0] in masks  # a constant of its own, which may be minus infinity
        if not (torch.isfinite(parameter) | (may_mask & torch.isneginf(parameter))).all():
            raise ValueError(f"F8Net needs finite weights, {name!r} has NaN or infinite ones")
    layers = {name for name, layer in net.named_modules() if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d)}
    for path, bits in weight_words.items():
        if path not in layers:
            raise ValueError(
                f"weight_words names {path!r}: it must be a layer with weights, {', '.join(sorted(layers))}"
            )
        if not 2 <= bits <= word:
            raise ValueError(f"weight_words gives {path!r} {bits} bits: they must be 2 to {word}, the word of the net")
    own = copy.deepcopy(net)
    reads_words = any(isinstance(layer, nn.Embedding) for layer in own.modules())
    example = torch.zeros((1, *shape), dtype=torch.int64) if reads_words else shape
    return Builder(TracedGraph.of(own, example), input, word, weight_words, sparse, fit).graph()


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


class Builder:
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
        self.ties = Ties()
        self.constructors: list[tuple[str, tuple[str, ...], Callable[[], AbstractStep]]] = []
        self.quantisers: dict[str, Quantiser] = {}
        self.formats: dict[str, HasFormat] = {}  # steps besides quantisers whose format others read
        self.placed: dict[str, Placed | tuple[Placed, ...]] = {}  # a traced tensor -> where its numbers lie
        self.evaluator = Evaluator(traced, self.placed)
        self.arrangements: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self.order: list[str] = []  # of quantisers
        self.words: dict[str, int] = {}  # bits of what they write
        self.narrowed: dict[tuple[str, int, bool], str] = {}  # a sum, bits and sign -> its quantiser
        self.scales: dict[str, Scale] = {}
        self.paths: set[str] = set()  # of the layers converted so far
        self.is_deep = any(is_norm_or_factor(node) for node in traced)

    def graph(self) -> FixedPointGraph:
        calls = self.traced.module.graph
        inputs = [call.name for call in calls.nodes if call.op == "placeholder"]
        if len(inputs) > 1:
            raise ValueError(f"F8Net needs a net with one input, this has {inputs[0]!r} and {inputs[1]!r}")
        for node in self.traced:
            if node.kind == "input":
                self.values[node.name] = _Value(node.shape, self.input.signed, node.name)
                self.ties.tie(node.name, REAL)
                self.end(node, node.name)
            elif node.kind != "parameter" and any(name in self.placed for name in node.inputs):
                self.convert(node)  # the rest depends on no input, and is computed where it is read
        if len(self.traced.outputs) != 1 or not isinstance(calls.output_node().args[0], fx.Node):
            raise ValueError("F8Net needs a net that returns one tensor")
        output = self.plain(self.traced.outputs[0])
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
        if node.name in self.placed:  # part of the layer before it
            return
        if node.kind == "identity":
            self.placed[node.name] = self.placed[node.inputs[0]]
            return
        if isinstance(layer, nn.Dropout | nn.Dropout1d | nn.Dropout2d):
            whole = self.whole(self.value(node, node.inputs[0]))
            self.passing(node, Pass(layer), whole.step)
            self.placed[node.name] = Placed(node.name, whole.index)
            return
        if (convert := operator(self, node)) is not None:
            convert(self, node)
            return
        operand = self.plain(node.inputs[0])
        if node.kind == "add":
            self.add(node, operand, self.plain(node.inputs[-1]))
        elif isinstance(layer, nn.Conv1d | nn.Conv2d):
            self.weighted(node, layer, operand)
        elif isinstance(layer, _NORMS):
            self.norm(node)
        elif isinstance(layer, nn.ReLU) or (layer is None and node.operation in ("relu", "relu_")):
            self.relu(node)
        elif isinstance(layer, _MAX_POOLS + _AVERAGE_POOLS + _GLOBAL_POOLS):
            self.pool(node, layer, operand)
        elif node.kind == "flatten":
            self.passing(node, Flatten(), operand)
        elif isinstance(layer, nn.PixelShuffle) or node.operation == "pixel_shuffle":
            self.passing(node, PixelShuffle(shuffle_factor(node)), operand)
        elif isinstance(layer, nn.Upsample) or node.operation == "interpolate":
            self.enlarge(node, operand)
        else:
            raise ValueError(f"F8Net cannot convert {node.title}: use {SUPPORTED}")

    # Where the numbers of a traced tensor lie

    def end(self, node: TracedNode, step: str) -> None:
        """The tensor of a node is the value of a step, in order."""
        self.placed[node.name] = Placed.plain(step, self.values[step].shape)

    def value(self, node: TracedNode, name: str) -> Placed:
        """A tensor that a node reads."""
        value = self.placed.get(name)
        self.refuse(
            node, not isinstance(value, Placed), f"{name!r}", "take one tensor of it, that depends on the input"
        )
        assert isinstance(value, Placed)
        self.refuse(node, len(value.index) != 1, "several samples", "keep the batch as the first axis")
        return value

    def is_plain(self, name: str) -> bool:
        """Whether a tensor is the whole value of a step, in order."""
        value = self.placed.get(name)
        return isinstance(value, Placed) and self.is_plain_placed(value)

    def is_plain_placed(self, value: Placed) -> bool:
        return value.shape == self.values[value.step].shape and in_order(value.index)

    def plain(self, name: str) -> str:
        """The step whose value is the tensor, channels first."""
        value = self.placed[name]
        if not isinstance(value, Placed):
            raise ValueError(f"F8Net cannot convert what reads {name!r}, several tensors: take one of them")
        if len(value.index) != 1:
            raise ValueError(f"F8Net cannot convert what reads {name!r}: keep the batch as the first axis")
        return self.arranged(value.step, value.index[0])

    def arranged(self, step: str, index: Tensor, like: tuple[int, ...] = ()) -> str:
        """The step whose value is at the places `index` of another: that itself, or a move.

        With `like`, any shape will do that begins so.
        """
        shape = self.values[step].shape
        same = shape[: len(like)] == like if like else shape == tuple(index.shape)
        if same and index.numel() == math.prod(shape) and in_order(index):
            return step
        if index.ndim > 3:
            index = index.flatten(2)
        key = (step, tuple(index.shape), index.contiguous().numpy().tobytes())
        if key not in self.arrangements:
            name = self.arrangements[key] = f"{step}_moved{len(self.arrangements)}"
            self.ties.tie(name, step)
            self.step(name, (step,), lambda: Rearrange(index), replace(self.values[step], shape=tuple(index.shape)))
        return self.arrangements[key]

    def channels_last(self, value: Placed) -> str:
        """The step whose channels are the last axis of a tensor, its positions in any shape."""
        wanted = value.index[0].movedim(-1, 0)
        return self.arranged(value.step, wanted, like=(wanted.shape[0],))

    def whole(self, value: Placed) -> Placed:
        """The same tensor as the whole value of a step, in any order."""
        size = math.prod(self.values[value.step].shape)
        if value.index.numel() == size and len(value.index.unique()) == size:
            return value
        step = self.channels_last(value)
        lines = Placed.lines(step, value.index.shape[-1], tuple(value.index.shape[1:-1]))
        return Placed(step, lines.index.reshape(value.index.shape))

    # Steps of other operations

    def emit(
        self,
        name: str,
        inputs: tuple[str, ...],
        construct: Callable[[], AbstractStep],
        shape: tuple[int, ...],
        signed: bool,
        source: str | None = None,
    ) -> None:
        """A step and its value."""
        self.step(name, inputs, construct, _Value(shape, signed, source))
        if source == name:
            self.words[name] = self.word

    def origin(self, step: str) -> str:
        """The step whose format a narrow value has."""
        origin = self.values[step].source
        assert origin is not None
        return origin

    def format_of(self, origin: str) -> "HasFormat | Format":
        """What says the format of a narrow value, once it is constructed."""
        return self.quantisers.get(origin) or self.formats.get(origin) or self.input

    def ratio(self, step: str) -> Fraction:
        """What one of a value of real numbers stands for."""
        return self.ties.root(step)[1]

    def real(self, node: TracedNode, *operands: str) -> None:
        """Ties values to real numbers, so that their product is of a known scale."""
        for each in operands:
            self.ties.tie(each, REAL)
            other = self.ties.root(each)[0] != REAL
            self.refuse(node, other, "a factor whose scale is trained", "put a convolution of kernel 1 before it")

    def rescaled(self, name: str, operand: str, factor: float) -> str:
        """A value times a number above 0: the same integers, of another scale."""
        self.ties.tie(name, operand, Fraction(factor))
        self.step(name, (operand,), Rescale, self.values[operand])
        return name

    def by_channel(self, name: str, operand: str, factors: Tensor) -> str:
        """A value times a number for each channel: a depthwise convolution of kernel 1."""
        source = self.narrow(operand)
        value = self.values[source]
        axes, channels = len(value.shape) - 1, len(factors)
        layer: nn.Linear | nn.Conv1d | nn.Conv2d
        if axes == 0:
            layer = nn.Linear(channels, channels, bias=False)
            layer.weight = nn.Parameter(factors.float().diag())
        else:
            layer = (nn.Conv1d if axes == 1 else nn.Conv2d)(channels, channels, 1, groups=channels, bias=False)
            layer.weight = nn.Parameter(factors.float().reshape(layer.weight.shape))
        origin = self.origin(source)

        def construct() -> AbstractStep:
            scales = self.scale(source), self.scale(name)
            return Weighted(layer, None, self.word, True, self.fit, self.format_of(origin), scales)

        self.step(name, (source,), construct, _Value(value.shape, True, None))
        return name

    def constant(self, name: str, tensor: Tensor, like: str) -> str:
        """A value that depends on no input, of the scale of another."""
        self.ties.tie(name, like)
        construct = lambda: ConstantValue(tensor, self.scale(name))  # noqa: E731
        self.step(name, (), construct, _Value(tuple(tensor.shape), True, None))
        return name

    def constant_like(self, name: str, tensor: Tensor, like: Placed) -> str:
        """A constant that is broadcast to a tensor, as the value that holds it lies."""
        shape = self.values[like.step].shape
        own = torch.zeros(math.prod(shape))
        own[like.index.flatten()] = tensor.float().broadcast_to(like.index.shape).flatten()
        return self.constant(name, own.reshape(shape), like.step)

    def joined(self, node: TracedNode, name: str, a: str, b: str, kind: Callable[[], AbstractStep] | None) -> str:
        """The sum, or what `kind` computes, of two values that lie alike."""
        a, b = self.of_one_scale(name, a, b)
        signed = kind is not None or self.values[a].signed or self.values[b].signed
        self.step(name, (a, b), kind or Add, _Value(self.values[a].shape, signed, None))
        return name

    def of_one_scale(self, name: str, a: str, b: str) -> tuple[str, str]:
        """The terms of `name`, the second times 1 where their scales differ: a depthwise layer may change its scale."""
        if not self.ties.tie(a, b):
            b = self.by_channel(f"{name}_rescaled", b, torch.ones(self.values[b].shape[0]))
            self.ties.tie(a, b)
        self.ties.tie(name, a)
        return a, b

    def average(self, name: str, operand: str, window: tuple[int, ...]) -> None:
        """The mean over all positions."""
        module = Pool(window, window, average=True)
        self.ties.tie(name, operand, module.ratio)
        shape = (self.values[operand].shape[0], *(1 for _ in window))
        self.step(name, (operand,), lambda: module, _Value(shape, self.values[operand].signed, None))

    # Operations of convolutional nets

    def refuse(self, node: TracedNode, condition: bool, property: str, way_out: str) -> None:
        if condition:
            raise ValueError(f"F8Net cannot convert {node.title} with {property}: {way_out}")

    def weighted(self, node: TracedNode, layer: nn.Linear | nn.Conv1d | nn.Conv2d, operand: str) -> None:
        if not isinstance(layer, nn.Linear):
            self.refuse(node, layer.padding_mode != "zeros", f"{layer.padding_mode} padding", "use zeros")
            self.refuse(node, isinstance(layer.padding, str), f"padding={layer.padding!r}", "give it in numbers")
            self.refuse(node, set(layer.dilation) != {1}, f"dilation {layer.dilation}", "use stride or larger kernels")
        norm = self.norm_behind(node)
        source = self.narrow(operand)
        origin = self.values[source].source
        assert origin is not None

        def construct() -> AbstractStep:
            scales = self.scale(source), self.scale(node.name)
            word = self.weight_words.get(node.path, self.word)
            return Weighted(layer, norm, word, self.sparse, self.fit, self.format_of(origin), scales, axes)

        axes = len(self.values[source].shape) - 1
        shape = node.shape
        if isinstance(layer, nn.Linear):
            shape = (layer.out_features, *self.values[source].shape[1:])
        self.step(node.name, (source,), construct, _Value(shape, True, None))
        self.end(node, node.name)
        if axes and isinstance(layer, nn.Linear):
            self.placed[node.name] = Placed.lines(node.name, node.shape[-1], node.shape[:-1])
        self.fold_factor(node, layer, norm)

    def fold_factor(self, node: TracedNode, layer: nn.Module, norm: nn.Module | None) -> None:
        """A factor for each channel behind a layer, or behind its norm, goes into its weights."""
        before = node if norm is None else self.traced.sole_reader(node.name)
        reader = None if before is None else self.traced.sole_reader(before.name)
        target: Any = norm or layer
        if reader is None or not is_norm_or_factor(reader) or reader.layer is not None or is_parametrized(target):
            return
        if target.weight is None:
            return
        parameters = (each for each in reader.call.args if isinstance(each, fx.Node) and each.op == "get_attr")
        factor = self.evaluator.operand(next(parameters))
        axis = -1 if isinstance(layer, nn.Linear) else -len(node.shape)
        if factor.numel() != len(target.weight) or factor.ndim < -axis or factor.shape[axis] != factor.numel():
            return
        flat = factor.detach().flatten()
        with torch.no_grad():
            target.weight.mul_(flat.reshape(-1, *(1,) * (target.weight.ndim - 1)))
            if target.bias is not None:
                target.bias.mul_(flat)
        self.placed[reader.name] = self.placed[node.name]

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
            return Weighted(ones, None, self.word, False, self.fit, self.format_of(origin), scales)

        self.step(name, (source,), construct, _Value((channels * times, *size), value.signed, None))
        return name

    def enlarge(self, node: TracedNode, operand: str) -> None:
        """Each pixel as a square: its channel repeated, then laid out."""
        factor = nearest_factor(node, self.values[operand].shape)
        if factor is None:
            resize(self, node)
            return
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
        self.placed[node.name] = self.placed[before.name]

    def relu(self, node: TracedNode) -> None:
        whole = self.whole(self.value(node, node.inputs[0]))
        value = self.values[whole.step]
        if value.source and not value.signed:
            self.placed[node.name] = whole
            return
        self.quantise(node.name, whole.step, signed=False)
        self.placed[node.name] = Placed(node.name, whole.index)

    def narrow(self, operand: str, word: int = 0, *, signed: bool = False) -> str:
        """The value in a multiplier's width, or of `word` bits; quantised now if it is a sum, and once for all.

        With `signed`, one without a sign gets one. An input of a byte is multiplied as it is, however narrow the words.
        """
        word = word or self.word
        value = self.values[operand]
        if value.source and (value.signed or not signed) and self.bits(value.source) <= max(word, 8):
            return operand
        key = operand, word, value.signed or signed
        if key not in self.narrowed:
            name = f"{operand}_fixed" if word == self.word else f"{operand}_of_{word}_bits"
            while any(call.name == name for call in self.traced.module.graph.nodes) or name in self.values:
                name += "_"
            self.quantise(name, operand, signed=value.signed or signed, word=word)
            self.narrowed[key] = name
        return self.narrowed[key]

    def bits(self, origin: str) -> int:
        """Of the words of a narrow value."""
        return self.words.get(origin, self.input.word)

    def quantise(self, name: str, operand: str, *, signed: bool, word: int = 0) -> None:
        self.ties.tie(name, operand)

        def construct() -> AbstractStep:
            leads = self.ties.root(name)[0] != REAL and self.leader(name) == name
            scale = self.scale(name)
            self.quantisers[name] = Quantiser(word or self.word, self.fit, signed=signed, scale=scale, leads=leads)
            return self.quantisers[name]

        self.step(name, (operand,), construct, _Value(self.values[operand].shape, signed, name))
        self.words[name] = word or self.word
        self.order.append(name)

    def leader(self, name: str) -> str:
        """The last quantiser of a group: its input is the whole sum of a residual block."""
        group = self.ties.root(name)[0]
        return [other for other in self.order if self.ties.root(other)[0] == group][-1]

    def add(self, node: TracedNode, a: str, b: str) -> None:
        a, b = (self.broadcast(node, each, other) for each, other in ((a, b), (b, a)))
        shapes = self.values[a].shape, self.values[b].shape
        self.refuse(node, shapes[0] != shapes[1], f"shapes {shapes[0]} and {shapes[1]}", "give both terms one shape")
        a, b = self.of_one_scale(node.name, a, b)
        if self.is_deep:
            a, b = self.trunk_and_branch(node, a, b)
        signed = self.values[a].signed or self.values[b].signed
        self.step(node.name, (a, b), Add, _Value(shapes[0], signed, None))
        self.end(node, self.narrow(node.name, TRUNK) if self.is_deep else node.name)

    def trunk_and_branch(self, node: TracedNode, *terms: str) -> tuple[str, str]:
        """The terms of a sum in nets that add many: what one sum alone reads in few bits, what others read in 16.

        Sums of sums would have more fraction bits with each, and not fit 32 bits in the end.
        """
        a, b = (
            self.narrow(term, self.word if self.traced.sole_reader(name) is node else TRUNK)
            for term, name in zip(terms, (*node.inputs, *node.inputs)[:2], strict=True)
        )
        return a, b

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
        source = None if average else value.source
        self.step(node.name, (operand,), lambda: module, _Value(node.shape, value.signed, source))
        self.end(node, node.name)

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
        self.step(node.name, (operand,), lambda: module, replace(self.values[operand], shape=node.shape))
        self.end(node, node.name)

    def scale(self, name: str) -> tuple[Scale, float]:
        group, ratio = self.ties.root(name)
        if group not in self.scales:
            self.scales[group] = Scale(trained=group != REAL)
        return self.scales[group], float(ratio)
