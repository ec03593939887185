"""Pools and means."""

import math
from typing import Any

import torch
from torch import nn

from shared.f8net.builder import Builder
from shared.f8net.operators.resampling import resample
from shared.f8net.placed import Placed
from shared.f8net.steps import Pool
from shared.importers.graph import TracedNode

MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d)
GLOBAL_POOLS = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
POOLS = (*MAX_POOLS, nn.AvgPool1d, nn.AvgPool2d, *GLOBAL_POOLS)


def pool(builder: Builder, node: TracedNode) -> None:
    operand = builder.plain(node.inputs[0])
    average, value = not isinstance(node.layer, MAX_POOLS), builder.values[operand]
    module = Pool(*_window(builder, node, value.shape[1:]), average=average)
    builder.ties.tie(node.name, operand, module.ratio)
    source = None if average else value.source
    builder.emit(node.name, (operand,), lambda: module, node.shape, value.signed, source)
    builder.end(node, node.name)


def _window(builder: Builder, node: TracedNode, plane: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Size and stride of a pool over a plane."""
    layer: Any = node.layer
    if isinstance(layer, GLOBAL_POOLS):
        builder.refuse(node, math.prod(node.shape[1:]) != 1, "several outputs", "use AvgPool")
        return plane, plane
    size, stride, padding, dilation = (
        (value,) * len(plane) if isinstance(value, int) else tuple(value)
        for value in (layer.kernel_size, layer.stride, layer.padding, getattr(layer, "dilation", 1))
    )
    builder.refuse(node, set(padding) != {0}, "padding", "pad with zeros in the Conv before")
    builder.refuse(node, set(dilation) != {1}, "dilation", "leave it out")
    builder.refuse(node, layer.ceil_mode, "ceil_mode", "leave it out")
    builder.refuse(node, getattr(layer, "divisor_override", None) is not None, "a divisor", "leave it out")
    return size, stride


def mean(builder: Builder, node: TracedNode) -> None:
    """The mean over some axes, which become the window of a pool."""
    source, axes = builder.value(node, node.inputs[0]), builder.evaluator.constant(node.argument(1, "dim", ()))
    over = sorted(axis % source.index.ndim for axis in ([axes] if isinstance(axes, int) else axes))
    builder.refuse(node, not over or over[0] == 0, "the mean over samples", "name the other axes")
    moved = source.index.movedim(over, list(range(-len(over), 0)))
    rest = tuple(moved.shape[1 : -len(over)])
    wanted = moved[0].reshape(math.prod(rest), -1)
    operand = builder.arranged(builder.narrow(source.step, 16), wanted, like=(math.prod(rest),))
    window = builder.values[operand].shape[1:]
    module = Pool(window, window, average=True)
    builder.ties.tie(node.name, operand, module.ratio)
    shape = (builder.values[operand].shape[0], *(1 for _ in window))
    builder.emit(node.name, (operand,), lambda: module, shape, builder.values[operand].signed)
    builder.placed[node.name] = Placed(node.name, torch.arange(math.prod(rest)).reshape(1, *node.shape))


def padded_average(builder: Builder, node: TracedNode) -> None:
    """An average pool with padding, whose weights rows and columns have apart."""
    layer: Any = node.layer
    builder.refuse(
        node, layer.ceil_mode or layer.divisor_override is not None, "ceil_mode or a divisor", "leave it out"
    )
    operand = builder.narrow(builder.plain(node.inputs[0]))
    shape = builder.values[operand].shape
    axes = []
    for axis, size in enumerate(shape[1:]):
        window, stride, pad = (
            each if isinstance(each, int) else each[axis] for each in (layer.kernel_size, layer.stride, layer.padding)
        )
        begins = torch.arange(node.shape[axis + 1]) * stride - pad
        places = begins[:, None] + torch.arange(window)
        inside = (places >= 0) & (places < size)
        count = torch.full_like(begins, window) if layer.count_include_pad else inside.sum(1)
        axes.append((places.clamp(0, size - 1), inside.double() / count[:, None]))
    resample(builder, node, operand, axes)
