"""How radar nets are trained: on pulses that no epoch has had before, or on a set of the user's own."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from shared.core.task import Progress
from shared.training.data import Pairs, Shuffled
from shared.training.epochs import OneCycle, Trainer
from wireless.radar.datasets.generate import Windowed, generate
from wireless.radar.datasets.recipe import Recipe
from wireless.radar.nets.inputs import as_input
from wireless.radar.nets.planes import Planes


class Source(Protocol):
    """Where the windows of an epoch come from."""

    def windows(self, seed: int) -> Windowed:
        """Those of one epoch."""


class Endless:
    """The same recipe with another seed for each epoch: as many windows as `recipe.count`, none of them twice."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def windows(self, seed: int) -> Windowed:
        return generate(self.recipe.with_seed(seed))


class Stored:
    """One set, the same in every epoch."""

    def __init__(self, windowed: Windowed) -> None:
        self.windowed = windowed

    def windows(self, seed: int) -> Windowed:
        return self.windowed


def trainer(net: nn.Module, epochs: int, rate: float, batch: int, device: str | None = None) -> Trainer:
    """AdamW, one cycle of the rate over all epochs, cross entropy. It moves the numbers of `net` itself."""
    faster = Planes(net) if isinstance(net, nn.Sequential) and Planes.suits(net) else net
    return Trainer(faster, OneCycle(epochs, rate, batch), device=device)


Targets = Callable[[Tensor, Tensor], Tensor]
"""From the inputs and labels of an epoch to what is trained towards."""


def run_epoch(
    training: Trainer,
    source: Source,
    generator: torch.Generator,
    progress: Progress | None = None,
    targets: Targets | None = None,
) -> float:
    """The mean loss of an epoch over windows that `generator` seeds; towards their labels, or `targets` of them.

    Raises `ValueError` where training diverges.
    """
    windowed = source.windows(int(torch.randint(2**62, (), generator=generator)))
    x, y = as_input(windowed.samples), torch.from_numpy(windowed.labels)
    pairs = Pairs(x, y if targets is None else targets(x, y))
    return training.run_epoch(Shuffled(pairs.to(training.device), training.schedule.batch, generator), progress)
