"""Operations of attention: matrix products, softmax, layer norms, embeddings."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from shared.f8net import token_steps as steps
from shared.f8net.builder import Builder
from shared.f8net.operators.arithmetic import joined
from shared.f8net.placed import Placed
from shared.f8net.scales import REAL
from shared.importers.graph import TracedNode


def attention(builder: Builder, node: TracedNode) -> None:
    """`scaled_dot_product_attention`: a product, a mask that is constant or causal, a softmax, a product."""
    option = {
        name: builder.evaluator.constant(node.argument(place, name, default))
        for place, name, default in ((3, "attn_mask", None), (5, "is_causal", False), (6, "scale", None))
    }
    builder.refuse(
        node, len(node.inputs) > 3 and option["attn_mask"] is None, "a mask that is computed", "use a constant"
    )
    query, key, value = (builder.value(node, name) for name in node.inputs[:3])
    scale = query.shape[-1] ** -0.5 if option["scale"] is None else float(option["scale"])
    scores = _matrices(builder, node, f"{node.name}_products", query, Placed(key.step, key.index.mT))
    scores = Placed(builder.rescaled(f"{node.name}_scores", scores.step, scale), scores.index)
    mask = option["attn_mask"]
    if option["is_causal"]:
        mask = torch.ones(scores.shape[-2:]).tril().bool()
    if mask is not None:
        bias = torch.zeros(mask.shape).masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else mask
        name = _constant_like(builder, f"{node.name}_mask", bias, scores)
        scores = Placed(joined(builder, f"{node.name}_masked", scores.step, name, None), scores.index)
    shares = _shares(builder, f"{node.name}_shares", scores, -1)
    builder.placed[node.name] = _matrices(builder, node, node.name, shares, value)


def _constant_like(builder: Builder, name: str, tensor: Tensor, like: Placed) -> str:
    """A constant that is broadcast to a tensor, as the value that holds it lies."""
    shape = builder.values[like.step].shape
    own = torch.zeros(math.prod(shape))
    own[like.index.flatten()] = tensor.float().broadcast_to(like.index.shape).flatten()
    return builder.constant(name, own.reshape(shape), like.step)


def matrices(builder: Builder, node: TracedNode) -> None:
    """A matrix product of two tensors."""
    a, b = (builder.value(node, name) for name in (*node.inputs, *node.inputs)[:2])
    builder.refuse(node, len(node.inputs) == 1, "a factor that is a constant", "use nn.Linear")
    builder.placed[node.name] = _matrices(builder, node, node.name, a, b)


def _matrices(builder: Builder, node: TracedNode, name: str, a: Placed, b: Placed) -> Placed:
    """`a @ b`: the last axis of `a` are the channels that are summed over."""
    builder.refuse(node, min(a.index.ndim, b.index.ndim) < 3, "vectors", "give it matrices, with the batch before them")
    batch = np.broadcast_shapes(a.index.shape[:-2], b.index.shape[:-2])  # torch's own loads its compiler first
    at_a = a.index.expand(*batch, *a.index.shape[-2:]).flatten(0, -3)  # (rows, M, K)
    at_b = b.index.expand(*batch, *b.index.shape[-2:]).flatten(0, -3)  # (rows, K, N)
    first, second = builder.narrow(a.step), builder.narrow(b.step, signed=True)
    pixels = builder.arranged(first, at_a.permute(2, 0, 1))
    positions = math.prod(builder.values[second].shape[1:])
    step = int((at_b[0, 1, 0] - at_b[0, 0, 0]) if at_b.shape[1] > 1 else 0)
    transposed = step != 0 and step % positions == 0  # what is summed over are channels of the value already
    weights = builder.arranged(second, at_b.permute(1, 0, 2) if transposed else at_b.permute(2, 0, 1))
    builder.real(node, pixels, weights)
    shape = (at_b.shape[2], at_a.shape[0], at_a.shape[1])
    builder.emit(name, (pixels, weights), lambda: steps.MatrixProduct(transposed=transposed), shape, signed=True)
    builder.ties.tie(name, REAL, builder.ratio(pixels) * builder.ratio(weights))
    index = Placed.plain(name, shape).index[0].permute(1, 2, 0)
    return Placed(name, index.reshape(*batch, at_a.shape[1], at_b.shape[2]))


def softmax(builder: Builder, node: TracedNode) -> None:
    """Over any axis, which becomes that of channels."""
    axis = builder.evaluator.constant(node.argument(1, "dim", None))
    builder.refuse(node, axis is None, "no axis", "name it: dim=-1")
    builder.placed[node.name] = _shares(builder, node.name, builder.value(node, node.inputs[0]), axis)


def _shares(builder: Builder, name: str, source: Placed, axis: int) -> Placed:
    moved = source.index.movedim(axis, -1)
    operand = builder.channels_last(Placed(builder.narrow(source.step, 16), moved))
    origin = builder.origin(operand)
    builder.ties.tie(name, REAL)
    shape = builder.values[operand].shape

    def construct() -> steps.Softmax:
        built = steps.Softmax(builder.format_of(origin), builder.scale(operand))
        builder.formats[name] = built
        return built

    builder.emit(name, (operand,), construct, shape, signed=False, source=name)
    return Placed(name, Placed.lines(name, moved.shape[-1], tuple(moved.shape[1:-1])).index.movedim(-1, axis))


def layer_norm(builder: Builder, node: TracedNode) -> None:
    """Over the last axes, which become channels."""
    layer = node.layer
    builder.refuse(node, not isinstance(layer, nn.LayerNorm), "a function", "use the layer nn.LayerNorm")
    assert isinstance(layer, nn.LayerNorm)
    source = builder.value(node, node.inputs[0])
    index = source.index.flatten(-len(layer.normalized_shape))
    operand = builder.channels_last(Placed(builder.narrow(source.step, 16), index))
    origin = builder.origin(operand)
    builder.ties.tie(node.name, REAL)
    shape = builder.values[operand].shape
    builder.emit(
        node.name,
        (operand,),
        lambda: steps.LayerNorm(layer, builder.format_of(origin), (builder.scale(operand), builder.scale(node.name))),
        shape,
        signed=True,
    )
    lines = Placed.lines(node.name, shape[0], tuple(index.shape[1:-1]))
    builder.placed[node.name] = Placed(node.name, lines.index.reshape(source.index.shape))


def embedding(builder: Builder, node: TracedNode) -> None:
    """A row of a table for each number of the input."""
    table = node.layer.weight if node.layer is not None else builder.evaluator.constant(node.call.args[1])
    builder.refuse(node, not isinstance(table, Tensor), "a table that depends on the input", "use a constant")
    assert isinstance(table, Tensor)
    operand = builder.plain(node.inputs[0])
    builder.refuse(node, len(builder.values[operand].shape) != 1, "several axes", "give it a vector of words")
    builder.ties.tie(node.name, REAL)

    def construct() -> steps.Embedding:
        built = steps.Embedding(table, builder.word, builder.fit)
        builder.formats[node.name] = built
        return built

    shape = (node.shape[-1], *node.shape[:-1])
    builder.emit(node.name, (operand,), construct, shape, signed=True, source=node.name)
    builder.placed[node.name] = Placed.lines(node.name, shape[0], shape[1:])
