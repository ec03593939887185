"""A net as a task: points are its parameters, only what is selected is compressed, and a task's laws hold."""

import pytest
import torch
from torch import nn

from shared import ADMM, Grouping, NonzeroPrice, Sparsity
from shared.core.testing import check_menu, check_price, check_task
from shared.training.loop import Schedule, seeded
from shared.weights.files import from_bytes, to_bytes
from shared.weights.layout import Layout
from shared.weights.task import ParameterTask


def net():
    def build():
        return nn.Sequential(
            nn.Conv1d(2, 4, 3, padding=1), nn.BatchNorm1d(4), nn.ReLU(), nn.Flatten(), nn.Linear(20, 3)
        )

    return seeded(build, torch.Generator().manual_seed(0)).eval()


def task(**options):
    x = torch.randn(40, 2, 5, generator=torch.Generator().manual_seed(1))
    y = x.mean((1, 2)).mul(4).long().clamp(0, 2)

    def loss(forward, generator):
        return nn.functional.cross_entropy(forward(x), y)

    return ParameterTask(net(), loss, torch.Generator().manual_seed(2), Schedule(80, rate=5e-3, floor=1e-4), **options)


@pytest.mark.parametrize("grouping", [Grouping.element, Grouping.channel])
def test_a_point_is_the_net(grouping):
    it = task(grouping=grouping)
    parts = it.parameters(it.x)
    assert list(parts) == [name for name, _ in it.net.named_parameters()]
    assert all(torch.equal(parts[name], p) for name, p in it.net.named_parameters())
    moved = it.apply(it.x + 1)
    assert all(torch.equal(p, q + 1) for p, q in zip(moved.parameters(), it.net.parameters(), strict=True))
    x = torch.randn(3, 2, 5)
    assert torch.equal(it.forward(it.x + 1)(x), moved(x))


@pytest.mark.parametrize("grouping", [Grouping.element, Grouping.channel])
def test_the_laws_of_a_task(grouping):
    it = task(grouping=grouping)
    check_task(it, it.x)


def test_the_objective_has_a_gradient_in_every_number():
    it = task(grouping=Grouping.channel)
    x = it.x.requires_grad_()
    it.objective(x).backward()
    assert torch.equal(x.grad != 0, (x.grad != 0) & (it.layout.index >= 0))
    assert float(it.objective(x).detach()) == it.loss(x.detach())
    assert (x.grad != 0).sum() > 60


def test_only_what_is_selected_is_priced_and_everything_is_trained():
    it = task(select={"0.weight"}, grouping=Grouping.channel)
    price = it.price(NonzeroPrice((5.0, 6.0, 7.0, 8.0), "MAC"))
    solution = ADMM(rho=1e-2, steps=4).solve(it, on=it.menu(Sparsity()), price=price, budget=13, x=it.x)
    pruned = it.apply(solution.z)
    kept = (pruned[0].weight != 0).flatten(1).any(1)
    assert solution.measured == float(torch.tensor([5.0, 6.0, 7.0, 8.0])[kept].sum()) <= 13
    assert (pruned[4].weight != 0).all()
    assert not torch.equal(pruned[4].weight, it.net[4].weight)
    assert it.rows.sum() == 4
    assert it.size == 6


def test_selected_menus_and_prices_keep_the_laws():
    it = task(select={"0.weight"}, grouping=Grouping.channel)
    blocks = torch.tensor([0, 1, 4, 5])  # two selected, two not
    few = ParameterTask(
        nn.Sequential(nn.Linear(2, 2)), None, torch.Generator(), select={"0.weight"}, grouping=Grouping.channel
    )
    check_price(few.price(NonzeroPrice((1.0, 2.0))), few.x)
    menu, price = it.menu(Sparsity()), it.price(NonzeroPrice())
    assert menu.menu(it.x).values.shape == (*it.x.shape[:1], 2, it.x.shape[1])
    assert price.price(menu.menu(it.x).values)[blocks].tolist() == [[0, 1], [0, 1], [0, 0], [0, 0]]
    with pytest.raises(AssertionError, match="repr"):  # holds a tensor, so it has no repr that builds it again
        check_menu(few.menu(Sparsity()), few.x, few.price(NonzeroPrice()))


def test_layouts_of_blocks_of_any_size_are_undone():
    layout = Layout.of([(2, 3), (4,), ()], Grouping.channel)
    assert layout.index.shape == (7, 3)
    flat = torch.arange(11.0)
    assert torch.equal(layout.flat(layout.point(flat)), flat)


def test_what_cannot_be_compressed_says_so():
    with pytest.raises(ValueError, match=r"^ReLU has no parameters: there is nothing to compress"):
        ParameterTask(nn.ReLU(), None, torch.Generator())
    with pytest.raises(ValueError, match=r"^the net has no parameter 'weigth': it has weight, bias"):
        ParameterTask(nn.Linear(1, 1), None, torch.Generator(), select={"weigth"})


@pytest.mark.parametrize("cut", [slice(0, -1), slice(0, 4), slice(1, None)])
def test_a_file_that_is_not_whole_is_refused(cut):
    with pytest.raises(ValueError, match=r"^incomplete or corrupt safetensors file: "):
        from_bytes(nn.Linear(2, 2), to_bytes(nn.Linear(2, 2))[cut])
