"""The predicted time of a float net is the law of the calls that are compiled; its gradient is that of differences."""

import numpy as np
import pytest
import torch
from float_nets import Joined, SuperResolution, VisionTransformer, efficientformer
from torch import nn

from mobile.lowering.float_work import float_work
from mobile.lowering.floats import ConvolveFloats
from mobile.lowering.lower_floats import lower_floats
from mobile.pricing import calibration
from mobile.pricing.calibration import fitted, timings
from mobile.pricing.example import EXAMPLE, FLOATS
from mobile.pricing.float_nets import random_float_net
from mobile.pricing.net import net_latency
from shared.importers.graph import TracedGraph
from shared.weights.channels import channel_groups, taken

NETS = {
    "super-resolution": (lambda: SuperResolution(16, "nearest"), (3, 12, 14)),
    "joined": (Joined, (3, 8, 9)),
    "transformer": (lambda: VisionTransformer(width=32, heads=4), (3, 16, 16)),
    "groups": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 32, 3, 2, 1),
            nn.Conv2d(32, 32, 3, padding=1, groups=32),
            nn.PReLU(32),
            nn.Conv2d(32, 48, 3, groups=2),
            nn.Flatten(),
            nn.Linear(48 * 36, 10),
        ),
        (3, 16, 16),
    ),
}


def priced(name):
    torch.manual_seed(0)
    make, shape = NETS[name]
    net = make().eval()
    return net_latency(net, shape, FLOATS, "float32"), lower_floats(TracedGraph.of(net, shape))


@pytest.mark.parametrize("name", NETS)
def test_a_float_net_is_priced_as_the_compiled_net(name):
    price, lowered = priced(name)
    assert list(map(float, price.by_call().values())) == pytest.approx([FLOATS(float_work(c)) for c in lowered.calls])


def test_channels_that_meet_in_a_sum_have_one_width():
    assert priced("super-resolution")[0].widths == {"input": 3, "head": 16}  # the tail meets the image itself
    widths = priced("transformer")[0].widths
    assert widths == {
        "input": 3,
        "patches": 32,
        "blocks.0.qkv": 96,
        "blocks.0.mlp.0": 64,
        "blocks.1.qkv": 96,
        "blocks.1.mlp.0": 64,
        "head": 5,
    }
    assert priced("groups")[0].widths == {"input": 3, "0": 32, "3": 48, "5": 10}


@pytest.mark.parametrize("name", NETS)
def test_the_gradient_is_the_difference_over_blocks_of_16(name):
    price, _ = priced(name)
    for group, slope in price.gradient().items():
        width = price.widths[group]
        if width % 16 == 0 and not (name == "joined" and group == "b"):
            above, below = (float(price.expected({group: torch.tensor(width + step)})) for step in (16.0, -16.0))
            assert slope == pytest.approx((above - below) / 32, rel=0.05)
            assert slope > 0


def test_a_narrower_net_is_priced_as_the_net_of_those_widths():
    """Heads, too: half of the widths of queries, keys and values are half of the heads."""
    price, _ = priced("super-resolution")
    narrow = net_latency(SuperResolution(8, "nearest"), (3, 12, 14), FLOATS, "float32")
    assert float(price.expected({"head": torch.tensor(8.0)})) == pytest.approx(narrow.ms)
    whole, half = (net_latency(Heads(heads), (7, 32), FLOATS, "float32") for heads in (4, 2))
    assert float(whole.expected({"qkv": torch.tensor(96.0)})) == pytest.approx(half.ms, rel=1e-3)


def test_the_channels_and_heads_of_a_slimming_search_have_a_time():
    net = efficientformer()
    groups = [group for group in channel_groups(net, torch.zeros(1, 3, 64, 64)) if group.is_removable]
    whole = net_latency(net, (3, 64, 64), FLOATS, "float32")
    price = whole.over([group.writers[0].path for group in groups], [group.size for group in groups])
    widths = torch.tensor([float(group.size) for group in groups], requires_grad=True)
    ms = price.expected(widths)
    ms.backward()
    assert float(ms.detach()) == pytest.approx(whole.ms)
    assert (widths.grad > 0).all()
    halves = [group.size // 2 for group in groups]
    narrow = taken(net, [(group, torch.arange(half)) for group, half in zip(groups, halves, strict=True)])
    predicted = float(price.expected(torch.tensor(halves).double()))
    assert predicted == pytest.approx(net_latency(narrow, (3, 64, 64), FLOATS, "float32").ms, rel=1e-3)


class Heads(nn.Module):
    """Attention whose heads have 16 numbers each, however many there are."""

    def __init__(self, heads):
        super().__init__()
        self.qkv, self.out = nn.Linear(32, heads * 48), nn.Linear(heads * 16, 32)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (-1, 48)).transpose(1, 2).split((16, 16, 16), -1)
        return self.out(((q @ k.transpose(-2, -1)).softmax(-1) @ v).transpose(1, 2).flatten(2))


def test_half_of_the_blocks_cost_what_they_save():
    price, _ = priced("super-resolution")
    none, half, full = (float(price.expected(densities={"body": torch.tensor(share)})) for share in (0.0, 0.5, 1.0))
    assert none < half < full
    assert full - half == pytest.approx(half - none)
    net = SuperResolution(16, "nearest").eval()
    net.body.weight.data[:, 8:] = 0
    compiled = sum(FLOATS(float_work(call)) for call in lower_floats(TracedGraph.of(net, (3, 12, 14))).calls)
    assert compiled == pytest.approx(half)


def test_the_laws_of_integers_price_no_floats():
    with pytest.raises(ValueError, match="no law of 'border' here: take the latency of the net's numbers"):
        net_latency(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1)), (3, 8, 8), EXAMPLE, "float32").expected()


def test_random_float_nets_are_measured_and_fitted():
    rng = np.random.default_rng(2)
    nets = [random_float_net(rng) for _ in range(3)]
    nets.append(nets[0])  # the one that is not fitted
    _, timed = timings(nets, passes=1, rounds=3)
    latency = fitted("avx2", timed, {})
    assert latency.held_out["nets"] == 1
    for net in timed[:3]:
        assert all(latency(each) >= 0 for each, _ in net.calls)


def test_random_float_nets_have_layers_of_all_widths_and_sides():
    """Laws extrapolate poorly: each coefficient needs nets in which its amount matters."""
    rng = np.random.default_rng(0)
    calls = [call for _ in range(12) for call in random_float_net(rng).calls if isinstance(call, ConvolveFloats)]
    tall = [call for call in calls if call.window.offsets.size > 1]
    for layers in (calls, tall):
        widths = [call.writes.channels for call in layers]
        assert sum(width <= 32 for width in widths) >= 2 <= sum(width >= 64 for width in widths)
    assert any(call.writes.pixels <= 64 and call.writes.channels >= 64 for call in tall)


@pytest.mark.slow
def test_random_float_nets_call_every_kernel():
    rng = np.random.default_rng(0)
    kernels = {float_work(call).kernel for _ in range(calibration.NETS) for call in random_float_net(rng).calls}
    assert kernels >= set(FLOATS.ns)


@pytest.mark.parametrize("side", [1, 4, 5, 7, 8])
def test_tiles_go_across_the_ends_of_rows_and_few_pixels_behind_them_are_computed_one_by_one(side):
    net = nn.Sequential(nn.Conv2d(32, 64, 3, padding=1))
    (*_, call) = lower_floats(TracedGraph.of(net, (32, side, side))).calls
    work = float_work(call)
    tiles, single = {1: (0, 1), 4: (3, 0), 5: (4, 1), 7: (8, 1), 8: (11, 0)}[side]
    assert work.kernel == ("convolve" if side > 1 else "convolve one")
    expected = (tiles * 4, tiles * 4 * 288, single * 4, single * 4 * 288)
    assert side == 1 or work.features(6)[-4:] == expected
