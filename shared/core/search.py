"""The bookkeeping that solvers share: which points were evaluated, what they measured, and which of them is best."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from shared.core.menu import Menu, Point, brief
from shared.core.price import Price
from shared.core.solver import Solution
from shared.core.task import Task


@dataclass(frozen=True)
class Candidate:
    """A point of the menu with its loss and, once the target was asked, its price."""

    point: Point
    loss: float
    measured: float = math.nan


@dataclass
class Search:
    """The state of one run. Measuring may be compiling: of the points since the last time, only those that may win."""

    task: Task
    menu: Menu
    price: Price
    budget: float
    best: Candidate | None = None
    newest: Candidate | None = None
    pending: Candidate | None = None
    cheapest: float = math.inf
    note: str = ""

    def project(self, v: Tensor) -> Point:
        """Projects; where the estimate calls the budget unreachable, the cheapest point, for the target to judge."""
        floor, _ = self.menu.budget(v, self.price)
        return self.menu.project(v, self.price, max(self.budget, floor))

    def first(self, x: Tensor) -> Point:
        """The starting point; an error before any training where even the cheapest is too dear."""
        point = self.project(x)
        self.record(point)
        if point.price > self.budget:
            self.reprice(point)
            self.require_feasible()
        return point

    def record(self, point: Point) -> None:
        """Evaluates the loss of `point`; whether it is measured, `measure_pending` decides."""
        loss = float(self.task.loss(point.z))
        self.newest = Candidate(point, math.inf if math.isnan(loss) else loss)
        if self.pending is None or self.newest.loss < self.pending.loss:
            self.pending = self.newest

    def measure_pending(self) -> bool:
        """Measures the pending point of lowest loss, and the newest one, unless a better feasible one was measured.

        True once something feasible was measured.
        """
        for candidate in (self.pending, self.newest):
            if candidate is not None and (self.best is None or candidate.loss < self.best.loss):
                candidate = replace(candidate, measured=self.measure(candidate.point.z))
                self.best = candidate if candidate.measured <= self.budget else self.best
        self.pending = self.newest = None
        return self.best is not None

    def measure(self, z: Tensor) -> float:
        measured = float(self.price.measure(z))
        if math.isnan(measured):
            raise ValueError(f"{type(self.price).__name__}.measure must return {self.price.unit}, got nan")
        self.cheapest = min(self.cheapest, measured)
        return measured

    def reprice(self, point: Point) -> None:
        """Measures what is pending and rebuilds the prices around `point`."""
        self.measure_pending()
        self.price = self.price.reprice(point.z)

    def shift(self, point: Point, v: Tensor) -> float:
        """How far the present prices would move `point`."""
        return float((self.project(v).z - point.z).norm())

    def finish(self, point: Point, v: Tensor) -> None:
        """Measures what is pending. If nothing met the budget as measured, aims lower until the target agrees."""
        if self.measure_pending():
            return
        self.price = self.price.reprice(point.z)
        floor, _ = self.menu.budget(v, self.price)
        for share in (1.0, 0.75, 0.5, 0.25, 0.0):
            target = floor + share * max(self.budget - floor, 0.0)
            self.record(self.menu.project(v, self.price, target))
            if self.measure_pending():
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
                self.record(Point(tuned, price, free))
                self.measure_pending()
            if self.best is kept:
                return

    def solution(
        self, x: Tensor, residuals: tuple[float, ...], *, converged: bool, steps: int, status: str
    ) -> Solution:
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
            converged=converged,
            steps=steps,
            status=f"{status}{self.note}",
        )
