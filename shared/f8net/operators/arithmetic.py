"""Sums, differences and products, of tensors and of constants."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from shared.f8net import token_steps as steps
from shared.f8net.builder import Builder
from shared.f8net.operators.resampling import repeated
from shared.f8net.placed import Placed
from shared.f8net.scales import REAL
from shared.f8net.steps import AbstractStep, Add
from shared.importers.graph import TracedNode

TRUNK = 16
"""Bits of sums that are read by other sums, in nets that add many."""


def add(builder: Builder, node: TracedNode) -> None:
    """The sum of two tensors that are whole values, in order."""
    a, b = builder.plain(node.inputs[0]), builder.plain(node.inputs[-1])
    a, b = (_channels_repeated(builder, node, each, other) for each, other in ((a, b), (b, a)))
    shapes = builder.values[a].shape, builder.values[b].shape
    builder.refuse(node, shapes[0] != shapes[1], f"shapes {shapes[0]} and {shapes[1]}", "give both terms one shape")
    a, b = _of_one_scale(builder, node.name, a, b)
    if builder.is_deep:
        a, b = _trunk_and_branch(builder, node, a, b)
    signed = builder.values[a].signed or builder.values[b].signed
    builder.emit(node.name, (a, b), Add, shapes[0], signed)
    builder.end(node, builder.narrow(node.name, TRUNK) if builder.is_deep else node.name)


def _trunk_and_branch(builder: Builder, node: TracedNode, *terms: str) -> tuple[str, str]:
    """The terms of a sum in nets that add many: what one sum alone reads in few bits, what others read in 16.

    Sums of sums would have more fraction bits with each, and not fit 32 bits in the end.
    """
    a, b = (
        builder.narrow(term, builder.word if builder.traced.sole_reader(name) is node else TRUNK)
        for term, name in zip(terms, (*node.inputs, *node.inputs)[:2], strict=True)
    )
    return a, b


def _channels_repeated(builder: Builder, node: TracedNode, operand: str, other: str) -> str:
    """An image of one channel, repeated if it is added to one of several."""
    shape, wanted = builder.values[operand].shape, builder.values[other].shape
    if len(shape) == 3 and shape[0] == 1 < wanted[0] and shape[1:] == wanted[1:]:
        return repeated(builder, f"{node.name}_{operand}", operand, wanted[0])
    return operand


def join(builder: Builder, node: TracedNode) -> None:
    """A sum or difference of two tensors, or of a tensor and a constant, which are broadcast as torch does it."""
    builder.refuse(node, bool(node.call.kwargs), f"{', '.join(node.call.kwargs)}", "leave it out")
    subtracts = "sub" in node.plain_name
    args = [builder.evaluator.constant(each) for each in node.call.args]
    if len(args) == 2 and any(each is not None for each in args):
        if subtracts and args[1] is None:
            builder.refuse(node, True, "a constant less a tensor", "negate the layer before it")
        constant = torch.as_tensor(args[0] if args[1] is None else args[1]).float()
        a = builder.whole(builder.value(node, node.inputs[0] if args[1] is not None else node.inputs[-1]))
        result = _with_constant(builder, node, a, -constant if subtracts else constant)
    else:
        a, b = (builder.value(node, name) for name in (*node.inputs, *node.inputs)[:2])
        a, second = _alike(builder, node, a, b)
        first = a.step
        if subtracts:  # of the same 8 bits, so that what is equal leaves nothing
            first, second = builder.narrow(first), builder.narrow(second)
        else:
            first, second = _trunk_and_branch(builder, node, first, second)
        kind = steps.Subtract if subtracts else None
        result = Placed(joined(builder, node.name, first, second, kind), a.index)
    builder.placed[node.name] = result if subtracts else Placed(builder.narrow(result.step, TRUNK), result.index)


def _with_constant(builder: Builder, node: TracedNode, a: Placed, constant: Tensor) -> Placed:
    shape = builder.values[a.step].shape
    own = torch.zeros(math.prod(shape))
    own[a.index.flatten()] = _broadcast(builder, node, constant, a).flatten()
    name = builder.constant(f"{node.name}_constant", own.reshape(shape), a.step)
    return Placed(joined(builder, node.name, a.step, name, None), a.index)


def _broadcast(builder: Builder, node: TracedNode, constant: Tensor, to: Placed) -> Tensor:
    """A constant as large as a tensor."""
    sizes = zip(reversed(constant.shape), reversed(to.index.shape), strict=False)
    fits = constant.ndim <= to.index.ndim and all(size in (1, other) for size, other in sizes)
    builder.refuse(
        node, not fits, f"a constant of shape {tuple(constant.shape)} for {to.shape}", "give it one sample's shape"
    )
    return constant.broadcast_to(to.index.shape)


def _alike(builder: Builder, node: TracedNode, a: Placed, b: Placed) -> tuple[Placed, str]:
    """The first of two tensors that are broadcast, whole, and the step that holds the second alike."""
    at_a, at_b = torch.broadcast_tensors(a.index, b.index)
    builder.refuse(node, len(at_a) != 1, "several samples", "keep the batch as the first axis")
    whole = builder.whole(Placed(a.step, at_a))
    shape = builder.values[whole.step].shape
    table = torch.empty(math.prod(shape), dtype=torch.int64)
    table[whole.index.flatten()] = at_b.flatten()
    return whole, builder.arranged(b.step, table.reshape(shape))


def joined(builder: Builder, name: str, a: str, b: str, kind: Callable[[], AbstractStep] | None) -> str:
    """The sum, or what `kind` computes, of two values that lie alike."""
    a, b = _of_one_scale(builder, name, a, b)
    signed = kind is not None or builder.values[a].signed or builder.values[b].signed
    builder.emit(name, (a, b), kind or Add, builder.values[a].shape, signed)
    return name


def _of_one_scale(builder: Builder, name: str, a: str, b: str) -> tuple[str, str]:
    """The terms of `name`, the second times 1 where their scales differ: a depthwise layer may change its scale."""
    if not builder.ties.tie(a, b):
        b = builder.by_channel(f"{name}_rescaled", b, torch.ones(builder.values[b].shape[0]))
        builder.ties.tie(a, b)
    builder.ties.tie(name, a)
    return a, b


def multiply(builder: Builder, node: TracedNode) -> None:
    """A tensor times a number, times numbers for its channels, or times another tensor; a tensor by a number."""
    args = [builder.evaluator.constant(each) for each in node.call.args]
    builder.refuse(node, bool(node.call.kwargs), f"{', '.join(node.call.kwargs)}", "leave it out")
    builder.refuse(node, len(args) != 2, "these arguments", "multiply two tensors, or a tensor and a number")
    constants = [each for each in args if each is not None]
    divides = node.plain_name in ("truediv", "div")
    builder.refuse(node, divides and args[1] is None, "a divisor that depends on the input", "leave it to the host")
    if not constants:
        _product(builder, node)
        return
    factor = torch.as_tensor(constants[0]).double()
    factor = 1 / factor if divides else factor
    source = builder.value(node, node.inputs[0])
    if factor.numel() == 1 and float(factor) > 0:
        builder.placed[node.name] = Placed(builder.rescaled(node.name, source.step, float(factor)), source.index)
        return
    whole = builder.whole(source)
    shape = builder.values[whole.step].shape
    own = torch.zeros(math.prod(shape), dtype=torch.float64)
    own[whole.index.flatten()] = _broadcast(builder, node, factor, whole).flatten()
    by_channel = own.reshape(shape[0], -1)
    builder.refuse(
        node, bool((by_channel != by_channel[:, :1]).any()), "a factor for each number", "use one for each channel"
    )
    builder.placed[node.name] = Placed(builder.by_channel(node.name, whole.step, by_channel[:, 0]), whole.index)


def _product(builder: Builder, node: TracedNode) -> None:
    a, b = (builder.value(node, name) for name in (*node.inputs, *node.inputs)[:2])
    if b.index.numel() > a.index.numel():
        a, b = b, a
    at_a, at_b = torch.broadcast_tensors(a.index, b.index)
    whole = builder.whole(Placed(builder.narrow(a.step), at_a))
    shape = builder.values[whole.step].shape
    table = torch.empty(math.prod(shape), dtype=torch.int64)
    table[whole.index.flatten()] = at_b.flatten()
    per = table.reshape(shape[0], -1)
    is_gate = bool((per == per[:, :1]).all())
    index = per[:, 0].reshape(-1, *(1 for _ in shape[1:])) if is_gate else table.reshape(shape)
    second = builder.arranged(builder.narrow(b.step), index)
    builder.real(node, whole.step, second)
    value = builder.values
    signed = value[whole.step].signed or value[second].signed
    builder.emit(node.name, (whole.step, second), steps.Multiply, shape, signed)
    builder.ties.tie(node.name, REAL, builder.ratio(whole.step) * builder.ratio(second))
    builder.placed[node.name] = Placed(node.name, whole.index)
