"""Demappers give the log-likelihood ratio of each bit: exactly, by its largest terms, or its sign."""

import numpy as np
import pytest

from wireless.ofdm.phy.constellation import modulate, points
from wireless.ofdm.receiver.demappers import Exact, Hard, MaxLog

MODULATIONS = (1, 2, 4, 6)
SHAPE = (3, 4, 48)


def received(rng, bits, noise=0.2):
    """Noisy points through a channel, with noise that differs between subcarriers."""
    sent = modulate(rng.integers(0, 2, (*SHAPE[:2], SHAPE[2] * bits)).astype(np.uint8), bits)
    h = (rng.normal(size=(3, 48)) + 1j * rng.normal(size=(3, 48))).astype(np.complex64)
    variance = (noise * rng.uniform(0.5, 2, (3, 48))).astype(np.float32)
    w = np.sqrt(variance / 2)[:, None] * (rng.normal(size=SHAPE) + 1j * rng.normal(size=SHAPE))
    return (h[:, None] * sent + w).astype(np.complex64), h, variance


def likelihoods(y, h, noise, bits):
    """log p(y | x) for every point x: (batch, symbols, D, 2**bits)."""
    return -(np.abs(y[..., None] - h[:, None, :, None] * points(bits)) ** 2) / noise[:, None, :, None]


def ratios(likelihood, bits, pool):
    labels = np.arange(2**bits)
    one = [(labels >> (bits - 1 - k)) & 1 == 1 for k in range(bits)]
    llr = [pool(likelihood[..., b]) - pool(likelihood[..., ~b]) for b in one]
    return np.stack(llr, -1).reshape(*likelihood.shape[:2], -1)


def logsumexp(values):
    top = values.max(-1, keepdims=True)
    return top[..., 0] + np.log(np.exp(values - top).sum(-1))


@pytest.mark.parametrize("bits", MODULATIONS)
def test_max_log_takes_the_nearest_point_of_each_kind(rng, bits):
    y, h, noise = received(rng, bits)
    expected = ratios(likelihoods(y, h, noise, bits), bits, lambda values: values.max(-1))
    np.testing.assert_allclose(MaxLog().demap(y, h, noise, bits), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("noise", [0.02, 1.0, 30.0])
@pytest.mark.parametrize("bits", MODULATIONS)
def test_exact_sums_over_all_points(rng, bits, noise):
    y, h, noise = received(rng, bits, noise)
    expected = ratios(likelihoods(y, h, noise, bits), bits, logsumexp)
    np.testing.assert_allclose(Exact().demap(y, h, noise, bits), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("bits", MODULATIONS)
def test_hard_is_the_nearest_point(rng, bits):
    y, h, noise = received(rng, bits)
    label = likelihoods(y, h, noise, bits).argmax(-1)
    nearest = 2.0 * ((label[..., None] >> np.arange(bits)[::-1]) & 1) - 1
    np.testing.assert_array_equal(Hard().demap(y, h, noise, bits), nearest.reshape(*SHAPE[:2], -1))


@pytest.mark.parametrize("demapper", [MaxLog(), Exact(), Hard()], ids=lambda it: it.name)
@pytest.mark.parametrize("bits", MODULATIONS)
def test_a_common_factor_of_signal_and_channel_changes_nothing(rng, demapper, bits):
    y, h, noise = received(rng, bits)
    factor = np.complex64(0.3 - 2j)
    turned = demapper.demap(y * factor, h * factor, noise * np.abs(factor) ** 2, bits)
    np.testing.assert_allclose(turned, demapper.demap(y, h, noise, bits), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("demapper", [MaxLog(), Exact(), Hard()], ids=lambda it: it.name)
@pytest.mark.parametrize("bits", MODULATIONS)
def test_a_channel_may_change_with_every_symbol(rng, demapper, bits):
    y, h, noise = received(rng, bits)
    h = h[:, None] * np.exp(1j * np.arange(4))[:, None].astype(np.complex64)
    together = demapper.demap(y, h, noise, bits)
    for s in range(4):
        np.testing.assert_allclose(
            together[:, s], demapper.demap(y[:, s : s + 1], h[:, s], noise, bits)[:, 0], rtol=1e-5
        )


@pytest.mark.parametrize("demapper", [MaxLog(), Exact()], ids=lambda it: it.name)
@pytest.mark.parametrize("bits", MODULATIONS)
def test_a_subcarrier_in_a_null_says_nothing(rng, demapper, bits):
    y, h, noise = received(rng, bits)
    np.testing.assert_allclose(demapper.demap(y, 0 * h, noise, bits), 0, atol=1e-6)


@pytest.mark.parametrize(("method", "demapper"), [("maxlog", MaxLog()), ("app", Exact())])
@pytest.mark.parametrize("bits", MODULATIONS)
def test_sionna_gives_the_same(rng, method, demapper, bits):
    mapping = pytest.importorskip("sionna.phy.mapping")
    import torch

    ours = points(bits).copy()
    constellation = mapping.Constellation("custom", bits, points=torch.from_numpy(ours), normalize=False, center=False)
    theirs = mapping.Demapper(method, constellation=constellation)
    y, h, noise = received(rng, bits)
    equalised = torch.from_numpy((y / h[:, None]).reshape(3, -1))
    effective = np.broadcast_to((noise / np.abs(h) ** 2)[:, None], SHAPE).reshape(3, -1)
    llr = theirs(equalised, torch.from_numpy(effective.copy())).numpy().reshape(3, 4, -1)
    np.testing.assert_allclose(demapper.demap(y, h, noise, bits), llr, rtol=1e-3, atol=1e-2)
