"""Slimming: plans are what they say, the supernet computes the plan that is chosen, and every step pays."""

import dataclasses
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
import torch
from pictures import noise
from PIL import Image

from shared.lab import Store, render, run
from shared.training.epochs import Trainer
from vision.slimming.experiment import Slimming
from vision.slimming.figures import NETS, RIVALS, Control, seconds
from vision.slimming.files import load, saved
from vision.slimming.halving import rounds
from vision.slimming.judge import Judge
from vision.slimming.net import SUMMED, SlimNet, Supernet, at_random
from vision.slimming.plan import CHEAPER, OPERATORS, Plan
from vision.slimming.prices import PlanPrices, macs
from vision.slimming.rivals import FAMILIES, Scale, build, largest_within
from vision.slimming.search import best_within, filled, random, slimmed, uniform
from vision.slimming.settings import SlimmingSettings

LARGEST = Plan((32, 48), (("conv",), ("conv", "attention")))


def net_of(plan):
    return SlimNet(plan, image=32, classes=10).eval()


def price(plan):
    return float(macs(net_of(plan), (3, 32, 32)))


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
    assert len(actions) == 3 + 3 + 4 + 2  # of three blocks and of two widths
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


PLANS = {
    "largest": LARGEST,
    "pooling": Plan((32, 48), (("pool",), ("single", "none"))),
    "tokens": Plan((32, 48), (("none",), ("none", "attention"))),
    "narrow": Plan((16, 32), (("single",), ("conv", "attention"))),
}
FULL = ("largest", "pooling", "tokens")


def sharing(supernet, plan):
    """A net of its own with the supernet's numbers."""
    net = SlimNet(plan, **supernet.frame)
    net.load_state_dict(supernet.weights(net), strict=False)
    return net


@pytest.mark.parametrize("plan", [PLANS[name] for name in FULL], ids=FULL)
def test_a_sum_of_one_operator_each_is_the_net_of_that_plan(plan, monkeypatch):
    monkeypatch.setattr("vision.slimming.net.SUMMED", 1.0)
    supernet, x = Supernet(LARGEST, image=32, classes=10), torch.rand(8, 3, 32, 32)
    for stage, operators in zip(supernet.stages, plan.blocks, strict=True):
        for choice, operator in zip(stage.choices, operators, strict=True):
            choice.scores.data[choice.operators.index(operator)] = 1e4
    torch.testing.assert_close(supernet(x), supernet.answered(plan, x))


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_net_with_the_weights_of_the_supernet_is_what_it_computes(plan):
    supernet, x = Supernet(LARGEST, image=32, classes=10), torch.rand(8, 3, 32, 32)
    net = sharing(supernet, plan)
    before = supernet.answered(plan, x)
    torch.testing.assert_close(net.train()(x), before)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    torch.testing.assert_close(supernet.answered(plan, x), before)


def test_a_narrow_plan_trains_the_leading_channels_alone():
    supernet = Supernet(LARGEST, image=32, classes=10)
    supernet.answered(PLANS["narrow"], torch.rand(8, 3, 32, 32)).square().sum().backward()
    moved = supernet.stages[1].opening[0].weight.grad != 0
    assert moved[:32, :16].any()
    assert not moved[32:].any()
    assert not moved[:, 16:].any()


def test_random_actions_reach_narrow_stages_and_every_operator():
    torch.manual_seed(0)
    plans = {at_random(LARGEST) for _ in range(200)}
    assert LARGEST in plans
    assert {plan.widths for plan in plans} == {(first, second) for first in (32, 16) for second in (48, 32, 16)}
    assert {plan.blocks[-1][-1] for plan in plans} == set(OPERATORS)


def test_most_batches_train_a_plan_and_the_others_the_sum():
    torch.manual_seed(0)
    supernet, x = Supernet(LARGEST, image=32, classes=10), torch.rand(2, 3, 32, 32)
    untrained = 0
    for _ in range(40):
        supernet.zero_grad()
        supernet(x).sum().backward()
        scores = [choice.scores.grad for stage in supernet.stages for choice in stage.choices]
        untrained += all(grad is None or not grad.any() for grad in scores)
    assert untrained == pytest.approx(40 * (1 - SUMMED), abs=6)


def test_plans_are_judged_by_the_statistics_of_their_batch_and_once(monkeypatch):
    supernet, x = Supernet(LARGEST, image=32, classes=10), torch.rand(16, 3, 32, 32)
    judge = Judge(supernet, x, labels := torch.arange(16) % 10)
    judged = {plan: judge(plan) for plan in PLANS.values()}
    assert judge.losses == judged
    monkeypatch.delattr(Supernet, "answered")
    for plan, lost in judged.items():
        expected = torch.nn.functional.cross_entropy(sharing(supernet, plan).train()(x), labels)
        assert lost == judge(plan) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_the_price_of_a_plan_is_that_of_its_net():
    torch.manual_seed(0)
    prices = PlanPrices(macs, image=32, classes=10)
    assert all(prices(plan) == price(plan) for plan in (at_random(LARGEST) for _ in range(12)))


@pytest.mark.parametrize("family", FAMILIES)
def test_published_nets_fill_a_budget(family):
    def cost(net):
        return macs(net, (3, 32, 32))

    whole = cost(build(family, Scale(1.0, 0), 10))
    last = {"mobilenet_v2": 1280, "mobilenet_v4": 960, "hgnet_v2": 1024}[family]
    net = build(family, Scale(1.0, 0), 10).eval()
    assert net[:-2](torch.rand(1, 3, 32, 32)).shape == (1, last, 1, 1)
    scale = largest_within(family, cost, 0.3 * whole, 10)
    assert 0.2 * whole < cost(build(family, scale, 10)) <= 0.3 * whole
    with pytest.raises(ValueError, match=f"no {family} costs 1 or less; ask for more"):
        largest_within(family, cost, 1, 10)


LOSSES = {"conv": 0.1, "single": 0.05, "attention": 0.3, "pool": 0.02, "none": 0.0}


def loss(plan):
    return -sum(LOSSES[each] for blocks in plan.blocks for each in blocks) - sum(plan.widths) / 1000


def test_slimming_takes_the_action_of_least_loss_per_price():
    course = list(slimmed(LARGEST, price, loss, 0.5 * price(LARGEST)))
    before = LARGEST
    for step in course:
        rates = {
            action: (loss(plan) - loss(before)) / (price(before) - price(plan)) for action, plan in before.actions()
        }
        assert rates[step.action] == min(rates.values())
        before = step.plan
    assert course[-1].price <= 0.5 * price(LARGEST) < ([price(LARGEST)] + [step.price for step in course])[-2]


def test_slimming_judges_few_plans_where_losses_of_actions_stay():
    judged = []
    course = list(slimmed(LARGEST, price, lambda plan: judged.append(plan) or loss(plan), 0.2 * price(LARGEST)))
    offered, before = 1, LARGEST
    for step in course:
        offered += len(dict(before.actions()))
        before = step.plan
    assert len(course) > 3
    assert len(judged) < 0.7 * offered


def test_the_net_of_a_budget_loses_least_of_all_that_were_judged():
    losses = {}
    budget = 0.5 * price(LARGEST)
    course = list(slimmed(LARGEST, price, lambda plan: losses.setdefault(plan, loss(plan)), budget))
    best = best_within(losses, price, budget)
    assert price(best) <= budget
    assert losses[best] == min(lost for plan, lost in losses.items() if price(plan) <= budget) <= course[-1].loss


@pytest.mark.parametrize("share", [0.9, 0.6, 0.4])
def test_what_is_left_of_a_budget_goes_into_widths_and_blocks(share):
    budget, plan = share * price(LARGEST), Plan((16, 16), (("single",), ("pool", "none")))
    full = filled(plan, LARGEST, price, loss, budget)
    assert price(full) <= budget
    one_action_back = [
        dataclasses.replace(full, widths=(full.widths[0], full.widths[1] + 16)),
        dataclasses.replace(full, widths=(full.widths[0] + 16, full.widths[1])),
        *(dataclasses.replace(full, blocks=(("conv",), full.blocks[1])) for _ in range(full.blocks[0] != ("conv",))),
    ]
    for each in one_action_back:
        beyond = any(width > most for width, most in zip(each.widths, LARGEST.widths, strict=True))
        assert beyond or price(each) > budget


def test_a_plan_without_blocks_gets_some_where_widths_leave_much():
    bare = Plan(LARGEST.widths, (("none",), ("none", "none")))
    full = filled(bare, LARGEST, price, loss, 0.8 * price(LARGEST))
    assert price(bare) < 0.5 * price(LARGEST) < price(full) <= 0.8 * price(LARGEST)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 9])
@pytest.mark.parametrize("cost", [0.1, 0.5, 9.0])
def test_the_best_candidate_wins_a_race_that_costs_what_it_may(count, cost):
    names, reached = [f"candidate {number}" for number in range(count)], dict[str, float]()
    best = names[count // 2]

    def loss_at(name, share):
        assert reached.get(name, 0.0) < share <= 1
        reached[name] = share
        return (name != best) + names.index(name) / count

    held = list(rounds(names, loss_at, cost))
    assert bool(held) == (count > 1)
    left = held[-1].kept() if held else names
    assert left == [best]
    assert sum(share for name, share in reached.items() if name != best) <= cost + 1e-9
    assert all(set(later.losses) == set(earlier.kept()) for earlier, later in pairwise(held))


def test_random_plans_differ_and_leave_no_room():
    budget, rng = 0.5 * price(LARGEST), np.random.default_rng(0)
    plans = {random(LARGEST, price, budget, rng) for _ in range(4)}
    assert len(plans) > 1
    assert all(filled(plan, LARGEST, price, loss, budget) == plan for plan in plans)


@pytest.mark.parametrize("share", [0.9, 0.5, 0.3])
def test_rivals_keep_to_the_budget(share):
    budget = share * price(LARGEST)
    assert price(uniform(LARGEST, price, budget)) <= budget
    assert price(random(LARGEST, price, budget, np.random.default_rng(0))) <= budget
    with pytest.raises(ValueError, match="is the least; ask for more"):
        list(slimmed(LARGEST, price, loss, 1.0))


TINY = SlimmingSettings(
    images="$QWEDGE_DATA/none", widths=(16, 32), depths=(1, 2), attending=1, supernet=1, tuning=2, macs=(0.4, 0.6, 0.4),
    per_class=8, scored=5, judged=2, batch=16, controls=("uniform", "random"), candidates=3,
)  # fmt: skip


def test_a_cell_keeps_to_its_budgets_and_keeps_its_nets(monkeypatch, tmp_path):
    monkeypatch.delenv("QWEDGE_DATA", raising=False)
    monkeypatch.setattr("vision.slimming.cell.TIMED", 1)
    [row] = run(Slimming(), [TINY], Store(tmp_path))
    budgets = [at["budget"] for at in row.result["budgets"]]
    assert budgets == [share * row.result["price"]["largest"] for share in (0.6, 0.4)]
    for at in row.result["budgets"]:
        assert max(about["macs"] for about in at["nets"].values()) <= at["budget"]
        race = at["race"]
        assert set(race["candidates"]) == {"course", "uniform", "random 1"}
        assert at["nets"]["slimmed"]["spelled"] == race["candidates"][race["winner"]]
        assert race["rounds"][-1]["losses"][race["winner"]] == min(race["rounds"][-1]["losses"].values())
    kept = {f"{name}-{budget:.4g}.{kind}" for budget in budgets for name, kind in
            (("net", "safetensors"), ("plan", "json"), ("net", "onnx"))}  # fmt: skip
    assert set(row.artefacts) == kept
    html = render(Slimming().page([row]), [row], Store(tmp_path))
    assert "Every step of the first seed" in html
    assert "is the slimmed net" in html
    assert all(name in html for name in kept)


@pytest.mark.slow
def test_published_nets_and_one_trained_for_the_time_of_the_search_stand_beside(monkeypatch, tmp_path):
    monkeypatch.delenv("QWEDGE_DATA", raising=False)
    settings = TINY.model_copy(update={"controls": get_args(Control), "tuning": 8, "macs": (0.5,)})
    [row] = run(Slimming(), [settings], Store(tmp_path))
    [at] = row.result["budgets"]
    assert list(at["nets"]) == list(NETS)
    longer = 1 + row.result["search_cpu_s"] / seconds(row, 0, "slimmed")
    assert longer > 1.5
    for name in (*RIVALS, "random", "uniform_longer"):
        assert seconds(row, 0, name) == pytest.approx(longer * seconds(row, 0, "slimmed"), rel=0.5)
    html = render(Slimming().page([row]), [row], Store(tmp_path))
    assert all(name in html for name in NETS.values())


def test_pictures_of_a_folder_are_classified_at_their_size(tmp_path):
    for label in range(3):
        for number in range(10):
            path = tmp_path / "mine" / f"class{label}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise(label, np.random.default_rng(number))).save(path)
    mine = TINY.model_copy(
        update={
            "data": str(tmp_path / "mine"),
            "size": 48,
            "stride": 4,
            "controls": ("uniform",),
            "tuning": 1,
            "augment": "trivial",
        }
    )
    [row] = run(Slimming(), [mine], Store(tmp_path))
    assert row.result["classes"] == 3
    assert "pictures of mine, centres scaled to 48x48" in row.result["data"]["name"]
    before = mine.hashes()
    Image.fromarray(noise(9, np.random.default_rng(0))).save(tmp_path / "mine" / "class0" / "0.png")
    assert mine.hashes() != before
    with pytest.raises(ValueError, match="size=48: pictures of cifar10 have 32; size is for folders"):
        Slimming().cells(TINY.model_copy(update={"size": 48}))


@pytest.mark.parametrize("blocks", [LARGEST.blocks, (("single",), ("pool", "none"))])
def test_a_net_that_was_saved_gives_the_same_answers(blocks, tmp_path):
    net = SlimNet(dataclasses.replace(LARGEST, blocks=blocks), image=64, classes=3, stride=4)
    net(torch.rand(8, 3, 64, 64))  # statistics of norms
    path, x = tmp_path / "net.safetensors", torch.rand(2, 3, 64, 64)
    path.write_bytes(saved(net))
    loaded = load(path)
    assert loaded.plan == net.plan
    assert torch.equal(loaded(x), net.eval()(x))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"not a slimmed net: .*; give net-BUDGET.safetensors of a run"):
        load(path)


def test_one_budget_may_be_a_number():
    assert SlimmingSettings(budget_ms=6).budget_ms == (6.0,)
    with pytest.raises(ValueError, match="greater than 0"):
        SlimmingSettings(budget_ms=(6.0, -1.0))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"widths": (0, 16)}, "needs multiples of 16"),
        ({"depths": (-1, 2)}, "none below 0"),
        ({"widths": (), "depths": ()}, "needs a number of blocks for each stage"),
        ({"macs": ()}, "give one budget at least"),
    ],
)
def test_settings_without_a_net_or_a_budget_are_refused(asked, said):
    with pytest.raises(ValueError, match=said):
        Slimming().cells(TINY.model_copy(update=asked))


def test_a_budget_that_no_net_meets_is_refused_before_training(monkeypatch, tmp_path):
    monkeypatch.delenv("QWEDGE_DATA", raising=False)
    monkeypatch.setattr(Trainer, "run_epoch", lambda *arguments: pytest.fail("training began"))
    with pytest.raises(ValueError, match=r"the least net costs .*; ask for more"):
        run(Slimming(), [TINY.model_copy(update={"macs": (1e-6,), "controls": ()})], Store(tmp_path))


def test_milliseconds_need_a_compiler():
    with pytest.raises(ValueError, match="budget_ms needs a latency: take `qwedge run slimming`"):
        run(Slimming(), [TINY.model_copy(update={"budget_ms": (1.0,)})], Store("nowhere"))
