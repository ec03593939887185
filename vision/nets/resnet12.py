"""ResNet-12, the larger encoder of few-shot papers."""

from torch import Tensor, nn

from vision.nets.encoder import Encoder

GROWTH = (1, 2.5, 5, 10)
"""Channels of each block, over those of the first: 64, 160, 320 and 640 in the papers."""


class Block(nn.Module):
    """Three 3x3 convolutions with norms beside a 1x1 convolution, added, and pooled: half as many rows and columns."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs in (before, width, width):
            layers += [nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        self.body = nn.Sequential(*layers[:-1])
        self.shortcut = nn.Sequential(nn.Conv2d(before, width, 1, bias=False), nn.BatchNorm2d(width))
        self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pool(self.relu(self.body(x) + self.shortcut(x)))
        return y


class ResNet12(Encoder):
    """Four residual blocks of `width` to `10 width` channels, the last map averaged: `(B, C, H, W)` to `(B, 10 width)`.

    K. Lee et al., MetaOptNet (arXiv 1904.03758), section 4.1, whose blocks have leaky ReLUs and DropBlock; these have
    plain ReLUs, which fixed point has too, and nothing is dropped.

    >>> sum(parameter.numel() for parameter in ResNet12(3, 84).parameters())
    12424320
    """

    def __init__(self, channels: int, size: int, width: int = 64) -> None:
        widths = [round(growth * width) for growth in GROWTH]
        layers = [Block(before, after) for before, after in zip((channels, *widths), widths, strict=False)]
        super().__init__(layers, channels, size, width, side=1)
