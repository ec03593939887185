"""Scores of channels without a search: what the widths that were learned are compared with."""

import copy
from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor, nn

from shared.weights.channels import sides_of
from vision.pruning_search.space import ChannelSpace

Scores = list[Tensor]
"""One tensor for each group, `(channels,)`; `widths_within` keeps the highest."""


def group_norms(net: nn.Module, space: ChannelSpace, generator: torch.Generator) -> Scores:
    """The sum of magnitudes of all weights that write, carry or read a channel, over its mean in the group.

    H. Li et al., *Pruning filters* (arXiv 1608.08710), for coupled layers as G. Fang et al., *DepGraph* (arXiv
    2301.12900), section 3.3.
    """
    return [part / part.mean() for part in _norms(net, space)]


def norm_factors(net: nn.Module, space: ChannelSpace, generator: torch.Generator) -> Scores:
    """The magnitude of the factors that batch norms multiply a channel by, the mean of those of a group.

    Z. Liu et al., *Network slimming* (arXiv 1708.06519). Raises `ValueError` for a group without a batch norm.
    """
    scores = []
    for group, name in zip(space.groups, space.names, strict=True):
        factors = [
            net.get_parameter(f"{slot.path}.weight").detach().abs()[slot.start : slot.start + group.size]
            for slot in group.carriers
            if isinstance(net.get_submodule(slot.path), nn.BatchNorm1d | nn.BatchNorm2d)
        ]
        if not factors:
            raise ValueError(f"the channels of {name} have no batch norm: its factors say nothing about them")
        scores.append(torch.stack(factors).mean(0))
    return scores


def equal_shares(net: nn.Module, space: ChannelSpace, generator: torch.Generator) -> Scores:
    """The rank of a channel's norm in its group, from 0 to 1: every group keeps the same share of its channels."""
    return [(part.argsort().argsort() + 0.5) / len(part) for part in _norms(net, space)]


def at_random(net: nn.Module, space: ChannelSpace, generator: torch.Generator) -> Scores:
    """Numbers between 0 and 1."""
    return [torch.rand(size, generator=generator) for size in space.sizes]


def dependency_norms(net: nn.Module, space: ChannelSpace, generator: torch.Generator) -> Scores:
    """What Torch-Pruning's default importance says of the channels of its own dependency groups (arXiv 2301.12900).

    Its pruner removes the lowest of all groups; widths are then set to the budget here as for all. Raises
    `ModuleNotFoundError` without torch-pruning, and `ValueError` where its groups are others than those of `space`.
    """
    try:
        import torch_pruning as tp
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("not installed: pip install torch-pruning", name="torch_pruning") from error
    net = copy.deepcopy(net).requires_grad_()
    graph = tp.DependencyGraph().build_dependency(net, example_inputs=space.example.to(next(net.parameters()).device))
    importance, scores = tp.importance.GroupMagnitudeImportance(), []
    for group, name in zip(space.groups, space.names, strict=True):
        layer = net.get_submodule(group.writers[0].path)
        prune = graph.get_pruner_of_module(layer).prune_out_channels
        part = importance(graph.get_pruning_group(layer, prune, idxs=list(range(group.size))))
        if part is None or len(part) != group.size:
            raise ValueError(f"Torch-Pruning does not couple the channels of {name} as here")
        scores.append(part.detach())
    return scores


def _norms(net: nn.Module, space: ChannelSpace) -> Scores:
    magnitudes = torch.cat([p.detach().abs().flatten() for p in net.parameters()])
    sums = magnitudes.new_zeros(sum(space.sizes) + 1)
    for side in sides_of(net, space.groups):
        sums.index_add_(0, side % len(sums), magnitudes)  # -1, no channel, becomes the last
    return list(torch.split(sums[:-1], space.sizes))


RIVALS: Final[Mapping[str, Callable[[nn.Module, ChannelSpace, torch.Generator], Scores]]] = {
    "uniform": equal_shares,
    "l1_group": group_norms,
    "bn_gamma": norm_factors,
    "torch_pruning": dependency_norms,
    "random": at_random,
}
