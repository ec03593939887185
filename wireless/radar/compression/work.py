"""What a technique starts from and may spend, how it trains, and what its net costs in the end."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.nn.utils import parametrize

from shared.core.task import Progress
from shared.f8net import F8Net
from shared.integer import AbstractWeighted, Program, audit
from shared.integer.packed import pack
from shared.weights.prices import Bytes, MACs, NetPrice
from wireless.radar.nets.classifier import log_probabilities
from wireless.radar.nets.inputs import FORMAT, as_input
from wireless.radar.training import Source, Targets, run_epoch, trainer

PriceName = Literal["bytes", "macs"]

CALIBRATION = 512
"""Windows from which the first number formats are calibrated."""


@dataclass(frozen=True, eq=False)
class Work:
    """What a technique starts from and may spend: `epochs` over `source`, in batches, at the `rate`."""

    net: nn.Module
    source: Source
    samples: int
    classes: int
    budget: float
    """What may be kept of the `price`, as a share of the net's."""
    epochs: int
    whole: int
    """Epochs that training from scratch takes: those of the net, and these."""
    rate: float
    batch: int
    generator: torch.Generator
    progress: Progress | None = None
    price: PriceName = "bytes"

    @property
    def net_price(self) -> NetPrice:
        return Bytes() if self.price == "bytes" else MACs(self.example)

    def cost(self, net: nn.Module) -> float:
        """What `net` costs while nothing of it is dropped: bytes in floating point, or multiply-accumulates."""
        return float(self.net_price.number_costs(net, (), None).double().sum())

    @property
    def example(self) -> tuple[int, int]:
        return 2, self.samples

    @property
    def size(self) -> int:
        """Parameters of the net."""
        return sum(parameter.numel() for parameter in self.net.parameters())

    def windows(self) -> tuple[Tensor, Tensor]:
        """Inputs and labels of one epoch."""
        windowed = self.source.windows(int(torch.randint(2**62, (), generator=self.generator)))
        return as_input(windowed.samples), torch.from_numpy(windowed.labels)

    def trained(self, net: nn.Module, epochs: int, targets: Targets | None = None) -> nn.Module:
        """`net` itself after so many epochs, whose batch norms follow their statistics."""
        training = trainer(net, epochs, self.rate, self.batch)
        for _ in range(epochs):
            run_epoch(training, self.source, self.generator, self.progress, targets)
        return net.cpu().eval()

    def taught(self, x: Tensor, y: Tensor) -> Tensor:
        """Targets of distillation: the mean of the net's answers and the labels (Hinton et al. 2015, at temperature
        1)."""
        with torch.no_grad():
            answers = torch.cat([self.net(part).softmax(1) for part in x.split(self.batch)])
        return (answers + one_hot(y, self.classes)) / 2


class Outcome(NamedTuple):
    """What a compressed net answers, and what it costs."""

    answers: Callable[[NDArray[np.complex64]], NDArray[np.int64]]
    """The class of each window."""
    bytes: float
    macs: float
    """Multiply-accumulates of a window whose weight is not zero."""
    kept: float
    """Weights that are not zero, as a share of the net's."""
    net: nn.Module | Program
    """What computes the answers."""


def in_floats(work: Work, net: nn.Module, block: int = 1) -> Outcome:
    """Four bytes for each number that is not zero, and a bit for each block of a layer that has zeros."""
    settled(net)
    sizes = [(weight.numel(), int(torch.count_nonzero(weight))) for weight in net.parameters()]
    taken = sum(4 * kept + (math.ceil(all_ / block / 8) if kept < all_ else 0) for all_, kept in sizes)
    uses = MACs(work.example).number_costs(net, (), None)
    nonzero = torch.cat([parameter.detach().flatten() for parameter in net.parameters()]) != 0
    return Outcome(answers_of(net), taken, float(uses[nonzero].sum()), _kept(work, sizes), net)


def in_integers(
    work: Work, net: nn.Module, epochs: int, words: Mapping[str, int] | None = None, targets: Targets | None = None
) -> Outcome:
    """Trained for `epochs` in 8-bit fixed point, weights in fewer bits where `words` says so, and counted as packed.

    Weights that were dropped have no part in the spread that the others' grid follows.
    """
    fixed = converted(work, net, words, work.windows()[0][:CALIBRATION])
    program = work.trained(fixed, epochs, targets).program()  # type: ignore[operator]
    audited = audit(program)
    audited.require(8)
    weights = [it.weight.integers for it in program.operations if isinstance(it, AbstractWeighted)]
    sizes = [(weight.size, int(np.count_nonzero(weight))) for weight in weights]
    # Below 2**24 every sum is exact in float32, and the net's answers are those of the program.
    exact = max(max(-value.low, value.high) for value in program.values.values()) < 2**24
    fixed = fixed if exact else fixed.double()

    def answers(samples: NDArray[np.complex64]) -> NDArray[np.int64]:
        logits = fixed(as_input(samples) if exact else as_input(samples).double())
        return np.asarray(logits.detach().argmax(1).numpy())

    return Outcome(answers, len(pack(program)), float(audited.nonzero_macs), _kept(work, sizes), program)


def converted(work: Work, net: nn.Module, words: Mapping[str, int] | None, x: Tensor) -> F8Net:
    """`net` in 8-bit fixed point, weights in fewer bits where `words` says so, calibrated on `x`, not trained."""
    return F8Net(net, shape=work.example, input=FORMAT, weight_words=words, sparse=True).calibrate(x)


def answers_of(net: nn.Module) -> Callable[[NDArray[np.complex64]], NDArray[np.int64]]:
    return lambda samples: log_probabilities(net, samples).argmax(1)


def settled(net: nn.Module) -> None:
    """Weights that were computed from others while they were trained become numbers of the net."""
    for layer in net.modules():
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight")


def _kept(work: Work, sizes: Sequence[tuple[int, int]]) -> float:
    return sum(kept for _, kept in sizes) / work.size
