"""Each node of a graph with everything that its hardware and its timing depend on."""

from collections.abc import Mapping
from dataclasses import dataclass

from fpga.folded.graph.lower import Graph, Node, lower
from fpga.folded.graph.taps import Taps, taps
from shared.integer import Add, Program, Value
from shared.integer.operations import AbstractWeighted


@dataclass(frozen=True)
class Fold:
    """How far a layer is unrolled: `lanes` sums side by side, each over `width` channels at a time.

    A depthwise convolution and a pool read as many channels at a time as they have lanes; their width is 1.
    """

    lanes: int = 1
    width: int = 1


@dataclass(frozen=True, eq=False)
class Engine:
    """A node, folded. `taps` is `None` for an addition and for elements that are only requantised."""

    node: Node
    inputs: tuple[Value, ...]
    values: tuple[Value, ...]
    """The result of the operation, then that of each step of the tail."""
    taps: Taps | None

    @property
    def word(self) -> int:
        """Bits of a weight."""
        operation = self.node.operation
        return operation.weight.format.word if isinstance(operation, AbstractWeighted) else 1


def engines(program: Program, folds: Mapping[str, Fold]) -> tuple[Graph, tuple[Engine, ...]]:
    """The engines of a program, those that gather folded as `folds` says; one lane where it says nothing.

    Raises `ValueError` unless the program has one input and one output.
    """
    graph = lower(program)
    return graph, tuple(_engine(program, graph, node, folds.get(node.name, Fold())) for node in graph.nodes)


def _engine(program: Program, graph: Graph, node: Node, fold: Fold) -> Engine:
    inputs = tuple(graph.streams[name] for name in node.inputs)
    raw = inputs[0] if node.operation is None else program.values[node.operation.output]
    values = (raw, *(program.values[step.output] for step in node.tail))
    gathers = node.order is not None or not (node.operation is None or isinstance(node.operation, Add))
    return Engine(node, inputs, values, taps(node, inputs[0], fold.lanes, fold.width) if gathers else None)
