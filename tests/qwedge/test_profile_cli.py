"""`qwedge profile` measures every kernel call, `qwedge latency` predicts them and compiles nothing."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mobile.build import profile as built
from mobile.build.example import example
from mobile.pricing.example import EXAMPLE, FLOATS
from mobile.runtime.compiler import CompilerError, find
from shared.integer.files import save

EXAMPLES = {"int8": EXAMPLE, "float32": FLOATS}


@pytest.fixture
def model(tmp_path, monkeypatch):
    held_out = {"median_error": 0.02, "p90_error": 0.06}
    laws = {numbers: replace(example, held_out=held_out) for numbers, example in EXAMPLES.items()}
    monkeypatch.setattr(built, "calibrated", lambda progress, numbers="int8": laws[numbers])
    save(example(np.random.default_rng(0)), tmp_path / "net.json")
    return "net.json"


def rows(done):
    code, out, errors = done
    assert code == 0, errors
    [row] = json.loads(out)["rows"]
    return row["result"]


def test_a_prediction_needs_no_compiler(call, model, monkeypatch, tmp_path):
    monkeypatch.setenv("CC", "no-such-compiler")
    result = rows(call("latency", model, "--out", "out", "--quiet", "--json"))
    assert "measured_ms" not in result
    assert result["predicted_ms"] == pytest.approx(sum(each["predicted_ms"] for each in result["calls"]))
    assert "Profile: net" in (tmp_path / "out" / "index.html").read_text()


def test_floats_have_laws_of_their_own(call, model, tmp_path):
    from torch import nn

    from mobile.pricing.net import net_latency
    from shared.importers.read import write

    net = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 64, 3)).eval()
    write(net, tmp_path / "floats.safetensors", shape=(2, 8, 8), input_format="s8.5")
    floats = ("latency", "floats.safetensors", "--numbers", "float32", "--out", "out", "--quiet", "--json")
    result = rows(call(*floats))
    assert result["predicted_ms"] == pytest.approx(net_latency(net, (2, 8, 8), FLOATS, "float32").ms)
    code, _, errors = call(*floats, "--format", "2x4")
    assert code == 2
    assert "format '2x4' is of integers" in errors


def test_a_profile_has_every_call_as_measured(call, model, tmp_path):
    try:
        find()
    except CompilerError as error:
        pytest.skip(str(error))
    words = ("profile", model, "--out", "out", "--quiet", "--json", "--rounds", "3", "--format", "1x4")
    assert rows(call(*words, "--threads", "2"))["threads"] == 2
    assert "measured on 2 threads by a clock on the wall" in (tmp_path / "out" / "index.html").read_text()
    result = rows(call(*words))
    for each in result["calls"]:
        assert 0 <= each["measured_ms"] <= each["median_ms"]
    assert [each["call"] for each in result["calls"] if "format" in each] == [
        "convolve stem",
        "depthwise depthwise",
        "convolve pointwise",
        "convolve y",
    ]
    assert not list((tmp_path / "out").glob("*.c"))


@pytest.mark.parametrize("verb", ["profile", "latency"])
def test_a_missing_file_is_one_line(call, verb):
    code, out, errors = call(verb, "nothing.json", "--quiet")
    assert (code, out) == (2, "")
    assert "nothing.json: no such file" in errors
