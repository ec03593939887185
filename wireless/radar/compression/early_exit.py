"""A second output before the end: windows whose class is clear by then go no further."""

import copy
from typing import Final

import torch
from torch import Tensor, nn

from shared.weights.prices import MACs
from wireless.radar.compression.work import Outcome, Work, answers_of

FRONT: Final = 2
"""Separable blocks before the exit, of two convolutions each."""
LOST: Final = 0.002
"""Share of windows that may be named wrongly because they left early."""


class EarlyExit(nn.Module):
    """`front` and `head` for every window; `rest` for those whose likeliest class is less likely than `threshold`."""

    def __init__(self, front: nn.Sequential, head: nn.Sequential, rest: nn.Sequential) -> None:
        super().__init__()
        self.front, self.head, self.rest = front, head, rest
        self.threshold = 1.0
        self.onward = 1.0
        """The share of windows that go on to the `rest`."""

    @property
    def first(self) -> nn.Sequential:
        """What every window goes through."""
        return nn.Sequential(*self.front, *self.head)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `(B, classes)`: all of a batch are computed to the end, and those that left early keep theirs."""
        features = self.front(x)
        early: Tensor = self.head(features)
        return torch.where(_sure(early)[:, None] >= self.threshold, early, self.rest(features))


def early_exit(work: Work) -> Outcome:
    """The net with an exit after `FRONT` blocks, the only part that is trained (Teerapittayanon et al. 2016).

    The threshold is the lowest at which no more than `LOST` of the windows of an epoch are named wrongly for it. MACs
    are the mean over those windows. Raises `ValueError` for a net of other layers.
    """
    layers = list(copy.deepcopy(work.net).children())
    ends = [index for index, layer in enumerate(layers, 1) if isinstance(layer, nn.ReLU)]
    if len(ends) <= 2 * FRONT:
        raise ValueError(f"early-exit: leaves a net on raw samples after {FRONT} blocks, which this one does not have")
    cut = ends[2 * FRONT]
    front, rest = nn.Sequential(*layers[:cut]), nn.Sequential(*layers[cut:])
    width = next(layer.num_features for layer in reversed(layers[:cut]) if isinstance(layer, nn.BatchNorm1d))
    head = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(width, work.classes))
    work.trained(nn.Sequential(_Frozen(front), *head), work.epochs)
    net = EarlyExit(front, head, rest).eval()
    _set_threshold(net, *work.windows(), work.batch)
    costs = MACs(work.example)
    first, whole = (float(costs.number_costs(it, (), None).sum()) for it in (net.first, work.net))
    front_alone = first - float(head[-1].weight.numel())  # type: ignore[operator]
    size = work.size + sum(parameter.numel() for parameter in head.parameters())
    return Outcome(answers_of(net), 4 * size, first + net.onward * (whole - front_alone), 1.0, net)


@torch.no_grad()
def _set_threshold(net: EarlyExit, x: Tensor, y: Tensor, batch: int) -> None:
    """The lowest threshold that loses `LOST` at most, and the share of windows that go on with it."""
    features = [net.front(part) for part in x.split(batch)]
    early, late = (torch.cat([part(it) for it in features]) for part in (net.head, net.rest))
    sure, order = _sure(early).sort(descending=True)
    lost = ((late.argmax(1) == y).long() - (early.argmax(1) == y).long())[order].cumsum(0)
    allowed = (lost <= LOST * len(y)).nonzero()[:, 0]
    leaving = int(allowed[-1]) + 1 if len(allowed) else 0
    net.threshold = float(sure[leaving - 1]) if leaving else 2.0
    net.onward = 1 - leaving / len(y)


def _sure(logits: Tensor) -> Tensor:
    """The probability of the likeliest class, `(B,)`."""
    return logits.softmax(1).amax(1)


class _Frozen(nn.Module):
    """What `net` computes in evaluation mode, whose numbers stay as they are."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> "_Frozen":
        return super().train(False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.net(x))
