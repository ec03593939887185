"""Conv4, the encoder of few-shot papers."""

from torch import nn

from vision.nets.encoder import Encoder

LARGEST = 2
"""Positions per side that are left of a feature map: larger ones are averaged."""


class Conv4(Encoder):
    """Four 3x3 convolutions of `width` channels, each with norm, ReLU and 2x2 pooling: `(B, C, H, W)` to `(B, D)`.

    O. Vinyals et al., Matching Networks (arXiv 1606.04080), section 4.1. Feature maps of more than 2x2 positions are
    averaged to 2x2, so that D is at most `4 width`; published nets keep 5x5 at 84x84 pixels.
    """

    def __init__(self, channels: int, size: int, width: int = 64) -> None:
        layers: list[nn.Module] = []
        for before in (channels, width, width, width):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
        super().__init__(layers, channels, size, width, side=LARGEST)
