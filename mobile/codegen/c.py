"""Kernel calls as `net.c` and `net.h`."""

from mobile.codegen import float_structures, token_structures  # noqa: F401 - register the structures of their calls
from mobile.codegen.structures import IN_PARTS, byte_array, constants, kernel, structure, view
from mobile.kernels import INSTRUCTION_SETS
from mobile.lowering.calls import Call, Lowered, Value, View
from mobile.lowering.floats import Floats
from shared.integer.names import value_name


def header(net: Lowered) -> str:
    """`net.h`: how the net is run, timed, and told which instructions to use."""
    return f"""\
/* A net of {net.executed_macs:,} executed multiply-accumulates, compiled by Qwedge.

   One net at a time: all values lie in one static arena of {net.arena:,} bytes. Nothing is allocated. Compiled with
   QW_NO_THREADS it needs no pthreads. */
#ifndef NET_H
#define NET_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {{
#endif

/* Channels first, without a batch axis. */
void net_run({_parameters(net)});

/* The instruction set in use, and its change: {_sets()}. 0 if this machine has no such one. */
const char *net_instructions(void);
int net_use(const char *instructions);

/* How many threads compute, the caller's included; at first one. Returns how many do: fewer where there are no more.
   The results are the same to the bit. */
int net_threads(int count);

/* The kernel calls one by one, and all in turn, for timing; `net_run` does the same between its inputs and outputs. */
int net_calls(void);
const char *net_call_name(int call);
void net_call(int call);
void net_compute(void);
#ifdef __cplusplus
}}
#endif
#endif
"""


def _sets() -> str:
    return "; ".join(f"{', '.join(names)} on {machine}" for machine, names in INSTRUCTION_SETS.items())


def source(net: Lowered) -> str:
    """`net.c`: weights, structures, and the calls in turn."""
    lines = ['#include "net.h"', '#include "threads.h"', "", "#include <math.h>", "#include <stddef.h>", ""]
    lines += ['#pragma GCC diagnostic ignored "-Woverlength-strings" /* weights are strings of bytes */', ""]
    for k, constant in enumerate(constants(net)):
        assert constant.data is not None
        lines += [byte_array("uint8_t", f"constant{k}", constant.data), ""]
    for step, call in enumerate(net.calls):
        lines += [f"/* {call.title} */", *structure(call, net, f"c{step}"), ""]
    for kind, values in (("input", net.inputs), ("output", net.outputs)):
        for k, value in enumerate(values):
            lines.append(f"static const struct {_struct(value)} {kind}{k} = {view(value, net)};")
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
        "int net_threads(int count) { return qw_threads(count); }",
        "",
        "static void compute(int call, struct qw_part part)",
        "{",
        "    switch (call) {",
    ]
    lines += [f"    case {step}: {_computed(call, step)} break;" for step, call in enumerate(net.calls)]
    lines += [
        "    default: break;",
        "    }",
        "}",
        "",
        "static int first_call, last_call;",
        "",
        "static void calls(struct qw_part part)",
        "{",
        "    for (int call = first_call; call < last_call; call++) {",
        "        compute(call, part);",
        "        qw_barrier(part);",
        "    }",
        "}",
        "",
        "static void compute_calls(int first, int last)",
        "{",
        "    chosen();",
        "    first_call = first, last_call = last;",
        "    qw_together(calls);",
        "}",
        "",
        "void net_call(int call) { compute_calls(call, call + 1); }",
        "",
        f"void net_compute(void) {{ compute_calls(0, {len(net.calls)}); }}",
        "",
        f"void net_run({_parameters(net)})",
        "{",
    ]
    arguments = _arguments(net)
    for k, value in enumerate(net.inputs):
        lines.append(f"    qw_load{_suffix(value)}(&input{k}, {arguments[k]}, arena);")
    lines += ["    net_compute();"]
    for k, (value, name) in enumerate(zip(net.outputs, arguments[len(net.inputs) :], strict=True)):
        lines.append(f"    qw_store{_suffix(value)}(&output{k}, {name}, arena);")
    return "\n".join([*lines, "}", ""])


def _computed(call: Call, step: int) -> str:
    """A part of a call where its kernel has parts, else the whole on one thread."""
    name = kernel(call)
    if name in IN_PARTS:
        return f"kernels->{name}(&c{step}, arena, part);"
    return f"if (!part.index) kernels->{name}(&c{step}, arena);"


def _arguments(net: Lowered) -> list[str]:
    """Names in C of inputs and outputs, each once."""
    names: list[str] = []
    for value in (*net.inputs, *net.outputs):
        names.append(value_name(value.name, [*names, "call", "calls", "arena", "kernels", "names"]))
    return names


def _struct(value: Value) -> str:
    return "qw_floats" if isinstance(value, Floats) else "qw_view"


def _suffix(value: Value) -> str:
    return "_floats" if isinstance(value, Floats) else ""


def c_type(value: Value) -> str:
    """The type of a value's elements outside the arena."""
    if not isinstance(value, View):
        return "float"
    return "int32_t" if value.sums else "int8_t" if value.zero else "uint8_t"


def _parameters(net: Lowered) -> str:
    values = [*net.inputs, *net.outputs]
    kinds = ["const "] * len(net.inputs) + [""] * len(net.outputs)
    return ", ".join(
        f"{kind}{c_type(value)} {name}[{value.channels * value.rows * value.columns}]"
        for kind, value, name in zip(kinds, values, _arguments(net), strict=True)
    )
