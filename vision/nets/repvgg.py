"""RepVGG: blocks of branches in training, plain 3x3 convolutions in use, at any width on either side of a block."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.fusion import fuse_conv_bn_eval

CLASSES = 10


class RepBlock(nn.Module):
    """The ReLU of a sum of branches: 3x3 convolution, 1x1 convolution, and where the shape stays, the input itself; a
    batch norm ends each. X. Ding et al., RepVGG (arXiv 2101.03697), section 3.

    The input itself is a 1x1 convolution with a frozen unit kernel, so that channels may be taken from either side of
    the block: the kernel is then a selection of the input's channels (arXiv 2206.01198, section 3.3).
    """

    merged = ("side", "unit")
    """The branches that `plain` merges into the other one."""

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.main = _convolution_and_norm(in_channels, width, 3, stride)
        self.side = _convolution_and_norm(in_channels, width, 1, stride)
        self.unit = _convolution_and_norm(width, width, 1, 1) if (in_channels, 1) == (width, stride) else None
        if self.unit is not None:
            kernel = self.unit.get_parameter("0.weight")
            kernel.requires_grad_(False).copy_(torch.eye(width)[:, :, None, None])
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        total = self.main(x) + self.side(x)
        y: Tensor = self.relu(total if self.unit is None else total + self.unit(x))
        return y

    def plain(self) -> nn.Module:
        """One 3x3 convolution and ReLU that compute the same in evaluation mode."""
        branches = [_folded(branch) for branch in (self.main, self.side, self.unit) if branch is not None]
        kernels, biases = zip(*branches, strict=True)
        main = self.main[0]
        assert isinstance(main, nn.Conv2d)
        merged = nn.Conv2d(main.in_channels, main.out_channels, 3, main.stride[0], 1)
        merged.load_state_dict({"weight": sum(kernels), "bias": sum(biases)})
        # Under the name of its first branch, so that what names the layers of one net names those of the other.
        return nn.Sequential(OrderedDict(main=nn.Sequential(merged), relu=nn.ReLU()))


class RepVGG(nn.Module):
    """Stages of blocks, the first of each with stride 2 but for the first stage; global pooling and a linear layer.

    >>> net = RepVGG((8, 16), (1, 2))
    >>> net(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 10])
    """

    def __init__(self, widths: Sequence[int] = (32, 64, 128), depths: Sequence[int] = (3, 3, 3)) -> None:
        super().__init__()
        blocks, channels = [], 3
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for block in range(depth):
                blocks.append(RepBlock(channels, width, 2 if stage and not block else 1))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.blocks(x))
        return logits


def _convolution_and_norm(in_channels: int, width: int, size: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, width, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(width),
    )


def _folded(branch: nn.Sequential) -> tuple[Tensor, Tensor]:
    """Kernel, 3x3, and bias of a convolution with its norm."""
    convolution, norm = branch
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    fused = fuse_conv_bn_eval(convolution.eval(), norm.eval())
    assert fused.bias is not None
    border = (3 - fused.kernel_size[0]) // 2
    return pad(fused.weight.detach(), [border] * 4), fused.bias.detach()
