"""The proximal step is the exact minimiser, whatever the entries and prices."""

import math
import re

import pytest
import torch
from hypothesis import given
from priced import Entries, Given, priced_menus

from shared import Choices, FixedPoint, LevelPrice, Levels, Menu, NonzeroPrice, Sparsity
from shared.core import testing


@given(priced_menus())
def test_prox_is_brute_force(drawn):
    menu, price, v = drawn
    testing.check_prox(menu, v, price)


def test_ties_go_to_the_cheaper_entry():
    menu = Given(((1.0,), (-1.0,), (1.0,)))
    assert menu.prox(torch.zeros(1, 1), Entries(((2.0, 1.0, 2.0),)), lam=0.0).z.item() == -1.0


def test_ties_between_distance_and_price_go_to_the_cheaper_entry():
    half = Sparsity().prox(torch.ones(1, 1), NonzeroPrice(each=0.5), lam=1.0)
    assert half.z.item() == 0.0
    assert half.price == 0.0


def test_a_kept_value_that_sits_on_a_level_is_frozen():
    gates = LevelPrice((0.0,), prices=(0.0,), other=2.0)
    for lam in (0.0, 1.0):
        assert not Levels((0.0,)).prox(torch.zeros(2, 1), gates, lam).free.any()
        assert not Sparsity().prox(torch.zeros(2, 3), NonzeroPrice(), lam).free.any()


def test_forbidden_entries_are_never_taken():
    menu, price = Given(((0.0,), (5.0,))), Entries(((math.inf, 1.0),))
    for lam in (0.0, 1.0, 1e12):
        point = menu.prox(torch.zeros(1, 1), price, lam)
        assert (point.z.item(), point.price) == (5.0, 1.0)
    assert menu.project(torch.zeros(1, 1), price, budget=math.inf).z.item() == 5.0
    assert menu.budget(torch.zeros(1, 1), price) == (1.0, 1.0)


def test_every_entry_forbidden_names_the_block():
    price = Entries(((1.0, 1.0), (math.inf, math.inf)))
    with pytest.raises(ValueError, match=r"Given\(.*\): every entry of block 1 is forbidden \(price inf\)"):
        Given(((0.0,), (5.0,))).prox(torch.zeros(2, 1), price, 0.0)


@pytest.mark.parametrize("lam", [-0.1, math.inf, math.nan])
def test_bad_multiplier(lam):
    with pytest.raises(ValueError, match=f"Arg `lam` must be a finite number, at least 0, but was {lam}."):
        Sparsity().prox(torch.ones(1, 1), NonzeroPrice(), lam)


@pytest.mark.parametrize(
    ("v", "told"),
    [
        (torch.ones(3), r"float32 of shape \(3,\)"),
        (torch.ones(3, 1, dtype=torch.int64), r"int64 of shape \(3, 1\)"),
        (torch.tensor([[math.nan]]), r"float32 of shape \(1, 1\), with NaN or inf"),
    ],
)
def test_bad_point(v, told):
    with pytest.raises(
        ValueError, match=rf"Sparsity\(\) needs finite floating-point values \(blocks, size\), got {told}"
    ):
        Sparsity().prox(v, NonzeroPrice(), 0.0)


@pytest.mark.parametrize(
    ("price", "told"),
    [
        (Entries(((-1.0, 0.0),)), "Entries.price must be at least 0 coins, got -1"),
        (Entries(((math.nan, 0.0),)), "Entries.price must be at least 0 coins, got nan"),
        (Entries(((1.0,),)), r"Entries.price must return \(1, 2\), got \(1, 1\)"),
    ],
)
def test_bad_price(price, told):
    with pytest.raises(ValueError, match=told):
        Sparsity().prox(torch.ones(1, 1), price, 0.0)


def test_gradients_do_not_leak_into_the_point():
    v = torch.ones(2, 1, requires_grad=True)
    assert not Sparsity().prox(v, NonzeroPrice(), 0.0).z.requires_grad


def test_half_precision_is_kept():
    assert FixedPoint(4, 1).prox(torch.ones(2, 1, dtype=torch.bfloat16), NonzeroPrice(), 0.0).z.dtype == torch.bfloat16


@pytest.mark.parametrize("shape", [(2, 0, 1), (2, 1, 3), (1, 1, 1), (2, 1)])
def test_a_menu_of_the_wrong_shape(shape):
    class Odd(Menu):
        def menu(self, v):
            return Choices(torch.zeros(shape), torch.zeros(shape, dtype=torch.bool))

        def __repr__(self):
            return "Odd()"

    given = re.escape(str(shape))
    message = rf"Odd\(\)\.menu must return \(blocks, k, size\) twice for v of shape \(2, 1\), got values {given}"
    with pytest.raises(ValueError, match=message):
        Odd().prox(torch.ones(2, 1), NonzeroPrice(), 0.0)


def test_no_blocks_cost_nothing():
    point = Sparsity().project(torch.ones(0, 1), NonzeroPrice(), budget=0)
    assert (point.z.shape, point.price) == ((0, 1), 0.0)
