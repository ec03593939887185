"""Nets with fewer weights, channels or ranks, found by the solvers of the core."""

from collections.abc import Mapping
from typing import Final

import torch
from torch import nn

from shared import ADMM, BlockSparsity, Bytes, ChannelSparsity, Relaxation, compress
from shared.core.solver import Solver
from shared.f8net import keep_zeros
from shared.training.loop import Schedule
from wireless.radar.compression.work import Work

STEPS: Final = 10
"""Projections, or changes of price, of a search."""
UNTUNED: Final = Schedule(steps=0)
"""`compress` trains with the statistics of batch norms as they were, which those of a smaller net are far from."""


def pruned(work: Work, solver: str, on: BlockSparsity | ChannelSparsity, net: nn.Module | None = None) -> nn.Module:
    """`net`, or else that of `work`, within the budget, by a search of one epoch; zeros stay zero in training.

    A solver is `once` (the largest are kept), `admm` or `relaxation`.
    """
    x, y = work.windows()
    between = max(len(y) // work.batch // STEPS, 1)
    solvers: Mapping[str, Solver] = {
        "once": ADMM(steps=0, fine_tune=0),
        # With a batch norm behind each layer, a weight's size alone says little: the penalty is small and grows.
        "admm": ADMM(rho=1e-3, growth=1.5, steps=STEPS, fine_tune=0),
        "relaxation": Relaxation(steps=STEPS * between, reprice_every=between),
    }
    kept = compress(
        net or work.net,
        (x, y),
        on=on,
        price=Bytes(),
        budget=work.budget * 4 * work.size,
        solver=solvers[solver],
        schedule=Schedule(between, work.batch, work.rate / 4, work.rate / 4),
        tuning=UNTUNED,
        seed=int(torch.randint(2**31, (), generator=work.generator)),
        progress=work.progress,
    ).module
    for layer in kept.modules():
        if isinstance(layer, nn.Conv1d | nn.Linear):
            keep_zeros(layer, layer.weight.detach() != 0)
    return kept


def factored(net: nn.Module) -> nn.Module:
    """`net` with each pointwise layer as two, through as many channels as its rank, strongest first.

    With W = U S V, the first layer is sqrt(S) V and the second U sqrt(S): a channel between them is one rank, and
    dropping it loses its singular value.
    """
    layers: list[nn.Module] = []
    for layer in net.children():
        if isinstance(layer, nn.Conv1d) and layer.kernel_size == (1,):
            u, s, v = torch.linalg.svd(layer.weight.detach()[:, :, 0], full_matrices=False)
            first = nn.Conv1d(layer.in_channels, len(s), 1, bias=False)
            second = nn.Conv1d(len(s), layer.out_channels, 1, bias=False)
            first.weight.data, second.weight.data = (s.sqrt()[:, None] * v)[:, :, None], (u * s.sqrt())[:, :, None]
            layers += [first, second]
        else:
            layers.append(layer)
    return nn.Sequential(*layers)
