"""Nets of one-dimensional layers, computed as two-dimensional ones: about twice as fast in training on a CPU."""

import copy

import torch
from torch import Tensor, nn
from torch.func import functional_call

_NUMBERS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


class Planes(nn.Module):
    """What `net` computes, with windows as images of one row whose channels are last in memory.

    Parameters and statistics are those of `net` itself. Only a sequence of layers that `suits` is taken.
    """

    def __init__(self, net: nn.Sequential) -> None:
        super().__init__()
        self.net = net
        self._twin = [nn.Sequential(*map(_two_dimensional, net))]  # in a list, so that its numbers are not parameters

    @staticmethod
    def suits(net: nn.Module) -> bool:
        """Whether every layer has a two-dimensional form here."""
        kinds = (nn.Conv1d, nn.BatchNorm1d, nn.ReLU, nn.AdaptiveAvgPool1d, nn.Flatten, nn.Linear)
        return isinstance(net, nn.Sequential) and all(isinstance(layer, kinds) for layer in net)

    def forward(self, x: Tensor) -> Tensor:
        [twin] = self._twin
        numbers = {
            f"{path}.{name}": value[:, :, None] if value.ndim == 3 else value
            for path, layer in self.net.named_children()
            for name in _NUMBERS
            if isinstance(value := getattr(layer, name, None), Tensor)
        }
        rows = x[:, :, None].contiguous(memory_format=torch.channels_last)
        return torch.as_tensor(functional_call(twin.train(self.training), numbers, rows))


def _two_dimensional(layer: nn.Module) -> nn.Module:
    """A layer without numbers of its own, for rows instead of lines."""
    match layer:
        case nn.Conv1d():
            return nn.Conv2d(
                layer.in_channels,
                layer.out_channels,
                (1, layer.kernel_size[0]),
                (1, layer.stride[0]),
                (0, int(layer.padding[0])),
                groups=layer.groups,
                bias=layer.bias is not None,
                device="meta",
            )
        case nn.BatchNorm1d():
            return nn.BatchNorm2d(layer.num_features, layer.eps, layer.momentum, device="meta")
        case nn.Linear():
            return nn.Linear(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
        case nn.AdaptiveAvgPool1d():
            return nn.AdaptiveAvgPool2d(1)
    return copy.deepcopy(layer)
