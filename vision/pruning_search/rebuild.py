"""The net without its closed channels, and the plain net that is merged from its branches for use."""

import copy
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from shared.weights.channels import taken
from shared.weights.compressed import folded
from vision.pruning_search.space import ChannelSpace

TOLERANCE = 1e-4


@runtime_checkable
class Branched(Protocol):
    """A block that is trained as several branches and used as one layer."""

    def plain(self) -> nn.Module:
        """The same function in evaluation mode, without branches."""


def narrowed(net: nn.Module, space: ChannelSpace, kept: Sequence[Tensor], example: Tensor) -> nn.Module:
    """A copy of `net` with the channels `kept` of each group, that equals the net with the other gates closed.

    Raises `ValueError` where the net has a size in its code that is then wrong, and where its outputs are not finite.
    """
    gates = torch.cat([torch.isin(torch.arange(size), part) for size, part in zip(space.sizes, kept, strict=True)])
    net = copy.deepcopy(net).cpu().eval()
    module = taken(net, list(zip(space.groups, kept, strict=True)))
    with torch.no_grad():
        expected = space.forward(net, gates.float(), example.cpu())
        try:
            actual = module(example.cpu())
        except RuntimeError as error:
            line = str(error).splitlines()[0]
            raise ValueError(f"the net does not run with fewer channels, a size in it is fixed: {line}") from error
    if not expected.isfinite().all():
        raise ValueError(
            "the net's outputs are not finite on the first examples: NaN or infinity in them or in its weights"
        )
    gap = float((actual - expected).abs().max())
    assert gap <= TOLERANCE * (1 + float(expected.abs().max())), f"channels were coupled wrongly: {gap}"
    return module


def plain(net: nn.Module, example: Tensor) -> nn.Module:
    """A copy of `net` for use: each block of branches as one layer, and batch norms part of the layer before them."""
    net = copy.deepcopy(net).cpu().eval()
    for path, module in list(net.named_modules()):
        if isinstance(module, Branched):
            parent, _, name = path.rpartition(".")
            setattr(net.get_submodule(parent), name, module.plain())
    return folded(net, example.cpu())[0]
