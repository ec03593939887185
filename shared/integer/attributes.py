"""Attributes of layers and nodes that readers of other formats check."""

from collections.abc import Mapping
from typing import Any


def require(attributes: Mapping[str, Any], **values: Any) -> None:
    """Raises `ValueError` for an attribute with another value than here; in lists and tuples, every entry counts.

    >>> require({"dilations": [1, 1], "group": 2}, dilations=1, auto_pad="NOTSET")
    """
    for name, value in values.items():
        actual = attributes.get(name, value)
        if any(entry != value for entry in (actual if isinstance(actual, list | tuple) else [actual])):
            raise ValueError(f"{name}={actual} is not supported: it must be {value}")


def allow(attributes: Mapping[str, Any], *names: str) -> None:
    """Raises `ValueError` for an attribute that is none of `names`: what is not read must not be ignored.

    >>> allow({"axis": 1}, "axis", "saturate")
    """
    for name, value in attributes.items():
        if name not in names:
            raise ValueError(f"{name}={value} is not supported: leave it out")


def pool_window(attributes: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Size and stride of a pooling window of ONNX without padding or dilation; raises `ValueError` for any other.

    >>> pool_window({"kernel_shape": [2, 2]})
    ((2, 2), (1, 1))
    """
    whole = {"ceil_mode": 0, "storage_order": 0, "pads": 0, "dilations": 1, "auto_pad": b"NOTSET"}
    allow(attributes, "count_include_pad", "kernel_shape", "strides", *whole)
    require(attributes, **whole)
    size = tuple(attributes["kernel_shape"])
    return size, tuple(attributes.get("strides", (1,) * len(size)))
