"""Transformers are read from ONNX as torch exported them, and what is not read is named."""

import io
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from shared.importers.onnx import read_float
from shared.importers.onnx_constants import computed

onnx = pytest.importorskip("onnx")


class Net(nn.Module):
    """A function of tensors, with layers of its own."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function, self.layers = function, nn.ModuleDict(layers)

    def forward(self, x):
        return self.function(self, x)


class Attention(nn.Module):
    def __init__(self, width, heads, order, causal=False):
        super().__init__()
        self.qkv, self.out, self.heads = nn.Linear(width, 3 * width), nn.Linear(width, width), heads
        self.order, self.causal = order, causal

    def forward(self, x):
        batch, tokens, width = x.shape
        y = self.qkv(x)
        if self.order == "permuted":
            q, k, v = y.reshape(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        else:
            q, k, v = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in y.split(width, -1))
        scores = q @ k.transpose(-2, -1) * (width // self.heads) ** -0.5
        if self.causal:
            scores = scores.masked_fill(torch.ones(tokens, tokens).tril() == 0, float("-inf"))
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


def block(width, heads, order, **options):
    attend, first, second = Attention(width, heads, order, **options), nn.LayerNorm(width), nn.LayerNorm(width)
    mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def compute(self, x):
        x = x + self.layers["attend"](self.layers["first"](x))
        return x + self.layers["mlp"](self.layers["second"](x))

    return Net(compute, attend=attend, first=first, second=second, mlp=mlp)


def vision():
    patches, blocks, head = nn.Conv2d(3, 24, 4, 4), block(24, 3, "permuted"), nn.Linear(24, 5)
    token, places = torch.randn(1, 1, 24), torch.randn(1, 17, 24)

    def compute(self, x):
        y = self.layers["patches"](x).flatten(2).transpose(1, 2)
        y = torch.cat([token.expand(x.shape[0], -1, -1), y], 1) + places
        return self.layers["head"](self.layers["blocks"](y)[:, 0])

    return Net(compute, patches=patches, blocks=blocks, head=head), torch.randn(3, 3, 16, 16)


def language(causal):
    words, head = nn.Embedding(50, 32), nn.Linear(32, 50)
    places, norm, blocks = nn.Embedding(12, 32), nn.LayerNorm(32), block(32, 4, "split", causal=causal)

    def compute(self, x):
        y = self.layers["words"](x) + self.layers["places"](torch.arange(x.shape[1]))
        y = self.layers["blocks"](self.layers["norm"](y))
        return self.layers["head"](y if causal else torch.tanh(y.mean(1)))

    net = Net(compute, words=words, places=places, norm=norm, blocks=blocks, head=head)
    return net, torch.randint(50, (3, 12))


def moves():
    def compute(self, x):
        a, b = x[:, :, 1:9:2].squeeze(1), x[:, :, :4].select(1, 0)
        return torch.cat([a.unsqueeze(1), (b / torch.arange(1, 6))[:, None]], 1) ** 2 - 2 * x.mean((2,), keepdim=True)

    return Net(compute), torch.randn(3, 1, 10, 5)


NETS = {"vision": vision, "encoder": lambda: language(False), "decoder": lambda: language(True), "moves": moves}


def exported(net, x, opset=17, **options):
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net.eval(), (x[:1],), buffer, dynamo=False, opset_version=opset, **options)
    return onnx.load_from_string(buffer.getvalue())


@pytest.mark.parametrize("opset", [13, 17, 20])
@pytest.mark.parametrize("name", NETS)
def test_a_net_on_tensors_is_read_as_it_was_exported(name, opset):
    torch.manual_seed(0)
    net, x = NETS[name]()
    if (name, opset) == ("decoder", 13):
        opset = 14  # the first that has triangles
    model = exported(net, x, opset)
    read = read_float(model)
    with torch.no_grad():
        error = (read.module(x.float()) - net(x)).abs().max()
    assert error < 1e-5
    assert read.shape == x.shape[1:]
    assert read.words == (50 if x.dtype == torch.int64 else 0)


def uneven():
    """What a file with paddings that differ between sides computes, by ONNX Runtime."""
    weight = torch.randn(4, 3, 2, 2)
    node = onnx.helper.make_node
    nodes = [
        node("Conv", ["x", "w"], ["a"], auto_pad="SAME_UPPER", strides=[1, 1]),
        node("MaxPool", ["a"], ["b"], kernel_shape=[2, 2], auto_pad="SAME_LOWER"),
        node("AveragePool", ["b"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
        node("HardSigmoid", ["c"], ["d"], alpha=0.3),
        node("ConvTranspose", ["d", "t"], ["e"], strides=[2, 2]),
        node("MaxPool", ["e"], ["y"], kernel_shape=[3, 3], pads=[0, 2, 1, 1], strides=[2, 2]),
    ]
    arrays = {"w": weight.numpy(), "t": torch.randn(4, 2, 2, 2).numpy()}
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    value = onnx.helper.make_tensor_value_info
    ends = value("x", 1, [1, 3, 5, 6]), value("y", 1, [1, 2, 5, 6])
    graph = onnx.helper.make_graph(nodes, "uneven", [ends[0]], [ends[1]], tensors)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)


def test_paddings_that_differ_between_sides_are_read():
    runtime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    model, x = uneven(), torch.randn(1, 3, 5, 6)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    [expected] = session.run(None, {"x": x.numpy()})
    assert np.abs(read_float(model).module(x).detach().numpy() - expected).max() < 1e-5


def test_the_error_function_of_a_gelu_is_one_node():
    net = nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 4))
    nodes = [node.op_type for node in exported(net, torch.randn(1, 4)).graph.node]
    assert "Erf" in nodes
    kinds = [type(layer).__name__ for layer in read_float(exported(net, torch.randn(1, 4))).module.layers.values()]
    assert kinds == ["Linear", "Function", "Linear"]


def test_another_error_function_is_no_gelu():
    model = exported(Net(lambda self, x: x * (torch.erf(x / 1.5) + 1) * 0.5), torch.randn(1, 4))
    with pytest.raises(ValueError, match=r"ONNX Erf .*: this operator is not supported: use Gemm"):
        read_float(model)


@pytest.mark.parametrize(
    ("function", "shape", "message"),
    [
        (lambda self, x: x / x.mean(1, keepdim=True), (4, 5), "ONNX Div .*: it divides by what depends on an input"),
        (lambda self, x: x**3, (4, 5), "ONNX Pow .*: squares are the only powers"),
        (lambda self, x: torch.where(torch.eye(5) > 0, x, 1.0), (5, 5), "ONNX Where .*: it fills with 1.0: masks"),
        (lambda self, x: torch.cumsum(x, 1), (4, 5), "ONNX CumSum .*: this operator is not supported: use Gemm"),
    ],
)
def test_what_is_not_read_is_named_with_the_way_out(function, shape, message):
    with pytest.raises(ValueError, match=message):
        read_float(exported(Net(function), torch.randn(1, *shape)))


def test_constants_are_folded_as_their_version_of_onnx_says():
    node = onnx.helper.make_node("Unsqueeze", ["a"], ["b"], axes=[0])
    assert computed(node, 11, [np.array(3)])[0].tolist() == [3]
    node = onnx.helper.make_node("Unsqueeze", ["a", "axes"], ["b"])
    assert computed(node, 17, [np.array(3), np.array([0])])[0].tolist() == [3]


@pytest.mark.parametrize(
    ("kind", "arrays", "message"),
    [
        ("ConstantOfShape", [np.array([2**20, 2**20])], "it makes 1,099,511,627,776 constants"),
        ("Range", [np.array(0), np.array(2**40), np.array(1)], "it makes 1,099,511,627,776 constants"),
        ("If", [np.array(True)], "this operator on constants is not supported: fold them"),
        ("Concat", [np.zeros(2)], "its constants cannot be computed"),
    ],
)
def test_constants_that_cannot_be_folded_are_refused(kind, arrays, message):
    node = onnx.helper.make_node(kind, [f"x{k}" for k in range(len(arrays))], ["y"])
    with pytest.raises(ValueError, match=message):
        computed(node, 17, arrays)


def test_shapes_that_change_are_asked_for():
    model = exported(vision()[0], torch.randn(1, 3, 16, 16), input_names=["x"], dynamic_axes={"x": {2: "rows"}})
    with pytest.raises(
        ValueError, match=r"the ONNX input 'x' needs a fixed shape behind its batch.*: state one, shape=3x48"
    ):
        read_float(model)
    with pytest.raises(ValueError, match=r"the ONNX input 'x' has the shape .* behind its batch, not"):
        read_float(model, (4, 16, 16))
    assert read_float(model, (3, 16, 16)).shape == (3, 16, 16)


def test_whole_numbers_that_choose_no_words_are_named():
    model = exported(Net(lambda self, x: x * 2), torch.arange(6)[None])
    with pytest.raises(ValueError, match="is of whole numbers: those that choose words are read"):
        read_float(model)


def test_reading_leaves_the_model_as_it_was():
    net, x = vision()
    model = exported(net, x)
    before = model.SerializeToString()
    read_float(model)
    assert model.SerializeToString() == before
    assert np.isfinite(functional.softmax(read_float(model).module(x), -1).detach().numpy()).all()
