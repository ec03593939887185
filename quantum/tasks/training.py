"""Training of circuits: the task protocol that the compressor takes, and its training with Adam."""

import abc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self, final

import torch
from torch import Tensor

from quantum.circuits.circuit import Circuit
from quantum.circuits.readout import Readout
from shared import penalty
from shared.training.loop import Schedule, descend


@dataclass(frozen=True)
class Training:
    """Adam's settings: `steps` at `rate` for a full training, `inner_steps` at `inner_rate` for one x-update of ADMM.

    The rate of a full training falls to 0 along a cosine, that of an x-update is constant.
    """

    steps: int = 400
    rate: float = 0.05
    inner_steps: int = 20
    inner_rate: float = 0.03


def train_weights(
    loss: Callable[[Tensor], Tensor], start: Tensor, steps: int, rate: float, *, falling: bool = False
) -> Tensor:
    """`start` after `steps` of Adam on `loss`; with `falling`, the rate goes to 0 along a cosine.

    Raises `ValueError` where the loss becomes NaN or infinite.
    """
    x = start.detach().clone().requires_grad_()
    descend([x], lambda: loss(x), Schedule(steps, rate=rate, floor=0.0 if falling else rate))
    return x.detach()


@dataclass(frozen=True, eq=False)
class CircuitTask(abc.ABC):
    """A `shared.Task` over a circuit's weights, as blocks of one angle, with what the compressor needs beside it.

    A subclass defines the loss (`objective`), the reported quality (`quality`), the order in which circuits are
    preferred (`selection_score`) and the task of the free weights once the others are fixed (`frozen`). Training
    follows from these.
    """

    circuit: Circuit
    readout: Readout
    """The parities that are measured at the end of the circuit."""
    training: Training = field(default_factory=Training, kw_only=True)

    @abc.abstractmethod
    def objective(self, weights: Tensor, part: str) -> Tensor:
        """The loss `(...,)` at weights `(..., circuit.weights)` on the part `train`, `val` or `test` of the data."""

    @abc.abstractmethod
    def quality(self, weights: Tensor, part: str) -> float:
        """The reported quality, as a share of the best possible value: at most 1."""

    @abc.abstractmethod
    def selection_score(self, weights: Tensor) -> tuple[float, float]:
        """The key by which circuits are selected; a larger one is better."""

    @abc.abstractmethod
    def frozen(self, weights: Tensor, free: Tensor) -> Self:
        """The task over the free weights alone, in their order, with all other weights bound."""

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
        return train_weights(
            lambda w: self.objective(w[:, 0], "train") + penalty(w, anchor, rho), x, t.inner_steps, t.inner_rate
        )

    @final
    def retrain(self, weights: Tensor, free: Tensor, starts: Tensor) -> Tensor:
        """Trains the free weights from each of `starts` `(starts, weights)`, the others fixed at `weights`.

        Same shape as `starts`. The circuit of the free weights alone is trained, so a sparse pattern trains faster than
        the dense circuit.
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
        return train_weights(lambda w: self.objective(w, "train").sum(), weights, t.steps, t.rate, falling=True)
