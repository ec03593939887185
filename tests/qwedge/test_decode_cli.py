"""`qwedge decode`: from a recording to a table or JSON; whatever is wrong with it is one line."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from wireless.ofdm.phy.mac import aggregate, fcs
from wireless.ofdm.phy.rates import MCS, RATES
from wireless.ofdm.phy.transmit import transmit

BODY = bytes.fromhex("88023000 e4907e152a16 e8de2790 6e42 0123456789ab 3012") + b"hello, world"
DATA = BODY + fcs(BODY)
ACK = bytes.fromhex("d4000000 e8de27906e42")
ACK += fcs(ACK)


@pytest.fixture
def decode(call):
    return lambda *words: call("decode", *words)


def record(*frames, name="a.cs16", tail=500):
    """Writes frames, 400 samples apart and 35 kHz off, in a little noise, as 16-bit integers."""
    silence = np.zeros(400)
    x = np.concatenate([part for frame in frames for part in (silence, frame)] + [np.zeros(tail)])
    x = x * np.exp(-2j * np.pi * 35e3 / 20e6 * np.arange(len(x)))
    x = x + 0.01 * np.random.default_rng(1).normal(size=(len(x), 2)).view(np.complex128)[:, 0]
    (x.astype(np.complex64).view(np.float32) * 5000).astype("<i2").tofile(name)
    return name


def test_table_has_a_line_for_each_frame(decode):
    record(transmit(DATA, RATES[24]), transmit(ACK, RATES[6]), transmit(DATA, MCS[3].short()))
    code, out, err = decode("a.cs16", "--format", "cs16", "--rate", "20e6")
    assert code == 0
    samples = Path("a.cs16").stat().st_size // 4
    *progress, summary = err.splitlines()
    assert summary == f"a.cs16: 3 frames, 3 with a valid FCS in {samples} samples"
    assert all(line.startswith("decode: ") for line in progress)  # shown where kernels have to be compiled first
    title, *lines = out.splitlines()
    assert " ".join(title.split()) == "time ms format rate bytes SNR dB CFO kHz type to from FCS"
    assert lines[0].split()[:5] == ["0.0200", "non-HT", "24", "Mb/s", "40"]
    assert lines[0].split()[-5:] == ["QoS", "data", "e4:90:7e:15:2a:16", "e8:de:27:90:6e:42", "ok"]
    assert lines[1].split()[-3:] == ["ACK", "e8:de:27:90:6e:42", "ok"]
    assert lines[2].split()[1:5] == ["HT", "MCS", "3", "short"]
    assert decode("a.cs16", "--quiet") == (0, out, "")


def test_json_is_the_same_and_more(decode):
    broken = DATA[:-1] + b"?"
    record(transmit(DATA, RATES[54]), transmit(broken, RATES[12]), transmit(aggregate([DATA, ACK]), MCS[0], 9, True))
    code, out, _ = decode("a.cs16", "--json")
    assert code == 0
    printed = json.loads(out)
    assert {key: printed[key] for key in ("file", "rate_hz", "samples", "warnings")} == {
        "file": "a.cs16", "rate_hz": 20e6, "samples": printed["samples"], "warnings": [],
    }  # fmt: skip
    whole, wrong, parts = printed["frames"]
    assert (whole["mbps"], whole["length"], whole["fcs_ok"], whole["error"]) == (54.0, len(DATA), True, None)
    assert bytes.fromhex(whole["psdu"]) == DATA
    assert abs(whole["start"] - 400) <= 1
    assert whole["time_s"] == whole["start"] / 20e6
    assert abs(whole["cfo_hz"] + 35e3) < 1e3
    assert 30 < whole["snr_db"] < 42
    assert whole["mpdus"] == [
        {
            "length": len(DATA),
            "fcs_ok": True,
            "type": "QoS data",
            "receiver": "e4:90:7e:15:2a:16",
            "transmitter": "e8:de:27:90:6e:42",
            "third": "01:23:45:67:89:ab",
            "sequence": 0x123,
        }
    ]
    assert (wrong["fcs_ok"], wrong["error"]) == (False, "FCS wrong")
    assert [part["type"] for part in parts["mpdus"]] == ["QoS data", "ACK"]


def test_what_stops_a_frame_stands_in_its_line(decode):
    record(transmit(DATA[:-1] + b"?", RATES[24]), transmit(bytes(2000), RATES[6])[:5000], tail=0)
    code, out, _ = decode("a.cs16")
    assert code == 0
    assert out.splitlines()[1].split()[-1] == "wrong"
    assert "samples beyond the recording" in out.splitlines()[2]


def test_blocks_by_name(decode):
    record(transmit(DATA, RATES[36]))
    words = ("--estimator", "lmmse-robust", "--demapper", "exact", "--passes", "1", "--quiet")
    code, out, _ = decode("a.cs16", *words)
    assert (code, out.split()[-1]) == (0, "ok")
    for word in ("estimator", "demapper", "decoder"):
        code, _, err = decode("a.cs16", f"--{word}", "psychic")
        assert (code, err.count("\n")) == (2, 1)
        assert f"{word} 'psychic' is unknown: it must be one of " in err


def test_a_recording_without_frames_is_said_to_have_none(decode):
    (np.random.default_rng(0).normal(size=9000) * 100).astype("<i2").tofile("a.cs16")
    code, out, err = decode("a.cs16")
    assert (code, len(out.splitlines()), err) == (0, 1, "a.cs16: no frame in 4500 samples\n")
    assert json.loads(decode("a.cs16", "--json")[1])["frames"] == []


def test_sigmf_needs_no_words_and_warnings_are_told(decode):
    record(transmit(DATA, RATES[9]), name="b.sigmf-data")
    with Path("b.sigmf-data").open("ab") as file:
        file.write(b"xy")
    meta = {"global": {"core:datatype": "ci16_le", "core:sample_rate": 20e6}}
    Path("b.sigmf-meta").write_text(json.dumps(meta))
    code, out, err = decode("b.sigmf-meta")
    assert (code, out.split()[-1]) == (0, "ok")
    assert err.splitlines()[0] == "qwedge: b.sigmf-data is truncated: its last 2 bytes are not a complete sample"


def test_a_recording_without_right_frames_gets_a_hint(decode):
    record(transmit(DATA, RATES[24]), tail=1000)
    values = np.fromfile("a.cs16", "<i2")
    values.reshape(-1, 2)[:, ::-1].tofile("swapped.cs16")
    (values / np.abs(values).max() * 127).astype("i1").tofile("bytes.cs16")
    assert "with I and Q exchanged 1 frames are right: --swap-iq" in decode("swapped.cs16")[2]
    assert "--format cs8" in decode("bytes.cs16")[2]
    for words in (("swapped.cs16", "--swap-iq"), ("bytes.cs16", "--format", "cs8")):
        assert decode(*words, "--quiet")[1].split()[-1] == "ok"
    assert "--centre HZ picks another" in decode("a.cs16", "--rate", "40e6")[2]


def test_a_narrow_channel_has_its_own_rates(decode):
    record(transmit(DATA, RATES[24]))
    code, out, _ = decode("a.cs16", "--width", "10e6", "--json")
    [frame] = json.loads(out)["frames"]
    assert (code, frame["rate"], frame["mbps"], frame["fcs_ok"]) == (0, "12 Mb/s", 12.0, True)
    assert frame["time_s"] == frame["start"] / 10e6
    assert abs(frame["cfo_hz"] + 17.5e3) < 500


def test_bad_input_is_one_line(decode):
    Path("empty.cs16").touch()
    np.zeros(100, "<i2").tofile("zero.cs16")
    np.full(100, np.nan, "<f4").tofile("nan.cf32")
    Path("bad.sigmf-meta").write_text("{}")
    record(transmit(DATA, RATES[9]))
    for words, message in (
        (("none.cs16",), "none.cs16: no such file"),
        (("empty.cs16",), "empty.cs16 is empty: it has 0 bytes"),
        (("zero.cs16",), "all 50 samples are zero"),
        (("nan.cf32",), "nan.cf32: sample 0 is nan; 100 values are not finite"),
        (("a.cs16", "--format", "cf32"), "try --format cs16"),
        (("a.cs16", "--format", "mp3"), "format 'mp3' is unknown; it must be one of cs8, cu8, cs16, cf32, wav, sigmf"),
        (("a.cs16", "--rate", "10e6"), "rate=1e+07: must be between 2e+07"),
        (("a.cs16", "--rate", "fast"), "Invalid value for '--rate': 'fast' is not a valid float"),
        (("a.cs16", "--passes", "-1"), "Invalid value for '--passes'"),
        (("bad.sigmf-meta",), "bad.sigmf-meta is not valid SigMF metadata"),
        ((".",), "is a folder; a recording is one file"),
        ((), "Missing argument 'CAPTURE'"),
    ):
        code, out, err = decode(*words)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert message in err


def test_help_loads_no_framework(python):
    code = """
import sys
from qwedge.cli import main
try:
    main(["decode", "--help"])
except SystemExit:
    pass
print(sorted({"numpy", "numba", "torch", "wireless"} & set(sys.modules)))
"""
    assert python("-c", code).stdout.splitlines()[-1] == "[]"


@pytest.mark.data
def test_recordings_of_an_access_point(decode):
    folder = Path(os.environ.get("QWEDGE_DATA", "")) / "wifi80211"
    if "QWEDGE_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("needs recordings: set QWEDGE_DATA to a folder that has wifi80211")
    for name, count in (("dot11a_6mbps", 20), ("dot11a_24mbps", 19), ("dot11n_26mbps", 18)):
        [path] = folder.glob(f"{name}_*.dat")
        code, out, err = decode(str(path), "--format", "cs16", "--rate", "20e6")
        assert code == 0
        assert f": {count} frames, {count} with a valid FCS in " in err
        assert len(out.splitlines()) == count + 1
