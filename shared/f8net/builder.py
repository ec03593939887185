"""The fixed-point steps of a net while they are built: values and their formats, scales, where tensors lie."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from torch import Tensor, fx, nn

from shared.f8net.placed import Placed, in_order
from shared.f8net.scales import REAL, Scale, Ties
from shared.f8net.spreads import Fit
from shared.f8net.steps import AbstractStep, HasFormat, Quantiser, Weighted
from shared.f8net.token_steps import ConstantValue, Rearrange, Rescale
from shared.importers.evaluator import Evaluator
from shared.importers.graph import TracedGraph, TracedNode
from shared.integer.format import Format
from shared.integer.names import value_name


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


class Builder:
    """What every operation needs to append its steps; operations are functions of it and of their node.

    A **value** is what a step computes; a tensor of the traced net lies in one, in any order (`placed`).
    """

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
        self.paths: set[str] = set()  # of the layers that were converted
        self.is_deep = any(is_norm_or_factor(node) for node in traced)
        self.input_name = self._read_input()

    def _read_input(self) -> str:
        nodes = [node for node in self.traced if node.kind == "input"]
        if len(nodes) > 1:
            raise ValueError(f"F8Net needs a net with one input, this has {nodes[0].name!r} and {nodes[1].name!r}")
        [node] = nodes
        self.values[node.name] = _Value(node.shape, self.input.signed, node.name)
        self.ties.tie(node.name, REAL)
        self.end(node, node.name)
        return node.name

    def graph(self) -> FixedPointGraph:
        """What was built, once every node is converted."""
        calls = self.traced.module.graph
        if len(self.traced.outputs) != 1 or not isinstance(calls.output_node().args[0], fx.Node):
            raise ValueError("F8Net needs a net that returns one tensor")
        output = self.plain(self.traced.outputs[0])
        if not self.ties.tie(output, REAL):
            raise ValueError(f"the output {output!r} is an average of the input: end with a Linear or Conv")
        # Constructed last and in order, because a step needs the scales on which the whole net agrees.
        names = _value_names([self.input_name, *(name for name, _, _ in self.constructors)])
        steps = tuple(
            Step(names[name], tuple(names[source] for source in sources), construct())
            for name, sources, construct in self.constructors
        )
        return FixedPointGraph(names[self.input_name], steps, tuple(self.scales.values()), names[output])

    def refuse(self, node: TracedNode, condition: bool, property: str, way_out: str) -> None:
        if condition:
            raise ValueError(f"F8Net cannot convert {node.title} with {property}: {way_out}")

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
            self.emit_like(name, step, lambda: Rearrange(index), tuple(index.shape))
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

    # Steps

    def emit(
        self,
        name: str,
        inputs: tuple[str, ...],
        construct: Callable[[], AbstractStep],
        shape: tuple[int, ...],
        signed: bool,
        source: str | None = None,
    ) -> None:
        """A step and its value, whose format is that of `source`, or of a sum."""
        self.constructors.append((name, inputs, construct))
        self.values[name] = _Value(shape, signed, source)
        if source == name:
            self.words[name] = self.word

    def emit_like(self, name: str, operand: str, construct: Callable[[], AbstractStep], shape: tuple[int, ...]) -> None:
        """A step of one operand whose value has the operand's format."""
        value = self.values[operand]
        self.emit(name, (operand,), construct, shape, value.signed, value.source)

    def passing(self, node: TracedNode, module: AbstractStep, operand: str) -> None:
        """A step that neither rounds nor scales, whose value is the tensor of a node."""
        self.ties.tie(node.name, operand)
        self.emit_like(node.name, operand, lambda: module, node.shape)
        self.end(node, node.name)

    def rescaled(self, name: str, operand: str, factor: float) -> str:
        """A value times a number above 0: the same integers, of another scale."""
        self.ties.tie(name, operand, Fraction(factor))
        self.emit_like(name, operand, Rescale, self.values[operand].shape)
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

        self.emit(name, (source,), construct, value.shape, signed=True)
        return name

    def constant(self, name: str, tensor: Tensor, like: str) -> str:
        """A value that depends on no input, of the scale of another."""
        self.ties.tie(name, like)
        construct = lambda: ConstantValue(tensor, self.scale(name))  # noqa: E731
        self.emit(name, (), construct, tuple(tensor.shape), signed=True)
        return name

    # Formats and scales

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

    def quantise(self, name: str, operand: str, *, signed: bool, word: int = 0) -> None:
        self.ties.tie(name, operand)

        def construct() -> AbstractStep:
            leads = self.ties.root(name)[0] != REAL and self.leader(name) == name
            scale = self.scale(name)
            self.quantisers[name] = Quantiser(word or self.word, self.fit, signed=signed, scale=scale, leads=leads)
            return self.quantisers[name]

        self.emit(name, (operand,), construct, self.values[operand].shape, signed, source=name)
        self.words[name] = word or self.word
        self.order.append(name)

    def leader(self, name: str) -> str:
        """The last quantiser of a group: its input is the whole sum of a residual block."""
        group = self.ties.root(name)[0]
        return [other for other in self.order if self.ties.root(other)[0] == group][-1]

    def bits(self, origin: str) -> int:
        """Of the words of a narrow value."""
        return self.words.get(origin, self.input.word)

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

    def scale(self, name: str) -> tuple[Scale, float]:
        group, ratio = self.ties.root(name)
        if group not in self.scales:
            self.scales[group] = Scale(trained=group != REAL)
        return self.scales[group], float(ratio)


def is_norm_or_factor(node: TracedNode) -> bool:
    """A layer norm, or a factor for each channel: nets with them add many branches to one trunk."""
    if isinstance(node.layer, nn.LayerNorm):
        return True
    has_constant = any(isinstance(each, fx.Node) and each.op == "get_attr" for each in node.call.args)
    return node.plain_name in ("mul", "imul") and has_constant


def _value_names(names: Sequence[str]) -> dict[str, str]:
    """What the values of a program are called: a layer may have any name in torch, such as `register`."""
    legal: dict[str, str] = {}
    for name in names:
        legal[name] = value_name(name, legal.values())
    return legal
