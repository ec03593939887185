"""A QONNX model becomes a project of hls4ml that computes what QONNX does, or is refused."""

import importlib.util
import re
import shutil
import sys

import numpy as np
import pytest

from fpga.hls import from_qonnx

if any(importlib.util.find_spec(name) is None for name in ("onnx", "qonnx", "hls4ml")):
    pytest.skip("QONNX needs qonnx and hls4ml: pip install -e '.[fpga]'", allow_module_level=True)
from onnx import TensorProto, helper, numpy_helper


@pytest.fixture(autouse=True)
def no_keras(monkeypatch):
    """Keras takes seconds to import, and hls4ml does without."""
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.setitem(sys.modules, "tensorflow", None)


def quant(given, name, bits, scale, *, signed=True):
    """A Quant node and its constants."""
    inputs = [given, f"{name}_scale", f"{name}_zero", f"{name}_bits"]
    fields = {"signed": int(signed), "narrow": 0, "rounding_mode": "ROUND", "domain": "qonnx.custom_op.general"}
    constants = dict(zip(inputs[1:], np.float32([scale, 0, bits]), strict=True))
    return helper.make_node("Quant", inputs, [name], name=f"{name}_node", **fields), constants


def model(last="Gemm", *, quantised=True):
    """6-5-3, the first layer a MatMul, the last a Gemm with a bias, which hls4ml itself does not read."""
    rng = np.random.default_rng(0)
    arrays = {"w": rng.normal(size=(6, 5)) / 2, "v": rng.normal(size=(3, 5)) / 2, "b": rng.integers(-9, 9, 3) / 16}
    nodes = []
    for given, name, bits, scale in (("x", "xq", 8, 2**-4), ("w", "wq", 6, 2**-5), ("v", "vq", 4, 2**-3)):
        node, constants = quant(given, name, bits, scale)
        nodes, arrays = [*nodes, node], arrays | constants
    nodes += [helper.make_node("MatMul", ["xq", "wq"], ["m"]), helper.make_node("Relu", ["m"], ["r"])]
    node, constants = quant("r", "a", 5, 2**-3, signed=False)
    fields = {"transB": 1} if last == "Gemm" else {}
    nodes += [node, helper.make_node(last, ["a", "vq", "b"] if last == "Gemm" else ["a"], ["y"], **fields)]
    if not quantised:
        nodes, arrays = [helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": arrays["w"]}
    tensors = [numpy_helper.from_array(np.float32(array), name) for name, array in (arrays | constants).items()]
    ends = [("x", [1, 6]), ("y", [1, 3] if last == "Gemm" else [1, 5])]
    given, result = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in ends)
    domains = [helper.make_opsetid("", 13), helper.make_opsetid("qonnx.custom_op.general", 1)]
    return helper.make_model(
        helper.make_graph(nodes, "net", [given], [result], tensors), opset_imports=domains, ir_version=8
    )


@pytest.mark.filterwarnings("error")
def test_a_model_becomes_a_project_with_the_precisions_of_its_quant_nodes(tmp_path):
    project = from_qonnx(model(), tmp_path)
    kinds = [
        (layer.class_name, str(layer.get_output_variable().type.precision)) for layer in project.graph.get_layers()
    ]
    assert ("Activation", "ufixed<5,2,RND_CONV,SAT,0>") in kinds
    assert [kind for kind, _ in kinds].count("Dense") == 2
    assert (tmp_path / "firmware" / "qwedge.cpp").exists()
    with pytest.raises(ValueError, match=r"this project is not compiled: call compile\(\) or check\(samples\) first"):
        project.predict(np.zeros((1, 6)))
    with pytest.raises(ValueError, match=r"check\(\) needs at least one sample, got none"):
        project.check(np.zeros((0, 6)))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler: g++")
def test_the_compiled_project_computes_what_qonnx_does(tmp_path):
    (tmp_path / "net.onnx").write_bytes(model().SerializeToString())
    project = from_qonnx(tmp_path / "net.onnx", tmp_path / "project")
    assert project.check(np.random.default_rng(1).normal(size=(200, 6)) * 4) == 600
    assert project.predict(np.zeros((1, 6))).shape == (1, 3)


def test_what_is_not_qonnx_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"has no Quant node, so it is not QONNX: read it by shared.f8net.convert.read"
    ):
        from_qonnx(model(quantised=False), tmp_path)


def test_an_operator_that_hls4ml_does_not_read_is_named(tmp_path):
    with pytest.raises(OSError, match=r"hls4ml cannot read this QONNX model into .*Unsupported operation type: Mish"):
        from_qonnx(model("Mish"), tmp_path)


def test_options_are_checked_first(tmp_path):
    with pytest.raises(ValueError, match=re.escape("Arg `reuse` must be at least 1 but was 0.")):
        from_qonnx(model(), tmp_path, reuse=0)


def test_without_hls4ml_there_is_a_hint(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "hls4ml.converters", None)
    with pytest.raises(ModuleNotFoundError, match=re.escape("from_qonnx needs hls4ml: pip install -e '.[fpga]'")):
        from_qonnx(model(), tmp_path)
