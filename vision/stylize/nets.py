"""The net that turns a picture into one of a style, and the net that judges it in training."""

from collections import OrderedDict
from dataclasses import astuple, dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

STRIDE = 4
"""Pixels of a picture's side for one of the trunk; sides of what a generator reads are multiples of it."""


@dataclass(frozen=True)
class Shape:
    """Channels of a generator where the side is whole, halved and quartered, and its residual blocks.

    Encoder and decoder have the same, since they are added.
    """

    full: int
    half: int
    trunk: int
    inner: int
    """Between the two convolutions of every block."""
    blocks: int

    @classmethod
    def of(cls, width: int, blocks: int) -> "Shape":
        """As in the papers: twice as many channels wherever the side is halved.

        >>> Shape.of(32, 6)
        Shape(full=32, half=64, trunk=128, inner=128, blocks=6)
        """
        return cls(width, 2 * width, 4 * width, 4 * width, blocks)

    @property
    def sizes(self) -> list[int]:
        """All numbers in their order."""
        return list(astuple(self))


class Generator(nn.Module):
    """Pictures `(B, 3, H, W)` in [0, 1] to the same shape: encoder, residual blocks at a quarter of the side, decoder.

    J. Johnson et al., *Perceptual losses for real-time style transfer* (arXiv 1603.08155), with batch norms, which
    become part of the convolutions, nearest neighbours and a convolution instead of a transposed one, which leaves
    checkerboards, and kernels of 3x3. What the encoder had at each size is added in the decoder, so that outlines stay
    sharp: A. Chaurasia and E. Culurciello, *LinkNet* (arXiv 1707.03718). What the net computes is added to the picture,
    so it begins as the identity.

    >>> Generator(Shape.of(4, 1))(torch.zeros(1, 3, 8, 12)).shape
    torch.Size([1, 3, 8, 12])
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.stem = _layer(3, shape.full)
        self.down = _layer(shape.full, shape.half, stride=2)
        self.trunk = _layer(shape.half, shape.trunk, stride=2)
        self.blocks = nn.Sequential(*(Residual(shape.trunk, shape.inner) for _ in range(shape.blocks)))
        self.up = nn.Sequential(OrderedDict(resize=nn.Upsample(scale_factor=2), layer=_layer(shape.trunk, shape.half)))
        self.tail = nn.Sequential(OrderedDict(resize=nn.Upsample(scale_factor=2), layer=_layer(shape.half, shape.full)))
        self.last = nn.Conv2d(shape.full, 3, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        full = self.stem(x)
        half = self.down(full)
        half = self.up(self.blocks(self.trunk(half))) + half
        y: Tensor = self.last(self.tail(half) + full) + x
        return y

    @property
    def shape(self) -> Shape:
        """As the weights are."""
        layers = ("stem", "down", "trunk", "blocks.0.first")
        widths = [len(self.get_parameter(f"{path}.conv.weight")) for path in layers]
        return Shape(*(*widths, len(self.blocks)))

    @property
    def reach(self) -> int:
        """Pixels on every side that a pixel depends on, in whole pixels of the trunk."""
        # In pixels of the picture: 1 for stem and 2 convolutions behind, 1 + 2 + 2 between, and 4 of each in a block.
        return STRIDE * (2 + 2 * len(self.blocks) + 1)


class Residual(nn.Module):
    """`x + norm(conv(relu(norm(conv(x)))))`: without the numbers of its last norm it passes `x` on."""

    def __init__(self, trunk: int, inner: int) -> None:
        super().__init__()
        self.first, self.second = _layer(trunk, inner), _layer(inner, trunk, is_last=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(self.first(x)) + x
        return y


def _layer(inputs: int, outputs: int, stride: int = 1, is_last: bool = False) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    parts = OrderedDict[str, nn.Module](conv=conv, norm=nn.BatchNorm2d(outputs))
    return nn.Sequential(parts if is_last else parts | {"relu": nn.ReLU()})


class Discriminator(nn.Module):
    """How real each patch of a styled picture looks beside the picture: two of `(B, 3, H, W)` to `(B, 1, H/8, W/8)`.

    P. Isola et al., pix2pix (arXiv 1611.07004), with the spectral norms of T. Miyato et al. (arXiv 1802.05957), which
    keep its slope below 1 and training stable.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        widths = (6, width, 2 * width, 4 * width)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [spectral_norm(nn.Conv2d(inputs, outputs, 4, 2, padding=1)), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1)))

    def forward(self, picture: Tensor, styled: Tensor) -> Tensor:
        judged: Tensor = self.layers(torch.cat((picture, styled), 1))
        return judged
