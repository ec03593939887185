"""Blocks that are dropped without training: least squares, so no other weights at those places are better."""

import pytest
import torch
from torch import nn

from shared.weights.refit import refitted


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 12, 1), nn.ReLU(), nn.Conv2d(12, 6, 1, bias=False)
    )


X = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def fitted(share: float) -> nn.Module:
    return refitted(net(), X, share, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_a_share_of_the_blocks_of_every_pointwise_layer_is_zero(share):
    after = fitted(share)
    for place in (2, 4):
        blocks = after[place].weight.detach().flatten(1).unflatten(1, (-1, 4))
        dropped = (blocks == 0).all(2)
        assert int(dropped.sum()) == round(share * dropped.numel())
        assert not (blocks[~dropped] == 0).any()
    assert torch.equal(after[0].weight, net()[0].weight)


def test_nothing_dropped_changes_nothing():
    with torch.no_grad():
        assert torch.allclose(fitted(0.0)(X), net()(X), atol=1e-4)


def test_the_fit_is_closer_than_the_same_blocks_dropped_from_the_weights_as_they_were():
    after, dropped = fitted(0.5), net()
    with torch.no_grad():
        for place in (2, 4):
            dropped[place].weight.mul_(after[place].weight != 0)
        exact = net()(X)
        assert (after(X) - exact).norm() < 0.8 * (dropped(X) - exact).norm()


def test_no_step_from_the_fitted_weights_is_closer():
    """Of the first layer, on all positions and but for the ridge."""
    after = fitted(0.5)
    with torch.no_grad():
        y, a = net()[:3](X), after[:2](X)
        least = (after[2](a) - y).square().sum()
        for seed in range(20):
            step = torch.randn(after[2].weight.shape, generator=torch.Generator().manual_seed(seed))
            step *= 0.1 * (after[2].weight != 0)
            moved = nn.functional.conv2d(a, after[2].weight + step, after[2].bias)
            assert (moved - y).square().sum() > least


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_shares_that_are_none_are_refused(share):
    with pytest.raises(ValueError, match="share="):
        fitted(share)


def test_the_blocks_that_add_least_to_the_outputs_go():
    """Of the first layer, whose inputs no fit has changed."""
    before, after = net(), fitted(0.5)
    with torch.no_grad():
        squares = before[:2](X).square().mean((0, 2, 3))
        added = (before[2].weight.flatten(1).square() * squares).unflatten(1, (-1, 4)).sum(2)
        kept = (after[2].weight.flatten(1).unflatten(1, (-1, 4)) != 0).any(2)
    assert added[kept].min() > added[~kept].max()
