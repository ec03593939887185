"""A control without labels: an encoder trained to tell pictures apart by two views of each (SimCLR)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample, normalize

from vision.data.augment import as_input, flipped_and_cropped
from vision.nets.encoder import Encoder

TEMPERATURE = 0.2
SMALLEST = 0.6
"""Side of the smallest part of a picture that a view shows, over the picture's."""

GAIN = 0.4
"""How far each channel of a view is made brighter or darker."""


@dataclass(frozen=True, eq=False)
class TwoViews:
    """Pictures as `shared.training` reads them, `(B, 2, C, H, W)`: two views of each, varied at random."""

    pixels: Tensor
    mirror: bool

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, picked: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return torch.stack([self._view(self.pixels[picked], generator) for _ in range(2)], dim=1), picked

    def _view(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        x = as_input(flipped_and_cropped(pixels, generator, self.mirror)).contiguous()
        zoom = SMALLEST + (1 - SMALLEST) * torch.rand(len(x), 1, 1, generator=generator)
        shift = (1 - zoom) * (2 * torch.rand(len(x), 2, 1, generator=generator) - 1)
        grid = affine_grid(torch.cat([zoom * torch.eye(2), shift], dim=2), list(x.shape), align_corners=False)
        gains = 1 + GAIN * (2 * torch.rand(*x.shape[:2], 1, 1, generator=generator) - 1)
        return grid_sample(x, grid, align_corners=False) * gains


class Contrast(nn.Module):
    """The loss of two views `(B, 2, C, H, W)`: each has to tell its twin from all other views of the batch.

    NT-Xent behind a hidden layer: T. Chen et al., SimCLR (arXiv 2002.05709), section 2.1.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(
            nn.Linear(encoder.features, encoder.features), nn.ReLU(), nn.Linear(encoder.features, 64)
        )

    def forward(self, views: Tensor) -> Tensor:
        count = len(views)
        z = normalize(self.head(self.encoder(views.transpose(0, 1).flatten(0, 1))), dim=1)
        alike = (z @ z.T / TEMPERATURE).fill_diagonal_(-torch.inf)
        return cross_entropy(alike, (torch.arange(2 * count) + count) % (2 * count))
