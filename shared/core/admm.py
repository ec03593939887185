"""The alternating direction method of multipliers between a task and a priced menu."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from shared.core.menu import Menu, Point, brief
from shared.core.price import Price
from shared.core.task import Task

Report = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class Solution:
    """What `ADMM.solve` found: `z` is the compressed point, the rest says how good it is and how it was reached."""

    x: Tensor
    """`(blocks, size)`, the last trained point, off the menu."""
    z: Tensor
    """`(blocks, size)`, the best feasible point seen, fine-tuned; on the menu."""
    free: Tensor
    """`(blocks, size)` bool, the coordinates of `z` that were left trainable."""
    loss: float
    """`task.loss(z)`."""
    price: float
    """The separable estimate for `z` by the last prices, in their unit."""
    measured: float
    """The target's own count for `z`, in the price's unit; never above `budget`."""
    budget: float
    residuals: tuple[float, ...]
    """`||x - z||` after each step."""
    status: str
    """A sentence on how the search ended."""


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
    >>> found = ADMM().solve(task, on=Sparsity(), price=NonzeroPrice(), budget=1, x=task.optimum)
    >>> found.measured, [round(value, 2) for value in found.z.flatten().tolist()]
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
        report: Report | None = None,
    ) -> Solution:
        """The best point of the menu `on` that costs at most `budget` as measured, from a start `x`, `(blocks, size)`.

        `report(done, total, note)` is called after each step. Raises `ValueError` if nothing seen meets the budget,
        with the cheapest price that was measured.
        """
        x = x.detach().clone()
        search = _Search(task, on, price, budget)
        point = search.first(x)
        u, rho, residuals = torch.zeros_like(x), self.rho, []
        status = f"stopped after all {self.steps} steps"
        for step in range(1, self.steps + 1):
            fitted = task.fit(x, point.z - u, rho).detach()
            if not fitted.isfinite().all():
                status = f"stopped at step {step}: task.fit returned NaN or inf"
                break
            x, before, point = fitted, point, search.project(fitted + u)
            u = u + x - point.z
            search.see(point)
            apart, moved, length = _norm(x - point.z), _norm(point.z - before.z), _norm(point.z)
            residuals.append(apart)
            if report is not None:
                report(step, self.steps, f"||x - z|| = {apart:.3g}")
            if step % self.reprice_every == 0 and step < self.steps:
                search.reprice(point)
                if max(apart, moved, search.shift(point, x + u)) <= self.tol * length and search.best is not None:
                    status = f"converged after {step} steps"
                    break
            scale = self._rescale(apart * _norm(u), moved * max(length, _norm(x)))
            rho, u = rho * scale, u / scale
        search.finish(point, x + u)
        search.fine_tune(self.fine_tune)
        return search.solution(x, tuple(residuals), status)

    def _rescale(self, primal: float, dual: float) -> float:
        """The factor for rho. On a finite menu `z` often stands still; a dual residual of 0 tells nothing then."""
        if 0 < dual * self.balance < primal:
            return self.growth * 2
        if 0 < primal * self.balance < dual:
            return self.growth / 2
        return self.growth


def _norm(x: Tensor) -> float:
    return float(x.norm())


@dataclass(frozen=True)
class _Seen:
    point: Point
    loss: float
    measured: float = math.nan


@dataclass
class _Search:
    """What a run has seen. To measure may be to compile: of the points since the last time, only those that may win."""

    task: Task
    menu: Menu
    price: Price
    budget: float
    best: _Seen | None = None
    newest: _Seen | None = None
    waiting: _Seen | None = None
    cheapest: float = math.inf
    note: str = ""

    def project(self, v: Tensor) -> Point:
        """Projects; where the estimate calls the budget unreachable, the cheapest point, for the target to judge."""
        floor, _ = self.menu.budget(v, self.price)
        return self.menu.project(v, self.price, max(self.budget, floor))

    def first(self, x: Tensor) -> Point:
        """The starting point; an error before any training where even the cheapest is too dear."""
        point = self.project(x)
        self.see(point)
        if point.price > self.budget:
            self.reprice(point)
            self.require_feasible()
        return point

    def see(self, point: Point) -> None:
        loss = float(self.task.loss(point.z))
        self.newest = _Seen(point, math.inf if math.isnan(loss) else loss)
        if self.waiting is None or self.newest.loss < self.waiting.loss:
            self.waiting = self.newest

    def judge(self) -> bool:
        """Measures the waiting point of lowest loss, and the newest one, unless a better feasible one is known.

        True once something feasible is known.
        """
        for seen in (self.waiting, self.newest):
            if seen is not None and (self.best is None or seen.loss < self.best.loss):
                seen = replace(seen, measured=self.measure(seen.point.z))
                self.best = seen if seen.measured <= self.budget else self.best
        self.waiting = self.newest = None
        return self.best is not None

    def measure(self, z: Tensor) -> float:
        measured = float(self.price.measure(z))
        if math.isnan(measured):
            raise ValueError(f"{type(self.price).__name__}.measure must return {self.price.unit}, got nan")
        self.cheapest = min(self.cheapest, measured)
        return measured

    def reprice(self, point: Point) -> None:
        """Judges what was seen and rebuilds the prices around `point`."""
        self.judge()
        self.price = self.price.reprice(point.z)

    def shift(self, point: Point, v: Tensor) -> float:
        """How far the present prices would move `point`."""
        return _norm(self.project(v).z - point.z)

    def finish(self, point: Point, v: Tensor) -> None:
        """Judges what still waits. If nothing met the budget as measured, aims lower until the target agrees."""
        if self.judge():
            return
        self.price = self.price.reprice(point.z)
        floor, _ = self.menu.budget(v, self.price)
        for share in (1.0, 0.75, 0.5, 0.25, 0.0):
            target = floor + share * max(self.budget - floor, 0.0)
            self.see(self.menu.project(v, self.price, target))
            if self.judge():
                self.note = f"; aimed at {target:g} {self.price.unit} for the measured price to meet the budget"
                return
        self.require_feasible()

    def require_feasible(self) -> None:
        if self.best is None:
            raise ValueError(
                f"budget={self.budget:g} {self.price.unit}: the cheapest point of {brief(self.menu)} "
                f"costs {self.cheapest:g}"
            )

    def fine_tune(self, rounds: int) -> None:
        """Trains what the best pattern leaves free; a round that is no better, or too dear as measured, is not kept."""
        for _ in range(rounds):
            assert self.best is not None
            kept, (z, price, free) = self.best, self.best.point
            if not free.any():
                return
            tuned = torch.where(free, self.task.fit(z.clone(), z.clone(), 0.0, free).detach(), z)
            if tuned.isfinite().all():
                self.see(Point(tuned, price, free))
                self.judge()
            if self.best is kept:
                return

    def solution(self, x: Tensor, residuals: tuple[float, ...], status: str) -> Solution:
        assert self.best is not None
        z, _, free = self.best.point
        return Solution(
            x=x,
            z=z,
            free=free,
            loss=self.best.loss,
            price=float(self.price.price(z[:, None]).double().sum()),
            measured=self.best.measured,
            budget=self.budget,
            residuals=residuals,
            status=f"{status}{self.note}",
        )
