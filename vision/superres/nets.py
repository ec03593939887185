"""Nets that enlarge luma `(B, 1, H, W)` in [0, 1] to `(B, 1, scale H, scale W)`.

All of them add what they compute to the pixels themselves, each repeated: the image-space residual, or anchor, of
Z. Du et al., *Anchor-based Plain Net* (arXiv 2105.09750). FSRCNN and ESPCN do not have it in their papers, and need
it to get anywhere in minutes of training.
"""

from collections import OrderedDict
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad, pixel_shuffle

_EDGES = (
    ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0)),
    ((1.0, 2.0, 1.0), (0.0, 0.0, 0.0), (-1.0, -2.0, -1.0)),
    ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0)),
)
"""Sobel's operators along rows and columns, and Laplace's."""


class Enlarger(nn.Module):
    """`body` computes `scale^2` values for each pixel, `(B, scale^2, H, W)`; they are added to the pixel and laid out
    as a square: W. Shi et al., ESPCN (arXiv 1609.05158), section 3.
    """

    def __init__(self, body: nn.Module, scale: int) -> None:
        super().__init__()
        self.body, self.scale = body, scale

    def forward(self, x: Tensor) -> Tensor:
        return pixel_shuffle(self.body(x) + x, self.scale)


class RepBlock(nn.Module):
    """The ReLU of the sum of a 3x3 convolution, a 1x1 convolution and the input itself, for use one 3x3 convolution.

    Its input is the output of a ReLU, so a block whose two convolutions are zero passes it on: a block can be switched
    off by its weights. X. Ding et al., RepVGG (arXiv 2101.03697), without batch norms, which cost super-resolution.
    """

    merged = ("side",)
    """The branch that `plain` merges into the other one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.main, self.side = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.relu(self.main(x) + self.side(x) + x)
        return y

    def plain(self) -> nn.Module:
        """One 3x3 convolution and ReLU that compute the same."""
        assert self.main.bias is not None
        assert self.side.bias is not None
        weight = self.main.weight.detach().clone()
        weight[:, :, 1, 1] += self.side.weight[:, :, 0, 0] + torch.eye(len(weight))
        return _merged(weight, self.main.bias + self.side.bias)

    @torch.no_grad()
    def split(self, plain: nn.Conv2d) -> None:
        """Takes the weights of one convolution: the identity becomes a branch again, and the 1x1 is zero."""
        assert plain.bias is not None
        assert self.main.bias is not None
        self.main.weight.copy_(plain.weight)
        self.main.weight[:, :, 1, 1] -= torch.eye(plain.out_channels)
        self.main.bias.copy_(plain.bias)
        for parameter in self.side.parameters():
            nn.init.zeros_(parameter)


class EdgeBlock(nn.Module):
    """The ReLU of a sum of branches that see edges, for use one 3x3 convolution: X. Zhang et al., *Edge-oriented
    Convolution Block for Real-time Super Resolution on Mobile Devices* (ACM MM 2021), section 3.

    The branches: a 3x3 convolution, one behind a 1x1 convolution to twice the channels, 1x1 convolutions behind which
    each channel is filtered by Sobel's operators and Laplace's, scaled, and the input itself. Here they are merged at
    every step of training too, which computes the same in a third of the time; the 1x1 convolutions have no biases,
    which padding would cut off at the border, and the activation is a ReLU where the paper has a PReLU.
    """

    masks: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.main, self.wide = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, 2 * width, 1, bias=False)
        self.behind = nn.Conv2d(2 * width, width, 3, padding=1, bias=False)
        self.edges = nn.Parameter(torch.empty(len(_EDGES), width, width))
        nn.init.normal_(self.edges, std=width**-0.5)
        self.scales = nn.Parameter(1e-3 * torch.randn(len(_EDGES), width))
        self.register_buffer("masks", torch.tensor(_EDGES), persistent=False)

    def weight(self) -> Tensor:
        """Of the one convolution, `(width, width, 3, 3)`."""
        behind = torch.einsum("omkl,mi->oikl", self.behind.weight, self.wide.weight[:, :, 0, 0])
        edges = torch.einsum("eo,eoi,ekl->oikl", self.scales, self.edges, self.masks)
        identity = torch.eye(len(behind), device=behind.device)
        return self.main.weight + behind + edges + pad(identity[:, :, None, None], (1, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.weight(), self.main.bias, padding=1).relu()

    def plain(self) -> nn.Module:
        """One 3x3 convolution and ReLU that compute the same."""
        assert self.main.bias is not None
        return _merged(self.weight(), self.main.bias)


def _merged(weight: Tensor, bias: Tensor) -> nn.Module:
    merged = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
    merged.load_state_dict({"weight": weight.detach(), "bias": bias.detach()})
    # Under the name of a first branch, so that what names the layers of one net names those of the other.
    return nn.Sequential(OrderedDict(main=merged, relu=nn.ReLU()))


class PlainNet(Enlarger):
    """3x3 convolutions and ReLU alone, which every compiler is best at: a head, `depth` blocks, and a tail.

    >>> PlainNet(2, width=4, depth=1)(torch.zeros(1, 1, 5, 7)).shape
    torch.Size([1, 1, 10, 14])
    """

    block: ClassVar[type[nn.Module]] = RepBlock

    def __init__(self, scale: int, width: int = 16, depth: int = 5) -> None:
        head, tail = nn.Conv2d(1, width, 3, padding=1), nn.Conv2d(width, scale**2, 3, padding=1)
        nn.init.zeros_(tail.weight)  # it begins as its anchor
        nn.init.zeros_(tail.bias)  # type: ignore[arg-type]
        layers = OrderedDict[str, nn.Module](head=head, relu=nn.ReLU())
        layers |= {f"block{number}": self.block(width) for number in range(depth)}
        super().__init__(nn.Sequential(layers | {"tail": tail}), scale)
        self.width, self.depth = width, depth


class EdgeNet(PlainNet):
    """The same shape, of edge-oriented blocks: ECBSR, which has the anchor too."""

    block: ClassVar[type[nn.Module]] = EdgeBlock


class FSRCNN(nn.Module):
    """C. Dong et al., FSRCNN (arXiv 1608.00367): wide features, narrow mapping, and a transposed 9x9 convolution."""

    def __init__(self, scale: int, wide: int = 56, narrow: int = 12, depth: int = 4) -> None:
        super().__init__()
        self.scale = scale
        mapping = [layer for _ in range(depth) for layer in (nn.Conv2d(narrow, narrow, 3, padding=1), nn.PReLU(narrow))]
        self.body = nn.Sequential(
            nn.Conv2d(1, wide, 5, padding=2),
            nn.PReLU(wide),
            nn.Conv2d(wide, narrow, 1),
            nn.PReLU(narrow),
            *mapping,
            nn.Conv2d(narrow, wide, 1),
            nn.PReLU(wide),
            nn.ConvTranspose2d(wide, 1, 9, scale, padding=4, output_padding=scale - 1),
        )
        nn.init.normal_(self.body[-1].weight, std=0.001)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x) + nn.functional.interpolate(x, scale_factor=float(self.scale), mode="nearest")
        return y


class ESPCN(Enlarger):
    """W. Shi et al., ESPCN (arXiv 1609.05158): three convolutions, 5x5 and twice 3x3, of 64 and 32 channels."""

    def __init__(self, scale: int) -> None:
        body = nn.Sequential(
            nn.Conv2d(1, 64, 5, padding=2),
            nn.Tanh(),
            nn.Conv2d(64, 32, 3, padding=1),
            nn.Tanh(),
            nn.Conv2d(32, scale**2, 3, padding=1),
        )
        super().__init__(body, scale)
