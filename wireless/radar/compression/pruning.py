"""Nets with fewer weights, channels or ranks, found by the solvers of the core."""

from collections.abc import Mapping
from typing import Final

import torch
from torch import nn

from shared import ADMM, BlockSparsity, ChannelSparsity, Relaxation, compress
from shared.core.solver import Solver
from shared.f8net import keep_zeros
from shared.training.loop import Schedule
from wireless.radar.compression.work import Work, settled

STEPS: Final = 10
"""Projections, or changes of price, of a search."""
CYCLES: Final = 5
"""Of `gradual`, if there are epochs for as many: it prunes before each, and once more."""
UNTUNED: Final = Schedule(steps=0)
"""What is kept is trained by epochs, under the same schedule as every other technique."""


def pruned(
    work: Work,
    solver: str,
    on: BlockSparsity | ChannelSparsity,
    net: nn.Module | None = None,
    budget: float | None = None,
) -> nn.Module:
    """`net`, or else that of `work`, within a budget, or else its own, by a search of one epoch; zeros stay zero in
    training.

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
        price=work.net_price,
        budget=(budget or work.budget) * work.cost(work.net),
        solver=solvers[solver],
        schedule=Schedule(between, work.batch, work.rate / 4, work.rate / 4),
        tuning=UNTUNED,
        seed=int(torch.randint(2**31, (), generator=work.generator)),
        progress=work.progress,
    ).module
    for layer in kept.modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear):
            keep_zeros(layer, layer.weight.detach() != 0)
    return kept


def gradual(work: Work, on: BlockSparsity | ChannelSparsity) -> tuple[nn.Module, int]:
    """The net within the budget after several prunings of the smallest, and the epochs that are left, about half.

    Each pruning keeps the same share of what the one before has left, and a whole cycle of the learning rate follows
    it, as in Renda et al. 2020 (*Comparing rewinding and fine-tuning*, algorithm 2), whose cycles are longer.
    """
    cycles = min(CYCLES, work.epochs // 2)
    length = work.epochs // 2 // max(cycles, 1)
    net = work.net
    for number in range(1, cycles + 1):
        net = work.trained(pruned(work, "once", on, net, work.budget ** (number / (cycles + 1))), length)
        settled(net)  # `compress` leaves weights alone that are computed from others, such as those with a mask
    return pruned(work, "once", on, net), work.epochs - cycles * length


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
