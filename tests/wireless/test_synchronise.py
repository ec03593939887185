"""Preambles are found where they are, at the offset they have, and phases are followed as they turn."""

import numpy as np
import pytest
from radio import on_air

from wireless.ofdm.phy import grid
from wireless.ofdm.recordings.synchronisation import EARLY, derotated, find
from wireless.ofdm.recordings.tracking import track


def preambles(samples):
    return list(find((samples / np.abs(samples).max()).astype(np.complex64)))


@pytest.mark.parametrize("gap", [0, 1, 17, 1000])
def test_a_preamble_is_found_at_its_sample(gap, rng):
    samples = on_air([grid.preamble()], gap, 5e4, 30, rng)
    # SIGNAL would follow: something must, for the correlator to look that far.
    [found] = preambles(np.concatenate([samples, on_air([], 100, snr_db=30, rng=rng)]))
    assert found.start == gap
    assert found.body == gap + 192 - EARLY


@pytest.mark.parametrize("cfo_hz", [-450e3, -156250.0, 0.0, 1e3, 312.5e3, 450e3])
def test_offsets_of_more_than_a_subcarrier_are_found(cfo_hz, rng):
    """Lag 16 tells offsets up to +-625 kHz, lag 64 makes them fine: +-156 kHz and its multiples are where it wraps."""
    [found] = preambles(on_air([grid.preamble()], 200, cfo_hz, 25, rng))
    assert abs(found.cfo * 20e6 - cfo_hz) < 1500
    assert found.start == 200


def test_half_of_the_short_training_field_is_enough(rng):
    """A receiver whose gain settles late sees less of it."""
    for missed in (40, 80):
        [found] = preambles(on_air([grid.preamble()[missed:]], 200, 3e4, 25, rng))
        assert found.start == 200 - missed


def test_the_first_path_is_where_symbols_begin(rng):
    """The strongest path comes last; a window that began there would take in the next symbol."""
    head = np.pad(grid.preamble(), (0, 40))
    paths = 0.6 * head + 0.5j * np.roll(head, 5) + np.roll(head, 12)
    [found] = preambles(on_air([paths], 300, 2e4, 25, rng))
    assert abs(found.start - 300) <= 2


def test_noise_alone_is_found_once_in_a_million_samples_at_most(rng):
    noise = rng.normal(size=(1_000_000, 2)).astype(np.float32).view(np.complex64)[:, 0]
    assert len(preambles(noise)) <= 1


def test_a_weak_frame_after_a_strong_one_is_found(rng):
    weak = 10 ** (-50 / 20) * grid.preamble()
    samples = on_air([grid.preamble(), weak, np.zeros(200)], 700, 1e4, 75, rng)
    assert [found.start for found in preambles(samples)] == [700, 1720]


def test_turning_back_is_the_same_in_pieces(rng):
    samples = rng.normal(size=(300, 2)).astype(np.float32).view(np.complex64)[:, 0]
    whole = derotated(samples, 50, 200, 0.0123, 50)
    assert (
        np.abs(
            np.concatenate([derotated(samples, 50, 80, 0.0123, 50), derotated(samples, 130, 120, 0.0123, 50)]) - whole
        ).max()
        < 1e-5
    )
    straight = derotated(np.exp(2j * np.pi * 0.0123 * np.arange(300)).astype(np.complex64), 0, 300, 0.0123)
    assert np.abs(straight - 1).max() < 1e-4


@pytest.mark.parametrize("ht", [False, True])
@pytest.mark.parametrize("snr_db", [8, 30])
def test_phase_and_slope_are_followed(ht, snr_db, rng):
    """Residual carrier and sampling offsets, and a wander: what is left is small beside the noise."""
    k = grid.used(ht)
    symbols, noise = 300, 10 ** (-snr_db / 10)
    h = np.exp(-2j * np.pi * k * 3.3 / 64).astype(np.complex64)
    n = np.arange(symbols)[:, None]
    phase = 0.11 * (n + 2) + np.cumsum(0.01 * rng.normal(size=(symbols, 1)), axis=0)
    turning = np.exp(1j * (phase + 1.2e-4 * (n + 2) * k))
    x = np.where(rng.integers(0, 2, (symbols, len(k))), 1, -1)
    pilots = grid.pilots(1, symbols, ht)
    x[:, grid.pilot_positions(ht)] = pilots
    y = h * x * turning + np.sqrt(noise / 2) * rng.normal(size=(symbols, len(k), 2)).view(np.complex128)[..., 0]
    tracked = track(y.astype(np.complex64), h, pilots, noise, 2.0, ht)
    x[:, grid.pilot_positions(ht)] = 1
    left = np.angle(np.mean((tracked * x.conj() * h.conj()).reshape(30, 10, -1), axis=1))
    # Means over ten symbols: noise leaves sqrt(N0 / 20) radians.
    assert np.sqrt(np.mean(left**2)) < 1.6 * np.sqrt(noise / 20) + 0.02


def test_a_channel_that_is_not_there_is_no_error():
    silent = np.zeros((5, 52), np.complex64)
    for noise in (0.0, 1e-30, 1.0):
        assert np.isfinite(track(silent, silent[0], grid.pilots(0, 5), noise, 1.4)).all()
