"""Interpolation as torch computes it: the options of a call, and each axis as sparse weights."""

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from shared.importers.graph import TracedNode


def interpolation_options(node: TracedNode) -> dict[str, Any]:
    """The options of `interpolate`, of the function or of the layer."""
    if isinstance(node.layer, nn.Upsample):
        names = ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor")
        return {name: getattr(node.layer, name) for name in names}
    bound = inspect.signature(functional.interpolate).bind(*node.call.args, **node.call.kwargs)
    bound.apply_defaults()
    return {name: value for name, value in bound.arguments.items() if name != "input"}


def interpolation_taps(size: int, axis: int, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """What torch makes of each unit vector of an axis: the places that each result reads, and their weights.

    Both are `(results, taps)`, the weights float64.
    """
    kinds = {"linear": "bilinear"}
    own = options | {"mode": kinds.get(options["mode"], options["mode"])}
    for name, rest in (("size", 2), ("scale_factor", 1.0)):
        if (value := options[name]) is not None:
            own[name] = (value[axis] if isinstance(value, tuple | list) else value, rest)
    # Two columns: torch 2.13 takes strides of images of one column for those of channels when it filters.
    units = torch.eye(size, dtype=torch.float64)[None, :, :, None].expand(1, size, size, 2).contiguous()
    matrix = functional.interpolate(units, **own)[0, :, :, 0].T
    taps = max(int((matrix != 0).sum(1).max()), 1)
    chosen = (matrix == 0).to(torch.uint8).argsort(dim=1, stable=True)[:, :taps].sort(dim=1).values
    return chosen, matrix.gather(1, chosen)
