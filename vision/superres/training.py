"""How nets are trained on patches, and what they reach on whole pictures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import l1_loss
from torch.optim import Optimizer

from shared.training.data import Shuffled
from shared.training.epochs import OneCycle, Trainer
from vision.superres.bicubic import resized
from vision.superres.patches import Pair, Patches
from vision.superres.quality import psnr, ssim

BATCH = 16
EPOCH = 100
"""Steps of an epoch, after which a stopped training goes on."""


def whole_epochs(steps: int) -> tuple[int, int]:
    """How many epochs `steps` are split into, and the steps of each.

    >>> whole_epochs(1000), whole_epochs(30)
    ((10, 100), (1, 30))
    """
    count = max(round(steps / EPOCH), 1)
    return count, max(round(steps / count), 1)


def epoch_of(pairs: Sequence[Pair], scale: int, size: int, steps: int, generator: torch.Generator) -> Shuffled:
    """The random patches of an epoch."""
    return Shuffled(Patches(pairs, scale, size, steps * BATCH), BATCH, generator)


def trainer(net: nn.Module, epochs: int, rate: float) -> Trainer:
    """The loss is the mean absolute error."""
    return Trainer(net, OneCycle(epochs, rate, BATCH, decay=0.0), l1_loss)


@dataclass(frozen=True)
class GateSchedule(OneCycle):
    """Of a net with gates: Adam for its weights, and for the scores of its gates descent with momentum at `gate_rate`.

    Adam takes steps of equal size, so that all gates would close at once; behind an epsilon of 1 its steps are in
    proportion to the gradients.
    """

    gate_rate: float = 0.01
    scores: Tensor = field(kw_only=True)

    def optimiser(self, parameters: Iterable[Tensor]) -> Optimizer:
        weights = [parameter for parameter in parameters if parameter is not self.scores]
        groups: list[dict[str, Any]] = [{"params": [self.scores], "eps": 1.0}, {"params": weights}]
        return torch.optim.AdamW(groups, lr=self.rate, weight_decay=0.0)

    def set_rate(self, optimiser: Optimizer, epoch: int, step: int, steps: int) -> None:
        super().set_rate(optimiser, epoch, step, steps)
        optimiser.param_groups[0]["lr"] *= self.gate_rate / self.rate


def log_l1(actual: Tensor, expected: Tensor) -> Tensor:
    """The logarithm of the mean absolute error, so that a price has the same weight beside any error."""
    return l1_loss(actual, expected).log()


@torch.no_grad()
def enlarged(net: nn.Module | None, pair: Pair, scale: int) -> NDArray[np.float32]:
    """The small picture enlarged by a net, or bicubically without one, rounded to the 256 levels of luma."""
    if net is None:
        large = resized(pair.small, scale)
    else:
        large = net.eval()(torch.from_numpy(pair.small)[None, None] / 255)[0, 0].numpy() * np.float32(255)
    return np.rint(large).clip(0, 255)


def quality(net: nn.Module | None, pairs: Sequence[Pair], scale: int) -> dict[str, list[float]]:
    """PSNR in dB and SSIM of each picture, without a border of `scale` pixels."""
    images = [(enlarged(net, pair, scale), pair.large.astype(np.float32)) for pair in pairs]
    return {
        "psnr": [psnr(*both, border=scale) for both in images],
        "ssim": [ssim(*both, border=scale) for both in images],
    }
