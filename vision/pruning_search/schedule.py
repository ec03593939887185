"""How a net with gates is trained from random patches: rates of its own for the scores of the gates."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from shared.training.epochs import OneCycle


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
