"""QDQ models of any scales, as tools write them, are the float models that they stand for, ReLUs put back."""

import io
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from shared.f8net.agreement import agreement
from shared.f8net.convert import read_file
from shared.importers.onnx_dequantised import NOTE, dequantised
from shared.importers.read import read_module

onnx = pytest.importorskip("onnx")
helper = onnx.helper


class Net(nn.Module):
    """ReLU, ReLU6, a depthwise layer, a sum and a classifier; what they limit is often beyond their ends."""

    def __init__(self):
        super().__init__()
        self.first, self.deep = nn.Conv2d(3, 9, 3, 2, 1), nn.Conv2d(9, 9, 3, 1, 1, groups=9)
        self.point, self.last = nn.Conv2d(9, 9, 1), nn.Linear(9, 5)
        nn.init.uniform_(self.deep.weight, -2, 4)

    def forward(self, x):
        y = torch.relu(self.first(x))
        return self.last((y + self.point(functional.relu6(self.deep(y)))).mean((2, 3)))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A net, and its file as ONNX Runtime's tool quantises it: unsigned activations, a scale for each channel."""
    pytest.importorskip("onnxruntime")
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    torch.manual_seed(0)
    net, x = Net().eval(), torch.randn(32, 3, 11, 8)
    folder = tmp_path_factory.mktemp("quantised")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        buffer = io.BytesIO()
        torch.onnx.export(net, (x[:1],), buffer, dynamo=False, opset_version=17, input_names=["x"])
    (folder / "float.onnx").write_bytes(buffer.getvalue())

    class Samples(CalibrationDataReader):
        rest = iter([{"x": each[None].numpy()} for each in x])

        def get_next(self):
            return next(self.rest, None)

    kinds = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    paths = (str(folder / name) for name in ("float.onnx", "net.onnx"))
    quantize_static(*paths, Samples(), QuantFormat.QDQ, per_channel=True, **kinds)
    return net, x, folder / "net.onnx"


def test_the_float_model_is_near_the_net_that_was_quantised(written):
    net, x, path = written
    assert "Relu" not in {node.op_type for node in onnx.load(path).graph.node}
    read = read_module(path)
    with torch.no_grad():
        off = (read.module(x) - net(x)).norm() / net(x).norm()
    assert off < 0.02
    assert read.notes == (NOTE,)


def test_with_samples_it_becomes_integers_that_agree_with_it(written):
    net, x, path = written
    file = read_file(path, samples=x)
    assert file.notes == (NOTE,)
    assert agreement(lambda x: net(torch.from_numpy(x)).detach().numpy(), file.program, x.numpy()).correlation > 0.97
    with pytest.raises(ValueError, match="9 scales: use one for the whole tensor, or give samples, which"):
        read_file(path)


def model(nodes, **constants):
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output], **fields) for kind, inputs, output, fields in nodes],
        "g",
        [helper.make_tensor_value_info("x", 1, ["batch", 3])],
        [helper.make_tensor_value_info("y", 1, None)],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])


@pytest.mark.parametrize(("axis", "zero"), [(0, 3), (1, -7)])
def test_constants_are_what_they_stand_for_along_any_axis(axis, zero):
    rng = np.random.default_rng(0)
    integers, scale = rng.integers(-128, 128, (3, 3)).astype(np.int8), rng.random(3, np.float32)
    nodes = [("DequantizeLinear", ["w", "s", "z"], "W", {"axis": axis}), ("MatMul", ["x", "W"], "y", {})]
    plain = dequantised(model(nodes, w=integers, s=scale, z=np.full(3, zero, np.int8)))
    [numbers] = [onnx.numpy_helper.to_array(each) for each in plain.graph.initializer if each.name == "W"]
    expected = (integers.astype(float) - zero) * np.expand_dims(scale, 1 - axis)
    np.testing.assert_allclose(numbers, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("zero", "ends"), [(np.uint8(0), (0, 127.5)), (np.int8(-128), (0, 127.5)), (np.uint8(9), None)]
)
def test_only_quantisers_that_end_at_zero_limit_a_sum(zero, ends):
    nodes = [
        ("MatMul", ["x", "w"], "sum", {}),
        ("QuantizeLinear", ["sum", "s", "z"], "q", {}),
        ("DequantizeLinear", ["q", "s", "z"], "y", {}),
    ]
    plain = dequantised(model(nodes, w=np.eye(3, dtype=np.float32), s=np.float32(0.5), z=zero))
    arrays = {each.name: float(onnx.numpy_helper.to_array(each).max()) for each in plain.graph.initializer}
    clips = [tuple(arrays[name] for name in node.input[1:]) for node in plain.graph.node if node.op_type == "Clip"]
    assert clips == ([ends] if ends else [])


def test_a_scale_that_is_computed_is_one_line():
    nodes = [("QuantizeLinear", ["x", "x"], "q", {}), ("DequantizeLinear", ["q", "x"], "y", {})]
    with pytest.raises(ValueError, match="ONNX QuantizeLinear 'q': its scale must be a constant of float32"):
        dequantised(model(nodes))
