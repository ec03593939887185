"""How radar nets are trained: on pulses that no epoch has had before, or on a set of the user's own."""

from typing import Protocol

import torch
from torch import nn

from shared.core.task import Progress
from shared.training.data import Pairs, Shuffled
from shared.training.epochs import OneCycle, Trainer
from wireless.radar.datasets.generate import Windowed, generate
from wireless.radar.datasets.recipe import Recipe
from wireless.radar.nets.inputs import as_input


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
    """AdamW, one cycle of the rate over all epochs, cross entropy."""
    return Trainer(net, OneCycle(epochs, rate, batch), device=device)


def run_epoch(training: Trainer, source: Source, generator: torch.Generator, progress: Progress | None = None) -> float:
    """The mean loss of an epoch over windows that `generator` seeds. Raises `ValueError` where training diverges."""
    windowed = source.windows(int(torch.randint(2**62, (), generator=generator)))
    pairs = Pairs(as_input(windowed.samples), torch.from_numpy(windowed.labels))
    return training.run_epoch(Shuffled(pairs.to(training.device), training.schedule.batch, generator), progress)
