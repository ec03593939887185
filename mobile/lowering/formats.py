"""Formats of a layer's weights: dense, or lists of the blocks of 2 x 4 or 1 x 4 weights that are not zero."""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mobile.lowering.calls import DepthwiseLists, Lists
from mobile.lowering.pairs import in_pairs, loads, split

FORMATS: Final[Mapping[str, int]] = {"dense": 4, "2x4": 2, "1x4": 1}
"""Outputs of a block, by name; every block has four neighbouring inputs of one tap."""


def filled(array: NDArray[Any], axis: int) -> NDArray[Any]:
    """Zeros behind, up to a multiple of four."""
    widths = [(0, -array.shape[k] % 4 if k == axis else 0) for k in range(array.ndim)]
    return np.pad(array, widths)


def blocks(weight: NDArray[Any]) -> NDArray[Any]:
    """Weights `(out, in, *kernel)` as `(outputs, entries, 4)`: entries go by four inputs, then by tap."""
    whole = filled(filled(weight, 0), 1)
    out, inputs, *kernel = whole.shape
    apart = whole.reshape(out, inputs // 4, 4, math.prod(kernel)).swapaxes(2, 3)
    return np.ascontiguousarray(apart.reshape(out, -1, 4))


def lists(name: str, weights: NDArray[np.int8], offsets: NDArray[np.int32]) -> Lists:
    """The weights `(outputs, entries, 4)` in a format; the outputs are a multiple of four.

    `offsets` `(entries,)` say where the four inputs of each entry lie. A dense layer leaves out entries that no output
    multiplies: they are inputs that do not exist for it.
    """
    rows = FORMATS[name]
    grouped = weights.reshape(len(weights) // rows, rows, *weights.shape[1:]).swapaxes(
        1, 2
    )  # (blocks, entries, rows, 4)
    kept = grouped.any(axis=(2, 3))
    if name == "dense":
        kept = np.broadcast_to(kept.any(0), kept.shape)
    owner, entry = np.nonzero(kept)
    return _in_order(rows, len(grouped), owner, offsets[entry], grouped[kept])


def _in_order(
    rows: int, count: int, owner: NDArray[np.intp], offsets: NDArray[np.int32], weights: NDArray[np.int8]
) -> Lists:
    """Entries of `count` blocks, split and paired: what can be added in 16 bits stands before the rest."""
    fitting, again, rest = split(weights.reshape(len(weights), 2 * rows, 2))
    owner, offsets = np.concatenate([owner, owner[again]]), np.concatenate([offsets, offsets[again]])
    weights = np.concatenate([fitting, rest])
    order, paired = in_pairs(owner, loads(weights))
    first = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=count))]).astype(np.int32)
    pairs = np.bincount(owner[order[paired]], minlength=count).astype(np.int32)
    return Lists(rows, first, pairs, offsets[order], np.ascontiguousarray(weights[order].reshape(len(order), rows, 4)))


def depthwise_lists(weights: NDArray[np.int8], offsets: NDArray[np.int32], plane: int) -> DepthwiseLists:
    """The weights `(channels, taps)` of a depthwise layer: two taps side by side are added in 16 bits.

    `offsets` `(taps,)` are those of the first plane, `plane` is the distance to the next. The channels are a multiple
    of four. A tap that fits beside no other of its plane stands beside a weight that is zero.
    """
    taps = weights.reshape(-1, 4, weights.shape[1]).swapaxes(1, 2)  # (planes, taps, 4)
    planes, count = taps.shape[:2]
    owner = np.repeat(np.arange(planes), count)
    order, paired = in_pairs(owner, loads(taps.reshape(-1, 4, 1)))
    steps = np.where(paired, 1, 2).reshape(planes, count)
    room = -(-steps.sum(1) // 4) * 4
    first = np.concatenate([[0], np.cumsum(room)])
    places = (first[:-1, None] + steps.cumsum(1) - steps).ravel()
    at = np.repeat(np.arange(planes) * plane, room)  # where the weight is zero the first pixel is read
    at[places] += np.tile(offsets, planes)[order]
    packed = np.zeros((first[-1], 4), np.int8)
    packed[places] = taps.reshape(-1, 4)[order]
    fours = np.ascontiguousarray(packed.reshape(-1, 4, 4).swapaxes(1, 2))
    return DepthwiseLists(first.astype(np.int32), at.astype(np.int32), fours)


def share(weights: NDArray[Any], name: str) -> float:
    """Share of the blocks of a format that hold a weight, of weights `(outputs, entries, 4)`."""
    rows = FORMATS[name]
    return float(weights.reshape(len(weights) // rows, rows, *weights.shape[1:]).any(axis=(1, 3)).mean())
