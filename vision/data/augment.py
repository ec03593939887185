"""Images as inputs of a net, and their random augmentation in training."""

from dataclasses import dataclass

import torch
from torch import Tensor

from shared.integer.format import Format
from vision.data.cifar10 import Images
from vision.data.trivial import trivially_augmented

PIXEL = Format(8, 8, signed=False)
"""The input format of a net: a byte `n` represents `n / 256`, so the bytes of an image are its integer inputs."""

PAD = 4


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


@dataclass(frozen=True, eq=False)
class Augmented:
    """Images as `shared.training` reads them: mirrored and shifted at random in each epoch.

    `trivial` adds one random operation of `vision.data.trivial` before.
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
        return as_input(flipped_and_cropped(pixels, generator, self.mirror)), labels
