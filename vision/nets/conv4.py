"""Conv4, the encoder of few-shot papers, and its embedding of pictures as unit vectors."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

LARGEST = 2
"""Positions per side that are left of a feature map: larger ones are averaged."""


class Conv4(nn.Sequential):
    """Four 3x3 convolutions of `width` channels, each with norm, ReLU and 2x2 pooling: `(B, C, H, W)` to `(B, D)`.

    O. Vinyals et al., Matching Networks (arXiv 1606.04080), section 4.1. Feature maps of more than 2x2 positions are
    averaged to 2x2, so that D is at most `4 width`; published nets keep 5x5 at 84x84 pixels.
    """

    def __init__(self, channels: int, size: int, width: int = 64) -> None:
        layers: list[nn.Module] = []
        for before in (channels, width, width, width):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
        side = min(size // 16, LARGEST)
        super().__init__(*layers, nn.AdaptiveAvgPool2d(side), nn.Flatten())
        self.channels, self.size, self.width = channels, size, width
        self.features = side * side * width


class Embedding(nn.Module):
    """An encoder whose outputs become unit vectors around the `centre` of its training classes: `(B, ...)` to `(B, D)`.

    Y. Wang et al., SimpleShot (arXiv 1911.04623), section 3.2: centred and normalised, nearest means are far stronger.
    """

    centre: Tensor

    def __init__(self, encoder: Conv4) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("centre", torch.zeros(encoder.features))

    def forward(self, x: Tensor) -> Tensor:
        return normalize(self.encoder(x) - self.centre, dim=1)
