"""Estimators are what their formulas say, and as wrong as they say."""

import numpy as np
import pytest

from wireless.ofdm.channel.models import ExponentialFading
from wireless.ofdm.channel.profile import exponential_covariance, exponential_profile, response
from wireless.ofdm.receiver.estimators import DFT, LS, KnownCovarianceLMMSE, Observation, PerfectCSI, RobustLMMSE, Truth

HONEST = (LS(), DFT(), RobustLMMSE(), KnownCovarianceLMMSE(), PerfectCSI())


def observed(rng, packets=2000, used=52, n0=0.2, looks=2.0):
    paths = ExponentialFading().draw(packets, rng)
    h = (paths.gain @ response(used, paths.delay).T).astype(np.complex64)
    error = rng.normal(size=(*h.shape, 2)) @ [1, 1j] * np.sqrt(n0 / looks / 2)
    truth = Truth(h, paths.power, paths.delay)
    return Observation((h + error).astype(np.complex64), np.full(packets, n0, np.float32), looks, truth)


@pytest.mark.parametrize("estimator", HONEST, ids=lambda it: it.name)
@pytest.mark.parametrize(("used", "n0", "looks"), [(52, 0.2, 2.0), (56, 0.2, 1.0), (52, 0.01, 2.0), (52, 2.0, 12.0)])
def test_the_error_has_the_variance_that_is_stated(rng, estimator, used, n0, looks):
    seen = observed(rng, 2000, used, n0, looks)
    channel = estimator.estimate(seen)
    assert channel.h.dtype == np.complex64
    assert channel.variance.dtype == np.float32
    assert channel.variance.shape == (2000, used)
    error = np.abs(channel.h - seen.truth.h) ** 2
    np.testing.assert_allclose(error.mean(), channel.variance.mean(), rtol=0.05)
    np.testing.assert_allclose(error.mean(0), channel.variance.mean(0), rtol=0.3)


@pytest.mark.parametrize("n0", [0.02, 0.2, 1.0])
def test_who_knows_more_is_less_wrong(rng, n0):
    seen = observed(rng, n0=n0)
    errors = [np.mean(np.abs(it.estimate(seen).h - seen.truth.h) ** 2) for it in HONEST]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0


@pytest.mark.parametrize("estimator", HONEST, ids=lambda it: it.name)
def test_packets_do_not_know_one_another(rng, estimator):
    seen = observed(rng, 5)._replace(noise=np.array([0.1, 0.2, 0.3, 0.4, 0.5], np.float32))
    together = estimator.estimate(seen)
    for k in range(5):
        part = slice(k, k + 1)
        truth = Truth(seen.truth.h[part], seen.truth.power[part], seen.truth.delay)
        alone = estimator.estimate(Observation(seen.ls[part], seen.noise[part], seen.looks, truth))
        np.testing.assert_allclose(alone.h[0], together.h[k], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(alone.variance[0], together.variance[k], rtol=1e-4, atol=1e-6)


def closed_form(covariance, seen, k):
    """W = R (R + s I)^-1 by a matrix inverse, for packet k."""
    s = seen.noise[k] / seen.looks
    w = covariance @ np.linalg.inv(covariance + s * np.eye(len(covariance)))
    return w @ seen.ls[k], np.diag(covariance - w @ covariance).real


def test_lmmse_is_its_closed_form(rng):
    seen = observed(rng, 6)
    f = response(52, seen.truth.delay)
    covariances = np.stack([(f * power) @ f.conj().T for power in seen.truth.power])
    for estimator in (KnownCovarianceLMMSE(), KnownCovarianceLMMSE(covariances)):
        channel = estimator.estimate(seen)
        for k in range(6):
            h, variance = closed_form(covariances[k], seen, k)
            np.testing.assert_allclose(channel.h[k], h, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(channel.variance[k], variance, rtol=1e-3, atol=1e-6)


def test_robust_lmmse_knows_the_mean_covariance(rng):
    drawn = exponential_profile(rng.uniform(10, 150, 200_000)).mean(0)
    f = response(52, np.arange(16))
    np.testing.assert_allclose(exponential_covariance(52, (10.0, 150.0)), (f * drawn) @ f.conj().T, atol=2e-3)
    seen = observed(rng, 3)
    channel = RobustLMMSE().estimate(seen)
    h, variance = closed_form(exponential_covariance(52, (10.0, 150.0)), seen, 1)
    np.testing.assert_allclose(channel.h[1], h, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(channel.variance[1], variance, rtol=1e-3, atol=1e-6)


def test_dft_truncation_is_a_projection_that_keeps_short_channels(rng):
    seen = observed(rng, 20)
    once = DFT().estimate(seen)
    twice = DFT().estimate(seen._replace(ls=once.h))
    np.testing.assert_allclose(twice.h, once.h, atol=1e-4)
    np.testing.assert_allclose(DFT().estimate(seen._replace(ls=seen.truth.h)).h, seen.truth.h, atol=1e-4)


@pytest.mark.parametrize("estimator", [PerfectCSI(), KnownCovarianceLMMSE()], ids=lambda it: it.name)
def test_what_only_a_simulation_knows_is_missed_by_name(rng, estimator):
    with pytest.raises(ValueError, match=f"estimator '{estimator.name}' needs what only a simulation knows"):
        estimator.estimate(observed(rng, 2)._replace(truth=None))


def test_given_channels_need_no_truth(rng):
    seen = observed(rng, 2)
    np.testing.assert_array_equal(PerfectCSI(seen.truth.h).estimate(seen._replace(truth=None)).h, seen.truth.h)


def test_sionna_gives_the_same_lmmse(rng):
    """Sionna's estimator of one symbol, whose covariance over time is 1, with the same covariance over frequency."""
    ofdm = pytest.importorskip("sionna.phy.ofdm")
    import torch

    seen = observed(rng, 4)
    covariance = torch.from_numpy(exponential_covariance(52, (10.0, 150.0)).astype(np.complex64))
    grid = ofdm.ResourceGrid(1, 52, 312.5e3, pilot_pattern="kronecker", pilot_ofdm_symbol_indices=[0])
    theirs = ofdm.LMMSEChannelEstimator(grid, torch.ones(1, 1, dtype=torch.complex64), covariance, order="f-t")
    y = torch.from_numpy(seen.ls)[:, None, None, None] * grid.pilot_pattern.pilots.reshape(52)
    h, variance = theirs(y, torch.tensor(0.1))
    ours = RobustLMMSE().estimate(seen)
    np.testing.assert_allclose(h.numpy().reshape(4, 52), ours.h, atol=2e-3)
    np.testing.assert_allclose(np.broadcast_to(variance.numpy().reshape(-1, 52), (4, 52)), ours.variance, atol=2e-3)
