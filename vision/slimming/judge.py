"""What a plan loses, by the weights of the supernet."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from vision.slimming.net import Supernet
from vision.slimming.plan import Plan


class Judge:
    """`judge(plan)` is the cross entropy of a plan on images `x`, `(B, 3, H, W)`, each plan computed once.

    `losses` are those of all plans judged so far.
    """

    def __init__(self, supernet: Supernet, x: Tensor, labels: Tensor) -> None:
        self.supernet, self.x, self.labels = supernet, x, labels
        self.losses: dict[Plan, float] = {}

    @torch.no_grad()
    def __call__(self, plan: Plan) -> float:
        if plan not in self.losses:
            self.losses[plan] = float(cross_entropy(self.supernet.answered(plan, self.x), self.labels))
        return self.losses[plan]
