"""Each impairment does what its closed form says, to each waveform alone."""

import math

import numpy as np
import pytest

from wireless.ofdm.channel.impairments import ADC, CarrierOffset, IQImbalance, PhaseNoise, RappAmplifier, SamplingOffset

IMPAIRMENTS = (RappAmplifier(), CarrierOffset(), SamplingOffset(), PhaseNoise(), IQImbalance(), ADC())
NONE = (
    RappAmplifier(60.0),
    CarrierOffset((0.0, 0.0)),
    SamplingOffset((0.0, 0.0)),
    PhaseNoise(0.0),
    IQImbalance(0.0, 0.0),
    ADC(22, 20.0),
)


def kind(impairment):
    return type(impairment).__name__


@pytest.fixture
def x(rng):
    """Two band-limited waveforms: a resampler knows nothing about the outermost frequencies."""
    spectrum = rng.normal(size=(2, 4096, 2)) @ [1, 1j]
    spectrum[:, 1600:-1600] = 0
    return np.fft.ifft(spectrum, norm="ortho").astype(np.complex64)


@pytest.mark.parametrize("impairment", IMPAIRMENTS, ids=kind)
def test_shape_dtype_and_input_are_kept(rng, x, impairment):
    before = x.copy()
    after = impairment.apply(x, rng)
    np.testing.assert_array_equal(x, before)
    assert after.shape == x.shape
    assert after.dtype == np.complex64
    assert impairment.place in ("transmitter", "receiver")
    assert (after != x).any()


@pytest.mark.parametrize("impairment", NONE, ids=kind)
def test_none_of_it_changes_nothing(rng, x, impairment):
    np.testing.assert_allclose(impairment.apply(x, rng), x, atol=1e-5)


@pytest.mark.parametrize("impairment", IMPAIRMENTS, ids=kind)
def test_waveforms_do_not_know_one_another(x, impairment):
    both = np.stack([x[0], 50 * x[1]])
    after = [impairment.apply(waveforms, np.random.default_rng(1))[0] for waveforms in (both, x)]
    np.testing.assert_array_equal(*after)


@pytest.mark.parametrize("smoothness", [1.0, 2.0, 5.0])
@pytest.mark.parametrize("backoff_db", [0.0, 6.0])
def test_rapp_curve(rng, x, smoothness, backoff_db):
    after = RappAmplifier(backoff_db, smoothness).apply(x, rng)
    saturation = np.sqrt(np.mean(np.abs(x) ** 2, axis=1, keepdims=True)) * 10 ** (backoff_db / 20)
    size = np.abs(x) / saturation
    np.testing.assert_allclose(
        np.abs(after) / saturation, size / (1 + size ** (2 * smoothness)) ** (0.5 / smoothness), rtol=1e-4
    )
    assert (np.abs(after) < saturation).all()
    np.testing.assert_allclose(np.angle(after * x.conj()), 0, atol=1e-4)


def test_carrier_offset_turns_by_its_frequency(rng, x):
    after = CarrierOffset((3000.0, 3000.0)).apply(x, rng)
    np.testing.assert_allclose(after, x * np.exp(2j * np.pi * 3000 * np.arange(4096) / 20e6), atol=1e-4)


@pytest.mark.parametrize("impairment", [CarrierOffset((-500.0, 500.0)), SamplingOffset((-20.0, 20.0))], ids=kind)
def test_offsets_are_uniform_in_their_range(rng, impairment):
    """A slow tone shows the offset as the growth of its phase."""
    tone = np.exp(2j * np.pi * 0.2 * np.arange(2001)) * np.ones((400, 1))
    after = impairment.apply(tone.astype(np.complex64), rng)
    growth = np.angle((after[:, 1900] / tone[:, 1900]) / (after[:, 100] / tone[:, 100])) / 1800
    offset = growth / (2 * np.pi) * 20e6 if isinstance(impairment, CarrierOffset) else growth / (2 * np.pi * 0.2) * 1e6
    low, high = impairment.hertz if isinstance(impairment, CarrierOffset) else impairment.ppm
    assert low * 1.01 < offset.min() < 0.9 * low
    assert 0.9 * high < offset.max() < 1.01 * high
    np.testing.assert_allclose(offset.std(), (high - low) / 12**0.5, rtol=0.1)


def test_sampling_offset_reads_between_samples(rng):
    """Of tones, which are known between samples."""
    frequency = np.array([[-0.4], [0.11], [0.4]])
    tone = np.exp(2j * np.pi * frequency * np.arange(3000)).astype(np.complex64)
    after = SamplingOffset((100.0, 100.0)).apply(tone, rng)[:, 20:-20]
    expected = np.exp(2j * np.pi * frequency * np.arange(3000) * (1 + 1e-4))[:, 20:-20]
    np.testing.assert_allclose(after, expected, atol=5e-3)


def test_phase_noise_walks_by_its_linewidth(rng):
    after = PhaseNoise(1000.0).apply(np.ones((4000, 200), np.complex64), rng)
    np.testing.assert_allclose(np.abs(after), 1, rtol=1e-5)
    for samples in (10, 100):
        walked = np.angle(after[:, 150] * after[:, 150 - samples].conj())
        np.testing.assert_allclose(walked.var(), 2 * math.pi * 1000 * samples / 20e6, rtol=0.1)


@pytest.mark.parametrize(("gain_db", "phase_deg"), [(0.5, 0.0), (0.0, 2.0), (1.0, 5.0)])
def test_iq_imbalance_mirrors_a_tone(rng, gain_db, phase_deg):
    impairment = IQImbalance(gain_db, phase_deg)
    tone = np.exp(2j * np.pi * 10 / 64 * np.arange(64))[None].astype(np.complex64)
    spectrum = np.abs(np.fft.fft(impairment.apply(tone, rng)[0])) ** 2
    np.testing.assert_allclose(spectrum[-10] / spectrum[10], impairment.image, rtol=1e-3)
    # The textbook's image rejection: (1 + g^2 - 2 g cos phi) / (1 + g^2 + 2 g cos phi).
    g, phi = 10 ** (gain_db / 20), math.radians(phase_deg)
    both = (1 + g * g, 2 * g * math.cos(phi))
    np.testing.assert_allclose(impairment.image, (both[0] - both[1]) / (both[0] + both[1]), rtol=1e-6)


def test_iq_imbalance_spoils_the_second_arm_alone(rng, x):
    """The first is the reference; the second hears it by the sine of the phase error: y = I + j g (Q cos - I sin)."""
    after = IQImbalance(1.0, 5.0).apply(x, rng)
    g, phi = 10 ** (1 / 20), math.radians(5)
    np.testing.assert_allclose(after.real, x.real, atol=1e-6)
    np.testing.assert_allclose(after.imag, g * (x.imag * math.cos(phi) - x.real * math.sin(phi)), atol=1e-6)


@pytest.mark.parametrize("bits", [4, 6, 10])
def test_adc_has_six_decibels_a_bit(rng, bits):
    """For an input uniform between the clipping points, sqrt(3) above its own rms."""
    x = rng.uniform(-1, 1, (1, 50_000, 2)).astype(np.float32).view(np.complex64)[..., 0]
    after = ADC(bits, 10 * math.log10(3)).apply(x, rng)
    noise = np.mean(np.abs(after - x) ** 2) / np.mean(np.abs(x) ** 2)
    np.testing.assert_allclose(
        -10 * math.log10(noise), 20 * math.log10(2) * bits, atol=0.2
    )  # rms is measured, so a little clips
    assert len(np.unique(after.real)) == 2**bits


def test_adc_clips_at_its_headroom(rng, x):
    after = ADC(8, 3.0).apply(x, rng)
    clip = np.sqrt(np.mean(np.abs(x) ** 2, axis=1, keepdims=True) / 2) * 10 ** (3 / 20)
    assert (np.abs(after.real) < clip).all()
    np.testing.assert_allclose(after.real.max(1, keepdims=True), clip * (1 - 1 / 256), rtol=1e-4)
