"""LiteRT files compute what the nets compute, in LiteRT's interpreter; what is not written is one line."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

from shared.training.loop import seeded
from vision.nets.litert_file import to_litert
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (nn.Tanh(), "Tanh '0' is not written to LiteRT files"),
        (nn.Conv2d(4, 4, 3, groups=2), "Conv2d '0' is not written to LiteRT files"),
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
