"""Attributes and constants of ONNX nodes, as both readers of ONNX need them."""

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


def symmetric_pads(fields: dict[str, Any], axes: int) -> tuple[int, ...]:
    """The padding of a convolution, one number per axis. Raises `ValueError` if the two sides of an axis differ."""
    pads = tuple(fields.get("pads", (0,) * 2 * axes))
    if pads[:axes] != pads[axes:] or len(pads) != 2 * axes or min(pads, default=0) < 0:
        raise ValueError(f"pads {pads} differ between the sides: pad alike")
    return pads[:axes]


def first_line(error: Exception) -> str:
    """The first line of an error that says something, else its type."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
