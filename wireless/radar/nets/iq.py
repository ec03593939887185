"""Nets on raw samples: one strided convolution, then depthwise separable ones that halve the rate."""

from collections.abc import Iterator, Sequence

from torch import nn

FIRST, WIDTHS = 48, (48, 80, 80, 80, 80)
"""Filters of the first layer, and of the blocks, of the large net."""
BAND = 4
"""Channels of the band that `bank_net` filters: I and Q, and as many more to choose from."""


def iq_net(classes: int, first: int, widths: Sequence[int]) -> nn.Sequential:
    """A convolution of `first` filters of 31 samples with stride 4, one separable block per width, mean, linear layer.

    Every layer has a form in fixed point. With two blocks more than the ones of a mobile net's stem, a unit of the last
    sees a window of 1024 samples whole.
    """
    layers: list[nn.Module] = [nn.Conv1d(2, first, 31, 4, 15, bias=False), nn.BatchNorm1d(first), nn.ReLU()]
    return nn.Sequential(*layers, *_blocks(classes, first, widths))


def bank_net(classes: int, filters: int, widths: Sequence[int]) -> nn.Sequential:
    """A band at a quarter of the rate, a bank of `filters` over 64 samples of it, then separable blocks as in `iq_net`.

    The first two layers are linear together: filters as long as these, applied at the full rate, would take four times
    the weights and twice the multiplications. A long filter adds up a weak pulse before a rectifier makes it weaker.
    """
    layers: list[nn.Module] = [nn.Conv1d(2, BAND, 16, 4, 6, bias=False), nn.BatchNorm1d(BAND)]
    layers += [nn.Conv1d(BAND, filters, 16, 4, 6, bias=False), nn.BatchNorm1d(filters), nn.ReLU()]
    return nn.Sequential(*layers, *_blocks(classes, filters, widths))


def _blocks(classes: int, inputs: int, widths: Sequence[int]) -> Iterator[nn.Module]:
    """One separable block per width, mean, linear layer."""
    for outputs in widths:
        yield from _separable(inputs, outputs)
        inputs = outputs
    yield from (nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(inputs, classes))


def _separable(inputs: int, outputs: int, kernel: int = 9) -> Iterator[nn.Module]:
    yield nn.Conv1d(inputs, inputs, kernel, 2, kernel // 2, groups=inputs, bias=False)
    yield from (nn.BatchNorm1d(inputs), nn.ReLU())
    yield nn.Conv1d(inputs, outputs, 1, bias=False)
    yield from (nn.BatchNorm1d(outputs), nn.ReLU())
