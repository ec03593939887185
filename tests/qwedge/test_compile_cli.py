"""`qwedge compile` writes a checked library, or says in one line why not and writes none."""

import json
import os
import shutil
import sys

import numpy as np
import pytest

from mobile.build.check import stimuli
from mobile.build.example import example
from mobile.runtime.compiler import CompilerError, find
from mobile.runtime.net import CompiledFloatNet, CompiledNet
from shared.integer import Constant, Input, Linear, Program, outputs
from shared.integer.files import load, save
from shared.integer.format import Format


@pytest.fixture
def compile_(call):
    pytest.importorskip("torch")
    try:
        find()
    except CompilerError as error:
        pytest.skip(str(error))
    return lambda *words: call("compile", *words)


@pytest.fixture
def model(tmp_path):
    save(example(np.random.default_rng(0)), tmp_path / "net.json")
    return "net.json"


def test_help_has_an_example(compile_):
    code, out, _ = compile_("--help")
    assert code == 0
    assert "Example: qwedge compile net.json --out lib" in out


def test_a_net_becomes_a_library_and_a_page(compile_, model, tmp_path):
    code, out, errors = compile_(model, "--out", "lib", "--format", "2x4", "--quiet", "--json", "--set", "rounds=3")
    assert code == 0, errors
    [row] = json.loads(out)["rows"]
    result = row["result"]
    assert all(check["mismatches"] == 0 for check in result["checks"])
    assert [layer["name"] for layer in result["layers"]] == ["stem_sum", "depthwise_sum", "pointwise_sum", "y"]
    assert all(layer["measured_ms"] > 0 and layer["reason"] for layer in result["layers"])
    assert {"net.c", "net.h", "kernels.c", "bench.c", "CMakeLists.txt"} <= {
        p.name for p in (tmp_path / "lib").iterdir()
    }
    page = (tmp_path / "lib" / "index.html").read_text()
    assert "equals the integer program" in page
    program = load(tmp_path / "lib" / "program.json")
    x = stimuli(program, 5, np.random.default_rng(1))
    assert (CompiledNet(tmp_path / "lib" / "net.so", program)(*x)[0] == outputs(program, *x)[0]).all()


def test_a_net_is_exported_too(compile_, model, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    code, _, errors = compile_(model, "--out", "lib", "--format", "2x4", "--export", "onnx", "--quiet")
    assert code == 0, errors
    assert (tmp_path / "lib" / "net.onnx").exists()
    assert "As ONNX: equal to ONNX Runtime" in (tmp_path / "lib" / "index.html").read_text()


def test_a_file_of_floats_is_not_made_of_integers(compile_, model, tmp_path):
    code, _, errors = compile_(model, "--out", "lib", "--export", "litert", "--quiet")
    assert code == 2
    assert "export 'litert' is of floats: state numbers float32 too" in errors
    assert not (tmp_path / "lib").exists()


@pytest.mark.slow
def test_a_float_net_is_a_litert_file_too(compile_, tmp_path):
    from torch import nn

    from shared.importers.read import write

    pytest.importorskip("tensorflow")
    write(
        nn.Sequential(nn.Conv2d(2, 5, 3), nn.ReLU()), tmp_path / "net.safetensors", shape=(2, 8, 8), input_format="s8.5"
    )
    code, _, errors = compile_(
        "net.safetensors", "--numbers", "float32", "--export", "litert", "--out", "lib", "--quiet"
    )
    assert code == 0, errors
    assert (tmp_path / "lib" / "net.tflite").exists()
    assert "As LiteRT: within 1e-4 of the largest output" in (tmp_path / "lib" / "index.html").read_text()


def test_a_float_net_becomes_a_library_that_is_near_it(compile_, tmp_path):
    import torch
    from torch import nn

    from shared.importers.read import write

    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 36, 3)).eval()
    write(net, tmp_path / "net.safetensors", shape=(2, 8, 8), input_format="s8.5")
    words = ("--numbers", "float32", "--threads", "2", "--out", "lib", "--quiet", "--json")
    code, out, errors = compile_("net.safetensors", *words)
    assert code == 0, errors
    [row] = json.loads(out)["rows"]
    assert row["result"]["threads"] == 2
    assert max(check["max_rel_error"] for check in row["result"]["checks"]) <= 1e-5
    page = (tmp_path / "lib" / "index.html").read_text()
    assert "of the largest output of the float net" in page
    assert "of a clock on the wall, 2 threads together," in page
    x = np.random.default_rng(0).standard_normal((2, 2, 8, 8)).astype(np.float32)
    [y] = CompiledFloatNet(tmp_path / "lib" / "net.so", [(2, 8, 8)], [(3,)])(x)
    assert np.abs(y - net(torch.from_numpy(x)).detach().numpy()).max() < 1e-5


def wide():
    layer = Linear(("x",), "y", Constant(np.ones((2, 2), int), Format(8, 0)))
    return Program((Input("x", (2,), Format(16, 0)),), (layer,), ("y",))


def programs(folder, broken):
    """A folder with this machine's compiler and, `broken`, one for Arm that fails."""
    folder.mkdir()
    (folder / "gcc").symlink_to(shutil.which(find().command[0]))
    if broken:
        (folder / "aarch64-linux-gnu-gcc").write_text("#!/bin/sh\nexit 1\n")
        (folder / "aarch64-linux-gnu-gcc").chmod(0o755)
    return f"{folder}{os.pathsep}/bin" if broken else str(folder)


@pytest.mark.parametrize(
    ("words", "changes", "message"),
    [
        (["net.json"], {"CC": "no-such-compiler"}, "a C compiler is needed, but CC=no-such-compiler is no program"),
        (["net.json", "--format", "2x4"], {"CC": "false"}, "false failed with exit status 1"),
        (["wide.json", "--format", "2x4"], {}, "multiplies 'x', which has more than 8 bits: requantise it"),
        (["half.json"], {}, "half.json"),
        (["none.json"], {}, "none.json: no such file"),
        (["net.pt"], {}, "may hold code"),
        (["net.json", "--samples", "nan.npy"], {}, "finite numbers, got NaN"),
        (["net.json", "--format", "3x4"], {}, "3x4"),
        (["net.json", "--target", "arm64"], {"PATH": "gcc alone"}, "a C compiler for arm64 is needed, but neither"),
        (["net.json", "--format", "2x4", "--target", "arm64"], {"PATH": "broken"}, "exit status 1"),
        (["net.json", "--target", "riscv"], {}, "riscv"),
        (["net.json", "--set", "compard=3"], {}, "did you mean `compared`?"),
    ],
)
def test_what_cannot_be_compiled_is_one_line_and_no_library(
    compile_, model, tmp_path, monkeypatch, words, changes, message
):
    save(wide(), tmp_path / "wide.json")
    (tmp_path / "half.json").write_bytes((tmp_path / "net.json").read_bytes()[:500])
    (tmp_path / "net.pt").write_bytes(b"")
    np.save(tmp_path / "nan.npy", np.full((2, 3, 8, 8), np.nan))
    for name, value in changes.items():
        monkeypatch.setenv(name, value if name == "CC" else programs(tmp_path / value, broken=value == "broken"))
    if "PATH" in changes:
        monkeypatch.setitem(sys.modules, "ziglang", None)
    monkeypatch.setenv("QWEDGE_CACHE", str(tmp_path / "cache")) if "CC" in changes else None
    code, out, errors = compile_(*words, "--out", "lib", "--quiet")
    assert (code, out) == (2, "")
    assert message in errors
    assert len(errors.strip().splitlines()) == 1
    assert not list((tmp_path / "lib").glob("*.[ch]"))


def test_nan_weights_are_one_line(compile_, tmp_path):
    torch = pytest.importorskip("torch")
    from shared.importers.read import write

    net = torch.nn.Sequential(torch.nn.Linear(4, 3))
    write(net, tmp_path / "net.safetensors", shape=(4,), input_format="s8.4", samples=torch.rand(8, 4))
    from safetensors.torch import load_file, save_file

    tensors = load_file(tmp_path / "net.safetensors")
    for tensor in tensors.values():
        tensor.view(-1)[0] = float("nan")
    save_file(tensors, tmp_path / "net.safetensors")
    code, out, errors = compile_("net.safetensors", "--out", "lib", "--quiet")
    assert (code, out) == (2, "")
    assert len(errors.strip().splitlines()) == 1
    assert "NaN" in errors
