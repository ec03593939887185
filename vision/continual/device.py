"""The encoder on a device: an integer program that is never trained again. Classes are added by their means."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from shared.f8net import F8Net
from vision.data.augment import PIXEL
from vision.nets.conv4 import Embedding


class IntegerEmbedding(nn.Module):
    """An embedding whose encoder is `encoder.program()`: 8-bit integers up to the last feature map.

    `samples` `(n, C, H, W)` calibrate it. Left to floats are the average over the map, the centre and the length.
    `NearestMeans(IntegerEmbedding(...), features)` is the learner that runs on it.
    """

    def __init__(self, embedding: Embedding, samples: Tensor) -> None:
        super().__init__()
        *layers, pool, flatten = embedding.encoder
        self.encoder = F8Net(nn.Sequential(*layers), shape=samples.shape[1:], input=PIXEL).calibrate(samples).eval()
        self.rest = nn.Sequential(pool, flatten)
        self.register_buffer("centre", embedding.centre)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return self.directions(self.encoder(x))

    def directions(self, maps: Tensor) -> Tensor:
        """Unit vectors `(B, D)` of the last feature maps `(B, channels, H, W)`."""
        return normalize(self.rest(maps) - self.centre, dim=1)
