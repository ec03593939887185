"""Stylization for milliseconds: the price is that of the whole compiled net of each shape."""

import pytest
import torch

pytest.importorskip("onnxruntime", reason="pip install -e '.[mobile]'")
pytest.importorskip("PIL", reason="pip install -e '.[vision]'")

from mobile.pricing.example import FLOATS
from mobile.pricing.float_net import float_latency
from qwedge.experiments import float_nets
from qwedge.experiments import stylize as timed
from vision.stylize.nets import Generator, Shape
from vision.stylize.search import shape_price
from vision.stylize.stylizer import plain_net

WIDE = Shape.of(8, 3)


class Kept:
    progress = None

    def stage(self, name, compute):
        return compute()


@pytest.fixture(scope="module")
def price():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(float_nets, "calibrated", lambda progress, numbers="int8": FLOATS)
        latency = timed.TimedStylize().latency((32, 40), Kept())
    return shape_price(WIDE, lambda net: latency(plain_net(net)))


@pytest.mark.parametrize("shape", [WIDE, Shape.of(4, 1), Shape(3, 5, 9, 7, 2)])
def test_the_price_is_that_of_the_whole_net_of_this_shape(shape, price):
    alone = float_latency(plain_net(Generator(shape)), (3, 32, 40), FLOATS).ms
    assert float(price.expected(torch.tensor(shape.sizes))) == pytest.approx(alone)


def test_milliseconds_have_a_slope_in_every_width_and_in_blocks(price):
    at = torch.tensor(Shape.of(6, 2).sizes, dtype=torch.float64, requires_grad=True)
    assert (torch.autograd.grad(price.expected(at), at)[0] > 0).all()


def test_a_net_is_measured_in_both_runtimes():
    net = plain_net(Generator(Shape.of(2, 1)))
    assert timed.TimedStylize().milliseconds(net, (8, 12)) > 0
    assert timed.TimedStylize().compiled_milliseconds(net, (8, 12)) > 0
