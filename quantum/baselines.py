"""What a practitioner would do instead: train a small circuit from scratch, or drop the smallest angles."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from quantum.ansatz import line_cx
from quantum.tasks import Classification


def random_starts(task: Classification, starts: int, generator: torch.Generator) -> Tensor:
    """Weights `(starts, weights)` uniform in [-pi, pi), the usual start of a variational circuit."""
    uniform = torch.rand(starts, task.circuit.weights, generator=generator, dtype=torch.float64)
    return math.pi * (2 * uniform - 1)


def train_small(
    task: Classification, layers: Sequence[int], starts: int, generator: torch.Generator
) -> list[tuple[Classification, Tensor]]:
    """A line ansatz of each number of layers, trained from scratch: the task and the best weights by validation.

    Best is most validation samples right, then least validation loss, as for compressed circuits.
    """
    found = []
    for count in layers:
        small = replace(task, circuit=line_cx(task.circuit.wires, count))
        trained = small.train(random_starts(small, starts, generator))
        found.append((small, max(trained, key=lambda w: merit(small, w))))
    return found


@torch.no_grad()
def merit(task: Classification, weights: Tensor) -> tuple[float, float]:
    """Validation accuracy, then less validation loss: what circuits are chosen by."""
    return task.accuracy(weights, "val"), -float(task.cross_entropy(weights, "val"))


def magnitude_prune(task: Classification, weights: Tensor, shares: Sequence[float]) -> list[tuple[Tensor, Tensor]]:
    """For each share, that part of the angles nearest to 0 on their period goes to 0 and the rest is fine-tuned.

    Weights and the mask of what was trained, one pair per share, each from the same dense weights.
    """
    periods = torch.tensor([gate.period for gate in task.circuit.trainable], dtype=weights.dtype)
    order = (weights - periods * torch.round(weights / periods)).abs().argsort()
    found = []
    for share in shares:
        free = torch.ones_like(weights, dtype=torch.bool)
        free[order[: round(share * len(weights))]] = False
        start = torch.where(free, weights, 0.0)
        found.append((task.retrain(start, free, start[None])[0], free))
    return found
