"""Lowers the operations of attention, of moves and of tables to kernel calls."""

from dataclasses import replace
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from mobile.lowering import token_calls as calls
from mobile.lowering.calls import UNCHANGED, Add, View, rounds_up
from mobile.lowering.formats import filled
from mobile.lowering.integer_walk import IntegerWalk
from shared.integer import elements, moves, tokens
from shared.integer.operations import Constant, Operation


@singledispatch
def _emit(operation: Operation, walk: IntegerWalk) -> None:
    raise ValueError(f"{type(operation).__name__} {operation.output!r} has no kernel: leave it to the host")


def emit_token_operation(walk: IntegerWalk, operation: Operation) -> None:
    """The calls of an operation. Raises `ValueError` for one that has no kernel."""
    _emit(operation, walk)


def _bytes(walk: IntegerWalk, operation: Operation) -> View:
    """The result, of at most 8 bits."""
    out = walk.views[operation.output] = walk.view(operation.output)
    if out.sums:
        word = walk.program.values[operation.output].format.word
        raise ValueError(
            f"{type(operation).__name__} {operation.output!r} looks up {word} bits: at most 8 have a kernel"
        )
    return out


@_emit.register
def _(operation: elements.Table, walk: IntegerWalk) -> None:
    x, out = walk.views[operation.inputs[0]], _bytes(walk, operation)
    entries = operation.entries.integers.astype(np.int64) + out.zero
    low = walk.program.values[x.name].format.low + x.zero
    tables = np.zeros((len(entries), 256), np.uint8)
    tables[:, low : low + entries.shape[1]] = entries
    whole = filled(tables, 0) if len(tables) > 1 else tables
    walk.calls.append(calls.Table((x,), out, whole))


@_emit.register
def _(operation: elements.Multiply, walk: IntegerWalk) -> None:
    a, b = (walk.views[name] for name in operation.inputs)
    out, to = walk.ends(operation.output)
    walk.calls.append(calls.Multiply((a, b), out, to))


@_emit.register
def _(operation: moves.ConstantValue, walk: IntegerWalk) -> None:
    out = walk.views[operation.output] = walk.view(operation.output)
    data = np.zeros((out.planes, out.stride, 4), np.int32 if out.sums else np.uint8)
    data.reshape(-1)[_places(out)] = operation.constant.integers.ravel().astype(np.int64) + out.zero
    walk.calls.append(calls.Fill((), out, data))


@_emit.register
def _(operation: moves.Rearrange, walk: IntegerWalk) -> None:
    x = walk.views[operation.inputs[0]]
    out = walk.views[operation.output] = walk.view(operation.output)
    _move(walk, x, out, _places(x)[operation.places.integers], _places(out), 0)


@_emit.register
def _(operation: moves.Concatenate, walk: IntegerWalk) -> None:
    out = walk.views[operation.output] = walk.view(operation.output)
    value = walk.program.values[operation.output]
    places, begin = _places(out).reshape(value.shape), 0
    for part, name in enumerate(operation.inputs):
        x = walk.views[name]
        own = walk.program.values[name]
        if own.format != value.format:
            shifted = replace(walk.view(name), name=f"{operation.output} term {part}", zero=0, sums=True)
            walk.calls.append(Add((x,), shifted, (value.format.fraction - own.format.fraction, 0), UNCHANGED))
            x = shifted
        size = own.shape[operation.axis]
        to = places.take(range(begin, begin + size), operation.axis).ravel()
        begin += size
        _move(walk, x, out, _places(x), to, part)


@_emit.register
def _(operation: moves.Resample, walk: IntegerWalk) -> None:
    x = walk.views[operation.inputs[0]]
    if operation.only_moves:
        out, to = walk.view(operation.output), UNCHANGED
        walk.views[operation.output] = out
    else:
        out, to = walk.ends(operation.output)
    rows = _narrow(operation.row_places), _narrow(operation.row_weights)
    columns = _narrow(operation.column_places), _narrow(operation.column_weights)
    walk.calls.append(calls.Resample((x,), out, rows, columns, operation.only_moves, to))


@_emit.register
def _(operation: tokens.Embedding, walk: IntegerWalk) -> None:
    x, out = walk.views[operation.inputs[0]], _bytes(walk, operation)
    table = filled(operation.table.integers.astype(np.int64) + out.zero, 1).astype(np.uint8)
    walk.calls.append(calls.Embed((x,), out, table))


@_emit.register
def _(operation: tokens.LayerNorm, walk: IntegerWalk) -> None:
    x = walk.views[operation.inputs[0]]
    out, to = walk.ends(operation.output)
    weight, bias = (filled(each.integers.astype(np.int32), 0) for each in (operation.weight, operation.bias))
    walk.calls.append(calls.Norm((x,), out, weight, bias, int(operation.epsilon.integers[0]), to))


@_emit.register
def _(operation: tokens.Softmax, walk: IntegerWalk) -> None:
    x, out = walk.views[operation.inputs[0]], _bytes(walk, operation)
    walk.calls.append(calls.Softmax((x,), out, operation.exponentials.integers.astype(np.int32)))


@_emit.register
def _(operation: tokens.MatrixProduct, walk: IntegerWalk) -> None:
    pixels, weights = (walk.views[name] for name in operation.inputs)
    out, to = walk.ends(operation.output, vectors=True)
    more = 0 if out.sums else rounds_up(to, out.zero)
    inner = walk.program.values[operation.inputs[0]].shape[0]
    walk.calls.append(calls.Product((pixels, weights), out, operation.transposed, inner, more, to))


def _narrow(constant: Constant) -> NDArray[np.int32]:
    return constant.integers.astype(np.int32)


def _places(view: View) -> NDArray[np.int64]:
    """Where each number of a value lies in its part of the arena, channels first, flat."""
    channel, row, column = np.indices((view.channels, view.rows, view.columns))
    places: NDArray[np.int64] = (channel // 4 * view.stride + row * view.pitch + column) * 4 + channel % 4
    return places.ravel()


def _move(walk: IntegerWalk, x: View, out: View, source: NDArray[np.int64], to: NDArray[np.int64], part: int) -> None:
    """A call that moves the numbers at `source` to `to`: four channels at a time where they stay together."""
    order = np.argsort(to)
    source, to = source[order], to[order]
    each = 1
    if out.channels % 4 == 0 and x.channels % 4 == 0 and len(to) % 4 == 0:
        fours, ends = source.reshape(-1, 4), to.reshape(-1, 4)
        together = (fours - fours[:, :1] == np.arange(4)).all() and (ends - ends[:, :1] == np.arange(4)).all()
        if together and not (fours[:, 0] % 4).any() and not (ends[:, 0] % 4).any():
            each, source, to = 4, fours[:, 0], ends[:, 0]
    if each == 1:  # pixels of one channel after the other
        order = np.lexsort((to, to % 4, to // (4 * out.stride)))
        source, to = source[order], to[order]
    new = np.ones(len(to), bool)
    new[1:] = (np.diff(source) != 4) | (np.diff(to) != 4)
    begins = np.flatnonzero(new)
    lengths = np.diff(np.append(begins, len(to)))
    runs = np.stack([source[begins], to[begins], lengths], 1).astype(np.int32)
    walk.calls.append(calls.Rearrange((x,), out, each, runs, part))
