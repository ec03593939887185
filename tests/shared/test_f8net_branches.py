"""A net in branches computes the same, and its fixed point is closer to its floats."""

import pytest
import torch
from torch import nn

from shared.f8net import F8Net
from shared.f8net.branches import Branches, branched
from shared.integer.format import Format

SHAPE = (3, 8, 8)


class Residual(nn.Module):
    """A sum around a body, which is read twice."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


def chain(inputs: int, wide: int, outputs: int, act: type[nn.Module], stride: int = 1, bias: bool = True) -> list:
    """Depthwise weights whose channels span three decades."""
    middle = nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=bias)
    with torch.no_grad():
        middle.weight *= torch.logspace(0, -3, wide)[torch.randperm(wide)].reshape(-1, 1, 1, 1)
    return [nn.Conv2d(inputs, wide, 1, bias=bias), act(), middle, act(), nn.Conv2d(wide, outputs, 1, bias=bias)]


def _mobile() -> nn.Sequential:
    """Every layer that mixes is between two depthwise ones: chains must not share it."""
    first, second = chain(3, 24, 16, nn.ReLU6), chain(1, 16, 4, nn.ReLU)
    return nn.Sequential(*first, nn.ReLU(), *second[2:])


NETS = {
    "relu": lambda: nn.Sequential(*chain(3, 24, 5, nn.ReLU)),
    "relu6, stride, no bias": lambda: nn.Sequential(*chain(3, 24, 5, nn.ReLU6, 2, False)),
    "residual": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3), Residual(nn.Sequential(*chain(8, 20, 8, nn.ReLU6))), nn.ReLU(), nn.Conv2d(8, 4, 1)
    ),
    "one after the other": _mobile,
    "odd width": lambda: nn.Sequential(*chain(3, 9, 5, nn.ReLU6)),
}


def of(name: str) -> nn.Module:
    torch.manual_seed(0)
    return NETS[name]().eval()


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("name", NETS)
def test_branches_compute_the_same(name, count):
    net = of(name)
    x = 20 * torch.randn(4, *SHAPE)
    with torch.no_grad():
        before = net(x)
        after = branched(net, SHAPE, count)(x)
    assert (before > 0).any()
    assert torch.allclose(before, after, rtol=1e-5, atol=1e-5 * float(before.abs().max()))
    assert not any(isinstance(each, Branches) for each in net.modules())


@pytest.mark.parametrize("name", NETS)
def test_there_are_as_many_branches_as_were_asked_for_in_whole_planes(name):
    [branches, *_] = [each for each in branched(of(name), SHAPE, 3).modules() if isinstance(each, Branches)]
    widths = [branch[0].out_channels for branch in branches.branches]
    assert len(widths) == 3
    assert all(width % 4 == 0 for width in widths[:-1])
    largest = [float(branch[2].weight.detach().abs().max()) for branch in branches.branches]
    assert largest == sorted(largest, reverse=True)


def test_a_net_without_such_layers_stays_as_it_is():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU())
    assert str(branched(net, SHAPE)) == str(net)


def test_channels_of_one_range_stay_together():
    net = of("relu")
    nn.init.ones_(net[2].weight)
    assert not any(isinstance(each, Branches) for each in branched(net, SHAPE).modules())


def test_fixed_point_of_branches_is_closer_to_the_floats():
    net = of("relu6, stride, no bias")
    x = torch.randn(64, *SHAPE)

    def error(net: nn.Module) -> float:
        fixed = F8Net(net, shape=SHAPE, input=Format(8, 5), fit="error").calibrate(x).double().eval()
        with torch.no_grad():
            return float((fixed(x.double()) - exact).norm() / exact.norm())

    with torch.no_grad():
        nn.init.normal_(net[4].weight).div_(net[2].weight.abs().amax((1, 2, 3)).reshape(1, -1, 1, 1) + 1e-4)
        exact = net(x).double()
    assert error(branched(net, SHAPE, 4)) < error(net) / 2


def test_fewer_than_one_branch_is_refused():
    with pytest.raises(ValueError, match="count=0"):
        branched(of("relu"), SHAPE, 0)
