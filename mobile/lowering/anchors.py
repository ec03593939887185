"""Images that a pixel shuffle enlarges, with another, enlarged by the nearest pixel, added: the work of one kernel."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from mobile.lowering.groups import ungrouped
from shared.integer import Add, Conv2d, PixelShuffle, Program, Resample
from shared.integer.operations import Operation

MOST_FACTOR: Final = 64
"""By which a pixel shuffle enlarges."""


@dataclass(frozen=True)
class Squares:
    """`image` with channels as squares, shifted left, and `anchor`, shifted left, one pixel for each square."""

    image: str
    anchor: str
    factor: int
    shifts: tuple[int, int]
    within: tuple[str, ...]
    """The values that are then computed on the way alone."""


def anchored(program: Program) -> Mapping[str, Squares]:
    """The sums of a program that are of this kind, by name."""
    reads = Counter(name for operation in program.live for name in operation.inputs) + Counter(program.outputs)
    once = {operation.output: operation for operation in program.live if reads[operation.output] == 1}
    squares: dict[str, Squares] = {}
    for operation in program.live:
        add = once.get(operation.inputs[0]) if isinstance(operation, PixelShuffle) else operation
        if isinstance(add, Add):
            for terms in (add.inputs, add.inputs[::-1]):
                if joined := _joined(program, operation, add, terms, once):
                    for name in joined.within:  # a pixel shuffle that is part of this one needs no call
                        squares.pop(name, None)
                    squares[operation.output] = joined
    return squares


def _joined(
    program: Program, operation: Operation, add: Add, terms: tuple[str, ...], once: Mapping[str, Operation]
) -> Squares | None:
    """The sum of a pixel shuffle and an enlarged image; or the pixel shuffle of a sum with repeated channels."""
    is_early = operation is not add
    image, other = terms
    shuffle, nearest = operation if is_early else once.get(image), once.get(other)
    if not isinstance(shuffle, PixelShuffle) or shuffle.factor > MOST_FACTOR or nearest is None:
        return None
    repeated = (_repeated if is_early else _enlarged)(program, nearest, shuffle.factor, once)
    fractions = [program.values[name].format.fraction for name in terms]
    shifts = max(fractions) - fractions[0], max(fractions) - fractions[1] + (repeated[1] if repeated else 0)
    if repeated is None or max(shifts) > 31:
        return None
    anchor, _, within = repeated
    if is_early:
        return Squares(image, anchor, shuffle.factor, shifts, (add.output, *within))
    return Squares(shuffle.inputs[0], anchor, shuffle.factor, shifts, (shuffle.output, *within))


Repeated = tuple[str, int, tuple[str, ...]] | None
"""A value whose pixels are repeated, shifted left by how much, and what lies between the two."""


def _enlarged(program: Program, operation: Operation, factor: int, once: Mapping[str, Operation]) -> Repeated:
    """Of an image enlarged by the nearest pixel."""
    source = operation.inputs[0]
    if isinstance(operation, Resample):
        places = [np.arange(n * factor)[:, None] // factor for n in program.values[source].shape[1:]]
        own = (operation.row_places.integers, operation.column_places.integers)
        is_nearest = operation.only_moves and all(map(np.array_equal, own, places))
        return (source, 0, (operation.output,)) if is_nearest else None
    if not isinstance(operation, PixelShuffle) or operation.factor != factor or source not in once:
        return None
    repeated = _repeated(program, once[source], factor, once)
    return repeated and (*repeated[:2], (*repeated[2], operation.output))


def _repeated(program: Program, operation: Operation, factor: int, once: Mapping[str, Operation]) -> Repeated:
    """Of channels that follow each other as often as a square has pixels: how `shared.f8net` enlarges."""
    if not isinstance(operation, Conv2d):
        return None
    weight = ungrouped(operation.weight.integers, operation.groups)
    ones = np.repeat(np.eye(weight.shape[1], dtype=np.int64), factor**2, 0)
    power = int(weight.max())
    moves = operation.stride == (1, 1) and operation.padding == (0, 0) and operation.bias is None
    if not moves or power < 1 or power & (power - 1) or not np.array_equal(weight, ones[:, :, None, None] * power):
        return None
    return operation.inputs[0], power.bit_length() - 1, (operation.output,)
