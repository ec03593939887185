"""Operators of nets that enlarge images are read from ONNX as torch exported them."""

import io
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional

from shared.importers.onnx import to_torch
from shared.importers.onnx_runtime import require_close

onnx = pytest.importorskip("onnx")


class Enlarger(nn.Module):
    def __init__(self, mode):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(11, 12, 3, padding=1)
        self.slopes, self.mode = nn.PReLU(8, init=0.3), mode

    def forward(self, x):
        y = torch.cat([self.slopes(self.first(x)), functional.leaky_relu(x, 0.2)], 1)
        y = functional.pixel_shuffle(torch.tanh(self.second(functional.hardswish(y))), 2)
        return (y + functional.interpolate(x, scale_factor=2.0, mode=self.mode)).clamp(-0.5, 1.0)


def exported(net, shape):
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net.eval(), (torch.zeros(1, *shape),), buffer, dynamo=False, opset_version=17)
    return onnx.load_from_string(buffer.getvalue())


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_a_net_that_enlarges_is_read_as_it_was_exported(mode):
    pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    net = Enlarger(mode)
    model = exported(net, (3, 6, 7))
    module, shape = to_torch(model)
    x = torch.randn(4, 3, 6, 7)
    assert shape == (3, 6, 7)
    with torch.no_grad():
        assert (module(x) - net(x)).abs().max() < 1e-6

    def compute(samples):
        with torch.no_grad():
            return module(torch.from_numpy(samples)).numpy()

    assert "equal to ONNX Runtime" in require_close(model, compute, model.graph.output[0].name, x.numpy(), 1).note


class Resized(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.options = options

    def forward(self, x):
        return functional.interpolate(x, **self.options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale_factor": 1.5}, r"ONNX Resize .*: scales \[1, 1, n, n\] with a whole n are needed"),
        (
            {"scale_factor": 2, "mode": "bilinear", "align_corners": True},
            "ONNX Resize .*: mode linear with align_corners is not supported",
        ),
    ],
)
def test_what_is_not_read_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        to_torch(exported(Resized(**options), (3, 6, 6)))


def test_squares_in_the_other_order_are_refused():
    model = exported(nn.Sequential(nn.PixelShuffle(2)), (4, 3, 3))
    [mode] = [each for each in model.graph.node[0].attribute if each.name == "mode"]
    mode.s = b"DCR"
    with pytest.raises(ValueError, match="mode=b'DCR' is not supported: it must be b'CRD'"):
        to_torch(model)
