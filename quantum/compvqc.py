"""CompVQC: compress a trained variational circuit for one device, with the transpiler in the loop.

After Hu, Dong, Wang, Lin, Wang, Jiang, "Quantum neural network compression" (arXiv 2207.01578, ICCAD 2022): ADMM decides
which angles take a level at which the device runs their gate for less. Pruning (level 0) and quantization (the other
levels) are one operation at different prices, and the prices are the transpiler's. The full text was not at hand: the
algorithm is our reconstruction from the abstract, and what surrounds ADMM is ours:

- lossless rewriting by what is measured, before anything is priced;
- a ladder of falling budgets, each solved by ADMM from the point before it, with prices rebuilt around that point; every
  angle is trainable again on each rung, so gates that were dropped can grow back;
- single moves at the end: of the cheaper levels that are left, try those that hurt least, and keep what validation allows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from quantum.budget import Budget
from quantum.compile import Compiled
from quantum.levels import level_table
from quantum.menus import angle_levels
from quantum.prices import CompiledPrice
from quantum.target import Device
from quantum.tasks import Classification
from shared import ADMM

FAR = 0.1
"""A rung this much validation accuracy below what the budget allows ends its ladder."""

HARMLESS = 0.01
"""Nats of training loss that fine-tuning takes back: what rises less counts as this much."""

Report = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A point on the menu, as compiled and as validated."""

    weights: Tensor
    """`(weights,)`, angles in radians."""
    free: Tensor
    """`(weights,)` bool, the angles that kept values of their own."""
    compiled: Compiled
    val_accuracy: float
    val_loss: float

    @property
    def count(self) -> tuple[int, int, float]:
        """Less is cheaper: two-qubit gates, then depth; between equals, less validation loss."""
        return self.compiled.twoq, self.compiled.depth, self.val_loss

    @property
    def merit(self) -> tuple[float, float]:
        """More is better: validation accuracy, then less validation loss."""
        return self.val_accuracy, -self.val_loss


@dataclass(frozen=True, eq=False)
class Compression:
    """What was found: `dense` before, `best` after, and every candidate that was measured on the way."""

    dense: Candidate
    best: Candidate
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class CompVQC:
    """The compressor and its settings.

    Every rung of the ladder allows `rung` of the price before it, down to `floor` of the dense price. Afterwards the
    `polish` most promising candidates take single moves; each round fine-tunes the `moves` that hurt least.
    `loss_slack` guards a `drop` budget against luck on a small validation set: a candidate's validation loss may exceed
    the dense circuit's by that share at most. `seeds` are the transpiler's; the cheapest result counts.
    """

    admm: ADMM = field(default_factory=lambda: ADMM(rho=0.03, steps=12, reprice_every=12))
    rung: float = 0.7
    floor: float = 0.01
    polish: int = 2
    moves: int = 4
    loss_slack: float = 0.1
    mode: str = "all"
    seeds: tuple[int, ...] = (0, 1, 2, 3)

    def compress(
        self, task: Classification, device: Device, budget: Budget, starts: Tensor, report: Report | None = None
    ) -> Compression:
        """Compresses `task.circuit`, every weight an angle of its own, from trained `starts` `(starts, weights)`.

        With a `drop` in the budget: the cheapest circuit whose validation accuracy is within it. Without: the circuit
        with the best validation accuracy among those within the limits. The dense circuit is the start with the lowest
        validation loss. Raises `ValueError` where nothing that was found is within the budget.
        """
        search = _Search(self, task, device, budget, starts)
        total = len(starts) + 1
        for k, start in enumerate(starts):
            if report is not None:
                report(k, total, f"ADMM from start {k + 1} of {len(starts)}, {len(search.found)} circuits compiled")
            search.ladder(start[:, None])
        if report is not None:
            report(len(starts), total, f"single moves, {len(search.found)} circuits compiled")
        search.polish()
        return Compression(search.dense, search.best(), tuple(search.found))


class _Search:
    """What has been found so far, and the two ways of finding more."""

    def __init__(self, how: CompVQC, task: Classification, device: Device, budget: Budget, starts: Tensor) -> None:
        table = level_table(device)
        self.how, self.task, self.budget = how, task, budget
        self.menu = angle_levels(task.circuit, table, how.mode)
        self.price = CompiledPrice(task.circuit, task.readout, device, table)
        dense = [self.candidate(start, torch.ones_like(start, dtype=torch.bool)) for start in starts]
        self.dense = min(dense, key=lambda c: c.val_loss)
        self.found: list[Candidate] = dense

    def candidate(self, weights: Tensor, free: Tensor) -> Candidate:
        with torch.no_grad():
            loss = float(self.task.cross_entropy(weights, "val"))
        compiled = self.price.compiled(weights[:, None], self.how.seeds)
        return Candidate(weights, free, compiled, self.task.accuracy(weights, "val"), loss)

    def allowed(self, candidate: Candidate) -> bool:
        """Within every limit and, where accuracy is part of the budget, within the drop."""
        if not self.budget.allows(candidate.compiled):
            return False
        if self.budget.drop is None:
            return True
        least = self.dense.val_accuracy - self.budget.drop - 1e-9
        slack = self.dense.val_loss * (1 + self.how.loss_slack)
        return candidate.val_accuracy >= least and candidate.val_loss <= slack

    def ladder(self, x: Tensor) -> None:
        """ADMM on falling budgets, each rung from the point before it."""
        price = self.price.reprice(x)
        allowance = price.measure(x)
        floor = allowance * self.how.floor
        while allowance > floor:
            allowance *= self.how.rung
            try:
                solution = self.how.admm.solve(self.task, on=self.menu, price=price, budget=allowance, x=x)
            except ValueError:
                return  # the menu has nothing this cheap: the ladder's end
            x = solution.z
            rung = self.candidate(x[:, 0], solution.free[:, 0])
            self.found.append(rung)
            if self._enough(rung):
                return
            price = price.reprice(x)
            allowance = min(allowance, price.measure(x))

    def _enough(self, rung: Candidate) -> bool:
        """Whether cheaper rungs are no use: the limits are met by half, or the accuracy is far out of reach."""
        if self.budget.drop is not None:
            return rung.val_accuracy < self.dense.val_accuracy - self.budget.drop - FAR
        return all(getattr(rung.compiled, metric) <= limit / 2 for metric, limit in self.budget.limits)

    def polish(self) -> None:
        """From the best candidates, single blocks go to cheaper levels for as long as that gives an allowed circuit."""
        for candidate in self._promising():
            while True:
                moved = [self._tuned(*move) for move in self._moves(candidate)]
                self.found += moved
                better = [c for c in moved if self.allowed(c) and c.count < candidate.count]
                if not better:
                    break
                candidate = max(better, key=lambda c: c.merit)

    def _promising(self) -> Sequence[Candidate]:
        allowed = [c for c in self.found if self.allowed(c)]
        if self.budget.drop is not None:
            return sorted(allowed, key=lambda c: c.count)[: self.how.polish]
        outside = [c for c in self.found if not self.allowed(c)]
        return sorted(outside, key=lambda c: c.compiled.cost)[: self.how.polish]

    def _moves(self, candidate: Candidate) -> list[tuple[Tensor, Tensor]]:
        """The single cheaper entries that cost least training loss per price saved, as weights and what stays free."""
        here = candidate.weights[:, None]
        choices = self.menu.menu(here)
        saved = self.price.price(here[:, None]) - self.price.price(choices.values)
        blocks, entries = torch.nonzero((saved > 0) & ~choices.free[..., 0], as_tuple=True)
        if len(blocks) == 0:
            return []
        moved = candidate.weights.repeat(len(blocks), 1)
        moved[torch.arange(len(blocks)), blocks] = choices.values[blocks, entries, 0]
        with torch.no_grad():
            rise = self.task.cross_entropy(moved, "train") - self.task.loss(here)
        # The rise before fine-tuning overstates: the constant keeps two harmless moves apart by what they save.
        order = ((rise.clamp(min=0) + HARMLESS) / saved[blocks, entries]).argsort().tolist()
        chosen = list(dict.fromkeys(blocks[k].item() for k in order))[: self.how.moves]
        first = {block: next(k for k in order if blocks[k] == block) for block in chosen}
        return [(moved[k], candidate.free & (torch.arange(len(here)) != block)) for block, k in first.items()]

    def _tuned(self, weights: Tensor, free: Tensor) -> Candidate:
        x = weights[:, None]
        return self.candidate(self.task.fit(x, x, 0.0, free[:, None])[:, 0], free)

    def best(self) -> Candidate:
        allowed = [c for c in self.found if self.allowed(c)]
        if not allowed:
            cheapest = min(self.found, key=lambda c: c.count)
            raise ValueError(
                f"budget {self.budget}: the cheapest circuit found has {cheapest.compiled.twoq} two-qubit gates, depth "
                f"{cheapest.compiled.depth} and validation accuracy {cheapest.val_accuracy:.3f} (dense: "
                f"{self.dense.val_accuracy:.3f}); allow more, or use another ansatz"
            )
        if self.budget.drop is not None:
            return min(allowed, key=lambda c: c.count)
        return max(allowed, key=lambda c: c.merit)
