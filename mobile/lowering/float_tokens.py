"""Operations of floats on tokens: attention and what stands around it."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mobile.lowering.float_elements import joined
from mobile.lowering.float_walk import Walk
from mobile.lowering.floats import (
    EmbedFloats,
    Floats,
    MultiplyFloats,
    NormFloats,
    SoftmaxFloats,
)
from mobile.lowering.placed import Placed
from shared.importers.graph import TracedNode


def multiply(walk: Walk, node: TracedNode) -> None:
    """A matrix product of two tensors, times a number that stands behind it alone."""
    a, b = (walk.placed(name) for name in (*node.inputs, *node.inputs)[:2])
    last, scale = node, 1.0
    reader = walk.sole_reader(node)
    if reader is not None and (factor := _factor(walk, reader)) is not None:
        last, scale = reader, factor
    walk.values[node.name] = walk.values[last.name] = product(walk, node, last.name, a, b, scale)


def product(walk: Walk, node: TracedNode, name: str, a: Placed, b: Placed, scale: float) -> Placed:
    """The matrix product of two tensors whose last two axes are the matrices' own."""
    if min(a.index.ndim, b.index.ndim) < 2 or (a.memory.is_constant and b.memory.is_constant):
        walk.refuse(node, "give it matrices")
    batch = torch.broadcast_shapes(a.index.shape[:-2], b.index.shape[:-2])
    if not batch or batch[0] != 1:
        walk.refuse(node, "keep the batch as the first axis")
    matrices = [_matrices(walk, node, each, batch, place) for place, each in enumerate((a, b))]
    (first, begins_a, steps_a), (second, begins_b, steps_b) = matrices
    shape = (*batch[1:], a.index.shape[-2], b.index.shape[-1])
    rows = math.prod(batch)
    memory = Floats(name, shape[-1], rows, shape[-2])
    index = Placed.lines(name, shape).index
    inner = a.index.shape[-1]
    begins, steps = (begins_a, begins_b), (steps_a, steps_b)
    walk.calls.append(MultiplyFloats((first, second), memory, inner, begins, steps, scale))
    return Placed(memory, index)


def _matrices(
    walk: Walk, node: TracedNode, x: Placed, batch: torch.Size, place: int
) -> tuple[Floats, NDArray[np.int32], tuple[int, int]]:
    """Where the matrices of a tensor begin and the steps between their rows and columns; arranged, if they differ."""
    memory, index = x.memory, x.index
    if (strided := _strides(index)) is None:
        to = Placed.lines(f"{node.name} arranged {place}", tuple(index.shape[1:]))
        memory, index = walk.arrange(memory, index, to), to.index
        strided = _strides(index)
        assert strided is not None
    begins = index[..., 0, 0].expand(batch).flatten().numpy().astype(np.int32)
    return memory, begins, strided


def _strides(index: Tensor) -> tuple[int, int] | None:
    row = int((index[..., 1, 0] - index[..., 0, 0]).flatten()[0]) if index.shape[-2] > 1 else 0
    column = int((index[..., 0, 1] - index[..., 0, 0]).flatten()[0]) if index.shape[-1] > 1 else 0
    inside = torch.arange(index.shape[-2])[:, None] * row + torch.arange(index.shape[-1]) * column
    return (row, column) if index.equal(index[..., :1, :1] + inside) else None


def _factor(walk: Walk, node: TracedNode) -> float | None:
    """The number that a node multiplies by, if that is all it does."""
    divides = node.plain_name in ("div", "truediv")
    if not (divides or node.plain_name == "mul") or getattr(node.call.args[0], "name", "") != node.inputs[0]:
        return None
    numbers = [walk.constant(each) for each in node.call.args[1:]]
    if len(numbers) != 1 or not isinstance(numbers[0], int | float) or (divides and not numbers[0]):
        return None
    return 1 / numbers[0] if divides else float(numbers[0])


def softmax(walk: Walk, node: TracedNode) -> None:
    """Over any axis, which becomes that of channels."""
    axis = walk.option(node, 1, "dim", None)
    if axis is None:
        walk.refuse(node, "name its axis: dim=-1")
    walk.values[node.name] = _softmax(walk, node, node.name, walk.placed(node.inputs[0]), axis)


def _softmax(walk: Walk, node: TracedNode, name: str, x: Placed, axis: int) -> Placed:
    moved = x.index.movedim(axis, -1)
    source = walk.lines(node, Placed(x.memory, moved))
    result = Placed.lines(name, tuple(moved.shape[1:]))
    walk.calls.append(SoftmaxFloats((source,), result.memory))
    return Placed(result.memory, result.index.movedim(-1, axis))


def attention(walk: Walk, node: TracedNode) -> None:
    """`scaled_dot_product_attention`: a product, a mask that is constant or causal, a softmax, a product."""
    if walk.option(node, 7, "enable_gqa", False):
        walk.refuse(node, "repeat the keys and values of grouped heads")
    query, key, value = (walk.placed(name) for name in node.inputs[:3])
    factor = walk.option(node, 6, "scale", None)
    scale = query.shape[-1] ** -0.5 if factor is None else float(factor)
    scores = product(walk, node, f"{node.name}_scores", query, Placed(key.memory, key.index.mT), scale)
    mask = walk.option(node, 3, "attn_mask", None)
    if mask is None and len(node.inputs) > 3:
        walk.refuse(node, "give it a mask that depends on no input")
    if walk.option(node, 5, "is_causal", False):
        mask = torch.ones(scores.shape[-2:]).tril().bool()
    if mask is not None:
        bias = torch.zeros(mask.shape).masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else mask
        scores = joined(walk, node, f"{node.name}_masked", scores, Placed.constant(f"{node.name}_mask", bias), "add")
    shares = _softmax(walk, node, f"{node.name}_shares", scores, -1)
    walk.values[node.name] = product(walk, node, node.name, shares, value, 1.0)


def layer_norm(walk: Walk, node: TracedNode) -> None:
    """Over the last axes, which become channels."""
    x = walk.placed(node.inputs[0])
    shape = walk.option(node, 1, "normalized_shape", ())
    weight, bias = (walk.option(node, k, name, None) for k, name in ((2, "weight"), (3, "bias")))
    epsilon = walk.option(node, 4, "eps", 1e-5)
    moved = x.index.flatten(-len(shape))
    source = walk.lines(node, Placed(x.memory, moved))
    result = Placed.lines(node.name, tuple(moved.shape[1:]))
    out = walk.end(node, Placed(result.memory, result.index.reshape(x.index.shape)))
    factors = [_by_channel(each, out, default) for each, default in ((weight, 1.0), (bias, 0.0))]
    walk.calls.append(NormFloats((source,), out, factors[0], factors[1], float(epsilon)))


def _by_channel(numbers: Tensor | None, out: Floats, default: float) -> NDArray[np.float32]:
    filled = np.zeros(out.pitch, np.float32)
    filled[: out.channels] = default if numbers is None else numbers.detach().float().flatten().cpu().numpy()
    return filled


def embedding(walk: Walk, node: TracedNode) -> None:
    """A row of a table for each number."""
    table = node.layer.weight if isinstance(node.layer, nn.Embedding) else walk.constant(node.call.args[1])
    if not isinstance(table, Tensor):
        walk.refuse(node, "give it a table that depends on no input")
    x = walk.placed(node.inputs[0])
    numbers = walk.lines(node, Placed(x.memory, x.index[..., None]))
    result = Placed.lines(node.name, node.shape)
    out = walk.end(node, result)
    data = np.zeros((len(table), out.pitch), np.float32)
    data[:, : out.channels] = table.detach().float().cpu().numpy()
    rows = Floats(f"{node.name} table", out.channels, len(table), 1, data)
    walk.calls.append(EmbedFloats((numbers, rows), out))
