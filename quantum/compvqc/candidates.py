"""Trained circuits as compiled and as validated, and the one rule by which every method's circuits are chosen."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from quantum.circuits.readout import Readout
from quantum.compilation.compile import Compiled, deploy
from quantum.compvqc.budget import Budget
from quantum.devices.target import Device
from quantum.tasks.training import CircuitTask


@dataclass(frozen=True, eq=False)
class Candidate:
    """Weights of a task's circuit, the circuit that the device runs for them, and what validation says."""

    weights: Tensor
    """`(weights,)`, angles in radians."""
    free: Tensor
    """`(weights,)` bool, the angles that were trained; the others are at a level."""
    compiled: Compiled
    readout: Readout
    """The parities that the compiled circuit is read by."""
    merit: tuple[float, float]
    """More is better: `CircuitTask.merit`."""
    val_accuracy: float
    val_loss: float

    @property
    def count(self) -> tuple[int, int, float]:
        """Less is cheaper: two-qubit gates, then depth; between equals, less validation loss."""
        return self.compiled.twoq, self.compiled.depth, self.val_loss


def candidate(
    task: CircuitTask,
    device: Device,
    weights: Tensor,
    free: Tensor | None = None,
    seeds: Sequence[int] = (0, 1, 2, 3),
) -> Candidate:
    """The circuit of `task` at `weights`, simplified without loss, compiled with the best of `seeds`, validated."""
    compiled, readout = deploy(task.circuit.bind(weights.tolist()), task.readout, device, seeds)
    with torch.no_grad():
        loss = float(task.objective(weights, "val"))
    free = torch.ones_like(weights, dtype=torch.bool) if free is None else free
    return Candidate(weights, free, compiled, readout, task.merit(weights), task.quality(weights, "val"), loss)


@dataclass(frozen=True, eq=False)
class Rule:
    """Which circuits a budget allows, beside the dense circuit, and which of them is wanted.

    With a `drop` the cheapest circuit, else the one of most merit. `loss_slack` guards a `drop`
    against luck on a small validation set: a circuit's validation loss may exceed the dense one's by that share.
    """

    budget: Budget
    dense: Candidate
    loss_slack: float = 0.03

    def allows(self, candidate: Candidate) -> bool:
        """Within every limit and, where accuracy is part of the budget, within the drop."""
        if not self.budget.allows(candidate.compiled):
            return False
        if self.budget.drop is None:
            return True
        least = self.dense.val_accuracy - self.budget.drop - 1e-9
        return candidate.val_accuracy >= least and candidate.val_loss <= self.dense.val_loss * (1 + self.loss_slack)

    def best(self, candidates: Sequence[Candidate]) -> Candidate | None:
        """The circuit that is wanted, or None where none is allowed."""
        allowed = [c for c in candidates if self.allows(c)]
        if self.budget.drop is not None:
            return min(allowed, key=lambda c: c.count, default=None)
        return max(allowed, key=lambda c: c.merit, default=None)
