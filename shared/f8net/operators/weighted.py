"""Linear layers and convolutions, with the norms and factors behind them."""

from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils.parametrize import is_parametrized

from shared.f8net.builder import Builder, is_norm_or_factor
from shared.f8net.placed import Placed
from shared.f8net.steps import AbstractStep, Weighted
from shared.importers.graph import TracedNode

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def convolution(builder: Builder, node: TracedNode) -> None:
    layer = node.layer
    assert isinstance(layer, nn.Conv1d | nn.Conv2d)
    builder.refuse(node, layer.padding_mode != "zeros", f"{layer.padding_mode} padding", "use zeros")
    builder.refuse(node, isinstance(layer.padding, str), f"padding={layer.padding!r}", "give it in numbers")
    builder.refuse(node, set(layer.dilation) != {1}, f"dilation {layer.dilation}", "use stride or larger kernels")
    _weighted(builder, node, layer, builder.plain(node.inputs[0]))


def linear(builder: Builder, node: TracedNode) -> None:
    """A linear layer on the last axis."""
    layer = node.layer
    builder.refuse(node, not isinstance(layer, nn.Linear), "a function", "use the layer nn.Linear")
    assert isinstance(layer, nn.Linear)
    source = builder.value(node, node.inputs[0])
    if len(source.shape) == 1:
        _weighted(builder, node, layer, builder.plain(node.inputs[0]))
    else:
        _weighted(builder, node, layer, builder.channels_last(Placed(builder.narrow(source.step), source.index)))


def _weighted(builder: Builder, node: TracedNode, layer: nn.Linear | nn.Conv1d | nn.Conv2d, operand: str) -> None:
    norm = _norm_behind(builder, node)
    source = builder.narrow(operand)
    origin = builder.origin(source)

    def construct() -> AbstractStep:
        scales = builder.scale(source), builder.scale(node.name)
        word = builder.weight_words.get(node.path, builder.word)
        return Weighted(layer, norm, word, builder.sparse, builder.fit, builder.format_of(origin), scales, axes)

    axes = len(builder.values[source].shape) - 1
    shape = node.shape
    if isinstance(layer, nn.Linear):
        shape = (layer.out_features, *builder.values[source].shape[1:])
    builder.emit(node.name, (source,), construct, shape, signed=True)
    builder.end(node, node.name)
    if axes and isinstance(layer, nn.Linear):
        builder.placed[node.name] = Placed.lines(node.name, node.shape[-1], node.shape[:-1])
    _fold_factor(builder, node, layer, norm)


def _fold_factor(builder: Builder, node: TracedNode, layer: nn.Module, norm: nn.Module | None) -> None:
    """A factor for each channel behind a layer, or behind its norm, goes into its weights."""
    before = node if norm is None else builder.traced.sole_reader(node.name)
    reader = None if before is None else builder.traced.sole_reader(before.name)
    target: Any = norm or layer
    if reader is None or not is_norm_or_factor(reader) or reader.layer is not None or is_parametrized(target):
        return
    if target.weight is None:
        return
    parameters = (each for each in reader.call.args if isinstance(each, fx.Node) and each.op == "get_attr")
    factor = builder.evaluator.operand(next(parameters))
    axis = -1 if isinstance(layer, nn.Linear) else -len(node.shape)
    if factor.numel() != len(target.weight) or factor.ndim < -axis or factor.shape[axis] != factor.numel():
        return
    flat = factor.detach().flatten()
    with torch.no_grad():
        target.weight.mul_(flat.reshape(-1, *(1,) * (target.weight.ndim - 1)))
        if target.bias is not None:
            target.bias.mul_(flat)
    builder.placed[reader.name] = builder.placed[node.name]


def norm(builder: Builder, node: TracedNode) -> None:
    before = builder.traced[node.inputs[0]]
    weighted = isinstance(before.layer, nn.Linear | nn.Conv1d | nn.Conv2d)
    folded = weighted and builder.traced.sole_reader(before.name) is node
    builder.refuse(node, not folded, "no Linear or Conv of its own before it", "move it behind one, to be folded in")
    builder.placed[node.name] = builder.placed[before.name]


def _norm_behind(builder: Builder, node: TracedNode) -> nn.BatchNorm1d | nn.BatchNorm2d | None:
    reader = builder.traced.sole_reader(node.name)
    norm = None if reader is None else reader.layer
    if reader is None or not isinstance(norm, NORMS):
        return None
    untracked = not norm.track_running_stats or norm.momentum is None
    builder.refuse(reader, untracked, "no running statistics or momentum", "give it both")
    return norm
