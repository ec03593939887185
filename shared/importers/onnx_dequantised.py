"""An ONNX model in the QDQ form as the float model that it was made of: any scales, zero points and axes."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shared.integer.onnx_nodes import attributes, constant_array, node_constant

if TYPE_CHECKING:
    import onnx

NOTE: Final = (
    "the file's own 8-bit formats are left out: its weights are the numbers that they stand for, its activations are "
    "not rounded, and they are limited only where its quantisers act as ReLU or ReLU6"
)
_SUMS: Final = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sub", "Mul", "BatchNormalization")
"""Behind which a quantiser may have taken the place of a ReLU."""


def is_quantised(model: "onnx.ModelProto") -> bool:
    """Whether a model is in the QDQ form."""
    return any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in model.graph.node)


def dequantised(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """The float model: constants behind `DequantizeLinear` are what they stand for, other quantisers are left out.

    A tool that quantises a model drops each ReLU whose quantiser saturates at zero: it is put back, with the upper end.
    Raises `ValueError` naming the node whose scale is no constant, or whose numbers do not fit. Needs onnx.
    """
    from onnx import ModelProto, helper, numpy_helper

    float_model = ModelProto()
    float_model.CopyFrom(model)
    graph = float_model.graph
    arrays = {tensor.name: constant_array(tensor, f"constant {tensor.name!r}") for tensor in graph.initializer}
    arrays |= {node.output[0]: node_constant(node) for node in graph.node if node.op_type == "Constant"}
    sources = {output: node.op_type for node in graph.node for output in node.output}
    nodes = []
    for node in graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            nodes.append(node)
            continue
        try:
            scale, zero = (arrays.get(name) for name in (*node.input, "")[1:3])
            if scale is None or scale.dtype != np.float32:
                raise ValueError("its scale must be a constant of float32")
            if node.op_type == "DequantizeLinear" and node.input[0] in arrays:
                numbers = _numbers(arrays[node.input[0]], scale, zero, attributes(node))
                graph.initializer.append(numpy_helper.from_array(numbers, node.output[0]))
                continue
            limits = None
            if node.op_type == "QuantizeLinear" and sources.get(node.input[0]) in _SUMS:
                limits = _limits(scale, zero)
        except (ValueError, IndexError) as error:
            raise ValueError(f"ONNX {node.op_type} {node.name or node.output[0]!r}: {error}") from error
        ends = [f"{node.output[0]}.{side}" for side in ("low", "high")] if limits else []
        for name, end in zip(ends, limits or (), strict=True):
            graph.initializer.append(numpy_helper.from_array(np.array(end, np.float32), name))
        kind = "Clip" if limits else "Identity"
        nodes.append(helper.make_node(kind, [node.input[0], *ends], [node.output[0]], name=node.name))
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    return float_model


def _numbers(integers: Any, scale: Any, zero: Any, fields: dict[str, Any]) -> Any:
    """What integers stand for, with a scale for all or for each place of an axis."""
    if fields.get("block_size", 0):
        raise ValueError("blocks of scales are not read: give each channel one")
    if scale.size > 1:
        axis = fields.get("axis", 1)
        shape = [-1 if k == axis % integers.ndim else 1 for k in range(integers.ndim)]
        scale, zero = scale.reshape(shape), None if zero is None else zero.reshape(shape)
    difference = integers.astype(np.int64) - (0 if zero is None else zero.astype(np.int64))
    return np.asarray(difference * scale, np.float32)


def _limits(scale: Any, zero: Any) -> tuple[float, float] | None:
    """The ends of a quantiser whose lowest number is zero; None for those of both signs."""
    kind = np.iinfo(np.uint8 if zero is None else zero.dtype)
    point = 0 if zero is None else int(zero.reshape(-1)[0])
    return (0.0, float((kind.max - point) * scale.reshape(-1)[0])) if point == kind.min else None
