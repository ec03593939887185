"""Training, one epoch at a time, so that a killed run goes on from the last whole one."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from shared.core.task import Progress
from shared.training import parallel
from shared.training.data import Batches
from shared.training.device import choose
from shared.training.loop import AbstractSchedule, descent


@dataclass(frozen=True)
class NesterovCosine(AbstractSchedule):
    """SGD with Nesterov momentum: the rate rises on a line to `rate` over the share `warm` of all steps, then falls to
    zero along a cosine. Weights decay; biases, norms and clipping levels do not.
    """

    epochs: int
    rate: float = 0.2
    warm: float = 0.2
    batch: int = 128
    momentum: float = 0.9
    decay: float = 5e-4

    def optimiser(self, parameters: Iterable[Tensor]) -> Optimizer:
        parameters = list(parameters)
        groups: list[dict[str, Any]] = [
            {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": self.decay},
            {"params": [parameter for parameter in parameters if parameter.ndim <= 1]},
        ]
        return torch.optim.SGD(groups, lr=self.rate, momentum=self.momentum, nesterov=True)

    def set_rate(self, optimiser: Optimizer, epoch: int, step: int, steps: int) -> None:
        for group in optimiser.param_groups:
            group["lr"] = self.rate_at((epoch + step / steps) / self.epochs)

    def rate_at(self, done: float) -> float:
        """The rate after the share `done` of all steps.

        >>> schedule = NesterovCosine(epochs=1, rate=0.2, warm=0.2)
        >>> [round(schedule.rate_at(done), 3) for done in (0, 0.1, 0.2, 0.6, 1)]
        [0.0, 0.1, 0.2, 0.1, 0.0]
        """
        if done < self.warm:
            return self.rate * done / self.warm
        return self.rate * (1 + math.cos(math.pi * (done - self.warm) / (1 - self.warm))) / 2


@dataclass(frozen=True)
class OneCycle(AbstractSchedule):
    """AdamW, the rate rising from `rate / 25` to `rate` over the first 30 % of all steps and falling to nearly zero
    after them, both along cosines, while beta1 goes from 0.95 to 0.85 and back (Smith 2018, arXiv 1803.09820).

    The numbers are those of `torch.optim.lr_scheduler.OneCycleLR`, step by step.
    """

    epochs: int
    rate: float
    batch: int = 128
    decay: float = 1e-3

    def optimiser(self, parameters: Iterable[Tensor]) -> Optimizer:
        return torch.optim.AdamW(parameters, lr=self.rate, weight_decay=self.decay)

    def set_rate(self, optimiser: Optimizer, epoch: int, step: int, steps: int) -> None:
        done, total = epoch * steps + step, self.epochs * steps
        peak, last = 0.3 * total - 1, total - 1
        first = self.rate / 25
        if done <= peak:
            rate, beta = (_cosine(*ends, done / peak) for ends in ((first, self.rate), (0.95, 0.85)))
        else:
            share = (done - peak) / (last - peak)
            rate, beta = (_cosine(*ends, share) for ends in ((self.rate, first / 1e4), (0.85, 0.95)))
        for group in optimiser.param_groups:
            group["lr"], group["betas"] = rate, (beta, group["betas"][1])


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (math.cos(math.pi * share) + 1)


class Trainer:
    """A net, its optimiser, and the epochs behind it; `state` and `restore` carry all of it over a kill.

    `loss` takes the net's output and the batch's targets, and is a mean over the batch. `device` is where the net moves
    to, as `shared.training.device.choose` reads it. Takes any schedule of epochs: `NesterovCosine`, `OneCycle`.

    Inside of `shared.training.parallel.joined` all processes train one net, each on a part of every batch. Norms have
    the statistics of a process's own part, and the mean of all processes' running ones behind each epoch.
    """

    def __init__(
        self,
        net: nn.Module,
        schedule: NesterovCosine | OneCycle,
        loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
        device: str | None = None,
    ) -> None:
        self.device = choose(device)
        self.layout = fastest_layout(net)
        net.to(device=self.device, memory_format=self.layout)  # type: ignore[call-overload]
        self.net, self.schedule, self.loss, self.epoch = net, schedule, loss, 0
        self.optimiser = schedule.optimiser(net.parameters())
        if parallel.processes() > 1:
            parallel.copy_first(net)
            self._share = 1.0
            self.optimiser.register_step_pre_hook(lambda *_: parallel.mix_gradients(net.parameters(), self._share))

    def run_epoch(self, batches: Batches, progress: Progress | None = None) -> float:
        """Trains on each of `batches`; the mean loss. Raises `ValueError` where it diverges."""
        self.net.train()
        losses: list[float] = []
        steps = (partial(self._loss, x, y) for x, y in batches)
        for loss in descent(self.optimiser, self.schedule, steps, len(batches), self.epoch):
            losses.append(loss)
            if progress is not None and len(losses) % 20 == 1:
                progress(len(losses) - 1, len(batches), f"loss {np.mean(losses[-20:]):.3f}")
        self.epoch += 1
        if parallel.processes() > 1:
            mean = torch.tensor(np.mean(losses), device=self.device)
            parallel.average([mean, *self.net.buffers()])
            return float(mean)
        return float(np.mean(losses))

    def _loss(self, x: Tensor, y: Tensor) -> Tensor:
        if parallel.processes() > 1:
            whole, x, y = len(x), parallel.own_part(x), parallel.own_part(y)
            self._share = len(x) / whole
        x = x.to(self.device)
        # An input that is channels last would make every layer so, whatever the layout of its weights.
        x = x.contiguous() if self.layout == torch.contiguous_format else x
        return self.loss(self.net(x), y.to(self.device))

    def state(self) -> dict[str, Tensor]:
        """On the CPU: the number of `epoch`s, the net's numbers, `net.NAME`, and the optimiser's,
        `optimiser.KEY.NAME` for each parameter.
        """
        numbers = {f"net.{name}": value for name, value in self.net.state_dict().items()}
        for name, parameter in self.net.named_parameters():
            for key, value in self.optimiser.state[parameter].items():
                if isinstance(value, Tensor):
                    numbers[f"optimiser.{key}.{name}"] = value
        return {name: value.detach().cpu() for name, value in numbers.items()} | {"epoch": torch.tensor(self.epoch)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Goes on from a `state` of a trainer like this one."""
        self.epoch = int(state["epoch"])
        self.net.load_state_dict(
            {name.removeprefix("net."): value for name, value in state.items() if name.startswith("net.")}
        )
        for parameter_name, parameter in self.net.named_parameters():
            for name, value in state.items():
                head, _, tail = name.partition(".")
                if head == "optimiser" and tail.partition(".")[2] == parameter_name:
                    self.optimiser.state[parameter][tail.partition(".")[0]] = _like(value, parameter)


def fastest_layout(net: nn.Module) -> torch.memory_format:
    """Channels last, which takes a third off a training step on a CPU, unless the net has convolutions that it breaks.

    oneDNN's gradient of a strided 1x1 convolution of fewer than 8 input channels writes beyond its buffers in that
    layout on CPUs without AVX-512 (torch 2.13), and the process dies later, with another error each time.
    """
    broken = any(
        isinstance(layer, nn.Conv2d)
        and layer.kernel_size == (1, 1)
        and layer.stride != (1, 1)
        and layer.in_channels // layer.groups < 8
        for layer in net.modules()
    )
    return torch.contiguous_format if broken else torch.channels_last


def _like(value: Tensor, parameter: Tensor) -> Tensor:
    """On the parameter's device and in its layout; a count of steps stays where it is."""
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value.clone()
