"""Which channels exist together: a net without a channel equals the net in which nobody reads it."""

import copy

import pytest
import torch
from torch import nn

from shared.weights.channels import ChannelGroup, Slot, channel_axis, channel_groups, numbers_of, sides_of, taken
from shared.weights.prices import positions


class Attention(nn.Module):
    """Two heads, which a traced graph does not follow: the module says where they are."""

    def __init__(self, width, heads=3, size=4):
        super().__init__()
        self.heads, self.size = heads, size
        self.qkv = nn.Linear(width, heads * 3 * size)
        self.project = nn.Linear(heads * size, width)

    def own_channel_groups(self):
        heads = self.qkv.out_features // (3 * self.size)
        return [
            ChannelGroup(
                heads, writers=[Slot("qkv", 0, 3 * self.size)], readers=[Slot("project", 0, self.size)], is_movable=True
            )
        ]

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (-1, 3 * self.size)).transpose(1, 2).split(self.size, -1)
        mixed = torch.softmax(q @ k.transpose(-2, -1), -1) @ v
        return self.project(mixed.transpose(1, 2).flatten(2))


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, stride=2, padding=1)
        self.attention = Attention(6)
        self.inner, self.outer = nn.Linear(6, 9), nn.Linear(9, 6)

    def forward(self, x):
        x = self.stem(x).flatten(2).transpose(1, 2)
        x = x + self.attention(x)
        return x + self.outer(nn.functional.gelu(self.inner(x)))


class Scale(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, 1, 1))

    def forward(self, x):
        return x * self.weight


class UNet(nn.Module):
    """An encoder, a decoder with a transposed convolution and one with a resized map, and skips that are joined."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(2, 5, 3, padding=1)
        self.two = nn.Sequential(nn.Conv2d(5, 7, 3, stride=2, padding=1), nn.BatchNorm2d(7), nn.Sigmoid())
        self.scale = Scale(7)
        self.three = nn.Conv2d(7, 8, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.middle = nn.Conv2d(4 + 7, 6, 3, padding=1)
        self.resize = nn.Upsample(scale_factor=2)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.head = nn.Conv2d(6 + 5, 1, 1)

    def forward(self, x):
        one = torch.relu(self.one(x))
        two = self.scale(self.two(one))
        up = torch.relu(self.up(torch.relu(self.three(two))))
        middle = self.depthwise(self.resize(nn.functional.gelu(self.middle(torch.cat((up, two), 1)))))
        return self.head(torch.cat((middle, one), 1))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.Softplus())
        self.body = nn.Sequential(nn.Conv2d(6, 4, 1), nn.SiLU(), nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6))
        self.head = nn.Linear(6 * 16, 3)

    def forward(self, x):
        x = self.stem(x)
        return self.head(nn.functional.avg_pool2d(torch.relu(x + self.body(x)), 2).flatten(1))


SIZES = {Residual: [6, 4], UNet: [5, 7, 8, 4, 6], Tokens: [9, 3]}
"""The groups by hand, in the order in which they are written, heads last."""


def randomised(net):
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return net.double().eval()


@pytest.fixture(scope="module", params=SIZES)
def net(request):
    torch.manual_seed(0)
    return randomised(request.param())


X = torch.randn(2, 2, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def unread(net, group, channel):
    """By hand: every layer that reads the channel has zeros for it."""
    net = copy.deepcopy(net)
    for slot in group.readers:
        layer = net.get_submodule(slot.path)
        weight = layer.weight.data.movedim(channel_axis(layer, "readers"), 0)
        weight[slot.start + channel * slot.repeat : slot.start + (channel + 1) * slot.repeat] = 0
    return net


def test_the_groups_are_those_counted_by_hand(net):
    assert [group.size for group in channel_groups(net, X)] == SIZES[type(net)]


def test_a_net_without_a_channel_is_the_net_in_which_nobody_reads_it(net):
    for group in channel_groups(net, X):
        changes = []
        for channel in range(group.size):
            others = torch.tensor([c for c in range(group.size) if c != channel])
            smaller = taken(net, [(group, others)])
            torch.testing.assert_close(smaller(X), unread(net, group, channel)(X))
            changes.append(float((smaller(X) - net(X)).abs().max()))
        assert max(changes) > 1e-3


def test_every_number_of_a_channel_goes_with_it(net):
    groups = channel_groups(net, X)
    for group, others in [(group, torch.arange(1, group.size)) for group in groups]:
        before, after = (sum(p.numel() for p in it.parameters()) for it in (net, taken(net, [(group, others)])))
        written, read = sides_of(net, [group])
        owned = numbers_of(net, group)[0]
        assert set((written == 0).nonzero()[:, 0].tolist()) == set(owned.tolist())
        assert before - after == int(((written == 0) | (read == 0)).sum())


def test_a_transposed_convolution_is_counted_by_what_it_multiplies():
    net = nn.Sequential(nn.ConvTranspose2d(2, 3, 3, stride=2), nn.Conv2d(3, 1, 1))
    assert positions(net, (2, 4, 4)) == {"0": 16, "1": 81}


def test_a_factor_that_is_used_twice_holds_its_channels():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.scale = nn.Conv2d(2, 4, 1), nn.Conv2d(4, 4, 1), Scale(4)

        def forward(self, x):
            return self.two(self.scale(torch.relu(self.scale(self.one(x)))))

    assert channel_groups(Twice().double().eval(), X) == []


@pytest.mark.parametrize(("axes", "sizes"), [((2, 3), [8]), ((-1, -2), [8]), ((1, 2), []), ((3,), [])])
def test_a_mean_is_followed_where_it_is_over_planes(axes, sizes):
    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv2d(2, 8, 3, padding=1), nn.Linear(8, 3)

        def forward(self, x):
            return self.two(self.one(x).mean(axes))

    groups = channel_groups(Pooled().double().eval(), X)
    assert [group.size for group in groups] == sizes


def test_counting_leaves_a_net_in_training_as_it_is():
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Dropout()).train()
    net[2].eval()
    before = copy.deepcopy(net.state_dict())
    assert positions(net, torch.randn(4, 2, 8, 8)) == {"0": 36}
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert [module.training for module in net.modules()] == [True, True, True, False]
