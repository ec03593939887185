"""Super-resolution in 8-bit integers: the program is the trained net, pixels keep their bits, blocks stay dropped."""

import numpy as np
import pytest
import torch
from torch import nn

from shared.integer import AbstractWeighted, outputs
from shared.training.loop import seeded
from vision.superres.integers import LEVEL, InLevels, drop_blocks, enlarging_program, fixed_net
from vision.superres.nets import PlainNet
from vision.superres.patches import pair
from vision.superres.pretrained import SCALES, pretrained
from vision.superres.sources import generated
from vision.superres.training import enlarged, epoch_of, quality, trainer
from vision.superres.upscaler import plain_net


def pairs(scale, part="train"):
    return [pair(name, pixels, scale) for name, pixels in getattr(generated(seed=5, train=12), part).items()]


def lumas(scale, count=24, size=16):
    batches = epoch_of(pairs(scale), scale, size, 2, torch.Generator().manual_seed(0))
    return torch.cat([x for x, _ in batches])[:count]


@pytest.fixture(scope="module")
def net():
    net = seeded(lambda: PlainNet(2, 8, 2), torch.Generator().manual_seed(1))
    nn.init.normal_(net.body.tail.weight, std=0.05, generator=torch.Generator().manual_seed(2))
    return plain_net(net)


@pytest.mark.parametrize("plane", [(16, 16), (7, 11)])
def test_the_program_is_the_net_in_fixed_point_rounded_to_levels(net, plane):
    fixed = fixed_net(net, lumas(2)).double().eval()
    program = enlarging_program(fixed, plane)
    levels = np.random.default_rng(0).integers(0, 256, (3, 1, *plane))
    [result] = outputs(program, levels)
    with torch.no_grad():
        expected = InLevels(fixed)(torch.from_numpy(levels) / 255) * 255
    assert result.shape == (3, 1, 2 * plane[0], 2 * plane[1])
    assert np.array_equal(result, np.rint(expected.numpy()).clip(0, 255))


def test_a_net_that_adds_nothing_leaves_every_level_as_it_is():
    fixed = fixed_net(plain_net(PlainNet(2, 4, 1)), lumas(2)).eval()
    levels = np.arange(256).reshape(1, 1, 16, 16)
    [result] = outputs(enlarging_program(fixed, (16, 16)), levels)
    assert np.array_equal(result, levels.repeat(2, 2).repeat(2, 3))


@pytest.mark.parametrize("scale", SCALES)
def test_calibration_alone_costs_the_net_that_ships_a_tenth_of_a_decibel(scale):
    """On pictures that it was not trained on; by the rule of F8Net it would be five decibels."""
    tested, net = pairs(scale, "test"), pretrained(scale).net
    before = np.mean(quality(net, tested, scale)["psnr"])
    after = np.mean(quality(InLevels(fixed_net(net, lumas(scale)).eval()), tested, scale)["psnr"])
    assert after > before - 0.3


def test_levels_are_those_of_luma_in_the_unit_interval(net):
    x = lumas(2)[:4]
    fixed = fixed_net(net, x).eval()
    with fixed._exactly(), torch.no_grad():
        exact = fixed._walk(x * LEVEL)[fixed.output] / LEVEL
    torch.testing.assert_close(exact, net(x).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kept", [0.25, 0.6])
def test_the_blocks_of_least_norm_are_dropped_and_stay_so_in_training(net, kept):
    plain = plain_net(PlainNet(2, 8, 2))
    plain.load_state_dict(net.state_dict())
    weights = [layer.weight.detach().clone() for layer in plain.body.modules() if isinstance(layer, nn.Conv2d)][1:-1]
    blocks = [weight.reshape(4, 2, 2, 4, 9).square().sum((1, 3)).flatten() for weight in weights]
    least = torch.cat(blocks).sort(descending=True).values[round(kept * 2 * 72) - 1]
    drop_blocks(plain, kept)
    fixed = fixed_net(plain, lumas(2))
    training = trainer(InLevels(fixed), 1, 1e-3)
    training.run_epoch(epoch_of(pairs(2), 2, 12, 3, torch.Generator().manual_seed(0)))
    program = enlarging_program(fixed.eval(), (8, 8))
    layers = [each.weight.integers for each in program.operations if isinstance(each, AbstractWeighted)][1:-2]
    for layer, norms in zip(layers, blocks, strict=True):
        zeros = (layer.reshape(4, 2, 2, 4, 9) == 0).all((1, 3)).flatten()
        assert zeros[norms < least].all()
        assert not zeros[norms >= least].all()


def test_what_is_compared_is_rounded_like_the_program(net):
    [example, *_] = pairs(2, "test")
    fixed = fixed_net(net, lumas(2)).eval()
    levels = np.rint(example.small)[None, None].astype(np.int64)
    [result] = outputs(enlarging_program(fixed, example.small.shape), levels)
    assert (enlarged(InLevels(fixed), example, 2) == result[0, 0]).mean() > 0.999
