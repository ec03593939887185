"""Frames are decoded from samples, whatever their rate, place, offset and channel; those that fail have a word."""

import numpy as np
import pytest
from radio import EVERY, on_air, psdu, sent

from wireless.ofdm.phy import grid
from wireless.ofdm.phy.coding import encode
from wireless.ofdm.phy.interleaver import interleave
from wireless.ofdm.phy.mac import aggregate, fcs
from wireless.ofdm.phy.rates import MCS, RATES
from wireless.ofdm.phy.signal import HTSignal, ht_signal_bits, signal_bits
from wireless.ofdm.phy.transmit import header, transmit
from wireless.ofdm.receiver.chain import Receiver
from wireless.ofdm.recordings.frames import Burst, bursts, decode, decode_burst


@pytest.mark.parametrize("rate", EVERY, ids=lambda rate: rate.name)
def test_every_rate_comes_back(rate, rng):
    for size in (14, *rng.integers(15, 400, 2).tolist()):
        data, samples = sent(rate, size, rng, cfo_hz=float(rng.uniform(-1e5, 1e5)), snr_db=35, gap=150)
        [frame] = decode(samples)
        assert (frame.psdu, frame.rate, frame.length, frame.fcs_ok, frame.error) == (data, rate, size, True, "")
        assert frame.format == ("HT" if rate.ht else "non-HT")
        assert abs(frame.start - 150) <= 1
        assert abs(frame.stop - (len(samples) - 150)) <= 1


@pytest.mark.parametrize("rate", [RATES[6], RATES[54], MCS[7].short()], ids=lambda rate: rate.name)
def test_lengths_at_the_edges(rate, rng):
    for size in (5, 4095):
        data, samples = sent(rate, size, rng, snr_db=35)
        assert [(frame.psdu, frame.fcs_ok) for frame in decode(samples)] == [(data, True)]
    # A PSDU that is all frame check sequence, or shorter, has none to be right.
    [frame] = decode(on_air([transmit(b"\x01", rate)], rng=rng, snr_db=35))
    assert (frame.psdu, frame.length, frame.fcs_ok, frame.error) == (b"\x01", 1, False, "FCS wrong")


def test_frames_in_a_row_a_short_interframe_space_apart(rng):
    frames = [psdu(size, rng) for size in (200, 14, 90, 14)]
    rates = (RATES[54], RATES[24], MCS[4], RATES[6])
    samples = on_air([transmit(data, rate) for data, rate in zip(frames, rates, strict=True)], 320, -40e3, 30, rng)
    found = decode(samples)
    assert [(frame.psdu, frame.rate) for frame in found] == list(zip(frames, rates, strict=True))
    assert all(frame.time_s == pytest.approx(frame.start / 20e6) for frame in found)


@pytest.mark.parametrize("snr_db", [5, 15, 25])
def test_offset_and_noise_are_measured(snr_db, rng):
    for cfo_hz in (-2e5, -3e4, 0.0, 2.4e5):
        _, samples = sent(RATES[6], 60, rng, cfo_hz=cfo_hz, snr_db=snr_db)
        [frame] = decode(samples)
        # Lag 64 over 80 and 63 samples: about 20 MHz / (2 pi 64 sqrt(143 SNR)), five times that.
        assert abs(frame.cfo_hz - cfo_hz) < 5 * 20e6 / (2 * np.pi * 64 * np.sqrt(143 * 10 ** (snr_db / 10)))
        assert abs(frame.snr_db - snr_db) < 2


def test_reception_near_the_limit(rng):
    """Ideal 6 Mb/s needs about 1 dB; a tenth of the frames may be lost at 4 dB, and none at 6 dB."""
    for snr_db, least in ((4, 36), (6, 40)):
        decoded = [decode(sent(RATES[6], 60, rng, cfo_hz=5e4, snr_db=snr_db)[1]) for _ in range(40)]
        assert sum(bool(frames) and frames[0].fcs_ok for frames in decoded) >= least


@pytest.mark.parametrize("rate", [RATES[54], MCS[7]], ids=lambda rate: rate.name)
def test_paths_within_the_prefix(rate, rng):
    """A second path 3 dB down, 500 ns late and turned: no symbol reaches into the next, so only noise is left."""
    data, samples = sent(rate, 300, rng, snr_db=None)
    paths = samples + 0.7j * np.roll(samples, 10)
    [frame] = decode(on_air([paths], 0, 2e4, 45, rng))
    assert (frame.psdu, frame.fcs_ok) == (data, True)


def test_a_sampling_offset_of_40_ppm_is_followed(rng):
    """4095 bytes at 6 Mb/s take 1366 symbols: the clocks part by 4.4 samples, at the edge 11 radians."""
    data, samples = sent(RATES[6], 4095, rng, gap=200)
    stretch = 1 + 40e-6
    spectrum = np.fft.fft(samples, 1 << 17)
    phase = np.fft.fftfreq(1 << 17)
    # Chunks of 2000 samples, each shifted by what it is late: resampling in steps far below what matters.
    late = [
        np.fft.ifft(spectrum * np.exp(2j * np.pi * phase * (at + 1000) * (stretch - 1)))[at : at + 2000]
        for at in range(0, len(samples), 2000)
    ]
    [frame] = decode(on_air([np.concatenate(late)[: len(samples)]], 0, -3e4, 20, rng))
    assert (frame.psdu == data, frame.fcs_ok) == (True, True)


def test_scale_and_a_constant_do_not_matter(rng):
    data, samples = sent(RATES[48], 100, rng, snr_db=35, gap=2000)
    for scale in (1e-30, 1e-3, 1e30):
        [frame] = decode((samples * scale).astype(np.complex64))
        assert frame.psdu == data
    data, samples = sent(RATES[48], 100, rng, snr_db=35, gap=2000, cfo_hz=1e5)
    [frame] = decode(samples + np.complex64(2 - 1j))
    assert frame.psdu == data
    assert abs(frame.start - 2000) <= 1


def test_no_frame_in_what_holds_none(rng):
    noise = rng.normal(size=(200_000, 2)).astype(np.float32).view(np.complex64)[:, 0]
    tone = np.exp(2j * np.pi * 0.01 * np.arange(5000)).astype(np.complex64)
    for samples in (noise, tone, np.zeros(5000, np.complex64), np.ones(5000, np.complex64), noise[:3], noise[:0]):
        assert decode(samples) == []
    # Something else that repeats every 16 samples: a short training field without the long one.
    assert decode(np.concatenate([noise[:500] / 10, np.tile(grid.preamble()[:160], 4), noise[:500] / 10])) == []


def test_what_is_no_recording_is_refused():
    with pytest.raises(ValueError, match=r"samples have the shape \(2, 5\): a recording of one antenna has \(N,\)"):
        decode(np.zeros((2, 5), np.complex64))
    with pytest.raises(ValueError, match="samples are real, of float32: a recording has I and Q in complex numbers"):
        decode(np.zeros(500, np.float32))
    bad = np.ones(50, np.complex64)
    bad[17] = complex(1, np.inf)
    with pytest.raises(ValueError, match=r"sample 17 is \(1\+infj\): all samples must be finite"):
        decode(bad)


def field(bits, first=0, turn=1.0):
    """Symbols of a header with any bits at all."""
    return coded_field(encode(bits[None])[0], first, turn)


def coded_field(coded, first, turn):
    points = 2 * interleave(coded.reshape(1, -1, 48), RATES[6]).astype(np.float32) - 1
    return grid.to_time(grid.symbols((turn * points).astype(np.complex64), first))[0]


def error_of(*fields, rng, tail=2000):
    [frame] = decode(on_air([np.concatenate([grid.preamble(), *fields, np.zeros(tail)])], 300, 3e4, 35, rng))
    assert not frame.fcs_ok
    return frame


def test_a_signal_field_that_cannot_be_has_a_word(rng):
    parity = signal_bits(RATES[12], 100)
    parity[17] ^= 1
    assert error_of(field(parity), rng=rng).error == "SIGNAL parity is wrong"
    illegal = signal_bits(RATES[12], 100)
    illegal[:4] = 0
    illegal[17] = illegal[:17].sum() % 2
    frame = error_of(field(illegal), rng=rng)
    assert (frame.error, frame.format, frame.rate, frame.length) == (
        "SIGNAL announces the illegal rate 0000", "", None, None,
    )  # fmt: skip


def test_an_ht_field_that_cannot_be_has_a_word(rng):
    legacy = field(signal_bits(RATES[6], 42))
    bits = ht_signal_bits(HTSignal(3, 138))
    bits[34] ^= 1
    assert error_of(legacy, field(bits, 1, 1j), rng=rng).error == "HT-SIG CRC is wrong"
    streams = field(ht_signal_bits(HTSignal(11, 138)), 1, 1j)
    frame = error_of(legacy, streams, rng=rng)
    assert frame.error.startswith("HT frame MCS 11, of several streams or unequal modulation: only one stream")
    assert (frame.format, frame.rate) == ("HT", None)


def test_newer_formats_are_named(rng):
    legacy = field(signal_bits(RATES[6], 42))
    coded = encode(ht_signal_bits(HTSignal(0, 7))[None])[0]
    very_high = (coded_field(coded[:48], 1, 1.0), coded_field(coded[48:], 2, 1j))
    assert error_of(legacy, *very_high, rng=rng).error == "VHT frames are not decoded"
    # A quarter turn alone, without the CRC, is noise.
    coded[-20:] ^= 1
    very_low = (coded_field(coded[:48], 1, 1.0), coded_field(coded[48:], 2, 1j))
    assert error_of(legacy, *very_low, rng=rng).error == "FCS wrong"
    for length, name in ((43, "HE"), (44, "HE"), (42, "EHT")):
        bits = signal_bits(RATES[6], length)
        repeated = (field(bits), field(bits, first=1), field(signal_bits(RATES[9], 77), 2))
        frame = error_of(*repeated, rng=rng)
        assert (frame.format, frame.error) == (name, f"{name} frames are not decoded")


def test_greenfield_is_named(rng):
    """HT-SIG, a quarter turn ahead, follows the training at once."""
    coded = encode(ht_signal_bits(HTSignal(3, 138))[None])[0]
    fields = (coded_field(coded[:48], 0, 1j), coded_field(coded[48:], 1, 1j))
    frame = error_of(*fields, rng=rng)
    assert (frame.format, frame.error) == ("HT greenfield", "HT greenfield frames are not decoded")


def test_the_reserved_bit_is_ignored(rng):
    """17.3.4.1: transmitted as 0, ignored on receive. Parity includes it."""
    data = psdu(100, rng)
    samples = transmit(data, RATES[24])
    bits = signal_bits(RATES[24], 100)
    bits[[4, 17]] ^= 1
    samples[320:400] = field(bits)
    [frame] = decode(on_air([samples], rng=rng, snr_db=30))
    assert (frame.psdu, frame.rate) == (data, RATES[24])


@pytest.mark.parametrize("cfo_hz", [-2.1e5, -3e4, 1.7e5, 4e5])
@pytest.mark.parametrize("cut", [1, 40, 90, 130, 150, 160])
def test_frames_whose_first_samples_are_cut(cut, cfo_hz, rng):
    data, samples = sent(RATES[48], 138, rng, gap=300, snr_db=30, cfo_hz=cfo_hz)
    second = sent(RATES[12], 60, rng, gap=300, snr_db=30, cfo_hz=cfo_hz)
    first, after = decode(np.concatenate([samples[300 + cut :], second[1]]))
    assert (first.psdu, first.fcs_ok, after.psdu) == (data, True, second[0])
    assert abs(first.start + cut) <= 1


def test_a_constant_that_changes_does_not_matter(rng):
    frames = [psdu(100, rng) for _ in range(3)]
    samples = on_air([transmit(data, RATES[24]) for data in frames], 400, 2e4, 30, rng)
    for place in (700, 2000, len(samples) // 2):
        step = np.where(np.arange(len(samples)) < place, 1.5 + 1j, -2 + 0.5j)
        decoded = [frame.psdu for frame in decode((samples + step).astype(np.complex64))]
        assert [data in decoded for data in frames].count(True) >= 2, place
    assert len(decoded) == 3


@pytest.mark.parametrize("size", [1e3, 1e6, 1e30])
def test_one_wild_sample_hides_nothing(size, rng):
    data, samples = sent(RATES[24], 100, rng, gap=400, snr_db=30)
    for at in (100, 700, len(samples) - 3):
        wild = samples.copy()
        wild[at] = size * 1j
        [frame] = decode(wild)
        assert frame.psdu == data


def test_a_wrong_frame_check_sequence_has_a_word(rng):
    data = bytearray(psdu(100, rng))
    data[50] ^= 4
    [frame] = decode(on_air([transmit(bytes(data), RATES[24])], rng=rng, snr_db=30))
    assert (frame.error, frame.fcs_ok, frame.psdu) == ("FCS wrong", False, bytes(data))
    assert frame.mpdus[0].header.type == "QoS data"


@pytest.mark.parametrize("rate", [RATES[24], MCS[3]], ids=lambda rate: rate.name)
def test_a_recording_that_ends_too_early_has_a_word(rate, rng):
    _, samples = sent(rate, 500, rng, gap=300, snr_db=35)
    body = len(header(rate, 500))
    for kept in range(350, 320 + body, 7):
        frames = decode(samples[:kept])
        assert all(frame.error and not frame.fcs_ok for frame in frames)
    [frame] = decode(samples[: 300 + body + 100])
    short = len(samples) - 300 - (300 + body + 100)
    assert abs(int(frame.error.split()[3]) - short) <= 1
    assert frame.error == f"the frame extends {frame.error.split()[3]} samples beyond the recording"
    assert (frame.rate, frame.length) == (rate, 500)
    [frame] = decode(samples[: 300 + 330])
    assert frame.error == "the recording ends before SIGNAL"


def test_a_frame_inside_the_time_of_a_broken_one_is_found(rng):
    """SIGNAL of a frame that never came announces 2 ms; a whole frame begins meanwhile."""
    data = psdu(100, rng)
    lost = np.concatenate([grid.preamble(), field(signal_bits(RATES[6], 1500))])
    first, second = decode(on_air([lost, transmit(data, RATES[54]), np.zeros(45000)], 500, 1e4, 30, rng))
    assert (first.error, second.psdu) == ("FCS wrong", data)


def test_aggregates_are_taken_apart(rng):
    parts = [psdu(size, rng) for size in (60, 61, 200)]
    [frame] = decode(on_air([transmit(aggregate(parts), MCS[5], aggregation=True)], rng=rng, snr_db=35))
    assert frame.fcs_ok
    assert [part.data for part in frame.mpdus] == parts
    broken = [parts[0], parts[1][:-1] + b"?", parts[2]]
    [frame] = decode(on_air([transmit(aggregate(broken), MCS[5], aggregation=True)], rng=rng, snr_db=35))
    assert [part.fcs_ok for part in frame.mpdus] == [True, False, True]
    assert (frame.fcs_ok, frame.error) == (False, "FCS wrong in 1 of 3 MPDUs")
    [frame] = decode(on_air([transmit(bytes(50), MCS[5], aggregation=True)], rng=rng, snr_db=35))
    assert (frame.mpdus, frame.error) == ((), "aggregate without a valid delimiter")


def test_receivers_are_exchangeable_and_see_the_same_burst(rng):
    data, samples = sent(RATES[36], 200, rng, snr_db=25, cfo_hz=1e4)
    [burst] = bursts(samples)
    assert isinstance(burst, Burst)
    assert burst.y.shape == (1, RATES[36].symbols(200), 52)
    pilots = burst.y[0][:, grid.pilot_positions()] / burst.observation.ls[0][grid.pilot_positions()]
    assert np.abs(pilots - 1).max() < 0.5
    for receiver in (
        Receiver(),
        Receiver("lmmse-robust", "exact", "soft-viterbi", passes=1),
        Receiver("dft", "hard", "hard-viterbi"),
    ):
        assert decode_burst(burst, receiver).psdu == data
        assert decode(samples, receiver)[0].psdu == data


def damaged(samples, rng):
    """A recording with something wrong: cut, silenced, clipped, repeated, reversed, noisy, or with wild samples."""
    x = samples.copy()
    for _ in range(rng.integers(1, 4)):
        if len(x) == 0:
            break
        at, size = int(rng.integers(len(x))), int(rng.integers(1, 600))
        kind = rng.integers(9)
        if kind == 0:
            x = x[:at]
        elif kind == 1:
            x = np.delete(x, slice(at, at + size))
        elif kind == 2:
            x[at : at + size] = 0
        elif kind == 3:
            x = np.clip(x.real, -0.3, 0.3) + 1j * np.clip(x.imag, -0.3, 0.3)
        elif kind == 4:
            x = np.concatenate([x[:at], x[at : at + size], x[at:]])
        elif kind == 5:
            x[at : at + size] = x[at : at + size][::-1].conj()
        elif kind == 6:
            x = x + rng.uniform(0, 1) * rng.normal(size=(len(x), 2)).view(np.complex128)[:, 0]
        elif kind == 7:
            x[at] = rng.choice([1e30, -1e20j, 1e-40])
        else:
            x[at : at + size] *= np.exp(2j * np.pi * rng.uniform(0, 1, len(x[at : at + size])))
    return x.astype(np.complex64)


def survive(count, rng):
    """Decodes `count` damaged recordings; each frame is either right or has a word. How many had a word."""
    whole = [sent(rate, int(rng.integers(14, 90)), rng, snr_db=30)[1] for rate in EVERY[::3]]
    words = 0
    for _ in range(count):
        pair = rng.choice(len(whole), 2)
        for frame in decode(damaged(np.concatenate([whole[k] for k in pair]), rng)):
            assert frame.fcs_ok == (frame.error == "")
            assert np.isfinite([frame.snr_db, frame.cfo_hz]).all()
            words += frame.error != ""
    return words


def test_damaged_recordings_never_crash(rng):
    assert survive(100, rng) > 20


@pytest.mark.slow
def test_ten_thousand_damaged_recordings_never_crash(rng):
    assert survive(10_000, rng) > 2_000


def test_header_of_a_real_frame_is_what_the_transmitter_makes(rng):
    data = b"0" * 30
    samples = transmit(data + fcs(data), RATES[9])
    assert (samples[:400] == header(RATES[9], 34)).all()
