"""The relaxation: its gradient along the budget, its cold limit, and what it is worth beside ADMM and brute force."""

import itertools
import math
import re

import pytest
import torch
from menu_cases import CASES
from test_admm import quadratic

from shared import (
    BitPrice,
    FixedPoint,
    KernelTable,
    Levels,
    NonzeroPrice,
    Relaxation,
    Sparsity,
    TablePrice,
    soft_prox,
)
from shared.core.relax import _along_budget, _centred, _Mixture, _within
from shared.core.search import Search
from shared.core.testing import Quadratic


@pytest.mark.parametrize("lam", [0.0, 0.3, 1.7])
def test_the_cold_limit_of_soft_prox_is_prox(case, lam):
    v = case.point(0)
    weights = soft_prox(case.menu, v, case.price, lam, temperature=1e-7)
    values = case.menu.menu(v).values
    assert torch.allclose(weights.sum(-1), torch.ones(case.blocks, dtype=v.dtype))
    mean = (weights[..., None] * values).sum(1)
    assert torch.allclose(mean, case.menu.prox(v, case.price, lam).z, atol=1e-9)


def test_the_warm_limit_of_soft_prox_is_uniform(case):
    weights = soft_prox(case.menu, case.point(0), case.price, 1.0, temperature=1e9)
    assert torch.allclose(weights, torch.full_like(weights, 1 / weights.shape[1]))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_budget_is_met_in_expectation(name, share):
    case = CASES[name]
    prices = case.price.price(case.menu.menu(case.point(0)).values).double()
    logits = torch.randn(prices.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    low = float(prices.min(-1).values.sum())
    high = float((torch.softmax(logits, -1) * prices).sum())
    budget = low + share * (high - low)
    for start in (1e-6, 1.0, 1e6):
        p, multiplier = _within(logits, prices, budget, start)
        assert float((p * prices).sum()) == pytest.approx(budget, abs=2e-4 * max(budget, float(prices.max())))
        assert torch.allclose(p, torch.softmax(logits - multiplier * prices, -1), atol=1e-9)


def test_the_gradient_runs_along_the_budget():
    """Central differences of a loss whose weights are solved for the budget anew at every point."""
    generator = torch.Generator().manual_seed(1)
    logits, prices, slopes = (torch.rand(3, 4, generator=generator, dtype=torch.float64) for _ in range(3))
    slopes = slopes - 3 * prices  # what costs more is worth more, so that the budget binds
    budget = 0.8 * float((torch.softmax(logits, -1) * prices).sum())

    def weights(at):
        low, high = 0.0, 100.0
        for _ in range(200):
            m = (low + high) / 2
            p = torch.softmax(at - m * prices, -1)
            low, high = (m, high) if float((p * prices).sum()) > budget else (low, m)
        return p

    p, h = weights(logits), 1e-5
    gradient = _along_budget(_centred(slopes, p), prices, p)
    for block, entry in itertools.product(range(3), range(4)):
        step = torch.zeros_like(logits)
        step[block, entry] = h
        numeric = float(((weights(logits + step) - weights(logits - step)) * slopes).sum()) / (2 * h)
        assert float(gradient[block, entry]) == pytest.approx(numeric, abs=1e-6)


def test_a_mean_between_entries_is_no_entry():
    """Without the variance of the choice, half of 0 and half of 1 would do for an optimum of 0.5, and stay warm."""
    task = Quadratic(torch.eye(1, dtype=torch.float64), torch.tensor([[0.45]], dtype=torch.float64))
    menu = FixedPoint(1, 0, signed=False)
    mixture = _Mixture(Search(task, menu, NonzeroPrice(0.0), math.inf), task.optimum)
    drift, p = {}, 1 / (1 + math.e)
    for rho in (0.0, 1.0):
        mixture.logits.data = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
        assert mixture.differentiate(task.objective, 1.0, rho, hard=False)
        drift[rho] = float(mixture.logits.grad[0, 1] - mixture.logits.grad[0, 0]) / (2 * p * (1 - p))
    assert drift[0.0] == pytest.approx(p - 0.45)
    # With the curvature's own rho the difference is that of the two losses, 1/2 0.55^2 - 1/2 0.45^2, whatever p is.
    assert drift[1.0] == pytest.approx(0.5 * 0.55**2 - 0.5 * 0.45**2)


def test_a_mean_close_to_a_level_is_on_it():
    """Or it would be projected to a value of its own at the level's price, and lose that price once it is trained."""
    task = quadratic(0, 1)
    mixture = _Mixture(Search(task, Levels((0.0,)), NonzeroPrice(0.0), math.inf), task.optimum)
    for weight, mean in ((0.995, 0.0), (0.9, 0.1 * task.optimum.item())):
        mixture.logits.data = torch.tensor([[weight, 1 - weight]], dtype=torch.float64).log()
        assert mixture.mean(1.0).item() == pytest.approx(mean, rel=1e-12, abs=0)


def test_both_neighbours_of_a_width_receive_gradient():
    """Four channels with a kernel that is flat up to two: what is kept and what is dropped both feel the table."""
    kernel = KernelTable(groups=(0,), widths=((0, 2, 4),), costs=(0.0, 0.0, 4.0))
    price = TablePrice((kernel,), blocks=(4,), unit="ms")
    task = Quadratic(torch.eye(4, dtype=torch.float64), torch.tensor([[4.0], [3.0], [2.0], [1.0]], dtype=torch.float64))
    search = Search(task, Sparsity(), price.reprice(task.optimum * torch.tensor([[1.0], [1.0], [0.0], [0.0]])), 2.0)
    mixture = _Mixture(search, task.optimum)
    assert mixture.differentiate(task.objective, 1.0, 0.3, hard=False)
    assert (mixture.logits.grad != 0).all()
    widths = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(price.expected(widths), widths)
    assert slope.item() == 1.0  # the mean of 0 to the left and 2 to the right


def test_the_relaxation_meets_a_table_as_measured():
    kernel = KernelTable(groups=(0, 1), widths=((0, 2, 4), (0, 3)), costs=((0.0, 0.0), (1.0, 4.0), (1.5, 9.0)))
    price = TablePrice((kernel,), blocks=(4, 3), unit="ms")
    task = quadratic(2, 7)
    for budget in (1.0, 4.0, 6.0):
        solution = Relaxation(steps=60, reprice_every=15).solve(
            task, on=Sparsity(), price=price.reprice(task.optimum), budget=budget, x=task.optimum
        )
        assert price.measure(solution.z) == solution.measured <= budget


def test_a_straight_through_objective_is_asked_on_the_menu_alone():
    asked = []

    class Listening(Quadratic):
        def objective(self, x):
            asked.append(x.detach())
            return super().objective(x)

    task = Listening(*vars(quadratic(0, 4)).values())
    menu = FixedPoint(2, 0)
    Relaxation(steps=10, mode="straight-through").solve(task, on=menu, price=BitPrice(0), budget=3, x=task.optimum)
    assert all(torch.equal(menu.prox(x, BitPrice(0), 0.0).z, x) for x in asked)


@pytest.mark.parametrize(
    ("menu", "price", "blocks", "budget", "ratio"),
    [
        (Levels((0.0, math.pi / 2, math.pi), period=4 * math.pi), NonzeroPrice(), 10, 4, 0.9),
        (Sparsity(), NonzeroPrice(), 12, 5, 0.95),
        (FixedPoint(3, 1), BitPrice(1), 8, 8, 0.75),
    ],
    ids=["angles", "elements", "fixed point"],
)
def test_the_relaxation_beats_one_projection_at_equal_budget(menu, price, blocks, budget, ratio):
    shares = []
    for seed in range(4):
        task = quadratic(seed, blocks)
        once = menu.project(task.optimum, price, budget)
        tuned = torch.where(once.free, task.fit(once.z, once.z, 0.0, once.free), once.z)
        solution = Relaxation(steps=200, reprice_every=25).solve(
            task, on=menu, price=price, budget=budget, x=task.optimum
        )
        shares.append(solution.loss / task.loss(tuned))
    assert sum(shares) / len(shares) <= ratio


def test_small_problems_are_solved_to_the_optimum():
    """2 of 5 coordinates, every support tried: at least 4 of 5 are the best there is."""
    hits = 0
    for seed in range(5):
        task = quadratic(seed, 5)
        solution = Relaxation(steps=200).solve(task, on=Sparsity(), price=NonzeroPrice(), budget=2, x=task.optimum)
        zero, supports = torch.zeros_like(task.optimum), itertools.combinations(range(5), 2)
        masks = [torch.zeros(5, 1, dtype=torch.bool).index_fill(0, torch.tensor(pair), True) for pair in supports]
        hits += solution.loss <= min(task.loss(task.fit(zero, zero, 0.0, free)) for free in masks) + 1e-9
    assert hits >= 4


def test_an_objective_that_diverges_is_reported_not_raised():
    class Diverging(Quadratic):
        calls = 0

        def objective(self, x):
            type(self).calls += x.requires_grad
            return super().objective(x) * (math.nan if self.calls >= 4 else 1.0)

    task = Diverging(torch.eye(4, dtype=torch.float64), quadratic(7, 4).optimum)
    solution = Relaxation(reprice_every=2).solve(task, on=Sparsity(), price=NonzeroPrice(), budget=2, x=task.optimum)
    assert solution.status.startswith("stopped at step 4: task.objective returned NaN or inf")
    assert (solution.converged, solution.steps, len(solution.residuals)) == (False, 3, 1)
    assert solution.z.isfinite().all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": -1}, "Arg `steps` must be at least 0 but was -1."),
        ({"rho": -0.1}, "Arg `rho` must be at least 0 and finite but was -0.1."),
        ({"coldest": 2.0}, "Arg `coldest` must be above 0, up to temperature=1.0: 2.0."),
        ({"mode": "gumbel"}, "Arg `mode` must be 'softmax' or 'straight-through' but was 'gumbel'."),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Relaxation(**settings)
