"""A torch module as a graph: what each operation computes, which values it reads, and the shape of its result."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.parametrize import type_before_parametrizations

from shared.importers.kinds import Kind, function_kind, layer_kind


@dataclass(frozen=True, eq=False)
class TracedNode:
    """One operation."""

    name: str
    """The name of its result, which other nodes read."""
    kind: Kind
    operation: str
    """The class of a layer, such as `Conv1d`, or the name of a function or method, such as `add`."""
    path: str
    """Where the layer is in the net, such as `body.0`; empty for functions and methods."""
    layer: nn.Module | None
    inputs: tuple[str, ...]
    """The tensors that it reads, in the order of its arguments."""
    shape: tuple[int, ...]
    """Of its result, without the batch; of a `parameter`, its whole shape; `()` for a call that returns several."""
    call: fx.Node
    """As torch.fx has it, with all arguments."""

    @property
    def title(self) -> str:
        """How an error names it: type, and name in the net."""
        return f"{self.operation} {(self.path or self.name)!r}"

    @property
    def plain_name(self) -> str:
        """Its operation, however it is called: `relu` for `ReLU` and `relu_` too."""
        return self.operation.lower().replace("_", "")

    def argument(self, place: int, name: str, default: Any) -> Any:
        """An attribute of its layer, or an argument of a function or method."""
        if self.layer is not None:
            return getattr(self.layer, name, default)
        return self.call.args[place] if len(self.call.args) > place else self.call.kwargs.get(name, default)

    @property
    def positions(self) -> int:
        """How often each weight of a linear layer or convolution is multiplied for one sample; 0 for other nodes.

        That is the size of the output plane; for a linear layer, the product of the axes before its features.
        """
        if isinstance(self.layer, nn.Linear):
            return math.prod(self.shape[:-1])
        if isinstance(self.layer, nn.Conv1d | nn.Conv2d):
            return math.prod(self.shape[1:])
        return 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a linear layer or convolution for one sample; 0 for other nodes."""
        weight = getattr(self.layer, "weight", None)
        return self.positions * weight.numel() if self.positions and isinstance(weight, Tensor) else 0


class TracedGraph:
    """The operations of a net, in the order in which they are computed.

    >>> net = nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(40, 3))
    >>> graph = TracedGraph.of(net, (2, 10))
    >>> for node in graph:
    ...     print(node.title, node.kind, node.inputs, node.shape, node.macs)
    input 'input_1' input () (2, 10) 0
    Conv1d '0' convolution ('input_1',) (4, 10) 240
    ReLU '1' activation ('_0',) (4, 10) 0
    Flatten '2' flatten ('_1',) (40,) 0
    Linear '3' linear ('_2',) (3,) 120
    """

    def __init__(self, module: fx.GraphModule, nodes: Sequence[TracedNode], outputs: Sequence[str]) -> None:
        self.module = module
        """The traced net; it shares layers and parameters with the net that was traced."""
        self.outputs = tuple(outputs)
        """The tensors that the net returns."""
        self._nodes = {node.name: node for node in nodes}
        self._readers: dict[str, list[TracedNode]] = {name: [] for name in self._nodes}
        for node in nodes:
            for name in dict.fromkeys(node.inputs):
                self._readers[name].append(node)

    @classmethod
    def of(cls, net: nn.Module, *examples: Tensor | Sequence[int]) -> Self:
        """The graph of `net` for one example of each input: a tensor `(B, *shape)`, or its shape without the batch.

        Shapes are those of evaluation; the net keeps its modes and its numbers. An operation that is none of the kinds
        is a node of the kind `other`, so that each user of the graph decides.

        Raises `ValueError` if the forward pass depends on the data, or does not take these examples.
        """
        try:
            traced = fx.symbolic_trace(net)
        except (fx.proxy.TraceError, TypeError) as error:
            line = _first_line(error)
            raise ValueError(f"tracing needs a net whose forward does not depend on its data: {line}") from error
        traced.graph.eliminate_dead_code()
        like = next(net.parameters(), torch.zeros(()))
        tensors = [
            example if isinstance(example, Tensor) else torch.zeros(1, *example, dtype=like.dtype, device=like.device)
            for example in examples
        ]
        modes = {module: module.training for module in traced.modules()}
        shapes = _Shapes(traced.eval())
        try:
            with torch.no_grad():
                shapes.run(*tensors)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            inputs = " and ".join(str(tuple(tensor.shape[1:])) for tensor in tensors)
            raise ValueError(f"the net does not take an input of shape {inputs}: {_first_line(error)}") from error
        finally:
            for module, training in modes.items():
                module.training = training
        nodes = [_node(call, traced, shapes.of) for call in shapes.of if call.op != "output"]
        return cls(traced, nodes, _reads(traced.graph.output_node(), shapes.of))

    def __iter__(self) -> Iterator[TracedNode]:
        return iter(self._nodes.values())

    def __len__(self) -> int:
        return len(self._nodes)

    def __getitem__(self, name: str) -> TracedNode:
        return self._nodes[name]

    def __contains__(self, name: object) -> bool:
        return name in self._nodes

    @property
    def inputs(self) -> tuple[TracedNode, ...]:
        """The inputs of the net, in the order of its arguments."""
        return tuple(node for node in self if node.kind == "input")

    def readers(self, name: str) -> tuple[TracedNode, ...]:
        """The nodes that read the result of the node `name`, each once, in order; `outputs` read it besides."""
        return tuple(self._readers[name])

    def sole_reader(self, name: str) -> TracedNode | None:
        """The node that alone reads the result of the node `name`; `None` if others or the caller do too."""
        readers = self._readers[name]
        return readers[0] if len(readers) == 1 and name not in self.outputs else None

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all linear layers and convolutions for one sample."""
        return sum(node.macs for node in self)


class _Shapes(fx.Interpreter):
    """Runs the net, and notes the shape of each call that returns tensors."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.of: dict[fx.Node, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self.of[n] = tuple(result.shape) if n.op == "get_attr" else tuple(result.shape[1:])
        elif isinstance(result, tuple | list) and any(isinstance(entry, Tensor) for entry in result):
            self.of[n] = ()
        return result


def _node(call: fx.Node, traced: fx.GraphModule, shapes: Mapping[fx.Node, tuple[int, ...]]) -> TracedNode:
    layer = traced.get_submodule(str(call.target)) if call.op == "call_module" else None
    if layer is None:
        operation = getattr(call.target, "__name__", str(call.target))
    else:
        operation = type_before_parametrizations(layer).__name__
    return TracedNode(
        name=call.name,
        kind=_kind(call, layer, shapes),
        operation=operation,
        path="" if layer is None else str(call.target),
        layer=layer,
        inputs=_reads(call, shapes),
        shape=shapes[call],
        call=call,
    )


def _reads(call: fx.Node, shapes: Mapping[fx.Node, tuple[int, ...]]) -> tuple[str, ...]:
    """The tensors among the arguments, without sizes and other numbers that a reshape may read."""
    arguments: list[fx.Node] = []
    fx.map_arg((call.args, call.kwargs), arguments.append)
    return tuple(argument.name for argument in arguments if argument in shapes)


def _kind(call: fx.Node, layer: nn.Module | None, shapes: Mapping[fx.Node, tuple[int, ...]]) -> Kind:
    if call.op == "placeholder":
        return "input"
    if call.op == "get_attr":
        return "parameter"
    kind = function_kind(call.target) if layer is None else layer_kind(layer)
    if kind == "add":
        plain = not call.kwargs and all(isinstance(term, fx.Node) and term in shapes for term in call.args)
        return "add" if plain else "other"  # a number added, or a multiple of a tensor
    if kind == "concatenate":
        axis = call.kwargs.get("dim", call.args[1] if len(call.args) > 1 else 0)
        return "concatenate" if axis in (1, -len(shapes[call])) else "other"
    if kind == "flatten":
        (source, *_) = call.all_input_nodes
        return "flatten" if shapes[call] == (math.prod(shapes[source]),) else "reshape"
    return kind


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line), type(error).__name__)
