"""`qwedge classify`: a recording in, the waveform out; one line and exit code 2 for what is none."""

import json

import numpy as np
import pytest

from qwedge.commands import classify
from wireless.radar.datasets.generate import generate
from wireless.radar.datasets.recipe import Recipe
from wireless.radar.nets.pretrained import NAMES, pretrained
from wireless.recordings.samples import FORMATS


@pytest.fixture
def pulse(tmp_path):
    samples = generate(Recipe(count=1, classes=("t3",), snr_db=(10.0, 10.0))).samples[0]
    np.save(tmp_path / "pulse.npy", samples)
    return tmp_path / "pulse.npy"


@pytest.fixture
def run(call):
    return lambda *words: call("classify", *map(str, words))


def test_the_waveform_is_named_with_its_probability(pulse, run):
    code, out, err = run(pulse)
    assert (code, err) == (0, "")
    head, line = out.splitlines()
    assert head.startswith("sample")
    assert line.split()[:2] == ["0", "t3"]
    assert line.count("%") == 3


def test_json_has_all_classes(pulse, run):
    code, out, _ = run(pulse, "--json")
    data = json.loads(out)
    assert code == 0
    assert (data["net"], data["window"], data["samples"]) == ("iq", 1024, 1024)
    [answer] = data["answers"]
    assert answer["class"] == "t3"
    assert len(answer["probabilities"]) == 12


@pytest.mark.parametrize("net", classify.NETS)
def test_either_net_that_ships_answers(net, pulse, run):
    code, out, _ = run(pulse, "--net", net, "--json")
    data = json.loads(out)
    assert (code, data["net"], data["answers"][0]["class"]) == (0, net, "t3")


def test_a_net_of_ones_own_is_used(pulse, tmp_path, run):
    import torch

    from wireless.radar.nets.classifier import fresh

    net = fresh("iq-10k", ("yes", "no"), 256, torch.Generator())
    (tmp_path / "mine.safetensors").write_bytes(net.to_bytes())
    code, out, _ = run(pulse, "--weights", tmp_path / "mine.safetensors", "--json")
    data = json.loads(out)
    assert (code, data["net"], data["window"]) == (0, "iq-10k", 256)
    assert [answer["start"] for answer in data["answers"]] == [0, 128, 256, 384, 512, 640, 768]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.cs16", b"\0" * 4096, "all 1024 samples are zero: was the receiver on?"),
        ("a.cf32", np.full(2048, np.nan, "<f4").tobytes(), "values are not finite"),
        ("a.npy", b"nothing", "is not a plain NumPy array"),
        ("a.txt", b"nothing", "format does not follow from its name"),
        ("a.cs16", np.arange(100, dtype="<i2").tobytes(), "50 samples are too few: a window has 1024"),
        ("a.wav", b"RIFF", "is not a WAV file"),
    ],
)
def test_what_is_no_recording_is_one_line(name, content, words, tmp_path, run):
    (tmp_path / name).write_bytes(content)
    code, out, err = run(tmp_path / name)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


@pytest.mark.parametrize("name", ["none.cs16", "none.npy", "none.sigmf", "none.txt", "none"])
def test_a_missing_file_is_one_line(name, tmp_path, run):
    code, _, err = run(tmp_path / name)
    assert (code, err.count("\n")) == (2, 1)
    assert "no such file" in err


def test_a_sigmf_recording_is_named_without_its_suffixes(pulse, tmp_path, run):
    np.load(pulse).astype("<c8").tofile(tmp_path / "pulse.sigmf-data")
    (tmp_path / "pulse.sigmf-meta").write_text(json.dumps({"global": {"core:datatype": "cf32_le"}}))
    assert run(tmp_path / "pulse.sigmf")[:2] == run(pulse)[:2]


def test_a_folder_is_no_recording(tmp_path, run):
    code, _, err = run(tmp_path)
    assert (code, err) == (2, f"qwedge: {tmp_path} is a folder; a recording is one file\n")


def test_a_net_that_ships_and_weights_of_ones_own_are_two_nets(pulse, tmp_path, run):
    own = tmp_path / "own.safetensors"
    own.write_bytes(pretrained("iq-10k").to_bytes())
    assert run(pulse, "--weights", own)[:2] == run(pulse, "--net", "iq-10k")[:2]
    code, out, err = run(pulse, "--weights", own, "--net", "iq")
    assert (code, out) == (2, "")
    assert err == f"qwedge: --net iq and --weights {own} are two nets: give one\n"


def test_weights_of_another_net_are_one_line(pulse, tmp_path, run):
    (tmp_path / "w.safetensors").write_bytes(b"other")
    code, _, err = run(pulse, "--weights", tmp_path / "w.safetensors")
    assert code == 2
    assert "w.safetensors: not the weights of a radar net" in err


def test_the_help_lists_the_formats_that_are_read_and_the_nets_that_ship():
    assert classify.FORMATS == FORMATS
    assert classify.NETS == NAMES
