"""The end of an ONNX model: a Softmax there changes no decision, and integers have none."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.integer.onnx_nodes import attributes

if TYPE_CHECKING:
    import onnx

MONOTONE = ("Softmax", "LogSoftmax")
"""Operators that keep the order of the numbers of a sample."""


@dataclass(frozen=True, eq=False)
class Head:
    """The nodes of a model without a Softmax at its end, the tensors that remain as outputs, and what was left out."""

    nodes: "tuple[onnx.NodeProto, ...]"
    outputs: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: "onnx.ModelProto", of_integers: bool = True) -> "Head":
        """The head of a model; of floats, a Softmax over another axis than that of the classes stays.

        Of integers, raises `ValueError` for such a Softmax.
        """
        graph = model.graph
        nodes, outputs = tuple(graph.node), tuple(value.name for value in graph.output)
        last = next((node for node in nodes if [*node.output] == [*outputs] and node.op_type in MONOTONE), None)
        if last is None:
            return cls(nodes, outputs)
        axes = len(graph.output[0].type.tensor_type.shape.dim) or 2
        axis = int(attributes(last).get("axis", -1 if opset(model) >= 13 else 1))
        if axis % axes != 1 and not of_integers:
            return cls(nodes, outputs)
        if axis % axes != 1:
            raise ValueError(
                f"ONNX {last.op_type} {last.name or last.output[0]!r}: axis={axis} is not that of the classes"
            )
        kept = tuple(node for node in nodes if node is not last)
        note = f"{last.op_type} at the end is left out: the outputs are its inputs, and the largest one is the same"
        return cls(kept, (last.input[0],), (note,))


def opset(model: "onnx.ModelProto") -> int:
    """The version of ONNX's own operators that a model is written for."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
