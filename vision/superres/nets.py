"""Nets that enlarge luma `(B, 1, H, W)` in [0, 1] to `(B, 1, scale H, scale W)`.

All of them add what they compute to the pixels themselves, each repeated: the image-space residual, or anchor, of
Z. Du et al., *Anchor-based Plain Net* (arXiv 2105.09750). FSRCNN and ESPCN do not have it in their papers, and need
it to get anywhere in minutes of training.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import ClassVar, Self

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
    inner: ClassVar[int] = 2
    """Times as many channels between the 1x1 convolution and the 3x3 one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = self.inner * width
        self.main, self.wide = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, inner, 1, bias=False)
        self.behind = nn.Conv2d(inner, width, 3, padding=1, bias=False)
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

    @torch.no_grad()
    def split(self, plain: nn.Conv2d) -> None:
        """Takes the weights of one convolution: the first branch is what the others leave of it."""
        assert plain.bias is not None
        assert self.main.bias is not None
        self.main.weight += plain.weight - self.weight()
        self.main.bias.copy_(plain.bias)


class CollapsedBlock(EdgeBlock):
    """An edge-oriented block of many more inner channels, which cost nothing where only merged weights meet pictures.

    K. Bhardwaj et al., *Collapsible linear blocks for super-efficient super resolution* (arXiv 2103.09404). Nets learn
    more from as many steps.
    """

    inner = 8


def _merged(weight: Tensor, bias: Tensor) -> nn.Module:
    merged = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
    merged.load_state_dict({"weight": weight.detach(), "bias": bias.detach()})
    # Under the name of a first branch, so that what names the layers of one net names those of the other.
    return nn.Sequential(OrderedDict(main=merged, relu=nn.ReLU()))


class WideBlock(nn.Module):
    """`x + last(low(relu(wide(x))))`: many channels before the activation, fewer behind it, and a 3x3 convolution.

    J. Yu et al., WDSR-B (arXiv 1808.08718), without its weight norms. A block whose last layer is zero passes its input
    on: a block can be switched off by its weights.
    """

    def __init__(self, width: int, middle: int, low: int) -> None:
        super().__init__()
        self.wide, self.relu = nn.Conv2d(width, middle, 1), nn.ReLU()
        self.low, self.last = nn.Conv2d(middle, low, 1), nn.Conv2d(low, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.low(self.relu(self.wide(x)))) + x
        return y


class Supernet(Enlarger):
    """A net whose shape can be searched: a head, blocks that are all alike, and a tail. It begins as its anchor.

    Its sizes are the widths of some groups of channels, the trunk's first, and the number of blocks.
    """

    names: ClassVar[tuple[str, ...]]
    """Of the sizes, as the net is built by."""
    writers: ClassVar[tuple[tuple[str, ...], ...]]
    """Of each width, layers with so many outputs, and `{}` for a block's number; none follows from another's."""
    gated: ClassVar[str]
    """What the names of a block's parameters begin with, without whose numbers it passes its input on."""

    def __init__(self, scale: int, head: Mapping[str, nn.Module], blocks: Iterable[nn.Module], width: int) -> None:
        tail = nn.Conv2d(width, scale**2, 3, padding=1)
        nn.init.zeros_(tail.weight)
        nn.init.zeros_(tail.bias)  # type: ignore[arg-type]
        layers = {**head, **{f"block{number}": block for number, block in enumerate(blocks)}, "tail": tail}
        super().__init__(nn.Sequential(OrderedDict(layers)), scale)

    def at(self, sizes: Sequence[int]) -> Self:
        """A net of this kind and other sizes, with weights of its own."""
        return type(self)(self.scale, *sizes)  # type: ignore[arg-type]

    @property
    def sizes(self) -> list[int]:
        """As the weights are."""
        layers = (self.body.get_submodule(each[0].format(0)) for each in self.writers)
        return [*(len(layer.get_parameter("weight")) for layer in layers), self.depth]

    @property
    def width(self) -> int:
        """Channels of the trunk."""
        return self.sizes[0]

    @property
    def depth(self) -> int:
        """Blocks."""
        return sum(name.startswith("block") for name, _ in self.body.named_children())

    def layers(self) -> list[list[str]]:
        """`writers` with the number of every block, by their paths in the net."""
        numbers = range(self.depth)
        return [
            [f"body.{layer.format(number)}" for layer in each for number in (numbers if "{}" in layer else (0,))]
            for each in self.writers
        ]


class PlainNet(Supernet):
    """3x3 convolutions and ReLU alone, which every compiler is best at: a head, `depth` blocks, and a tail.

    >>> PlainNet(2, width=4, depth=1)(torch.zeros(1, 1, 5, 7)).shape
    torch.Size([1, 1, 10, 14])
    """

    names = ("width", "depth")
    writers = (("head", "block{}.main"),)
    gated = ""
    block: ClassVar[type[RepBlock | EdgeBlock]] = RepBlock

    def __init__(self, scale: int, width: int = 16, depth: int = 5) -> None:
        head = {"head": nn.Conv2d(1, width, 3, padding=1), "relu": nn.ReLU()}
        super().__init__(scale, head, [self.block(width) for _ in range(depth)], width)

    def split(self, used: nn.Module) -> Self:
        """Takes the weights of a net for use of these widths and blocks; the tail's only of one for this scale."""
        for name, layer in self.body.named_children():
            if isinstance(layer, RepBlock | EdgeBlock):
                layer.split(used.get_submodule(f"body.{name}.main"))  # type: ignore[arg-type]
            elif name == "head" or used.scale == self.scale:
                layer.load_state_dict(used.get_submodule(f"body.{name}").state_dict())
        return self


class EdgeNet(PlainNet):
    """The same shape, of edge-oriented blocks: ECBSR, which has the anchor too."""

    block: ClassVar[type[RepBlock | EdgeBlock]] = EdgeBlock


class CollapsedNet(PlainNet):
    """The same shape, as nets are trained whose shape is settled."""

    block: ClassVar[type[RepBlock | EdgeBlock]] = CollapsedBlock


class WideNet(Supernet):
    """Residual blocks that are wide before their activation: WDSR, with the anchor in the place of its 5x5 convolution.

    >>> WideNet(2, width=4, middle=8, low=3, depth=1).sizes
    [4, 8, 3, 1]
    """

    names = ("width", "middle", "low", "depth")
    writers = (("head",), ("block{}.wide",), ("block{}.low",))
    gated = "last."

    def __init__(self, scale: int, width: int, middle: int, low: int, depth: int) -> None:
        blocks = [WideBlock(width, middle, low) for _ in range(depth)]
        super().__init__(scale, {"head": nn.Conv2d(1, width, 3, padding=1)}, blocks, width)

    @classmethod
    def of(cls, scale: int, width: int, depth: int) -> "WideNet":
        """Of the paper's proportions: six times the trunk's channels, then 0.84 times."""
        return cls(scale, width, 6 * width, max(round(0.84 * width), 1), depth)


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


class ABPN(Enlarger):
    """Z. Du et al., *Anchor-based Plain Net* (arXiv 2105.09750): 3x3 convolutions of 28 channels, and one more where
    the output has its pixels, in the winner's shape of four blocks.
    """

    def __init__(self, scale: int, width: int = 28, depth: int = 4) -> None:
        widths = [1, *[width] * (depth + 1), scale**2]
        layers = [layer for pair in pairwise(widths) for layer in (nn.Conv2d(*pair, 3, padding=1), nn.ReLU())]
        last = nn.Conv2d(scale**2, scale**2, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        super().__init__(nn.Sequential(*layers, last), scale)
