"""CompVQC: compress a trained variational circuit for one device, with the transpiler in the loop.

After Hu, Dong, Wang, Lin, Wang, Jiang, "Quantum neural network compression" (arXiv 2207.01578, ICCAD 2022): ADMM
decides which angles take a level at which the device runs their gate for less. Pruning (level 0) and quantization (the
other levels) are one operation at different prices, and the prices are the transpiler's. The full text was not at hand:
the algorithm is our reconstruction from the abstract, and what surrounds ADMM is ours:

- lossless rewriting by what is measured, before anything is priced;
- slots at angle 0 around the entanglers (`quantum.compvqc.regrow`), so that one-qubit gates can grow where entanglers
  go;
- a ladder of falling budgets, each solved by ADMM from the point before it, with prices rebuilt around that point;
  every angle is trainable again on each rung, so gates that were dropped can grow back;
- single moves at the end: of the cheaper levels that are left, try those that hurt least, keep what validation allows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from quantum.compilation.levels import level_table
from quantum.compvqc.baselines import random_starts
from quantum.compvqc.budget import Budget
from quantum.compvqc.candidates import Candidate, Rule, candidate
from quantum.compvqc.menus import angle_levels
from quantum.compvqc.prices import CompiledPrice
from quantum.compvqc.regrow import with_slots
from quantum.devices.target import Device
from quantum.tasks.classification import Classification
from shared import ADMM, Menu

FAR = 0.1
"""A rung this much validation accuracy below what the budget allows ends its ladder."""

HARMLESS = 0.01
"""Nats of training loss that fine-tuning takes back: what rises less counts as this much."""

Report = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class Compression:
    """What was found: `dense` before, `best` after, and every candidate that was measured on the way."""

    task: Classification
    """The task with the slots that gates may grow in; the candidates' weights are its circuit's."""
    dense: Candidate
    best: Candidate
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class CompVQC:
    """The compressor and its settings.

    Every rung of the ladder allows `rung` of the price before it, down to `floor` of the dense price; its pattern is
    trained from where ADMM left it and from `restarts` random starts. Afterwards the `polish` most promising candidates
    take single moves, for `rounds` at most; each round trains the `moves` that hurt least.
    """

    admm: ADMM = field(default_factory=lambda: ADMM(rho=0.03, steps=12, reprice_every=12, fine_tune=0))
    rung: float = 0.7
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
        report: Report | None = None,
    ) -> Compression:
        """Compresses `task.circuit`, every weight an angle of its own, from trained `starts` `(starts, weights)`.

        With a `drop` in the budget: the cheapest circuit whose validation accuracy is within it. Without: the circuit
        of most merit among those within the limits. The dense circuit is the start with the lowest
        validation loss. Raises `ValueError` where nothing that was found is within the budget.
        """
        own = task.circuit.weights
        grown, starts = _with_slots(task, starts)
        fixed = {weight for weight, gate in enumerate(grown.circuit.trainable) if weight >= own and gate.arity == 2}
        menu = angle_levels(grown.circuit, level_table(device), self.mode, fixed)
        search = _Search(self, grown, menu, device, budget, starts, generator)
        total = len(starts) + 1
        for k, start in enumerate(starts):
            if report is not None:
                report(k, total, f"ADMM from start {k + 1} of {len(starts)}, {len(search.found)} circuits compiled")
            search.ladder(start[:, None])
        if report is not None:
            report(len(starts), total, f"single moves, {len(search.found)} circuits compiled")
        search.polish()
        best = search.rule.best(search.found)
        if best is None:
            raise ValueError(search.shortfall())
        return Compression(grown, search.rule.dense, best, tuple(search.found))


def _with_slots(task: Classification, starts: Tensor) -> tuple[Classification, Tensor]:
    circuit, values = with_slots(task.circuit)
    slots = torch.tensor(values, dtype=starts.dtype).expand(len(starts), -1)
    return replace(task, circuit=circuit), torch.hstack([starts, slots])


class _Search:
    """What has been found so far, and the two ways of finding more."""

    def __init__(
        self,
        how: CompVQC,
        task: Classification,
        menu: Menu,
        device: Device,
        budget: Budget,
        starts: Tensor,
        generator: torch.Generator,
    ) -> None:
        self.how, self.task, self.menu, self.device, self.generator = how, task, menu, device, generator
        self.price = CompiledPrice(task.circuit, task.readout, device, level_table(device))
        trainable = menu.menu(starts[:1].T).free.any(1)[:, 0]
        self.found = [candidate(task, device, start, trainable) for start in starts]
        self.rule = Rule(budget, min(self.found, key=lambda c: c.val_loss))

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
            rung = self._trained(solution.z[:, 0], solution.free[:, 0], self.how.restarts)
            self.found.append(rung)
            if self._enough(rung):
                return
            x = rung.weights[:, None]
            price = price.reprice(x)
            allowance = min(allowance, price.measure(x))

    def _enough(self, rung: Candidate) -> bool:
        """Whether cheaper rungs are no use: the limits are met by half, or the accuracy is far out of reach."""
        budget = self.rule.budget
        if budget.drop is not None:
            return rung.val_accuracy < self.rule.dense.val_accuracy - budget.drop - FAR
        return all(getattr(rung.compiled, metric) <= limit / 2 for metric, limit in budget.limits)

    def polish(self) -> None:
        """From the best candidates, single blocks go to cheaper levels for as long as that gives an allowed circuit."""
        for best in self._promising():
            for _ in range(self.how.rounds):
                moved = [self._trained(*move, restarts=0) for move in self._moves(best)]
                self.found += moved
                better = [c for c in moved if self.rule.allows(c) and c.count < best.count]
                if not better:
                    break
                best = max(better, key=lambda c: c.merit)

    def _promising(self) -> Sequence[Candidate]:
        allowed = [c for c in self.found if self.rule.allows(c)]
        if self.rule.budget.drop is not None:
            return sorted(allowed, key=lambda c: c.count)[: self.how.polish]
        outside = [c for c in self.found if not self.rule.allows(c)]
        return sorted(outside, key=lambda c: c.compiled.cost)[: self.how.polish]

    def _moves(self, of: Candidate) -> list[tuple[Tensor, Tensor]]:
        """The single cheaper entries that cost least training loss per price saved, as weights and what stays free."""
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
        # The rise before fine-tuning overstates: the constant keeps two harmless moves apart by what they save.
        order = ((rise.clamp(min=0) + HARMLESS) / saved[blocks, entries]).argsort().tolist()
        chosen = list(dict.fromkeys(blocks[k].item() for k in order))[: self.how.moves]
        first = {block: next(k for k in order if blocks[k] == block) for block in chosen}
        return [(moved[k], of.free & (torch.arange(len(here)) != block)) for block, k in first.items()]

    def _trained(self, weights: Tensor, free: Tensor, restarts: int) -> Candidate:
        """The pattern's free angles trained from `weights` and from random starts; the one of most merit."""
        starts = torch.vstack([weights[None], random_starts(self.task, restarts, self.generator)])
        trained = self.task.retrain(weights, free, starts)
        return candidate(self.task, self.device, max(trained, key=self.task.merit), free)

    def shortfall(self) -> str:
        """What to tell a user whose budget nothing met."""
        cheapest, dense = min(self.found, key=lambda c: c.count), self.rule.dense
        return (
            f"budget {self.rule.budget}: the cheapest circuit found has {cheapest.compiled.twoq} two-qubit gates, "
            f"depth {cheapest.compiled.depth} and validation accuracy {cheapest.val_accuracy:.3f} (dense: "
            f"{dense.val_accuracy:.3f}); allow more, or use another ansatz"
        )
