"""The first two stages of an EfficientFormer as an encoder of small pictures."""

from torch import nn

from vision.nets.efficientformer import Factor, Stage
from vision.nets.encoder import Encoder

DEPTH = 2
"""Blocks of a stage."""


class EfficientFormerStem(Encoder):
    """Two convolutions of stride 2, then two stages of blocks that pool, of `width` and `2 width` channels.

    Y. Li et al., EfficientFormer (arXiv 2206.01191), section 3: what stands before its blocks on tokens, up to an
    eighth of the rows and columns. `(B, C, H, W)` to `(B, 2 width)`. The factors in front of each sum start at 1, not
    close to zero, for so few blocks are trained from scratch in minutes.
    """

    def __init__(self, channels: int, size: int, width: int = 64) -> None:
        stem: list[nn.Module] = []
        for before, after in ((channels, width // 2), (width // 2, width)):
            stem += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
        nothing_drops = (0.0,) * DEPTH
        stages = [
            Stage(width, None, 0, (1, 1), nothing_drops),
            Stage(2 * width, width, 0, (1, 1), nothing_drops),
        ]
        for module in [each for stage in stages for each in stage.modules() if isinstance(each, Factor)]:
            nn.init.ones_(module.weight)
        super().__init__([*stem, *stages], channels, size, width, side=1)
