"""Lowers a traced float net to kernel calls: which operation is whose."""

from collections.abc import Callable
from typing import Final

from mobile.lowering import float_elements as elements
from mobile.lowering import float_pixels as pixels
from mobile.lowering import float_tokens as tokens
from mobile.lowering import float_weights as weights
from mobile.lowering.arena import plan
from mobile.lowering.calls import Lowered
from mobile.lowering.float_fusion import fused
from mobile.lowering.float_walk import Walk, bounds
from mobile.lowering.floats import FloatCall, Floats
from mobile.lowering.placed import Placed
from shared.importers.graph import TracedGraph, TracedNode

Operator = Callable[[Walk, TracedNode], None]
"""Appends the calls of one operation, and states its value."""

_BY_KIND: Final[dict[str, Operator]] = {
    "convolution": weights.convolution,
    "linear": weights.linear,
    "norm": weights.norm,
    "activation": elements.activation,
    "pool": pixels.pool,
    "concatenate": pixels.concatenate,
}
_BY_NAME: Final[dict[str, Operator]] = {
    "convtranspose1d": weights.transposed,
    "convtranspose2d": weights.transposed,
    "layernorm": tokens.layer_norm,
    "prelu": elements.prelu,
    "cat": pixels.concatenate,
    "concat": pixels.concatenate,
    "concatenate": pixels.concatenate,
    "interpolate": pixels.resize,
    "upsample": pixels.resize,
    "pad": pixels.pad,
    "zeropad2d": pixels.pad,
    "mean": pixels.mean,
    "linear": weights.linear,
    "matmul": tokens.multiply,
    "bmm": tokens.multiply,
    "softmax": tokens.softmax,
    "scaleddotproductattention": tokens.attention,
    "embedding": tokens.embedding,
    "maskedfill": elements.masked,
}


def lower_floats(graph: TracedGraph) -> Lowered:
    """The net in evaluation mode as kernel calls; batch norms go into the layer before them, clamps too.

    Raises `ValueError` naming the operation that has no kernel and the way out, or weights that are not finite.
    """
    walk = Walk(graph)
    for node in graph:
        if node.name not in walk.values:
            _take(walk, node)
    inputs = tuple(walk.placed(node.name).memory for node in graph.inputs)
    outputs = tuple(_output(walk, graph[name]) for name in graph.outputs)
    inputs, calls = fused(inputs, [call for call in walk.calls if isinstance(call, FloatCall)], outputs)
    places, arena = plan(inputs, calls, outputs)
    if arena >= 2**31:
        raise ValueError(f"the net needs an arena of {arena:,} bytes: at most 2 GiB can be addressed")
    return Lowered(inputs, outputs, tuple(calls), places, arena)


def _take(walk: Walk, node: TracedNode) -> None:
    """One operation: its calls, and the value that it computes."""
    if node.kind == "input":
        walk.end(node, Placed.image(node.name, node.shape))
    elif node.kind == "parameter" or all(name in walk.constants for name in node.inputs):
        walk.operand(node.call)
    elif node.kind in ("dropout", "identity"):
        walk.values[node.name] = walk.values[node.inputs[0]]
    elif (operator := _operator(node)) is not None:
        operator(walk, node)
    else:
        walk.refuse(node)


def _operator(node: TracedNode) -> Operator | None:
    name = node.plain_name
    if pixels.is_move(node):
        return pixels.move
    if name in _BY_NAME:
        return _BY_NAME[name]
    if node.kind in _BY_KIND:
        return _BY_KIND[node.kind]
    if name in elements.NUMBERS:
        return elements.combine if _joins_tensors(node) else elements.number
    return elements.activation if bounds(node) is not None else None


def _joins_tensors(node: TracedNode) -> bool:
    return node.kind == "add" or (node.plain_name in elements.JOINTS and len(node.inputs) == 2)


def _output(walk: Walk, node: TracedNode) -> Floats:
    """What the caller reads: channels first."""
    value, to = walk.placed(node.name), Placed.image(f"{node.name} output", node.shape)
    if value.memory.is_constant or len(value.index) != 1:
        walk.refuse(node, "return what depends on the input, with the batch as its first axis")
    return value.as_image() or walk.arrange(value.memory, value.index, to)
