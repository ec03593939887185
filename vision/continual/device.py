"""The encoder on a device: an integer program that is never trained again. Classes are added by their means."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from shared.f8net import F8Net
from vision.continual.border import check_pictures
from vision.data.augment import PIXEL
from vision.nets.encoder import Embedding

BATCH = 256
CALIBRATED_ON = 1024
"""Most pictures whose feature maps are held at once, to fit number formats."""


class IntegerEmbedding(nn.Module):
    """An embedding whose encoder is `encoder.program()`: 8-bit integers up to the last feature map.

    `samples` `(n, C, H, W)` calibrate it, with number formats of the least error and a centre of the integers' own:
    features lie close together, and a shift of all of them would be large beside what tells them apart. Left to floats
    are the average over the map, the centre and the length. `NearestMeans(IntegerEmbedding(...), features)` is the
    learner that runs on it. Raises `ValueError` for an encoder that fixed point does not have.
    """

    centre: Tensor

    def __init__(self, embedding: Embedding, samples: Tensor) -> None:
        super().__init__()
        self.shape = tuple(samples.shape[1:])
        *layers, pool, flatten = embedding.encoder
        fixed = F8Net(nn.Sequential(*layers), shape=samples.shape[1:], input=PIXEL, fit="error")
        self.encoder = fixed.calibrate(samples[:: -(-len(samples) // CALIBRATED_ON)]).eval()
        self.rest = nn.Sequential(pool, flatten)
        with torch.no_grad():
            features = torch.cat([self.rest(self.encoder(part)) for part in samples.split(BATCH)])
        self.register_buffer("centre", features.mean(0))

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Unit vectors `(B, D)` of pictures; raises `ValueError` for another shape, and for numbers beyond 0 to 1."""
        check_pictures(x, self.shape)
        return self.directions(self.encoder(x))

    def directions(self, maps: Tensor) -> Tensor:
        """Unit vectors `(B, D)` of the last feature maps `(B, channels, H, W)`."""
        return normalize(self.rest(maps) - self.centre, dim=1)
