"""Structured pruning: within its MACs, the same function in smaller matrices, and nothing breaks where all units go."""

import numpy as np
import pytest
import torch

from shared import ADMM
from shared.training.loop import Schedule
from shared.weights.grid import weight_grid
from shared.weights.packing import pack, packed_price, prunable, rounded, unpack
from wireless.ofdm.channel.models import ExponentialFading
from wireless.ofdm.compression.structured import present, prune_units, unit_macs, unit_task, without_units
from wireless.ofdm.link.simulation import Link
from wireless.ofdm.neural import ContextNet, DelayGate, NeuralDemapper, NeuralEstimator, SyndromeNet
from wireless.ofdm.neural.decoder import features, targets
from wireless.ofdm.training.blocks import estimator_loss, noisy_code

QUICK = ADMM(rho=1e-2, steps=2, fine_tune=1)


def seeded(build, seed=0):
    torch.manual_seed(seed)
    net = build()
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return net


def rows(net, draw, steps=2):
    return unit_task(net, draw, torch.Generator().manual_seed(0), Schedule(steps=steps, batch=16))


def gate_task(net):
    return rows(net, lambda f, g: estimator_loss(f, 8, g), steps=1)


def decoder_draw(net, g):
    llr, wrong = noisy_code(4, 6.0, g)
    return torch.nn.functional.binary_cross_entropy_with_logits(net(features(llr)), targets(wrong))


@pytest.mark.parametrize("build", [DelayGate, lambda: DelayGate((8, 6)), ContextNet, SyndromeNet])
def test_a_point_is_the_network(build):
    net = seeded(build)
    task = rows(net, None)
    back = task.parameters(task.x)
    assert list(back) == [name for name, _ in net.named_parameters()]
    assert all(torch.equal(back[name], p) for name, p in net.named_parameters())


@pytest.mark.parametrize("share", [0.5, 0.25])
def test_the_units_that_are_left_cost_no_more_than_their_share(share):
    net, gone = prune_units(gate_task(seeded(DelayGate)), share, QUICK)
    kept = int((net.layers[0].weight != 0).any(1).sum())
    assert kept == 24 * share
    assert gone == (24 - kept) * (17 + 16)
    small = without_units(net)
    assert small.layers[0].weight.shape == (kept, 17)
    assert present(small) == 17 * kept + kept + 16 * kept + 16


@pytest.mark.parametrize("hidden", [(24,), (12, 9)])
def test_smaller_matrices_are_the_same_function(hidden):
    net = seeded(lambda: DelayGate(hidden))
    with torch.no_grad():
        for layer in net.layers[:-1]:
            layer.weight[::3] = 0
    t, noise = torch.randn(5, 16, dtype=torch.complex64), torch.rand(5) + 0.1
    before = net(t, noise)
    torch.testing.assert_close(without_units(net)(t, noise), before)
    assert len(net.layers[0].weight) < hidden[0]


def test_a_demapper_without_some_units_is_the_same_function():
    net = seeded(ContextNet)
    with torch.no_grad():
        net.doubt[0][0].weight[:5] = 0
        net.doubt[1][0].weight[:] = 0
    y, h = torch.randn(2, 3, 48, dtype=torch.complex64), torch.randn(2, 1, 48, dtype=torch.complex64)
    noise = torch.full((2, 48), 0.1)
    before = net(y, h, noise, 4)
    torch.testing.assert_close(without_units(net)(y, h, noise, 4), before)
    assert [len(mlp[0].weight) for mlp in net.doubt] == [11, 0]


def test_channels_of_the_decoder_go_and_the_others_are_trained():
    net = seeded(lambda: SyndromeNet(width=8, depth=2, kernel=3))
    pruned, gone = prune_units(rows(net, decoder_draw), 0.5, QUICK)
    there = torch.cat([(layer.weight != 0).flatten(1).any(1) for layer in pruned.middle])
    assert (int(there.sum()), gone) == (8, 8 * 24)
    assert present(pruned) == sum(p.numel() for p in net.parameters()) - 8 * 24
    assert not torch.equal(pruned.middle[0].weight[there[:8]], net.middle[0].weight[there[:8]])


def test_with_every_unit_gone_estimates_and_files_stay_finite():
    """A fully pruned row has no scale: nothing may be divided by it."""
    net, _ = prune_units(gate_task(seeded(DelayGate)), 0.0, QUICK)
    small, menu = without_units(net), weight_grid(without_units(net), 4)
    assert small.layers[0].weight.shape == (0, 17)
    z = rounded(torch.cat([p.detach().flatten() for p in small.parameters()])[:, None], menu)
    assert torch.equal(unpack(pack(z, menu, small), 4, small), z)
    torch.nn.utils.vector_to_parameters(z[:, 0], small.parameters())
    observation = Link(ExponentialFading()).packets(10.0, 3, np.random.default_rng(0)).observation
    channel = NeuralEstimator.of(small).estimate(observation)
    assert np.isfinite(channel.h_hat).all()
    assert np.isfinite(channel.err_var).all()


@pytest.mark.parametrize("build", [ContextNet, lambda: SyndromeNet(width=4, depth=1)])
@pytest.mark.parametrize("word", [4, 6])
def test_every_block_survives_packing(build, word):
    net = seeded(build)
    menu = weight_grid(net, word)
    z = rounded(torch.cat([p.detach().flatten() for p in net.parameters()])[:, None], menu)
    z[::3] *= 0
    packed = pack(z, menu, net)
    assert torch.equal(unpack(packed, word, net), z)
    assert len(packed) == int(np.ceil(packed_price(net, word).measure(z))) + len(menu.parts)


def test_bitmaps_cover_the_weights_of_layers_alone():
    """A gain or a filter that is not learned to be zero is never worth a bit to say so."""
    for net, count in ((DelayGate(), 792), (ContextNet(), 192), (SyndromeNet(), 37824)):
        assert sum(p.numel() for p, covered in zip(net.parameters(), prunable(net), strict=True) if covered) == count


def test_a_demapper_whose_judges_are_pruned_away_still_gives_finite_llrs(rng):
    net = seeded(ContextNet)
    with torch.no_grad():
        net.smooth.fill_(0.2)
        for p in net.doubt.parameters():
            p.zero_()
    menu = weight_grid(net, 4)
    z = rounded(torch.cat([p.detach().flatten() for p in net.parameters()])[:, None], menu)
    torch.nn.utils.vector_to_parameters(z[:, 0], net.parameters())
    y = (rng.normal(size=(2, 4, 48)) + 1j).astype(np.complex64)
    llr = NeuralDemapper(net).demap(y, np.ones((2, 48), np.complex64), np.full((2, 48), 0.1, np.float32), 6)
    assert np.isfinite(llr).all()


def test_what_has_no_units_is_refused():
    with pytest.raises(
        ValueError, match="Linear has no units to prune: needs a DelayGate, a ContextNet or a SyndromeN"
    ):
        unit_macs(torch.nn.Linear(2, 2))


def test_a_share_must_be_one():
    with pytest.raises(ValueError, match=r"share=1\.5 of the MACs: must be between 0 and 1"):
        prune_units(gate_task(seeded(DelayGate)), 1.5)
