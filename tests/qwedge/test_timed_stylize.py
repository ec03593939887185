"""Stylization for milliseconds: the price is that of the whole compiled net of each shape."""

import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime", reason="pip install -e '.[mobile]'")
pytest.importorskip("PIL", reason="pip install -e '.[vision]'")

from PIL import Image

from mobile.pricing.example import FLOATS
from mobile.pricing.float_net import float_latency
from qwedge.experiments import float_nets
from qwedge.experiments import stylize as timed
from shared.lab import Store, run
from vision.pruning_search.searched import budget_share
from vision.stylize.experiment import StylizeSettings
from vision.stylize.nets import Generator, Shape
from vision.stylize.page import page
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
    assert min(timed.TimedStylize().compiled_milliseconds([net, net], (8, 12))) > 0


def test_a_budget_of_milliseconds_is_met_as_measured(price, tmp_path, monkeypatch):
    """Where everything takes a quarter longer than the laws say."""

    def measured(self, nets, plane):
        return [1.25 * float_latency(net, (3, *plane), FLOATS).ms for net in nets]

    monkeypatch.setattr(float_nets, "calibrated", lambda progress, numbers="int8": FLOATS)
    monkeypatch.setattr(timed.TimedStylize, "compiled_milliseconds", measured)
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{number}.png")
    few = {"channels": 4, "blocks": 2, "teaching": 2, "search": 2, "steps": 1, "size": 12, "height": 32, "width": 40}
    settings = StylizeSettings(data=str(tmp_path / "pictures"), budget_ms=0.15, multiple=2, rivals=("uniform",), **few)
    [row] = run(timed.TimedStylize(), [settings], Store(tmp_path))
    assert row.result["price"]["unit"] == "ms"
    for name in ("search", "uniform"):
        assert 0.5 < budget_share(row, name) <= 1
        net = row.result["nets"][name]
        assert net["priced"] == pytest.approx(net["compiled_ms"], rel=0.02)
        assert net["ms"] > 0
    assert all(width % 2 == 0 for width in row.result["nets"]["search"]["shape"][:-1])
    assert "Milliseconds" in [getattr(block, "title", "") for block in page([row]).blocks]
    with pytest.raises(ValueError, match=r"budget_ms=50: the teacher takes .* ms; ask for less, or widen it"):
        run(timed.TimedStylize(), [settings.model_copy(update={"budget_ms": 50.0})], Store(tmp_path))
