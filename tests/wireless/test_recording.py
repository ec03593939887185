"""Recordings are read from files of several kinds; whatever is wrong with one is a ValueError that says it."""

import json

import numpy as np
import pytest
from radio import on_air, psdu, sent

from wireless.ofdm.phy.rates import RATES
from wireless.ofdm.phy.transmit import transmit
from wireless.ofdm.recordings.files import read, resample
from wireless.ofdm.recordings.frames import decode


@pytest.fixture
def frame(rng):
    """Bytes of a frame and samples that hold it, with a largest part near 1/2."""
    data, samples = sent(RATES[24], 100, rng, cfo_hz=2e4, snr_db=35)
    return data, (samples / 10).astype(np.complex64)


def integers(samples, kind="<i2", full=32767):
    return (samples.view(np.float32) * full).round().astype(kind)


def sigmf(folder, samples, datatype="ci16_le", rate=20e6, **fields):
    """Writes a SigMF recording and returns the path of its metadata."""
    kind = {"ci16_le": "<i2", "ci16_be": ">i2"}.get(datatype)
    written = integers(samples, kind) if kind else samples.astype("<c8")
    written.tofile(folder / "a.sigmf-data")
    meta = {"global": {"core:datatype": datatype, "core:sample_rate": rate, "core:version": "1.2.0", **fields}}
    (folder / "a.sigmf-meta").write_text(json.dumps(meta))
    return folder / "a.sigmf-meta"


def test_cs16_and_cf32_hold_the_same(frame, tmp_path):
    data, samples = frame
    integers(samples).tofile(tmp_path / "a.dat")
    samples.tofile(tmp_path / "a.cf32")
    whole = read(tmp_path / "a.dat", "cs16", 20e6)
    assert np.abs(whole.samples / 32767 - samples).max() < 1 / 32767
    floats = read(tmp_path / "a.cf32")
    assert (floats.samples == samples).all()
    assert (whole.rate, whole.warnings, floats.warnings) == (20e6, (), ())
    assert [decode(each.samples)[0].psdu for each in (whole, floats)] == [data, data]


@pytest.mark.parametrize("datatype", ["ci16_le", "ci16_be", "cf32_le"])
def test_sigmf_says_its_kind_and_rate(frame, datatype, tmp_path):
    data, samples = frame
    meta = sigmf(tmp_path, samples, datatype)
    for path in (meta, tmp_path / "a.sigmf-data"):
        found = read(path)
        assert found.rate == 20e6
        assert decode(found.samples)[0].psdu == data
    assert read(tmp_path / "a", "sigmf", 20e6).rate == 20e6


def stretched(samples, up, down):
    """`samples` at up / down times the rate: their spectrum in a longer one."""
    size = -(-len(samples) // down) * down
    spectrum, wide = np.fft.fft(samples, size), np.zeros(size // down * up, complex)
    half = size // 2
    wide[: size - half], wide[-half:] = spectrum[: size - half], spectrum[-half:]
    return (np.fft.ifft(wide) * len(wide) / size).astype(np.complex64)


@pytest.mark.parametrize(("up", "down", "rate"), [(5, 4, 25e6), (2, 1, 40e6), (192, 125, 30.72e6)])
def test_faster_recordings_are_resampled(frame, up, down, rate, tmp_path):
    data, samples = frame
    fast = stretched(samples, up, down)
    meta = sigmf(tmp_path, fast, "cf32_le", rate)
    found = read(meta)
    assert found.rate == rate
    assert len(found.samples) == pytest.approx(len(samples), abs=down)
    assert np.abs(found.samples[: len(samples)] - samples).max() < 1e-5
    [decoded] = decode(found.samples)
    assert (decoded.psdu, decoded.fcs_ok) == (data, True)


def test_resampling_leaves_20_mhz_alone_and_drops_what_is_outside(rng):
    samples = rng.normal(size=(1000, 2)).astype(np.float32).view(np.complex64)[:, 0]
    assert resample(samples, 20e6) is samples
    outside = np.exp(2j * np.pi * 15 / 40 * np.arange(4000)).astype(np.complex64)
    inside = np.exp(2j * np.pi * 5 / 40 * np.arange(4000)).astype(np.complex64)
    assert np.abs(resample(outside, 40e6)).max() < 1e-4
    assert np.abs(resample(inside, 40e6) - inside[::2]).max() < 1e-4


def test_a_cut_or_clipped_file_is_read_with_a_warning(frame, tmp_path):
    data, samples = frame
    path = tmp_path / "a.cs16"
    path.write_bytes(integers(samples).tobytes() + b"abc")
    truncated = read(path)
    assert truncated.warnings == (f"{path} is truncated: its last 3 bytes are not a complete sample",)
    assert decode(truncated.samples)[0].psdu == data
    np.clip(integers(samples, "<i4", 6 * 32767), -32768, 32767).astype("<i2").tofile(path)
    [warning] = read(path).warnings
    assert f"{path} is saturated in places: " in warning


SIZE = 800
NOISE = np.random.default_rng(0).normal(scale=300, size=SIZE)
BAD = {
    "empty": ("cs16", b"", "is empty: it has 0 bytes, one sample takes 4"),
    "one byte": ("cf32", b"a", "is empty: it has 1 bytes, one sample takes 8"),
    "zeros": ("cs16", bytes(4 * SIZE), f"all {SIZE} samples are zero: was the receiver on?"),
    "zeros as floats": ("cf32", bytes(8 * SIZE), f"all {SIZE} samples are zero"),
    "constant": ("cs16", b"\x01\x02\x03\x04" * SIZE, f"all {SIZE} samples are the same"),
    "saturated": ("cs16", np.where(NOISE > 0, 32767, -32768).astype("<i2").tobytes(), "is saturated: 100% of its"),
    "NaN": ("cf32", np.where(NOISE > 600, np.nan, NOISE).astype("<f4").tobytes(), "values are not finite"),
    "infinite": (
        "cf32",
        np.where(np.arange(SIZE) == 6, np.inf, NOISE).astype("<f4").tobytes(),
        "sample 3 is inf; 1 values are",
    ),
    "integers as floats": ("cf32", NOISE.astype("<i2").tobytes(), "try --format cs16"),
    "floats as integers": (
        "cs16",
        NOISE.astype("<f4").tobytes(),
        "floats of plausible size, try --format cf32",
    ),
    "text": ("cf32", b"time,I,Q\n" * 90, "try --format cs16"),
}


@pytest.mark.parametrize(("form", "content", "message"), BAD.values(), ids=BAD)
def test_bad_files_have_a_word(form, content, message, tmp_path):
    path = tmp_path / "bad.dat"
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        read(path, form)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_format_and_rate_must_be_known(tmp_path):
    path = tmp_path / "a.dat"
    with pytest.raises(
        ValueError, match=r"a\.dat: format does not follow from its name; it must be one of cs16, cf32, sigmf"
    ):
        read(path)
    with pytest.raises(ValueError, match="format 'wav' is unknown; it must be one of"):
        read(path, "wav")
    for rate in (0.0, -1.0, 1e6, float("nan"), float("inf")):
        with pytest.raises(
            ValueError, match=r"rate=\S+: must be between 2e\+07, the bandwidth of a channel, and 1e\+09"
        ):
            read(path, "cs16", rate)
    with pytest.raises(FileNotFoundError):
        read(path, "cs16")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"core:datatype": "rf32_le"}, "core:datatype 'rf32_le' is not supported; it must be one of ci8, cu8, ci16_le"),
        ({"core:datatype": 5}, "core:datatype 5 is not supported"),
        ({"core:sample_rate": 1e6}, r"core:sample_rate 1000000.0 must be between 2e\+07 and 1e\+09"),
        ({"core:sample_rate": "fast"}, "core:sample_rate 'fast' must be between"),
        ({"core:num_channels": 2}, "core:num_channels is 2; only recordings of one channel are supported"),
    ],
)
def test_bad_metadata_has_a_word(fields, message, frame, tmp_path):
    meta = sigmf(tmp_path, frame[1], **fields)
    with pytest.raises(ValueError, match=message):
        read(meta)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"global": 3}', '{"global": {}}', '"a"', "null"])
def test_metadata_that_is_none_has_a_word(text, tmp_path):
    (tmp_path / "a.sigmf-meta").write_text(text)
    with pytest.raises(ValueError, match=r"a\.sigmf-meta is not valid SigMF metadata: "):
        read(tmp_path / "a.sigmf-meta")


def test_metadata_and_words_must_agree(frame, tmp_path):
    with pytest.raises(
        ValueError, match=r"--rate 2\.5e\+07 contradicts .*a\.sigmf-meta, which states 2e\+07; omit --rate"
    ):
        read(sigmf(tmp_path, frame[1]), rate=25e6)


def survive(count, rng, path):
    """Reads and decodes `count` files of frames with bytes changed, lost, added or doubled. How many were refused."""
    frames = on_air([transmit(psdu(size, rng), RATES[mbps]) for size, mbps in ((30, 6), (90, 54), (14, 24))], 90)
    whole = {"cs16": integers(frames / 10).tobytes(), "cf32": (frames / 10).astype("<c8").tobytes()}
    refused = 0
    for _ in range(count):
        form = str(rng.choice(["cs16", "cf32"]))
        content = bytearray(whole[str(rng.choice([form, form, form, "cs16", "cf32"]))])
        for _ in range(rng.integers(1, 5)):
            at, size = int(rng.integers(len(content) + 1)), int(rng.integers(1, 900))
            kind = rng.integers(6)
            if kind == 0:
                content[at : at + size] = rng.bytes(size)
            elif kind == 1:
                del content[at : at + size]
            elif kind == 2:
                content[at:at] = content[at : at + size]
            elif kind == 3:
                del content[at:]
            elif kind == 4:
                content[at : at + size] = bytes([int(rng.choice([0, 127, 128, 255]))]) * size
            else:
                content[at : at + 1] = rng.bytes(1)
        path.write_bytes(content)
        try:
            found = read(path, form)
        except ValueError:
            refused += 1
            continue
        assert all(frame.fcs_ok == (frame.error == "") for frame in decode(found.samples))
    return refused


def test_damaged_files_are_read_or_refused(tmp_path, rng):
    assert 10 < survive(100, rng, tmp_path / "a") < 90


@pytest.mark.slow
def test_ten_thousand_damaged_files_are_read_or_refused(tmp_path, rng):
    assert 1_000 < survive(10_000, rng, tmp_path / "a") < 9_000


# What the data folder's README counts, and what tshark would show: type, bytes and rate of each frame.
@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("dot11a_6mbps", {("QoS data", 138, "6 Mb/s"): 10, ("ACK", 14, "6 Mb/s"): 10}),
        (
            "dot11a_24mbps",
            {
                ("QoS data", 138, "24 Mb/s"): 9,
                ("ACK", 14, "24 Mb/s"): 9,
                ("probe response", 111, "24 Mb/s"): 1,
            },
        ),
        ("dot11n_26mbps", {("QoS data", 138, "MCS 3"): 9, ("block ack", 32, "24 Mb/s"): 9}),
    ],
)
def test_recordings_of_an_access_point(name, counts, recordings):
    [path] = recordings.glob(f"{name}_*.dat")
    frames = decode(read(path, "cs16").samples)
    assert all(frame.fcs_ok and not frame.error for frame in frames)
    assert {frame.mpdus[0].header.transmitter for frame in frames if frame.length > 32} == {"e8:de:27:90:6e:42"}
    types = [(frame.mpdus[0].header.type, frame.length, frame.rate.name) for frame in frames]
    assert {each: types.count(each) for each in types} == counts
    assert {frame.mpdus[0].header.transmitter for frame in frames} == {
        "e8:de:27:90:6e:42",
        None,
    } or name == "dot11n_26mbps"
    assert all(-37e3 < frame.cfo_hz < -33e3 and 30 < frame.snr_db < 40 for frame in frames)


@pytest.mark.data
def test_recordings_survive_noise(recordings, rng):
    """At 15 dB 6 Mb/s loses nothing; what is added is measured."""
    [path] = recordings.glob("dot11a_6mbps_*.dat")
    samples = read(path, "cs16").samples
    power = np.mean(np.abs(samples[100:4000]) ** 2) * 64 / 52
    noise = np.sqrt(power / 2 * 10 ** (-15 / 10)) * rng.normal(size=(len(samples), 2)).view(np.complex128)[:, 0]
    frames = decode((samples + noise).astype(np.complex64))
    assert sum(frame.fcs_ok for frame in frames) == 20
    assert np.mean([frame.snr_db for frame in frames]) == pytest.approx(15, abs=1)
