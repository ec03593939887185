"""The integer types of QuantizeLinear and DequantizeLinear as formats: read exactly, or refused by name."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.integer.attributes import allow, require
from shared.integer.format import Format
from shared.integer.onnx_nodes import type_name

WORDS: Mapping[str, tuple[int, bool]] = {
    "INT4": (4, True),
    "UINT4": (4, False),
    "INT8": (8, True),
    "UINT8": (8, False),
    "INT16": (16, True),
    "UINT16": (16, False),
    "INT32": (32, True),
}
"""Bits, and whether they are signed, of the types that are read."""

ACTIVATIONS = tuple(name for name in WORDS if name != "INT32")


def quantised_type(fields: Mapping[str, Any], zero: str) -> str:
    """What a QuantizeLinear writes: the type of its zero point, or its attribute `output_dtype`, or UINT8.

    `zero` is the type of the zero point, empty if there is none. Raises `ValueError` naming a type that is not read.
    """
    allow(fields, "axis", "block_size", "output_dtype", "precision", "saturate")
    require(fields, block_size=0)
    if fields.get("precision", 0) not in (0, 1):
        raise ValueError(f"precision={type_name(fields['precision'])} is not supported: divide in FLOAT")
    asked = type_name(fields["output_dtype"]) if fields.get("output_dtype", 0) else ""
    if asked and zero and asked != zero:
        raise ValueError(f"its output_dtype is {asked} but its zero point is {zero}: give both one type")
    return _supported(asked or zero or "UINT8", ACTIVATIONS)


def dequantised_type(fields: Mapping[str, Any], integers: str, zero: str) -> str:
    """What a DequantizeLinear reads: the type of its `integers`, which its zero point must have too."""
    allow(fields, "axis", "block_size", "output_dtype")
    require(fields, block_size=0)
    if fields.get("output_dtype", 0) not in (0, 1):
        raise ValueError(f"output_dtype={type_name(fields['output_dtype'])} is not supported: FLOAT is needed")
    if zero and zero != integers:
        raise ValueError(f"its zero point is {zero} but its integers are {integers}: give both one type")
    return _supported(integers, tuple(WORDS))


def format_of(kind: str, scale: NDArray[Any], zero: NDArray[Any] | None) -> Format:
    """The format of integers of a type. Raises `ValueError` unless the scale is one power of two, and zero is zero."""
    if scale.dtype != np.float32:
        raise ValueError(f"its scale is of {scale.dtype}: float32 is needed")
    every = np.unique(scale.astype(np.float64))
    if every.size != 1:
        raise ValueError(f"it has {every.size} scales: use one for the whole tensor, or {FLOAT_MODEL}")
    mantissa, exponent = math.frexp(float(every[0]))
    if mantissa != 0.5:
        raise ValueError(f"the scale {every[0]} is not a power of two: use 2**-n, or {FLOAT_MODEL}")
    if zero is not None and zero.astype(np.float64).any():
        raise ValueError(f"the zero point is not 0: quantise symmetrically, or {FLOAT_MODEL}")
    return Format(WORDS[kind][0], 1 - exponent, WORDS[kind][1])


FLOAT_MODEL = "give samples, which calibrate the float model that it stands for anew"


def _supported(kind: str, names: Sequence[str]) -> str:
    if kind not in names:
        raise ValueError(f"integers of type {kind} are not supported: use {', '.join(names)}")
    return kind
