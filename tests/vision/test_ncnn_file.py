"""Nets in ncnn's files: the module that is read computes what the net computes that was written."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate, silu

from vision.nets.ncnn_file import NcnnNet

HALVES = (0x01306B47).to_bytes(4, "little")
WHOLE = bytes(4)


def weights(tensor, kind="<f2"):
    data = (HALVES if kind == "<f2" else WHOLE) + tensor.detach().numpy().astype(kind).tobytes()
    return data + bytes(-len(data) % 4)


def floats(tensor):
    return tensor.detach().numpy().astype("<f4").tobytes()


def text(*lines):
    return "\n".join(["7767517", f"{len(lines) + 1} 9", "Input image 0 1 x", *lines])


@pytest.fixture
def conv():
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 5, 3, padding=1)  # an odd number of halves, which are filled up
    layer.weight.data = layer.weight.data.half().float()
    return layer


X = torch.rand(2, 3, 6, 7, generator=torch.Generator().manual_seed(0))
CONV = "Convolution a 1 1 x y 0=5 1=3 4=1 5=1 6=135"


@pytest.mark.parametrize("kind", ["<f2", "<f4"])
def test_weights_of_both_kinds_are_read(conv, kind):
    net = NcnnNet(text(CONV), weights(conv.weight, kind) + floats(conv.bias))
    assert torch.allclose(net(X), conv(X), atol=1e-6)


def test_every_layer_computes_what_torch_does(conv):
    last, prelu = nn.Conv2d(15, 12, 1), nn.PReLU(5)
    last.weight.data = last.weight.data.half().float()
    prelu.weight.data = torch.linspace(-0.5, 0.5, 5)
    mean = torch.tensor([0.1, 0.2, 0.3]).reshape(1, 3, 1, 1)
    net = NcnnNet(
        text(
            "Split s 1 2 x x0 x1",
            "MemoryData m 0 1 m 0=1 1=1 2=3",
            "BinaryOp b 2 1 x0 m c 0=1",
            "BinaryOp b 1 1 c d 0=2 1=1 2=2.5e+00",
            "Convolution a 1 1 d e 0=5 1=3 4=1 5=1 6=135",
            "Split s 1 4 e e0 e1 e2 e3",
            "PReLU p 1 1 e0 f 0=5",
            "Swish w 1 1 e1 g",
            "Sigmoid o 1 1 e2 h",
            "BinaryOp b 2 1 h e3 i",
            "Concat t 3 1 f g i j",
            "Convolution l 1 1 j k 0=12 1=1 5=1 6=180",
            "PixelShuffle u 1 1 k q 0=2",
            "Interp n 1 1 x1 r 0=1 1=2.0e+00 2=2.0e+00",
            "BinaryOp b 2 1 q r v 0=0",
            "Interp n 1 1 v z 0=3 1=5.0e-01 2=5.0e-01",
        ),
        floats(mean) + weights(conv.weight) + floats(conv.bias) + floats(prelu.weight)
        + weights(last.weight) + floats(last.bias),
    )  # fmt: skip
    e = conv((X - mean) * 2.5)
    k = last(torch.cat([prelu(e), silu(e), e.sigmoid() + e], 1))
    large = torch.pixel_shuffle(k, 2) + interpolate(X, scale_factor=2.0, mode="nearest")
    assert torch.allclose(net(X), interpolate(large, scale_factor=0.5, mode="bicubic"), atol=1e-5)


@pytest.mark.parametrize(
    ("param", "data", "says"),
    [
        ("", b"", "it: not a list of layers of ncnn, which begins with 7767517"),
        ("PK\x03\x04", b"", "it: not a list of layers of ncnn"),
        (text("LSTM l 1 1 x y"), b"", "it: not a net that is read here: a layer of the kind LSTM"),
        (text(CONV), b"", "it: not a net that is read here: 0 bytes of weights, and the layers need more"),
        (
            text(CONV),
            HALVES + bytes(100),
            "it: not a net that is read here: 104 bytes of weights, and the layers need more",
        ),
        (
            text(CONV),
            HALVES + bytes(272 + 20 + 8),
            "it: not a net that is read here: 304 bytes of weights, and the layers need 296",
        ),
        (
            text(CONV),
            b"\1\2\3\4" + bytes(600),
            "it: not a net that is read here: weights of another kind than 16 or 32 bits",
        ),
        (text("Convolution a 1 1 x"), b"", "it: not a net that is read here"),
        (text("Convolution a one 1 x y"), b"", "it: not a net that is read here"),
    ],
)
def test_other_files_are_one_line(param, data, says):
    with pytest.raises(ValueError, match=says) as error:
        NcnnNet(param, data, "it")
    assert "\n" not in str(error.value)


def test_numbers_are_those_of_the_file_whatever_the_machine(conv):
    net = NcnnNet(text(CONV), weights(conv.weight) + floats(conv.bias))
    assert np.array_equal(net.layers[1].compute.weight.numpy(), conv.weight.detach().numpy())
