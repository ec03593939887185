"""Runs an integer program in NumPy, bit for bit."""

import math
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.integer import elements, moves, operations, tokens
from shared.integer.format import Integers, saturate, shift
from shared.integer.geometry import windows
from shared.integer.program import Program

Array = NDArray[np.int64]


def run(program: Program, *inputs: Integers) -> dict[str, Array]:
    """Every named value of a program, in order, for a batch.

    `inputs` are integers `(B, *shape)`, one array per input of the program. All values are returned, not only the
    outputs, so that the first difference of another implementation can be located.

    Raises `ValueError` for a wrong shape or integers beyond the input's format, `TypeError` for other than integers.

    >>> from shared.integer.format import Format
    >>> from shared.integer import Input, Requantise
    >>> half = Program((Input("x", (2,), Format(8, 7)),), (Requantise(("x",), "y", Format(7, 6)),), ("y",))
    >>> run(half, np.array([[3, -128]]))["y"]
    array([[  2, -64]])
    """
    values = _inputs(program, inputs)
    samples = len(values[program.inputs[0].name])
    for operation in program.operations:
        arrays = [values[name] for name in operation.inputs]
        types = [program.values[name] for name in operation.inputs]
        result = run_operation(operation, types, *arrays)
        if len(result) != samples:  # a constant is that of one sample
            result = np.repeat(result, samples, axis=0)
        values[operation.output] = np.ascontiguousarray(result)
    return values


def outputs(program: Program, *inputs: Integers) -> tuple[Array, ...]:
    """Only the outputs of `run`, in the program's order."""
    values = run(program, *inputs)
    return tuple(values[name] for name in program.outputs)


def _inputs(program: Program, inputs: tuple[Integers, ...]) -> dict[str, Array]:
    if len(inputs) != len(program.inputs):
        raise ValueError(f"the program has {len(program.inputs)} inputs, got {len(inputs)}")
    values = {}
    for input, integers in zip(program.inputs, inputs, strict=True):
        input.require(integers)
        values[input.name] = integers.astype(np.int64)
    if len({len(value) for value in values.values()}) > 1:
        raise ValueError("the inputs differ in batch size")
    return values


@singledispatch
def run_operation(operation: operations.Operation, types: list[operations.Value], *inputs: Array) -> Array:
    """What one operation computes of values of these types, batch first. Raises `TypeError` for other operations."""
    raise TypeError(f"{type(operation).__name__} is not an operation of an integer program")


@run_operation.register
def _(operation: operations.Linear, types: list[operations.Value], *inputs: Array) -> Array:
    return _product(inputs[0], operation.weight.integers) + _bias(operation, 1)


@run_operation.register(operations.Conv1d)
@run_operation.register(operations.Conv2d)
def _(operation: operations.Conv1d | operations.Conv2d, types: list[operations.Value], *inputs: Array) -> Array:
    pad = [(0, 0), (0, 0), *((p, p) for p in operation.padding)]
    taps = windows(np.pad(inputs[0], pad), operation.kernel, operation.stride)  # (B, C, *positions, *kernel)
    batch, _, *rest = taps.shape
    weight, groups, axes = operation.weight.integers, operation.groups, operation.axes
    split = taps.reshape(batch, groups, weight.shape[1], *rest)
    rows = np.moveaxis(split, 2, 2 + axes).reshape(batch, groups, math.prod(rest[:axes]), math.prod(weight.shape[1:]))
    matrices = weight.reshape(groups, len(weight) // groups, -1)
    sums = _product(rows, matrices)  # (B, groups, positions, out / groups)
    return np.swapaxes(sums, 2, 3).reshape(batch, len(weight), *rest[:axes]) + _bias(operation, 1 + axes)


@run_operation.register
def _(operation: operations.Add, types: list[operations.Value], *inputs: Array) -> Array:
    fraction = max(value.format.fraction for value in types)
    a, b = (shift(x, value.format.fraction - fraction) for x, value in zip(inputs, types, strict=True))
    return a + b


@run_operation.register
def _(operation: operations.Requantise, types: list[operations.Value], *inputs: Array) -> Array:
    bits = types[0].format.fraction - operation.format.fraction
    return saturate(shift(inputs[0], bits), operation.format)


@run_operation.register
def _(operation: operations.Clip, types: list[operations.Value], *inputs: Array) -> Array:
    clipped: Array = np.clip(inputs[0], operation.low, operation.high)
    return clipped


@run_operation.register
def _(operation: operations.MaxPool, types: list[operations.Value], *inputs: Array) -> Array:
    largest: Array = windows(inputs[0], operation.size, operation.stride).max(
        axis=tuple(range(-len(operation.size), 0))
    )
    return largest


@run_operation.register
def _(operation: operations.AveragePool, types: list[operations.Value], *inputs: Array) -> Array:
    total: Array = windows(inputs[0], operation.size, operation.stride).sum(axis=tuple(range(-len(operation.size), 0)))
    return total


@run_operation.register
def _(operation: operations.Flatten, types: list[operations.Value], *inputs: Array) -> Array:
    return inputs[0].reshape(len(inputs[0]), math.prod(inputs[0].shape[1:]))


@run_operation.register
def _(operation: operations.PixelShuffle, types: list[operations.Value], *inputs: Array) -> Array:
    batch, channels, rows, columns = inputs[0].shape
    factor = operation.factor
    apart = inputs[0].reshape(batch, channels // factor**2, factor, factor, rows, columns)
    return apart.transpose(0, 1, 4, 2, 5, 3).reshape(batch, -1, rows * factor, columns * factor)


@run_operation.register
def _(operation: elements.Subtract, types: list[operations.Value], *inputs: Array) -> Array:
    fraction = max(value.format.fraction for value in types)
    a, b = (shift(x, value.format.fraction - fraction) for x, value in zip(inputs, types, strict=True))
    return a - b


@run_operation.register
def _(operation: elements.Multiply, types: list[operations.Value], *inputs: Array) -> Array:
    return inputs[0] * inputs[1]


@run_operation.register
def _(operation: elements.Table, types: list[operations.Value], *inputs: Array) -> Array:
    entries = operation.entries.integers.astype(np.int64)
    rows = np.arange(inputs[0].shape[1]) % len(entries)
    looked_up: Array = entries[rows.reshape(-1, *(1,) * (inputs[0].ndim - 2)), inputs[0] - types[0].format.low]
    return looked_up


@run_operation.register
def _(operation: moves.ConstantValue, types: list[operations.Value], *inputs: Array) -> Array:
    return operation.constant.integers[None].astype(np.int64)


@run_operation.register
def _(operation: moves.Rearrange, types: list[operations.Value], *inputs: Array) -> Array:
    batch = len(inputs[0])
    return inputs[0].reshape(batch, -1)[:, operation.places.integers].reshape(batch, *operation.shape)


@run_operation.register
def _(operation: moves.Concatenate, types: list[operations.Value], *inputs: Array) -> Array:
    fraction = max(value.format.fraction for value in types)
    terms = [shift(x, value.format.fraction - fraction) for x, value in zip(inputs, types, strict=True)]
    return np.concatenate(terms, axis=operation.axis + 1)


@run_operation.register
def _(operation: moves.Resample, types: list[operations.Value], *inputs: Array) -> Array:
    rows = inputs[0][:, :, operation.row_places.integers]  # (B, C, rows, taps, W)
    lines = (rows * operation.row_weights.integers.astype(np.int64)[..., None]).sum(3)
    columns = lines[..., operation.column_places.integers]
    resampled: Array = (columns * operation.column_weights.integers.astype(np.int64)).sum(-1)
    return resampled


@run_operation.register
def _(operation: tokens.Embedding, types: list[operations.Value], *inputs: Array) -> Array:
    table = operation.table.integers
    rows: Array = table[inputs[0].clip(0, len(table) - 1)].astype(np.int64)
    return rows.swapaxes(1, 2)


@run_operation.register
def _(operation: tokens.MatrixProduct, types: list[operations.Value], *inputs: Array) -> Array:
    pixels, weights = inputs
    by_row = np.moveaxis(weights, (2, operation.inner_axis + 1), (1, 3))  # (B, H, N, K)
    matrices = by_row.astype(np.float64) @ pixels.swapaxes(1, 2).astype(np.float64)  # exact, as in `_product`
    return matrices.astype(np.int64).swapaxes(1, 2)


@run_operation.register
def _(operation: tokens.Softmax, types: list[operations.Value], *inputs: Array) -> Array:
    away = inputs[0].max(1, keepdims=True) - inputs[0]
    fine, coarse = operation.exponentials.integers.astype(np.int64)
    terms = (coarse[away >> 8] * fine[away & 255] + (1 << 14)) >> tokens.EXPONENTIAL_BITS
    shares: Array = np.minimum((terms * ((1 << 46) // terms.sum(1, keepdims=True)) + (1 << 37)) >> 38, 255)
    return shares


@run_operation.register
def _(operation: tokens.LayerNorm, types: list[operations.Value], *inputs: Array) -> Array:
    x, channels = inputs[0], inputs[0].shape[1]
    total = x.sum(1, keepdims=True)
    squares = channels * (x * x).sum(1, keepdims=True) - total**2 + int(operation.epsilon.integers[0])
    digits = np.frexp(squares.astype(np.float64))[1].astype(np.int64)
    digits -= (squares < 1 << np.maximum(digits - 1, 0)) & (squares > 0)  # where float64 rounded up to a power of two
    e = (digits - 21) >> 1
    narrow = np.where(e < 0, squares << np.maximum(-2 * e, 0), squares >> np.maximum(2 * e, 0))
    root = np.maximum(np.floor(np.sqrt(narrow.astype(np.float64))).astype(np.int64), 1)
    apart = channels * x - total
    half = np.where(e > 0, 1 << np.maximum(e - 1, 0), 0)
    apart = np.where(e < 0, apart << np.maximum(-e, 0), (apart + half) >> np.maximum(e, 0))
    normal = (apart * ((1 << 23) // root) + (1 << 13)) >> (23 - tokens.NORMAL_BITS)
    shape = (-1, *(1,) * (x.ndim - 2))
    weight, bias = (each.integers.astype(np.int64).reshape(shape) for each in (operation.weight, operation.bias))
    normed: Array = normal * weight + bias
    return normed


def _product(rows: Array, matrix: NDArray[Any]) -> Array:
    """`rows @ matrix.T` over the last axes.

    In float64, for its speed: the program has proven that no partial sum reaches 2**53, and below it float64 counts
    exactly. A test compares with int64 arithmetic.
    """
    sums = rows.astype(np.float64) @ np.swapaxes(matrix.astype(np.float64), -1, -2)
    return sums.astype(np.int64)


def _bias(operation: operations.AbstractWeighted, axes: int) -> Array:
    return operation.bias_integers.reshape(-1, *(1,) * (axes - 1))
