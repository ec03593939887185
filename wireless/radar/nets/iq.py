"""Nets on raw samples: one strided convolution, then depthwise separable ones that halve the rate."""

from collections.abc import Iterator, Sequence

from torch import nn

FIRST, WIDTHS = 48, (48, 80, 80, 80, 80)
"""Filters of the first layer, and of the blocks, of the large net."""


def iq_net(classes: int, first: int, widths: Sequence[int]) -> nn.Sequential:
    """A convolution of `first` filters of 31 samples with stride 4, one separable block per width, mean, linear layer.

    Every layer has a form in fixed point. With two blocks more than the ones of a mobile net's stem, a unit of the last
    sees a window of 1024 samples whole.
    """
    layers: list[nn.Module] = [nn.Conv1d(2, first, 31, 4, 15, bias=False), nn.BatchNorm1d(first), nn.ReLU()]
    inputs = first
    for outputs in widths:
        layers += _separable(inputs, outputs)
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(inputs, classes))


def _separable(inputs: int, outputs: int, kernel: int = 9) -> Iterator[nn.Module]:
    yield nn.Conv1d(inputs, inputs, kernel, 2, kernel // 2, groups=inputs, bias=False)
    yield from (nn.BatchNorm1d(inputs), nn.ReLU())
    yield nn.Conv1d(inputs, outputs, 1, bias=False)
    yield from (nn.BatchNorm1d(outputs), nn.ReLU())
