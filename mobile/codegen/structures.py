"""The constants and the structure of a kernel call, as C."""

from collections.abc import Iterator
from functools import singledispatch
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mobile.lowering.calls import (
    SIGNED_ZERO,
    Add,
    Call,
    Convolve,
    Depthwise,
    Flatten,
    Lowered,
    Pool,
    Rounding,
    Shuffle,
    SpreadCall,
    Value,
    View,
    c_fields,
)
from mobile.lowering.floats import Floats

IN_PARTS: Final = frozenset(
    {
        "convolve",
        "depthwise",
        "spread",
        "pool",
        "add",
        "shuffle",
        "convolve_floats",
        "depthwise_floats",
        "border_floats",
        "pad_floats",
        "pool_floats",
        "combine_floats",
        "activate_floats",
        "slope_floats",
        "arrange_floats",
        "resample_floats",
        "norm_floats",
        "softmax_floats",
    }
)
"""Kernels that several threads share; `kernels.h` gives them a part. The others run on one."""


def kernel(call: Call) -> str:
    """The kernel's name in C: that of the class, such as `pool_floats` for `PoolFloats`."""
    name = type(call).__name__.removesuffix("Call").lower()
    return f"{name.removesuffix('floats')}_floats" if name.endswith("floats") else name


def place(value: Value, net: Lowered) -> dict[str, Any]:
    """Where a value lies, and how: the fields of its structure."""
    if isinstance(value, Floats):
        fields = {name: getattr(value, name) for name in ("channels", "rows", "columns", "pitch", "row")}
        if value.is_constant:
            place = [each.name for each in constants(net)].index(value.name)
            return {"data": f"constant{place}"} | fields
        return {"at": net.places[value.name] + 4 * value.begin} | fields
    elif isinstance(value, View):
        fields = c_fields(value)
    else:  # of planes that were spread only the place counts
        fields = {}
    return {"at": net.places[value.name]} | fields


def constants(net: Lowered) -> list[Floats]:
    """The constants that calls read, each once."""
    reads = (read for call in net.calls for read in call.reads if isinstance(read, Floats) and read.is_constant)
    return list({read.name: read for read in reads}.values())


def view(value: Value, net: Lowered) -> str:
    """The structure of a value."""
    return braces(place(value, net))


def braces(fields: dict[str, Any]) -> str:
    """An initialiser."""
    return "{" + ", ".join(f".{name} = {value}" for name, value in fields.items()) + "}"


def pair(numbers: tuple[int, int]) -> str:
    """Two numbers."""
    return f"{{{numbers[0]}, {numbers[1]}}}"


def c_integer(n: int) -> str:
    """An integer of 32 bits: the digits of the least alone would be of a longer type."""
    return "INT32_MIN" if n == -(2**31) else str(n)


def requantise(to: Rounding) -> str:
    """The structure of a rounding."""
    return braces({"left": to.left, "right": to.right, "low": c_integer(to.low), "high": to.high, "wide": int(to.wide)})


def array(type: str, name: str, integers: NDArray[Any]) -> Iterator[str]:
    """A list of integers."""
    numbers = integers.ravel().tolist() or [0]  # C has no empty arrays
    yield f"static const {type} {name}[{len(numbers)}] = {{"
    for i in range(0, len(numbers), 24):
        text = ", ".join(map(c_integer, numbers[i : i + 24]))
        yield f"    {text},"
    yield "};"


def byte_array(type: str, name: str, array: NDArray[Any]) -> str:
    """Numbers as the bytes of a string, little-endian: a compiler reads that many times faster than a list.

    `type` is that of a byte.
    """
    data = np.frombuffer(array.astype(array.dtype.newbyteorder("<")).tobytes(), np.uint8)
    codes = np.array([f"\\{byte:03o}".encode() for byte in range(256)])[data].view(np.uint8)
    each = 4 * 32  # characters of a line
    lines = [codes[i : i + each].tobytes().decode() for i in range(0, len(codes), each)]
    text = "\n".join(f'    "{line}"' for line in lines) or '    ""'
    return f"static const _Alignas(64) {type} {name}[{len(data) + 1}] =\n{text};"


BIASES: Final = ("bias", "signed_bias")
"""Of sums of unsigned bytes, and of bytes less 128."""


def _biases(name: str, bias: NDArray[np.int32], sums: NDArray[np.int64]) -> Iterator[str]:
    """Those of every output, whose weights have `sums`; kernels add modulo 2^32."""
    signed = (bias + SIGNED_ZERO * sums).astype(np.int32)
    for field, integers in zip(BIASES, (bias, signed), strict=True):
        yield from array("int32_t", f"{name}_{field}", integers)


@singledispatch
def structure(call: Call, net: Lowered, name: str) -> Iterator[str]:
    """Constants, then the structure `name` of a call, line by line."""
    raise TypeError(f"{type(call).__name__} cannot be written in C")


@structure.register
def _(call: Convolve, net: Lowered, name: str) -> Iterator[str]:
    for field in ("first", "paired", "offsets"):
        yield from array("int32_t", f"{name}_{field}", getattr(call.lists, field))
    yield byte_array("int8_t", f"{name}_weights", call.lists.weights)
    yield from _biases(name, call.bias, call.lists.sums)
    fields: dict[str, Any] = {"in": view(call.reads[0], net), "out": view(call.writes, net), "pixels": call.pixels}
    fields |= {"block": call.block, "rows": call.lists.rows}
    fields |= {field: f"{name}_{field}" for field in ("first", "paired", "offsets", "weights", *BIASES)}
    if len(call.reads) == 2:
        fields |= {"term": view(call.reads[1], net), "shift": call.shifts[0], "shift_term": call.shifts[1]}
        fields |= {"constant": c_integer(call.constant)}
    fields |= {"terms": len(call.reads)}
    yield f"static const struct qw_convolve {name} = {braces(fields | {'to': requantise(call.to)})};"


@structure.register
def _(call: Depthwise, net: Lowered, name: str) -> Iterator[str]:
    for field in ("first", "offsets"):
        yield from array("int32_t", f"{name}_{field}", getattr(call.lists, field))
    yield byte_array("int8_t", f"{name}_weights", call.lists.weights)
    yield from _biases(name, call.bias, call.lists.sums)
    fields: dict[str, Any] = {"in": view(call.reads[0], net), "out": view(call.writes, net), "pixels": call.pixels}
    fields |= {field: f"{name}_{field}" for field in ("first", "offsets", "weights", *BIASES)}
    yield f"static const struct qw_depthwise {name} = {braces(fields | {'to': requantise(call.to)})};"


@structure.register
def _(call: SpreadCall, net: Lowered, name: str) -> Iterator[str]:
    to = call.writes
    fields: dict[str, Any] = {
        "in": view(to.source, net),
        "at": net.places[to.name],
        "rows": to.rows,
        "columns": to.columns,
        "tail": to.tail,
        "plane": to.plane,
    }
    fields |= {"padding": pair(to.padding), "stride": pair(to.stride), "phases": pair(to.phases)}
    yield f"static const struct qw_spread {name} = {braces(fields)};"


@structure.register
def _(call: Pool, net: Lowered, name: str) -> Iterator[str]:
    fields: dict[str, Any] = {"in": view(call.reads[0], net), "out": view(call.writes, net), "size": pair(call.size)}
    fields |= {"stride": pair(call.stride), "largest": int(call.largest), "to": requantise(call.to)}
    yield f"static const struct qw_pool {name} = {braces(fields)};"


@structure.register
def _(call: Add, net: Lowered, name: str) -> Iterator[str]:
    a, b = call.reads[0], call.reads[-1]
    fields: dict[str, Any] = {
        "a": view(a, net),
        "b": view(b, net),
        "out": view(call.writes, net),
        "terms": len(call.reads),
    }
    fields |= {
        "shift_a": call.shifts[0],
        "shift_b": call.shifts[1],
        "minus": int(call.minus),
        "to": requantise(call.to),
    }
    yield f"static const struct qw_add {name} = {braces(fields)};"


@structure.register
def _(call: Shuffle, net: Lowered, name: str) -> Iterator[str]:
    fields: dict[str, Any] = {
        "in": view(call.reads[0], net),
        "anchor": view(call.reads[-1], net),
        "out": view(call.writes, net),
        "factor": call.factor,
        "terms": len(call.reads),
    }
    fields |= {"shift_in": call.shifts[0], "shift_anchor": call.shifts[1], "to": requantise(call.to)}
    yield f"static const struct qw_shuffle {name} = {braces(fields)};"


@structure.register
def _(call: Flatten, net: Lowered, name: str) -> Iterator[str]:
    fields = {"in": view(call.reads[0], net), "out": view(call.writes, net)}
    yield f"static const struct qw_flatten {name} = {braces(fields)};"
