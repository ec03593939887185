"""Operations of floats that move numbers, join tensors, and change the size of images."""

import math
from typing import Any

import numpy as np
import torch
from torch import fx
from torch.nn import functional

from mobile.lowering.float_walk import Walk
from mobile.lowering.floats import PadFloats, PoolFloats, ResampleFloats, Taps
from mobile.lowering.placed import Placed
from shared.importers.graph import TracedNode
from shared.importers.interpolation import interpolation_options, interpolation_taps
from shared.importers.moves import MOVES
from shared.integer.geometry import plane


def move(walk: Walk, node: TracedNode) -> None:
    """What only moves numbers: torch moves their places."""
    result = walk.run(node.call)
    source = walk.values[node.inputs[0]]
    of = source if isinstance(source, tuple) else (source,)
    memory = of[0].memory  # the parts of a tensor lie in one memory

    def moved(part: torch.Tensor) -> Placed:
        return Placed(memory, part.long())

    walk.values[node.name] = tuple(map(moved, result)) if isinstance(result, tuple | list) else moved(result)


def concatenate(walk: Walk, node: TracedNode) -> None:
    """Tensors one behind the other, along any axis: each is moved to its box of the result."""
    axis = walk.option(node, 1, "dim", 0) % (len(node.shape) + 1) - 1
    if axis < 0:
        walk.refuse(node, "it joins samples; join another axis")
    parts = _parts(walk, node)
    in_lines = len(node.shape) > 1 and all(each.as_image() is None for each in parts if not each.memory.is_constant)
    result = (Placed.lines if in_lines else Placed.image)(node.name, node.shape)
    out = walk.end(node, result)
    begin = 0
    for part in parts:
        to = result.index.narrow(axis + 1, begin, part.shape[axis]).flatten()
        begin += part.shape[axis]
        corner = (to // out.pitch // out.columns, to // out.pitch % out.columns, to % out.pitch)
        box = [each - each.min() for each in corner]
        table = torch.empty([int(each.max()) + 1 for each in box], dtype=torch.int64)
        table[*box] = part.index.flatten()
        walk.move(part.memory, table, out, int(to.min()))


def _parts(walk: Walk, node: TracedNode) -> tuple[Placed, ...]:
    """The tensors of a concatenation in order, one that is joined twice included."""
    joined = node.argument(0, "tensors", ())
    if isinstance(joined, fx.Node):  # the parts of a tensor
        value = walk.values[joined.name]
        return value if isinstance(value, tuple) else (value,)
    return tuple(walk.placed(each.name) for each in joined)


def pool(walk: Walk, node: TracedNode) -> None:
    """The largest or the mean of windows."""
    layer: Any = node.layer
    if layer is None:
        walk.refuse(node, "use a pool that is a layer")
    x, name = walk.image(node), type(layer).__name__
    size, stride, padding = (x.rows, x.columns), (1, 1), (0, 0)
    if "Adaptive" not in name:
        axes = len(node.shape) - 1
        size, stride, padding = (
            plane((each,) * axes if isinstance(each, int) else tuple(each), fill)
            for each, fill in ((layer.kernel_size, 1), (layer.stride, 1), (layer.padding, 0))
        )
        dilation = getattr(layer, "dilation", 1)
        if layer.ceil_mode or dilation not in (1, (1, 1), (1,)) or getattr(layer, "divisor_override", None):
            walk.refuse(node, "leave out ceil_mode, dilation and divisor_override")
    out = walk.end(node, Placed.image(node.name, node.shape))
    if "Adaptive" in name and out.pixels != 1:
        walk.refuse(node, "use a pool with a window of its own")
    inside = not getattr(layer, "count_include_pad", True)
    walk.calls.append(PoolFloats((x,), out, size, stride, padding, "Max" in name, inside))


def pad(walk: Walk, node: TracedNode) -> None:
    """Zeros around images, as many as there are to be on each side."""
    sides = list(node.argument(1, "padding" if node.layer is not None else "pad", ()))
    mode, value = node.argument(2, "mode", "constant"), node.argument(3, "value", 0)
    axes = len(node.shape) - 1
    if mode != "constant" or value or min(sides) < 0 or any(sides[2 * axes :]):
        walk.refuse(node, "pad images with zeros; use a layer for other ways")
    x = walk.image(node)
    left, _, top, _ = (*sides, 0, 0, 0, 0)[:4]
    out = walk.end(node, Placed.image(node.name, node.shape))
    walk.calls.append(PadFloats((x,), out, top, left))


def mean(walk: Walk, node: TracedNode) -> None:
    """The mean over some axes, which become the pixels of a pool."""
    source, axes = walk.placed(node.inputs[0]), walk.option(node, 1, "dim", ())
    over = sorted(axis % source.index.ndim for axis in ([axes] if isinstance(axes, int) else axes))
    if not over or over[0] == 0:
        walk.refuse(node, "it takes the mean over samples; name the other axes")
    moved = source.index.movedim(over, list(range(1, len(over) + 1)))
    channels = math.prod(moved.shape[len(over) + 1 :])
    x = walk.lines(node, Placed(source.memory, moved.reshape(1, -1, channels)))
    result = Placed.lines(node.name, (channels,))
    out = walk.end(node, Placed(result.memory, result.index.reshape(1, *node.shape)))
    walk.calls.append(PoolFloats((x,), out, (x.rows, x.columns), (1, 1), (0, 0), False, False))


def resize(walk: Walk, node: TracedNode) -> None:
    """Interpolation: the nearest pixel is moved, others are weighted sums of rows and of columns, as torch says."""
    options = interpolation_options(node)
    x = walk.placed(node.inputs[0])
    if options["mode"].startswith("nearest"):
        index = functional.interpolate(x.index.double(), **options).long()
        walk.values[node.name] = Placed(x.memory, index)
        return
    source = walk.image(node)
    out = walk.end(node, Placed.image(node.name, node.shape))
    sizes = (source.rows, source.columns)[-(len(node.shape) - 1) :]
    taps = [_taps(size, axis, options) for axis, size in enumerate(sizes)]
    row, column = (_taps(1, None, options), *taps) if len(taps) == 1 else taps
    walk.calls.append(ResampleFloats((source,), out, row, column))


def _taps(size: int, axis: int | None, options: dict[str, Any]) -> Taps:
    """The matrix of the interpolation of an axis, and its numbers; of an axis that is not there, one pixel."""
    if axis is None:
        return Taps(np.zeros((1, 1), np.int32), np.ones((1, 1), np.float32))
    places, weights = interpolation_taps(size, axis, options)
    return Taps(places.numpy().astype(np.int32), weights.numpy().astype(np.float32))


def is_move(node: TracedNode) -> bool:
    """Whether a node only moves numbers."""
    return node.plain_name in MOVES
