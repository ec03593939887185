"""Operations that move integers, join values, state constants, and change the size of images."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from shared.integer.operations import Constant, Operation, Value


@dataclass(frozen=True)
class ConstantValue(Operation):
    """A value that depends on no input, such as a position or a mask."""

    constant: Constant
    """`(C, ...)`, of one sample."""
    takes: ClassVar[int] = 0

    def infer(self, *inputs: Value) -> Value:
        integers = self.constant.integers
        if not integers.size or not integers.ndim:
            raise ValueError(f"a value needs a shape of positive sizes, got {integers.shape}")
        return Value(integers.shape, self.constant.format, int(integers.min()), int(integers.max()))


@dataclass(frozen=True)
class Rearrange(Operation):
    """Element `i` of the result is element `places[i]` of the input, both flat, the last axis fastest.

    Slices, transpositions, reshapes and repetitions.
    """

    shape: tuple[int, ...]
    places: Constant

    def infer(self, *inputs: Value) -> Value:
        (x,) = inputs
        size, places = math.prod(x.shape), self.places.integers
        if min(self.shape, default=0) < 1 or places.shape != (math.prod(self.shape),):
            raise ValueError(f"the shape {self.shape} needs as many places, got {places.shape}")
        if places.min() < 0 or places.max() >= size:
            raise ValueError(f"the places {places.min()} to {places.max()} must lie in the {size} of {x.shape}")
        return Value(tuple(self.shape), *x[1:])


@dataclass(frozen=True)
class Concatenate(Operation):
    """Values one behind the other along an axis, 0 being that of channels.

    Those with fewer fraction bits than others are shifted left first; of one format, they keep it. Exact.
    """

    axis: int = 0
    takes: ClassVar[None] = None

    def infer(self, *inputs: Value) -> Value:
        first, axes = inputs[0].shape, len(inputs[0].shape)
        if not 0 <= self.axis < axes:
            raise ValueError(f"axis {self.axis} is none of {first}")
        rests = {(*x.shape[: self.axis], *x.shape[self.axis + 1 :], len(x.shape)) for x in inputs}
        if len(rests) > 1:
            raise ValueError(f"only axis {self.axis} may differ, got {', '.join(str(x.shape) for x in inputs)}")
        size = sum(x.shape[self.axis] for x in inputs)
        shape = (*first[: self.axis], size, *first[self.axis + 1 :])
        if len({x.format for x in inputs}) == 1:
            return Value(shape, inputs[0].format, min(x.low for x in inputs), max(x.high for x in inputs))
        fraction = max(x.format.fraction for x in inputs)
        lows = [x.low << fraction - x.format.fraction for x in inputs]
        return Value.exact(shape, fraction, min(lows), max(x.high << fraction - x.format.fraction for x in inputs))


@dataclass(frozen=True)
class Resample(Operation):
    """Weighted sums of rows and of columns of images `(C, H, W)`: every interpolation that takes the axes apart. Exact.

    ```
    y[c, i, j] = sum_s sum_t row_weights[i, s] column_weights[j, t] x[c, row_places[i, s], column_places[j, t]]
    ```
    With one tap of weight 1 for each row and column it only moves pixels, and keeps the format.
    """

    row_places: Constant
    """`(rows, taps)`"""
    row_weights: Constant
    column_places: Constant
    """`(columns, taps)`"""
    column_weights: Constant

    @property
    def only_moves(self) -> bool:
        """Whether every number of the result is one of the input."""
        return all(
            weights.integers.shape[1] == 1 and weights.format.fraction == 0 and (weights.integers == 1).all()
            for weights in (self.row_weights, self.column_weights)
        )

    def infer(self, *inputs: Value) -> Value:
        (x,) = inputs
        if len(x.shape) != 3:
            raise ValueError(f"an image (C, H, W) is needed, got {x.shape}")
        axes = ((self.row_places, self.row_weights, x.shape[1]), (self.column_places, self.column_weights, x.shape[2]))
        for places, weights, size in axes:
            shape = places.integers.shape
            if len(shape) != 2 or not places.integers.size or weights.integers.shape != shape:
                raise ValueError(f"places and weights must be (results, taps) alike: {shape}, {weights.integers.shape}")
            if places.integers.min() < 0 or places.integers.max() >= size:
                raise ValueError(f"places {places.integers.min()} to {places.integers.max()} must lie in {size} pixels")
        shape = (x.shape[0], len(self.row_places.integers), len(self.column_places.integers))
        if self.only_moves:
            return Value(shape, *x[1:])
        rows, columns = _signed_sums(self.row_weights), _signed_sums(self.column_weights)
        up = int((rows[0] * columns[0][:, None] + rows[1] * columns[1][:, None]).max())
        down = int((rows[0] * columns[1][:, None] + rows[1] * columns[0][:, None]).max())
        low, high = min(x.low, 0), max(x.high, 0)  # partial sums count too
        fraction = x.format.fraction + self.row_weights.format.fraction + self.column_weights.format.fraction
        return Value.exact(shape, fraction, up * low - down * high, up * high - down * low)


def _signed_sums(weights: Constant) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What the positive weights of each result add up to, and the negative ones without their sign."""
    integers = weights.integers.astype(np.int64)
    return np.maximum(integers, 0).sum(1), np.maximum(-integers, 0).sum(1)
