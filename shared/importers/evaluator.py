"""Torch itself computes what a traced graph only moves, and what in it depends on no input."""

from collections.abc import MutableMapping
from functools import reduce
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, fx

from shared.importers.graph import TracedGraph


class HasPlaces(Protocol):
    """A tensor of which is known where each number lies."""

    @property
    def index(self) -> Tensor:
        """The places, in the tensor's own shape."""


Value = TypeVar("Value", bound=HasPlaces)


class Evaluator(Generic[Value]):
    """Lets torch compute what depends on no input, and move the places of what does."""

    def __init__(self, graph: TracedGraph, values: MutableMapping[str, Value | tuple[Value, ...]]) -> None:
        self.graph, self.values = graph, values
        """By the names of nodes; filled by who walks the graph."""
        self.constants: dict[str, Any] = {}
        """What depends on no input: parameters, masks, and numbers such as sizes."""

    def run(self, call: fx.Node, arguments: Any = None) -> Any:
        """What a call returns of constants and places; `arguments` are those of the call unless others are stated."""
        args, kwargs = arguments or fx.node.map_arg((call.args, call.kwargs), self.operand)
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
            return tuple(each.index.double() for each in value) if isinstance(value, tuple) else value.index.double()
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
