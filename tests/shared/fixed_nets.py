"""Small nets of every kind of layer that F8Net had from the start, for the laws of several tests."""

import copy

import numpy as np
import torch
from torch import nn

from shared.f8net import F8Net
from shared.integer import audit, run
from shared.integer.format import Format

S8, U8 = Format(8, 6), Format(8, 8, signed=False)


class Mlp(nn.Sequential):
    """No batch norm; a signed activation between the last two layers."""

    shape, format = (6,), S8

    def __init__(self):
        hidden = nn.Linear(6, 12), nn.ReLU(), nn.Dropout(0.1), nn.Linear(12, 9, bias=False)
        super().__init__(*hidden, nn.Identity(), nn.Linear(9, 3))


class Residual(nn.Module):
    """One-dimensional: batch norms, a depthwise layer, two residual additions, of which one is projected."""

    shape, format = (2, 13), S8

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(2, 6, 3, padding=1, bias=False), nn.BatchNorm1d(6), nn.ReLU())
        self.body = nn.Sequential(nn.Conv1d(6, 6, 3, padding=1, groups=6), nn.BatchNorm1d(6), nn.ReLU())
        self.more = nn.Sequential(nn.Conv1d(6, 6, 1), nn.BatchNorm1d(6, affine=False))
        self.down, self.side = nn.Conv1d(6, 8, 3, stride=2, padding=1), nn.Conv1d(6, 8, 1, stride=2)
        self.pool, self.last = nn.AdaptiveAvgPool1d(1), nn.Linear(8, 4)

    def forward(self, x):
        x = self.stem(x)
        x = torch.relu(self.more(self.body(x)) + x)
        x = (self.down(x) + self.side(x)).relu()
        return self.last(torch.flatten(self.pool(x), 1))


class Image(nn.Module):
    """Two-dimensional: groups, both pools on both sides of a ReLU, an average over nine as the end."""

    shape, format = (1, 12, 10), U8

    def __init__(self):
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(4, 8, (3, 2), padding=(1, 0), groups=2), nn.ReLU(), nn.AvgPool2d((2, 1), 1))
        self.last = nn.Sequential(nn.Conv2d(8, 5, 1), nn.AvgPool2d((4, 3)))

    def forward(self, x):
        x = self.last(self.two(self.one(x)))
        return x.view(x.size(0), -1)


class Raw(nn.Module):
    """Sums that meet the input and the output: numbers there are real, so no scale is free."""

    shape, format = (3, 6), S8

    def __init__(self):
        super().__init__()
        self.one, self.two, self.end = nn.Conv1d(3, 3, 3, padding=1), nn.Conv1d(3, 3, 1), nn.Conv1d(3, 3, 1)

    def forward(self, x):
        y = x + self.one(x)
        z = y + self.two(y.relu())
        return self.end(z) + z


NETS = {"raw": Raw, "mlp": Mlp, "residual": Residual, "image": Image}


def batch(kind, count, seed=0, dtype=torch.float32):
    x = torch.randn(count, *kind.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (x.abs() * 0.4 if kind.format is U8 else x * 0.7).to(dtype)


def fixed_net(kind, *, word=8, steps=0, dtype=torch.float32, fit="spread"):
    """A fixed-point net, calibrated, and trained for some steps towards nothing in particular."""
    torch.manual_seed(1)
    net = F8Net(kind().to(dtype), shape=kind.shape, input=kind.format, word=word, fit=fit).to(dtype)
    net.calibrate(batch(kind, 64, dtype=dtype))
    optimiser = torch.optim.SGD(net.parameters(), 0.03)
    for step in range(steps):
        optimiser.zero_grad()
        (net(batch(kind, 32, step, dtype)) - 1).square().mean().backward()
        optimiser.step()
    return net


def same(net, kind, count=2000):
    """Every value of the net, in float64, equals the integers'."""
    net, x = copy.deepcopy(net).double().eval(), batch(kind, count, 5, torch.float64)
    program = net.program()
    with torch.no_grad():
        values = net.values(x)
    integers = run(program, kind.format.to_integers(x.numpy()))
    for name, array in integers.items():
        np.testing.assert_array_equal(program.values[name].format.from_integers(array), values[name].numpy(), name)
    assert len(integers) > 4
    audit(program).require(8)
    return program
