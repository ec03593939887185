"""A net that went through `torch.export` computes the same, and an operator without a layer is named."""

import re

import pytest
import torch
from torch import nn

from shared.f8net import F8Net
from shared.importers.exported import from_exported
from shared.importers.graph import TracedGraph
from shared.integer.format import Format


class Residual(nn.Module):
    """Every operator of one axis, and both kinds of batch norm."""

    shape = (2, 17)

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(2, 4, 5, stride=2, padding=2), nn.BatchNorm1d(4), nn.ReLU())
        self.body = nn.Sequential(nn.Conv1d(4, 4, 3, padding=1, groups=2, bias=False), nn.BatchNorm1d(4, affine=False))
        self.pools = nn.Sequential(nn.MaxPool1d(2), nn.AvgPool1d(2, 1))
        self.end = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(4, 3))

    def forward(self, x):
        x = self.stem(x)
        return self.end(self.pools(torch.relu(self.body(x) + x)))


class Image(nn.Sequential):
    shape = (1, 9, 8)

    def __init__(self):
        start = nn.Conv2d(1, 3, (3, 2), padding=(1, 0)), nn.BatchNorm2d(3), nn.ReLU(inplace=True), nn.MaxPool2d(2)
        super().__init__(*start, nn.AvgPool2d((2, 1)), nn.Flatten(), nn.Linear(18, 2, bias=False))


@pytest.mark.parametrize("kind", [Residual, Image])
def test_an_exported_net_computes_the_same_and_is_traced_as_layers(kind):
    torch.manual_seed(0)
    net = kind()
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
    net.eval()
    x = torch.randn(6, *kind.shape)
    module, shape = from_exported(torch.export.export(net, (x,)))
    assert shape == kind.shape
    torch.testing.assert_close(module(x), net(x), rtol=0, atol=0)
    assert TracedGraph.of(module, shape).macs == TracedGraph.of(net, shape).macs
    F8Net(module, shape=shape, input=Format(8, 5)).calibrate(x).program()


class Scaled(nn.Module):
    def forward(self, x):
        return torch.add(x, x, alpha=2)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.LogSigmoid(), "exported log_sigmoid 'log_sigmoid': this operator is not supported: use linear, conv1d"),
        (nn.Conv1d(3, 3, 3, dilation=2), "exported conv1d 'conv1d': dilation=[2] is not supported: it must be 1"),
        (nn.BatchNorm1d(3), "changes a buffer, as in training: call eval() before the export"),
        (Scaled(), "exported add 'add': alpha=2 is not supported: it must be 1"),
    ],
)
def test_an_operator_that_is_not_supported_is_named(net, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        from_exported(torch.export.export(net, (torch.randn(2, 3, 8),)))
