"""`qwedge synth` says in one line what is wrong, and writes nothing then."""

import json

import numpy as np
import pytest

from fpga.build.example import example
from shared.integer.files import save


@pytest.fixture
def synth(call):
    return lambda *words: call("synth", *words)


@pytest.fixture
def program(tmp_path):
    save(example(np.random.default_rng(0)), tmp_path / "net.json")
    return "net.json"


def test_help_has_an_example(synth):
    code, out, _ = synth("--help")
    assert code == 0
    assert "Example: qwedge synth net.json --device ecp5-25k --out build/net" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--device", "ecp5-99k"], "device 'ecp5-99k' is unknown: it must be one of ecp5-25k,"),
        (["--backend", "vivid"], "backend 'vivid' is unknown: it must be one of vitis,"),
        (["--set", "compard=3"], "unknown setting `compard`: did you mean `compared`?"),
        (["--style", "unrolled", "--latency", "3"], "latency=3 clocks: unrolled it takes"),
        (["--interval", "1"], "interval=1 clocks cannot be met"),
        (["--samples", "none.npy"], "none.npy: no such file"),
        (["--labels", "."], ".: is a directory"),
    ],
)
def test_what_cannot_be_built_is_one_line(synth, program, tmp_path, words, message):
    code, out, told = synth(program, "--out", "out", "--quiet", *words)
    assert (code, out) == (2, "")
    assert message in told
    assert len(told.strip().splitlines()) == 1
    assert not (tmp_path / "out" / "rows.jsonl").exists()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("net.json", "{", "net.json"),
        ("net.pt", "", "may hold code"),
        ("net.txt", "", "must be a file .json, .onnx, .pt2, .safetensors: got '.txt'"),
        ("net", "", "must be a file .json, .onnx, .pt2, .safetensors: its name has no ending"),
    ],
)
def test_what_is_no_net_is_one_line(synth, tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    code, out, told = synth(name, "--quiet")
    assert (code, out) == (2, "")
    assert message in told
    assert len(told.strip().splitlines()) == 1


@pytest.mark.synth
@pytest.mark.slow
def test_a_bitstream_comes_with_its_page(synth, program, tmp_path, monkeypatch):
    monkeypatch.setenv("QWEDGE_CACHE", str(tmp_path / "cache"))
    words = ["--device", "ice40-hx8k", "--clock", "40", "--set", "csim=false", "--set", "compared=50", "--json"]
    code, out, told = synth(program, "--out", "out", "--quiet", *words)
    assert code == 0, told
    ladder = json.loads(out)["rows"][0]["result"]["ladder"]
    assert [check["mismatches"] for check in ladder] == [0, 0, 0]
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {
        "index.html",
        "rows.jsonl",
        "top.bin",
        "top.v",
        "net.h",
    }


@pytest.mark.synth
@pytest.mark.slow
def test_a_project_of_hls4ml_is_compared_and_unpacked(synth, program, tmp_path, monkeypatch):
    monkeypatch.setenv("QWEDGE_CACHE", str(tmp_path / "cache"))
    code, out, told = synth(program, "--flow", "hls4ml", "--out", "out", "--quiet", "--json")
    assert code == 0, told
    result = json.loads(out)["rows"][0]["result"]
    assert [(check["outcome"], check["samples"]) for check in result["ladder"]] == [("passed", 10), ("passed", 200)]
    assert str(tmp_path) not in json.dumps(result)
    assert (tmp_path / "out" / "project" / "firmware" / "qwedge.cpp").is_file()
