"""A compiled float net computes what torch computes, for every layer that has a kernel, and ONNX Runtime agrees."""

import importlib.util
import io
import warnings
from pathlib import Path

import float_nets
import numpy as np
import pytest
import torch
from float_nets import Function, Language, SuperResolution
from programs import piped
from torch import nn

from mobile.build.compile_floats import compile_floats
from mobile.build.model import read_float_net, read_net
from mobile.codegen.library import library
from mobile.lowering.lower_floats import lower_floats
from mobile.runtime.compiler import SANITIZERS
from mobile.runtime.net import CompiledFloatNet
from shared.importers.graph import TracedGraph
from shared.importers.read import read_module


class Shortcut(nn.Module):
    def __init__(self, body, around=None, behind=None):
        super().__init__()
        self.body, self.around, self.behind = body, around or nn.Identity(), behind or nn.Identity()

    def forward(self, x):
        return self.behind(self.body(x) + self.around(x))


class Squeeze(nn.Module):
    """Channels scaled by what their mean says."""

    def __init__(self, channels):
        super().__init__()
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, 4, 1), nn.SiLU(), nn.Conv2d(4, channels, 1), nn.Sigmoid()
        )

    def forward(self, x):
        return x * self.scale(x)


class Concatenation(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 5, 1), nn.Conv2d(3, 7, 3, padding=1)

    def forward(self, x):
        return torch.cat([self.a(x), torch.tanh(self.b(x)), x], 1)


def convolution(inputs, outputs, kernel=3, stride=1, groups=1, behind=nn.ReLU):
    """With a batch norm whose numbers are random: one of zeros would hide what is wrong before it."""
    norm = nn.BatchNorm2d(outputs)
    for tensor in (norm.weight.data, norm.bias.data, norm.running_mean):
        tensor.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, norm, behind())


def inverted(inputs, outputs, stride, wide):
    body = nn.Sequential(
        convolution(inputs, wide, 1, behind=nn.ReLU6),
        convolution(wide, wide, 3, stride, wide, behind=nn.ReLU6),
        convolution(wide, outputs, 1, behind=nn.Identity),
    )
    return Shortcut(body) if stride == 1 and inputs == outputs else body


def mobilenet():
    """The blocks of MobileNetV2 at a quarter of its width."""
    layers, channels = [convolution(3, 8, 3, 2, behind=nn.ReLU6)], 8
    for outputs, stride, count in ((4, 1, 1), (6, 2, 2), (8, 2, 3), (16, 2, 2), (24, 1, 2)):
        for k in range(count):
            layers.append(inverted(channels, outputs, stride if k == 0 else 1, 6 * channels))
            channels = outputs
    head = [convolution(channels, 64, 1, behind=nn.ReLU6), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout()]
    return nn.Sequential(*layers, *head, nn.Linear(64, 10))


def resnet18(width):
    """ResNet-18, whose first blocks have `width` channels instead of 64."""
    layers, channels = [convolution(3, width, 7, 2), nn.MaxPool2d(3, 2, 1)], width
    for k in range(8):
        outputs, stride = width * 2 ** (k // 2), 2 if k in (2, 4, 6) else 1
        body = nn.Sequential(
            convolution(channels, outputs, 3, stride), convolution(outputs, outputs, 3, behind=nn.Identity)
        )
        around = convolution(channels, outputs, 1, stride, behind=nn.Identity) if stride == 2 else None
        layers.append(Shortcut(body, around, nn.ReLU()))
        channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


NETS = {
    "convolution": (
        lambda: nn.Sequential(nn.Conv2d(5, 19, (3, 2), (2, 1), (1, 2), dilation=(1, 2)), *convolution(5, 19)[1:]),
        (5, 9, 11),
    ),
    "groups": (lambda: nn.Sequential(nn.Conv2d(6, 36, 3, groups=3), nn.Conv2d(36, 72, 5, 2, 1, groups=36)), (6, 9, 9)),
    "line": (lambda: nn.Sequential(nn.Conv1d(2, 20, 5, 2), nn.ReLU(), nn.MaxPool1d(3, 2, 1), nn.Flatten()), (2, 33)),
    "vector": (lambda: nn.Sequential(nn.Linear(7, 33), nn.GELU(), nn.BatchNorm1d(33), nn.Linear(33, 3)), (7,)),
    "norm": (lambda: nn.Sequential(nn.MaxPool2d(2), *convolution(4, 4)[1:], nn.Hardtanh(-0.5, 0.25)), (4, 6, 6)),
    "mean": (lambda: nn.Sequential(nn.AvgPool2d(3, 2, 1), nn.Hardswish(), nn.Hardsigmoid()), (3, 8, 9)),
    "inside": (lambda: nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.LeakyReLU(0.1)), (3, 5, 5)),
    "largest": (lambda: nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten()), (20, 5, 4)),
    "squeeze": (lambda: Squeeze(20), (20, 6, 5)),
    "concatenation": (lambda: Concatenation(), (3, 6, 6)),
    "mobilenet": (mobilenet, (3, 48, 48)),
    "resnet18": (lambda: resnet18(8), (3, 64, 64)),
}


def net(name):
    torch.manual_seed(0)
    make, shape = (NETS | float_nets.NETS)[name]
    return make().eval(), shape


@pytest.mark.parametrize("name", NETS)
def test_a_float_net_equals_torch(name):
    module, shape = net(name)
    compiled = compile_floats(module, [shape], np.random.default_rng(0), count=3)
    assert set(compiled.errors) >= {"plain"}
    assert max(compiled.errors.values()) <= 1e-5


def write_onnx(module, example, path):
    pytest.importorskip("onnx")
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (example,), buffer, dynamo=False, opset_version=17)
    path.write_bytes(buffer.getvalue())
    return path


@pytest.mark.parametrize(
    "name", ["mobilenet", "resnet18", "vision transformer", "bicubic anchor", "encoder", "decoder"]
)
def test_a_file_of_onnx_compiles_to_what_its_runtime_computes(name, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    module, shape = net(name)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((3, *shape)).astype(np.float32)
    if name in ("encoder", "decoder"):
        x = rng.integers(0, 50, (3, *shape))
    file = read_module(write_onnx(module, torch.from_numpy(x[:1]), tmp_path / "net.onnx"))
    compiled = compile_floats(file.module, [file.example], np.random.default_rng(0), count=2)
    session = runtime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    ours = compiled.net(x)[0]
    for row in range(3):
        [theirs] = session.run(None, {session.get_inputs()[0].name: x[row : row + 1]})
        assert np.abs(ours[row] - theirs[0]).max() <= 1e-5 * np.abs(theirs).max()


def test_a_shape_that_a_file_leaves_open_is_asked_for_and_can_be_stated(tmp_path):
    pytest.importorskip("onnx")
    path, layer = tmp_path / "net.onnx", nn.Conv2d(3, 4, 3)
    options = {"input_names": ["x"], "dynamic_axes": {"x": {2: "rows", 3: "columns"}}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(layer, (torch.zeros(1, 3, 8, 8),), path, dynamo=False, opset_version=17, **options)
    with pytest.raises(
        ValueError, match=r"net.onnx: .*'x' needs a fixed shape behind its batch, got \(3, 0, 0\): state"
    ):
        read_float_net(str(path), "auto")
    assert read_float_net(str(path), "auto", "3x6x7").shape == (3, 6, 7)
    for shape in ("3x6", "4x6x7"):
        with pytest.raises(ValueError, match=r"has the shape \(3, 0, 0\) behind its batch, not"):
            read_float_net(str(path), "auto", shape)
    with pytest.raises(ValueError, match="shape '3,6,7' must be sizes with x between them"):
        read_float_net(str(path), "auto", "3,6,7")
    with pytest.raises(ValueError, match="shape '3x6x7' is for numbers 'float32'"):
        read_net(str(path), "", np.random.default_rng(0), "3x6x7")


OCR = {
    "ch_ppocr_mobile_v2.0_cls_mobile": (3, 48, 192),
    "PP-OCRv6_det_small": (3, 96, 128),
    "PP-OCRv6_rec_small": (3, 48, 96),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OCR)
def test_nets_that_read_text_compile(name):
    """Of the package rapidocr, whose files leave the sizes of images open: pip install --no-deps rapidocr==3.10.0."""
    spec = importlib.util.find_spec("rapidocr")
    runtime = pytest.importorskip("onnxruntime")
    if spec is None:
        pytest.skip("needs rapidocr")
    path, shape = Path(spec.origin).parent / "models" / f"{name}.onnx", OCR[name]
    file = read_module(path, shape)
    compiled = compile_floats(file.module, [shape], np.random.default_rng(0), count=2)
    x = np.random.default_rng(1).standard_normal((1, *shape)).astype(np.float32)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [expected] = session.run(None, {session.get_inputs()[0].name: x})
    if "cls" in name:  # its softmax is left out, which changes no answer
        assert compiled.net(x)[0].argmax() == expected.argmax()
    else:
        assert np.abs(compiled.net(x)[0] - expected).max() <= 1e-4 * np.abs(expected).max() + 1e-6


@pytest.mark.parametrize("name", NETS)
def test_every_multiplication_that_is_stated_is_executed_once(name):
    module, shape = net(name)
    lowered = lower_floats(TracedGraph.of(module, shape))
    for layer, _ in lowered.layer_calls:
        assert layer.executed_macs >= layer.dense_macs > 0
    calls = [id(call) for _, calls in lowered.layer_calls for call in calls]
    assert len(calls) == len(set(calls))


def test_blocks_of_zeros_are_left_out_and_a_layer_of_zeros_is_named():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(8, 32, 3), nn.ReLU(), nn.Conv2d(32, 16, 1))
    module[0].weight.data[:16, 2:] = 0  # a block of 16 outputs reads two of eight inputs
    module[2].weight.data[:] = 0
    compiled = compile_floats(module, [(8, 6, 6)], np.random.default_rng(0))
    first, second = compiled.lowered.layers
    assert first.format == "16x1"
    assert first.executed_macs == (16 * 2 + 16 * 8) * 9 * 16
    assert second.all_zero
    assert second.executed_macs == 0


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Mish()), (3, 8, 8), "Mish '1' has no kernel of floats: leave it"),
        (nn.Sequential(nn.MaxPool2d(2, ceil_mode=True)), (3, 7, 7), "MaxPool2d '0' has no kernel of floats: leave out"),
        (nn.Sequential(nn.GroupNorm(2, 8)), (8, 3), "GroupNorm '0' has no kernel of floats: use a batch norm"),
    ],
)
def test_what_has_no_kernel_of_floats_is_named(module, shape, message):
    with pytest.raises(ValueError, match=message):
        lower_floats(TracedGraph.of(module, shape))


def test_weights_that_are_not_numbers_are_refused():
    module = nn.Sequential(nn.Linear(3, 2))
    module[0].weight.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match="'0' has weights that are not finite numbers"):
        lower_floats(TracedGraph.of(module, (3,)))


def test_a_library_that_differs_is_refused(monkeypatch):
    from mobile.build import compile_floats as whole

    def spoilt(lowered):
        files = library(lowered)
        return files | {"net.c": files["net.c"].replace(b".low = 0.0f", b".low = -1.0f")}

    monkeypatch.setattr(whole, "library", spoilt)
    with pytest.raises(ValueError, match="the library differs from the net by"):
        compile_floats(net("line")[0], [(2, 33)], np.random.default_rng(0))


def images():
    """Every kernel of images."""
    return nn.Sequential(
        convolution(3, 20, 3, 2),
        nn.MaxPool2d(3, 2, 1),
        Squeeze(20),
        inverted(20, 20, 1, 40),
        Shortcut(nn.Conv2d(20, 20, 1), nn.GELU()),
        nn.AvgPool2d(2),
        SuperResolution(5, "bicubic", lambda: nn.PReLU(5), inputs=20),
        nn.Flatten(),
        nn.Linear(20 * 64, 5),
    )


def tokens():
    """Every kernel of tokens."""
    return nn.Sequential(nn.Flatten(), Function(lambda _, x: x[:, :12]), Language(False, words=5))


@pytest.mark.parametrize("make", [images, tokens])
def test_sanitizers_find_nothing_in_kernels_of_floats(tmp_path, make):
    torch.manual_seed(0)
    module = make().eval()
    files = library(lower_floats(TracedGraph.of(module, (3, 33, 33))))
    program = piped(files, tmp_path, flags=("-O1", "-g", *SANITIZERS))
    net = CompiledFloatNet(program, [(3, 33, 33)], [(5,)])
    x = np.random.default_rng(0).standard_normal((2, 3, 33, 33)).astype(np.float32)
    x[:, :, 0, :12] = np.arange(12) % 5  # words, for the table of them
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    for name in net.available():
        net.use(name)
        assert np.abs(net(x)[0] - expected).max() < 1e-5 * np.abs(expected).max()
