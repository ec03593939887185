"""CompVQC: compress a trained variational circuit for one device, with the transpiler in the loop.

After Hu, Dong, Wang, Lin, Wang, Jiang, "Quantum neural network compression" (arXiv 2207.01578, ICCAD 2022): ADMM
decides which angles take a level at which the device runs their gate at a lower cost. Pruning (level 0) and
quantization (the other levels) are one operation at different prices, and the prices come from the transpiler. We had
only the abstract of the paper: the algorithm is our reconstruction, and the steps around ADMM are our own:

- lossless rewriting for the measured parities, before anything is priced;
- slots at angle 0 around the entanglers (`quantum.compvqc.regrow`), so that one-qubit gates can grow where entanglers
  are removed;
- a schedule of falling budgets. ADMM solves each one from the result of the budget before, with prices rebuilt around
  that result; every angle is trainable again at each budget, so gates that were removed can return;
- single moves at the end: of the remaining cheaper levels, those that raise the training loss least are tried, and a
  result is kept if the budget allows it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from quantum.compilation.levels import level_table
from quantum.compvqc.baselines import random_starts
from quantum.compvqc.budget import Budget
from quantum.compvqc.candidates import Candidate, SelectionRule, candidate
from quantum.compvqc.menus import angle_levels
from quantum.compvqc.prices import CompiledPrice
from quantum.compvqc.regrow import with_slots
from quantum.devices.target import Device
from quantum.tasks.classification import Classification
from shared import ADMM, Menu, Progress

HOPELESS_DROP = 0.1
"""The budget schedule ends at a circuit whose validation accuracy is this much below what the budget allows."""

RECOVERABLE_LOSS = 0.01
"""Rise of the training loss, in nats, that fine-tuning recovers; moves are ranked as if each raised it by this more."""


class BudgetNotMetError(ValueError):
    """No candidate of a compression is within its budget."""


@dataclass(frozen=True, eq=False)
class Compression:
    """The result: the `dense` circuit, the `best` compressed one, and every candidate that was compiled in between."""

    task: Classification
    """The task on the circuit with slots, to which the weights of the candidates belong."""
    dense: Candidate
    best: Candidate
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class CompVQC:
    """The compressor and its settings.

    Each budget of the schedule is `shrink_factor` times the price before it, down to `floor` times the dense price. Its
    sparsity pattern is trained from the solution of ADMM and from `restarts` random starts. Afterwards single moves are
    tried on the `polish` most promising candidates, in at most `rounds` rounds; each round trains the `moves` that
    raise the loss least.
    """

    admm: ADMM = field(default_factory=lambda: ADMM(rho=0.03, steps=12, reprice_every=12, fine_tune=0))
    shrink_factor: float = 0.7
    floor: float = 0.01
    restarts: int = 3
    polish: int = 2
    moves: int = 4
    rounds: int = 6
    mode: str = "all"

    def compress(
        self,
        task: Classification,
        device: Device,
        budget: Budget,
        starts: Tensor,
        generator: torch.Generator,
        progress: Progress | None = None,
    ) -> Compression:
        """Compresses `task.circuit`, in which every weight is one angle, from trained `starts` `(starts, weights)`.

        With a `drop` in the budget the result is the cheapest circuit within that drop of validation accuracy,
        otherwise the circuit with the best `selection_score` within the limits. The dense circuit is the start with the
        lowest validation loss. Raises `BudgetNotMetError` if no candidate is within the budget.
        """
        own = task.circuit.weights
        grown, starts = _with_slots(task, starts)
        fixed = {weight for weight, gate in enumerate(grown.circuit.trainable) if weight >= own and gate.arity == 2}
        menu = angle_levels(grown.circuit, level_table(device), self.mode, fixed)
        search = _Search(self, grown, menu, device, budget, starts, generator)
        total = len(starts) + 1
        for k, start in enumerate(starts):
            if progress is not None:
                compiled = f"{len(search.candidates)} circuits compiled"
                progress(k, total, f"ADMM from start {k + 1} of {len(starts)}, {compiled}")
            search.run_budget_schedule(start[:, None])
        if progress is not None:
            progress(len(starts), total, f"single moves, {len(search.candidates)} circuits compiled")
        search.polish()
        best = search.rule.best(search.candidates)
        if best is None:
            raise BudgetNotMetError(search.shortfall())
        return Compression(grown, search.rule.dense, best, tuple(search.candidates))


def _with_slots(task: Classification, starts: Tensor) -> tuple[Classification, Tensor]:
    circuit, values = with_slots(task.circuit)
    slots = torch.tensor(values, dtype=starts.dtype).expand(len(starts), -1)
    return replace(task, circuit=circuit), torch.hstack([starts, slots])


class _Search:
    """The candidates of one compression, and the two procedures that add to them."""

    def __init__(
        self,
        settings: CompVQC,
        task: Classification,
        menu: Menu,
        device: Device,
        budget: Budget,
        starts: Tensor,
        generator: torch.Generator,
    ) -> None:
        self.settings, self.task, self.menu, self.device, self.generator = settings, task, menu, device, generator
        self.price = CompiledPrice(task.circuit, task.readout, device, level_table(device))
        trainable = menu.menu(starts[:1].T).free.any(1)[:, 0]
        self.candidates = [candidate(task, device, start, trainable) for start in starts]
        self.rule = SelectionRule(budget, min(self.candidates, key=lambda c: c.val_loss))

    def run_budget_schedule(self, x: Tensor) -> None:
        """Solves falling budgets by ADMM, each from the result of the budget before it."""
        price = self.price.reprice(x)
        allowance = price.measure(x)
        floor = allowance * self.settings.floor
        while allowance > floor:
            allowance *= self.settings.shrink_factor
            try:
                solution = self.settings.admm.solve(self.task, on=self.menu, price=price, budget=allowance, x=x)
            except ValueError:
                return  # the menu has no point this cheap, so the schedule ends
            compressed = self._trained(solution.z[:, 0], solution.free[:, 0], self.settings.restarts)
            self.candidates.append(compressed)
            if self._ends_schedule(compressed):
                return
            x = compressed.weights[:, None]
            price = price.reprice(x)
            allowance = min(allowance, price.measure(x))

    def _ends_schedule(self, compressed: Candidate) -> bool:
        """Whether a lower budget is pointless: the counts are at most half their limits, or the accuracy is lost."""
        budget = self.rule.budget
        if budget.drop is not None:
            return compressed.val_accuracy < self.rule.dense.val_accuracy - budget.drop - HOPELESS_DROP
        return all(getattr(compressed.compiled, metric) <= limit / 2 for metric, limit in budget.limits)

    def polish(self) -> None:
        """Moves single blocks of the best candidates to cheaper levels, as long as the rule allows the result."""
        for best in self._promising():
            for _ in range(self.settings.rounds):
                moved = [self._trained(*move, restarts=0) for move in self._moves(best)]
                self.candidates += moved
                better = [c for c in moved if self.rule.allows(c) and c.cost_key < best.cost_key]
                if not better:
                    break
                best = max(better, key=lambda c: c.selection_score)

    def _promising(self) -> Sequence[Candidate]:
        allowed = [c for c in self.candidates if self.rule.allows(c)]
        if self.rule.budget.drop is not None:
            return sorted(allowed, key=lambda c: c.cost_key)[: self.settings.polish]
        outside = [c for c in self.candidates if not self.rule.allows(c)]
        return sorted(outside, key=lambda c: c.compiled.cost)[: self.settings.polish]

    def _moves(self, of: Candidate) -> list[tuple[Tensor, Tensor]]:
        """The single cheaper entries that raise the training loss least per price saved: weights and mask of each."""
        here = of.weights[:, None]
        choices = self.menu.menu(here)
        saved = self.price.price(here[:, None]) - self.price.price(choices.values)
        blocks, entries = torch.nonzero((saved > 0) & ~choices.free[..., 0], as_tuple=True)
        if len(blocks) == 0:
            return []
        moved = of.weights.repeat(len(blocks), 1)
        moved[torch.arange(len(blocks)), blocks] = choices.values[blocks, entries, 0]
        with torch.no_grad():
            rise = self.task.objective(moved, "train") - self.task.loss(here)
        # Fine-tuning recovers a part of the rise; the constant ranks two moves that raise nothing by their savings.
        order = ((rise.clamp(min=0) + RECOVERABLE_LOSS) / saved[blocks, entries]).argsort().tolist()
        chosen = list(dict.fromkeys(blocks[k].item() for k in order))[: self.settings.moves]
        first = {block: next(k for k in order if blocks[k] == block) for block in chosen}
        return [(moved[k], of.free & (torch.arange(len(here)) != block)) for block, k in first.items()]

    def _trained(self, weights: Tensor, free: Tensor, restarts: int) -> Candidate:
        """Trains the free angles from `weights` and from random starts; the result with the best selection score."""
        starts = torch.vstack([weights[None], random_starts(self.task, restarts, self.generator)])
        trained = self.task.retrain(weights, free, starts)
        return candidate(self.task, self.device, max(trained, key=self.task.selection_score), free)

    def shortfall(self) -> str:
        """The error message for a budget that no candidate meets."""
        cheapest, dense = min(self.candidates, key=lambda c: c.cost_key), self.rule.dense
        return (
            f"budget {self.rule.budget}: the cheapest circuit found has {cheapest.compiled.twoq} two-qubit gates, "
            f"depth {cheapest.compiled.depth} and validation accuracy {cheapest.val_accuracy:.3f} (dense: "
            f"{dense.val_accuracy:.3f}); allow more, or use another ansatz"
        )
