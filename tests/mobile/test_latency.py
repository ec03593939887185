"""The predicted time is the law of the calls that are compiled; its gradient is that of its finite differences."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from mobile.lowering.formats import FORMATS
from mobile.lowering.lower import lower
from mobile.lowering.work import work
from mobile.pricing.calibration import fitted, timings
from mobile.pricing.example import EXAMPLE
from mobile.pricing.latency import Latency
from mobile.pricing.law import fit
from mobile.pricing.net import net_latency
from mobile.pricing.nets import random_net
from shared.core.table import stated
from shared.core.testing import check_price
from shared.f8net.convert import from_torch
from shared.integer import AbstractWeighted, Constant, Program
from shared.weights.channels import channel_groups


class Shortcut(nn.Module):
    """`body(x) + around(x)`, with an activation behind or without."""

    def __init__(self, body, around=None, behind=None):
        super().__init__()
        self.body, self.around, self.behind = body, around or nn.Identity(), behind or nn.Identity()

    def forward(self, x):
        return self.behind(self.body(x) + self.around(x))


def convolution(inputs, outputs, kernel=3, stride=1, groups=1, relu=True):
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), *([nn.ReLU()] if relu else []))


def inverted(channels):
    """The block of MobileNetV2: its sum is read as it is by the next sum, and rounded by the next layer."""
    wide = 4 * channels
    body = nn.Sequential(convolution(channels, wide, 1), convolution(wide, wide, 3, 1, wide))
    return Shortcut(nn.Sequential(body, convolution(wide, channels, 1, relu=False)))


class Enlarger(nn.Module):
    """The image is repeated by an addition, or enlarged and added."""

    def __init__(self, early):
        super().__init__()
        body = (nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 12, 3, padding=1), nn.ReLU())
        self.body, self.early = nn.Sequential(*body, nn.Conv2d(12, 4, 3, padding=1)), early

    def forward(self, x):
        if self.early:
            return functional.pixel_shuffle(self.body(x) + x, 2)
        return functional.pixel_shuffle(self.body(x), 2) + functional.interpolate(x, scale_factor=2.0)


NETS = {
    "enlarger": (Enlarger(early=True), (1, 8, 9)),
    "enlarger with an anchor": (Enlarger(early=False), (1, 8, 9)),
    "residual": (
        nn.Sequential(
            convolution(3, 16),
            Shortcut(nn.Sequential(convolution(16, 16), convolution(16, 16, relu=False)), behind=nn.ReLU()),
            Shortcut(
                nn.Sequential(convolution(16, 24, stride=2), convolution(24, 24, relu=False)),
                convolution(16, 24, 1, 2, relu=False),
                nn.ReLU(),
            ),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(24, 10),
        ),
        (3, 16, 16),
    ),
    "mobile": (
        nn.Sequential(
            convolution(3, 8, stride=2),
            convolution(8, 8, 3, 1, 8),
            convolution(8, 12, 1, relu=False),
            inverted(12),
            inverted(12),
            convolution(12, 40, 1),
            nn.AvgPool2d(8),
            nn.Flatten(),
            nn.Linear(40, 7),
        ),
        (3, 16, 16),
    ),
    "flattened": (
        nn.Sequential(
            nn.Conv1d(2, 8, 5),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Flatten(),
            nn.Linear(8 * 6, 20),
            nn.ReLU(),
            nn.Linear(20, 3),
        ),
        (2, 16),
    ),
}
"""Of each: a net, and the shape of its input."""


def priced(name, latency=EXAMPLE):
    net, shape = NETS[name]
    return net_latency(net, shape, latency)


def halved(program):
    """The program with weights so narrow that none is split."""
    operations = [
        replace(each, weight=Constant(each.weight.integers // 2, each.weight.format))
        if isinstance(each, AbstractWeighted)
        else each
        for each in program.operations
    ]
    return Program(program.inputs, tuple(operations), program.outputs)


@pytest.mark.parametrize("name", NETS)
def test_a_net_without_weights_is_priced_as_the_compiled_net(name):
    net, shape = NETS[name]
    x = torch.rand(8, *shape, generator=torch.Generator().manual_seed(0)) - 0.5
    lowered = lower(halved(from_torch(net.eval(), shape, "s8.7", x)), format="dense")
    formats = {layer: torch.tensor([1.0, 0.0, 0.0]) for layer in (call.layer for call in priced(name).calls)}
    predicted = list(priced(name).by_call(choices=formats).values())
    expected = [EXAMPLE(work(call)) for call in lowered.calls]
    assert sorted(map(float, predicted)) == pytest.approx(sorted(expected))


def test_channels_that_meet_in_a_sum_or_a_depthwise_layer_have_one_width():
    assert priced("residual").widths == {
        "input": 3,
        "0.0": 16,
        "1.body.0.0": 16,
        "2.body.0.0": 24,
        "2.body.1.0": 24,
        "5": 10,
    }
    widths = {"input": 3, "0.0": 8, "2.0": 12, "3.body.0.0.0": 48, "4.body.0.0.0": 48, "5.0": 40, "8": 7}
    assert priced("mobile").widths == widths


@pytest.mark.parametrize("name", NETS)
def test_the_gradient_is_the_difference_over_two_tile_steps(name):
    net = priced(name)
    for group, slope in net.gradient().items():
        above, below = (float(net.expected({group: torch.tensor(net.widths[group] + step)})) for step in (4.0, -4.0))
        if net.widths[group] % 4 == 0:
            assert slope == pytest.approx((above - below) / 8, rel=0.02)


@pytest.mark.parametrize("name", NETS)
def test_wider_and_denser_is_never_faster(name):
    net = priced(name)
    for group, width in net.widths.items():
        times = [float(net.expected({group: torch.tensor(float(w))})) for w in range(1, width + 5)]
        assert times == sorted(times)
    for call in net.calls:
        times = [float(net.expected(densities={call.layer: torch.tensor(share)})) for share in (0.0, 0.1, 0.5, 1.0)]
        assert times == sorted(times)


def test_a_net_is_the_sum_of_its_calls_and_a_choice_averages_its_formats():
    net = priced("residual")
    layer = next(call.layer for call in net.calls if len(call.groups) == 2)
    share = {layer: torch.tensor(0.3)}
    each = [net.expected(densities=share, choices={layer: one}) for one in torch.eye(3)]
    mixed = torch.tensor([0.2, 0.5, 0.3], requires_grad=True)
    total = net.expected(densities=share, choices={layer: mixed})
    total.backward()
    total = total.detach()
    assert float(total) == pytest.approx(float(torch.stack(each) @ mixed.detach().double()))
    assert (mixed.grad[1] - mixed.grad[0]).item() == pytest.approx(float(each[1] - each[0]), rel=1e-5)
    assert float(net.expected(densities=share)) == pytest.approx(float(min(each)))
    assert float(total) == pytest.approx(
        float(sum(net.by_call(densities=share, choices={layer: mixed.detach()}).values()))
    )


@pytest.mark.parametrize("name", NETS)
def test_the_price_of_widths_is_a_price_of_the_core(name):
    net = priced(name)
    price = net.price(stated)
    full = torch.tensor([[float(width)] for width in net.widths.values()])
    assert price.measure(full) == pytest.approx(net.ms)
    check_price(price, full)
    narrow = (full / 2 / 4).ceil() * 4
    narrow = torch.minimum(narrow, full)
    assert price.measure(narrow) == pytest.approx(float(net.expected(dict(zip(net.widths, narrow[:, 0], strict=True)))))


def test_half_of_the_blocks_save_half_of_what_they_all_cost():
    net = priced("residual")
    sparse = {"1.body.0.0": torch.tensor([0.0, 1.0, 0.0])}
    none, half, full = (
        float(net.expected(densities={"1.body.0.0": torch.tensor(share)}, choices=sparse)) for share in (0.0, 0.5, 1.0)
    )
    assert none < half < full
    assert full - half == pytest.approx(half - none)


def test_the_channels_of_a_search_have_a_time_with_a_gradient():
    net, shape = NETS["residual"]
    groups = [group for group in channel_groups(net, torch.zeros(1, *shape)) if group.is_removable]
    price = priced("residual").over([group.writers[0].path for group in groups])
    widths = torch.tensor([float(group.size) for group in groups], requires_grad=True)
    ms = price.expected(widths)
    assert float(ms.detach()) == pytest.approx(priced("residual").ms)
    ms.backward()
    assert (widths.grad > 0).all()
    assert len(set(price.groups)) == len(groups)
    with pytest.raises(ValueError, match="'nothing' writes no channels: it must be one of input"):
        priced("residual").over(["nothing"])


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3, dilation=2)), "Conv2d '0' has no kernel of 8-bit integers: pad with zeros"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU()), "GELU '1' has no kernel"),
        (nn.Sequential(nn.Linear(8, 4)), "Linear '0' has no kernel of 8-bit integers: flatten its input first"),
    ],
)
def test_what_has_no_kernel_is_named(net, message):
    with pytest.raises(ValueError, match=message):
        net_latency(net, (3, 8, 8), EXAMPLE)


def test_the_fit_finds_the_law_and_no_coefficient_is_negative():
    rng = np.random.default_rng(0)
    law = np.array([30.0, 2.0, 0.0, 0.5])
    rows = [(x := np.array([1.0, *rng.uniform(0, 1000, 3)]), float(x @ law)) for _ in range(40)]
    assert fit(rows) == pytest.approx(tuple(law), rel=1e-3, abs=1e-3)
    opposed = [((1.0, float(x)), 10.0 - 0.01 * x) for x in range(100)]
    assert min(fit(opposed)) >= 0


def test_random_nets_are_measured_and_fitted():
    rng = np.random.default_rng(2)
    nets = [lower(random_net(rng), format=format) for format in (*FORMATS, "dense")]
    instructions, timed = timings(nets, passes=1, rounds=3)
    latency = fitted(instructions, timed, {})
    assert Latency.from_json(latency.to_json()) == latency
    assert latency.held_out["nets"] == 1
    for net in timed:
        assert sum(ms for _, ms in net.calls) == pytest.approx(net.ms, rel=0.9)
        assert all(latency(each) >= 0 for each, _ in net.calls)
    with pytest.raises(ValueError, match="not a fitted latency"):
        Latency.from_json('{"instructions": "avx2"}')
