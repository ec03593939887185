"""Super-resolution for milliseconds: the price is that of the whole compiled net of each shape, and is measured."""

import pytest
import torch

pytest.importorskip("onnxruntime", reason="pip install -e '.[mobile]'")
pytest.importorskip("PIL", reason="pip install -e '.[vision]'")

from mobile.pricing.example import FLOATS
from mobile.pricing.float_net import float_latency
from qwedge.experiments import float_nets
from qwedge.experiments import superres as timed
from shared.lab import Store, run
from vision.pruning_search.searched import budget_share, regret
from vision.superres.experiment import SuperResSettings
from vision.superres.figures import latency_error, rank_correlation
from vision.superres.nets import PlainNet, WideNet
from vision.superres.page import page
from vision.superres.search import shape_price
from vision.superres.upscaler import plain_net

TINY = {
    "channels": 8,
    "blocks": 3,
    "pretrain": 4,
    "search": 4,
    "race": 2,
    "steps": 4,
    "size": 8,
    "height": 40,
    "width": 64,
}


class Kept:
    progress = None

    def stage(self, name, compute):
        return compute()


@pytest.fixture
def latency(monkeypatch):
    monkeypatch.setattr(float_nets, "calibrated", lambda progress, numbers="int8": FLOATS)
    return timed.TimedSuperRes().latency((36, 64), Kept())


@pytest.fixture
def price(latency):
    return shape_price(PlainNet(2, 16, 4), latency)


@pytest.mark.parametrize(
    ("wide", "shape"),
    [(PlainNet(2, 16, 4), shape) for shape in ((16, 4), (8, 4), (4, 2), (16, 1), (11, 3))]
    + [(WideNet(2, 8, 24, 7, 3), shape) for shape in ((8, 24, 7, 3), (5, 16, 4, 2))],
)
def test_the_price_is_that_of_the_whole_net_of_this_shape(latency, wide, shape):
    alone = float_latency(plain_net(wide.at(shape)), (1, 36, 64), FLOATS).ms
    assert float(shape_price(wide, latency).expected(torch.tensor(shape))) == pytest.approx(alone, rel=1e-4)


def test_milliseconds_have_a_slope_in_channels_and_in_blocks(price):
    at = torch.tensor([12.0, 3.0], requires_grad=True)
    slopes = torch.autograd.grad(price.expected(at), at)[0]
    assert (slopes > 0).all()
    wider = float(price.expected(torch.tensor([16.0, 3.0])) - price.expected(at)) / 4
    assert 0.5 * wider < float(slopes[0]) < 2 * wider


@pytest.mark.parametrize("slower", [0.8, 1.3])
def test_a_budget_of_milliseconds_is_met_as_measured_though_laws_are_off(slower, latency, tmp_path, monkeypatch):
    """All nets take `slower` times what the laws say: the choice is measured, and made again at what it took."""

    def compiled(self, nets, plane):
        return [slower * float_latency(net, (1, *plane), FLOATS).ms for net in nets]

    monkeypatch.delenv("QWEDGE_DATA", raising=False)
    monkeypatch.setattr(timed.TimedSuperRes, "compiled_milliseconds", compiled)
    settings = SuperResSettings(budget_ms=0.3, timed=5, rivals=("uniform", "espcn"), **TINY)
    [row] = run(timed.TimedSuperRes(), [settings], Store(tmp_path))
    price, nets = row.result["price"], row.result["nets"]
    assert price["unit"] == "ms"
    assert price["refit"] == pytest.approx(slower, rel=1e-3)
    for name in ("search", "uniform"):
        assert 0.2 < budget_share(row, name) <= 1
        assert nets[name]["compiled_ms"] <= 0.3
    assert len(row.result["times"]) == 5
    assert latency_error(row) < 0.1
    assert abs(regret(row)) < 0.1
    assert rank_correlation(row) == pytest.approx(1)
    assert "compiled_ms" not in nets["shipped"]  # it was not priced
    for name in ("search", "uniform", "espcn"):
        assert row.result["nets"][name]["ms"] > 0
    assert len(page([row]).blocks[4].lines) == 5
    with pytest.raises(ValueError, match=r"budget_ms=50: the supernet takes .* ms; ask for less, or widen it"):
        run(timed.TimedSuperRes(), [settings.model_copy(update={"budget_ms": 50.0})], Store(tmp_path))


def test_compiled_nets_take_turns():
    nets = [plain_net(PlainNet(2, width, 1)) for width in (2, 24)]
    fast, slow = float_nets.compiled_in_turn(nets, (1, 20, 24))
    assert 0 < fast < slow
