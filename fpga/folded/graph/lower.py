"""An integer program as a graph of engines: what becomes hardware, and in which order its elements stream."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fpga.design.stream import ends
from shared.integer import Flatten, Operation, Program, Requantise, Value


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
    tail: tuple[Requantise, ...] = ()
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
        """Who reads a stream, and as which of its inputs."""
        return [(node, i) for node in self.nodes for i, name in enumerate(node.inputs) if name == stream]


def lower(program: Program) -> Graph:
    """The engines of a program.

    A `Requantise` joins the engine in front of it if nobody else reads what it reads. A `Flatten` is no hardware: the
    elements keep streaming channels fastest, and the columns of the `Linear` behind it are permuted instead. Only where
    the flattened order itself is seen, at the output or by an addition, elements are put in order. What the output does
    not depend on is left out.

    Raises `ValueError` unless the program has one input and one output.
    """
    ends(program)
    return _Lowering(program).graph()


class _Lowering:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.stream = {given.name: given.name for given in program.inputs}  # value -> the stream that carries it
        self.layout = {given.name: given.shape for given in program.inputs}  # value -> the shape it streams in
        self.live = _live(program)
        self.made: dict[str, Node] = {}  # by output
        self.value = {given.name: given.name for given in program.inputs}  # stream -> a value it carries

    def graph(self) -> Graph:
        reads = Counter(name for op in self.live for name in op.inputs) + Counter(self.program.outputs)
        for operation in self.live:
            x, y = operation.inputs[0], operation.output
            if isinstance(operation, Flatten):
                self.stream[y], self.layout[y] = self.stream[x], self.layout[x]
                reads[self.stream[x]] += reads[y] - 1
            elif isinstance(operation, Requantise) and self.stream[x] in self.made and reads[self.stream[x]] == 1:
                node = self.made.pop(self.stream[x])
                self._add(Node(node.name, node.operation, node.inputs, y, (*node.tail, operation), node.order), x)
            elif isinstance(operation, Requantise):
                self._add(Node(y, None, (self.stream[x],), y, (operation,)), x)
            else:
                self._compute(operation)
        (given,), (output,) = self.program.inputs, self.program.outputs
        sink = self._ordered(output)
        streams = {name: self.program.values[self.value[name]] for name in (given.name, *self.made)}
        return Graph(tuple(self.made.values()), streams, given.name, sink)

    def _compute(self, operation: Operation) -> None:
        values, y = self.program.values, operation.output
        if len(values[y].shape) == 1 and operation.takes == 2:
            inputs = tuple(self._ordered(name) for name in operation.inputs)
        else:
            inputs = tuple(self.stream[name] for name in operation.inputs)
        order = _order(self.layout[operation.inputs[0]]) if len(values[y].shape) == 1 and operation.takes == 1 else None
        self._add(Node(y, operation, inputs, y, (), order), y)
        self.layout[y] = values[y].shape

    def _add(self, node: Node, like: str) -> None:
        self.made[node.output] = node
        self.stream[node.output] = self.value[node.output] = node.output
        self.layout[node.output] = self.layout.get(like, ())

    def _ordered(self, name: str) -> str:
        """The stream of a value in the order of its own shape."""
        order = _order(self.layout[name])
        if len(self.program.values[name].shape) > 1 or (order == np.arange(order.size)).all():
            return self.stream[name]
        ordered = f"{self.stream[name]}_ordered"
        if ordered not in self.made:
            self.made[ordered] = Node(ordered, None, (self.stream[name],), ordered, (), order)
            self.value[ordered] = name
        return ordered


def _live(program: Program) -> list[Operation]:
    wanted, live = set(program.outputs), []
    for operation in reversed(program.operations):
        if operation.output in wanted:
            wanted.update(operation.inputs)
            live.append(operation)
    return live[::-1]


def _order(layout: tuple[int, ...]) -> NDArray[np.int64]:
    """Where element `n` of a flattened value is in a stream of `layout` with channels fastest.

    >>> _order((2, 3)).tolist()
    [0, 2, 4, 1, 3, 5]
    """
    places = np.arange(np.prod(layout, dtype=int)).reshape(*layout[1:], layout[0])
    return np.moveaxis(places, -1, 0).ravel()
