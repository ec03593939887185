"""Where the numbers of a traced tensor lie in the values of the fixed-point net, and what depends on no input."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor, fx

from shared.importers.graph import TracedGraph


@dataclass(frozen=True, eq=False)
class Placed:
    """A tensor of one sample: the step whose value holds it, and the place of each number there.

    What only moves numbers, such as a transposition, changes `index` and costs nothing.
    """

    step: str
    index: Tensor
    """`(1, *shape)`, places in the flat value of the step."""

    @classmethod
    def plain(cls, step: str, shape: tuple[int, ...]) -> "Placed":
        """The whole value of a step, in order."""
        return cls(step, _count(shape)[None])

    @classmethod
    def lines(cls, step: str, channels: int, lead: tuple[int, ...]) -> "Placed":
        """The whole value of a step whose channels are the last axis of the tensor."""
        return cls(step, _count((channels, *lead)).movedim(0, -1)[None])

    @property
    def shape(self) -> tuple[int, ...]:
        """Without the batch."""
        return tuple(self.index.shape[1:])


def _count(shape: tuple[int, ...]) -> Tensor:
    count = 1
    for size in shape:
        count *= size
    return torch.arange(count).reshape(shape)


def in_order(index: Tensor) -> bool:
    """Whether places count from 0."""
    return bool((index.flatten() == torch.arange(index.numel())).all())


class Evaluator:
    """Lets torch compute what depends on no input, and move the places of what does."""

    def __init__(self, graph: TracedGraph, values: Mapping[str, Placed | tuple[Placed, ...]]) -> None:
        self.graph, self.values = graph, values
        self.constants: dict[str, Any] = {}

    def run(self, call: fx.Node) -> Any:
        """What a call returns of constants and places."""
        args, kwargs = fx.node.map_arg((call.args, call.kwargs), self.operand)
        if call.op == "call_module":
            return self.graph.module.get_submodule(str(call.target))(*args, **kwargs)
        if call.op == "call_method":
            return getattr(args[0], str(call.target))(*args[1:], **kwargs)
        assert callable(call.target)
        return call.target(*args, **kwargs)

    def operand(self, node: fx.Node) -> Any:
        """An argument: a constant, or the places of a value as float64, which torch moves as it would the value."""
        if node.name in self.values:
            value = self.values[node.name]
            return value.index.double() if isinstance(value, Placed) else tuple(each.index.double() for each in value)
        if node.name not in self.constants:
            if node.op == "get_attr":
                self.constants[node.name] = reduce(getattr, str(node.target).split("."), self.graph.module)
            else:
                with torch.no_grad():
                    self.constants[node.name] = self.run(node)
        return self.constants[node.name]

    def constant(self, argument: Any) -> Any:
        """An argument that depends on no input, with its numbers; `None` for others."""
        nodes: list[fx.Node] = []
        fx.node.map_arg(argument, nodes.append)
        return None if any(node.name in self.values for node in nodes) else fx.node.map_arg(argument, self.operand)
