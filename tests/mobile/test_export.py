"""What is exported as ONNX computes the net in ONNX Runtime, keeps its zeros, and comes back as the same net."""

import float_nets
import numpy as np
import pytest
import torch
from integer_programs import PROGRAMS
from torch import nn

from mobile.build import export
from mobile.build.example import example
from mobile.build.export import export_module, export_program
from shared.integer import Input, Program, Requantise, outputs
from shared.integer.format import Format
from shared.integer.onnx_qdq import to_onnx
from shared.integer.onnx_reader import from_onnx

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
NETS = {**{name: make(seed=1) for name, make in PROGRAMS.items()}, "example": example(np.random.default_rng(0))}


@pytest.mark.parametrize("name", NETS)
def test_integers_are_equal_and_read_back(name):
    program, exported = NETS[name], export_program(NETS[name])
    assert "bit for bit" in exported.note
    back = from_onnx(onnx.load_from_string(exported.model))
    x = [np.random.default_rng(0).integers(i.format.low, i.format.high + 1, (4, *i.shape)) for i in program.inputs]
    for ours, theirs in zip(outputs(back, *x), outputs(program, *x), strict=True):
        assert (ours == theirs).all()


def test_a_file_that_computes_something_else_is_refused(monkeypatch):
    def spoilt(program):
        model = to_onnx(program)
        tensor = next(each for each in model.graph.initializer if each.data_type == onnx.TensorProto.INT8)
        tensor.raw_data = bytes(1 ^ byte for byte in tensor.raw_data)
        return model

    monkeypatch.setattr(export, "to_onnx", spoilt)
    with pytest.raises(ValueError, match="ONNX Runtime"):
        export_program(NETS["example"])


def test_a_pruned_net_keeps_its_zeros():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 36, 4))
    net[0].weight.data[:, 1] = 0
    exported = export_module(net, torch.zeros(1, 3, 8, 8), np.random.default_rng(0))
    assert "to the rounding of float32" in exported.note
    [weight] = [
        onnx.numpy_helper.to_array(each)
        for each in onnx.load_from_string(exported.model).graph.initializer
        if list(each.dims) == [16, 3, 3, 3]
    ]
    assert (weight == net[0].weight.detach().numpy()).all()
    assert not weight[:, 1].any()
    assert net.training


def test_words_are_exported_too():
    torch.manual_seed(0)
    words = torch.arange(12)[None] % 5
    assert export_module(float_nets.Language(False, words=5), words, np.random.default_rng(0)).note.startswith("equal")


def test_what_has_no_form_in_onnx_is_named():
    wide = Program((Input("x", (2,), Format(26, 0)),), (Requantise(("x",), "y", Format(8, 0)),), ("y",))
    with pytest.raises(ValueError, match="'x' has 26 bits, at most 24"):
        export_program(wide)
