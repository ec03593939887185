"""A net compressed for milliseconds: what was dropped stays zero in the library, and the time is what was asked for."""

import copy

import pytest
import torch
from torch import nn

from mobile.build.compress_for import balanced, compress_for
from mobile.lowering.formats import blocks, share
from mobile.pricing.blocks import block_milliseconds
from mobile.pricing.example import EXAMPLE
from mobile.pricing.net import net_latency
from shared.integer import AbstractWeighted, outputs
from shared.integer.format import Format
from shared.training.loop import Schedule, descend
from vision.data.shapes import shapes

INPUT, SHAPE = Format(8, 7), (3, 16, 16)
SHORT = Schedule(steps=30, batch=64, rate=2e-3)


def convolution(inputs, outputs, stride, groups=1):
    layer = nn.Conv2d(inputs, outputs, 3, stride, 1, groups=groups, bias=False)
    return [layer, nn.BatchNorm2d(outputs), nn.ReLU()]


@pytest.fixture(scope="module")
def trained():
    """A small net, and the filled and outlined shapes that it was trained on."""
    images = shapes(train=60, test=1).train
    x, y = torch.from_numpy(images.pixels[:, ::2, ::2]).permute(0, 3, 1, 2) / 128 - 1, torch.from_numpy(images.labels)
    torch.manual_seed(0)
    net = nn.Sequential(
        *convolution(3, 8, 2),
        *convolution(8, 8, 1, 8),
        *convolution(8, 32, 2),
        *convolution(32, 32, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )
    generator = torch.Generator().manual_seed(0)

    def loss():
        picked = torch.randint(len(x), (64,), generator=generator)
        return nn.functional.cross_entropy(net(x[picked]), y[picked])

    descend(list(net.parameters()), loss, Schedule(steps=80, batch=64, rate=5e-3))
    return net.eval(), (x, y)


def compressed(trained, ms):
    net, data = trained
    options = {"search": SHORT, "tuning": SHORT}
    return compress_for(net, data, ms=ms, input=INPUT, latency=EXAMPLE, **options)


def test_the_library_takes_the_milliseconds_and_keeps_the_zeros(trained):
    net, (x, y) = trained
    priced = block_milliseconds(net, SHAPE, EXAMPLE)
    ms = (priced.least_ms + priced.dense_ms) / 2
    result = compressed(trained, ms)
    assert result.predicted_ms == pytest.approx(ms, rel=0.05)  # less single blocks
    assert result.dense_ms == priced.dense_ms
    assert result.compiled.net.instructions in {check.instructions for check in result.compiled.checks}
    kept = {layer.name: layer for layer in result.layers}
    weighted = [each for each in result.compiled.net.program.operations if isinstance(each, AbstractWeighted)]
    assert [each.output for each in weighted] == list(kept)
    for each in weighted:
        assert kept[each.output].kept == pytest.approx((each.weight.integers != 0).mean())
    widest = weighted[-2].weight.integers
    assert share(blocks(widest), "2x4") < 1
    assert kept[weighted[-2].output].format == "2x4"
    [expected] = outputs(result.compiled.net.program, INPUT.to_integers(x.numpy()))
    right = (expected.reshape(len(x), -1).argmax(1) == y.numpy()).mean()
    assert result.accuracy["compiled"] == pytest.approx(right)
    assert right > 0.3  # chance is 0.1
    text = str(result)
    assert f"{ms:.4g} asked for" in text
    assert "accuracy on 540 examples of training: dense floats" in text


def test_layers_in_groups_and_those_that_are_named_stay_dense_and_are_not_priced(trained):
    net, _ = trained
    price = block_milliseconds(net, SHAPE, EXAMPLE, {"0": "as asked"})
    assert price.dense == {"0": "as asked", "3": "it has groups"}
    assert set(price.added_ms) == {"6", "9", "14"}
    costs = price.number_costs(net, (), None)
    assert float(costs.sum()) == pytest.approx(sum(price.added_ms.values()), rel=1e-5)
    assert price.least_ms < price.dense_ms


def test_where_so_many_blocks_are_kept_the_dense_kernel_takes_as_long(trained):
    net, _ = trained
    price, priced = block_milliseconds(net, SHAPE, EXAMPLE), net_latency(net, SHAPE, EXAMPLE)
    assert priced.ms == price.dense_ms
    for layer, most in price.dense_at.items():
        sparse, dense = (
            float(priced.expected(densities={layer: torch.tensor(kept)}, choices={layer: torch.tensor(choice)}))
            for kept, choice in ((most, [0.0, 1.0, 0.0]), (1.0, [1.0, 0.0, 0.0]))
        )
        assert sparse == pytest.approx(dense)
    nothing = {layer: torch.tensor(0.0) for layer in price.added_ms}
    sparse = {layer: torch.tensor([0.0, 1.0, 0.0]) for layer in price.added_ms}
    assert float(priced.expected(densities=nothing, choices=sparse)) == pytest.approx(price.least_ms)


def test_the_scale_of_a_layer_before_a_batch_norm_decides_nothing(trained):
    """The norm undoes it, so it says nothing of which blocks of the net matter."""
    net, (x, _) = trained
    scaled = copy.deepcopy(net)
    layer, norm = scaled[6], scaled[7]
    with torch.no_grad():
        layer.weight *= 10
        norm.running_mean *= 10
        norm.running_var *= 100
        norm.eps *= 100
    ours, theirs = (balanced(copy.deepcopy(each), SHAPE) for each in (net, scaled))
    with torch.no_grad():
        assert torch.allclose(ours(x), net(x), rtol=1e-3, atol=1e-4)
        assert torch.allclose(theirs(x), net(x), rtol=1e-3, atol=1e-4)
    norms = [float(each[place].weight.detach().norm()) for each in (ours, theirs) for place in (0, 3, 6, 9)]
    assert norms[:4] == pytest.approx([norms[0]] * 4)
    assert norms[4:] == pytest.approx([norms[4]] * 4)
    assert torch.equal(ours[14].weight, net[14].weight)


def test_a_weight_that_is_computed_keeps_its_scale(trained):
    net, (x, _) = trained
    net = copy.deepcopy(net)
    nn.utils.parametrize.register_parametrization(net[6], "weight", nn.Identity())
    with torch.no_grad():
        expected = net(x)
        assert torch.allclose(balanced(net, SHAPE)(x), expected, rtol=1e-3, atol=1e-4)


def test_a_time_that_the_net_never_reaches_says_so(trained):
    with pytest.raises(ValueError, match=r"ms=1e-05: without any block the net takes .* ms: narrow it first"):
        compressed(trained, 1e-5)
    net, (x, y) = trained
    with pytest.raises(ValueError, match=r"class numbers \(n,\) are needed"):
        compress_for(net, (x, y.float()), ms=1.0, input=INPUT, latency=EXAMPLE)


def test_nothing_is_dropped_where_there_is_time_enough(trained):
    result = compressed(trained, 1e3)
    assert result.compressed is None
    assert {layer.format for layer in result.layers} == {"dense"}
