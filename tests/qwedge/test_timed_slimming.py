"""Slimming for milliseconds: prices of compiled nets of floats decide, and what was promised is measured."""

import pytest

pytest.importorskip("onnx", reason="pip install -e '.[vision]'")

from mobile.pricing.example import FLOATS
from qwedge.experiments import slimming as timed
from shared.lab import Store, run
from vision.slimming.figures import regret
from vision.slimming.net import SlimNet
from vision.slimming.page import page
from vision.slimming.plan import Plan
from vision.slimming.prices import PlanPrices
from vision.slimming.settings import SlimmingSettings

TINY = SlimmingSettings(
    images="$QWEDGE_DATA/none", widths=(16, 32), depths=(1, 2), attending=1, supernet=1, tuning=1,
    per_class=8, scored=5, judged=2, batch=16, controls=("uniform", "mobilenet_v4"), candidates=2,
)  # fmt: skip


@pytest.fixture
def generated(monkeypatch):
    monkeypatch.delenv("QWEDGE_DATA", raising=False)
    monkeypatch.setattr(timed, "calibrated", lambda progress, numbers: FLOATS)
    monkeypatch.setattr("vision.slimming.cell.TIMED", 1)


class Kept:
    progress = None

    def stage(self, name, compute):
        return compute()

    checkpoint = stage


def test_every_action_that_saves_work_saves_milliseconds(generated):
    price = timed.TimedSlimming().latency(TINY, Kept())
    largest = Plan((32, 48), (("conv",), ("conv", "attention")))

    def ms(plan):
        return price(SlimNet(plan, image=32, classes=10).eval(), (3, 32, 32))

    plans = dict(largest.actions())
    assert not {action for action, plan in plans.items() if ms(plan) >= ms(largest)}
    table = PlanPrices(price, image=32, classes=10)
    assert all(table(plan) == pytest.approx(ms(plan), rel=0.03) for plan in plans.values())


def test_a_budget_of_milliseconds_is_met_as_predicted_and_measured(generated, tmp_path, monkeypatch):
    budget = 0.7 * timed.TimedSlimming().latency(TINY, Kept())(
        SlimNet(TINY.largest(), image=32, classes=10).eval(), (3, 32, 32)
    )
    monkeypatch.setattr(timed.TimedSlimming, "milliseconds", lambda self, cell, net, shape: 2 * budget)
    settings = TINY.model_copy(update={"budget_ms": (budget,)})
    [row] = run(timed.TimedSlimming(), [settings], Store(tmp_path))
    assert row.result["price"]["unit"] == "ms"
    [at] = row.result["budgets"]
    assert all(about["price"] <= budget for about in at["nets"].values())
    assert regret(row) == pytest.approx(100 * (2 * budget / at["nets"]["slimmed"]["price"] - 1))
    assert "ms, measured" in str(page([row]))
    with pytest.raises(ValueError, match=r"budget 99: the largest net costs .*; ask for less"):
        run(timed.TimedSlimming(), [TINY.model_copy(update={"budget_ms": (99.0,)})], Store(tmp_path))


def test_a_slimmed_net_is_compiled_and_timed():
    net = SlimNet(TINY.largest(), image=32, classes=10).eval()
    assert timed.TimedSlimming().milliseconds(TINY, net, (3, 32, 32)) > 0


def test_blocks_may_be_priced_by_their_time_in_onnx_runtime(monkeypatch):
    pytest.importorskip("onnxruntime", reason="pip install -e '.[mobile]'")
    settings = TINY.model_copy(update={"runtime": "onnxruntime"})
    price = timed.TimedSlimming().latency(settings, Kept())
    table = PlanPrices(price, image=32, classes=10)
    small, large = Plan((16,), (("single",),)), Plan((48,), (("conv", "conv"),))
    assert 0 < table(small) < table(large)
    times = dict(price.ms)
    assert table(large) == table(large)
    assert price.ms == times
    net = SlimNet(large, image=32, classes=10).eval()
    assert table(large) == pytest.approx(timed.TimedSlimming().milliseconds(settings, net, (3, 32, 32)), rel=0.6)
