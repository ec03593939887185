"""Recordings are read from files of several kinds; whatever is wrong with one is a ValueError that says it."""

import io
import json
import struct
import tarfile

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


def tar(path, **files):
    """An uncompressed archive of files in a folder."""
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"a/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def meta_text(captures=(), **fields):
    return json.dumps({"global": {"core:datatype": "ci16_le", **fields}, "captures": list(captures)}).encode()


def laid_out(form, samples, path):
    """Writes the samples in one of the forms of SigMF that need more than their type; the path to read."""
    content, meta, data = integers(samples).tobytes(), path / "a.sigmf-meta", path / "a.sigmf-data"
    half = 4 * (len(samples) // 2)
    header = {"core:sample_start": 0, "core:header_bytes": 514}
    if form == "header":
        meta.write_bytes(meta_text([header]))
        data.write_bytes(b"h" * 514 + content)
    elif form == "trailing":
        meta.write_bytes(meta_text([header], **{"core:trailing_bytes": 37}))
        data.write_bytes(b"h" * 514 + content + b"t" * 37)
    elif form == "dataset":
        meta.write_bytes(meta_text([header], **{"core:dataset": "other.bin"}))
        (path / "other.bin").write_bytes(b"h" * 514 + content)
    elif form == "captures":
        second = {"core:sample_start": 1000 + half // 4, "core:header_bytes": 31}
        meta.write_bytes(meta_text([header | {"core:sample_start": 1000}, second], **{"core:offset": 1000}))
        data.write_bytes(b"h" * 514 + content[:half] + b"i" * 31 + content[half:])
    elif form == "archive":
        return tar(path / "a.sigmf", **{"a.sigmf-meta": meta_text([header]), "a.sigmf-data": b"h" * 514 + content})
    return meta


@pytest.mark.parametrize("form", ["header", "trailing", "dataset", "captures", "archive"])
def test_sigmf_says_where_its_samples_are(form, frame, tmp_path):
    data, samples = frame
    recording = read(laid_out(form, samples, tmp_path))
    assert np.abs(recording.samples / 32767 - samples).max() < 1 / 32767
    assert decode(recording.samples)[0].psdu == data
    assert len(recording.warnings) == (form == "captures")
    assert all("has 2 captures: they are joined" in warning for warning in recording.warnings)


@pytest.mark.parametrize(
    ("captures", "fields", "message"),
    [
        ([{"core:header_bytes": -1}], {}, "core:header_bytes -1 must be a whole number, 0 or more"),
        ([{"core:header_bytes": 10**9}], {}, "a capture begins at sample 0, beyond the end of"),
        ([{"core:sample_start": 5}, {"core:sample_start": 4}], {}, "captures must be in order of core:sample_start"),
        ([], {"core:trailing_bytes": 10**9}, "core:trailing_bytes is 1000000000, but"),
        ([], {"core:dataset": "../other.bin"}, "must be the name of a file in the same folder"),
        ([], {"core:metadata_only": True}, "is metadata only"),
        ([3], {}, "is not valid SigMF metadata"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(captures, fields, message, frame, tmp_path):
    (tmp_path / "a.sigmf-meta").write_bytes(meta_text(captures, **fields))
    integers(frame[1]).tofile(tmp_path / "a.sigmf-data")
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "a.sigmf-meta")


def test_archives_are_read_with_care(frame, tmp_path):
    content = integers(frame[1]).tobytes()
    for files, message in (
        ({}, r"must hold one recording, but has 0 \(none\)"),
        ({"a.sigmf-meta": meta_text(), "b.sigmf-meta": meta_text()}, "but has 2"),
        ({"a.sigmf-meta": meta_text()}, "has no file 'a/a.sigmf-data'"),
        ({"a.sigmf-meta": b"[" * 100_000, "a.sigmf-data": content}, "is not valid SigMF metadata"),
    ):
        with pytest.raises(ValueError, match=message):
            read(tar(tmp_path / "b.sigmf", **files))
    (tmp_path / "c.sigmf").write_bytes(content)
    with pytest.raises(ValueError, match="is not a SigMF archive"):
        read(tmp_path / "c.sigmf")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.sigmf", "c.sigmf"]


@pytest.mark.parametrize(
    ("name", "kind", "zero"), [("a.cs8", "i1", 0), ("a.cu8", "u1", 128), ("a.wav", "<i2", 0), ("b.wav", "<f4", 0)]
)
def test_bytes_and_wav(name, kind, zero, frame, tmp_path):
    data, samples = frame
    size = np.dtype(kind).itemsize
    parts = samples.view(np.float32) / np.abs(samples.view(np.float32)).max() * {1: 100, 2: 10_000, 4: 1}[size]
    content = ((parts if kind == "<f4" else parts.round()) + zero).astype(kind).tobytes()
    if name.endswith("wav"):
        form = struct.pack("<HHIIHH", 3 if kind == "<f4" else 1, 2, 20_000_000, 40_000_000 * size, 2 * size, 8 * size)
        chunks = b"WAVEfmt " + struct.pack("<I", 16) + form + b"LIST\3\0\0\0abc\0data" + struct.pack("<I", len(content))
        content = b"RIFF" + struct.pack("<I", len(chunks) + len(content)) + chunks + content
    (tmp_path / name).write_bytes(content)
    assert decode(read(tmp_path / name).samples)[0].psdu == data


@pytest.mark.parametrize("channel", [0, 2])
def test_one_of_several_channels(channel, frame, rng, tmp_path):
    data, samples = frame
    every = 0.01 * rng.normal(size=(len(samples), 3, 2)).view(np.complex128)[..., 0]
    every[:, channel] = samples
    meta = sigmf(tmp_path, every.astype(np.complex64).reshape(-1), "cf32_le", **{"core:num_channels": 3})
    assert decode(read(meta, channel=channel).samples)[0].psdu == data
    with pytest.raises(ValueError, match=r"channel=3: .* has the channels 0 to 2"):
        read(meta, channel=3)


@pytest.mark.parametrize(("width", "times"), [(10e6, 1), (5e6, 1), (5e6, 2)])
def test_narrow_channels(width, times, frame, tmp_path):
    """A channel of half the width: all times twice as long, all frequencies half as high."""
    data, samples = frame
    meta = sigmf(tmp_path, stretched(samples, times, 1), "cf32_le", times * width)
    with pytest.raises(ValueError, match=f"--width {times * width:g}".replace("+", r"\+")):
        read(meta)
    recording = read(meta, width=width)
    [decoded] = decode(recording.samples, width_hz=recording.width)
    assert (decoded.psdu, decoded.rate_name) == (data, f"{24 * width / 20e6:g} Mb/s")
    assert decoded.time_s == pytest.approx(200 / width, abs=2 / width)
    assert decoded.cfo_hz == pytest.approx(2e4 * width / 20e6, rel=0.1)


@pytest.mark.parametrize("centre", [-10e6, 10e6, 3e6])
def test_a_channel_beside_the_centre(centre, frame, tmp_path):
    data, samples = frame
    wide = stretched(samples, 2, 1)
    wide = (wide * np.exp(2j * np.pi * centre / 40e6 * np.arange(len(wide)))).astype(np.complex64)
    meta = sigmf(tmp_path, wide, "cf32_le", 40e6)
    assert decode(read(meta, centre=centre).samples)[0].psdu == data
    with pytest.raises(ValueError, match=r"centre=1.1e.07: a channel 2e.07 wide there is not within 4e.07"):
        read(meta, centre=11e6)


def test_i_and_q_can_be_exchanged(frame, tmp_path):
    data, samples = frame
    (samples.imag + 1j * samples.real).astype("<c8").tofile(tmp_path / "a.cf32")
    assert decode(read(tmp_path / "a.cf32", swap_iq=True).samples)[0].psdu == data


@pytest.mark.parametrize(("datatype", "size"), [("cf32_le", 1e6), ("cf64_le", 1e300)])
def test_a_wild_sample_is_named(datatype, size, frame, tmp_path):
    data, samples = frame
    wild = stretched(samples, 2, 1).astype(np.complex128)
    wild[100] = size
    meta = sigmf(tmp_path, samples, datatype, 40e6)
    wild.astype(f"<c{16 if '64' in datatype else 8}").tofile(tmp_path / "a.sigmf-data")
    recording = read(meta)
    [warning] = recording.warnings
    assert "sample 100 (" in warning
    assert "is more than 100 times larger than all near: set to zero" in warning
    assert decode(recording.samples)[0].psdu == data


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
    path.touch()
    with pytest.raises(
        ValueError,
        match=r"a\.dat: format does not follow from its name; it must be one of cs8, cu8, cs16, cf32, wav, sigmf",
    ):
        read(path)
    with pytest.raises(ValueError, match="format 'mp3' is unknown; it must be one of"):
        read(path, "mp3")
    for rate in (0.0, -1.0, 1e6, float("nan"), float("inf")):
        with pytest.raises(
            ValueError, match=r"rate=\S+: must be between 2e\+07, the bandwidth of a channel, and 1e\+09"
        ):
            read(path, "cs16", rate)
    path.unlink()
    for format in (None, "cs16"):
        with pytest.raises(FileNotFoundError):
            read(path, format)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"core:datatype": "rf32_le"}, "core:datatype 'rf32_le' is not supported; it must be one of ci8, cu8, ci16_le"),
        ({"core:datatype": 5}, "core:datatype 5 is not supported"),
        ({"core:sample_rate": 1e6}, r"sample rate 1000000.0 must be between 2e\+07 and 1e\+09"),
        ({"core:sample_rate": "fast"}, "core:sample_rate 'fast' must be a number"),
        ({"core:num_channels": 2}, "has 2 channels; choose one by --channel 0 to 1"),
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
        ValueError, match=r"--rate 2\.5e\+07 contradicts .*a\.sigmf-data, which states 2e\+07; omit --rate"
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
