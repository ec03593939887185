"""What a plan loses, by the weights of the supernet."""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from vision.slimming.net import Part, Supernet, judged_by_batches, parts
from vision.slimming.plan import Plan

KEPT = 16
"""Maps that are kept. Plans that are judged one after the other differ in one action, and share what is before it."""


class Judge:
    """`judge(plan)` is the cross entropy of a plan on images `x`, `(B, 3, H, W)`, each plan computed once.

    `losses` are those of all plans judged so far.
    """

    def __init__(self, supernet: Supernet, x: Tensor, labels: Tensor) -> None:
        self.supernet, self.x, self.labels = judged_by_batches(supernet), x, labels
        self.losses: dict[Plan, float] = {}
        self._after = lru_cache(KEPT)(self._computed)

    @torch.no_grad()
    def __call__(self, plan: Plan) -> float:
        if plan not in self.losses:
            logits = self.supernet.answered(self._after(tuple(parts(plan))))
            self.losses[plan] = float(cross_entropy(logits, self.labels))
        return self.losses[plan]

    def _computed(self, course: tuple[Part, ...]) -> Tensor:
        """The map behind some parts, from the image on."""
        if not course:
            return self.x
        return self.supernet.after(self._after(course[:-1]), course[-1])
