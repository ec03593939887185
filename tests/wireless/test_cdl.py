"""Clustered delay lines are those of 3GPP: as strong at every delay as Sionna's, and turning as fast."""

import numpy as np
import pytest

from wireless.ofdm.channel.cdl import CDL, MODELS, _rays

pytest.importorskip("sionna")

LIGHT = 299_792_458.0
CARRIER_HZ = 5e9
PACKETS = 3000


def sionna(model, rms_ns, doppler_hz, times, step_s):
    """Gains (PACKETS, paths, times) and delays in ns of Sionna's CDL, its receiver moving along x."""
    import torch
    from sionna.phy import config
    from sionna.phy.channel import tr38901

    config.seed = 1
    antenna = tr38901.Antenna("single", "V", "omni", CARRIER_HZ)
    velocity = torch.tensor([doppler_hz * LIGHT / CARRIER_HZ, 0.0, 0.0])
    channel = tr38901.CDL(model, rms_ns * 1e-9, CARRIER_HZ, antenna, antenna, ut_velocity=velocity)
    gains, delays = channel(PACKETS, times, 1 / step_s)
    return gains[:, 0, 0, 0, 0].numpy(), 1e9 * delays[0, 0, 0].numpy()


def delay_profile(delay_ns, power):
    """Power at each delay, those of the same delay together."""
    rounded = np.round(delay_ns, 2)
    return {float(at): float(power[rounded == at].sum()) for at in np.unique(rounded)}


@pytest.mark.parametrize("model", MODELS)
def test_every_delay_is_as_strong_as_sionnas(model, rng):
    gains, delays = sionna(model, 100.0, 0.0, 1, 1e-4)
    theirs = delay_profile(delays, (np.abs(gains[..., 0]) ** 2).mean(0))
    paths = CDL(model, 100.0).sample(PACKETS, rng)
    drawn = delay_profile(50 * paths.delay, (np.abs(paths.gain) ** 2).mean(0))
    law = delay_profile(50 * paths.delay, paths.power[0])
    np.testing.assert_allclose(list(law), list(theirs), atol=0.02)
    # A sum of squares of PACKETS nearly Gaussian gains varies by power / sqrt(PACKETS); cross-polar rays add nothing.
    strength = np.array(list(law.values()))
    for strength_of in (theirs, drawn):
        np.testing.assert_allclose(list(strength_of.values()), strength, atol=1e-5, rtol=6 / PACKETS**0.5)


@pytest.mark.parametrize("model", MODELS)
def test_a_moving_receiver_hears_sionnas_doppler_spectrum(model):
    """The correlation over time, which is the spectrum's transform, of each path on the same way."""
    hertz, step = 1000.0, 1e-4
    gains, _ = sionna(model, 100.0, hertz, 6, step)
    theirs = (gains * gains[..., :1].conj()).mean(0).sum(0)
    rays = _rays(model)
    turns = np.exp(2j * np.pi * hertz * step * rays.arrival[..., :1] * np.arange(6))
    ours = np.einsum("pr,prt->t", rays.power, turns)
    np.testing.assert_allclose(ours, theirs, atol=4 / PACKETS**0.5)
    assert np.abs(ours.imag).max() > 0.2  # the clusters' directions are not even: Clarke's spectrum would be


@pytest.mark.parametrize("model", MODELS)
def test_power_and_spread_are_those_asked_for(model, rng):
    paths = CDL(model, 80.0).sample(2, rng)
    delay, power = 50.0 * paths.delay, paths.power[0]
    assert power.sum() == pytest.approx(1, rel=1e-5)
    assert np.sqrt(power @ delay**2 - (power @ delay) ** 2) == pytest.approx(80, rel=0.01)


def test_moving_paths_begin_as_those_that_stand_still_and_keep_their_power(rng):
    still, moving = (CDL("E", 30.0, hz).sample(400, np.random.default_rng(3)) for hz in (0.0, 200.0))
    np.testing.assert_allclose(moving.at(np.array([0]))[..., 0], still.gain, atol=1e-5)
    later = moving.at(np.array([40_000]))[..., 0]
    assert (np.abs(later - still.gain).max(1) > 0.1).mean() > 0.9
    np.testing.assert_allclose((np.abs(later) ** 2).sum(1).mean(), 1, rtol=0.1)
    assert np.abs(moving.hertz).max() <= 200


def test_a_seed_decides_everything():
    first, again, other = (CDL("D", 100.0, 50.0).sample(3, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.gain, again.gain)
    np.testing.assert_array_equal(first.hertz, again.hertz)
    assert (first.gain != other.gain).any()


def test_an_unknown_model_is_refused_by_name(rng):
    with pytest.raises(ValueError, match="CDL model 'F' is not one of A, B, C, D, E"):
        CDL("F").sample(1, rng)


def test_without_sionna_it_says_what_to_install(python):
    code = (
        "import sys; sys.modules['sionna'] = None\n"
        "import numpy as np\n"
        "from wireless.ofdm.channel.cdl import CDL\n"
        "CDL().sample(1, np.random.default_rng(0))"
    )
    assert "CDL channels need Sionna: pip install -e '.[wireless]'" in python("-c", code).stderr
