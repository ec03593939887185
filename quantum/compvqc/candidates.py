"""Trained circuits with their compiled counts and validation results, and the selection rule of all methods."""

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
    """Weights of a task's circuit, the compiled circuit that the device runs for them, and its validation results."""

    weights: Tensor
    """`(weights,)`, angles in radians."""
    free: Tensor
    """`(weights,)` bool: True for the angles that were trained; the others stand at a level of the menu."""
    compiled: Compiled
    readout: Readout
    """The parities that are measured at the end of the compiled circuit."""
    selection_score: tuple[float, float]
    """`CircuitTask.selection_score` at the weights; a larger one is better."""
    val_accuracy: float
    val_loss: float

    @property
    def cost_key(self) -> tuple[int, int, float]:
        """Orders circuits by cost: two-qubit gates, then depth, and validation loss between equals."""
        return self.compiled.twoq, self.compiled.depth, self.val_loss


def candidate(
    task: CircuitTask,
    device: Device,
    weights: Tensor,
    free: Tensor | None = None,
    seeds: Sequence[int] = (0, 1, 2, 3),
) -> Candidate:
    """The circuit of `task` at `weights`, losslessly rewritten, compiled with the best of `seeds`, and validated."""
    compiled, readout = deploy(task.circuit.bind(weights.tolist()), task.readout, device, seeds)
    with torch.no_grad():
        loss = float(task.objective(weights, "val"))
    free = torch.ones_like(weights, dtype=torch.bool) if free is None else free
    return Candidate(
        weights, free, compiled, readout, task.selection_score(weights), task.quality(weights, "val"), loss
    )


@dataclass(frozen=True, eq=False)
class SelectionRule:
    """Selects a circuit within a budget, compared with the dense circuit.

    With a `drop` in the budget the cheapest allowed circuit is selected, otherwise the one with the best
    `selection_score`. `loss_slack` guards a `drop` against luck on a small validation set: the validation loss of a
    circuit may exceed that of the dense circuit by at most this share.
    """

    budget: Budget
    dense: Candidate
    loss_slack: float = 0.03

    def allows(self, candidate: Candidate) -> bool:
        """Whether a circuit is within every limit and, if the budget has a `drop`, within the allowed accuracy drop."""
        if not self.budget.allows(candidate.compiled):
            return False
        if self.budget.drop is None:
            return True
        least = self.dense.val_accuracy - self.budget.drop - 1e-9
        return candidate.val_accuracy >= least and candidate.val_loss <= self.dense.val_loss * (1 + self.loss_slack)

    def best(self, candidates: Sequence[Candidate]) -> Candidate | None:
        """The selected circuit, or None if the budget allows none of them."""
        allowed = [c for c in candidates if self.allows(c)]
        if self.budget.drop is not None:
            return min(allowed, key=lambda c: c.cost_key, default=None)
        return max(allowed, key=lambda c: c.selection_score, default=None)
