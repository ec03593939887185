"""Sums and zeros around values cost no call of their own where that is possible, and every net computes what it did."""

import numpy as np
import pytest
import torch
from test_floats import Shortcut
from torch import nn
from torch.nn import functional

from mobile.build.compile_floats import compile_floats
from mobile.lowering.floats import BorderFloats, CombineFloats, ConvolveFloats, PadFloats
from mobile.lowering.lower_floats import lower_floats
from shared.importers.graph import TracedGraph


class Reads(nn.Module):
    """A value that convolutions of other paddings read too, or what moves numbers."""

    def __init__(self, how):
        super().__init__()
        self.how, self.first = how, nn.Conv2d(4, 16, 1)
        self.a, self.b = nn.Conv2d(16, 8, 3, padding=1), nn.Conv2d(16, 8, 5, padding=2)

    def forward(self, x):
        y = self.first(x)
        if self.how == "other padding":
            return self.a(y) + self.b(y)
        if self.how == "output":
            return self.a(y), y
        if self.how == "moved":
            return self.a(y) + torch.cat([y[:, 8:]], 1)
        return self.a(functional.pad(y, (2, 0, 1, 0)))


class SumFirst(nn.Module):
    """A term is computed behind the convolution, read again, an output too, or clamped before the sum."""

    def __init__(self, how):
        super().__init__()
        self.how, self.a, self.b = how, nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(3, 5, 1)

    def forward(self, x):
        if self.how == "term":
            other = self.b(x)
            y = self.a(x)
            return y, y + other
        y = self.a(x)
        if self.how == "both":
            return functional.relu(y + self.b(x))
        if self.how == "read again":
            return (y + y) * y
        if self.how == "clamped":
            return functional.relu(y) + functional.relu(self.b(x))
        return y + y.mean((2, 3), keepdim=True)


def block(stride=1):
    around = nn.Conv2d(16, 24, 1, stride) if stride > 1 else None
    width = 24 if stride > 1 else 16
    body = nn.Sequential(nn.Conv2d(16, width, 3, stride, 1), nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1))
    return nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1), nn.ReLU(), Shortcut(body, around, nn.ReLU()), nn.MaxPool2d(2))


NETS = {  # a net, the shape of its input, and how many copies with zeros and how many sums are left
    "residual": (block, (3, 7, 9), 0, 0),
    "residual with a stride": (lambda: nn.Sequential(block(2), nn.Conv2d(24, 5, 3, 1, 1)), (3, 10, 13), 0, 0),
    "depthwise": (
        lambda: nn.Sequential(nn.Conv2d(20, 20, 3, 2, 1, groups=20), nn.Conv2d(20, 3, 3, padding=1)),
        (20, 7, 7),
        0,
        0,
    ),
    "line": (lambda: nn.Sequential(nn.Conv1d(2, 4, 5, padding=2), nn.Conv1d(4, 4, 3, padding=1)), (2, 17), 0, 0),
    "pooled": (lambda: nn.Sequential(nn.MaxPool2d(3, 2, 1), nn.Conv2d(3, 4, 3, padding=1)), (3, 9, 11), 0, 0),
    "other padding": (lambda: Reads("other padding"), (4, 6, 7), 2, 0),
    "output": (lambda: Reads("output"), (4, 6, 7), 1, 0),
    "moved": (lambda: Reads("moved"), (4, 6, 7), 1, 1),
    "padded twice": (lambda: Reads("one side"), (4, 6, 7), 1, 0),
    "both": (lambda: SumFirst("both"), (3, 6, 7), 0, 0),
    "read again": (lambda: SumFirst("read again"), (3, 6, 7), 0, 2),
    "a term that is an output": (lambda: SumFirst("term"), (3, 6, 7), 0, 1),
    "clamped": (lambda: SumFirst("clamped"), (3, 6, 7), 0, 1),
    "repeated": (lambda: SumFirst("repeated"), (3, 6, 7), 0, 1),
}


def net(name):
    torch.manual_seed(0)
    make, shape, copies, sums = NETS[name]
    return make().eval(), shape, copies, sums


@pytest.mark.parametrize("name", NETS)
def test_a_net_with_fewer_calls_equals_torch(name):
    module, shape, copies, sums = net(name)
    compiled = compile_floats(module, [shape], np.random.default_rng(0), count=3)
    assert max(compiled.errors.values()) <= 1e-5
    kinds = [type(call) for call in compiled.lowered.calls]
    assert (kinds.count(PadFloats), kinds.count(CombineFloats)) == (copies, sums)


def test_zeros_are_written_before_what_they_surround():
    module, shape, *_ = net("residual")
    calls = lower_floats(TracedGraph.of(module, shape)).calls
    written = set()
    for call in calls:
        zeros = isinstance(call, BorderFloats)
        assert not (zeros and call.writes.name in written)
        written.add(call.writes.name)
    surrounded = {call.writes.name for call in calls if isinstance(call, BorderFloats)}
    assert surrounded == {call.reads[0].name for call in calls if isinstance(call, ConvolveFloats)}


def test_three_colours_lie_in_four_floats_unless_more_than_convolutions_read_them():
    packed, shape, *_ = net("residual")
    assert lower_floats(TracedGraph.of(packed, shape)).inputs[0].pitch == 4
    pooled, shape, *_ = net("pooled")
    assert lower_floats(TracedGraph.of(pooled, shape)).inputs[0].pitch == 16
