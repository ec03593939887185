"""Channels have mean power one and the covariance of their law; waveforms arrive late, scaled and turned."""

import numpy as np
import pytest

from wireless.ofdm.channel.models import AWGN, TDL, AbstractChannel, ExponentialFading, Moving, Rician, TGn, TwoTap
from wireless.ofdm.channel.profile import response

FADING = (
    ExponentialFading(),
    ExponentialFading((150.0, 300.0), taps=40),
    TwoTap(),
    TwoTap(230.0, 6.0),
    Rician(),
    Rician(10.0, (50.0, 50.0)),
    TGn("B"),
    TGn("D"),
    TGn("E"),
    Moving(ExponentialFading(), 1000.0),
    Moving(TGn("D"), 100.0),
)
CHANNELS = (AWGN(), *FADING)


def named(channel: AbstractChannel) -> str:
    return repr(channel)


def h_of(paths, at=0):
    return paths.at(np.array([at]))[..., 0] @ response(52, paths.delay).T


@pytest.mark.parametrize("channel", CHANNELS, ids=named)
def test_power_is_one(rng, channel):
    paths = channel.sample(4000, rng)
    np.testing.assert_allclose(paths.power.sum(1), 1, rtol=1e-5)
    received = np.mean(np.abs(h_of(paths, 777)) ** 2, axis=1)
    assert abs(received.mean() - 1) < 5 * received.std() / 4000**0.5 + 1e-6
    assert paths.delay.min() == 0
    assert paths.delay.dtype == paths.power.dtype == np.float32


@pytest.mark.parametrize("channel", FADING, ids=named)
def test_covariance_is_that_of_the_law(rng, channel):
    """E[h h^H] = F diag(P) F^H, which known-covariance LMMSE relies on."""
    paths = channel.sample(6000, rng)
    h, f = h_of(paths, 300), response(52, paths.delay)
    expected = (f * paths.power.mean(0)) @ f.conj().T
    np.testing.assert_allclose(h.T @ h.conj() / 6000, expected, atol=5 / 6000**0.5)


@pytest.mark.parametrize("channel", CHANNELS, ids=named)
def test_a_seed_decides_everything(channel):
    first, again, other = (channel.sample(3, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.gain, again.gain)
    assert isinstance(channel, AWGN) or (first.gain != other.gain).any()


@pytest.mark.parametrize(("model", "rms_ns"), [("B", 15), ("D", 50), ("E", 100)])
def test_tgn_has_the_delay_spread_of_its_report(rng, model, rms_ns):
    paths = TGn(model).sample(1, rng)
    np.testing.assert_allclose(spread_ns(paths), rms_ns, rtol=0.05)


@pytest.mark.parametrize("model", ["A", "B", "C"])
def test_tdl_has_the_delay_spread_asked_for(rng, model):
    pytest.importorskip("sionna")
    paths = TDL(model, 100.0).sample(3, rng)
    np.testing.assert_allclose(spread_ns(paths), 100, rtol=0.02)
    np.testing.assert_allclose(paths.power.sum(1), 1, rtol=1e-5)


def spread_ns(paths):
    delay, power = 50 * paths.delay, paths.power[0]
    return np.sqrt(power @ delay**2 - (power @ delay) ** 2)


def test_line_of_sight_is_k_stronger(rng):
    gain = Rician(7.0, (100.0, 100.0)).sample(20_000, rng).gain[:, 0]
    scattered = Rician(-99.0, (100.0, 100.0)).sample(1, rng).power[0, 0]  # of the first tap, without line of sight
    k = 10**0.7
    expected = (k + scattered) / (1 + k)
    np.testing.assert_allclose(np.mean(np.abs(gain) ** 2), expected, rtol=0.02)
    # E|g|^4 of a Rician amplitude: (a + s)^2 + s^2 + 2 a s, with a the line's power and s that of the rest.
    a, s = k / (1 + k), scattered / (1 + k)
    np.testing.assert_allclose(np.mean(np.abs(gain) ** 4), a * a + 4 * a * s + 2 * s * s, rtol=0.03)


@pytest.mark.parametrize("doppler_hz", [100.0, 1000.0])
def test_moving_paths_have_clarkes_correlation(rng, doppler_hz):
    paths = Moving(ExponentialFading((50.0, 50.0)), doppler_hz).sample(8000, rng)
    samples = np.array([0, 2000, 5000, 20_000])
    gain = paths.at(samples)[:, 0] / np.sqrt(paths.power[:, :1])
    turn = 2 * np.pi * doppler_hz * samples / 20e6
    bessel = np.cos(turn[:, None] * np.cos(np.linspace(0, 2 * np.pi, 1000, endpoint=False))).mean(1)
    np.testing.assert_allclose((gain * gain[:, :1].conj()).mean(0), bessel, atol=5 / 8000**0.5)


@pytest.mark.parametrize("channel", CHANNELS, ids=named)
def test_a_tone_is_multiplied_by_the_response(rng, channel):
    """Within a waveform a subcarrier sees h, at the time it arrives; Doppler moves it little within 64 samples."""
    paths = channel.sample(3, rng)
    k = np.array([-20, 3, 26])
    tone = np.exp(2j * np.pi / 64 * k[:, None] * np.arange(2000)).astype(np.complex64)
    received = paths.convolve(tone)[:, 1000:1064]
    at = np.searchsorted(np.delete(np.arange(-26, 27), 26), k)
    h = h_of(paths, 1032)[np.arange(3), at]
    measured = np.mean(received * tone[:, 1000:1064].conj(), axis=1)
    np.testing.assert_allclose(measured, h, atol=0.03)


def test_whole_delays_shift_and_scale(rng):
    paths = TwoTap(400.0).sample(2, rng)
    sent = rng.normal(size=(2, 300)).astype(np.complex64)
    late = np.concatenate([np.zeros((2, 8)), sent[:, :-8]], axis=1)
    np.testing.assert_allclose(paths.convolve(sent), paths.gain[:, :1] * sent + paths.gain[:, 1:] * late, atol=1e-5)


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        (TGn("C"), "TGn model 'C' is not one of B, D, E"),
        (TDL("D"), "TDL model 'D' is not one of A, B, C, the models with Rayleigh paths only"),
    ],
)
def test_an_unknown_model_is_refused_by_name(rng, channel, message):
    with pytest.raises(ValueError, match=message):
        channel.sample(1, rng)


def test_tdl_without_sionna_says_what_to_install(python):
    code = (
        "import sys; sys.modules['sionna'] = None\n"
        "import numpy as np\n"
        "from wireless.ofdm.channel.models import TDL\n"
        "TDL().sample(1, np.random.default_rng(0))"
    )
    assert "TDL channels need Sionna: pip install -e '.[wireless]'" in python("-c", code).stderr
