"""Slimming: plans are what they say, the supernet computes the plan that is chosen, and every step pays."""

import dataclasses

import numpy as np
import pytest
import torch

from shared.lab import Store, render, run
from vision.slimming.experiment import Slimming, SlimmingSettings, macs
from vision.slimming.net import SlimNet, Supernet
from vision.slimming.plan import CHEAPER, Plan
from vision.slimming.search import random, slimmed, uniform

LARGEST = Plan((32, 48), (("conv",), ("conv", "attention")))


def net_of(plan):
    return SlimNet(plan, image=32, classes=10).eval()


def price(plan):
    return float(macs(net_of(plan)))


@pytest.mark.parametrize(
    ("widths", "blocks", "said"),
    [
        ((32,), (("conv",), ("pool",)), "1 widths for 2 stages"),
        ((32,), (("attention", "pool"),), "blocks of maps cannot follow attention"),
        ((32, 48), (("attention",), ("pool",)), "attention is for the last stage"),
    ],
)
def test_a_plan_that_is_no_net_is_refused(widths, blocks, said):
    with pytest.raises(ValueError, match=said):
        Plan(widths, blocks)


def test_every_action_makes_one_thing_cheaper():
    actions = dict(LARGEST.actions())
    assert len(actions) == 2 + 2 + 3 + 2  # of three blocks and of two widths
    for plan in actions.values():
        changed = [
            (before, after)
            for stages in zip(LARGEST.blocks, plan.blocks, strict=True)
            for before, after in zip(*stages, strict=True)
            if before != after
        ]
        narrower = [before - after for before, after in zip(LARGEST.widths, plan.widths, strict=True)]
        assert len(changed) + sum(width > 0 for width in narrower) == 1
        assert all(after in CHEAPER[before] for before, after in changed)
        assert price(plan) < price(LARGEST)


def copied(net, supernet, plan):
    """The net of a plan of full widths with the supernet's weights."""
    net.stem.load_state_dict(supernet.stages[0].opening.state_dict())
    for place, stage in enumerate(supernet.stages):
        ours = [module for module in net.stages[place] if type(module).__name__ != "Tokens"]
        if place:
            ours.pop(0).load_state_dict(stage.opening.state_dict())
        chosen = zip(stage.choices, plan.blocks[place], strict=True)
        for module, (choice, operator) in zip(ours, (pair for pair in chosen if pair[1] != "none"), strict=True):
            module.load_state_dict(choice.blocks[choice.operators.index(operator)].state_dict())
    net.norm.load_state_dict(supernet.norm.state_dict())
    net.head.load_state_dict(supernet.head.state_dict())
    return net


@pytest.mark.parametrize(
    "blocks",
    [LARGEST.blocks, (("pool",), ("pool", "none")), (("none",), ("none", "attention"))],
    ids=["largest", "pooling", "tokens"],
)
def test_the_supernet_computes_the_plan_that_is_chosen(blocks):
    plan, x = dataclasses.replace(LARGEST, blocks=blocks), torch.rand(2, 3, 32, 32)
    supernet = Supernet(LARGEST, image=32, classes=10)
    supernet(x)  # statistics of norms
    supernet.eval().chosen = plan
    torch.testing.assert_close(supernet(x), copied(net_of(plan), supernet, plan)(x))


def test_a_narrower_stage_of_the_supernet_keeps_its_most_important_channels():
    supernet = Supernet(LARGEST, image=32, classes=10).eval()
    stage = supernet.stages[1]
    torch.nn.init.uniform_(stage.opening[1].weight)
    kept = stage.kept(16).flatten().bool()
    assert kept.sum() == 16
    assert stage.opening[1].weight[kept].min() >= stage.opening[1].weight[~kept].max()
    assert (stage(torch.rand(1, 32, 16, 16), LARGEST.blocks[1], 16)[0, ~kept] == 0).all()


def test_slimming_takes_the_action_of_least_loss_per_price():
    losses = {"conv": 0.1, "attention": 0.3, "pool": 0.02, "none": 0.0}

    def accuracy(plan):
        return sum(losses[each] for blocks in plan.blocks for each in blocks) + sum(plan.widths) / 1000

    course = list(slimmed(LARGEST, price, accuracy, 0.5 * price(LARGEST)))
    before = LARGEST
    for step in course:
        rates = {
            action: (accuracy(before) - accuracy(plan)) / (price(before) - price(plan))
            for action, plan in before.actions()
        }
        assert rates[step.action] == min(rates.values())
        before = step.plan
    assert course[-1].price <= 0.5 * price(LARGEST) < ([price(LARGEST)] + [step.price for step in course])[-2]


@pytest.mark.parametrize("share", [0.9, 0.5, 0.3])
def test_rivals_keep_to_the_budget(share):
    budget = share * price(LARGEST)
    assert price(uniform(LARGEST, price, budget)) <= budget
    assert price(random(LARGEST, price, budget, np.random.default_rng(0))) <= budget
    with pytest.raises(ValueError, match="is the least; ask for more"):
        list(slimmed(LARGEST, price, lambda plan: 1.0, 1.0))


TINY = SlimmingSettings(
    images="$QWEDGE_DATA/none", widths=(16, 32), depths=(1, 2), attending=1, supernet=1, tuning=1, exchange=1.0,
    per_class=8, scored=5, judged=2, batch=16,
)  # fmt: skip


def test_a_cell_keeps_to_the_budget_and_keeps_its_net(monkeypatch, tmp_path):
    monkeypatch.delenv("QWEDGE_DATA", raising=False)
    [row] = run(Slimming(), [TINY], Store(tmp_path))
    nets = row.result["nets"]
    budget = 0.5 * row.result["price"]["largest"]
    assert max(about["macs"] for about in nets.values()) <= row.result["price"]["budget"] == budget
    assert set(row.artefacts) == {"net.safetensors", "plan.json", "net.onnx"}
    assert len(nets["uniform"]["tuned"]) == 2
    assert "Every step of the first seed" in render(Slimming().page([row]), [row], Store(tmp_path))


def test_milliseconds_need_a_compiler():
    with pytest.raises(ValueError, match="budget_ms needs a latency: take `qwedge run slimming`"):
        run(Slimming(), [TINY.model_copy(update={"budget_ms": 1.0})], Store("nowhere"))
