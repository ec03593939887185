"""Training, one epoch at a time, so that a killed run goes on from the last whole one."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

Report = Callable[[int, int, str], None]


class Examples(Protocol):
    """What an epoch runs over."""

    def __len__(self) -> int: ...

    def batch(self, picked: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Inputs and class numbers of the examples `picked`, varied by `generator` where training varies them."""


@dataclass(frozen=True)
class Schedule:
    """SGD with Nesterov momentum: the rate rises on a line to `rate` over the share `warm` of all steps, then falls to
    zero along a cosine. Weights decay; biases, norms and clipping levels do not.
    """

    epochs: int
    rate: float = 0.2
    warm: float = 0.2
    batch: int = 128
    momentum: float = 0.9
    decay: float = 5e-4

    def rate_at(self, done: float) -> float:
        """The rate after the share `done` of all steps.

        >>> schedule = Schedule(epochs=1, rate=0.2, warm=0.2)
        >>> [round(schedule.rate_at(done), 3) for done in (0, 0.1, 0.2, 0.6, 1)]
        [0.0, 0.1, 0.2, 0.1, 0.0]
        """
        if done < self.warm:
            return self.rate * done / self.warm
        return self.rate * (1 + math.cos(math.pi * (done - self.warm) / (1 - self.warm))) / 2


class Trainer:
    """A net, its optimiser, and how far it has come; `state` and `restore` carry all of it over a kill."""

    def __init__(self, net: nn.Module, schedule: Schedule) -> None:
        # Channels last: a training step takes a third less time on a CPU.
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.net, self.schedule, self.epoch = net, schedule, 0
        weights = [parameter for parameter in net.parameters() if parameter.ndim > 1]
        others = [parameter for parameter in net.parameters() if parameter.ndim <= 1]
        groups: list[dict[str, Any]] = [{"params": weights, "weight_decay": schedule.decay}, {"params": others}]
        self.optimiser = torch.optim.SGD(groups, lr=schedule.rate, momentum=schedule.momentum, nesterov=True)

    def run_epoch(self, examples: Examples, generator: torch.Generator, report: Report | None = None) -> float:
        """Trains on whole batches of examples in a drawn order; the mean loss.

        Raises `ValueError` where it diverges.
        """
        self.net.train()
        batch = min(self.schedule.batch, len(examples))
        order = torch.randperm(len(examples), generator=generator).split(batch)
        # Statistics of a small rest would be poor; the examples in it come up in another epoch.
        order = order[:-1] if len(order[-1]) < batch else order
        losses = []
        for step, picked in enumerate(order):
            self._set_rate((self.epoch + step / len(order)) / self.schedule.epochs)
            losses.append(self._step(*examples.batch(picked, generator)))
            if report is not None and step % 20 == 0:
                report(step, len(order), f"loss {np.mean(losses[-20:]):.3f}")
        self.epoch += 1
        return float(np.mean(losses))

    def _set_rate(self, done: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.rate_at(done)

    def _step(self, x: Tensor, labels: Tensor) -> float:
        self.optimiser.zero_grad()
        loss = cross_entropy(self.net(x), labels)
        if not loss.isfinite():
            raise ValueError(f"training diverged: loss {loss.item():g} in epoch {self.epoch + 1} of {self.schedule}")
        loss.backward()
        self.optimiser.step()
        return loss.item()

    def state(self) -> dict[str, Tensor]:
        """The net's numbers, `net.NAME`, and the momentum of each parameter, `momentum.NAME`."""
        moved = {name: self.optimiser.state[p].get("momentum_buffer") for name, p in self.net.named_parameters()}
        return {f"net.{name}": value for name, value in self.net.state_dict().items()} | {
            f"momentum.{name}": value for name, value in moved.items() if value is not None
        }

    def restore(self, state: dict[str, Tensor], epoch: int) -> None:
        """Goes on from a `state` after `epoch` epochs."""
        self.epoch = epoch
        self.net.load_state_dict(_under("net.", state))
        moved = _under("momentum.", state)
        for name, parameter in self.net.named_parameters():
            if name in moved:
                self.optimiser.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(moved[name])


def _under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
