"""Estimates made tight, and tables interpolated."""

import math
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shared import CalibratedPrice, FixedPoint, KernelTable, TablePrice
from shared.core.calibration import calibration
from shared.core.table import stated
from shared.core.testing import check_price

POINTS = [[[0.0], [0.5], [-1.75], [2.0]], [[0.0], [0.0], [0.0], [0.0]], [[5.0], [5.0], [5.0], [5.0]]]


def shared_terms(z):
    """A compiler whose blocks become cheaper the more there are."""
    return 40 + 9.0 * float((z != 0).sum()) ** 0.9


def kept(values):
    return (values != 0).any(-1).double()


@pytest.mark.parametrize("z", POINTS)
@pytest.mark.parametrize("base", [0.0, 40.0, 1000.0])
def test_a_calibrated_price_keeps_the_contract(z, base):
    check_price(CalibratedPrice(kept, shared_terms, "LUT", base=base, scale=10.0), torch.tensor(z))


@given(st.floats(0, 1e6), st.one_of(st.just(0.0), st.floats(1e-3, 1e6)), st.floats(0, 1e6), st.floats(0, 100))
def test_calibration_is_tight_and_at_least_0(measured, spent, base, scale):
    low, factor = calibration(measured, spent, base, scale)
    assert math.isclose(low + factor * spent, measured, rel_tol=1e-9, abs_tol=1e-9) or spent == 0
    assert min(low, factor) >= 0
    assert low <= measured


def test_an_estimate_of_nothing_keeps_its_scale():
    price = CalibratedPrice(kept, shared_terms, "LUT", scale=7.0).reprice(torch.zeros(4, 1))
    assert (price.base, price.scale) == (40.0, 7.0)


def chain():
    """Two layers: the second one's cost depends on the widths on either side, and has a step after 2."""
    first = KernelTable(groups=(0,), widths=((0, 4),), costs=(0.5, 4.5))
    second = KernelTable(groups=(0, 1), widths=((0, 2, 4), (0, 2)), costs=((0.0, 0.0), (1.0, 3.0), (4.0, 9.0)))
    return TablePrice((first, second), blocks=(4, 2), unit="ms")


@pytest.mark.parametrize("kept", [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2)])
def test_a_table_price_keeps_the_contract(kept):
    z = torch.zeros(6, 1, dtype=torch.float64)
    z[: kept[0]], z[4 : 4 + kept[1]] = 1.0, -2.0
    check_price(chain(), z)
    check_price(chain().reprice(torch.ones_like(z)), z)


def test_a_table_is_itself_at_its_widths():
    for i, w in enumerate((0, 2, 4)):
        for j, v in enumerate((0, 2)):
            costs = ((0.0, 0.0), (1.0, 3.0), (4.0, 9.0))
            assert float(chain().table[1].expected(torch.tensor([w, v]))) == costs[i][j]


@given(st.floats(0, 4), st.floats(0, 2))
def test_a_table_is_bilinear_between_its_widths(w, v):
    """Against the weights of the four corners, written out."""
    costs = torch.tensor(((0.0, 0.0), (1.0, 3.0), (4.0, 9.0)), dtype=torch.float64)
    row = min(int(w // 2), 1)
    s, t = w / 2 - row, v / 2
    corners = costs[row : row + 2]
    expected = (1 - s) * (1 - t) * corners[0, 0] + (1 - s) * t * corners[0, 1]
    expected += s * (1 - t) * corners[1, 0] + s * t * corners[1, 1]
    assert float(chain().table[1].expected(torch.tensor([w, v], dtype=torch.float64))) == pytest.approx(float(expected))


def test_a_wider_table_entry_costs_its_neighbours_too():
    """The gradient by the expected width reaches the weights of both entries beside it."""
    kernel = KernelTable(groups=(0,), widths=((0, 8, 16, 24),), costs=(0.0, 1.0, 4.0, 5.0))
    layer = TablePrice((kernel,), blocks=(1,), unit="ms", width=stated)
    weights = torch.tensor([0.0, 0.5, 0.5, 0.0], dtype=torch.float64, requires_grad=True)
    width = weights @ torch.tensor([0.0, 8.0, 16.0, 24.0], dtype=torch.float64)
    (gradient,) = torch.autograd.grad(layer.expected(width[None]), weights)
    assert gradient.tolist() == [0.0, 3.0, 6.0, 9.0]


def test_a_menu_of_widths_keeps_a_budget_of_milliseconds():
    kernel = KernelTable(
        groups=(0, 1), widths=((0, 8, 16, 24),) * 2, costs=[[w * v / 64 for w in range(4)] for v in range(4)]
    )
    price = TablePrice((kernel,), blocks=(1, 1), unit="ms", width=stated)
    x = torch.tensor([[24.0], [24.0]])
    z = FixedPoint(2, -3, signed=False).project(x, price.reprice(x), 0.6 * price.measure(x)).z
    assert set(z.flatten().tolist()) <= {0.0, 8.0, 16.0, 24.0}
    assert price.measure(z) <= 0.6 * price.measure(x)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            lambda: KernelTable((0,), ((0, 4),), (1.0, 2.0, 3.0)),
            "KernelTable needs two or more widths for each of groups=",
        ),
        (lambda: KernelTable((0,), ((4, 0),), (1.0, 2.0)), "KernelTable needs increasing widths, got ((4, 0),)"),
        (lambda: TablePrice(chain().table, (4,), "ms"), "TablePrice has a kernel of group 1, but blocks=(4,)"),
        (lambda: chain().expected(torch.tensor([5.0, 1.0])), "width 5: the table has 0 to 4, measure it"),
    ],
)
def test_misuse_says_what_is_needed(broken, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        broken()
