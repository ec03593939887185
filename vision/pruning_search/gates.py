"""A net with a gate for each channel, trained together under a price: the search itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from vision.pruning_search.price import WidthPrice

THRESHOLD = 0.5
"""A channel is there if its score is above it."""


@dataclass(frozen=True)
class GateSettings:
    """How gates are trained.

    Defaults of `start` are the paper's; `weight` is ours, as the paper's depends on the unit of the price, and so is
    `ramp`: with few steps, a target that is far away at once closes whole layers before any channel is worth more than
    another.
    """

    weight: float = 60.0
    """Of the squared difference between relative price and target in the loss."""
    start: float = 0.6
    """Every score at the beginning, so that all channels are there."""
    ramp: float = 0.4
    """The share of the steps over which the target falls from 1 to the budget."""
    minimum: int = 1
    """Channels that every group keeps, those of highest score."""
    balanced: bool = False
    """Whether scores begin by the rank of their channel, as equal shares would keep it, and move by their gradient over
    what the channel costs. The price alone then closes the same share of every layer, and what a channel is worth for
    each part of the price makes the difference. In a short search the paper's steps close what is dear, whatever it is
    worth."""

    def __post_init__(self) -> None:
        if self.minimum < 1 or not self.weight > 0 or not self.start > THRESHOLD or not 0 <= self.ramp <= 1:
            raise ValueError(
                f"GateSettings needs minimum >= 1, weight > 0, start > {THRESHOLD} and ramp in [0, 1], got {self}"
            )


class Space(Protocol):
    """Groups of parts of a net that a search may remove, all with the same meaning of a gate: `ChannelSpace` is one."""

    @property
    def sizes(self) -> list[int]:
        """How many parts each group has."""

    def forward(self, net: nn.Module, gates: Tensor, x: Tensor) -> Tensor:
        """`net(x)` with each part multiplied by its gate, all groups in turn."""

    def widths(self, gates: Tensor) -> Tensor:
        """The sum of the gates of each group, `(groups,)`."""


class GatedNet(nn.Module):
    """`net` with a binary gate after each channel: `(B, *shape)` to what `net` returns.

        b = 1[score > 0.5], with the gradient of b taken as that of the score (straight-through)
        loss = task + weight (price(sum b) / price(all) - target)^2

    The price is one of widths and reaches the gates on both sides of each layer. A channel that is switched off still
    has a gradient, and may return. Li et al., *Pruning-as-Search* (arXiv 2206.01198), section 3.
    """

    steps_taken: Tensor

    def __init__(
        self,
        net: nn.Module,
        space: Space,
        price: WidthPrice,
        share: float,
        steps: int,
        settings: GateSettings = GateSettings(),
    ) -> None:
        super().__init__()
        self.net, self.space, self.price, self.share, self.settings = net, space, price, share, settings
        self.scores = nn.Parameter(torch.full((sum(space.sizes),), settings.start))
        self.ramp_steps = max(settings.ramp * steps, 1.0)
        self.register_buffer("steps_taken", torch.zeros((), dtype=torch.float64))
        self.full = float(price.expected(torch.tensor(space.sizes, dtype=torch.float64)))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.steps_taken += 1
        return self.space.forward(self.net, self.gates(), x)

    def gates(self) -> Tensor:
        """0 or 1 for each channel, `(channels,)`; its gradient is that of the scores."""
        scores = self.scores.detach()
        there = (scores > THRESHOLD).to(scores.dtype)
        for part, gates in zip(*(torch.split(it, self.space.sizes) for it in (scores, there)), strict=True):
            gates[part.topk(min(self.settings.minimum, len(part))).indices] = 1.0
        moved = self.scores - scores
        return there + (moved / self._relative_costs(there) if self.settings.balanced else moved)

    def _relative_costs(self, gates: Tensor) -> Tensor:
        """What one channel more costs at these gates, over the mean of all channels, `(channels,)`."""
        with torch.enable_grad():
            gates = gates.clone().requires_grad_()
            (costs,) = torch.autograd.grad(self.price.expected(self.space.widths(gates)), gates)
        return costs / costs.mean()

    def relative_price(self) -> Tensor:
        """The price at the present widths over that of the whole net."""
        return self.price.expected(self.space.widths(self.gates())) / self.full

    @property
    def target(self) -> float:
        """What the relative price should be by now: it falls on a line from 1 to the budget."""
        return 1 - (1 - self.share) * min(float(self.steps_taken) / self.ramp_steps, 1.0)

    def penalised(self, loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        """`loss` of outputs and targets with the penalty on the price."""
        return lambda outputs, y: loss(outputs, y) + self.settings.weight * (self.relative_price() - self.target) ** 2
