"""What points cost."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shared import BitPrice, LevelPrice, NonzeroPrice


def test_an_additive_price_is_measured_exactly_and_repriced_as_itself(case):
    z = case.point(0)
    assert case.price.reprice(z) is case.price
    assert case.price.measure(z) == float(case.price.price(z[:, None]).double().sum())


@given(st.sampled_from([0.0, 1.0, 2.5]), st.integers(-3, 3), st.sampled_from([torch.float32, torch.float64]))
def test_levels_are_found_on_every_turn(level, turns, dtype):
    gates = LevelPrice((0.0, 1.0, 2.5), prices=(0.0, 1.0, 3.0), other=7.0, period=4 * math.pi)
    value = torch.tensor([[[level + turns * 4 * math.pi]]], dtype=dtype)
    assert gates.price(value).item() == {0.0: 0.0, 1.0: 1.0, 2.5: 3.0}[level]
    assert gates.price(value + 0.01).item() == 7.0


def test_half_a_controlled_period_is_not_the_identity():
    gates = LevelPrice((0.0,), prices=(0.0,), other=2.0, period=4 * math.pi)
    assert gates.measure(torch.tensor([[2 * math.pi]])) == 2.0


def test_one_price_per_level():
    with pytest.raises(ValueError, match="one price per level: 2 levels, 1 prices"):
        LevelPrice((0.0, 1.0), prices=(0.0,), other=2.0)


@given(st.integers(-500, 500), st.integers(-2, 6))
def test_bits_are_the_integer_s_own(n, fraction):
    """Python's `int.bit_length` is the oracle."""
    value = torch.tensor([[[n / 2.0**fraction]]], dtype=torch.float64)
    assert BitPrice(fraction).price(value).item() == n.bit_length()


def test_a_weight_per_block():
    assert NonzeroPrice((1.0, 2.0, 4.0)).measure(torch.tensor([[1.0], [0.0], [-1.0]])) == 5.0
