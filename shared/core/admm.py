"""The alternating direction method of multipliers between a task and a priced menu."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from shared.core.menu import Menu
from shared.core.price import Price
from shared.core.search import Search
from shared.core.solver import Solution
from shared.core.task import Progress, Task, require_methods


@dataclass(frozen=True)
class ADMM:
    """Scaled ADMM on `min loss(x) subject to price(z) <= budget, z on the menu, x = z`.

        x <- argmin_x loss(x) + rho/2 ||x - (z - u)||^2      (task.fit, approximate)
        z <- project(x + u)                                  (menu)
        u <- u + x - z

    Every `reprice_every` steps, and at the end, the target measures; with steps still to come its prices are rebuilt
    around `z`, so that the separable budget is tight there although real compilers are not additive. Only measured
    points count as feasible; the one of lowest loss is kept. Its pattern is then frozen and what is free is fine-tuned,
    by `fine_tune` calls of `task.fit`.

    `rho` grows by the factor `growth` each step. Where the primal residual `||x - z|| / max(||x||, ||z||)` and the dual
    one `||z - z_before|| / ||u||` differ by more than the factor `balance`, rho doubles or halves to even them
    (Wohlberg 2017, *ADMM penalty parameter selection by residual balancing*); `balance=inf` turns that off. `u` is
    dual/rho, so it shrinks as rho grows. The search ends early where `x`, `z` and `z_before` agree to `tol` times the
    norm of `z` and new prices leave `z` in place.

    Start with a `rho` around the loss's curvature along one coordinate, or below: too high a rho never leaves the
    pattern of the first projection, too low a one is raised by `balance` and `growth`.

    Menus are not convex, so nothing is promised beyond this: the result is feasible as measured, and for additive
    prices no worse than projecting `x` once.

    >>> from shared import NonzeroPrice, Sparsity
    >>> from shared.core.testing import Quadratic
    >>> task = Quadratic(torch.tensor([[1.0, 0.9], [0.9, 1.0]]), optimum=torch.tensor([[1.0], [1.1]]))
    >>> solution = ADMM().solve(task, on=Sparsity(), price=NonzeroPrice(), budget=1, x=task.optimum)
    >>> solution.measured, [round(value, 2) for value in solution.z.flatten().tolist()]
    (1.0, [0.0, 2.0])
    """

    rho: float = 0.3
    growth: float = 1.1
    balance: float = 10.0
    steps: int = 20
    reprice_every: int = 5
    fine_tune: int = 1
    tol: float = 1e-6

    def __post_init__(self) -> None:
        least = {"growth": 1, "balance": 1, "steps": 0, "reprice_every": 1, "fine_tune": 0, "tol": 0}
        for name, bound in least.items():
            if not getattr(self, name) >= bound:
                raise ValueError(f"Arg `{name}` must be at least {bound} but was {getattr(self, name)}.")
        if not 0 < self.rho < math.inf:
            raise ValueError(f"Arg `rho` must be positive and finite but was {self.rho}.")

    def solve(
        self,
        task: Task,
        *,
        on: Menu,
        price: Price,
        budget: float = math.inf,
        x: Tensor,
        progress: Progress | None = None,
    ) -> Solution:
        """The best point of the menu `on` that costs at most `budget` as measured, from a start `x`, `(blocks, size)`.

        `progress(done, total, note)` is called after each step. Raises `ValueError` if nothing that was measured meets
        the budget, with the cheapest price, and `TypeError` for a task without `loss` and `fit`.
        """
        require_methods(task, "ADMM", "loss", "fit")
        x = x.detach().clone()
        search = Search(task, on, price, budget)
        point = search.first(x)
        u, rho, residuals = torch.zeros_like(x), self.rho, []
        converged, status = False, f"stopped after all {self.steps} steps"
        for step in range(1, self.steps + 1):
            fitted = task.fit(x, point.z - u, rho).detach()
            if not fitted.isfinite().all():
                status = f"stopped at step {step}: task.fit returned NaN or inf"
                break
            x, before, point = fitted, point, search.project(fitted + u)
            u = u + x - point.z
            search.record(point)
            apart, moved, length = _norm(x - point.z), _norm(point.z - before.z), _norm(point.z)
            residuals.append(apart)
            if progress is not None:
                progress(step, self.steps, f"||x - z|| = {apart:.3g}")
            if step % self.reprice_every == 0 and step < self.steps:
                search.reprice(point)
                if max(apart, moved, search.shift(point, x + u)) <= self.tol * length and search.best is not None:
                    converged, status = True, f"converged after {step} steps"
                    break
            scale = self._rescale(apart * _norm(u), moved * max(length, _norm(x)))
            rho, u = rho * scale, u / scale
        search.finish(point, x + u)
        search.fine_tune(self.fine_tune)
        return search.solution(x, tuple(residuals), converged=converged, steps=len(residuals), status=status)

    def _rescale(self, primal: float, dual: float) -> float:
        """The factor for rho. On a finite menu `z` often stands still; a dual residual of 0 tells nothing then."""
        if 0 < dual * self.balance < primal:
            return self.growth * 2
        if 0 < primal * self.balance < dual:
            return self.growth / 2
        return self.growth


def _norm(x: Tensor) -> float:
    return float(x.norm())
