"""LiteRT files compute what the nets compute, in LiteRT's interpreter; what is not written is one line."""

import sys

import numpy as np
import pytest
import token_nets
import torch
from torch import nn

from shared.exporters.litert_file import to_litert
from shared.training.loop import seeded
from vision.stylize.nets import Generator, Shape
from vision.stylize.stylizer import plain_net as styling
from vision.superres.nets import CollapsedNet, PlainNet, WideNet
from vision.superres.upscaler import plain_net as enlarging

NETS = {
    "plain x2": lambda: enlarging(PlainNet(2, 5, 2)),
    "collapsed x3": lambda: enlarging(CollapsedNet(3, 5, 2)),
    "wide x4": lambda: enlarging(WideNet(4, 5, 9, 4, 2)),
    "generator": lambda: styling(Generator(Shape(3, 4, 5, 3, 2)).eval()),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_a_file_computes_what_the_net_does(name):
    tensorflow = pytest.importorskip("tensorflow")
    net = seeded(NETS[name], torch.Generator().manual_seed(1))
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.2)  # tails begin as zeros
    x = torch.rand(1, 3 if name == "generator" else 1, 12, 8)
    interpreter = tensorflow.lite.Interpreter(model_content=to_litert(net, x, "large"))
    runner = interpreter.get_signature_runner()
    y = runner(image=x.permute(0, 2, 3, 1).numpy())["large"]
    assert np.abs(y - net(x).detach().permute(0, 2, 3, 1).numpy()).max() < 1e-4 * (1 + np.abs(y).max())


COMPILED = {
    "encoder": (lambda: token_nets.Sentences(), torch.randint(100, (1, 12))),
    "vision transformer": (lambda: token_nets.Images(), torch.randn(1, 3, 12, 12)),
    "gates": (lambda: token_nets.Gates(), torch.randn(1, 3, 12, 20)),
    "layers": (
        lambda: nn.Sequential(
            *(nn.Conv2d(4, 8, 3, 2, 1, groups=2), nn.BatchNorm2d(8), nn.ReLU6(), nn.MaxPool2d(3, 2, 1)),
            *(nn.Conv2d(8, 16, 3, padding=1, groups=8), nn.SiLU(), nn.AvgPool2d(3, 1, 1), nn.PixelShuffle(2)),
            *(
                nn.Conv2d(4, 4, 3, padding=2, dilation=2),
                nn.Hardswish(),
                nn.Flatten(),
                nn.Linear(256, 3),
                nn.Softmax(1),
            ),
        ),
        torch.randn(1, 4, 14, 15),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPILED)
def test_the_interpreter_computes_every_operator_of_compiled_nets(name):
    pytest.importorskip("tensorflow")
    torch.manual_seed(0)
    make, x = COMPILED[name]
    assert to_litert(make(), x, "y", "x")  # which compares


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (nn.Softsign(), "Softsign '0' is not written to LiteRT files"),
        (nn.MaxPool2d(2, ceil_mode=True), r"MaxPool2d '0' is not written to LiteRT files in this form: ceil_mode"),
    ],
)
def test_an_operation_that_is_not_written_is_one_line(layer, says):
    pytest.importorskip("tensorflow")
    with pytest.raises(ValueError, match=says):
        to_litert(nn.Sequential(layer), torch.rand(1, 4, 8, 8))


def test_without_tensorflow_the_way_out_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ModuleNotFoundError, match="LiteRT files need TensorFlow: pip install tensorflow"):
        to_litert(nn.Conv2d(1, 1, 3), torch.rand(1, 1, 8, 8))
