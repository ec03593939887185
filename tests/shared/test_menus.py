"""What each menu offers."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shared import FixedPoint, Grouping, Levels, NonzeroPrice, Product, Sparsity
from shared.core import testing

TWO_PI, FOUR_PI = 2 * math.pi, 4 * math.pi


def angles(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def test_a_controlled_rotation_does_not_repeat_after_two_pi():
    """CRX(2 pi) is a Z on its control, so 2 pi is half a period away from level 0, not on it."""
    near = Levels((0.0,), period=(TWO_PI, FOUR_PI), keep=False).menu(angles(6.2, 6.2)).values.flatten()
    assert near.tolist() == [TWO_PI, 0.0]


@given(st.floats(-40, 40), st.floats(-20, 20), st.sampled_from([TWO_PI, FOUR_PI, 1.0]))
def test_the_nearest_representative(angle, level, period):
    near = Levels((level,), period=period, keep=False).menu(angles(angle)).values.item()
    assert abs(near - angle) <= period / 2 + 1e-9
    assert math.isclose(math.remainder(near - level, period), 0.0, abs_tol=1e-9)


@given(st.floats(-3, 3), st.integers(-5, 5))
def test_a_whole_period_moves_the_menu_along(angle, turns):
    menu = Levels((0.0, 1.0, 2.5), period=FOUR_PI)
    here, there = (menu.menu(angles(at)).values for at in (angle, angle + turns * FOUR_PI))
    assert torch.allclose(there, here + turns * FOUR_PI, atol=1e-9)


def test_levels_per_block_and_what_stays_trainable():
    values, free = Levels(((0.0, 1.0), (), (2.0,))).menu(angles(0.3, 0.4, 0.5))
    assert values[..., 0].tolist() == [[0.0, 1.0, 0.3], [0.4, 0.4, 0.4], [2.0, 0.5, 0.5]]
    assert free[..., 0].tolist() == [[False, False, True], [True, True, True], [False, True, True]]


def test_coordinates_of_a_block_take_one_level():
    point = Levels((0.0, math.pi), keep=False).prox(torch.tensor([[3.0, 6.0]]), NonzeroPrice(), 0.0)
    assert torch.allclose(point.z, torch.tensor([[0.0, TWO_PI]])) or torch.allclose(
        point.z, torch.full((1, 2), math.pi)
    )


def test_a_block_may_have_levels_only_beside_one_that_may_keep_its_value():
    menu = Levels((0.0, math.pi), keep=(True, False))
    point = menu.prox(angles(1.0, 1.0), NonzeroPrice(), 0.0)
    assert point.z.flatten().tolist() == [1.0, 0.0]
    assert point.free.flatten().tolist() == [True, False]


def test_lists_are_kept_as_plain_data():
    menu = Levels([[0, 1], [2]], period=[1, 2], keep=[True, False])
    assert menu == Levels(((0.0, 1.0), (2.0,)), period=(1.0, 2.0), keep=(True, False))
    assert hash(menu)
    testing.check_repr(menu)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"levels": (math.inf,)}, r"Levels needs finite levels, got \(inf,\) for block 0"),
        ({"levels": ((0.0,), ()), "keep": False}, "a level for every block, block 1 has none"),
        ({"levels": ((0.0,), ()), "keep": (True, False)}, "a level for every block, block 1 has none"),
        ({"levels": ((0.0,), (1.0,)), "keep": (True,) * 3}, "Levels has levels for 2 blocks, but 3 blocks otherwise"),
        ({"levels": ((0.0,),) * 3, "keep": (True,) * 2}, "Levels has keep for 2 blocks, but 3 blocks otherwise"),
        ({"levels": (0.0,), "period": 0.0}, r"Arg `period` must be positive and finite but was 0.0."),
        ({"levels": (0.0,), "period": (1.0, -1.0)}, r"`period` must be positive and finite but was \(1.0, -1.0\)"),
    ],
)
def test_bad_levels(arguments, message):
    with pytest.raises(ValueError, match=message):
        Levels(**arguments)


@pytest.mark.parametrize(
    ("menu", "message"),
    [
        (Levels(((0.0,), (1.0,))), "Levels has levels for 2 blocks, got a point of 3"),
        (Levels((0.0,), period=(1.0, 2.0)), "Levels has period for 2 blocks, got a point of 3"),
        (Product((Sparsity(), Sparsity()), (1, 1)), r"Product needs a point of \(2, 1\), got \(3, 1\)"),
    ],
)
def test_a_point_of_the_wrong_shape(menu, message):
    with pytest.raises(ValueError, match=message):
        menu.prox(torch.ones(3, 1), NonzeroPrice(), 0.0)


@pytest.mark.parametrize(
    ("grouping", "blocks", "size"),
    [
        (Grouping.element((4, 6)), 24, 1),
        (Grouping.channel((4, 6, 3, 3)), 4, 54),
        (Grouping.channel((4, 6, 3, 3), axis=1), 6, 36),
        (Grouping((32, 6), tile=(16, 1)), 12, 16),
        (Grouping((4,), tile=(2,)), 2, 2),
    ],
)
def test_groupings_split_and_join(grouping, blocks, size):
    weight = torch.randn(grouping.shape, generator=torch.Generator().manual_seed(0))
    x = grouping.split(weight)
    assert x.shape == (blocks, size)
    assert torch.equal(grouping.join(x), weight)
    testing.check_repr(grouping)


def test_a_tile_is_a_rectangle_of_the_weight():
    x = Grouping((4, 2), tile=(2, 1)).split(torch.arange(8).reshape(4, 2))
    assert x.tolist() == [[0, 2], [1, 3], [4, 6], [5, 7]]


def test_a_dropped_channel_is_a_zero_slice():
    grouping = Grouping.channel((5, 3))
    weight = torch.arange(15.0).reshape(5, 3)
    z = Sparsity().project(grouping.split(weight), NonzeroPrice(), budget=2).z
    assert grouping.join(z).count_nonzero(dim=1).tolist() == [0, 0, 0, 3, 3]


def test_tiles_that_do_not_cover():
    with pytest.raises(ValueError, match=r"tiles of \(3, 1\) do not cover \(32, 10\) exactly"):
        Grouping((32, 10), tile=(3, 1))


@given(st.floats(-9, 9), st.integers(1, 6), st.integers(-2, 5), st.booleans())
def test_fixed_point_rounds_and_saturates(value, word, fraction, signed):
    """Without a price it is the usual quantiser: clip(round(v 2^f), least, most) / 2^f."""
    point = FixedPoint(word, fraction, signed).prox(angles(value), NonzeroPrice(each=0.0), 0.0)
    least, most = (-(2 ** (word - 1)), 2 ** (word - 1) - 1) if signed else (0, 2**word - 1)
    steps = min(max(value * 2.0**fraction, least), most)
    assert abs(point.z.item() * 2.0**fraction - steps) <= 0.5
    assert least <= point.z.item() * 2.0**fraction <= most
    assert not point.free.any()


def test_bad_fixed_point():
    with pytest.raises(ValueError, match=r"Arg `word` must be 1 to 16 bits but was 24\."):
        FixedPoint(24, 8)
    with pytest.raises(
        ValueError, match=r"FixedPoint\(word=4, .*\) needs blocks of size 1, got 3: split with Grouping"
    ):
        FixedPoint(4, 2).prox(torch.ones(2, 3), NonzeroPrice(), 0.0)


def test_a_product_is_its_parts_under_one_multiplier(case):
    """Two copies of a menu side by side do what each does alone, and share one budget."""
    one, two = case.point(0), case.point(1)
    both = Product((case.menu, case.menu), (case.blocks, case.blocks))
    values, free = both.menu(torch.cat((one, two)))
    alone = [case.menu.menu(v) for v in (one, two)]
    assert torch.equal(values, torch.cat([choices.values for choices in alone]))
    assert torch.equal(free, torch.cat([choices.free for choices in alone]))


def test_product_pads_with_frozen_zeros():
    menu = Product((Sparsity(), FixedPoint(2, 0)), blocks=(1, 1), sizes=(2, 1))
    z, _, free = menu.prox(torch.tensor([[1.0, 2.0], [1.0, 7.0]]), NonzeroPrice(), 0.0)
    assert z.tolist() == [[1.0, 2.0], [1.0, 0.0]]
    assert free.tolist() == [[True, True], [False, False]]


def test_bad_product():
    with pytest.raises(ValueError, match=r"1 parts, blocks=\(1, 2\), sizes=None"):
        Product((Sparsity(),), (1, 2))
