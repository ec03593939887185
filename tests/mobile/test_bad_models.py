"""What is wrong with a model is one line that says so: truncated and mutated files, weights that are not numbers."""

import io
import warnings

import float_nets
import numpy as np
import pytest
import torch
from torch import nn

from mobile.build.model import read_float_net, read_net
from mobile.codegen import library as library_of
from mobile.lowering.lower import lower
from mobile.lowering.lower_floats import lower_floats
from shared.importers.graph import TracedGraph

pytest.importorskip("onnx")
IMAGE = torch.zeros(1, 3, 8, 8)
MODELS = {
    "layers": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3)
        ),
        IMAGE,
    ),
    "encoder": (lambda: float_nets.Language(False, words=5), torch.zeros(1, 12, dtype=torch.int64)),
    "super-resolution": (lambda: float_nets.SuperResolution(4, "bicubic", lambda: nn.PReLU(4)), IMAGE),
}


def onnx_of(module, example):
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (example,), buffer, dynamo=False, opset_version=17)
    return buffer.getvalue()


def spoilt(data, rng):
    """Cut off, or with a few bytes or bits changed."""
    if rng.random() < 0.2:
        return data[: rng.integers(len(data))]
    changed = np.frombuffer(data, np.uint8).copy()
    at = rng.integers(len(data), size=rng.integers(1, 6))
    changed[at] = np.where(rng.random(len(at)) < 0.5, rng.integers(256, size=len(at)), changed[at] ^ 1 << (at % 8))
    return changed.tobytes()


def kernel_calls(path, samples):
    """All that comes before the C compiler."""
    if samples:
        return lower(read_net(path, samples, np.random.default_rng(0)).program, format="dense")
    net = read_float_net(path, "auto")
    return lower_floats(TracedGraph.of(net.module, net.example))


@pytest.mark.parametrize(
    ("name", "count"),
    [(name, 66) for name in MODELS] + [pytest.param(name, 3400, marks=pytest.mark.slow) for name in MODELS],
)
def test_a_spoilt_file_is_a_net_or_one_line(name, count, tmp_path):
    torch.manual_seed(0)
    make, example = MODELS[name]
    data, rng = onnx_of(make(), example), np.random.default_rng(count)
    path, samples = tmp_path / "net.onnx", tmp_path / "samples.npy"
    np.save(samples, rng.random((4, *example.shape[1:]), np.float32))
    refusals = []
    for turn in range(count):
        path.write_bytes(spoilt(data, rng))
        try:
            kernel_calls(str(path), str(samples) if name == "layers" and turn % 2 else "")
        except (ValueError, OSError) as error:
            refusals.append(str(error))
    assert len(refusals) > count / 4
    assert all(len(each.splitlines()) == 1 for each in refusals)


def test_weights_of_gigabytes_are_one_line_before_any_c_is_written(monkeypatch):
    lowered = lower_floats(TracedGraph.of(nn.Sequential(nn.Linear(100, 64)), (100,)))
    assert library_of.library(lowered)
    monkeypatch.setattr(library_of, "MOST_WEIGHTS", 2**14)
    with pytest.raises(ValueError, match="the net has 0 MiB of weights and tables, at most 0 can be written"):
        library_of.library(lowered)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers_are_one_line(bad, tmp_path):
    torch.manual_seed(0)
    module = MODELS["layers"][0]()
    module[0].weight.data[1, 2, 0, 0] = bad
    (tmp_path / "net.onnx").write_bytes(onnx_of(module, IMAGE))
    with pytest.raises(ValueError, match="finite") as caught:
        kernel_calls(str(tmp_path / "net.onnx"), "")
    assert len(str(caught.value).splitlines()) == 1
