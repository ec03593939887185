"""An integer program as one C header that needs nothing but `stdint.h`."""

import math
from collections.abc import Iterator
from functools import singledispatch

from shared.integer import operations
from shared.integer.audit import audit
from shared.integer.catalogue import require_layers
from shared.integer.geometry import plane
from shared.integer.names import is_word_of_c
from shared.integer.program import Program


def c_header(program: Program, name: str = "net") -> str:
    """C99 source of a header with the weights, `struct NAME_values` and `void NAME_run(struct NAME_values *v)`.

    The struct has one array per named value, channels first: fill the inputs, run, read the outputs. All values stay
    readable, so that a difference can be located; nothing is allocated, and there is no other state. Integers only,
    without undefined behaviour: no sum overflows, since `Program` has proven its range.

    Raises `ValueError` if `name` or the name of a value is not a C identifier, and for operations of attention.

    >>> from shared.integer.format import Format
    >>> from shared.integer import Input, Requantise
    >>> halves = Program((Input("x", (2,), Format(8, 7)),), (Requantise(("x",), "y", Format(8, 6)),), ("y",))
    >>> print(c_header(halves).partition("struct ")[2].partition("};")[0])
    net_values {
        int8_t x[2]; /* input, / 2^7 */
        int8_t y[2]; /* output, / 2^6 */
    <BLANKLINE>
    """
    for word in (name, *program.values):
        if is_word_of_c(word) or not (word.isascii() and word.isidentifier()):
            raise ValueError(f"{word!r} cannot be a name in C: rename it")
    require_layers(program, "the layers that a header holds")
    counts = audit(program)
    lines = [
        f"/* {name}: {counts.macs} multiplications per sample, {counts.bytes} bytes of weights and biases. */",
        f"#ifndef {name.upper()}_H",
        f"#define {name.upper()}_H",
        "#include <stdint.h>",
        "",
        *_constants(program, name),
        f"struct {name}_values {{",
        *_fields(program),
        "};",
        "",
        _SHIFT.replace("NAME", name),
        f"static inline void {name}_run(struct {name}_values *v)",
        "{",
    ]
    for operation in program.operations:
        lines += [f"    /* {type(operation).__name__} {operation.output} */", "    {"]
        lines += [f"        {line}" for line in _code(operation, program, name)]
        lines += ["    }"]
    return "\n".join([*lines, "}", "#endif", ""])


# Right shifts of negative numbers are the compiler's choice in C99, hence the two complements.
_SHIFT = """\
/* n / 2^bits to the nearest integer, ties to even, within low to high; bits < 0 multiplies. */
static inline int64_t NAME_requantise(int64_t n, int bits, int64_t low, int64_t high)
{
    if (bits <= 0) {
        n *= (int64_t)1 << -bits;
    } else {
        int64_t kept = n >= 0 ? n >> bits : ~(~n >> bits);
        int64_t dropped = n - kept * ((int64_t)1 << bits), half = (int64_t)1 << (bits - 1);
        n = kept + (dropped > half || (dropped == half && kept % 2 != 0));
    }
    return n < low ? low : n > high ? high : n;
}
"""


def _type(noun: operations.Value | operations.Constant) -> str:
    return f"{noun.format.dtype}_t"


def _constants(program: Program, name: str) -> Iterator[str]:
    for operation in program.operations:
        if isinstance(operation, operations.AbstractWeighted):
            yield from _array(f"{name}_{operation.output}_weight", operation.weight)
            if operation.bias:
                yield from _array(f"{name}_{operation.output}_bias", operation.bias)


def _array(name: str, constant: operations.Constant) -> Iterator[str]:
    integers = constant.integers
    yield f"/* {' x '.join(map(str, integers.shape))}, / 2^{constant.format.fraction} */"
    yield f"static const {_type(constant)} {name}[{integers.size}] = {{"
    numbers = [_literal(n) for n in integers.ravel().tolist()]
    for i in range(0, len(numbers), 20):
        yield f"    {', '.join(numbers[i : i + 20])},"
    yield "};"


def _literal(n: int) -> str:
    # -2147483648 is not a literal in C but the negation of one that does not fit
    return str(n) if abs(n) < 2**31 else f"INT64_C({n})" if n > -(2**63) else "INT64_MIN"


def _fields(program: Program) -> Iterator[str]:
    inputs = {input.name for input in program.inputs}
    for name, value in program.values.items():
        role = "input, " if name in inputs else "output, " if name in program.outputs else ""
        size = math.prod(value.shape)
        yield f"    {_type(value)} {name}[{size}]; /* {role}/ 2^{value.format.fraction} */"


@singledispatch
def _code(operation: operations.Operation, program: Program, name: str) -> list[str]:
    raise TypeError(f"{type(operation).__name__} {operation.output!r} cannot be written in C")


@_code.register
def _(operation: operations.Requantise, program: Program, name: str) -> list[str]:
    x, y = program.values[operation.inputs[0]], program.values[operation.output]
    bits, ends = x.format.fraction - y.format.fraction, f"{_literal(y.format.low)}, {_literal(y.format.high)}"
    return _each(y, operation, f"({_type(y)}){name}_requantise(v->{operation.inputs[0]}[i], {bits}, {ends})")


@_code.register
def _(operation: operations.Clip, program: Program, name: str) -> list[str]:
    y, ends = program.values[operation.output], f"{_literal(operation.low)}, {_literal(operation.high)}"
    return _each(y, operation, f"({_type(y)}){name}_requantise(v->{operation.inputs[0]}[i], 0, {ends})")


@_code.register
def _(operation: operations.Flatten, program: Program, name: str) -> list[str]:
    return _each(program.values[operation.output], operation, f"v->{operation.inputs[0]}[i]")


@_code.register
def _(operation: operations.PixelShuffle, program: Program, name: str) -> list[str]:
    (_, height, width), (channels, rows, columns) = (
        program.values[value].shape for value in (operation.inputs[0], operation.output)
    )
    f = operation.factor
    return [
        f"for (int32_t o = 0; o < {channels}; ++o)",
        f"for (int32_t r = 0; r < {rows}; ++r)",
        f"for (int32_t c = 0; c < {columns}; ++c) {{",
        f"    int32_t i = (o * {f} + r % {f}) * {f} + c % {f};",
        f"    v->{operation.output}[(o * {rows} + r) * {columns} + c] =",
        f"        v->{operation.inputs[0]}[(i * {height} + r / {f}) * {width} + c / {f}];",
        "}",
    ]


@_code.register
def _(operation: operations.Add, program: Program, name: str) -> list[str]:
    y = program.values[operation.output]
    terms = [
        f"({_type(y)})v->{term}[i] * ({_type(y)}){1 << y.format.fraction - program.values[term].format.fraction}"
        for term in operation.inputs
    ]
    return _each(y, operation, " + ".join(terms))


def _each(y: operations.Value, operation: operations.Operation, expression: str) -> list[str]:
    loop = f"for (int32_t i = 0; i < {math.prod(y.shape)}; ++i)"
    return [loop, f"    v->{operation.output}[i] = {expression};"]


@_code.register
def _(operation: operations.Linear, program: Program, name: str) -> list[str]:
    x, y = program.values[operation.inputs[0]], program.values[operation.output]
    return [
        f"for (int32_t o = 0; o < {y.shape[0]}; ++o) {{",
        f"    {_type(y)} sum = {_start(operation, name)};",
        f"    for (int32_t i = 0; i < {x.shape[0]}; ++i)",
        f"        sum += ({_type(y)})v->{operation.inputs[0]}[i]",
        f"            * {name}_{operation.output}_weight[o * {x.shape[0]} + i];",
        f"    v->{operation.output}[o] = sum;",
        "}",
    ]


def _start(operation: operations.AbstractWeighted, name: str) -> str:
    return f"{name}_{operation.output}_bias[o]" if operation.bias else "0"


@_code.register
def _(operation: operations.AbstractConvolution, program: Program, name: str) -> list[str]:
    x, y = program.values[operation.inputs[0]], program.values[operation.output]
    (height, width), (rows, columns) = plane(x.shape[1:], 1), plane(y.shape[1:], 1)
    (kh, kw), (sh, sw) = plane(operation.kernel, 1), plane(operation.stride, 1)
    ph, pw = plane(operation.padding, 0)
    inner, per_group = x.shape[0] // operation.groups, y.shape[0] // operation.groups
    channel = f"(o / {per_group} * {inner} + i)"
    return [
        f"for (int32_t o = 0; o < {y.shape[0]}; ++o)",
        f"for (int32_t r = 0; r < {rows}; ++r)",
        f"for (int32_t c = 0; c < {columns}; ++c) {{",
        f"    {_type(y)} sum = {_start(operation, name)};",
        f"    for (int32_t i = 0; i < {inner}; ++i)",
        f"    for (int32_t j = 0; j < {kh}; ++j)",
        f"    for (int32_t k = 0; k < {kw}; ++k) {{",
        f"        int32_t p = r * {sh} + j - {ph}, q = c * {sw} + k - {pw};",
        f"        if (p >= 0 && p < {height} && q >= 0 && q < {width})",
        f"            sum += ({_type(y)})v->{operation.inputs[0]}[({channel} * {height} + p) * {width} + q]",
        f"                * {name}_{operation.output}_weight[((o * {inner} + i) * {kh} + j) * {kw} + k];",
        "    }",
        f"    v->{operation.output}[(o * {rows} + r) * {columns} + c] = sum;",
        "}",
    ]


@_code.register
def _(operation: operations.AbstractPool, program: Program, name: str) -> list[str]:
    x, y = program.values[operation.inputs[0]], program.values[operation.output]
    (height, width), (rows, columns) = plane(x.shape[1:], 1), plane(y.shape[1:], 1)
    (kh, kw), (sh, sw) = plane(operation.size, 1), plane(operation.stride, 1)
    add = isinstance(operation, operations.AveragePool)
    return [
        f"for (int32_t o = 0; o < {y.shape[0]}; ++o)",
        f"for (int32_t r = 0; r < {rows}; ++r)",
        f"for (int32_t c = 0; c < {columns}; ++c) {{",
        f"    {_type(y)} kept = {0 if add else _at(operation, height, width, f'r * {sh}', f'c * {sw}')};",
        f"    for (int32_t j = 0; j < {kh}; ++j)",
        f"    for (int32_t k = 0; k < {kw}; ++k) {{",
        f"        {_type(y)} next = {_at(operation, height, width, f'(r * {sh} + j)', f'(c * {sw} + k)')};",
        "        kept += next;" if add else "        kept = next > kept ? next : kept;",
        "    }",
        f"    v->{operation.output}[(o * {rows} + r) * {columns} + c] = kept;",
        "}",
    ]


def _at(operation: operations.AbstractPool, height: int, width: int, row: str, column: str) -> str:
    return f"v->{operation.inputs[0]}[(o * {height} + {row}) * {width} + {column}]"
