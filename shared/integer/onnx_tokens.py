"""Operations of attention, tables and moves as ONNX nodes that compute their integers exactly."""

from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.integer import elements, moves, operations, tokens
from shared.integer.onnx_writer import OnnxWriter

_SHIFTED = 32
"""What is added to exponents, so that tables of their powers begin at 0."""


@singledispatch
def write(operation: operations.Operation, graph: OnnxWriter) -> None:
    """Appends the nodes of an operation. Raises `ValueError` for one that has none here."""
    raise ValueError(f"ONNX export: {type(operation).__name__} {operation.output!r} has no nodes")


@write.register
def _(operation: elements.Subtract, graph: OnnxWriter) -> None:
    graph.node("Sub", graph.alike(list(operation.inputs), operation.output), operation.output)


@write.register
def _(operation: elements.Multiply, graph: OnnxWriter) -> None:
    graph.node("Mul", graph.alike(list(operation.inputs), operation.output), operation.output)


@write.register
def _(operation: elements.Table, graph: OnnxWriter) -> None:
    [source], name, rows = operation.inputs, operation.output, operation.entries.integers
    value = graph.values[source]
    first = np.arange(value.shape[0]) * rows.shape[1] if len(rows) > 1 else np.zeros(1, int)
    offsets = (first - value.format.low).reshape(-1, *(1,) * (len(value.shape) - 1))
    places = [graph.integers(source, name), graph.constant(f"{name}.offsets", offsets.astype(np.int64))]
    entries = operation.entries.format.from_integers(rows.reshape(-1)).astype(np.float32)
    graph.node(
        "Gather", [graph.constant(f"{name}.entries", entries), graph.node("Add", places, f"{name}.places")], name
    )


@write.register
def _(operation: moves.ConstantValue, graph: OnnxWriter) -> None:
    """For as many samples as the first input has."""
    name, shape = operation.output, operation.constant.integers.shape
    real = operation.constant.format.from_integers(operation.constant.integers[None]).astype(np.float32)
    first = f"{next(iter(graph.values))}.real"
    sizes = graph.node("Shape", [first], f"{name}.sizes")
    ends = [graph.constant(f"{name}.{side}", np.array([end], np.int64)) for side, end in (("begin", 0), ("end", 1))]
    samples = graph.node("Slice", [sizes, *ends], f"{name}.samples")
    own = graph.constant(f"{name}.own", np.array(shape, np.int64))
    whole = graph.node("Concat", [samples, own], f"{name}.whole", axis=0)
    graph.node("Expand", [graph.constant(f"{name}.numbers", real), whole], name)


@write.register
def _(operation: moves.Rearrange, graph: OnnxWriter) -> None:
    [source], name = operation.inputs, operation.output
    flat = graph.shaped(source, f"{name}.flat", (-1,))
    graph.shaped(graph.gathered(flat, f"{name}.taken", operation.places.integers, 1), name, operation.shape)


@write.register
def _(operation: moves.Concatenate, graph: OnnxWriter) -> None:
    parts = graph.alike(list(operation.inputs), operation.output)
    graph.node("Concat", parts, operation.output, axis=operation.axis + 1)


@write.register
def _(operation: moves.Resample, graph: OnnxWriter) -> None:
    """Rows, then columns, each a sum over its taps."""
    [source], name = operation.inputs, operation.output
    channels, _, width = graph.values[source].shape
    [source] = graph.alike([source], name)
    lines = (operation.row_places, operation.row_weights, (channels, *operation.row_places.integers.shape, width), 2)
    height = len(operation.row_places.integers)
    points = (
        operation.column_places,
        operation.column_weights,
        (channels, height, *operation.column_places.integers.shape),
        3,
    )
    for which, (places, weights, shape, axis) in (("rows", lines), ("columns", points)):
        taken = graph.gathered(source, f"{name}.{which}.taken", places.integers.reshape(-1), axis)
        apart = graph.shaped(taken, f"{name}.{which}.apart", shape)
        kind = np.float64 if graph.is_wide(name) else np.float32
        real = weights.format.from_integers(weights.integers).astype(kind)
        factors = graph.constant(f"{name}.{which}.weights", real[..., None] if which == "rows" else real)
        terms = graph.node("Mul", [apart, factors], f"{name}.{which}.terms")
        taps = graph.constant(f"{name}.{which}.taps", np.array([axis + 1], np.int64))
        source = graph.node("ReduceSum", [terms, taps], f"{name}.{which}.sums" if which == "rows" else name, keepdims=0)


@write.register
def _(operation: tokens.Embedding, graph: OnnxWriter) -> None:
    [source], name, table = operation.inputs, operation.output, operation.table
    ends = [
        graph.constant(f"{name}.{side}", np.int64(end)) for side, end in (("low", 0), ("high", len(table.integers) - 1))
    ]
    words = graph.node("Clip", [graph.integers(source, name), *ends], f"{name}.words")
    rows = graph.constant(f"{name}.table", table.format.from_integers(table.integers).astype(np.float32))
    taken = graph.node("Gather", [rows, words], f"{name}.taken", axis=0)
    graph.node("Transpose", [taken], name, perm=[0, 2, 1])


@write.register
def _(operation: tokens.MatrixProduct, graph: OnnxWriter) -> None:
    name = operation.output
    pixels, weights = graph.alike(list(operation.inputs), name)
    by_row = [0, 2, 3, 1] if operation.transposed else [0, 2, 1, 3]
    left = graph.node("Transpose", [weights], f"{name}.weights", perm=by_row)
    right = graph.node("Transpose", [pixels], f"{name}.pixels", perm=[0, 2, 1, 3])
    graph.node("Transpose", [graph.node("MatMul", [left, right], f"{name}.rows")], name, perm=[0, 2, 1, 3])


@write.register
def _(operation: tokens.Softmax, graph: OnnxWriter) -> None:
    math = _Integers(graph, operation.output)
    x = graph.integers(operation.inputs[0], operation.output)
    away = math.of("Sub", graph.node("ReduceMax", [x], f"{operation.output}.largest", axes=[1]), x)
    coarse = math.of("Div", away, 256)
    fine = math.of("Sub", away, math.of("Mul", coarse, 256))
    entries = operation.exponentials.integers.astype(np.int64)
    product = math.of("Mul", math.taken(entries[1], coarse), math.taken(entries[0], fine))
    terms = math.of("Div", math.of("Add", product, 1 << 14), 1 << tokens.EXPONENTIAL_BITS)
    shares = math.of("Mul", terms, math.of("Div", 1 << 46, math.total(terms)))
    rounded = math.of("Div", math.of("Add", shares, 1 << 37), 1 << 38)
    graph.real(math.of("Min", rounded, 255), operation.output)


@write.register
def _(operation: tokens.LayerNorm, graph: OnnxWriter) -> None:
    """Step by step as `tokens.LayerNorm` states it; floors of what may be negative are of it and a large multiple."""
    name, channels = operation.output, graph.values[operation.inputs[0]].shape[0]
    math, x = _Integers(graph, name), graph.integers(operation.inputs[0], name)
    total = math.total(x)
    squares = math.of("Mul", math.total(math.of("Mul", x, x)), channels)
    variance = math.of("Sub", squares, math.of("Mul", total, total))
    variance = math.of("Add", variance, int(operation.epsilon.integers[0]))
    exponents = np.arange(2 * _SHIFTED) - _SHIFTED
    up, down = np.maximum(-exponents, 0), np.maximum(exponents, 0)
    # The exponent e, plus _SHIFTED: half of the bits beyond 21, rounded down.
    e = math.of("Div", math.of("Add", math.bits(variance), 2 * _SHIFTED - 21), 2)
    narrow = math.of("Mul", variance, math.taken(_power(2 * up), e))
    narrow = math.of("Div", narrow, math.taken(_power(2 * down), e))
    root = math.of("Max", math.root(narrow), 1)
    apart = math.of("Sub", math.of("Mul", x, channels), total)
    apart = math.of("Mul", apart, math.taken(_power(up), e))
    half = np.where(exponents > 0, _power(down - 1), 0)
    moved = math.of("Add", math.of("Add", apart, math.taken(half, e)), 1 << 40)
    divisor = math.taken(_power(down), e)
    apart = math.of("Sub", math.of("Div", moved, divisor), math.of("Div", 1 << 40, divisor))
    scaled = math.of("Mul", apart, math.of("Div", 1 << 23, root))
    bits = 23 - tokens.NORMAL_BITS
    moved = math.of("Add", scaled, (1 << bits - 1) + (1 << 50))
    normal = math.of("Sub", math.of("Div", moved, 1 << bits), 1 << 50 - bits)
    shape = (-1, *(1,) * (len(graph.values[name].shape) - 1))
    weight, bias = (each.integers.astype(np.int64).reshape(shape) for each in (operation.weight, operation.bias))
    graph.real(math.of("Add", math.of("Mul", normal, weight), bias), name)


def _power(bits: NDArray[Any]) -> NDArray[np.int64]:
    """Powers of two of at most 62 bits."""
    return np.asarray(np.ones((), np.int64) << np.clip(bits, 0, 62).astype(np.int64))


class _Integers:
    """Arithmetic of int64 for one value; numbers become constants."""

    def __init__(self, graph: OnnxWriter, name: str) -> None:
        self.graph, self.name, self.count = graph, name, 0

    def new(self) -> str:
        self.count += 1
        return f"{self.name}.{self.count}"

    def operand(self, each: "str | int | NDArray[Any]") -> str:
        return each if isinstance(each, str) else self.graph.constant(self.new(), np.asarray(each, np.int64))

    def of(self, kind: str, a: "str | int | NDArray[Any]", b: "str | int | NDArray[Any]") -> str:
        return self.graph.node(kind, [self.operand(a), self.operand(b)], self.new())

    def taken(self, table: NDArray[Any], places: str) -> str:
        return self.graph.node("Gather", [self.operand(table), places], self.new())

    def total(self, x: str) -> str:
        """Over the channels of each position."""
        return self.graph.node("ReduceSum", [x, self.operand(np.array([1]))], self.new(), keepdims=1)

    def bits(self, x: str) -> str:
        """Of numbers of at least 0: how many powers of two are not above."""
        column = self.graph.node("Unsqueeze", [x, self.operand(np.array([-1]))], self.new())
        reached = self.graph.node("GreaterOrEqual", [column, self.operand(_power(np.arange(63)))], self.new())
        counted = self.graph.node("Cast", [reached], self.new(), to=7)
        return self.graph.node("ReduceSum", [counted, self.operand(np.array([-1]))], self.new(), keepdims=0)

    def root(self, x: str) -> str:
        """Of numbers that float64 holds, rounded down."""
        real = self.graph.node("Sqrt", [self.graph.node("Cast", [x], self.new(), to=11)], self.new())
        return self.graph.node("Cast", [self.graph.node("Floor", [real], self.new())], self.new(), to=7)
