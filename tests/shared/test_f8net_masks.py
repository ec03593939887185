"""Masked weights stay zero, and binary points follow the others."""

import numpy as np
import pytest
import torch
from fixed_nets import S8, U8, Image, Mlp, Residual, batch, same
from torch import nn

from shared.f8net import F8Net, fix_quant, keep_zeros
from shared.f8net.spreads import spread
from shared.integer import AbstractWeighted
from shared.integer.format import Format, fraction_for


def test_pruned_weights_stay_zero_integers_while_the_others_train():
    net = Residual()
    mask = torch.rand(net.down.weight.shape, generator=torch.Generator().manual_seed(0)) < 0.3
    keep_zeros(net.down, mask)
    net = F8Net(net, shape=Residual.shape, input=S8)
    for seed in range(5):
        net(batch(Residual, 20, seed)).square().sum().backward()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter -= 1e-4 * parameter.grad
                parameter.grad = None
    down = next(step for step in same(net, Residual, 200).operations if step.output == "down")
    assert not down.weight.integers[mask.numpy() == 0].any()
    assert 0 < np.count_nonzero(down.weight.integers) <= mask.sum()


@pytest.mark.parametrize("kind", [Mlp, Residual, Image])
def test_every_layer_may_be_masked(kind):
    torch.manual_seed(0)
    net = kind()
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            keep_zeros(layer, torch.rand_like(layer.weight) < 0.7)
    fixed = F8Net(net, shape=kind.shape, input=kind.format).calibrate(batch(kind, 64))
    program = same(fixed, kind, 50)
    weights = [each.weight.integers for each in program.operations if isinstance(each, AbstractWeighted)]
    assert all((weight == 0).any() for weight in weights)


def test_zeros_of_a_sparse_net_leave_the_binary_points_of_its_weights_alone():
    torch.manual_seed(0)
    dense = nn.Linear(8, 16, bias=False)
    sparse = nn.Linear(128, 16, bias=False)
    with torch.no_grad():
        sparse.weight.zero_()[:, ::16] = dense.weight
    fractions = [
        F8Net(nn.Sequential(layer), shape=(layer.in_features,), input=Format(8, 7), sparse=is_sparse)
        .calibrate(torch.rand(4, layer.in_features))
        .program()
        .operations[0]
        .weight.format.fraction
        for layer, is_sparse in ((dense, False), (sparse, True), (sparse, False))
    ]
    assert fractions[0] == fractions[1] == fractions[2] - 2  # a spread of a quarter


@pytest.mark.parametrize("word", [4, 8])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("power", [0.5, 1, 3])  # of a Gaussian: short tails, its own, long ones
def test_fraction_bits_of_the_least_error_are_those_of_all(power, signed, word):
    x = torch.randn(5000, generator=torch.Generator().manual_seed(0))
    x = x.sign() * x.abs() ** power / 10
    wanted = x if signed else x.relu()
    errors = {n: float((fix_quant(x, Format(word, n, signed)) - wanted).square().sum()) for n in range(-4, 16)}
    assert fraction_for(spread(x, word, signed=signed, fit="error"), word, signed=signed) == min(errors, key=errors.get)


def test_one_large_weight_among_small_ones_saturates_unless_errors_count():
    """The identity of a residual block, merged into its convolution."""
    torch.manual_seed(0)
    layers = [layer for _ in range(4) for layer in (nn.Conv1d(24, 24, 3, padding=1), nn.ReLU())]
    net = nn.Sequential(*layers)
    with torch.no_grad():
        for layer in net[::2]:
            nn.init.normal_(layer.weight, std=0.03)
            layer.weight[:, :, 1] += torch.eye(24)
    x = torch.randn(50, 24, 20).abs() / 4
    lost = {}
    for fit in ("spread", "error"):
        fixed = F8Net(net, shape=(24, 20), input=U8, fit=fit).calibrate(x).eval()
        lost[fit] = float((fixed(x) - net(x)).detach().square().mean().sqrt() / net(x).detach().std())
    assert 4 * lost["error"] < lost["spread"], lost


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"mask of shape \(2,\).* weight of shape \(3, 2\)"):
        keep_zeros(nn.Linear(2, 3), torch.ones(2, dtype=torch.bool))
