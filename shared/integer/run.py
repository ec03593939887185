"""Runs an integer program in NumPy, bit for bit."""

import math
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.integer import operations
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
    for operation in program.operations:
        arrays = [values[name] for name in operation.inputs]
        types = [program.values[name] for name in operation.inputs]
        values[operation.output] = np.ascontiguousarray(_step(operation, types, *arrays))
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
def _step(operation: operations.Operation, types: list[operations.Value], *inputs: Array) -> Array:
    raise TypeError(f"{type(operation).__name__} is not an operation of an integer program")


@_step.register
def _(operation: operations.Linear, types: list[operations.Value], *inputs: Array) -> Array:
    return _product(inputs[0], operation.weight.integers) + _bias(operation, 1)


@_step.register(operations.Conv1d)
@_step.register(operations.Conv2d)
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


@_step.register
def _(operation: operations.Add, types: list[operations.Value], *inputs: Array) -> Array:
    fraction = max(value.format.fraction for value in types)
    a, b = (shift(x, value.format.fraction - fraction) for x, value in zip(inputs, types, strict=True))
    return a + b


@_step.register
def _(operation: operations.Requantise, types: list[operations.Value], *inputs: Array) -> Array:
    bits = types[0].format.fraction - operation.format.fraction
    return saturate(shift(inputs[0], bits), operation.format)


@_step.register
def _(operation: operations.Clip, types: list[operations.Value], *inputs: Array) -> Array:
    clipped: Array = np.clip(inputs[0], operation.low, operation.high)
    return clipped


@_step.register
def _(operation: operations.MaxPool, types: list[operations.Value], *inputs: Array) -> Array:
    largest: Array = windows(inputs[0], operation.size, operation.stride).max(
        axis=tuple(range(-len(operation.size), 0))
    )
    return largest


@_step.register
def _(operation: operations.AveragePool, types: list[operations.Value], *inputs: Array) -> Array:
    total: Array = windows(inputs[0], operation.size, operation.stride).sum(axis=tuple(range(-len(operation.size), 0)))
    return total


@_step.register
def _(operation: operations.Flatten, types: list[operations.Value], *inputs: Array) -> Array:
    return inputs[0].reshape(len(inputs[0]), math.prod(inputs[0].shape[1:]))


@_step.register
def _(operation: operations.PixelShuffle, types: list[operations.Value], *inputs: Array) -> Array:
    batch, channels, rows, columns = inputs[0].shape
    factor = operation.factor
    apart = inputs[0].reshape(batch, channels // factor**2, factor, factor, rows, columns)
    return apart.transpose(0, 1, 4, 2, 5, 3).reshape(batch, -1, rows * factor, columns * factor)


def _product(rows: Array, matrix: NDArray[Any]) -> Array:
    """`rows @ matrix.T` over the last axes.

    In float64, for its speed: the program has proven that no partial sum reaches 2**53, and below it float64 counts
    exactly. A test compares with int64 arithmetic.
    """
    sums = rows.astype(np.float64) @ np.swapaxes(matrix.astype(np.float64), -1, -2)
    return sums.astype(np.int64)


def _bias(operation: operations.AbstractWeighted, axes: int) -> Array:
    return operation.bias_integers.reshape(-1, *(1,) * (axes - 1))
