"""Kernel calls as `net.c` and `net.h`."""

from collections.abc import Iterator
from functools import singledispatch
from typing import Any

from numpy.typing import NDArray

from mobile.kernels import INSTRUCTION_SETS
from mobile.lowering.calls import (
    Add,
    Call,
    Convolve,
    Depthwise,
    Flatten,
    Lowered,
    Pool,
    Rounding,
    SpreadCall,
    View,
    c_fields,
)
from shared.integer.names import value_name


def header(net: Lowered) -> str:
    """`net.h`: how the net is run, timed, and told which instructions to use."""
    return f"""\
/* An integer net of {net.executed_macs:,} executed multiply-accumulates, compiled by Qwedge.

   One net at a time: all values lie in one static arena of {net.arena:,} bytes. Nothing is allocated. */
#ifndef NET_H
#define NET_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {{
#endif

/* Integers channels first, without a batch axis. */
void net_run({_parameters(net)});

/* The instruction set in use, and its change: {", ".join(INSTRUCTION_SETS)}; 0 if this machine has no such one. */
const char *net_instructions(void);
int net_use(const char *instructions);

/* The kernel calls one by one, for timing; `net_run` does the same in turn. */
int net_calls(void);
const char *net_call_name(int call);
void net_call(int call);
#ifdef __cplusplus
}}
#endif
#endif
"""


def source(net: Lowered) -> str:
    """`net.c`: weights, structures, and the calls in turn."""
    lines = ['#include "net.h"', '#include "kernels.h"', "", "#include <stddef.h>", ""]
    for step, call in enumerate(net.calls):
        lines += [f"/* {call.title} */", *_structure(call, net, f"c{step}"), ""]
    for k, view in enumerate(net.inputs):
        lines.append(f"static const struct qw_view input{k} = {_view(view, net)};")
    for k, view in enumerate(net.outputs):
        lines.append(f"static const struct qw_view output{k} = {_view(view, net)};")
    names = ", ".join(f'"{call.title}"' for call in net.calls)
    lines += [
        "",
        f"static _Alignas(64) uint8_t arena[{net.arena}];",
        "static const struct qw_kernels *kernels;",
        "",
        f"static const char *const names[] = {{{names or 'NULL'}}};",
        "",
        "static const struct qw_kernels *chosen(void)",
        "{",
        "    if (!kernels) kernels = qw_kernels_for(NULL);",
        "    return kernels;",
        "}",
        "",
        "const char *net_instructions(void) { return chosen()->name; }",
        "",
        "int net_use(const char *instructions)",
        "{",
        "    const struct qw_kernels *these = qw_kernels_for(instructions);",
        "    if (these) kernels = these;",
        "    return these != NULL;",
        "}",
        "",
        f"int net_calls(void) {{ return {len(net.calls)}; }}",
        "",
        "const char *net_call_name(int call) { return names[call]; }",
        "",
        "void net_call(int call)",
        "{",
        "    switch (call) {",
    ]
    for step, call in enumerate(net.calls):
        lines.append(f"    case {step}: chosen()->{_kernel(call)}(&c{step}, arena); break;")
    lines += ["    default: break;", "    }", "}", "", f"void net_run({_parameters(net)})", "{"]
    arguments = _arguments(net)
    lines += [f"    qw_load(&input{k}, {arguments[k]}, arena);" for k in range(len(net.inputs))]
    lines += [f"    for (int call = 0; call < {len(net.calls)}; call++) net_call(call);"]
    behind = arguments[len(net.inputs) :]
    lines += [f"    qw_store(&output{k}, {name}, arena);" for k, name in enumerate(behind)]
    return "\n".join([*lines, "}", ""])


def _arguments(net: Lowered) -> list[str]:
    """Names in C of inputs and outputs, each once."""
    names: list[str] = []
    for view in (*net.inputs, *net.outputs):
        names.append(value_name(view.name, [*names, "call", "arena", "kernels", "names"]))
    return names


def c_type(view: View) -> str:
    """The type of a value's elements outside the arena."""
    return "int32_t" if view.sums else "int8_t" if view.zero else "uint8_t"


def _parameters(net: Lowered) -> str:
    views = [*net.inputs, *net.outputs]
    kinds = ["const "] * len(net.inputs) + [""] * len(net.outputs)
    sizes = [view.channels * view.rows * view.columns for view in views]
    return ", ".join(
        f"{kind}{c_type(view)} {name}[{size}]"
        for kind, view, name, size in zip(kinds, views, _arguments(net), sizes, strict=True)
    )


def _kernel(call: Call) -> str:
    return "spread" if isinstance(call, SpreadCall) else type(call).__name__.lower()


def _view(view: View, net: Lowered) -> str:
    return _braces({"at": net.places[view.name]} | c_fields(view))


def _braces(fields: dict[str, Any]) -> str:
    return "{" + ", ".join(f".{name} = {value}" for name, value in fields.items()) + "}"


def _pair(numbers: tuple[int, int]) -> str:
    return f"{{{numbers[0]}, {numbers[1]}}}"


def _to(to: Rounding) -> str:
    low = "INT32_MIN" if to.low == -(2**31) else to.low  # its digits alone would be a longer type
    return _braces({"left": to.left, "right": to.right, "low": low, "high": to.high, "wide": int(to.wide)})


def _array(type: str, name: str, integers: NDArray[Any]) -> Iterator[str]:
    numbers = integers.ravel().tolist() or [0]  # C has no empty arrays
    yield f"static const {type} {name}[{len(numbers)}] = {{"
    for i in range(0, len(numbers), 24):
        text = ", ".join("INT32_MIN" if n == -(2**31) else str(n) for n in numbers[i : i + 24])
        yield f"    {text},"
    yield "};"


@singledispatch
def _structure(call: Call, net: Lowered, name: str) -> Iterator[str]:
    raise TypeError(f"{type(call).__name__} cannot be written in C")


@_structure.register
def _(call: Convolve, net: Lowered, name: str) -> Iterator[str]:
    yield from _array("int32_t", f"{name}_first", call.lists.first)
    yield from _array("int32_t", f"{name}_offsets", call.lists.offsets)
    yield from _array("int8_t", f"{name}_weights", call.lists.weights)
    yield from _array("int32_t", f"{name}_bias", call.bias)
    fields: dict[str, Any] = {"in": _source(call, net), "out": _view(call.writes, net), "pixels": call.pixels}
    fields |= {"block": call.block, "room": net.room, "rows": call.lists.rows, "shared": int(call.lists.shared)}
    fields |= {field: f"{name}_{field}" for field in ("first", "offsets", "weights", "bias")}
    yield f"static const struct qw_convolve {name} = {_braces(fields | {'to': _to(call.to)})};"


@_structure.register
def _(call: Depthwise, net: Lowered, name: str) -> Iterator[str]:
    yield from _array("int32_t", f"{name}_offsets", call.offsets)
    yield from _array("int8_t", f"{name}_weights", call.weights)
    yield from _array("int32_t", f"{name}_bias", call.bias)
    fields: dict[str, Any] = {"in": _source(call, net), "out": _view(call.writes, net), "pixels": call.pixels}
    fields |= {"taps": call.offsets.size, "plane": call.plane, "room": net.room}
    fields |= {field: f"{name}_{field}" for field in ("offsets", "weights", "bias")}
    yield f"static const struct qw_depthwise {name} = {_braces(fields | {'to': _to(call.to)})};"


def _source(call: Call, net: Lowered) -> str:
    """The view that a convolution reads; of planes that were spread only the place counts."""
    [read] = call.reads
    return _view(read, net) if isinstance(read, View) else _braces({"at": net.places[read.name]})


@_structure.register
def _(call: SpreadCall, net: Lowered, name: str) -> Iterator[str]:
    to = call.writes
    fields: dict[str, Any] = {
        "in": _view(to.source, net),
        "at": net.places[to.name],
        "rows": to.rows,
        "columns": to.columns,
    }
    fields |= {"padding": _pair(to.padding), "stride": _pair(to.stride), "phases": _pair(to.phases)}
    yield f"static const struct qw_spread {name} = {_braces(fields)};"


@_structure.register
def _(call: Pool, net: Lowered, name: str) -> Iterator[str]:
    fields: dict[str, Any] = {"in": _view(call.reads[0], net), "out": _view(call.writes, net), "size": _pair(call.size)}
    fields |= {"stride": _pair(call.stride), "largest": int(call.largest), "to": _to(call.to)}
    yield f"static const struct qw_pool {name} = {_braces(fields)};"


@_structure.register
def _(call: Add, net: Lowered, name: str) -> Iterator[str]:
    a, b = call.reads[0], call.reads[-1]
    fields: dict[str, Any] = {
        "a": _view(a, net),
        "b": _view(b, net),
        "out": _view(call.writes, net),
        "terms": len(call.reads),
    }
    fields |= {"shift_a": call.shifts[0], "shift_b": call.shifts[1], "to": _to(call.to)}
    yield f"static const struct qw_add {name} = {_braces(fields)};"


@_structure.register
def _(call: Flatten, net: Lowered, name: str) -> Iterator[str]:
    fields = {"in": _view(call.reads[0], net), "out": _view(call.writes, net)}
    yield f"static const struct qw_flatten {name} = {_braces(fields)};"
