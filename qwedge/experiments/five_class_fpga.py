"""The radar net with fewer weights on one multiplier per layer, where each that is left out saves its clocks.

All nets are in 8 bits, were trained for as many epochs, and take a recording within the same clocks; what differs is
the multipliers that they need for it, and how often they are right. Beside ADMM stand the net as it is, the weights of
largest magnitude kept without a search, and a net that was small from the start.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn

from fpga.design.devices import device
from fpga.folded import plan
from fpga.pricing.prices import clocks
from shared import ADMM, Sparsity
from shared.f8net import F8Net, keep_zeros
from shared.integer import Program, audit, outputs
from shared.lab import JSON, Context
from shared.training.loop import Schedule
from shared.weights.task import ParameterTask
from wireless.radar.five_class import network, training, waveforms

INTERVAL: Final = 80_000
"""Clocks for a recording, 1,250 a second at 100 MHz: the net as it is needs up to four multipliers in a layer."""
POSITIONS: Final = {"3": 128, "6": 64, "9": 32}
"""Outputs per channel of the convolutions that take longer than that on one multiplier, by name."""
SMALL: Final = (10, 12, 20, 40)
"""Channels of the net that is small from the start: every layer within `INTERVAL` on one multiplier."""

SEARCH: Final = ADMM(rho=3e-2, growth=1.2, balance=float("inf"), steps=25, fine_tune=0)
BATCHES: Final = Schedule(steps=40, rate=2e-3, floor=2e-3, batch=training.BATCH)
"""Between two steps of the search."""
LARGEST: Final = ADMM(steps=0, fine_tune=0)
"""Keeps the weights of largest magnitude."""

FIRST, FURTHER, IN_FIXED_POINT = 8e-3, 4e-3, 1e-3
"""Learning rates."""


class Comparison:
    """Nets of one seed, trained on so many examples and for so many epochs, in stages that a killed run goes on from.

    `tried` are the recordings, and their labels, that they are counted on.
    """

    def __init__(self, context: Context, tried: tuple[Tensor, Tensor], examples: int, epochs: int) -> None:
        self.context, self.tried, self.examples, self.epochs = context, tried, examples, epochs

    def result(self) -> dict[str, JSON]:
        whole = self.context.tensors("trained", lambda: self.new(network.CHANNELS).state_dict())

        def again() -> nn.Module:
            net = network.network()
            net.load_state_dict(whole)
            return net

        nets: Mapping[str, Callable[[], nn.Module]] = {
            "whole": lambda: self.trained(again(), self.searched, FURTHER),
            "small": lambda: self.trained(self.new(SMALL), self.searched, FURTHER),
            "magnitude": lambda: self.trained(self.pruned(again(), LARGEST), self.searched, FURTHER),
            "admm": lambda: self.pruned(again(), SEARCH),
        }
        return {name: self.context.stage(name, partial(self.finished, net)) for name, net in nets.items()}

    @property
    def searched(self) -> int:
        """Epochs that the search takes: the other nets are trained for as many more."""
        return len(POSITIONS) * SEARCH.steps * BATCHES.steps * BATCHES.batch // self.examples

    def new(self, channels: Sequence[int]) -> nn.Module:
        return self.trained(network.fresh(self.context.rng, channels), self.epochs, FIRST)

    def trained(self, net: nn.Module, epochs: int, rate: float) -> nn.Module:
        for epoch in training.train(net, self.examples, epochs, rate, self.context.rng):
            self.context.progress(epoch, epochs, "training radar networks")
        return net

    def pruned(self, net: nn.Module, solver: ADMM) -> nn.Module:
        """`net` without, in one convolution after the other, weights that take longer than `INTERVAL`."""
        x, y = waveforms.sample(self.examples, self.context.rng)
        generator = self.context.generator()

        def loss(forward: Callable[..., Tensor], generator: torch.Generator) -> Tensor:
            chosen = torch.randint(len(y), (BATCHES.batch,), generator=generator)
            return nn.functional.cross_entropy(forward(x[chosen]), y[chosen])

        for name, positions in POSITIONS.items():
            layer: Any = net.train().get_submodule(name)
            task = ParameterTask(net, loss, generator, BATCHES, select={f"{name}.weight"})
            solution = solver.solve(
                task,
                on=task.menu(Sparsity()),
                price=task.price(clocks(tuple(layer.weight.shape), 1, positions)),
                budget=INTERVAL,
                x=task.x,
                progress=self.context.progress,
            )
            nn.utils.vector_to_parameters(solution.z[:, 0], net.parameters())
            keep_zeros(layer, layer.weight.detach() != 0)
        return net

    def finished(self, net: Callable[[], nn.Module]) -> dict[str, JSON]:
        """What a net that was trained further, and then in fixed point, is worth, and what it takes of an ECP5-85k."""
        fixed = F8Net(
            self.trained(net(), max(self.epochs // 3, 1), FURTHER), shape=(2, waveforms.SAMPLES), input=waveforms.FORMAT
        )
        fixed.calibrate(waveforms.sample(512, self.context.rng)[0])
        self.trained(fixed, max(self.epochs // 6, 1), IN_FIXED_POINT)
        return described(fixed.eval().program(), *self.tried)


def described(program: Program, x: Tensor, y: Tensor) -> dict[str, JSON]:
    audit(program).require(8)
    (scores,) = outputs(program, waveforms.FORMAT.to_integers(x.numpy()))
    folding = plan(program, device("ecp5-85k"), interval=INTERVAL)
    needs = folding.needs("ecp5")
    return {
        "right": int((scores.argmax(1) == y.numpy()).sum()),
        "of": len(y),
        "multipliers": needs.dsp,
        "block_rams": needs.bram,
        "interval": folding.interval,
        "latency": folding.latency,
    }
