"""Narrowband interference costs the subcarriers where it is, not the frame; without any, nothing changes."""

import numpy as np
import pytest
from radio import on_air, psdu, sent

from wireless.ofdm.catalogue import receiver
from wireless.ofdm.neural.pretrained import neural_estimator
from wireless.ofdm.phy import grid
from wireless.ofdm.phy.rates import MCS, RATES
from wireless.ofdm.phy.transmit import transmit
from wireless.ofdm.receiver.chain import ESTIMATORS, Receiver
from wireless.ofdm.receiver.estimators import DFT, LS, KnownCovarianceLMMSE, Observation, RobustLMMSE
from wireless.ofdm.receiver.soft_feedback import TurboReceiver
from wireless.ofdm.recordings.frames import Burst, bursts, decode, decode_burst
from wireless.ofdm.recordings.interference import in_data, in_preamble


def carrier(n, hz, rng):
    return np.exp(2j * np.pi * (hz / 20e6 * np.arange(n) + rng.uniform()))


def wandering(n, hz, rng):
    return np.exp(2j * np.pi * np.cumsum(hz + 2e5 * np.sin(2 * np.pi * np.arange(n) / 4000)) / 20e6)


def narrow_noise(n, hz, rng):
    """Noise 1 MHz wide: a Bluetooth radio."""
    spectrum = np.fft.fft(rng.normal(size=(n, 2)).view(np.complex128)[:, 0])
    spectrum[np.abs(np.fft.fftfreq(n)) > 0.5e6 / 20e6] = 0
    noise = np.fft.ifft(spectrum)
    return noise / np.sqrt(np.mean(np.abs(noise) ** 2)) * carrier(n, hz, rng)


def in_bursts(n, hz, rng):
    return carrier(n, hz, rng) * (np.arange(n) // 700 % 2)


def disturbed(rate, size, count, kind, hz, relative_db, rng, snr_db=25):
    """`count` frames at 25 dB, and samples that also hold interference of a power relative to that of the frames."""
    frames = [psdu(size, rng) for _ in range(count)]
    samples = on_air([transmit(frame, rate) for frame in frames], 400, 3e4, snr_db, rng)
    power = 52 / 64 * 10 ** (relative_db / 10)
    return frames, (samples + np.sqrt(power) * kind(len(samples), hz, rng)).astype(np.complex64)


def right(frames, samples, receiver=None):
    """How many of the frames are decoded; how many lines that takes."""
    decoded = decode(samples, receiver)
    contents = [frame.psdu for frame in decoded if frame.fcs_ok]
    return sum(frame in contents for frame in frames), len(decoded)


@pytest.mark.parametrize("relative_db", [-15, -12, -10])
@pytest.mark.parametrize("hz", [3.1e6, 7 * 312.5e3, -6.7e6], ids=["between", "on a pilot", "left"])
def test_frames_survive_a_carrier(hz, relative_db, rng):
    assert right(*disturbed(RATES[24], 100, 10, carrier, hz, relative_db, rng)) == (10, 10)


@pytest.mark.parametrize("kind", [narrow_noise, wandering, in_bursts])
@pytest.mark.parametrize("hz", [1e6, -5.2e6])
def test_frames_survive_other_interference_and_none_is_invented(kind, hz, rng):
    survived, lines = right(*disturbed(RATES[24], 100, 10, kind, hz, -10, rng))
    assert survived >= 9
    assert lines == 10


@pytest.mark.parametrize("rate", [RATES[6], RATES[36], RATES[54], MCS[3]], ids=lambda rate: rate.name)
def test_every_constellation_survives(rate, rng):
    survived, _ = right(*disturbed(rate, 100, 5, carrier, -4.4e6, -15, rng))
    assert survived == 5


@pytest.mark.parametrize("estimator", ["dft", "lmmse-robust", "neural", "neural-5k", "dense"])
def test_every_estimator_weights_the_subcarriers(estimator, rng):
    assert right(*disturbed(RATES[24], 100, 5, carrier, 3.1e6, -12, rng), receiver(estimator))[0] == 5


@pytest.mark.parametrize("demapper", ["exact", "neural"])
def test_every_soft_demapper_gains(demapper, rng):
    assert right(*disturbed(RATES[24], 100, 5, carrier, 3.1e6, -12, rng), receiver("ls", demapper))[0] == 5


@pytest.mark.parametrize("feedback", [Receiver(passes=1), TurboReceiver(neural_estimator())], ids=["hard", "soft"])
def test_feedback_gains(feedback, rng):
    frames, samples = disturbed(RATES[24], 100, 5, carrier, 3.1e6, -12, rng)
    assert [decode_burst(burst, feedback).psdu for burst in bursts(samples) if isinstance(burst, Burst)] == frames


@pytest.mark.parametrize("snr_db", [3, 10, 25, 40])
def test_without_interference_the_noise_stays_white(snr_db, rng):
    for rate in (RATES[6], MCS[4]):
        _, samples = sent(rate, 200, rng, snr_db=snr_db)
        assert [burst.observation.interference for burst in bursts(samples) if isinstance(burst, Burst)] in ([], [None])


def observation(rng, interference):
    """One packet of a channel of eight taps in noise of N0 = 0.01 and this interference."""
    taps = rng.normal(size=(8, 2)).view(np.complex128)[:, 0] / 4
    h = np.exp(-2j * np.pi * np.outer(grid.used(), np.arange(8)) / 64) @ taps
    error = np.sqrt((0.01 + interference) / 4) * rng.normal(size=(52, 2)).view(np.complex128)[:, 0]
    ls = (h + error).astype(np.complex64)[None]
    return h, Observation(ls, np.array([0.01], np.float32), 2.0, None, interference[None].astype(np.float32))


def test_estimators_are_the_weighted_ones(rng):
    """DFT is weighted least squares, LMMSE is R (R + D)^-1 ls: both from their definitions."""
    interference = np.where(np.arange(52) // 3 == 10, 5.0, 0)
    _, observed = observation(rng, interference)
    variance = (0.01 + interference) / 2
    assert LS().estimate(observed).err_var[0] == pytest.approx(variance)
    f = np.exp(-2j * np.pi * np.outer(grid.used(), np.arange(16)) / 64)
    gain = np.linalg.inv(f.conj().T @ (f / variance[:, None])) @ (f / variance[:, None]).conj().T
    estimate = DFT().estimate(observed)
    assert np.abs(estimate.h_hat[0] - f @ gain @ observed.ls[0]).max() < 1e-4
    assert estimate.err_var[0] == pytest.approx(np.diag(f @ gain @ np.diag(variance) @ (f @ gain).conj().T).real, 1e-3)
    r = f @ np.diag(np.exp(-np.arange(16) / 3)) @ f.conj().T
    w = r @ np.linalg.inv(r + np.diag(variance))
    estimate = KnownCovarianceLMMSE(r).estimate(observed)
    assert np.abs(estimate.h_hat[0] - w @ observed.ls[0]).max() < 1e-4
    assert estimate.err_var[0] == pytest.approx(np.diag(r - w @ r).real, 1e-3)


@pytest.mark.parametrize("name", [name for name in ESTIMATORS if name not in ("perfect", "lmmse-genie")])
def test_zero_interference_is_no_interference(name, rng):
    _, observed = observation(rng, np.zeros(52))
    estimator = ESTIMATORS[name]()
    zero, none = estimator.estimate(observed), estimator.estimate(observed._replace(interference=None))
    assert np.abs(zero.h_hat - none.h_hat).max() < 1e-4
    assert zero.err_var == pytest.approx(none.err_var, rel=1e-3)


def test_estimators_interpolate_over_interference(rng):
    interference = np.where(abs(np.arange(52) - 30) < 2, 100.0, 0)
    h, observed = observation(rng, interference)
    for estimator in (RobustLMMSE(), neural_estimator()):
        error = np.abs(estimator.estimate(observed).h_hat[0] - h)
        assert error.max() < 0.5 < np.abs(observed.ls[0] - h).max()


def test_variances_are_measured(rng):
    """64-QAM at 25 dB, with 20 dB more on three subcarriers: measured there, and not elsewhere."""
    [burst] = bursts(sent(RATES[54], 400, rng, snr_db=25)[1])
    noise = burst.observation.noise_var[0]
    extra = np.sqrt(50 * noise) * rng.normal(size=(2, *burst.y[0].shape, 2)).view(np.complex128)[..., 0]
    extra[..., np.arange(52) // 3 != 5] = 0
    residuals = in_preamble(extra[0][:0], np.sqrt(noise) * rng.normal(size=(2, 52, 2)).view(np.complex128)[..., 0])
    measured = in_data(residuals, burst.observation, (burst.y[0] + extra[1]).astype(np.complex64), 6)
    total = measured.total_noise_var[0] / (100 * noise)
    assert ((total[15:18] > 0.1) & (total[15:18] < 2)).all()
    assert np.delete(total, np.arange(13, 20)).max() < 0.1
