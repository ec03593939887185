"""Attributes, constants and types of ONNX nodes, as both readers of ONNX need them."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx


def attributes(node: "onnx.NodeProto") -> dict[str, Any]:
    """The attributes of a node, by name. Needs onnx."""
    from onnx import helper

    return {field.name: helper.get_attribute_value(field) for field in node.attribute}


def constant_array(tensor: "onnx.TensorProto", title: str) -> NDArray[Any]:
    """The numbers of a tensor. Raises `ValueError` naming it by `title` if they cannot be read. Needs onnx."""
    from onnx import numpy_helper

    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"ONNX {title} cannot be read: {first_line(error)}") from error


def node_constant(node: "onnx.NodeProto") -> NDArray[Any]:
    """The numbers of a `Constant` node, however it stores them. Needs onnx."""
    fields = attributes(node)
    if "value" in fields:
        return constant_array(fields["value"], f"constant {node.output[0]!r}")
    kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    name = next((name for name in kinds if name in fields), "")
    if not name:
        raise ValueError(f"a constant with {', '.join(fields) or 'no value'} is not supported: store a tensor")
    return np.asarray(fields[name], kinds[name])


def type_name(data_type: int) -> str:
    """ONNX's name of a type of numbers, such as `INT8`. Needs onnx."""
    from onnx import TensorProto

    try:
        return str(TensorProto.DataType.Name(data_type))
    except ValueError:
        return f"type {data_type}"


def require_float(value: "onnx.ValueInfoProto") -> tuple[int, ...]:
    """The shape of a model's input without its batch. Raises `ValueError` unless it is fixed and of float32."""
    shape, is_float = require_numbers(value)
    if not is_float:
        kind = type_name(value.type.tensor_type.elem_type)
        raise ValueError(f"the ONNX input {value.name!r} is of type {kind}: FLOAT is needed")
    return shape


def require_numbers(value: "onnx.ValueInfoProto", fixed: tuple[int, ...] = ()) -> tuple[tuple[int, ...], bool]:
    """The shape of a model's input without its batch, and whether it is of float32; else of 32 or 64-bit integers.

    `fixed` are the sizes of axes that the model leaves open. Raises `ValueError` for a shape that is still open or not
    as the model says, and for other types.
    """
    stated = tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)[1:]
    shape = fixed or stated
    if len(shape) != len(stated) or any(mine != own > 0 for mine, own in zip(shape, stated, strict=False)):
        raise ValueError(f"the ONNX input {value.name!r} has the shape {stated} behind its batch, not {fixed}")
    if not shape or min(shape) < 1:
        way_out = "state one, shape=3x48x192 for example, where the model leaves it open"
        raise ValueError(f"the ONNX input {value.name!r} needs a fixed shape behind its batch, got {shape}: {way_out}")
    kind = type_name(value.type.tensor_type.elem_type)
    if kind not in ("FLOAT", "INT32", "INT64"):
        raise ValueError(f"the ONNX input {value.name!r} is of type {kind}: FLOAT is needed")
    return shape, kind == "FLOAT"


def symmetric_pads(fields: dict[str, Any], axes: int) -> tuple[int, ...]:
    """The padding of a convolution, one number per axis. Raises `ValueError` if the two sides of an axis differ."""
    pads = tuple(fields.get("pads", (0,) * 2 * axes))
    if pads[:axes] != pads[axes:] or len(pads) != 2 * axes or min(pads, default=0) < 0:
        raise ValueError(f"pads {pads} differ between the sides: pad alike")
    return pads[:axes]


def first_line(error: Exception) -> str:
    """The first line of an error that says something, else its type."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
