"""Encoders of pictures for few-shot work, and their embedding as unit vectors."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


class Encoder(nn.Sequential):
    """Layers that end with a feature map, whose positions are averaged and flattened: `(B, C, H, W)` to `(B, D)`.

    `channels` and `size` are those of a picture, `width` the channels of the net's first layers. Each side of the map
    is averaged to `side` positions, and to those that it has where they are fewer. `features` is D. Raises
    `ValueError` for pictures so small that nothing is left of the map.
    """

    def __init__(self, layers: Sequence[nn.Module], channels: int, size: int, width: int, *, side: int) -> None:
        # Without training mode, a norm accepts a map of one position in a batch of one.
        maps = nn.Sequential(*layers).eval()
        try:
            with torch.no_grad():
                _, last, left, _ = maps(torch.zeros(1, channels, size, size)).shape
        except RuntimeError:
            raise ValueError(
                f"pictures of {size}x{size} are too small for {type(self).__name__}: scale them to 16x16 at least"
            ) from None
        maps.train()
        side = min(side, left)
        super().__init__(*layers, nn.AdaptiveAvgPool2d(side), nn.Flatten())
        self.channels, self.size, self.width = channels, size, width
        self.features = side * side * last


class Embedding(nn.Module):
    """An encoder whose outputs become unit vectors around the `centre` of its training classes: `(B, ...)` to `(B, D)`.

    Y. Wang et al., SimpleShot (arXiv 1911.04623), section 3.2: centred and normalised, nearest means are far stronger.
    """

    centre: Tensor

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("centre", torch.zeros(encoder.features))

    def forward(self, x: Tensor) -> Tensor:
        return normalize(self.encoder(x) - self.centre, dim=1)
