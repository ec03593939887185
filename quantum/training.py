"""How a task's weights are trained: Adam, and its settings."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Training:
    """Adam's settings: `steps` for a full training (its rate falls to 0 along a cosine), `nudge` for one x-update."""

    steps: int = 400
    rate: float = 0.05
    nudge: int = 20
    nudge_rate: float = 0.03


def descend(
    loss: Callable[[Tensor], Tensor], start: Tensor, steps: int, rate: float, *, falling: bool = False
) -> Tensor:
    """`start` after `steps` of Adam on `loss`; with `falling`, the rate goes to 0 along a cosine."""
    x = start.detach().clone().requires_grad_()
    optimiser = torch.optim.Adam([x], lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps) if falling else None
    for _ in range(steps):
        optimiser.zero_grad()
        loss(x).backward()
        optimiser.step()
        if schedule is not None:
            schedule.step()
    return x.detach()
