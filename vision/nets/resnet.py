"""ResNet-8, the image classifier of MLPerf Tiny."""

import torch
from torch import Tensor, nn

CLASSES = 10


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut; a 1x1 convolution where the shape changes."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_conv_and_norm(in_channels, width, stride),
            nn.ReLU(),
            *_conv_and_norm(width, width, 1),
        )
        same_shape = in_channels == width and stride == 1
        self.shortcut = nn.Identity() if same_shape else nn.Conv2d(in_channels, width, 1, stride)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.relu(self.body(x) + self.shortcut(x))
        return y


class ResNet8(nn.Module):
    """Stem, three stages of one block, global average pooling, one linear layer: `(B, 3, H, W)` to `(B, 10)` logits.

    `width` is that of the stem and the first stage; the others have twice and four times as many channels. At 16 it
    has the 78,666 parameters of MLPerf Tiny's reference, which counts 480 running statistics: convolutions have a bias,
    and the shortcut has no norm. C. Banbury et al., MLPerf Tiny Benchmark (2021), image classification.

    >>> sum(parameter.numel() for parameter in ResNet8().parameters())
    78186
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_conv_and_norm(3, width, 1), nn.ReLU())
        self.stages = nn.Sequential(
            Block(width, width, 1),
            Block(width, 2 * width, 2),
            Block(2 * width, 4 * width, 2),
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.stages(self.stem(x)))
        return logits


def random_resnet8(width: int, generator: torch.Generator) -> ResNet8:
    """A ResNet-8 with initial weights from `generator`, without changing the global generator of torch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        return ResNet8(width)


def _conv_and_norm(in_channels: int, width: int, stride: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(in_channels, width, 3, stride, 1), nn.BatchNorm2d(width)
