"""An integer program as a graph of engines: which operations become hardware, and in which order elements stream."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fpga.design.stream import ends
from shared.integer import Clip, Flatten, Operation, PixelShuffle, Program, Requantise, Value
from shared.integer.catalogue import require_layers
from shared.integer.geometry import from_channels_last


@dataclass(frozen=True)
class Node:
    """One engine: reads streams, computes `operation`, then the steps of its `tail` on each element it emits."""

    name: str
    operation: Operation | None
    """`None` only passes elements on: in another order if `order` is set."""
    inputs: tuple[str, ...]
    """The streams it reads, by the names of their values."""
    output: str
    """The stream it writes: the value behind the last step of the tail."""
    tail: tuple[Requantise | Clip, ...] = ()
    order: NDArray[np.int64] | None = None
    """Of a `Linear` or of a reordering: where in its input's stream each element of the value is."""


@dataclass(frozen=True)
class Graph:
    """Engines, each behind those it reads from, and the values of all streams by name."""

    nodes: tuple[Node, ...]
    streams: dict[str, Value]
    source: str
    sink: str

    def readers(self, stream: str) -> list[tuple[Node, int]]:
        """The nodes that read a stream, and as which of their inputs."""
        return [(node, i) for node in self.nodes for i, name in enumerate(node.inputs) if name == stream]


def lower(program: Program) -> Graph:
    """The engines of a program.

    A `Requantise` or `Clip` joins the engine in front of it if it is the only reader. A `Flatten` needs no hardware:
    the elements keep streaming channels fastest, and the columns of the `Linear` behind it are permuted instead. Only
    where the flattened order itself matters, at the output or in an addition, elements are reordered. Operations that
    the output does not depend on are left out.

    Raises `ValueError` unless the program has one input and one output.
    """
    ends(program)
    require_layers(program, "the layers of folded hardware")
    return _Lowering(program).graph()


class _Lowering:
    def __init__(self, program: Program) -> None:
        self.program = program
        (input,) = program.inputs
        self.stream = {input.name: input.name}  # value -> the stream that carries it
        self.layout = {input.name: input.shape}  # value -> the shape it streams in
        self.nodes: dict[str, Node] = {}  # by output
        self.value = {input.name: input.name}  # stream -> a value it carries

    def graph(self) -> Graph:
        reads = Counter(name for op in self.program.live for name in op.inputs) + Counter(self.program.outputs)
        for operation in self.program.live:
            x, y = operation.inputs[0], operation.output
            if isinstance(operation, PixelShuffle):
                raise ValueError(f"PixelShuffle {y!r} has no folded engine: build it unrolled, or leave it to the host")
            if isinstance(operation, Flatten):
                self.stream[y], self.layout[y] = self.stream[x], self.layout[x]
                reads[self.stream[x]] += reads[y] - 1
            elif (
                isinstance(operation, Requantise | Clip) and self.stream[x] in self.nodes and reads[self.stream[x]] == 1
            ):
                node = self.nodes.pop(self.stream[x])
                self._add(Node(node.name, node.operation, node.inputs, y, (*node.tail, operation), node.order), x)
            elif isinstance(operation, Requantise | Clip):
                self._add(Node(y, None, (self.stream[x],), y, (operation,)), x)
            else:
                self._compute(operation)
        (input,), (output,) = self.program.inputs, self.program.outputs
        sink = self._ordered(output)
        streams = {name: self.program.values[self.value[name]] for name in (input.name, *self.nodes)}
        return Graph(tuple(self.nodes.values()), streams, input.name, sink)

    def _compute(self, operation: Operation) -> None:
        values, y = self.program.values, operation.output
        if len(values[y].shape) == 1 and operation.takes == 2:
            inputs = tuple(self._ordered(name) for name in operation.inputs)
        else:
            inputs = tuple(self.stream[name] for name in operation.inputs)
        linear = len(values[y].shape) == 1 and operation.takes == 1
        order = from_channels_last(self.layout[operation.inputs[0]]) if linear else None
        self._add(Node(y, operation, inputs, y, (), order), y)
        self.layout[y] = values[y].shape

    def _add(self, node: Node, like: str) -> None:
        self.nodes[node.output] = node
        self.stream[node.output] = self.value[node.output] = node.output
        self.layout[node.output] = self.layout.get(like, ())

    def _ordered(self, name: str) -> str:
        """The stream of a value in the order of its own shape."""
        order = from_channels_last(self.layout[name])
        if len(self.program.values[name].shape) > 1 or (order == np.arange(order.size)).all():
            return self.stream[name]
        ordered = f"{self.stream[name]}_ordered"
        if ordered not in self.nodes:
            self.nodes[ordered] = Node(ordered, None, (self.stream[name],), ordered, (), order)
            self.value[ordered] = name
        return ordered
