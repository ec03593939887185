"""Gradient descent by steps: the one loop, with its schedule."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

Report = Callable[[int, int, str], None]
Net = TypeVar("Net", bound=nn.Module)


@dataclass(frozen=True)
class Schedule:
    """Adam over `steps` batches, the rate falling from `rate` to `floor` along a cosine."""

    steps: int = 2500
    batch: int = 512
    rate: float = 3e-3
    floor: float = 1e-5


def descend(
    parameters: Sequence[Tensor],
    loss: Callable[[], Tensor],
    schedule: Schedule,
    report: Report | None = None,
    note: str = "training",
) -> None:
    """Moves `parameters` down `loss()`, which draws its own batch each time. Raises ValueError where it diverges."""
    adam = torch.optim.Adam(parameters, lr=schedule.rate)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, max(schedule.steps, 1), schedule.floor)
    for step in range(1, schedule.steps + 1):
        adam.zero_grad()
        now = loss()
        now.backward()
        if not now.isfinite():
            raise ValueError(f"training diverged: loss {now.item():g} at step {step} of {schedule}")
        adam.step()
        cosine.step()
        if report is not None and step % 50 == 0:
            report(step, schedule.steps, note)


def seeded(build: Callable[[], Net], generator: torch.Generator) -> Net:
    """A network whose first weights are drawn from `generator`; torch draws them from its global one otherwise."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        return build()
