"""Images as inputs of a net, and their random augmentation in training."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from shared.integer.format import Format
from vision.data.cifar10 import Images
from vision.data.trivial import trivially_augmented

PIXEL = Format(8, 8, signed=False)
"""The input format of a net: a byte `n` represents `n / 256`, so the bytes of an image are its integer inputs."""

PAD = 4

TURN = 0.2
"""Radians by which a character is turned at most."""

WARP = 0.15
"""Shares by which a character is stretched, slanted and moved at most."""


def as_input(pixels: Tensor) -> Tensor:
    """Bytes `(B, H, W, C)` as numbers in [0, 1) `(B, C, H, W)`, channels last in memory: no copy of the layout."""
    return (pixels.float() * PIXEL.step).permute(0, 3, 1, 2)


def flipped_and_cropped(pixels: Tensor, generator: torch.Generator, mirror: bool = True) -> Tensor:
    """Each image of `(B, H, W, C)` mirrored with probability 1/2 and shifted by up to 4 pixels, with black padding.

    With `mirror=False` it is shifted only: a mirrored letter is another one.

    K. He et al., Deep Residual Learning (arXiv 1512.03385), section 4.2.
    """
    count, height, width, _ = pixels.shape
    padded = torch.nn.functional.pad(pixels, (0, 0, PAD, PAD, PAD, PAD))
    shifts = torch.randint(2 * PAD + 1, (2, count, 1), generator=generator)
    columns = torch.arange(width).expand(count, width)
    if mirror:
        mirrored = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    columns = shifts[1] + columns
    rows = shifts[0] + torch.arange(height)
    return padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


def warped(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Characters `(B, H, W, C)` turned, stretched, slanted and moved a little, as another hand writes them; as inputs.

    Turned by up to 11 degrees, each side stretched by up to 15 % and slanted by as much, moved by up to 0.15 of half
    the side. What comes in from outside is black.
    """
    x = as_input(pixels).contiguous()
    count = len(x)

    def random(*shape: int) -> Tensor:
        return 2 * torch.rand(count, *shape, generator=generator) - 1

    angle = TURN * random()
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1).view(count, 2, 2)
    stretch = torch.diag_embed(1 + WARP * random(2))
    stretch[:, 0, 1] = WARP * random()
    grid = affine_grid(torch.cat([turn @ stretch, WARP * random(2, 1)], dim=2), list(x.shape), align_corners=False)
    return grid_sample(x, grid, align_corners=False)


@dataclass(frozen=True, eq=False)
class Augmented:
    """Images as `shared.training` reads them: mirrored and shifted at random in each epoch.

    With `mirror=False` they are `warped`: a mirrored letter is another one. `trivial` adds one random operation of
    `vision.data.trivial` before.
    """

    images: Images
    mirror: bool = True
    trivial: bool = False

    def __len__(self) -> int:
        return len(self.images.labels)

    def batch(self, picked: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        pixels = torch.from_numpy(self.images.pixels[picked.numpy()])
        labels = torch.from_numpy(self.images.labels[picked.numpy()])
        if self.trivial:
            pixels = trivially_augmented(pixels, generator)
        return as_input(flipped_and_cropped(pixels, generator)) if self.mirror else warped(pixels, generator), labels
