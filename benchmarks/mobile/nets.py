"""Nets whose times are compared, with random weights; no branch of them is near zero."""

import numpy as np
import torch
from torch import nn

from vision.nets.efficientformer import Factor, efficientformer_l1


def convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, relu: bool = True
) -> nn.Module:
    """With a random batch norm, so that no branch is near zero."""
    norm = nn.BatchNorm2d(outputs)
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.uniform_(norm.bias, -0.5, 0.5)
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, norm, *([nn.ReLU()] if relu else []))


class Block(nn.Module):
    """`body(x) + around(x)`, and perhaps a ReLU."""

    def __init__(self, body: nn.Module, around: nn.Module, relu: bool) -> None:
        super().__init__()
        self.body, self.around, self.behind = body, around, nn.ReLU() if relu else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.behind(self.body(x) + self.around(x))  # type: ignore[no-any-return]


WORDS, TOKENS = 8192, 128


def mobilenet_v2(width: float = 1.0, classes: int = 1000) -> nn.Sequential:
    """MobileNetV2 with ReLU where it has ReLU6, which fixed point saturates anyway."""

    def scaled(channels: int) -> int:
        return max(8, int(channels * width + 4) // 8 * 8)

    channels = scaled(32)
    layers: list[nn.Module] = [convolution(3, channels, 3, 2)]
    for expansion, base, count, stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for k in range(count):
            step, outputs = stride if k == 0 else 1, scaled(base)
            body = inverted(channels, outputs, expansion, 3, step)
            layers.append(Block(body, nn.Identity(), False) if step == 1 and channels == outputs else body)
            channels = outputs
    last = max(1280, scaled(1280))
    head = (convolution(channels, last, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, classes))
    return nn.Sequential(*layers, *head)


def lite0(width: float = 1.0, classes: int = 1000) -> nn.Sequential:
    """EfficientNet-Lite0 with ReLU in place of ReLU6: 5x5 depthwise layers too, no squeeze and excitation.

    M. Tan, Q. Le, EfficientNet (arXiv 1905.11946); the sizes of its Lite version.
    """

    def scaled(channels: int) -> int:
        return max(8, int(channels * width + 4) // 8 * 8)

    channels = scaled(32)
    layers: list[nn.Module] = [convolution(3, channels, 3, 2)]
    for expansion, base, count, stride, kernel in (
        (1, 16, 1, 1, 3),
        (6, 24, 2, 2, 3),
        (6, 40, 2, 2, 5),
        (6, 80, 3, 2, 3),
        (6, 112, 3, 1, 5),
        (6, 192, 4, 2, 5),
        (6, 320, 1, 1, 3),
    ):
        for k in range(count):
            outputs, step = scaled(base), stride if k == 0 else 1
            body = inverted(channels, outputs, expansion, kernel, step)
            layers.append(Block(body, nn.Identity(), False) if step == 1 and channels == outputs else body)
            channels = outputs
    head = (convolution(channels, 1280, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, classes))
    return nn.Sequential(*layers, *head)


def inverted(inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> nn.Sequential:
    """To more channels, a depthwise layer of those, and back."""
    wide = inputs * expansion
    first = [convolution(inputs, wide, 1)] if expansion > 1 else []
    return nn.Sequential(
        *first, convolution(wide, wide, kernel, stride, wide), convolution(wide, outputs, 1, relu=False)
    )


def darknet(width: int = 32, classes: int = 1000) -> nn.Sequential:
    """Like Darknet-19: 3x3 layers with 1x1 layers of half the width between them, and max pools.

    J. Redmon, A. Farhadi, YOLO9000 (arXiv 1612.08242), table 6, with ReLU.
    """
    layers: list[nn.Module] = []
    channels = 3
    for stage, count in enumerate((1, 1, 3, 3, 5)):
        outputs = width * 2**stage
        for k in range(count):
            kernel, wide = (3, outputs) if k % 2 == 0 else (1, outputs // 2)
            layers.append(convolution(channels, wide, kernel))
            channels = wide
        layers += [nn.MaxPool2d(2)] if stage < 4 else []
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def resnet18(width: int = 64, classes: int = 1000) -> nn.Sequential:
    """ResNet-18, whose pool has windows of 2 x 2: those of 3 x 3 need padding, which integer pools do not have."""
    channels = width
    layers: list[nn.Module] = [convolution(3, width, 7, 2), nn.MaxPool2d(2)]
    for k in range(8):
        outputs, stride = width * 2 ** (k // 2), 2 if k in (2, 4, 6) else 1
        body = nn.Sequential(convolution(channels, outputs, 3, stride), convolution(outputs, outputs, 3, relu=False))
        around = convolution(channels, outputs, 1, stride, relu=False) if stride == 2 else nn.Identity()
        layers.append(Block(body, around, True))
        channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class Encoder(nn.Module):
    """BERT of four layers and 256 numbers a token, as J. Devlin et al. describe it (arXiv 1810.04805), to classes."""

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, width), nn.Embedding(TOKENS, width)
        self.norm, self.layers = nn.LayerNorm(width), nn.Sequential(*(EncoderLayer(width) for _ in range(4)))
        self.pooled, self.head = nn.Linear(width, width), nn.Linear(width, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.words(x) + self.places.weight)
        return self.head(torch.tanh(self.pooled(self.layers(y)[:, 0])))  # type: ignore[no-any-return]


class EncoderLayer(nn.Module):
    """Attention and an MLP, each added to the tokens before a layer norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.first, self.second, self.heads = nn.LayerNorm(width), nn.LayerNorm(width), width // 64

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, 64)).transpose(1, 3).unbind(2)
        mixed = (q @ k.transpose(-2, -1) / 8).softmax(-1) @ v
        x = self.first(x + self.out(mixed.transpose(1, 2).flatten(2)))
        return self.second(x + self.mlp(x))  # type: ignore[no-any-return]


class Enlarger(nn.Module):
    """Images to twice their size: 3x3 layers of 16 channels, a pixel shuffle, and the nearest pixels as anchor."""

    def __init__(self) -> None:
        super().__init__()
        body = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU()]
        for _ in range(4):
            body += [nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()]
        self.body = nn.Sequential(*body, nn.Conv2d(16, 12, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) + nn.functional.interpolate(x, scale_factor=2.0)  # type: ignore[no-any-return]


def float_subject(subject: str, rng: np.random.Generator) -> tuple[nn.Module, torch.Tensor]:
    """A net and a sample."""
    if subject == "bert":
        return Encoder().eval(), torch.from_numpy(rng.integers(0, WORDS, (1, TOKENS)))
    if subject == "super_resolution":
        return Enlarger().eval(), torch.from_numpy(rng.standard_normal((1, 3, 180, 320)).astype(np.float32))
    return alive(efficientformer_l1().eval()), torch.from_numpy(
        rng.standard_normal((1, 3, 224, 224)).astype(np.float32)
    )


def alive(net: nn.Module) -> nn.Module:
    """Factors that start near zero would be no branch at all in a net that is not trained."""
    for module in net.modules():
        if isinstance(module, Factor):
            nn.init.uniform_(module.weight, 0.2, 1.0)
    return net
