"""Compression: on the grid, within its bytes, and finite where a row is pruned away."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import ADMM
from shared.training.loop import Schedule
from shared.weights.bytes import macs
from shared.weights.grid import fraction, grid_of, weight_grid
from shared.weights.packing import HEADER, compress_to_bytes, pack, packed_price, rounded, unpack
from shared.weights.task import ParameterTask
from wireless.ofdm.neural import DelayGate, NeuralEstimator
from wireless.ofdm.receiver.estimators import Observation
from wireless.ofdm.training.blocks import estimator_loss

QUICK = ADMM(rho=1e-3, steps=3, fine_tune=0)


def task(net, steps=5):
    schedule = Schedule(steps=steps, batch=32)

    def loss(forward, generator):
        return estimator_loss(forward, 64, generator)

    return ParameterTask(net, loss, torch.Generator().manual_seed(0), schedule, seed=1)


@pytest.fixture(scope="module")
def found():
    torch.manual_seed(0)
    net = DelayGate()
    return net, compress_to_bytes(task(net), 200, solver=QUICK, tuning=Schedule(steps=100, rate=1e-2))


def test_the_file_is_as_long_as_the_price_says_and_within_the_budget(found):
    net, it = found
    stated = packed_price(net, 4).measure(it.z) + HEADER * len(it.menu.parts)
    assert len(it.packed) == int(np.ceil(stated))
    assert len(it.packed) <= 200


def test_every_weight_is_on_the_grid_and_four_fifths_are_zero(found):
    _, it = found
    assert torch.equal(rounded(it.z, it.menu), it.z)
    assert it.sparsity >= 0.8
    assert all(len(rows.unique()) <= 16 for rows in torch.split(it.z, list(it.menu.blocks)))


def test_unpacking_gives_the_same_network(found):
    net, it = found
    assert torch.equal(unpack(it.packed, 4, net), it.z)


@pytest.mark.parametrize("length", [-1, -50])
def test_a_file_that_ends_early_is_refused(found, length):
    net, it = found
    with pytest.raises(ValueError, match=r"the packed network has \d+ bits; \d+ more are needed"):
        unpack(it.packed[:length], 4, net)


def test_a_file_that_is_too_long_is_refused(found):
    net, it = found
    with pytest.raises(ValueError, match="bits are left over"):
        unpack(it.packed + b"\0", 4, net)


@given(st.lists(st.integers(-8, 7), min_size=6, max_size=6), st.integers(-8, 15))
@settings(max_examples=50, deadline=None)
def test_pack_and_unpack_are_inverse(steps, point):
    net = torch.nn.Linear(2, 2)
    z = torch.tensor(steps).double()[:, None] / 2.0**point
    menu = grid_of([torch.full((2, 2), 7 / 2.0**point), torch.full((2,), 7 / 2.0**point)], 4)
    assert torch.equal(unpack(pack(z.float(), menu, net), 4, net), z.float())


def test_no_budget_below_bitmaps_and_biases():
    with pytest.raises(ValueError, match="the cheapest point of Product"):
        compress_to_bytes(task(DelayGate()), 100, solver=QUICK)


def test_a_row_that_is_pruned_away_stays_finite():
    net = DelayGate()
    with torch.no_grad():
        net.layers[0].weight.zero_()
        net.layers[0].bias.zero_()
    menu = weight_grid(net, 4)
    assert menu.parts[0].fraction == 0
    z = rounded(task(net).x, menu)
    torch.nn.utils.vector_to_parameters(z[:, 0], net.parameters())
    observation = Observation(np.ones((2, 52), np.complex64), np.array([0.1, 1e-6], np.float32))
    channel = NeuralEstimator.of(net).estimate(observation)
    assert np.isfinite(channel.h_hat).all()
    assert np.isfinite(channel.err_var).all()


def test_the_binary_point_is_the_nearest_of_all():
    values = torch.tensor([0.9, -0.3, 0.05])

    def error(f):
        return float(((values * 2.0**f).round().clamp(-8, 7) / 2.0**f - values).square().sum())

    assert error(fraction(values, 4)) == min(map(error, range(-8, 16)))


def test_training_through_the_grid_returns_points_on_it_and_keeps_zeros():
    net = DelayGate()
    menu, it = weight_grid(net, 4), task(net)
    there = it.x.abs() > it.x.abs().median()
    tuned = it.fit_on(lambda x: rounded(x, menu) * there, it.x, Schedule(steps=10))
    assert torch.equal(rounded(tuned, menu) * there, tuned)
    assert not torch.equal(tuned, rounded(it.x, menu) * there)


def test_frozen_weights_come_back_exactly():
    it = task(DelayGate())
    free = torch.zeros_like(it.x, dtype=torch.bool)
    free[:10] = True
    fitted = it.fit(it.x, it.x, 0.0, free)
    assert torch.equal(fitted[10:], it.x[10:])
    assert not torch.equal(fitted[:10], it.x[:10])


def test_the_loss_of_a_point_is_the_same_every_time():
    it = task(DelayGate())
    assert it.loss(it.x) == it.loss(it.x)


def test_macs_count_weights_that_are_there():
    assert macs((3, 5)).measure(torch.tensor([[0.0], [0.5]])) == 5
