"""From a torch net to fixed-point steps: what is computed, where it is quantised, and which scales must agree."""

import copy
from collections.abc import Mapping, Sequence
from typing import get_args

import torch
from torch import fx, nn

from shared.f8net.builder import Builder, FixedPointGraph
from shared.f8net.operators.convert import convert
from shared.f8net.spreads import Fit
from shared.importers.graph import TracedGraph
from shared.integer.format import Format


def build(
    net: nn.Module,
    shape: Sequence[int],
    input: Format,
    word: int,
    weight_words: Mapping[str, int],
    sparse: bool,
    fit: Fit,
) -> FixedPointGraph:
    """The steps of a copy of `net` for one input of `shape` (without the batch) and format.

    Raises `ValueError` naming the layer that is not supported, and the way out.
    """
    if word not in range(2, 17):
        raise ValueError(f"word={word!r}: weights and activations have 2 to 16 bits")
    if fit not in get_args(Fit):
        raise ValueError(f"fit={fit!r}: it must be one of {', '.join(get_args(Fit))}")
    if fx.Tracer().is_leaf_module(net, ""):
        net = nn.Sequential(net)  # traced by itself, a layer would be the functions inside of it
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d) and (layer._forward_pre_hooks or layer._forward_hooks):
            title = f"{type(layer).__name__} {name!r}"
            raise ValueError(f"F8Net would skip the hooks of {title}: use torch.nn.utils.parametrize, or prune.remove")
    masks = {name for name, layer in net.named_modules() if type(layer).__module__.partition(".")[0] != "torch"}
    for name, parameter in net.state_dict().items():
        may_mask = name.rpartition(".")[0] in masks  # a constant of its own, which may be minus infinity
        if not (torch.isfinite(parameter) | (may_mask & torch.isneginf(parameter))).all():
            raise ValueError(f"F8Net needs finite weights, {name!r} has NaN or infinite ones")
    layers = {name for name, layer in net.named_modules() if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d)}
    for path, bits in weight_words.items():
        if path not in layers:
            raise ValueError(
                f"weight_words names {path!r}: it must be a layer with weights, {', '.join(sorted(layers))}"
            )
        if not 2 <= bits <= word:
            raise ValueError(f"weight_words gives {path!r} {bits} bits: they must be 2 to {word}, the word of the net")
    own = copy.deepcopy(net)
    reads_words = any(isinstance(layer, nn.Embedding) for layer in own.modules())
    example = torch.zeros((1, *shape), dtype=torch.int64) if reads_words else shape
    builder = Builder(TracedGraph.of(own, example), input, word, weight_words, sparse, fit)
    for node in builder.traced:
        # What depends on no input is computed where it is read.
        if node.kind not in ("input", "parameter") and any(name in builder.placed for name in node.inputs):
            convert(builder, node)
    return builder.graph()
