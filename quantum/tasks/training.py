"""What a circuit is trained for, and how: the task that the compressor takes, and Adam."""

import abc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self, final

import torch
from torch import Tensor

from quantum.circuits.circuit import Circuit
from quantum.circuits.readout import Readout
from shared import penalty


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


@dataclass(frozen=True, eq=False)
class CircuitTask(abc.ABC):
    """A `shared.Task` over a circuit's weights, as blocks of one angle, and what the compressor asks besides.

    A task says what is made small (`objective`), how good that is (`quality`), by what circuits are chosen (`merit`)
    and what is left of it once some weights are fixed (`frozen`); how it is trained follows.
    """

    circuit: Circuit
    readout: Readout
    """What has to stay measurable at the end of the circuit."""
    training: Training = field(default_factory=Training, kw_only=True)

    @abc.abstractmethod
    def objective(self, weights: Tensor, part: str) -> Tensor:
        """What training makes small, `(...,)`, at weights `(..., circuit.weights)`, on `train`, `val` or `test`."""

    @abc.abstractmethod
    def quality(self, weights: Tensor, part: str) -> float:
        """What users are told: a share of the best there can be, 1."""

    @abc.abstractmethod
    def merit(self, weights: Tensor) -> tuple[float, float]:
        """More is better: what circuits are chosen by."""

    @abc.abstractmethod
    def frozen(self, weights: Tensor, free: Tensor) -> Self:
        """The task of the free weights alone, which keep their order, with all others bound."""

    @final
    @torch.no_grad()
    def loss(self, x: Tensor) -> float:
        """The objective on the training part at a point `(weights, 1)`."""
        return float(self.objective(x[:, 0], "train"))

    @final
    def fit(self, x: Tensor, anchor: Tensor, rho: float, free: Tensor | None = None) -> Tensor:
        """A few Adam steps on `loss(x) + rho/2 ||x - anchor||^2`; with `free`, a full training of those alone."""
        if free is not None:
            return self.retrain(x[:, 0], free[:, 0], x.T)[0][:, None]
        t = self.training
        return descend(lambda w: self.objective(w[:, 0], "train") + penalty(w, anchor, rho), x, t.nudge, t.nudge_rate)

    @final
    def retrain(self, weights: Tensor, free: Tensor, starts: Tensor) -> Tensor:
        """Trains the free weights from each of `starts` `(starts, weights)`, the others fixed at `weights`.

        Same shape as `starts`. Runs on the circuit that is left, so a sparse pattern trains faster than the dense one.
        """
        short = self.frozen(weights, free)
        trained = free.nonzero()[: short.circuit.weights, 0]
        out = torch.where(free, starts, weights)
        if len(trained):
            out[:, trained] = short.train(starts[:, trained])
        return out

    @final
    def train(self, weights: Tensor) -> Tensor:
        """Trains from `weights` `(..., circuit.weights)`; several starts, as leading axes, run together."""
        t = self.training
        return descend(lambda w: self.objective(w, "train").sum(), weights, t.steps, t.rate, falling=True)
