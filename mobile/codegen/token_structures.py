"""The constants and the structure of a kernel call of attention, of moves and of tables, as C."""

from collections.abc import Iterator
from typing import Any

from mobile.codegen.structures import array, braces, byte_array, requantise, structure, view
from mobile.lowering.calls import Call, Lowered
from mobile.lowering.token_calls import Embed, Fill, Multiply, Norm, Product, Rearrange, Resample, Softmax, Table


def _define(kind: str, name: str, fields: dict[str, Any]) -> str:
    return f"static const struct qw_{kind} {name} = {braces(fields)};"


def _ends(call: Call, net: Lowered, *names: str) -> dict[str, Any]:
    reads = {each: view(read, net) for each, read in zip(names, call.reads, strict=True)}
    return reads | {"out": view(call.writes, net)}


@structure.register
def _(call: Table, net: Lowered, name: str) -> Iterator[str]:
    yield byte_array("uint8_t", f"{name}_tables", call.tables)
    fields = {"by_channel": int(len(call.tables) > 1), "tables": f"{name}_tables"}
    yield _define("table", name, _ends(call, net, "in") | fields)


@structure.register
def _(call: Multiply, net: Lowered, name: str) -> Iterator[str]:
    fields = {"by_channel": int(call.by_channel), "to": requantise(call.to)}
    yield _define("multiply", name, _ends(call, net, "a", "b") | fields)


@structure.register
def _(call: Fill, net: Lowered, name: str) -> Iterator[str]:
    yield byte_array("uint8_t", f"{name}_data", call.data)
    fields = {"at": net.places[call.writes.name], "bytes": call.data.nbytes, "data": f"{name}_data"}
    yield _define("fill", name, fields)


@structure.register
def _(call: Rearrange, net: Lowered, name: str) -> Iterator[str]:
    yield from array("int32_t", f"{name}_runs", call.runs)
    fields = {
        "in": net.places[call.reads[0].name],
        "out": net.places[call.writes.name],
        "sums": int(call.writes.sums),
        "each": call.each,
        "count": len(call.runs),
        "runs": f"{name}_runs",
    }
    yield _define("rearrange", name, fields)


@structure.register
def _(call: Resample, net: Lowered, name: str) -> Iterator[str]:
    fields: dict[str, Any] = {"only_moves": int(call.only_moves), "to": requantise(call.to)}
    fields |= {"room": net.places[call.scratch[0].name]}
    for axis, (places, weights) in (("row", call.rows), ("column", call.columns)):
        yield from array("int32_t", f"{name}_{axis}", places)
        yield from array("int32_t", f"{name}_{axis}_weights", weights)
        fields |= {f"{axis}_taps": places.shape[1]}
        fields |= {axis: f"{name}_{axis}", f"{axis}_weights": f"{name}_{axis}_weights"}
    yield _define("resample", name, _ends(call, net, "in") | fields)


@structure.register
def _(call: Embed, net: Lowered, name: str) -> Iterator[str]:
    yield byte_array("uint8_t", f"{name}_table", call.table)
    yield _define("embed", name, _ends(call, net, "in") | {"rows": len(call.table), "table": f"{name}_table"})


@structure.register
def _(call: Norm, net: Lowered, name: str) -> Iterator[str]:
    for field in ("weight", "bias"):
        yield from array("int32_t", f"{name}_{field}", getattr(call, field))
    fields = {"epsilon": f"INT64_C({call.epsilon})", "weight": f"{name}_weight", "bias": f"{name}_bias"}
    yield _define("norm", name, _ends(call, net, "in") | fields | {"to": requantise(call.to)})


@structure.register
def _(call: Softmax, net: Lowered, name: str) -> Iterator[str]:
    yield from array("int32_t", f"{name}_exponentials", call.exponentials)
    fields = {"room": net.places[call.scratch[0].name], "exponentials": f"{name}_exponentials"}
    yield _define("softmax", name, _ends(call, net, "in") | fields)


@structure.register
def _(call: Product, net: Lowered, name: str) -> Iterator[str]:
    fields = {"transposed": int(call.transposed), "inner": call.inner, "room": net.places[call.scratch[0].name]}
    yield _define("product", name, _ends(call, net, "a", "b") | fields | {"more": call.more, "to": requantise(call.to)})
