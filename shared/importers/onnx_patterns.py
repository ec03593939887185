"""What exporters spell as many nodes for want of an operator, as one: GELU before opset 20, layer norms before 17."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

CLOSE: Final = 1e-3
"""Half-precision exports round the square root of two."""


def joined(
    nodes: "Sequence[onnx.NodeProto]", arrays: Mapping[str, NDArray[Any]], outputs: Sequence[str]
) -> "list[onnx.NodeProto]":
    """The nodes with one in place of the last of each pattern, and without those that nothing reads then. Needs onnx.

    `arrays` are the constants, by name.
    """
    patterns = _Patterns(nodes, arrays)
    kept: list[onnx.NodeProto] = []
    read = set(outputs)
    for node in reversed([patterns.gelu(node) or patterns.layer_norm(node) or node for node in nodes]):
        if read & set(node.output):
            kept.append(node)
            read |= set(node.input)
    return kept[::-1]


class _Patterns:
    """Each pattern is matched backwards, from its last node."""

    def __init__(self, nodes: "Sequence[onnx.NodeProto]", arrays: Mapping[str, NDArray[Any]]) -> None:
        self.arrays = arrays
        self.writers = {name: node for node in nodes for name in node.output}
        self.halves = {node.output[0]: x for node in nodes if (x := self.half(node))}

    def gelu(self, node: "onnx.NodeProto") -> "onnx.NodeProto | None":
        """`x * (1 + erf(x / sqrt(2))) * 0.5`, its factors in any order."""
        from onnx import helper

        if node.op_type != "Mul":
            return None
        factors = self.factors(node)
        for half, x in self.halves.items():
            rest = [name for name in factors if name not in (half, x)]
            if len(factors) == 3 and {half, x} <= set(factors) and rest and self.number(rest[0]) == 0.5:
                return helper.make_node("Gelu", [x], node.output, name=node.name)
        return None

    def half(self, node: "onnx.NodeProto") -> str | None:
        """The x of `1 + erf(x / sqrt(2))`."""
        (erf, one) = self.operands(node, "Add", lambda name: self.number(name) == 1)
        scaled = self.reads(erf, "Erf")
        by = self.writers.get(scaled[0]) if scaled else None
        if not one or by is None or by.op_type not in ("Mul", "Div"):
            return None
        x, root = self.operands(by, by.op_type, lambda name: self.number(name) is not None)
        factor = self.number(root) or 1.0
        is_root = abs((factor if by.op_type == "Div" else 1 / factor) - math.sqrt(2)) < CLOSE
        return x if is_root else None

    def layer_norm(self, node: "onnx.NodeProto") -> "onnx.NodeProto | None":
        """`(x - mean) / sqrt(variance + epsilon)` over the last axis, times weights, plus a bias."""
        from onnx import helper

        scaled, bias = self.operands(node, "Add", lambda name: name in self.arrays)
        by = self.writers.get(scaled)
        normal, weights = self.operands(by, "Mul", lambda name: name in self.arrays) if by else ("", "")
        off, deviation = self.reads(normal, "Div") or ("", "")
        total = self.reads(deviation, "Sqrt") or ("",)
        by = self.writers.get(total[0])
        variance, epsilon = self.operands(by, "Add", lambda name: self.number(name) is not None) if by else ("", "")
        squares = self.mean_of(variance)
        x, mean = self.reads(off, "Sub") or ("", "")
        if not (weights and bias and x and self.mean_of(mean) == x and self.is_square(squares, off)):
            return None
        if self.arrays[weights].ndim != 1 or self.arrays[weights].shape != self.arrays[bias].shape:
            return None
        inputs = [x, weights, bias]
        return helper.make_node(
            "LayerNormalization", inputs, node.output, name=node.name, epsilon=self.number(epsilon) or 0.0
        )

    def is_square(self, name: str, of: str) -> bool:
        """Of a tensor, or of another that is computed alike."""
        factors = self.reads(name, "Mul") or self.reads(name, "Pow") or ("", "")
        base, other = factors
        square = other == base or (other in self.arrays and self.number(other) == 2)
        return bool(base) and square and (base == of or self.reads(base, "Sub") == self.reads(of, "Sub"))

    def mean_of(self, name: str) -> str:
        """What a mean over the last axis is of; nothing for others."""
        from onnx import helper

        node = self.writers.get(name)
        if node is None or node.op_type != "ReduceMean":
            return ""
        fields = {field.name: helper.get_attribute_value(field) for field in node.attribute}
        axes = fields.get("axes", self.arrays[node.input[1]].tolist() if node.input[1:2] else [])
        return node.input[0] if [*axes] == [-1] and fields.get("keepdims", 1) else ""

    def factors(self, node: "onnx.NodeProto") -> list[str]:
        """The tensors that products of products are of, down to those that a GELU may be of."""
        ends = {*self.halves, *self.halves.values()}
        names: list[str] = []
        for name in node.input:
            by = self.writers.get(name)
            names += self.factors(by) if by is not None and by.op_type == "Mul" and name not in ends else [name]
        return names

    def operands(self, node: "onnx.NodeProto", kind: str, is_second: Callable[[str], bool]) -> tuple[str, str]:
        """The two tensors of a node of a kind in either order, the one that `is_second` last; nothing for others."""
        if node.op_type != kind or len(node.input) != 2:
            return "", ""
        a, b = node.input
        if is_second(b):
            return a, b
        return (b, a) if is_second(a) and kind != "Div" else ("", "")

    def reads(self, name: str, kind: str) -> tuple[str, ...]:
        """What the node of a kind reads that writes a tensor; nothing if another does."""
        node = self.writers.get(name)
        return tuple(node.input) if node is not None and node.op_type == kind else ()

    def number(self, name: str) -> float | None:
        """The number of a constant that has one."""
        array = self.arrays.get(name)
        return float(array.item()) if array is not None and array.size == 1 else None
