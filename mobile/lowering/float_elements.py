"""Operations of floats on single numbers, and on two tensors number by number."""

from dataclasses import replace
from typing import Final

import numpy as np
import torch
from torch import Tensor

from mobile.lowering.float_walk import Walk, bounds
from mobile.lowering.floats import (
    OUTPUTS,
    ActivateFloats,
    Bounds,
    CombineFloats,
    Floats,
    Function,
    Joint,
    SlopeFloats,
)
from mobile.lowering.placed import Placed, places
from shared.importers.graph import TracedNode

FUNCTIONS: Final[dict[str, Function]] = {
    "sigmoid": "sigmoid",
    "hardsigmoid": "hard_sigmoid",
    "hardswish": "hard_swish",
    "silu": "silu",
    "gelu": "gelu",
    "tanh": "tanh",
}
JOINTS: Final[dict[str, Joint]] = {
    "add": "add",
    "iadd": "add",
    "sub": "subtract",
    "mul": "multiply",
    "imul": "multiply",
}
UNBOUNDED: Final = Bounds()
NUMBERS: Final = (*JOINTS, "truediv", "div", "neg")
"""Operations that take a number in place of a tensor."""


def activation(walk: Walk, node: TracedNode) -> None:
    """A function of every number; a clamp that the layer before could not take."""
    limits, function = bounds(node), FUNCTIONS.get(node.plain_name)
    if node.plain_name == "leakyrelu":
        function, limits = "leaky", Bounds(float(node.argument(1, "negative_slope", 0.01)))
    elif function == "gelu" and node.argument(1, "approximate", "none") == "tanh":
        function = "gelu_tanh"
    if limits is None and function is None:
        walk.refuse(node)
    x = _whole(walk, node, walk.placed(node.inputs[0]))
    out = walk.end(node, _beside(x, node.name))
    walk.calls.append(ActivateFloats((x.memory,), out, function or "clamp", limits or Bounds()))


def prelu(walk: Walk, node: TracedNode) -> None:
    """Slopes below zero, one or one for each channel, that were trained."""
    weight = node.layer.weight if node.layer is not None else walk.constant(node.call.args[1])
    if not isinstance(weight, Tensor):
        walk.refuse(node, "its slopes depend on an input; use constants")
    slopes = weight.detach().float().flatten().cpu().numpy()
    source = walk.image(node)
    out = walk.end(node, Placed.image(node.name, node.shape))
    filled = np.zeros(out.pitch, np.float32)
    filled[: out.channels] = slopes
    walk.calls.append(SlopeFloats((source,), out, filled))


def combine(walk: Walk, node: TracedNode) -> None:
    """A sum, difference or product of two tensors, which are broadcast as torch does it."""
    if node.call.kwargs:
        walk.refuse(node, f"leave out {', '.join(node.call.kwargs)}")
    a, b = (walk.placed(name) for name in (*node.inputs, *node.inputs)[:2])  # `x * x` reads one tensor
    walk.clamped(node, joined(walk, node, node.name, a, b, JOINTS[node.plain_name], walk.limits(node)))


def joined(
    walk: Walk, node: TracedNode, name: str, a: Placed, b: Placed, joint: Joint, to: Bounds = UNBOUNDED
) -> Placed:
    """The sum, difference or product of two tensors, which are broadcast as torch does it."""
    at_a, at_b = torch.broadcast_tensors(a.index, b.index)
    if len(at_a) != 1:
        walk.refuse(node, f"its terms are {tuple(a.index.shape)} and {tuple(b.index.shape)}; keep the batch first")
    a, b = replace(a, index=at_a), replace(b, index=at_b)
    if joint != "subtract" and (a.memory.is_constant or _lies_better(b, a)):
        a, b = b, a
    a = _whole(walk, node, a)
    table = torch.empty(a.memory.pixels * a.memory.pitch, dtype=torch.int64)
    table[a.index.flatten()] = b.index.flatten()
    second = _repeated(b.memory, table[places(a.memory)])
    if second is None:
        second = _beside(a, f"{name} arranged {len(walk.calls)}").memory
        walk.move(b.memory, table[places(a.memory)].reshape(second.rows, second.columns, second.channels), second)
    result = _beside(a, name)
    walk.calls.append(CombineFloats((a.memory, second), result.memory, joint, to))
    return result


def number(walk: Walk, node: TracedNode) -> None:
    """A number added to every number, or multiplied with it."""
    name, args = node.plain_name, node.call.args
    is_first = getattr(args[0], "name", None) == node.inputs[0]
    other = -1.0 if name == "neg" else walk.constant(args[1] if is_first else args[0])
    divides = name in ("truediv", "div")
    if not isinstance(other, int | float) or node.call.kwargs or (divides and not (is_first and other)):
        walk.refuse(node, "give it one number; divide by other numbers than zero")
    x = walk.placed(node.inputs[0])
    steps: list[tuple[Joint, float]] = [("multiply", 1 / other if divides else other)]
    if name in ("add", "iadd", "sub"):
        steps = [("add", -other if name == "sub" and is_first else other)]
    if name == "sub" and not is_first:
        steps = [("multiply", -1.0), *steps]
    for place, (joint, each) in enumerate(steps):
        x = _whole(walk, node, x)
        numbers = torch.full((x.memory.channels,), float(each))
        constant = Placed.constant(f"{node.name} number {place}", numbers)
        same = Placed.lines(x.memory.name, (x.memory.pixels, x.memory.channels))  # whatever its shape is
        is_last = place + 1 == len(steps)
        to = walk.limits(node) if is_last else UNBOUNDED
        result = joined(walk, node, node.name if is_last else f"{node.name} {place}", same, constant, joint, to)
        x = replace(result, index=x.index)
    walk.clamped(node, x)


def masked(walk: Walk, node: TracedNode) -> None:
    """`x.masked_fill(mask, -inf)` with a mask that is constant: minus infinity is added where it holds."""
    mask, value = walk.constant(node.call.args[1]), walk.constant(node.call.args[2])
    if mask is None or not isinstance(value, int | float):
        walk.refuse(node, "give it a mask that depends on no input, and a number")
    if value > -1e30:
        walk.refuse(node, "fill with minus infinity, before a softmax")
    fill = torch.zeros(mask.shape).masked_fill(mask, value)
    constant = Placed.constant(f"{node.name} mask", fill)
    walk.end(node, joined(walk, node, node.name, walk.placed(node.inputs[0]), constant, "add"))


def _lies_better(a: Placed, b: Placed) -> bool:
    """Whether a result had better lie as `a` does: in a memory of its own, and as images do."""
    return a.is_whole and (not b.is_whole or (b.as_image() is None and a.as_image() is not None))


def _whole(walk: Walk, node: TracedNode, x: Placed) -> Placed:
    """The tensor, with a memory that holds nothing else and holds each number once."""
    if x.is_whole and not x.memory.is_constant:
        return x
    to = (Placed.lines if len(x.shape) > 1 and x.shape[-1] >= OUTPUTS else Placed.image)(
        f"{node.name} arranged {len(walk.calls)}", x.shape
    )
    walk.arrange(x.memory, x.index, to)
    return to


def _beside(x: Placed, name: str) -> Placed:
    """A new value that lies as `x` does."""
    return replace(x, memory=Floats(name, x.memory.channels, x.memory.rows, x.memory.columns))


def _repeated(memory: Floats, table: Tensor) -> Floats | None:
    """The memory, if the places `(pixels, channels)` are its pixels, all of them, over and over; else `None`."""
    every = places(memory)
    if memory.channels != table.shape[1] or len(table) % len(every):
        return None
    return memory if table.equal(every.repeat(len(table) // len(every), 1)) else None
