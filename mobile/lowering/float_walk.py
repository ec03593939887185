"""The walk over a traced float net: values, constants, and the calls so far. Operators use it; see `lower_floats`."""

from typing import Any, Final, NoReturn

import torch
from torch import Tensor

from mobile.lowering.calls import Call
from mobile.lowering.floats import ArrangeFloats, Bounds, Floats
from mobile.lowering.placed import Placed, places, separate
from shared.importers.evaluator import Evaluator
from shared.importers.graph import TracedGraph, TracedNode

WAY_OUT: Final = "leave it to the host, or replace it by layers that have one"


class Walk(Evaluator[Placed]):
    """The values so far, and where their numbers lie; an operator appends its calls and states its result."""

    def __init__(self, graph: TracedGraph) -> None:
        super().__init__(graph, {})
        self.calls: list[Call] = []

    def refuse(self, node: TracedNode, way_out: str = WAY_OUT) -> NoReturn:
        """Raises `ValueError` with the operation and the way out."""
        raise ValueError(f"{node.title} has no kernel of floats: {way_out}")

    # Values

    def placed(self, name: str) -> Placed:
        """The tensor of a node."""
        if name in self.constants:
            return Placed.constant(name, torch.as_tensor(self.constants[name]))
        value = self.values[name]
        assert isinstance(value, Placed)
        return value

    def image(self, node: TracedNode, operand: int = 0) -> Floats:
        """What a node reads, channels first: as it lies, or arranged so."""
        source = self.placed(node.inputs[operand])
        if len(source.index) != 1 or not 1 <= len(source.shape) <= 3:
            self.refuse(node, f"it reads the shape {source.shape}; give vectors, lines or images, channels first")
        to = Placed.image(f"{node.name} arranged {operand}", source.shape)
        return source.as_image() or self.arrange(source.memory, source.index, to)

    def lines(self, node: TracedNode, source: Placed, operand: int = 0) -> Floats:
        """A tensor with its last axis as channels: as it lies, or arranged so."""
        to = Placed.lines(f"{node.name} arranged {operand}", source.shape)
        return source.as_lines() or self.arrange(source.memory, source.index, to)

    def arrange(self, source: Floats, index: Tensor, to: Placed) -> Floats:
        """A call that moves the numbers at `index` to those of `to`, which they fill."""
        memory = to.memory
        table = torch.empty(memory.pixels * memory.pitch, dtype=torch.int64)
        table[to.index.flatten()] = index.flatten()
        self.move(source, table[places(memory)].reshape(memory.rows, memory.columns, memory.channels), memory)
        return memory

    def move(self, source: Floats, table: Tensor, to: Floats, at: int = 0) -> None:
        """A call that fills a box of `to` from the places of a table `(rows, columns, channels)`.

        Places that are no sum of those of rows, columns and channels are stated one by one.
        """
        axes = separate(table)
        if axes is None and table.shape != (to.rows, to.columns, to.channels):
            part = Floats(f"{to.name} part {at}", table.shape[2], table.shape[0], table.shape[1])
            self.move(source, table, part)
            self.move(part, places(part).reshape(table.shape), to, at)
            return
        if axes is None:
            each = torch.zeros(to.pixels * to.pitch, dtype=torch.int64)
            each[places(to)] = table.flatten(0, 1)
            axes = separate(each[None, None])
            assert axes is not None
        self.calls.append(ArrangeFloats((source,), to, *axes, at))

    def sole_reader(self, node: TracedNode) -> TracedNode | None:
        """The node that alone reads a result, if it reads nothing else."""
        reader = self.graph.sole_reader(node.name)
        return reader if reader is not None and len(reader.inputs) == 1 else None

    # Results

    def end(self, node: TracedNode, result: Placed) -> Floats:
        """States the value of a node."""
        self.values[node.name] = result
        return result.memory

    def limits(self, node: TracedNode) -> Bounds:
        """What the activation that alone reads a node clamps it to."""
        reader = self.sole_reader(node)
        return (bounds(reader) if reader is not None else None) or Bounds()

    def clamped(self, node: TracedNode, result: Placed) -> tuple[Floats, Bounds]:
        """States the value of a node, clamped at once by the activation that alone reads it."""
        reader = self.sole_reader(node)
        if reader is not None and bounds(reader) is not None:
            self.values[reader.name] = result
        return self.end(node, result), self.limits(node)

    def option(self, node: TracedNode, place: int, name: str, default: Any) -> Any:
        """As `argument`, with its numbers; `None` for a tensor that depends on an input."""
        return self.constant(node.argument(place, name, default))


def bounds(node: TracedNode) -> Bounds | None:
    """What a node clamps to, if that is all it does."""
    name = node.plain_name
    if name == "relu":
        return Bounds(0.0)
    if name == "relu6":
        return Bounds(0.0, 6.0)
    if name == "hardtanh":
        return Bounds(float(node.argument(1, "min_val", -1.0)), float(node.argument(2, "max_val", 1.0)))
    if name in ("clamp", "clip"):
        low, high = node.argument(1, "min", None), node.argument(2, "max", None)
        if all(isinstance(each, int | float | None) for each in (low, high)):
            return Bounds(-float("inf") if low is None else float(low), float("inf") if high is None else float(high))
    return None
