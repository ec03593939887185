"""From a torch net to fixed-point steps: what is computed, where it is quantised, and which scales must agree."""

import copy
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from shared.f8net.scales import REAL, Scale, Ties
from shared.f8net.steps import AbstractStep, Add, Flatten, Pass, Pool, Quantiser, Weighted
from shared.integer.format import Format

KNOWN = "Linear, Conv1d, Conv2d, BatchNorm behind them, ReLU, MaxPool, AvgPool, AdaptiveAvgPool(1), Flatten, Dropout, +"

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d)
_AVERAGE_POOLS = (nn.AvgPool1d, nn.AvgPool2d)
_GLOBAL_POOLS = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
_FUNCTIONS: dict[Any, str] = {
    operator.add: "add",
    operator.iadd: "add",
    torch.add: "add",
    torch.relu: "relu",
    nn.functional.relu: "relu",
    torch.flatten: "flatten",
    torch.reshape: "reshape",
}
_METHODS = {
    "add": "add",
    "add_": "add",
    "relu": "relu",
    "relu_": "relu",
    "flatten": "flatten",
    "view": "reshape",
    "reshape": "reshape",
}


@dataclass(frozen=True)
class Step:
    """A named step and the values it reads."""

    name: str
    inputs: tuple[str, ...]
    module: AbstractStep


@dataclass(frozen=True)
class Graph:
    """The steps in order, the scales they share, and the names of input and output."""

    input: str
    steps: tuple[Step, ...]
    scales: tuple[Scale, ...]
    output: str


@dataclass(frozen=True)
class _Known:
    """What is known of a value while the graph is built."""

    shape: tuple[int, ...]
    signed: bool
    source: str | None
    """The quantiser or input whose format it has; `None` for sums, which are wider than a multiplier."""


def build(net: nn.Module, shape: Sequence[int], input: Format, word: int) -> Graph:
    """The steps of a copy of `net` for one input of `shape` (without the batch) and format.

    Raises `ValueError` naming the layer that is not supported, and the way out.
    """
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d) and (layer._forward_pre_hooks or layer._forward_hooks):
            title = f"{type(layer).__name__} {name!r}"
            raise ValueError(f"F8Net would skip the hooks of {title}: use torch.nn.utils.parametrize, or prune.remove")
    traced = _trace(copy.deepcopy(net), shape)
    return _Builder(traced, input, word).graph()


def _trace(net: nn.Module, shape: Sequence[int]) -> fx.GraphModule:
    for name, parameter in net.state_dict().items():
        if not torch.isfinite(parameter).all():
            raise ValueError(f"F8Net needs finite weights, {name!r} has NaN or infinite ones")
    try:
        traced = fx.symbolic_trace(net)
    except (fx.proxy.TraceError, TypeError) as error:
        raise ValueError(f"F8Net needs a net whose forward does not depend on its data: {_line(error)}") from error
    traced.graph.eliminate_dead_code()
    like = next(net.parameters(), torch.zeros(()))
    try:
        _Shapes(traced.eval()).run(torch.zeros(1, *shape, dtype=like.dtype, device=like.device))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise ValueError(f"the net does not take an input of shape {tuple(shape)}: {_line(error)}") from error
    traced.train(net.training)
    return traced


def _line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line), type(error).__name__)


class _Shapes(fx.Interpreter):
    """Notes the shape of every tensor, without the batch, at its node."""

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            n.meta["shape"] = tuple(result.shape[1:])
        return result


class _Builder:
    def __init__(self, traced: fx.GraphModule, input: Format, word: int) -> None:
        self.traced, self.input, self.word = traced, input, word
        self.known: dict[str, _Known] = {}
        self.alias: dict[str, str] = {}  # torch's name of a value -> ours
        self.ties = Ties()
        self.makers: list[tuple[str, tuple[str, ...], Callable[[], AbstractStep]]] = []
        self.quantisers: dict[str, Quantiser] = {}
        self.order: list[str] = []  # of quantisers
        self.narrowed: dict[str, str] = {}  # a sum -> what quantises it
        self.scales: dict[str, Scale] = {}
        self.used: set[str] = set()

    def graph(self) -> Graph:
        given, output = "", ""
        for node in self.traced.graph.nodes:
            if node.op == "placeholder":
                if given:
                    raise ValueError(f"F8Net needs a net with one input, this has {given!r} and {node.name!r}")
                given = node.name
                self.note(node, _Known(_shape(node), self.input.signed, given))
                self.ties.tie(given, REAL)
            elif node.op == "output":
                if not isinstance(node.args[0], fx.Node):
                    raise ValueError("F8Net needs a net that returns one tensor")
                output = self.alias[node.args[0].name]
                if not self.ties.tie(output, REAL):
                    raise ValueError(f"the output {output!r} is an average of the input: end with a Linear or Conv")
            elif "shape" in node.meta:  # else a size, which a reshape may read
                self.convert(node)
        # Made now, in order: only now is it known which scales agree.
        steps = tuple(Step(name, inputs, make()) for name, inputs, make in self.makers)
        return Graph(given, steps, tuple(self.scales.values()), output)

    def note(self, node: fx.Node, known: _Known) -> None:
        self.alias[node.name] = node.name
        self.known[node.name] = known

    def step(self, name: str, inputs: tuple[str, ...], make: Callable[[], AbstractStep], known: _Known) -> None:
        self.makers.append((name, inputs, make))
        self.known[name] = known

    def convert(self, node: fx.Node) -> None:
        layer = self.layer(node)
        kind = _FUNCTIONS.get(node.target) or (_METHODS.get(str(node.target)) if node.op == "call_method" else None)
        inputs = [self.alias[given.name] for given in node.all_input_nodes if given.name in self.alias]
        if kind == "add" and not node.kwargs and all(isinstance(arg, fx.Node) for arg in node.args):
            self.add(node, *(self.alias[arg.name] for arg in node.args if isinstance(arg, fx.Node)))
        elif isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            self.weighted(node, layer, inputs[0])
        elif isinstance(layer, _NORMS):
            self.norm(node)
        elif isinstance(layer, nn.ReLU) or kind == "relu":
            self.relu(node, inputs[0])
        elif isinstance(layer, _MAX_POOLS + _AVERAGE_POOLS + _GLOBAL_POOLS):
            self.pool(node, layer, inputs[0])
        elif isinstance(layer, nn.Flatten) or kind in ("flatten", "reshape"):
            flat = _shape(node) == (math.prod(self.known[inputs[0]].shape),)
            self.refuse(node, not flat, f"the result {_shape(node)}", "flatten all axes behind the batch")
            self.passing(node, Flatten(), inputs[0])
        elif isinstance(layer, nn.Dropout | nn.Dropout1d | nn.Dropout2d):
            self.passing(node, Pass(layer), inputs[0])
        elif isinstance(layer, nn.Identity):
            self.alias[node.name] = inputs[0]
        else:
            raise ValueError(f"F8Net cannot convert {self.title(node)}: use {KNOWN}")

    def layer(self, node: fx.Node) -> nn.Module | None:
        if node.op != "call_module":
            return None
        target = str(node.target)
        layer = self.traced.get_submodule(target)
        if target in self.used and any(True for _ in layer.parameters()):
            raise ValueError(f"F8Net cannot convert {self.title(node)} twice: its uses need weights of their own")
        self.used.add(target)
        return layer

    def title(self, node: fx.Node) -> str:
        """How an error names a node: type and name in the net."""
        if node.op == "call_module":
            return f"{type(self.traced.get_submodule(str(node.target))).__name__} {str(node.target)!r}"
        return f"{getattr(node.target, '__name__', node.target)} {node.name!r}"

    def refuse(self, node: fx.Node, found: bool, what: str, way_out: str) -> None:
        if found:
            raise ValueError(f"F8Net cannot convert {self.title(node)} with {what}: {way_out}")

    def weighted(self, node: fx.Node, layer: nn.Linear | nn.Conv1d | nn.Conv2d, given: str) -> None:
        if isinstance(layer, nn.Linear):
            shape = self.known[given].shape
            self.refuse(node, len(shape) != 1, f"inputs of shape {shape}", "flatten first, or use a Conv1d of kernel 1")
        else:
            self.refuse(node, layer.padding_mode != "zeros", f"{layer.padding_mode} padding", "use zeros")
            self.refuse(node, isinstance(layer.padding, str), f"padding={layer.padding!r}", "give it in numbers")
            self.refuse(node, set(layer.dilation) != {1}, f"dilation {layer.dilation}", "use stride or larger kernels")
        norm = self.norm_behind(node)
        source = self.narrow(given)
        origin = self.known[source].source
        assert origin is not None

        def make() -> AbstractStep:
            format = self.quantisers.get(origin, self.input)
            scales = self.scale(source), self.scale(node.name)
            return Weighted(layer, norm, self.word, format, scales)

        self.alias[node.name] = node.name
        self.step(node.name, (source,), make, _Known(_shape(node), True, None))

    def norm_behind(self, node: fx.Node) -> nn.BatchNorm1d | nn.BatchNorm2d | None:
        users = list(node.users)
        if len(users) != 1 or users[0].op != "call_module":
            return None
        norm = self.traced.get_submodule(str(users[0].target))
        if not isinstance(norm, _NORMS):
            return None
        lacking = not norm.track_running_stats or norm.momentum is None
        self.refuse(users[0], lacking, "no running statistics or momentum", "give it both")
        return norm

    def norm(self, node: fx.Node) -> None:
        (before,) = node.all_input_nodes
        behind = before.op == "call_module" and len(before.users) == 1
        folded = behind and isinstance(self.traced.get_submodule(str(before.target)), nn.Linear | nn.Conv1d | nn.Conv2d)
        self.refuse(node, not folded, "no Linear or Conv of its own before it", "move it behind one, to be folded in")
        self.alias[node.name] = self.alias[before.name]

    def relu(self, node: fx.Node, given: str) -> None:
        known = self.known[given]
        if known.source and not known.signed:
            self.alias[node.name] = given
            return
        self.alias[node.name] = node.name
        self.quantise(node.name, given, signed=False)

    def narrow(self, given: str) -> str:
        """The value in a multiplier's width; quantised now if it is a sum, and once for all that read it."""
        if self.known[given].source:
            return given
        if given not in self.narrowed:
            name = f"{given}_fixed"
            while any(node.name == name for node in self.traced.graph.nodes):
                name += "_"
            self.quantise(name, given, signed=self.known[given].signed)
            self.narrowed[given] = name
        return self.narrowed[given]

    def quantise(self, name: str, given: str, *, signed: bool) -> None:
        self.ties.tie(name, given)

        def make() -> AbstractStep:
            leads = self.ties.root(name)[0] != REAL and self.leader(name) == name
            made = Quantiser(self.word, signed=signed, scale=self.scale(name), leads=leads)
            self.quantisers[name] = made
            return made

        self.step(name, (given,), make, _Known(self.known[given].shape, signed, name))
        self.order.append(name)

    def leader(self, name: str) -> str:
        """The last quantiser of a group: it sees the whole sum of a residual block."""
        group = self.ties.root(name)[0]
        return [other for other in self.order if self.ties.root(other)[0] == group][-1]

    def add(self, node: fx.Node, a: str, b: str) -> None:
        shapes = self.known[a].shape, self.known[b].shape
        self.refuse(node, shapes[0] != shapes[1], f"shapes {shapes[0]} and {shapes[1]}", "give both terms one shape")
        agree = self.ties.tie(a, b) and self.ties.tie(node.name, a)
        self.refuse(node, not agree, "terms whose scales differ", "put a convolution of kernel 1 before one of them")
        self.alias[node.name] = node.name
        signed = self.known[a].signed or self.known[b].signed
        self.step(node.name, (a, b), Add, _Known(shapes[0], signed, None))

    def pool(self, node: fx.Node, layer: nn.Module, given: str) -> None:
        average, known = not isinstance(layer, _MAX_POOLS), self.known[given]
        module = Pool(*self.window(node, layer, known.shape[1:]), average=average)
        self.ties.tie(node.name, given, module.ratio)
        self.alias[node.name] = node.name
        source = None if average else known.source
        self.step(node.name, (given,), lambda: module, _Known(_shape(node), known.signed, source))

    def window(self, node: fx.Node, layer: Any, plane: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Size and stride of a pool over a plane."""
        if isinstance(layer, _GLOBAL_POOLS):
            self.refuse(node, math.prod(_shape(node)[1:]) != 1, "several outputs", "use AvgPool")
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

    def passing(self, node: fx.Node, module: AbstractStep, given: str) -> None:
        self.ties.tie(node.name, given)
        self.alias[node.name] = node.name
        self.step(node.name, (given,), lambda: module, replace(self.known[given], shape=_shape(node)))

    def scale(self, name: str) -> tuple[Scale, float]:
        group, ratio = self.ties.root(name)
        if group not in self.scales:
            self.scales[group] = Scale(trained=group != REAL)
        return self.scales[group], float(ratio)


def _shape(node: fx.Node) -> tuple[int, ...]:
    shape: tuple[int, ...] = node.meta["shape"]
    return shape
