"""The structures of the kernels of floats."""

import math
from collections.abc import Iterator
from typing import Any

from mobile.codegen.structures import array, braces, byte_array, pair, structure, view
from mobile.lowering.calls import Lowered
from mobile.lowering.floats import (
    ActivateFloats,
    Bounds,
    CombineFloats,
    ConvolveFloats,
    CopyFloats,
    DepthwiseFloats,
    FlattenFloats,
    FloatCall,
    PadFloats,
    PoolFloats,
)


def _ends(call: FloatCall, net: Lowered) -> dict[str, Any]:
    return {"in": view(call.reads[0], net), "out": view(call.writes, net)}


def _bounds(to: Bounds) -> dict[str, str]:
    return {"low": _float(to.low), "high": _float(to.high)}


def _float(x: float) -> str:
    return ("-" if x < 0 else "") + "INFINITY" if math.isinf(x) else f"{x!r}f"


def _named(kind: str, name: str, fields: dict[str, Any]) -> str:
    return f"static const struct qw_{kind}_floats {name} = {braces(fields)};"


@structure.register
def _(call: ConvolveFloats, net: Lowered, name: str) -> Iterator[str]:
    yield from array("int32_t", f"{name}_first", call.first)
    yield from array("int32_t", f"{name}_offsets", call.offsets)
    yield byte_array("uint8_t", f"{name}_weights", call.weights)
    yield byte_array("uint8_t", f"{name}_bias", call.bias)
    rows, columns = call.block
    fields = _ends(call, net) | {"row": call.window.row, "step": call.window.step}
    fields |= {"block_rows": rows, "block_columns": columns} | _bounds(call.to)
    fields |= {field: f"{name}_{field}" for field in ("first", "offsets", "weights", "bias")}
    yield _named("convolve", name, fields)


@structure.register
def _(call: DepthwiseFloats, net: Lowered, name: str) -> Iterator[str]:
    yield from array("int32_t", f"{name}_offsets", call.window.offsets)
    yield byte_array("uint8_t", f"{name}_weights", call.weights)
    yield byte_array("uint8_t", f"{name}_bias", call.bias)
    fields = _ends(call, net) | {"row": call.window.row, "step": call.window.step, "taps": len(call.weights)}
    fields |= {field: f"{name}_{field}" for field in ("offsets", "weights", "bias")} | _bounds(call.to)
    yield _named("depthwise", name, fields)


@structure.register
def _(call: PadFloats, net: Lowered, name: str) -> Iterator[str]:
    yield _named("pad", name, _ends(call, net) | {"top": call.top, "left": call.left})


@structure.register
def _(call: PoolFloats, net: Lowered, name: str) -> Iterator[str]:
    fields = {"size": pair(call.size), "stride": pair(call.stride), "padding": pair(call.padding)}
    flags = {"largest": int(call.largest), "inside": int(call.inside)}
    yield _named("pool", name, _ends(call, net) | fields | flags)


@structure.register
def _(call: CombineFloats, net: Lowered, name: str) -> Iterator[str]:
    a, b = call.reads
    fields = {"a": view(a, net), "b": view(b, net), "out": view(call.writes, net), "product": int(call.product)}
    yield _named("combine", name, fields | _bounds(call.to))


@structure.register
def _(call: ActivateFloats, net: Lowered, name: str) -> Iterator[str]:
    yield _named("activate", name, _ends(call, net) | {"function": f"QW_{call.function.upper()}"} | _bounds(call.to))


@structure.register
def _(call: FlattenFloats, net: Lowered, name: str) -> Iterator[str]:
    yield _named("flatten", name, _ends(call, net))


@structure.register
def _(call: CopyFloats, net: Lowered, name: str) -> Iterator[str]:
    yield _named("copy", name, _ends(call, net) | {"channel": call.channel})
