"""Prices of FPGAs keep the laws of prices, and are what the generators make."""

import itertools

import numpy as np
import pytest
import torch

from fpga.pricing.menus import lane_blocks
from fpga.pricing.prices import adders, clocks, digits
from shared import ADMM, FixedPoint, Sparsity
from shared.core.testing import Quadratic, check_price


def sums(z):
    """A compiler that shares terms: tables grow slower than digits."""
    return 40 + 9.0 * float(digits(z.numpy() * 4).sum()) ** 0.9


@pytest.mark.parametrize("z", [[[0.0], [0.5], [-1.75]], [[0.0], [0.0], [0.0]], [[5.0], [5.0], [5.0]]])
def test_adders_keep_the_contract(z):
    check_price(adders(sums, fraction=2, base=40.0), torch.tensor(z))


def test_digits_are_the_fewest():
    """Brute force over all signed-digit strings of seven digits."""
    least = {}
    for signs in itertools.product((-1, 0, 1), repeat=7):
        value = sum(sign << place for place, sign in enumerate(signs))
        least[value] = min(least.get(value, 9), sum(map(abs, signs)))
    numbers = np.arange(-60, 61)
    assert digits(numbers).tolist() == [least[n] for n in numbers]


def test_no_weight_that_stays_is_free():
    """A net may be built on a finer grid than the price's: what rounds to zero on this one is still an adder there."""
    price = adders(sums, fraction=2)
    prices = price.price(torch.tensor([[[0.0], [0.01], [-0.1], [0.25]]]))
    assert prices.tolist() == [[0.0, 10.0, 10.0, 10.0]]
    tiny = torch.full((8, 1), 0.01)
    assert price.reprice(tiny).scale == pytest.approx(sums(tiny) / 8)


def test_admm_meets_a_budget_of_measured_tables():
    generator = torch.Generator().manual_seed(0)
    task = Quadratic(torch.eye(12), optimum=torch.randn(12, 1, generator=generator))
    price = adders(sums, fraction=2, base=40.0)
    actual = ADMM().solve(task, on=FixedPoint(word=5, fraction=2), price=price, budget=120, x=task.optimum)
    assert actual.measured == sums(actual.z) <= 120
    assert actual.measured > 90  # the budget is used


def test_lane_blocks_cost_a_clock_for_each_position():
    shape = (8, 3, 5)
    weight = torch.ones(shape)
    weight[:4, 1, 2] = 0  # a block of four lanes
    weight[5, 2, 0] = 0  # a weight in a block that stays
    blocks = lane_blocks(shape, 4)
    assert clocks(shape, 4, positions=10).measure(blocks.split(weight)) == 10 * (2 * 15 - 1)
    task = Quadratic(torch.eye(24), optimum=torch.randn(24, 1, generator=torch.Generator().manual_seed(1)))
    pruned = ADMM().solve(task, on=Sparsity(), price=clocks((24, 1), 1), budget=10, x=task.optimum)
    assert pruned.measured == int((pruned.z != 0).sum()) == 10
