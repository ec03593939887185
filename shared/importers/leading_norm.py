"""Batch norms without a layer of their own before them, such as one that normalises the input."""

import copy
from collections.abc import Sequence

import torch
from torch import nn

from shared.importers.layers import LayerNode

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d)


def fold_norms(nodes: Sequence[LayerNode], output: str) -> list[LayerNode]:
    """The nodes with each norm that follows no layer folded into the linear layer or convolution behind it.

    ```
    W (a x + c) + b = (W a) x + (b + W c)      a = gamma / sqrt(variance + eps),  c = beta - a mean
    ```
    A norm stays where it is if it has a layer of its own before it, or if something else than one such layer reads it.

    Raises `ValueError` for a convolution with padding behind the norm, whose zeros are no numbers `a x + c`.
    """
    folded = list(nodes)
    for node in nodes:
        before = next((other for other in folded if other.output in node.inputs), None)
        readers = [other for other in folded if node.output in other.inputs]
        own = (
            before is not None and isinstance(before.layer, _WEIGHTED) and _readers(folded, before.output, output) == 1
        )
        if not isinstance(node.layer, _NORMS) or own or _readers(folded, node.output, output) != 1 or not readers:
            continue
        behind = readers[0]
        if isinstance(behind.layer, _WEIGHTED):
            layer = _folded(node.layer, behind.layer)
            folded[folded.index(behind)] = LayerNode(layer, node.inputs, behind.output)
            folded.remove(node)
    return folded


def _readers(nodes: Sequence[LayerNode], value: str, output: str) -> int:
    return sum(node.inputs.count(value) for node in nodes) + (value == output)


def _folded(norm: nn.BatchNorm1d | nn.BatchNorm2d, layer: nn.Module) -> nn.Module:
    assert isinstance(layer, _WEIGHTED)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    a = (norm.running_var.double() + norm.eps).rsqrt() * norm.weight.detach().double()
    c = norm.bias.detach().double() - a * norm.running_mean.double()
    if not isinstance(layer, nn.Linear) and c.any() and any(layer.padding):
        raise ValueError("a batch norm before a convolution with padding cannot be folded: move it behind one")
    weight, groups = layer.weight.detach().double(), getattr(layer, "groups", 1)
    # The inputs of each output: `(out, in / groups)`.
    inputs = torch.arange(len(a)).reshape(groups, -1).repeat_interleave(len(weight) // groups, 0)
    gains, offsets = (numbers[inputs].reshape(*inputs.shape, *(1,) * (weight.ndim - 2)) for numbers in (a, c))
    bias = (weight * offsets).flatten(1).sum(1) + (0 if layer.bias is None else layer.bias.detach().double())
    new = copy.deepcopy(layer)
    new.weight = nn.Parameter((weight * gains).float())
    new.bias = nn.Parameter(bias.float())
    return new
