"""A small net that finds instances: classes, centres, and the way to its centre for every pixel."""

import torch
from torch import Tensor, nn

OUTPUTS = 3
"""Beside the classes: how close to a centre a pixel is, and the way there, down and right."""


class MaskNet(nn.Module):
    """`(B, 3, H, W)` to `(B, 1 + classes + 3, H, W)`: logits of the background and of each class, the logit of a
    centre, and the way to the centre of the pixel's instance, rows and columns. Sides are multiples of 4.

    An encoder to a quarter of the side, a residual block there, and a decoder that reads what the encoder had at each
    size beside its own. After B. Cheng et al., *Panoptic-DeepLab* (arXiv 1911.10194), with one decoder and 3x3
    convolutions.

    >>> MaskNet(classes=5, width=4)(torch.zeros(1, 3, 16, 16)).shape
    torch.Size([1, 9, 16, 16])
    """

    def __init__(self, classes: int, width: int = 12) -> None:
        super().__init__()
        self.stem = _layer(3, width)
        self.down = _layer(width, 2 * width, stride=2)
        self.trunk = _layer(2 * width, 4 * width, stride=2)
        conv = nn.Conv2d(4 * width, 4 * width, 3, padding=1, bias=False)
        self.block = nn.Sequential(_layer(4 * width, 4 * width), conv, nn.BatchNorm2d(4 * width))
        self.relu = nn.ReLU()
        self.up = nn.Upsample(scale_factor=2)
        self.join_half = _layer(6 * width, 2 * width)
        self.join_full = _layer(3 * width, width)
        self.head = nn.Conv2d(width, 1 + classes + OUTPUTS, 1)

    def forward(self, x: Tensor) -> Tensor:
        full = self.stem(x)
        half = self.down(full)
        quarter = self.trunk(half)
        quarter = self.relu(quarter + self.block(quarter))
        half = self.join_half(torch.cat((self.up(quarter), half), 1))
        outputs: Tensor = self.head(self.join_full(torch.cat((self.up(half), full), 1)))
        return outputs


def _layer(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())
