"""Gradient descent by steps: the only loop that moves parameters."""

import abc
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from shared.core.task import Progress

Net = TypeVar("Net", bound=nn.Module)


class AbstractSchedule(abc.ABC):
    """Which optimiser moves the parameters, and its rate at each step. Schedules are frozen dataclasses."""

    @abc.abstractmethod
    def optimiser(self, parameters: Iterable[Tensor]) -> Optimizer:
        """An optimiser that has not taken a step."""

    @abc.abstractmethod
    def set_rate(self, optimiser: Optimizer, epoch: int, step: int, steps: int) -> None:
        """Sets the rate for step `step` of the `steps` of epoch `epoch`, all counted from 0."""


@dataclass(frozen=True)
class Schedule(AbstractSchedule):
    """Adam over `steps` batches, the rate falling from `rate` to `floor` along a cosine; constant where both agree."""

    steps: int = 2500
    batch: int = 512
    rate: float = 3e-3
    floor: float = 1e-5

    def optimiser(self, parameters: Iterable[Tensor]) -> Optimizer:
        return torch.optim.Adam(parameters, lr=self.rate)

    def set_rate(self, optimiser: Optimizer, epoch: int, step: int, steps: int) -> None:
        if step:
            # From the rate before, as torch.optim.lr_scheduler.CosineAnnealingLR: the closed form rounds differently.
            factor = (1 + math.cos(math.pi * step / steps)) / (1 + math.cos(math.pi * (step - 1) / steps))
            for group in optimiser.param_groups:
                group["lr"] = factor * (group["lr"] - self.floor) + self.floor


def descend(
    parameters: Sequence[Tensor],
    loss: Callable[[], Tensor],
    schedule: Schedule,
    *,
    progress: Progress | None = None,
    note: str = "training",
) -> None:
    """Moves `parameters` down `loss()`, which samples its own batch each time.

    Raises `ValueError` where the loss becomes NaN or infinite, with the step and the schedule.

    >>> x = torch.tensor([3.0], requires_grad=True)
    >>> descend([x], lambda: x.square().sum(), Schedule(steps=200, rate=0.1))
    >>> bool(x.abs() < 0.01)
    True
    """
    optimiser = schedule.optimiser(parameters)
    losses = (loss for _ in range(schedule.steps))
    for step, _ in enumerate(descent(optimiser, schedule, losses, schedule.steps), 1):
        if progress is not None and step % 50 == 0:
            progress(step, schedule.steps, note)


def descent(
    optimiser: Optimizer,
    schedule: AbstractSchedule,
    losses: Iterable[Callable[[], Tensor]],
    steps: int,
    epoch: int = 0,
) -> Iterator[float]:
    """One epoch: a step down each of `losses`, of which there are `steps`; yields the loss before each step.

    Raises `ValueError` where a loss is NaN or infinite, before it reaches a parameter.
    """
    for step, loss in enumerate(losses):
        schedule.set_rate(optimiser, epoch, step, steps)
        optimiser.zero_grad()
        now = loss()
        value = now.item()
        if not math.isfinite(value):
            raise ValueError(
                f"training diverged: loss {value:g} at step {step + 1} of {steps}, epoch {epoch + 1}, of {schedule}: "
                "lower the rate"
            )
        now.backward()
        optimiser.step()
        yield value


def seeded(build: Callable[[], Net], generator: torch.Generator) -> Net:
    """A network whose first weights are sampled from `generator`; torch takes its global one otherwise."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        return build()
