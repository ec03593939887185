"""Runs an integer program in NumPy, bit for bit."""

import math
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from shared.integer.format import Integers, saturate, shift
from shared.integer.operations import (
    Add,
    AveragePool,
    Conv1d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool,
    Operation,
    Requantise,
    Value,
)
from shared.integer.program import Program

Array = NDArray[np.int64]


def run(program: Program, *inputs: Integers) -> dict[str, Array]:
    """Every named value of a program, in order, for a batch.

    `inputs` are integers `(B, *shape)`, one array per input of the program. All values are returned, not only the
    outputs, so that another implementation that differs can be told where it begins to.

    Raises `ValueError` for a wrong shape or integers beyond the input's format, `TypeError` for other than integers.

    >>> from shared.integer.format import Format
    >>> from shared.integer.program import Input
    >>> half = Program((Input("x", (2,), Format(8, 7)),), (Requantise(("x",), "y", Format(7, 6)),), ("y",))
    >>> run(half, np.array([[3, -128]]))["y"]
    array([[  2, -64]])
    """
    values = _inputs(program, inputs)
    for operation in program.operations:
        given = [values[name] for name in operation.inputs]
        about = [program.values[name] for name in operation.inputs]
        values[operation.output] = np.ascontiguousarray(_step(operation, about, *given))
    return values


def outputs(program: Program, *inputs: Integers) -> tuple[Array, ...]:
    """Only the outputs of `run`, in the program's order."""
    values = run(program, *inputs)
    return tuple(values[name] for name in program.outputs)


def _inputs(program: Program, inputs: tuple[Integers, ...]) -> dict[str, Array]:
    if len(inputs) != len(program.inputs):
        raise ValueError(f"the program has {len(program.inputs)} inputs, got {len(inputs)}")
    values = {}
    for wanted, given in zip(program.inputs, inputs, strict=True):
        if given.dtype.kind not in "iu":
            raise TypeError(f"input {wanted.name!r} needs integers, got {given.dtype}: use {wanted.format}.to_integers")
        if given.shape[1:] != wanted.shape or given.ndim < 1:
            raise ValueError(f"input {wanted.name!r} needs (batch, *{wanted.shape}), got {given.shape}")
        if not wanted.format.holds(given):
            ends = f"{wanted.format.low} to {wanted.format.high}"
            raise ValueError(f"input {wanted.name!r} holds {ends}, got {given.min()} to {given.max()}")
        values[wanted.name] = given.astype(np.int64)
    if len({len(value) for value in values.values()}) > 1:
        raise ValueError("the inputs differ in batch size")
    return values


@singledispatch
def _step(operation: Operation, about: list[Value], *inputs: Array) -> Array:
    raise TypeError(f"{type(operation).__name__} is no operation of an integer program")


@_step.register
def _(operation: Linear, about: list[Value], *inputs: Array) -> Array:
    return _product(inputs[0], operation.weight.integers) + _bias(operation, 1)


@_step.register(Conv1d)
@_step.register(Conv2d)
def _(operation: Conv1d | Conv2d, about: list[Value], *inputs: Array) -> Array:
    pad = [(0, 0), (0, 0), *((p, p) for p in operation.padding)]
    windows = _windows(np.pad(inputs[0], pad), operation.kernel, operation.stride)  # (B, C, *shape, *kernel)
    batch, _, *rest = windows.shape
    weight, groups, axes = operation.weight.integers, operation.groups, operation.axes
    split = windows.reshape(batch, groups, weight.shape[1], *rest)
    rows = np.moveaxis(split, 2, 2 + axes).reshape(batch, groups, math.prod(rest[:axes]), math.prod(weight.shape[1:]))
    matrices = weight.reshape(groups, len(weight) // groups, -1)
    sums = _product(rows, matrices)  # (B, groups, positions, out / groups)
    return np.swapaxes(sums, 2, 3).reshape(batch, len(weight), *rest[:axes]) + _bias(operation, 1 + axes)


@_step.register
def _(operation: Add, about: list[Value], *inputs: Array) -> Array:
    fraction = max(value.format.fraction for value in about)
    a, b = (shift(x, value.format.fraction - fraction) for x, value in zip(inputs, about, strict=True))
    return a + b


@_step.register
def _(operation: Requantise, about: list[Value], *inputs: Array) -> Array:
    bits = about[0].format.fraction - operation.format.fraction
    return saturate(shift(inputs[0], bits), operation.format)


@_step.register
def _(operation: MaxPool, about: list[Value], *inputs: Array) -> Array:
    windows = _windows(inputs[0], operation.size, operation.stride)
    largest: Array = windows.max(axis=tuple(range(-len(operation.size), 0)))
    return largest


@_step.register
def _(operation: AveragePool, about: list[Value], *inputs: Array) -> Array:
    windows = _windows(inputs[0], operation.size, operation.stride)
    total: Array = windows.sum(axis=tuple(range(-len(operation.size), 0)))
    return total


@_step.register
def _(operation: Flatten, about: list[Value], *inputs: Array) -> Array:
    return inputs[0].reshape(len(inputs[0]), math.prod(inputs[0].shape[1:]))


def _windows(x: Array, size: tuple[int, ...], stride: tuple[int, ...]) -> Array:
    """`(B, C, *positions, *size)`."""
    axes = tuple(range(2, x.ndim))
    every = sliding_window_view(x, size, axis=axes)
    return every[(slice(None), slice(None), *(slice(None, None, s) for s in stride))]


def _product(rows: Array, matrix: NDArray[Any]) -> Array:
    """`rows @ matrix.T` over the last axes.

    In float64, for its speed: the program has proven that no partial sum reaches 2**53, and below it float64 counts
    exactly. A test compares with int64 arithmetic.
    """
    sums = rows.astype(np.float64) @ np.swapaxes(matrix.astype(np.float64), -1, -2)
    return sums.astype(np.int64)


def _bias(operation: Linear | Conv1d | Conv2d, axes: int) -> Array:
    if operation.bias is None:
        return np.zeros(1, dtype=np.int64)
    return operation.bias.integers.astype(np.int64).reshape(-1, *(1,) * (axes - 1))
