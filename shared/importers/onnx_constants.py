"""What a node computes of constants alone, such as the shapes that exporters leave behind."""

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.integer.onnx_nodes import first_line
from shared.integer.program import MOST

if TYPE_CHECKING:
    import onnx

MOVES: Final = (
    "Cast Concat ConstantOfShape Expand Gather Identity Range Reshape Shape Slice Split Squeeze Transpose Trilu"
)
JOINTS: Final = "Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Min Mod Mul Or Pow Sub Where"
NUMBERS: Final = "Abs Ceil Cos Exp Floor Log Neg Not Reciprocal ReduceProd Sin Sqrt Transpose Unsqueeze"
FOLDED: Final = frozenset(f"{MOVES} {JOINTS} {NUMBERS}".split())


def computed(node: "onnx.NodeProto", opset: int, arrays: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """The outputs of a node of a version of ONNX for the arrays that it reads, by its own reference. Needs onnx.

    Raises `ValueError` for an operator that is not folded, more than `MOST` numbers, or arrays that it does not take.
    """
    from onnx import ValueInfoProto, helper
    from onnx.reference import ReferenceEvaluator

    way_out = "fold them, as onnxsim does"
    if node.op_type not in FOLDED:
        raise ValueError(f"this operator on constants is not supported: {way_out}")
    if (count := _count(node.op_type, arrays)) > MOST:
        raise ValueError(f"it makes {count:,.0f} constants, {MOST:,} at most can be read")
    names = [name for name in node.input if name]
    inputs, outputs = ([ValueInfoProto(name=name) for name in each] for each in (names, node.output))
    graph = helper.make_graph([node], "constants", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    try:
        with np.errstate(all="ignore"):
            results = ReferenceEvaluator(model).run(None, dict(zip(names, arrays, strict=True)))
    except Exception as error:  # it raises types of its own
        raise ValueError(f"its constants cannot be computed ({first_line(error)}): {way_out}") from error
    return [np.asarray(each) for each in results]


def _count(kind: str, arrays: list[NDArray[Any]]) -> float:
    """How many numbers a node makes of few."""
    if kind == "ConstantOfShape":
        return float(math.prod(arrays[0].tolist()))
    if kind == "Expand":
        return float(math.prod(max(size, 1) for size in arrays[1].tolist()) * arrays[0].size)
    if kind == "Range":
        begin, end, step = (float(each.item()) for each in arrays)
        return (end - begin) / step if step else math.inf
    return math.prod(np.broadcast_shapes(*(each.shape for each in arrays))) if kind in JOINTS.split() else 0
