"""The operations of an integer program on da4ml's symbols: what becomes adders, and how it rounds."""

from decimal import Decimal
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import integer
from shared.integer.format import Format, saturate, shift
from shared.integer.geometry import windows

Symbols = NDArray[np.object_]
"""da4ml's `FixedVariable`s, all integers, shaped like the value they stand for."""

COSTS = (1, -1, -1)  # da4ml's adder: one table per bit, one level of delay whatever its width, no cutoff while tracing


def symbols(value: integer.Value) -> Symbols:
    """A new symbol for each element of an input."""
    from da4ml.trace import FixedVariableArray

    low, high = (np.full(value.shape, float(end)) for end in (value.low, value.high))
    variables: Symbols = FixedVariableArray.from_lhs(low, high, np.ones(value.shape), COSTS)._vars
    return variables


@singledispatch
def trace_operation(operation: integer.Operation, values: list[integer.Value], *inputs: Symbols) -> Symbols:
    """The output of an operation; `values` are the program's values of `inputs`."""
    raise TypeError(f"{type(operation).__name__} {operation.output!r} cannot be unrolled")


@trace_operation.register
def _(operation: integer.Linear, values: list[integer.Value], *inputs: Symbols) -> Symbols:
    return _sums(inputs[0], operation.weight.integers.astype(np.int64), operation.bias_integers)


@trace_operation.register
def _(operation: integer.AbstractConvolution, values: list[integer.Value], *inputs: Symbols) -> Symbols:
    weight, bias = operation.weight.integers.astype(np.int64), operation.bias_integers
    flat, groups = inputs[0].ravel(), operation.groups
    pad = [(0, 0), *((p, p) for p in operation.padding)]
    places = np.pad(np.arange(flat.size).reshape(inputs[0].shape), pad, constant_values=-1)
    taps_at = windows(places, operation.kernel, operation.stride)  # (C, *positions, *kernel)
    positions = taps_at.shape[1 : 1 + operation.axes]
    sums = np.empty((len(weight), *positions), object)
    for group in range(groups):
        out = slice(group * len(weight) // groups, (group + 1) * len(weight) // groups)
        own = taps_at[group * weight.shape[1] : (group + 1) * weight.shape[1]]
        for position in np.ndindex(positions):
            taps = own[(slice(None), *position)].ravel()
            rows = weight[out].reshape(out.stop - out.start, -1)
            sums[(out, *position)] = _sums(flat[taps[taps >= 0]], rows[:, taps >= 0], bias[out])
    return sums


@trace_operation.register
def _(operation: integer.Add, values: list[integer.Value], *inputs: Symbols) -> Symbols:
    fraction = max(value.format.fraction for value in values)
    a, b = (x * 2.0 ** (fraction - value.format.fraction) for x, value in zip(inputs, values, strict=True))
    total: Symbols = a + b
    return total


@trace_operation.register
def _(operation: integer.MaxPool, values: list[integer.Value], *inputs: Symbols) -> Symbols:
    return _pooled(np.max, operation, inputs[0])


@trace_operation.register
def _(operation: integer.AveragePool, values: list[integer.Value], *inputs: Symbols) -> Symbols:
    return _pooled(np.sum, operation, inputs[0])


@trace_operation.register
def _(operation: integer.PixelShuffle, values: list[integer.Value], *inputs: Symbols) -> Symbols:
    (channels, rows, columns), factor = inputs[0].shape, operation.factor
    apart = inputs[0].reshape(channels // factor**2, factor, factor, rows, columns)
    return apart.transpose(0, 3, 1, 4, 2).reshape(-1, rows * factor, columns * factor)


@trace_operation.register
def _(operation: integer.Flatten, values: list[integer.Value], *inputs: Symbols) -> Symbols:
    return inputs[0].ravel()


@trace_operation.register
def _(operation: integer.Requantise, values: list[integer.Value], *inputs: Symbols) -> Symbols:
    bits = values[0].format.fraction - operation.format.fraction
    elements = [requantised(x, bits, operation.format) for x in inputs[0].ravel()]
    return _array(elements).reshape(inputs[0].shape)


@trace_operation.register
def _(operation: integer.Clip, values: list[integer.Value], *inputs: Symbols) -> Symbols:
    raise ValueError(f"Clip {operation.output!r} has no adders of da4ml here: fold the net (style=folded)")


def requantised(x: Any, bits: int, to: Format) -> Any:
    """`saturate(shift(x, bits), to)`, with one addition of a constant, which joins the bias before it.

    With `t = x + half`, `t >> bits` is rounded half up. It differs from half to even only at a tie, where the dropped
    bits of `t` are all 0, and there by its last bit, which must become 0: an AND instead of a second adder.
    """
    low, high = shift(np.array([int(x.low), int(x.high)]), bits)
    ends = saturate(np.array([low, high]), to).tolist()
    if ends[0] == ends[1]:
        return _constant(ends[0])
    return _clipped(_within(_rounded(x, bits), int(low), int(high)), int(low), int(high), to)


def _rounded(x: Any, bits: int) -> Any:
    if x.step * Decimal(2) ** -bits >= 1:  # nothing is dropped
        return x * 2.0**-bits
    t = _plus(x, 1 << (bits - 1))
    kept = _from(t, bits) * 2.0**-bits
    rest = t.quantize(0, bits, 0)
    odd = kept.quantize(0, 1, 0)
    return _from(kept, 1) | (odd & _any(rest))


def _clipped(x: Any, low: int, high: int, to: Format) -> Any:
    """`x`, which lies within `low` to `high`, saturated. A number is too large if a bit beyond the format is set."""
    width = to.word - to.signed
    if low >= to.low and high <= to.high:
        return x
    if low >= 0 or not to.signed:
        natural = x.relu() if low < 0 else x
        if high <= to.high:
            return _within(natural, max(low, 0), high)
        fits = ~_any(_from(natural, width))
        return fits.msb_mux(natural.quantize(0, width, 0), to.high, (max(low, 0), to.high, 1))
    top, negative = _from(x, width), x.is_negative()
    # Of a negative number that fits, all those bits are 1; there is none if the lowest of them is not even wired.
    different = x if x.step > 2**width else negative.msb_mux(~top, top)
    fits = ~_any(different)
    end = negative.msb_mux(to.low, to.high)
    return fits.msb_mux(x.quantize(1, width, 0), end, (max(low, to.low), min(high, to.high), 1))


def _sums(x: Symbols, weight: NDArray[np.int64], bias: NDArray[np.int64]) -> Symbols:
    """`weight @ x + bias`; `x` is `(in,)`, the weight `(out, in)`."""
    from da4ml.trace import FixedVariableArray

    low, high = np.array([[int(v.low), int(v.high)] for v in x], np.int64).reshape(-1, 2).T
    moving = (low < high) & weight.any(0)
    start = weight[:, ~moving] @ low[~moving] + bias
    x, weight, low, high = x[moving], weight[:, moving], low[moving], high[moving]
    if not x.size:
        return _array([_constant(int(n)) for n in start])
    sums = (FixedVariableArray(x) @ weight.T.astype(np.float64))._vars
    plus, minus = np.maximum(weight, 0), np.minimum(weight, 0)
    lows, highs = plus @ low + minus @ high, plus @ high + minus @ low
    # da4ml adds up the ranges of terms that move together as if they did not; the weights know better.
    ends = zip(sums, lows.tolist(), highs.tolist(), start.tolist(), strict=True)
    return _array([_plus(_within(v, low, high), n) for v, low, high, n in ends])


def _plus(x: Any, n: int) -> Any:
    """`x + n`. A negated `x` is complemented, which costs nothing, instead: `-u = ~u + 1`."""
    if n == 0 or x._factor > 0 or x.low == x.high:
        return x + n
    u = -x
    signed, int_bits, _ = u.kif
    return ~u + (n + u.step if signed else n + u.step - 2**int_bits)


def _within(x: Any, low: int, high: int) -> Any:
    """The same number, in the bits that `low` to `high`, which hold it, need."""
    if x._factor < 0:
        return -_within(-x, -high, -low)
    if x.low >= low and x.high <= high:
        return x
    kept = x.quantize(low < 0, max((-low - 1).bit_length() if low < 0 else 0, high.bit_length()), x.kif[2])
    if kept is x:
        return x
    return kept._with(low=max(kept.low, Decimal(low)), high=min(kept.high, Decimal(high)))


def _from(x: Any, bit: int) -> Any:
    """`x` rounded down to a multiple of `2**bit`: its bits from that one on."""
    signed, int_bits, _ = x.kif
    return x.quantize(signed, max(int_bits, bit), -bit)


def _any(x: Any) -> Any:
    """1 unless `x` is 0. Of the bits as they are wired: da4ml forgets the scale of this operation when it retimes."""
    return x.unscaled.unary_bit_op("any")


def _constant(n: int) -> Any:
    from da4ml.trace import FixedVariable

    return FixedVariable.from_const(n, COSTS)


def _pooled(reduce: Any, operation: integer.AbstractPool, x: Symbols) -> Symbols:
    from da4ml.trace import FixedVariableArray

    pools = windows(x, operation.size, operation.stride)
    rows = pools.reshape(*pools.shape[: x.ndim], -1)
    pooled: Symbols = reduce(FixedVariableArray(rows, hwconf=COSTS), axis=-1)._vars
    return pooled


def _array(elements: list[Any]) -> Symbols:
    array = np.empty(len(elements), object)
    array[:] = elements
    return array
