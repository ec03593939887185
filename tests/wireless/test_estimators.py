"""Estimators are what their formulas say, and as wrong as they say."""

import numpy as np
import pytest

from wireless.ofdm.channel.models import ExponentialFading
from wireless.ofdm.channel.profile import exponential_covariance, exponential_profile, response
from wireless.ofdm.receiver.estimators import DFT, LS, KnownCovarianceLMMSE, Observation, PerfectCSI, RobustLMMSE, Truth

HONEST = (LS(), DFT(), RobustLMMSE(), KnownCovarianceLMMSE(), PerfectCSI())


def observed(rng, packets=2000, used=52, n0=0.2, training_symbols=2.0):
    paths = ExponentialFading().sample(packets, rng)
    h = (paths.gain @ response(used, paths.delay).T).astype(np.complex64)
    error = rng.normal(size=(*h.shape, 2)) @ [1, 1j] * np.sqrt(n0 / training_symbols / 2)
    truth = Truth(h, paths.power, paths.delay)
    return Observation((h + error).astype(np.complex64), np.full(packets, n0, np.float32), training_symbols, truth)


@pytest.mark.parametrize("estimator", HONEST, ids=lambda it: it.name)
@pytest.mark.parametrize(
    ("used", "n0", "training_symbols"), [(52, 0.2, 2.0), (56, 0.2, 1.0), (52, 0.01, 2.0), (52, 2.0, 12.0)]
)
def test_the_error_has_the_variance_that_is_stated(rng, estimator, used, n0, training_symbols):
    observation = observed(rng, 2000, used, n0, training_symbols)
    channel = estimator.estimate(observation)
    assert channel.h_hat.dtype == np.complex64
    assert channel.err_var.dtype == np.float32
    assert channel.err_var.shape == (2000, used)
    error = np.abs(channel.h_hat - observation.truth.h) ** 2
    np.testing.assert_allclose(error.mean(), channel.err_var.mean(), rtol=0.05)
    np.testing.assert_allclose(error.mean(0), channel.err_var.mean(0), rtol=0.3)


@pytest.mark.parametrize("n0", [0.02, 0.2, 1.0])
def test_who_knows_more_is_less_wrong(rng, n0):
    observation = observed(rng, n0=n0)
    errors = [np.mean(np.abs(it.estimate(observation).h_hat - observation.truth.h) ** 2) for it in HONEST]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0


@pytest.mark.parametrize("estimator", HONEST, ids=lambda it: it.name)
def test_packets_do_not_know_one_another(rng, estimator):
    observation = observed(rng, 5)._replace(noise_var=np.array([0.1, 0.2, 0.3, 0.4, 0.5], np.float32))
    together = estimator.estimate(observation)
    for k in range(5):
        part = slice(k, k + 1)
        truth = Truth(observation.truth.h[part], observation.truth.power[part], observation.truth.delay)
        alone = estimator.estimate(
            Observation(observation.ls[part], observation.noise_var[part], observation.training_symbols, truth)
        )
        np.testing.assert_allclose(alone.h_hat[0], together.h_hat[k], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(alone.err_var[0], together.err_var[k], rtol=1e-4, atol=1e-6)


def closed_form(covariance, observation, k):
    """W = R (R + s I)^-1 by a matrix inverse, for packet k."""
    s = observation.noise_var[k] / observation.training_symbols
    w = covariance @ np.linalg.inv(covariance + s * np.eye(len(covariance)))
    return w @ observation.ls[k], np.diag(covariance - w @ covariance).real


def test_lmmse_is_its_closed_form(rng):
    observation = observed(rng, 6)
    f = response(52, observation.truth.delay)
    covariances = np.stack([(f * power) @ f.conj().T for power in observation.truth.power])
    for estimator in (KnownCovarianceLMMSE(), KnownCovarianceLMMSE(covariances)):
        channel = estimator.estimate(observation)
        for k in range(6):
            h, variance = closed_form(covariances[k], observation, k)
            np.testing.assert_allclose(channel.h_hat[k], h, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(channel.err_var[k], variance, rtol=1e-3, atol=1e-6)


def test_robust_lmmse_knows_the_mean_covariance(rng):
    drawn = exponential_profile(rng.uniform(10, 150, 200_000)).mean(0)
    f = response(52, np.arange(16))
    np.testing.assert_allclose(exponential_covariance(52, (10.0, 150.0)), (f * drawn) @ f.conj().T, atol=2e-3)
    observation = observed(rng, 3)
    channel = RobustLMMSE().estimate(observation)
    h, variance = closed_form(exponential_covariance(52, (10.0, 150.0)), observation, 1)
    np.testing.assert_allclose(channel.h_hat[1], h, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(channel.err_var[1], variance, rtol=1e-3, atol=1e-6)


def test_dft_truncation_is_a_projection_that_keeps_short_channels(rng):
    observation = observed(rng, 20)
    once = DFT().estimate(observation)
    twice = DFT().estimate(observation._replace(ls=once.h_hat))
    np.testing.assert_allclose(twice.h_hat, once.h_hat, atol=1e-4)
    np.testing.assert_allclose(
        DFT().estimate(observation._replace(ls=observation.truth.h)).h_hat, observation.truth.h, atol=1e-4
    )


@pytest.mark.parametrize("estimator", [PerfectCSI(), KnownCovarianceLMMSE()], ids=lambda it: it.name)
def test_an_observation_without_the_true_channel_is_refused_by_name(rng, estimator):
    with pytest.raises(
        ValueError, match=f"estimator '{estimator.name}' needs the true channel, which only simulations have"
    ):
        estimator.estimate(observed(rng, 2)._replace(truth=None))


def test_given_channels_need_no_truth(rng):
    observation = observed(rng, 2)
    np.testing.assert_array_equal(
        PerfectCSI(observation.truth.h).estimate(observation._replace(truth=None)).h_hat, observation.truth.h
    )


def test_sionna_gives_the_same_lmmse(rng):
    """Sionna's estimator of one symbol, whose covariance over time is 1, with the same covariance over frequency."""
    ofdm = pytest.importorskip("sionna.phy.ofdm")
    import torch

    observation = observed(rng, 4)
    covariance = torch.from_numpy(exponential_covariance(52, (10.0, 150.0)).astype(np.complex64))
    grid = ofdm.ResourceGrid(1, 52, 312.5e3, pilot_pattern="kronecker", pilot_ofdm_symbol_indices=[0])
    theirs = ofdm.LMMSEChannelEstimator(grid, torch.ones(1, 1, dtype=torch.complex64), covariance, order="f-t")
    y = torch.from_numpy(observation.ls)[:, None, None, None] * grid.pilot_pattern.pilots.reshape(52)
    h, variance = theirs(y, torch.tensor(0.1))
    ours = RobustLMMSE().estimate(observation)
    np.testing.assert_allclose(h.numpy().reshape(4, 52), ours.h_hat, atol=2e-3)
    np.testing.assert_allclose(np.broadcast_to(variance.numpy().reshape(-1, 52), (4, 52)), ours.err_var, atol=2e-3)
