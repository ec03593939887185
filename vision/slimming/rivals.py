"""Published nets for processors, scaled by width to a budget: what a user would take instead of slimming.

Each is as its paper has it but for the input: strides of the first layers are left out, so that the last maps of small
images have 4 x 4 pixels as those of the net that is slimmed. Activations are ReLU, the widest layers before the
classifier scale with the others, and none is pretrained.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

LEAST = 8
"""Widths are multiples of this."""


class Inverted(NamedTuple):
    """A universal inverted bottleneck; without the first depthwise layer it is MobileNetV2's.

    D. Qin et al., MobileNetV4 (arXiv 2404.10518), section 3.
    """

    first: int
    """Pixels per side of the kernel of the depthwise layer on what is read; 0 for none."""
    middle: int
    """The same of the one on the expanded map."""
    outputs: int
    expansion: float
    stride: int = 1

    def build(self, inputs: int, width: float) -> nn.Module:
        outputs, inner = scaled(self.outputs, width), scaled(inputs * self.expansion)
        before_middle = 1 if self.middle else self.stride
        layers: list[nn.Module] = []
        if self.first:
            layers += convolution(inputs, inputs, self.first, before_middle, groups=inputs, relu=False)
        if self.expansion != 1:
            layers += convolution(inputs, inner)
        if self.middle:
            layers += convolution(inner, inner, self.middle, self.stride, groups=inner)
        layers += convolution(inner, outputs, relu=False)
        body = nn.Sequential(*layers)
        return Added(body) if self.stride == 1 and inputs == outputs else body


class Plain(NamedTuple):
    """One convolution."""

    kernel: int
    outputs: int
    stride: int = 1

    def build(self, inputs: int, width: float) -> nn.Module:
        return nn.Sequential(*convolution(inputs, scaled(self.outputs, width), self.kernel, self.stride))


class Gathered(NamedTuple):
    """A block of HGNetV2: layers one behind the other, and a 1x1 convolution of the outputs of all.

    A light layer is a 1x1 convolution and a depthwise one. Before a block of stride 2 stands a depthwise layer.
    """

    kernel: int
    middle: int
    outputs: int
    is_light: bool
    stride: int = 1

    def build(self, inputs: int, width: float) -> nn.Module:
        outputs, middle = scaled(self.outputs, width), scaled(self.middle, width)
        down = convolution(inputs, inputs, 3, 2, groups=inputs, relu=False) if self.stride == 2 else []
        body = Gather(inputs, middle, outputs, self.kernel, self.is_light)
        return nn.Sequential(*down, Added(body) if self.stride == 1 and inputs == outputs else body)


Block = Inverted | Plain | Gathered
Stage = Sequence[Block]

FAMILIES: Mapping[str, Sequence[Stage]] = {
    "mobilenet_v2": (
        (Plain(3, 32, 2),),
        (Inverted(0, 3, 16, 1),),
        (Inverted(0, 3, 24, 6),) * 2,
        (Inverted(0, 3, 32, 6, 2), *(Inverted(0, 3, 32, 6),) * 2),
        (Inverted(0, 3, 64, 6, 2), *(Inverted(0, 3, 64, 6),) * 3),
        (Inverted(0, 3, 96, 6),) * 3,
        (Inverted(0, 3, 160, 6),) * 3,
        (Inverted(0, 3, 320, 6),),
        (Plain(1, 1280),),
    ),
    "mobilenet_v4": (
        (Plain(3, 32, 2),),
        (Plain(3, 32), Plain(1, 32)),
        (Plain(3, 96), Plain(1, 64)),
        (Inverted(5, 5, 96, 3, 2), *(Inverted(0, 3, 96, 2),) * 4, Inverted(3, 0, 96, 4)),
        (
            Inverted(3, 3, 128, 6, 2),
            Inverted(5, 5, 128, 4),
            Inverted(0, 5, 128, 4),
            Inverted(0, 5, 128, 3),
            *(Inverted(0, 3, 128, 4),) * 2,
        ),
        (Plain(1, 960),),
    ),
    "hgnet_v2": (
        (Plain(3, 16, 2),),
        (Gathered(3, 16, 64, False),),
        (Gathered(3, 32, 256, False, 2),),
        (Gathered(5, 64, 512, True, 2), Gathered(5, 64, 512, True)),
        (Gathered(5, 128, 1024, True),),
    ),
}
"""The stages of MobileNetV2 (arXiv 1801.04381, table 2), MobileNetV4-conv-small (arXiv 2404.10518, appendix) and
HGNetV2-B0 (PaddleClas), whose stem is one convolution here."""


class Scale(NamedTuple):
    """Widths relative to those of the paper, and how many blocks are left out at the end of each stage."""

    width: float
    left_out: int


def build(family: str, scale: Scale, classes: int) -> nn.Sequential:
    """The net of a family for images `(B, 3, H, W)`. One block of each stage is always kept.

    >>> net = build("mobilenet_v4", Scale(0.25, 2), classes=10)
    >>> net(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """
    channels, layers = 3, list[nn.Module]()
    for stage in FAMILIES[family]:
        for block in stage[: max(len(stage) - scale.left_out, 1)]:
            layers.append(block.build(channels, scale.width))
            channels = scaled(block.outputs, scale.width)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


WIDTHS = tuple(step / 40 for step in range(1, 81))
"""Widths that are tried, up to twice those of the papers."""


def largest_within(family: str, price: Callable[[nn.Module], float], budget: float, classes: int) -> Scale:
    """The widest net of a family within the budget; blocks are left out only where no width gets there.

    Prices grow with the width, so it is searched by halves. Raises `ValueError` where the smallest net costs more.
    """
    for left_out in range(max(map(len, FAMILIES[family]))):
        scales = [Scale(width, left_out) for width in WIDTHS]
        low, high = -1, len(scales)
        while high - low > 1:
            middle = (low + high) // 2
            if price(build(family, scales[middle], classes).eval()) <= budget:
                low = middle
            else:
                high = middle
        if low >= 0:
            return scales[low]
    raise ValueError(f"no {family} costs {budget:g} or less; ask for more")


def scaled(channels: float, width: float = 1.0) -> int:
    """The nearest multiple of `LEAST`, and that at least."""
    return max(LEAST, int(channels * width + LEAST / 2) // LEAST * LEAST)


def convolution(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, relu: bool = True
) -> list[nn.Module]:
    """With its norm."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [layer, nn.BatchNorm2d(outputs), *([nn.ReLU()] if relu else [])]


class Added(nn.Module):
    """What is computed of a map, added to it."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.body(x)
        return y


class Gather(nn.Module):
    """Three layers in a row; what they and their input are, concatenated, through two 1x1 convolutions."""

    def __init__(self, inputs: int, middle: int, outputs: int, kernel: int, is_light: bool) -> None:
        super().__init__()
        widths = (inputs, middle, middle, middle)
        self.layers = nn.ModuleList(
            nn.Sequential(*self.layer(before, after, kernel, is_light)) for before, after in pairwise(widths)
        )
        squeezed = scaled(outputs / 2)
        self.joined = nn.Sequential(*convolution(sum(widths), squeezed), *convolution(squeezed, outputs))

    @staticmethod
    def layer(inputs: int, outputs: int, kernel: int, is_light: bool) -> Iterator[nn.Module]:
        if is_light:
            yield from convolution(inputs, outputs, relu=False)
            yield from convolution(outputs, outputs, kernel, groups=outputs)
        else:
            yield from convolution(inputs, outputs, kernel)

    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        for layer in self.layers:
            maps.append(layer(maps[-1]))
        y: Tensor = self.joined(torch.cat(maps, 1))
        return y
