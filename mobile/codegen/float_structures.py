"""The structures of the kernels of floats."""

import math
from collections.abc import Iterator
from typing import Any

from mobile.codegen.structures import array, braces, byte_array, pair, structure, view
from mobile.lowering.calls import Lowered
from mobile.lowering.floats import (
    ActivateFloats,
    ArrangeFloats,
    BorderFloats,
    Bounds,
    CombineFloats,
    ConvolveFloats,
    DepthwiseFloats,
    EmbedFloats,
    FloatCall,
    MultiplyFloats,
    NormFloats,
    PadFloats,
    PoolFloats,
    ResampleFloats,
    SlopeFloats,
    SoftmaxFloats,
    Taps,
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
    fields = _ends(call, net) | {"row": call.window.row, "step": call.window.step}
    fields |= {"pixels": call.block} | _bounds(call.to)
    fields |= {field: f"{name}_{field}" for field in ("first", "offsets", "weights", "bias")}
    fields |= {"terms": len(call.reads)}
    if len(call.reads) == 2:
        fields |= {"term": view(call.reads[1], net)}
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
def _(call: BorderFloats, net: Lowered, name: str) -> Iterator[str]:
    sides = dict(zip(("top", "left", "bottom", "right"), call.writes.around, strict=True))
    yield _named("border", name, {"out": view(call.writes, net)} | sides)


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
    fields = _pair(call, net) | {"joint": f"QW_{call.joint.upper()}"} | _bounds(call.to)
    yield _named("combine", name, fields)


def _pair(call: FloatCall, net: Lowered) -> dict[str, Any]:
    a, b = call.reads
    return {"a": view(a, net), "b": view(b, net), "out": view(call.writes, net)}


@structure.register
def _(call: ActivateFloats, net: Lowered, name: str) -> Iterator[str]:
    yield _named("activate", name, _ends(call, net) | {"function": f"QW_{call.function.upper()}"} | _bounds(call.to))


@structure.register
def _(call: SlopeFloats, net: Lowered, name: str) -> Iterator[str]:
    yield byte_array("uint8_t", f"{name}_slopes", call.slopes)
    yield _named("slope", name, _ends(call, net) | {"slopes": f"{name}_slopes"})


@structure.register
def _(call: ArrangeFloats, net: Lowered, name: str) -> Iterator[str]:
    fields = _ends(call, net) | {"to": call.at}
    for axis in ("rows", "columns", "channels"):
        yield from array("int32_t", f"{name}_{axis}", getattr(call, axis))
        fields |= {axis: len(getattr(call, axis)), axis.removesuffix("s"): f"{name}_{axis}"}
    yield _named("arrange", name, fields | {"together": int(call.together)})


@structure.register
def _(call: ResampleFloats, net: Lowered, name: str) -> Iterator[str]:
    fields = _ends(call, net)
    for axis in ("row", "column"):
        taps: Taps = getattr(call, f"{axis}s")
        yield from array("int32_t", f"{name}_{axis}", taps.places)
        yield byte_array("uint8_t", f"{name}_{axis}_weights", taps.weights)
        fields |= {f"{axis}_taps": taps.places.shape[1], axis: f"{name}_{axis}"}
        fields |= {f"{axis}_weights": f"{name}_{axis}_weights"}
    yield _named("resample", name, fields)


@structure.register
def _(call: NormFloats, net: Lowered, name: str) -> Iterator[str]:
    yield byte_array("uint8_t", f"{name}_weights", call.weights)
    yield byte_array("uint8_t", f"{name}_bias", call.bias)
    fields = {"epsilon": _float(call.epsilon), "weights": f"{name}_weights", "bias": f"{name}_bias"}
    yield _named("norm", name, _ends(call, net) | fields)


@structure.register
def _(call: SoftmaxFloats, net: Lowered, name: str) -> Iterator[str]:
    yield _named("softmax", name, _ends(call, net))


@structure.register
def _(call: MultiplyFloats, net: Lowered, name: str) -> Iterator[str]:
    fields = _pair(call, net) | {
        "inner": call.inner,
        "room": net.places[call.scratch[0].name],
        "scale": _float(call.scale),
    }
    for side, begins, (row, column) in zip("ab", call.begins, call.steps, strict=True):
        yield from array("int32_t", f"{name}_{side}_begins", begins)
        fields |= {f"{side}_row": row, f"{side}_column": column, f"{side}_begins": f"{name}_{side}_begins"}
    yield _named("multiply", name, fields)


@structure.register
def _(call: EmbedFloats, net: Lowered, name: str) -> Iterator[str]:
    numbers, table = call.reads
    fields = {"in": view(numbers, net), "table": view(table, net), "out": view(call.writes, net)}
    yield _named("embed", name, fields)
