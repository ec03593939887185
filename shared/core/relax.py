"""Gradient descent on weights over the menu's entries, which cool until one entry of each block is left."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from shared.core.menu import Choices, Menu
from shared.core.price import Price
from shared.core.search import Search
from shared.core.solver import Solution
from shared.core.task import DifferentiableTask, Progress, Task, require_methods

NEGLIGIBLE = 0.01
"""A block is on an entry once each other weighs less: a mean that is only near a level may keep its
value, at the level's price, and lose that price once it is trained."""


def soft_prox(menu: Menu, v: Tensor, price: Price, lam: float, temperature: float) -> Tensor:
    """The weight of each entry near `v`, `(blocks, k)`: `softmax(-(1/2 ||entry - v||^2 + lam price) / temperature)`.

    Its cold limit is `Menu.prox`: as `temperature` falls to 0 all weight goes to the entry that `prox` takes (Rose
    1998, *Deterministic annealing*, section II). Forbidden entries have weight 0.

    >>> from shared import NonzeroPrice, Sparsity
    >>> soft_prox(Sparsity(), torch.tensor([[2.0], [2.0]]), NonzeroPrice((1.0, 3.0)), lam=1.0, temperature=0.2).round()
    tensor([[0., 1.],
            [1., 0.]])
    """
    values = menu.menu(v).values
    cost = _distance(values, v) + lam * price.price(values).to(v.dtype)
    return torch.softmax(-cost.nan_to_num(nan=math.inf, posinf=math.inf) / temperature, -1)


def _distance(values: Tensor, v: Tensor) -> Tensor:
    return 0.5 * (values - v[:, None]).square().sum(-1)


@dataclass(frozen=True)
class Relaxation:
    """Descent on weights `p` over each block's entries, with the budget met in expectation at every step.

        x(p, v) = sum_k p_k entry_k(v)                                  the mean of a random choice
        minimise  objective(x) + rho/2 sum_k p_k ||entry_k - x||^2      subject to  sum_k p_k price_k <= budget
        p = softmax(logits / temperature - multiplier price)

    The second term is what a random choice loses beside its mean, to second order, for a loss of curvature `rho` along
    every coordinate; without it the mean of two entries would pass for an entry. One multiplier for all blocks is
    solved for at each step, as in `Menu.project`, and the gradient is taken along the budget: it needs no gradient
    through the price, only its expectation. Adam moves the logits by `entry_rate` and the values `v` of trainable
    coordinates by `rate`, a share of their root mean square; both fall along a cosine. The temperature falls from
    `temperature` to `coldest` by a constant factor, so that one entry of each block is left, and rho grows by the
    factor `growth` with each projection.

    With `mode="straight-through"` the objective sees the entry of largest weight and its gradient goes to all
    (Bengio et al. 2013, *Estimating or propagating gradients through stochastic neurons*); rho has no part in it.

    Every `reprice_every` of the `steps` gradient steps the mean is projected onto the menu, and measured, kept and
    fine-tuned exactly as `ADMM` does; menu and prices are then rebuilt around it. A menu must list its entries in the
    same order wherever the point moves. The search ends early where mean and projection agree to `tol` times the norm
    and stand still. It uses no random numbers of its own.

    Menus are not convex, so nothing is promised beyond what `ADMM` promises: the result is feasible as measured, and
    for additive prices no worse than projecting `x` once.

    >>> from shared import NonzeroPrice, Sparsity
    >>> from shared.core.testing import Quadratic
    >>> task = Quadratic(torch.tensor([[1.0, 0.9], [0.9, 1.0]]), optimum=torch.tensor([[1.0], [1.1]]))
    >>> solution = Relaxation().solve(task, on=Sparsity(), price=NonzeroPrice(), budget=1, x=task.optimum)
    >>> solution.measured, [round(value, 2) for value in solution.z.flatten().tolist()]
    (1.0, [0.0, 2.0])
    """

    rho: float = 0.3
    growth: float = 1.1
    steps: int = 300
    reprice_every: int = 25
    rate: float = 0.05
    entry_rate: float = 0.1
    temperature: float = 1.0
    coldest: float = 0.05
    mode: Literal["softmax", "straight-through"] = "softmax"
    fine_tune: int = 1
    tol: float = 1e-3

    def __post_init__(self) -> None:
        least = {"growth": 1, "steps": 0, "reprice_every": 1, "rate": 0, "entry_rate": 0, "fine_tune": 0, "tol": 0}
        for name, bound in least.items():
            if not getattr(self, name) >= bound:
                raise ValueError(f"Arg `{name}` must be at least {bound} but was {getattr(self, name)}.")
        if not 0 <= self.rho < math.inf:
            raise ValueError(f"Arg `rho` must be at least 0 and finite but was {self.rho}.")
        if not 0 < self.coldest <= self.temperature < math.inf:
            raise ValueError(f"Arg `coldest` must be above 0, up to temperature={self.temperature}: {self.coldest}.")
        if self.mode not in ("softmax", "straight-through"):
            raise ValueError(f"Arg `mode` must be 'softmax' or 'straight-through' but was {self.mode!r}.")

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

        `task` is a `DifferentiableTask`. `progress(done, total, note)` is called after each projection. Raises
        `ValueError` if nothing that was measured meets the budget, with the cheapest price, and `TypeError` for a task
        without `loss`, `fit` and `objective`.
        """
        require_methods(task, "Relaxation", "loss", "fit", "objective")
        x = x.detach().clone()
        search = Search(task, on, price, budget)
        point = search.first(x)
        objective = cast(DifferentiableTask, task).objective
        mixture, step = _Mixture(search, x), 0
        residuals: list[float] = []
        adam = self._optimiser(mixture, x)
        converged, status = False, f"stopped after all {self.steps} steps"
        for step in range(1, self.steps + 1):
            temperature, rho = self._cooled(step), self.rho * self.growth ** len(residuals)
            if not mixture.differentiate(objective, temperature, rho, hard=self.mode == "straight-through"):
                status = f"stopped at step {step}: task.objective returned NaN or inf, or such a gradient"
                step -= 1
                break
            adam.step()
            self._slow_down(adam, step)
            if step % self.reprice_every and step < self.steps:
                continue
            x, before = mixture.mean(temperature), point
            point = search.project(x)
            search.record(point)
            apart, moved, length = (float(gap.norm()) for gap in (x - point.z, point.z - before.z, point.z))
            residuals.append(apart)
            if progress is not None:
                progress(step, self.steps, f"||x - z|| = {apart:.3g}")
            if step < self.steps:
                search.reprice(point)
                mixture.rebuild(search)
            if max(apart, moved, search.shift(point, x)) <= self.tol * length and search.best is not None:
                converged, status = True, f"converged after {step} steps"
                break
        search.finish(point, x)
        search.fine_tune(self.fine_tune)
        return search.solution(x, tuple(residuals), converged=converged, steps=step, status=status)

    def _optimiser(self, mixture: "_Mixture", x: Tensor) -> torch.optim.Adam:
        rate = self.rate * (float(x.square().mean().sqrt()) or 1.0)
        groups = [
            {"params": [mixture.logits], "lr": self.entry_rate, "peak": self.entry_rate},
            {"params": [mixture.latent], "lr": rate, "peak": rate},
        ]
        return torch.optim.Adam(groups, betas=(0.9, 0.99))

    def _cooled(self, step: int) -> float:
        return self.temperature * math.pow(self.coldest / self.temperature, (step - 1) / max(self.steps - 1, 1))

    def _slow_down(self, adam: torch.optim.Adam, step: int) -> None:
        """Rates along a cosine to a tenth: the last steps still have to settle which entry is taken."""
        for group in adam.param_groups:
            group["lr"] = group["peak"] * (0.1 + 0.45 * (1 + math.cos(math.pi * step / self.steps)))


class _Mixture:
    """Weights over the entries of every block, under a budget for their expected price."""

    def __init__(self, search: Search, x: Tensor) -> None:
        self.latent = x.clone().requires_grad_()
        self.multiplier = 1.0
        self.rebuild(search)
        distance = _distance(self.choices.values, x)
        dropped = distance.gather(1, self.prices.argmin(-1, keepdim=True))
        # Logits in units of what the cheapest point costs in distance make one temperature fit all scales of x.
        self.logits = (-distance / (float(dropped.mean()) or 1.0)).requires_grad_()

    def rebuild(self, search: Search) -> None:
        """Entries and prices around where the trainable values are now."""
        self.choices: Choices = search.menu.menu(self.latent.detach())
        self.prices = search.price.price(self.choices.values).to(self.latent.dtype)
        cheapest = float(self.prices.min(-1).values.double().sum())
        self.budget = max(search.budget, cheapest * (1 + 1e-6))

    def weights(self, temperature: float) -> tuple[Tensor, bool]:
        """`(blocks, k)`, and whether the budget binds."""
        forbidden = self.prices.isinf()
        logits = torch.where(forbidden, -math.inf, self.logits.detach() / temperature)
        prices = torch.where(forbidden, 0.0, self.prices)
        free = torch.softmax(logits, -1)
        if float((free * prices).sum()) <= self.budget:
            return free, False
        p, self.multiplier = _within(logits, prices, self.budget, self.multiplier)
        return p, True

    def mean(self, temperature: float) -> Tensor:
        """The expected point, `(blocks, size)`, without entries of weights below `NEGLIGIBLE`."""
        p, _ = self.weights(temperature)
        p = torch.where(p < NEGLIGIBLE, 0.0, p)
        return self._mean(p / p.sum(-1, keepdim=True), self.latent)[0].detach()

    def _mean(self, p: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """The expected point `(blocks, size)`, and the entries, `(blocks, k, size)`."""
        entries = torch.where(self.choices.free, latent[:, None], self.choices.values)
        return (p[..., None] * entries).sum(1), entries

    def differentiate(
        self, objective: Callable[[Tensor], Tensor], temperature: float, rho: float, *, hard: bool
    ) -> bool:
        """Leaves the gradients where Adam looks for them; False where they are not finite."""
        p, binds = self.weights(temperature)
        shown = one_hot(p.argmax(-1), p.shape[1]).to(p.dtype) if hard else p
        leaf = shown.clone().requires_grad_()
        x, entries = self._mean(leaf, self.latent)
        loss = objective(x)
        if not hard:
            loss = loss + 0.5 * rho * ((leaf * entries.square().sum(-1)).sum() - x.square().sum())
        by_weight, by_value = torch.autograd.grad(loss, (leaf, self.latent))
        by_logit = _centred(by_weight, p)
        if binds:
            by_logit = _along_budget(by_logit, torch.where(self.prices.isinf(), 0.0, self.prices), p)
        self.logits.grad, self.latent.grad = by_logit / temperature, by_value
        return bool(loss.isfinite() and by_logit.isfinite().all() and by_value.isfinite().all())


def _centred(g: Tensor, p: Tensor) -> Tensor:
    """The gradient of `sum_k p_k g_k` by the logits of `p`."""
    return p * (g - (p * g).sum(-1, keepdim=True))


def _along_budget(by_logit: Tensor, prices: Tensor, p: Tensor) -> Tensor:
    """The gradient with the multiplier moving along, so that the expected price stays.

    With E the expected price, e = dE/dlogits and m the multiplier, dE = 0 gives dm/dlogits = e / sum(price e), and the
    loss changes by `by_logit + lam e` with the Lagrange multiplier lam below. Where it is negative the cheaper is the
    better anyway, and the budget is about to bind no more.
    """
    by_price = _centred(prices, p)
    slope = float((prices * by_price).sum())
    lam = -float((prices * by_logit).sum()) / slope if slope > 0 else 0.0
    return by_logit + max(lam, 0.0) * by_price


def _within(logits: Tensor, prices: Tensor, budget: float, start: float) -> tuple[Tensor, float]:
    """`softmax(logits - m price)` with an expected price of `budget`, and `m`: Newton's steps inside a bisection.

    The expected price falls as `m` grows, by its variance.
    """
    unit = float(prices.max())
    prices, goal = prices / unit, budget / unit
    low, high, m = 0.0, math.inf, max(start * unit, 1e-3)
    for _ in range(60):
        p = torch.softmax(logits - m * prices, -1)
        each = (p * prices).sum(-1)
        over = float(each.sum()) - goal
        if abs(over) <= 1e-4 * max(goal, 1.0):
            break
        low, high = (m, high) if over > 0 else (low, m)
        variance = float((p * prices.square()).sum() - each.square().sum())
        newton = m + over / variance if variance > 0 else math.inf
        if not (low < newton < high and newton < 10 * m):
            newton = 2 * m if high == math.inf else (low + high) / 2
        m = newton
    return p, m / unit
