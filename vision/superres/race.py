"""A race of nets: all are trained for as long, the worse half drops out, and the best goes on where it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from torch import nn

from shared.training.epochs import Trainer

Runner = TypeVar("Runner")


@dataclass(eq=False)
class Training:
    """The training of a net, in epochs of `each` steps, which can pause behind any of them."""

    name: str
    trainer: Trainer
    each: int
    step_ms: float
    """What a step takes, on a machine that nothing depends on."""
    cpu_s: float = 0.0
    """CPU seconds, so far and on this machine."""

    @property
    def net(self) -> nn.Module:
        return self.trainer.net

    @property
    def steps(self) -> int:
        """So far."""
        return self.trainer.epoch * self.each

    @property
    def ms(self) -> float:
        """What they take."""
        return self.steps * self.step_ms


def raced(runners: Sequence[Runner], error: Callable[[Runner, int], float]) -> Runner:
    """The runner that is left when the half of larger errors drops out behind epoch 1, 2, 4, and so on.

    `error` goes on with a runner until an epoch, and returns its error there. K. Jamieson and A. Talwalkar,
    *Non-stochastic best arm identification* (arXiv 1502.07943): successive halving, each round of as many seconds.

    >>> raced([3, 5, 1, 4, 2], lambda runner, epoch: abs(runner - epoch))
    2
    """
    epoch = 1
    while len(runners) > 1:
        order = np.argsort([error(runner, epoch) for runner in runners], kind="stable")
        runners = [runners[number] for number in order[: (len(runners) + 1) // 2]]
        epoch *= 2
    return runners[0]
