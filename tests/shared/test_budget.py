"""A budget is met exactly as stated, and spent well."""

import itertools
import math
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from priced import Entries, priced_menus

from shared import FixedPoint, LevelPrice, Levels, NonzeroPrice, Sparsity
from shared.core import testing
from shared.core.menu import _Table


@given(priced_menus())
def test_projection_laws(drawn):
    menu, price, v = drawn
    testing.check_project(menu, v, price)


@given(priced_menus(), st.floats(0, 1))
def test_projection_is_within_one_block_of_the_optimum(drawn, share):
    """Duality: what the multiplier leaves unspent is less than one block's step, and so is the distance it may cost."""
    menu, price, v = drawn
    floor, ceiling = menu.budget(v, price)
    budget = floor + share * (ceiling - floor)
    reached = _miss(v, menu.project(v, price, budget).z)
    steps = 0.5 * (menu.menu(v).values - v[:, None]).square().sum(-1)
    steps = torch.where(torch.tensor(price.table).isinf(), 0.0, steps)
    assert reached <= _optimum(menu, v, price, budget) + float(steps.max()) + 1e-9


@given(priced_menus(), st.floats(0, 1))
def test_filling_never_overspends_and_never_moves_away(drawn, share):
    menu, price, v = drawn
    table = _Table(menu, v, price)
    floor, ceiling = menu.budget(v, price)
    budget = floor + share * (ceiling - floor)
    filled = table.fill(table.cheapest, budget)
    assert table.spend(filled) <= budget
    moved = filled != table.cheapest
    blocks = table.distance[table.rows, filled] - table.distance[table.rows, table.cheapest]
    assert (blocks[moved] < 0).all()


def test_unit_prices_keep_the_largest_norms():
    """Magnitude pruning is the closed form."""
    v = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    kept = Sparsity().project(v, NonzeroPrice(), budget=20).free.all(-1)
    assert kept.nonzero().flatten().tolist() == sorted(v.norm(dim=-1).topk(20).indices.tolist())


def test_filling_reaches_what_no_multiplier_does():
    """Prices 3 and 2 under a budget of 2: only the dearer block is on the hull, the cheaper one fits."""
    v, price = torch.tensor([[4.0], [1.0]]), NonzeroPrice(each=(3.0, 2.0))
    on_hull = {Sparsity().prox(v, price, lam).price for lam in torch.linspace(0, 4, 400).tolist()}
    assert on_hull == {0.0, 3.0, 5.0}
    assert Sparsity().project(v, price, budget=2).price == 2.0


def test_ties_share_a_budget_one_block_at_a_time():
    point = Sparsity().project(torch.ones(1000, 1), NonzeroPrice(), budget=300)
    assert point.price == 300


def test_filling_takes_the_best_rate_first():
    v, price = torch.tensor([[1.0], [3.0], [2.0]]), NonzeroPrice(each=(1.0, 1.0, 1.0))
    table = _Table(Sparsity(), v, price)
    assert table.point(table.fill(table.cheapest, 2.0)).z.flatten().tolist() == [0.0, 3.0, 2.0]


@pytest.mark.parametrize("extra", [0.0, 0.5])
def test_a_budget_on_a_hull_price_is_spent_whole(case, extra):
    v = case.point(1)
    for lam in testing.MULTIPLIERS:
        hull = case.menu.prox(v, case.price, lam)
        point = case.menu.project(v, case.price, hull.price + extra)
        assert _miss(v, point.z) <= _miss(v, hull.z) + 1e-12
        if not extra:
            assert point.price == hull.price


def test_zero_budget_takes_what_is_free_of_charge():
    v, price = torch.ones(3, 1), NonzeroPrice(each=(0.0, 1.0, 0.0))
    point = Sparsity().project(v, price, budget=0)
    assert point.z.flatten().tolist() == [1.0, 0.0, 1.0]
    assert point.price == 0.0


def test_infinite_budget_is_the_plain_projection(case):
    v = case.point(2)
    assert torch.equal(case.menu.project(v, case.price, math.inf).z, case.menu.prox(v, case.price, 0.0).z)


def test_all_prices_zero():
    v = torch.ones(3, 1)
    assert torch.equal(Sparsity().project(v, NonzeroPrice(each=0.0), budget=0).z, v)


@pytest.mark.parametrize("count", [3, 6, 12, 50])
def test_sums_that_round_stay_within_the_budget(count):
    """0.1 added one by one is not 0.1 added pairwise; the budget is the smaller of the two for some counts."""
    budget = sum([0.1] * count)
    point = Sparsity().project(torch.ones(400, 1), NonzeroPrice(each=0.1), budget)
    assert point.price <= budget
    assert point.price == pytest.approx(budget, abs=0.1001)


def test_budget_range_is_where_a_budget_binds(case):
    v = case.point(3)
    floor, ceiling = case.menu.budget(v, case.price)
    assert case.menu.project(v, case.price, floor).price == floor
    assert case.menu.project(v, case.price, ceiling).price == ceiling
    assert case.menu.prox(v, case.price, 1e9).price == floor


def test_unreachable_budget_names_the_cheapest_price():
    gates = LevelPrice((math.pi,), prices=(1.0,), other=2.0)
    with pytest.raises(ValueError, match=r"^budget=3 gates: the cheapest point of Levels\(levels=\(3\.14.*\) costs 5$"):
        Levels((math.pi,), keep=False).project(torch.ones(5, 1), gates, budget=3)


def test_a_long_menu_is_named_briefly():
    with pytest.raises(ValueError, match=r"the cheapest point of Levels\(\.\.\.\) costs 0$"):
        Levels([[0.0, 1.0]] * 80).project(torch.ones(80, 1), LevelPrice((0.0,), (0.0,), other=1.0), budget=-1)


def test_nan_budget():
    with pytest.raises(ValueError, match="Arg `budget` must be a number but was nan"):
        Sparsity().project(torch.ones(1, 1), NonzeroPrice(), math.nan)


def test_eighty_angles_project_in_milliseconds():
    """Budget of the heaviest caller: 5 ms for 80 blocks of 6 entries, 10 times what is measured here."""
    v = 3 * torch.randn(80, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    prices = torch.rand(80, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    price = Entries(tuple(map(tuple, torch.cat((prices[:, :5].sort().values, 1 + prices[:, 5:]), 1).tolist())))
    menu = Levels([[0.0, 1.5, 3.0, 4.5, 6.0]] * 80, period=[2 * math.pi, 4 * math.pi] * 40)
    floor, ceiling = menu.budget(v, price)

    def seconds() -> float:
        start = time.perf_counter()
        menu.project(v, price, floor + (ceiling - floor) / 3)
        return time.perf_counter() - start

    assert min(seconds() for _ in range(20)) < 5e-3


def test_a_fixed_point_budget_is_spread_over_values():
    """All of 3 bits: one value of 3 bits, or three of 1 bit, whichever is nearer."""
    grid = FixedPoint(word=4, fraction=0)
    v = torch.tensor([[1.0], [1.0], [1.0]])
    price = NonzeroPrice()
    assert grid.project(v, price, budget=2).z.sum() == 2


def _miss(v, z):
    return float(0.5 * (z - v).square().sum())


def _optimum(menu, v, price, budget):
    squares = 0.5 * (menu.menu(v).values - v[:, None]).square().sum(-1)
    picks = itertools.product(range(squares.shape[1]), repeat=len(v))
    rows = range(len(v))
    spent = [(math.fsum(price.table[b][k] for b, k in zip(rows, pick, strict=True)), pick) for pick in picks]
    return min(
        float(sum(squares[b, k] for b, k in zip(rows, pick, strict=True)))
        for cost, pick in spent
        if cost <= budget + 1e-9
    )
